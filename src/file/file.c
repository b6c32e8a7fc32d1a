/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands between a caller and a file's driver: the checks that every
 * driver would otherwise repeat (read-only, offsets that overflow, empty
 * ranges), and the defaults for what a driver leaves out. A driver may assume
 * that a range is not empty, ends at or below FILE_OFFSET_MAX, and that no
 * changing call reaches a file that was not opened for writing.
 */
#include "file/file.h"

#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"

/* What off_t holds. */
#define FILE_OFFSET_MAX ((uint64_t)INT64_MAX)

#define ZEROES_SIZE (64u * 1024)

/* One page-aligned block of zeroes for everybody; never written. */
static const uint8_t zeroes[ZEROES_SIZE]
    __attribute__((aligned(MEM_BUFFER_ALIGN)));

static int
check_range(struct vdk_file *f, const char *verb, uint64_t offset, uint64_t len,
            struct vdk_error *err)
{
  if (range_outside(offset, len, FILE_OFFSET_MAX))
    return error_set(err, VDK_E_TOO_BIG,
                     "cannot %s %" PRIu64 " bytes at offset %" PRIu64
                     " of %s: no file is that large",
                     verb, len, offset, f->name);
  return 0;
}

static int
check_change(struct vdk_file *f, const char *verb, uint64_t offset,
             uint64_t len, struct vdk_error *err)
{
  if (!f->writable)
    return error_set(err, VDK_E_READ_ONLY,
                     "cannot %s %s: it was opened for reading only", verb,
                     f->name);
  return check_range(f, verb, offset, len, err);
}

int
file_size(struct vdk_file *f, uint64_t *ret, struct vdk_error *err)
{
  if (f->is_pipe)
    return error_set(err, VDK_E_UNSUPPORTED, "%s is a pipe and has no size",
                     f->name);
  return f->ops->size(f, ret, err);
}

int
file_read_upto(struct vdk_file *f, uint64_t offset, void *buf, size_t len,
               size_t *ret, struct vdk_error *err)
{
  int r = check_range(f, "read", offset, len, err);

  if (r < 0)
    return r;
  if (len == 0) {
    *ret = 0;
    return 0;
  }
  return f->ops->read(f, offset, buf, len, ret, err);
}

int
file_read(struct vdk_file *f, uint64_t offset, void *buf, size_t len,
          struct vdk_error *err)
{
  size_t got = 0;
  int r = file_read_upto(f, offset, buf, len, &got, err);

  if (r < 0)
    return r;
  if (got < len)
    return error_set(err, VDK_E_TRUNCATED,
                     "%s ends at offset %" PRIu64 ", where %zu bytes at offset "
                     "%" PRIu64 " were expected",
                     f->name, offset + got, len, offset);
  return 0;
}

int
file_write(struct vdk_file *f, uint64_t offset, const void *buf, size_t len,
           struct vdk_error *err)
{
  int r = check_change(f, "write", offset, len, err);

  if (r < 0 || len == 0)
    return r;
  return f->ops->write(f, offset, buf, len, err);
}

/* The default of zero: zeroes, written as far as the file reaches. */
static int
write_zeroes(struct vdk_file *f, uint64_t offset, uint64_t len,
             struct vdk_error *err)
{
  uint64_t size, end;
  int r;

  if (!f->is_pipe) {
    r = f->ops->size(f, &size, err);
    if (r < 0)
      return r;
    if (offset >= size)
      return 0;
    len = MIN(len, size - offset);
  }
  for (end = offset + len; offset < end;) {
    size_t n = (size_t)MIN(end - offset, (uint64_t)ZEROES_SIZE);

    r = f->ops->write(f, offset, zeroes, n, err);
    if (r < 0)
      return r;
    offset += n;
  }
  return 0;
}

int
file_zero(struct vdk_file *f, uint64_t offset, uint64_t len,
          struct vdk_error *err)
{
  int r = check_change(f, "zero", offset, len, err);

  if (r < 0 || len == 0)
    return r;
  if (f->ops->zero) {
    r = f->ops->zero(f, offset, len, err);
    if (r != -VDK_E_UNSUPPORTED)
      return r;
    error_clear(err);
  }
  return write_zeroes(f, offset, len, err);
}

int
file_extent(struct vdk_file *f, uint64_t offset, uint64_t len,
            uint64_t *ret_len, int *ret_state, struct vdk_error *err)
{
  uint64_t size;
  int r = file_size(f, &size, err);

  if (r < 0)
    return r;
  if (len == 0 || offset >= size)
    return error_set(err, VDK_E_RANGE,
                     "cannot map offset %" PRIu64 " of %s, which has %" PRIu64
                     " bytes",
                     offset, f->name, size);
  len = MIN(len, size - offset);
  if (f->ops->extent)
    return f->ops->extent(f, offset, len, ret_len, ret_state, err);
  *ret_len = len;
  *ret_state = VDK_EXTENT_DATA;
  return 0;
}

int
file_truncate(struct vdk_file *f, uint64_t size, struct vdk_error *err)
{
  int r = check_change(f, "resize", 0, size, err);

  if (r < 0)
    return r;
  if (f->is_pipe || !f->ops->truncate)
    return error_set(err, VDK_E_UNSUPPORTED, "the size of %s cannot be changed",
                     f->name);
  return f->ops->truncate(f, size, err);
}

int
file_allocate(struct vdk_file *f, uint64_t offset, uint64_t len,
              struct vdk_error *err)
{
  int r = check_change(f, "reserve space in", offset, len, err);

  if (r < 0 || len == 0 || f->is_pipe || !f->ops->allocate)
    return r;
  return f->ops->allocate(f, offset, len, err);
}

int
file_flush(struct vdk_file *f, struct vdk_error *err)
{
  return f->ops->flush ? f->ops->flush(f, err) : 0;
}

int
file_lock(struct vdk_file *f, enum file_lock_mode mode, struct vdk_error *err)
{
  return f->ops->lock ? f->ops->lock(f, mode, err) : 0;
}

int
file_fd(struct vdk_file *f)
{
  return f->ops->fd ? f->ops->fd(f) : -1;
}

void
file_close(struct vdk_file *f)
{
  if (f)
    f->ops->close(f);
}

/* A pipe's end is only found by reading, so that the buffer grows as it goes;
 * a file's size is only a hint for the same loop, since it may be growing. */
int
file_read_all(struct vdk_file *f, size_t max, char **ret, size_t *ret_len,
              struct vdk_error *err)
{
  _cleanup_free_ char *text = NULL;
  size_t capacity = 0, len = 0, got, want = 4096;
  uint64_t size;
  int r;

  if (!f->is_pipe) {
    r = file_size(f, &size, err);
    if (r < 0)
      return r;
    want = (size_t)MIN(size, (uint64_t)max) + 1;
  }
  /* One byte more than allowed is asked for, to tell "full" from "more". */
  for (;;) {
    want = max < SIZE_MAX - 1 ? MIN(want, max + 1) : want;
    if (!mem_grow(&text, &capacity, want + 1, 1))
      return error_nomem(err, "reading a whole file");
    r = file_read_upto(f, len, text + len, want - len, &got, err);
    if (r < 0)
      return r;
    len += got;
    if (len > max)
      return error_set(err, VDK_E_TOO_BIG,
                       "%s is larger than the %zu bytes that are allowed here",
                       f->name, max);
    if (len < want)
      break;
    if (mul_overflows(want, (size_t)2, &want))
      return error_nomem(err, "reading a whole file");
  }
  text[len] = 0;
  *ret = TAKE_PTR(text);
  *ret_len = len;
  return 0;
}
