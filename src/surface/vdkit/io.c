/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading and writing, with POSIX semantics: any alignment, short reads only
 * at the end of the disk, a position that moves by what was done. A write is
 * whole or an error, since a disk does not grow.
 *
 * The position has a lock of its own that is held during vdk_read and
 * vdk_write, so that each of them is one step for other threads; the *_at
 * calls never take it.
 */
#include "base/checked.h"
#include "base/error.h"
#include "surface/vdkit/surface.h"

int
io_check_read(struct vdk_handle *h, uint64_t offset, const void *buf,
              size_t len, size_t *ret_len, struct vdk_error *err)
{
  if (!h)
    return options_null("the handle", err);
  if (!buf && len > 0)
    return options_null("the buffer", err);
  *ret_len = offset >= h->size ? 0 : (size_t)MIN(len, h->size - offset);
  return 0;
}

int
io_check_write(struct vdk_handle *h, uint64_t offset, uint64_t len,
               const void *buf, struct vdk_error *err)
{
  if (!h)
    return options_null("the handle", err);
  if (!buf && len > 0)
    return options_null("the buffer", err);
  if (!h->writable)
    return error_set(err, VDK_E_READ_ONLY,
                     "cannot write to %s: it was opened for reading",
                     disk_name(h->disk));
  if (range_outside(offset, len, h->size))
    return error_set(err, VDK_E_RANGE,
                     "cannot write %llu bytes at offset %llu of %s: it ends "
                     "at %llu",
                     (unsigned long long)len, (unsigned long long)offset,
                     disk_name(h->disk), (unsigned long long)h->size);
  return 0;
}

static void
report(size_t *ret_done, size_t done)
{
  if (ret_done)
    *ret_done = done;
}

int
vdk_read_at(struct vdk_handle *h, uint64_t offset, void *buf, size_t len,
            size_t *ret_done, struct vdk_error *err)
{
  size_t done = 0;
  int rc;

  rc = io_check_read(h, offset, buf, len, &done, err);
  if (rc < 0)
    return rc;
  if (done > 0) {
    rc = disk_read(h->disk, offset, buf, done, err);
    if (rc < 0)
      return rc;
  }
  report(ret_done, done);
  return 0;
}

int
vdk_write_at(struct vdk_handle *h, uint64_t offset, const void *buf, size_t len,
             size_t *ret_done, struct vdk_error *err)
{
  int rc;

  rc = io_check_write(h, offset, len, buf, err);
  if (rc < 0)
    return rc;
  if (len > 0) {
    rc = disk_write(h->disk, offset, buf, len, err);
    if (rc < 0)
      return rc;
  }
  report(ret_done, len);
  return 0;
}

int
vdk_read(struct vdk_handle *h, void *buf, size_t len, size_t *ret_done,
         struct vdk_error *err)
{
  size_t done = 0;
  int rc;

  if (!h)
    return options_null("the handle", err);
  LOCK_SCOPE(&h->position_lock);
  rc = vdk_read_at(h, h->position, buf, len, &done, err);
  if (rc < 0)
    return rc;
  h->position += done;
  report(ret_done, done);
  return 0;
}

int
vdk_write(struct vdk_handle *h, const void *buf, size_t len, size_t *ret_done,
          struct vdk_error *err)
{
  size_t done = 0;
  int rc;

  if (!h)
    return options_null("the handle", err);
  LOCK_SCOPE(&h->position_lock);
  rc = vdk_write_at(h, h->position, buf, len, &done, err);
  if (rc < 0)
    return rc;
  h->position += done;
  report(ret_done, done);
  return 0;
}

int
vdk_zero_at(struct vdk_handle *h, uint64_t offset, uint64_t length,
            struct vdk_error *err)
{
  int rc;

  rc = io_check_write(h, offset, length, "", err);
  if (rc < 0 || length == 0)
    return rc;
  return disk_zero(h->disk, offset, length, err);
}

int
vdk_flush(struct vdk_handle *h, struct vdk_error *err)
{
  if (!h)
    return options_null("the handle", err);
  return h->writable ? disk_flush(h->disk, err) : 0;
}

/* --- Seek ----------------------------------------------------------------- */

/* BASE + OFFSET, as long as a lseek could say it too. */
static int
seek_from(uint64_t base, int64_t offset, uint64_t *ret, struct vdk_error *err)
{
  int64_t sum;

  if (add_overflows((int64_t)base, offset, &sum) || sum < 0)
    return error_set(err, VDK_E_INVAL,
                     "cannot seek %lld bytes from offset %llu: the position "
                     "would not lie in 0 .. 2^63-1",
                     (long long)offset, (unsigned long long)base);
  *ret = sum;
  return 0;
}

/* The first byte at or after OFFSET that is WANTED; the disk's end is what
 * remains for holes. */
static int
seek_state(struct vdk_handle *h, int64_t offset, bool want_data, uint64_t *ret,
           struct vdk_error *err)
{
  uint64_t at = offset;

  if (offset < 0 || at >= h->size)
    return error_set(err, VDK_E_RANGE,
                     "cannot look for data or holes at offset %lld of %s: "
                     "it ends at %llu",
                     (long long)offset, disk_name(h->disk),
                     (unsigned long long)h->size);
  while (at < h->size) {
    uint64_t len;
    int state, rc;

    rc = disk_extent(h->disk, at, h->size - at, &len, &state, err);
    if (rc < 0)
      return rc;
    if ((state == VDK_EXTENT_DATA) == want_data)
      break;
    at += len;
  }
  if (at >= h->size && want_data)
    return error_set(err, VDK_E_NOT_FOUND,
                     "%s has no data at or after offset %lld",
                     disk_name(h->disk), (long long)offset);
  *ret = at;
  return 0;
}

int
vdk_seek(struct vdk_handle *h, int64_t offset, int whence,
         uint64_t *ret_position, struct vdk_error *err)
{
  uint64_t position = 0;
  int rc;

  if (!h)
    return options_null("the handle", err);
  LOCK_SCOPE(&h->position_lock);
  switch (whence) {
  case VDK_SEEK_SET:
    rc = seek_from(0, offset, &position, err);
    break;
  case VDK_SEEK_CUR:
    rc = seek_from(h->position, offset, &position, err);
    break;
  case VDK_SEEK_END:
    rc = seek_from(h->size, offset, &position, err);
    break;
  case VDK_SEEK_DATA:
  case VDK_SEEK_HOLE:
    rc = seek_state(h, offset, whence == VDK_SEEK_DATA, &position, err);
    break;
  default:
    rc = error_set(err, VDK_E_INVAL, "there is no way to seek numbered %d",
                   whence);
  }
  if (rc < 0)
    return rc;
  h->position = position;
  if (ret_position)
    *ret_position = position;
  return 0;
}
