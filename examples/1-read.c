/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Example 1: open a disk, say what it is, and print some of its bytes.
 *
 *   1-read DISK [OFFSET [LENGTH]]
 *
 * DISK is anything that vdkit can name: a .vmdk with its whole snapshot chain,
 * a raw image, a disk in a backup repository (vmbk:REPO#VM@POINT/DISK).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <vdkit/vdkit.h>

static void
print_info(struct vdk_handle *disk)
{
  struct vdk_info info = VDK_INFO_INIT;

  if (vdk_get_info(disk, &info, NULL) < 0)
    return;
  printf("%s: %s %s, %" PRIu64 " bytes, %" PRIu64 " stored, %" PRIu32
         " link(s)\n",
         info.name, info.format, info.type, info.capacity, info.allocated,
         info.links);
}

static void
print_line(uint64_t offset, const unsigned char *bytes, size_t count)
{
  printf("%012" PRIx64, offset);
  for (size_t i = 0; i < count; i++)
    printf(" %02x", bytes[i]);
  putchar('\n');
}

static int
print_bytes(struct vdk_handle *disk, uint64_t offset, uint64_t length,
            struct vdk_error *err)
{
  unsigned char line[16];

  while (length > 0) {
    size_t want = length < sizeof line ? (size_t)length : sizeof line;
    size_t got;

    if (vdk_read_at(disk, offset, line, want, &got, err) < 0)
      return -1;
    if (got == 0) /* the end of the disk */
      break;
    print_line(offset, line, got);
    offset += got;
    length -= got;
  }
  return 0;
}

int
main(int argc, char **argv)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_handle *disk;
  int failed;

  if (argc < 2) {
    fprintf(stderr, "usage: %s DISK [OFFSET [LENGTH]]\n", argv[0]);
    return 2;
  }
  if (vdk_open(argv[1], NULL, &disk, &err) < 0) {
    fprintf(stderr, "%s\n", vdk_error_message(&err));
    return 1;
  }
  print_info(disk);
  failed = print_bytes(disk, argc > 2 ? strtoull(argv[2], NULL, 0) : 0,
                       argc > 3 ? strtoull(argv[3], NULL, 0) : 64, &err);
  if (failed)
    fprintf(stderr, "%s\n", vdk_error_message(&err));
  vdk_close(disk, NULL); /* a disk that was only read closes without error */
  return failed ? 1 : 0;
}
