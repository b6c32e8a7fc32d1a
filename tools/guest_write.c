/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest-write OLD NEW DISK: plays the guest of the demo.
 *
 * A running guest changes some sectors of its disk. The demo has no guest: it
 * changes files with debugfs in a raw copy of the disk. This program finds
 * what that changed (OLD and NEW are raw images of one size), and writes just
 * those blocks to DISK, as a hypervisor would: through its snapshot chain,
 * into its front link. It uses the public API alone.
 *
 * Prints the number of bytes written. Holes are skipped by SEEK_DATA, so that
 * the cost is that of the data, not of the disk's size.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdkit/vdkit.h>

/* What the guest's file system writes at a time. */
#define BLOCK 4096u
/* What is read at a time. */
#define WINDOW (1u << 20)

struct state {
  struct vdk_handle *old, *new, *disk;
  uint8_t *old_data, *new_data;
  uint64_t written;
  struct vdk_error err;
};

/* Where the first data at or after OFFSET is; the end when there is none. */
static int
next_data(struct state *s, struct vdk_handle *h, uint64_t offset, uint64_t *ret)
{
  int r = vdk_seek(h, (int64_t)offset, VDK_SEEK_DATA, ret, &s->err);

  if (r == -VDK_E_NOT_FOUND) {
    *ret = vdk_capacity(h);
    return 0;
  }
  return r;
}

/* Writes the changed blocks of one window, neighbours together. */
static int
write_changes(struct state *s, uint64_t offset, size_t len)
{
  size_t start = 0, end;

  while (start < len) {
    size_t block = len - start < BLOCK ? len - start : BLOCK;
    int r;

    if (memcmp(s->old_data + start, s->new_data + start, block) == 0) {
      start += block;
      continue;
    }
    for (end = start + block; end < len; end += block) {
      block = len - end < BLOCK ? len - end : BLOCK;
      if (memcmp(s->old_data + end, s->new_data + end, block) == 0)
        break;
    }
    r = vdk_write_at(s->disk, offset + start, s->new_data + start, end - start,
                     NULL, &s->err);
    if (r < 0)
      return r;
    s->written += end - start;
    start = end;
  }
  return 0;
}

static int
play(struct state *s)
{
  uint64_t offset = 0, a, b, size = vdk_capacity(s->new);
  size_t old_len, new_len;
  int r;

  while (offset < size) {
    if ((r = next_data(s, s->old, offset, &a)) < 0 ||
        (r = next_data(s, s->new, offset, &b)) < 0)
      return r;
    offset = (a < b ? a : b) / BLOCK * BLOCK;
    if (offset >= size)
      break;
    if ((r = vdk_read_at(s->old, offset, s->old_data, WINDOW, &old_len,
                         &s->err)) < 0 ||
        (r = vdk_read_at(s->new, offset, s->new_data, WINDOW, &new_len,
                         &s->err)) < 0 ||
        (r = write_changes(s, offset, new_len)) < 0)
      return r;
    offset += new_len;
  }
  return vdk_flush(s->disk, &s->err);
}

static int
open_all(struct state *s, char **names)
{
  struct vdk_open_options raw = VDK_OPEN_OPTIONS_INIT;
  struct vdk_open_options written = VDK_OPEN_OPTIONS_INIT;
  int r;

  raw.format = "raw";
  /* For a user's VM the parent lies in another folder than the link. */
  written.flags = VDK_OPEN_WRITE | VDK_OPEN_ALLOW_OUTSIDE;
  if ((r = vdk_open(names[0], &raw, &s->old, &s->err)) < 0 ||
      (r = vdk_open(names[1], &raw, &s->new, &s->err)) < 0 ||
      (r = vdk_open(names[2], &written, &s->disk, &s->err)) < 0)
    return r;
  if (vdk_capacity(s->old) != vdk_capacity(s->new) ||
      vdk_capacity(s->old) != vdk_capacity(s->disk)) {
    snprintf(s->err.text, sizeof s->err.text,
             "%s, %s and %s are not of one size", names[0], names[1], names[2]);
    return -VDK_E_INVAL;
  }
  return 0;
}

int
main(int argc, char **argv)
{
  struct state s = {.err = VDK_ERROR_INIT};
  struct vdk_error close_err = VDK_ERROR_INIT;
  int r;

  if (argc != 4) {
    fputs("usage: guest-write OLD NEW DISK\n", stderr);
    return 2;
  }
  s.old_data = malloc(WINDOW);
  s.new_data = malloc(WINDOW);
  if (!s.old_data || !s.new_data) {
    fputs("guest-write: out of memory\n", stderr);
    return 1;
  }
  r = open_all(&s, argv + 1);
  if (r == 0)
    r = play(&s);
  vdk_close(s.old, NULL);
  vdk_close(s.new, NULL);
  /* The last writes may fail as late as here. */
  if (vdk_close(s.disk, &close_err) < 0 && r == 0) {
    r = -1;
    s.err = close_err;
  }
  free(s.old_data);
  free(s.new_data);
  if (r < 0) {
    fprintf(stderr, "guest-write: %s\n", vdk_error_message(&s.err));
    return 1;
  }
  printf("%llu\n", (unsigned long long)s.written);
  return 0;
}
