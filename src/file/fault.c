/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fault driver: calls are counted and fail as the plan says, else they are
 * done by the wrapped directory, and written into the record if there is one.
 * Here: the plan, and files. Names are in fault_dir.c.
 *
 * Each file has a number, which it keeps through renames; the table of names
 * says which file a name means now. A change is recorded after it was done,
 * so that the record never knows more than the disk, but what a flush covers
 * is what had been recorded when it began.
 *
 * Locks: the mutex guards plan, counters, names and record, and is not held
 * during calls of the wrapped directory, except for those that change names,
 * which must reach the table in the order in which they happened.
 */
#include <errno.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "file/fault_private.h"

/* --- The plan ------------------------------------------------------------- */

int
fault_check(struct fault_dir *d, enum fault_op op, const char *verb,
            const char *name, struct vdk_error *err)
{
  const struct fault_plan *p = &d->plan;
  bool fails;

  LOCK_SCOPE(&d->mutex);
  if (!(p->ops & op))
    return 0;
  d->counted++;
  fails = p->fail_at &&
          (d->counted == p->fail_at || (p->sticky && d->counted > p->fail_at));
  if (!fails)
    return 0;
  return error_errno(err, p->os_errno ? p->os_errno : EIO,
                     "cannot %s %s (injected)", verb, name);
}

/* How many of LEN bytes still fit. */
static size_t
take_space(struct fault_dir *d, size_t len)
{
  LOCK_SCOPE(&d->mutex);
  if (!d->plan.space)
    return len;
  len = (size_t)MIN((uint64_t)len, d->space_left);
  d->space_left -= len;
  return len;
}

static size_t
piece_size(struct fault_dir *d, size_t len)
{
  LOCK_SCOPE(&d->mutex);
  return d->plan.max_io ? MIN(len, d->plan.max_io) : len;
}

int
fault_note(struct fault_dir *d, const struct fault_change *c,
           struct vdk_error *err)
{
  LOCK_SCOPE(&d->mutex);
  return d->record ? fault_record_add(d->record, c, err) : 0;
}

size_t
fault_recorded(struct fault_dir *d)
{
  LOCK_SCOPE(&d->mutex);
  return d->record ? fault_record_count(d->record) : 0;
}

/* --- Files ---------------------------------------------------------------- */

static struct fault_file *
self(struct vdk_file *f)
{
  return (struct fault_file *)f;
}

static int
fault_size(struct vdk_file *file, uint64_t *ret, struct vdk_error *err)
{
  return file_size(self(file)->inner, ret, err);
}

static int
fault_read(struct vdk_file *file, uint64_t offset, void *buf, size_t len,
           size_t *ret, struct vdk_error *err)
{
  struct fault_file *f = self(file);
  size_t done = 0;

  while (done < len) {
    size_t got = 0, piece = piece_size(f->dir, len - done);
    int r = fault_check(f->dir, FAULT_READ, "read", file->name, err);

    if (r == 0)
      r = file_read_upto(f->inner, offset + done, (uint8_t *)buf + done, piece,
                         &got, err);
    if (r < 0)
      return r;
    done += got;
    if (got < piece)
      break;
  }
  *ret = done;
  return 0;
}

static int
write_piece(struct fault_file *f, uint64_t offset, const void *buf, size_t len,
            struct vdk_error *err)
{
  size_t fits;
  int r = fault_check(f->dir, FAULT_WRITE, "write", f->base.name, err);

  if (r < 0)
    return r;
  fits = take_space(f->dir, len);
  r = file_write(f->inner, offset, buf, fits, err);
  if (r == 0 && fits > 0)
    r = fault_note(f->dir,
                   &(struct fault_change){.type = CHANGE_WRITE,
                                          .file = f->file,
                                          .offset = offset,
                                          .len = fits,
                                          .data = buf},
                   err);
  if (r == 0 && fits < len)
    r = error_errno(err, ENOSPC, "cannot write %s (injected)", f->base.name);
  return r;
}

static int
fault_write(struct vdk_file *file, uint64_t offset, const void *buf, size_t len,
            struct vdk_error *err)
{
  struct fault_file *f = self(file);

  for (size_t done = 0; done < len;) {
    size_t piece = piece_size(f->dir, len - done);
    int r =
        write_piece(f, offset + done, (const uint8_t *)buf + done, piece, err);

    if (r < 0)
      return r;
    done += piece;
  }
  return 0;
}

static int
fault_zero(struct vdk_file *file, uint64_t offset, uint64_t len,
           struct vdk_error *err)
{
  struct fault_file *f = self(file);
  int r = fault_check(f->dir, FAULT_WRITE, "zero", file->name, err);

  if (r == 0)
    r = file_zero(f->inner, offset, len, err);
  if (r == 0)
    r = fault_note(
        f->dir,
        &(struct fault_change){
            .type = CHANGE_ZERO, .file = f->file, .offset = offset, .len = len},
        err);
  return r;
}

static int
fault_extent(struct vdk_file *file, uint64_t offset, uint64_t len,
             uint64_t *ret_len, int *ret_state, struct vdk_error *err)
{
  return file_extent(self(file)->inner, offset, len, ret_len, ret_state, err);
}

static int
fault_truncate(struct vdk_file *file, uint64_t size, struct vdk_error *err)
{
  struct fault_file *f = self(file);
  int r = fault_check(f->dir, FAULT_WRITE, "resize", file->name, err);

  if (r == 0)
    r = file_truncate(f->inner, size, err);
  if (r == 0)
    r = fault_note(f->dir,
                   &(struct fault_change){.type = CHANGE_TRUNCATE,
                                          .file = f->file,
                                          .offset = size},
                   err);
  return r;
}

/* Space that is reserved is not taken from what is left: it is taken when it
 * is written. But there must be as much. */
static int
fault_allocate(struct vdk_file *file, uint64_t offset, uint64_t len,
               struct vdk_error *err)
{
  struct fault_file *f = self(file);
  int r = fault_check(f->dir, FAULT_WRITE, "reserve space in", file->name, err);
  bool fits;

  if (r < 0)
    return r;
  pthread_mutex_lock(&f->dir->mutex);
  fits = !f->dir->plan.space || len <= f->dir->space_left;
  pthread_mutex_unlock(&f->dir->mutex);
  if (!fits)
    return error_errno(err, ENOSPC, "cannot reserve space in %s (injected)",
                       file->name);
  r = file_allocate(f->inner, offset, len, err);
  if (r == 0)
    r = fault_note(f->dir,
                   &(struct fault_change){.type = CHANGE_GROW,
                                          .file = f->file,
                                          .offset = offset + len},
                   err);
  return r;
}

static int
fault_flush(struct vdk_file *file, struct vdk_error *err)
{
  struct fault_file *f = self(file);
  size_t covers = fault_recorded(f->dir);
  int r = fault_check(f->dir, FAULT_FLUSH, "flush", file->name, err);

  if (r == 0)
    r = file_flush(f->inner, err);
  if (r == 0)
    r = fault_note(f->dir,
                   &(struct fault_change){
                       .type = CHANGE_FLUSH, .file = f->file, .covers = covers},
                   err);
  return r;
}

static int
fault_lock(struct vdk_file *file, enum file_lock_mode mode,
           struct vdk_error *err)
{
  struct fault_file *f = self(file);
  int r = fault_check(f->dir, FAULT_LOCK, "lock", file->name, err);

  return r < 0 ? r : file_lock(f->inner, mode, err);
}

static void
fault_close(struct vdk_file *file)
{
  struct fault_file *f = self(file);

  file_close(f->inner);
  dir_unref(&f->dir->base);
  free(file->name);
  free(f);
}

/* No fd: what the kernel copies by itself could not be counted. */
static const struct file_ops fault_file_ops = {
    .name = "fault",
    .size = fault_size,
    .read = fault_read,
    .write = fault_write,
    .zero = fault_zero,
    .extent = fault_extent,
    .truncate = fault_truncate,
    .allocate = fault_allocate,
    .flush = fault_flush,
    .lock = fault_lock,
    .close = fault_close,
};

int
fault_file_new(struct fault_dir *d, struct vdk_file *inner, unsigned file,
               struct vdk_file **ret, struct vdk_error *err)
{
  _cleanup_free_ struct fault_file *f = mem_array(1, sizeof *f);

  if (!f)
    return error_nomem(err, "opening a file");
  f->base.name = str_dup(inner->name);
  if (!f->base.name)
    return error_nomem(err, "opening a file");
  f->base.ops = &fault_file_ops;
  f->base.writable = inner->writable;
  f->base.is_pipe = inner->is_pipe;
  f->inner = inner;
  f->dir = d;
  dir_ref(&d->base);
  f->file = file;
  *ret = &TAKE_PTR(f)->base;
  return 0;
}
