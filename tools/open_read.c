/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the bench needs of the library and no verb of vdkit does.
 *
 *   open-read DISK              opens it, reads its first megabyte, closes it:
 *                               the part of qemu-io -c 'read 0 1M'
 *   open-read --scatter N DISK  writes N megabytes spread over all of DISK
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdkit/vdkit.h>

#define MEGABYTE (1u << 20)

static uint8_t buffer[MEGABYTE];

static int
scatter(struct vdk_handle *h, unsigned count, struct vdk_error *err)
{
  uint64_t room = vdk_capacity(h) - MEGABYTE;
  uint32_t x = 1;

  for (unsigned i = 0; i < count; i++) {
    uint64_t offset = count > 1 ? room / (count - 1) * i : 0;
    int r;

    for (size_t at = 0; at < MEGABYTE; at++) {
      x = x * 1664525u + 1013904223u;
      /* Compressible, but not to nothing. */
      buffer[at] = (uint8_t)("0123456789abcdef"[x >> 28]);
    }
    r = vdk_write_at(h, offset, buffer, MEGABYTE, NULL, err);
    if (r < 0)
      return r;
  }
  return vdk_flush(h, err);
}

int
main(int argc, char **argv)
{
  struct vdk_open_options options = VDK_OPEN_OPTIONS_INIT;
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_handle *h = NULL;
  unsigned count = 0;
  int r;

  if (argc == 4 && strcmp(argv[1], "--scatter") == 0) {
    count = (unsigned)atoi(argv[2]);
    options.flags = VDK_OPEN_WRITE;
  } else if (argc != 2) {
    fputs("usage: open-read [--scatter N] DISK\n", stderr);
    return 2;
  }
  r = vdk_open(argv[argc - 1], &options, &h, &err);
  if (r == 0)
    r = count ? scatter(h, count, &err)
              : vdk_read_at(h, 0, buffer, MEGABYTE, NULL, &err);
  if (r == 0)
    r = vdk_close(h, &err);
  else
    vdk_close(h, NULL);
  if (r < 0) {
    fprintf(stderr, "open-read: %s\n", vdk_error_message(&err));
    return 1;
  }
  return 0;
}
