/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the native API share: a folder for each test, disks with
 * contents that can be told from any offset, a count of what is open. */
#ifndef TESTS_UNIT_SURFACE_SUPPORT_H
#define TESTS_UNIT_SURFACE_SUPPORT_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vdkit/vdkit.h>

#include "unit.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)

static char support_dir[64];

static inline int
support_setup(void **state)
{
  strcpy(support_dir, "/tmp/vdkit-surface-XXXXXX");
  return mkdtemp(support_dir) ? 0 : -1;
}

static inline int
support_remove(const char *path, const struct stat *st, int type,
               struct FTW *ftw)
{
  return remove(path);
}

static inline int
support_teardown(void **state)
{
  return nftw(support_dir, support_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* DIR/NAME in one of a few buffers that take turns. */
static inline const char *
path_of(const char *name)
{
  static char buf[8][256];
  static unsigned next;
  char *p = buf[next++ % 8];

  snprintf(p, sizeof buf[0], "%s/%s", support_dir, name);
  return p;
}

/* Descriptors that this process has open. */
static inline int
open_files(void)
{
  DIR *d = opendir("/proc/self/fd");
  int count = 0;

  assert_non_null(d);
  while (readdir(d))
    count++;
  closedir(d);
  return count - 3; /* ".", ".." and the walk's own */
}

/* Entries of a folder without "." and "..". */
static inline int
entries(const char *path)
{
  DIR *d = opendir(path);
  int count = 0;

  assert_non_null(d);
  while (readdir(d))
    count++;
  closedir(d);
  return count - 2;
}

/* The byte that the tests put at OFFSET; no period that is a power of 2. */
static inline uint8_t
byte_at(uint64_t offset)
{
  return (uint8_t)(offset % 251 + offset / 4096 % 5 + 1);
}

static inline void
fill(uint8_t *buf, uint64_t offset, size_t len)
{
  for (size_t i = 0; i < len; i++)
    buf[i] = byte_at(offset + i);
}

static inline void
assert_filled(const uint8_t *buf, uint64_t offset, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (buf[i] != byte_at(offset + i))
      fail_msg("byte %llu is %u, not %u", (unsigned long long)(offset + i),
               buf[i], byte_at(offset + i));
}

static inline void
assert_all_zero(const uint8_t *buf, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (buf[i] != 0)
      fail_msg("byte %zu is %u, not 0", i, buf[i]);
}

/* A new disk. */
static inline void
make_disk(const char *name, const char *type, uint64_t capacity)
{
  struct vdk_create_options o = VDK_CREATE_OPTIONS_INIT;
  struct vdk_error err = VDK_ERROR_INIT;

  o.type = type;
  o.capacity = capacity;
  assert_ok(vdk_create(path_of(name), &o, &err));
}

static inline struct vdk_handle *
open_disk(const char *name, unsigned flags)
{
  struct vdk_open_options o = VDK_OPEN_OPTIONS_INIT;
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_handle *h = NULL;

  o.flags = flags;
  assert_ok(vdk_open(path_of(name), &o, &h, &err));
  assert_non_null(h);
  return h;
}

static inline void
close_disk(struct vdk_handle *h)
{
  struct vdk_error err = VDK_ERROR_INIT;

  assert_ok(vdk_close(h, &err));
}

/* Writes the bytes of byte_at over a range. */
static inline void
fill_disk(struct vdk_handle *h, uint64_t offset, size_t len)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint8_t *buf = malloc(len);
  size_t done = 0;

  assert_non_null(buf);
  fill(buf, offset, len);
  assert_ok(vdk_write_at(h, offset, buf, len, &done, &err));
  assert_int_equal(done, len);
  free(buf);
}

static inline void
assert_disk_filled(struct vdk_handle *h, uint64_t offset, size_t len)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint8_t *buf = malloc(len);
  size_t done = 0;

  assert_non_null(buf);
  assert_ok(vdk_read_at(h, offset, buf, len, &done, &err));
  assert_int_equal(done, len);
  assert_filled(buf, offset, len);
  free(buf);
}

/* A file of these bytes. */
static inline void
make_file(const char *name, const void *data, size_t len)
{
  FILE *f = fopen(path_of(name), "w");

  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, len, f), len);
  assert_int_equal(fclose(f), 0);
}

#endif
