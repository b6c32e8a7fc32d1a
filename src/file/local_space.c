/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sizes, holes and space of local files.
 *
 * Holes are found with SEEK_DATA and SEEK_HOLE and made with fallocate().
 * Every one of these calls is missing on some file system; each has a way
 * round it that costs time, never correctness: no SEEK_DATA means that all is
 * data, no hole punching that zeroes are written, no fallocate() that space is
 * reserved by writing zeroes where there are holes.
 */
#include "file/local_space.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/error.h"
#include "file/local.h"

int
local_size(struct vdk_file *file, uint64_t *ret, struct vdk_error *err)
{
  struct local_file *f = (struct local_file *)file;
  struct stat st;
  uint64_t bytes;

  if (f->is_device) {
    if (ioctl(f->fd, BLKGETSIZE64, &bytes) < 0)
      return error_errno(err, errno, "cannot get the size of device %s",
                         file->name);
    *ret = bytes;
    return 0;
  }
  if (fstat(f->fd, &st) < 0)
    return error_errno(err, errno, "cannot get the size of %s", file->name);
  *ret = (uint64_t)st.st_size;
  return 0;
}

static int
try_fallocate(int fd, int mode, uint64_t offset, uint64_t len)
{
  int r;

  do
    r = fallocate(fd, mode, (off_t)offset, (off_t)len);
  while (r < 0 && errno == EINTR);
  return r < 0 ? errno : 0;
}

/* What fallocate() says when it cannot, rather than failed. */
static bool
is_unsupported(int e)
{
  return e == EOPNOTSUPP || e == ENOSYS || e == EINVAL || e == ENODEV ||
         e == EPERM;
}

int
local_zero(struct vdk_file *file, uint64_t offset, uint64_t len,
           struct vdk_error *err)
{
  struct local_file *f = (struct local_file *)file;
  uint64_t size;
  int e, r;

  if (file->is_pipe || __atomic_load_n(&f->no_punch, __ATOMIC_RELAXED))
    return -VDK_E_UNSUPPORTED;
  r = local_size(file, &size, err);
  if (r < 0)
    return r;
  if (offset >= size)
    return 0;
  len = MIN(len, size - offset);
  e = try_fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                    len);
  if (is_unsupported(e))
    e = try_fallocate(f->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset,
                      len);
  if (e == 0)
    return 0;
  if (is_unsupported(e)) {
    if (e == EOPNOTSUPP || e == ENOSYS)
      __atomic_store_n(&f->no_punch, true, __ATOMIC_RELAXED);
    return -VDK_E_UNSUPPORTED;
  }
  return error_errno(
      err, e, "cannot zero %" PRIu64 " bytes at offset %" PRIu64 " of %s", len,
      offset, file->name);
}

int
local_extent(struct vdk_file *file, uint64_t offset, uint64_t len,
             uint64_t *ret_len, int *ret_state, struct vdk_error *err)
{
  struct local_file *f = (struct local_file *)file;
  off_t data = -1, hole;

  if (!f->is_device)
    data = lseek(f->fd, (off_t)offset, SEEK_DATA);
  if (data < 0 && errno == ENXIO && !f->is_device) {
    *ret_len = len;
    *ret_state = VDK_EXTENT_ZERO;
    return 0;
  }
  if (data > (off_t)offset) {
    *ret_len = MIN(len, (uint64_t)data - offset);
    *ret_state = VDK_EXTENT_ZERO;
    return 0;
  }
  /* Data here, or nobody knows; the end is the next hole, if that is known. */
  *ret_len = len;
  *ret_state = VDK_EXTENT_DATA;
  if (data >= 0) {
    hole = lseek(f->fd, (off_t)offset, SEEK_HOLE);
    if (hole > (off_t)offset)
      *ret_len = MIN(len, (uint64_t)hole - offset);
  }
  return 0;
}

int
local_truncate(struct vdk_file *file, uint64_t size, struct vdk_error *err)
{
  struct local_file *f = (struct local_file *)file;
  uint64_t now;
  int r;

  if (f->is_device) {
    r = local_size(file, &now, err);
    if (r < 0 || now == size)
      return r;
    return error_set(err, VDK_E_UNSUPPORTED,
                     "cannot change the size of device %s", file->name);
  }
  do
    r = ftruncate(f->fd, (off_t)size);
  while (r < 0 && errno == EINTR);
  if (r < 0)
    return error_errno(err, errno,
                       "cannot set the size of %s to %" PRIu64 " bytes",
                       file->name, size);
  return 0;
}

/* Grows the file and fills the holes of the range, leaving data alone. */
static int
allocate_by_writing(struct vdk_file *file, uint64_t offset, uint64_t len,
                    struct vdk_error *err)
{
  static const uint8_t zeroes[64 * 1024];
  uint64_t size, end = offset + len;
  int r = local_size(file, &size, err);

  if (r == 0 && size < end)
    r = local_truncate(file, end, err);
  while (r == 0 && offset < end) {
    uint64_t n = 0;
    int state;

    r = local_extent(file, offset, end - offset, &n, &state, err);
    for (uint64_t at = 0; r == 0 && state == VDK_EXTENT_ZERO && at < n;) {
      size_t piece = (size_t)MIN(n - at, (uint64_t)sizeof zeroes);

      r = file_write(file, offset + at, zeroes, piece, err);
      at += piece;
    }
    offset += n;
  }
  return r;
}

int
local_allocate(struct vdk_file *file, uint64_t offset, uint64_t len,
               struct vdk_error *err)
{
  struct local_file *f = (struct local_file *)file;
  uint64_t size;
  int e, r;

  if (f->is_device) {
    r = local_size(file, &size, err);
    if (r == 0 && range_outside(offset, len, size))
      r = error_set(err, VDK_E_NO_SPACE, "device %s is too small", file->name);
    return r;
  }
  e = try_fallocate(f->fd, 0, offset, len);
  if (e == 0)
    return 0;
  if (is_unsupported(e))
    return allocate_by_writing(file, offset, len, err);
  return error_errno(
      err, e, "cannot reserve %" PRIu64 " bytes at offset %" PRIu64 " of %s",
      len, offset, file->name);
}

int
local_empty(int fd, const char *name, unsigned file_flags,
            struct vdk_error *err)
{
  struct stat st;

  if (!(file_flags & FILE_REPLACE) || !(file_flags & FILE_CREATE))
    return 0;
  if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
    return 0;
  if (ftruncate(fd, 0) < 0)
    return error_errno(err, errno, "cannot empty %s", name);
  return 0;
}
