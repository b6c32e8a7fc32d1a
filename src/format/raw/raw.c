/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Raw: the bytes of the disk are the bytes of a file or block device.
 *
 * A disk has whole sectors and a file need not: the size is rounded up, and
 * what is missing of the last sector reads as zeroes until it is written,
 * which lets the file grow to that point.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/str.h"
#include "format/drivers.h"

#define SIZE_MAX_BYTES ((uint64_t)INT64_MAX & ~511ull)

struct raw_link {
  struct vdk_link link;
  struct vdk_file *file;
  char *file_name;
  uint64_t size;
  uint64_t stored; /* bytes of the file; grows by a write; atomic */
};

static struct raw_link *
raw_of(struct vdk_link *l)
{
  return (struct raw_link *)l;
}

static void
raw_info(struct vdk_link *l, struct link_info *ret)
{
  struct raw_link *raw = raw_of(l);

  *ret = (struct link_info){
      .size = raw->size,
      .granularity = VDK_SECTOR_SIZE,
      .format = "raw",
      .type = "raw",
      .writable = raw->file->writable,
      .parent_cid = LINK_NO_PARENT_CID,
      .allocated = format_allocated(raw->file),
      .file_count = 1,
  };
}

static int
raw_read(struct vdk_link *l, uint64_t offset, void *buf, size_t len,
         size_t *ret_len, int *ret_state, struct vdk_error *err)
{
  size_t got;
  int r;

  r = file_read_upto(raw_of(l)->file, offset, buf, len, &got, err);
  if (r != 0)
    return r;
  memset((uint8_t *)buf + got, 0, len - got);
  *ret_len = len;
  *ret_state = VDK_EXTENT_DATA;
  return 0;
}

static int
raw_map(struct vdk_link *l, uint64_t offset, uint64_t len, uint64_t *ret_len,
        int *ret_state, struct vdk_error *err)
{
  struct raw_link *raw = raw_of(l);
  uint64_t stored = __atomic_load_n(&raw->stored, __ATOMIC_ACQUIRE);

  if (offset >= stored) {
    *ret_len = len;
    *ret_state = VDK_EXTENT_ZERO;
    return 0;
  }
  return file_extent(raw->file, offset, MIN(len, stored - offset), ret_len,
                     ret_state, err);
}

static int
raw_write(struct vdk_link *l, uint64_t offset, const void *buf, size_t len,
          struct vdk_error *err)
{
  struct raw_link *raw = raw_of(l);
  uint64_t end = offset + len;
  uint64_t stored = __atomic_load_n(&raw->stored, __ATOMIC_ACQUIRE);
  int r;

  r = file_write(raw->file, offset, buf, len, err);
  if (r != 0)
    return r;
  while (stored < end &&
         !__atomic_compare_exchange_n(&raw->stored, &stored, end, false,
                                      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    ;
  return 0;
}

static int
raw_zero(struct vdk_link *l, uint64_t offset, uint64_t len,
         struct vdk_error *err)
{
  return file_zero(raw_of(l)->file, offset, len, err);
}

static int
raw_flush(struct vdk_link *l, struct vdk_error *err)
{
  return file_flush(raw_of(l)->file, err);
}

static int
raw_files(struct vdk_link *l,
          int (*fn)(void *opaque, const char *name, uint64_t size),
          void *opaque, struct vdk_error *err)
{
  struct raw_link *raw = raw_of(l);

  return fn(opaque, raw->file_name,
            __atomic_load_n(&raw->stored, __ATOMIC_ACQUIRE));
}

static void
raw_free(struct raw_link *raw)
{
  file_close(raw->file);
  free(raw->file_name);
  free(raw->link.name);
  free(raw);
}
DEFINE_CLEANUP(struct raw_link, raw_free);

static int
raw_close(struct vdk_link *l, struct vdk_error *err)
{
  struct raw_link *raw = raw_of(l);
  int r = raw->file->writable ? file_flush(raw->file, err) : 0;

  raw_free(raw);
  return r;
}

static const struct link_ops raw_ops = {
    .name = "raw",
    .info = raw_info,
    .read = raw_read,
    .map = raw_map,
    .write = raw_write,
    .zero = raw_zero,
    .flush = raw_flush,
    .files = raw_files,
    .close = raw_close,
};

static int
raw_open(const struct format_open *o, struct vdk_link **ret,
         struct vdk_error *err)
{
  _cleanup_(raw_freep) struct raw_link *raw = calloc(1, sizeof *raw);
  int r;

  if (!raw)
    return error_nomem(err, "opening a raw disk");
  raw->link.ops = &raw_ops;
  r = dir_open_file(o->dir, o->name, format_file_flags(o->flags), &raw->file,
                    err);
  if (r != 0)
    return r;
  raw->link.name = str_dup(raw->file->name);
  raw->file_name = str_dup(o->name);
  if (!raw->link.name || !raw->file_name)
    return error_nomem(err, "opening a raw disk");
  r = format_lock(raw->file, o->flags, err);
  if (r != 0)
    return r;
  r = file_size(raw->file, &raw->stored, err);
  if (r != 0)
    return r;
  if (raw->stored > SIZE_MAX_BYTES)
    return error_set(err, VDK_E_TOO_BIG, "%s: a disk of %llu bytes", o->name,
                     (unsigned long long)raw->stored);
  raw->size = round_up(raw->stored, VDK_SECTOR_SIZE);
  *ret = &TAKE_PTR(raw)->link;
  return 0;
}

static int
raw_fill(struct vdk_file *f, const struct format_create *c,
         struct vdk_error *err)
{
  int r = file_truncate(f, c->size, err);

  if (r == 0 && c->preallocate && c->size != 0)
    r = file_allocate(f, 0, c->size, err);
  return r != 0 ? r : file_flush(f, err);
}

static int
raw_create(struct vdk_dir *dir, const char *name, const struct format_create *c,
           struct vdk_error *err)
{
  _cleanup_free_ char *parent = path_dirname(name);
  _cleanup_file_ struct vdk_file *file = NULL;
  int r;

  if (!parent)
    return error_nomem(err, "creating a raw disk");
  if (c->has_parent)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "%s: a raw disk cannot have a parent", name);
  if (c->size % VDK_SECTOR_SIZE != 0 || c->size > SIZE_MAX_BYTES)
    return error_set(err, VDK_E_INVAL,
                     "%s: a disk of %llu bytes: not a number of sectors", name,
                     (unsigned long long)c->size);
  r = dir_open_file(dir, name, FILE_CREATE, &file, err);
  if (r != 0)
    return r;
  r = raw_fill(file, c, err);
  if (r == 0)
    r = dir_sync(dir, parent, err);
  if (r != 0)
    dir_remove(dir, name, NULL);
  return r;
}

static int
raw_probe(const uint8_t *head, size_t len, uint64_t file_size)
{
  return 1;
}

static bool
raw_knows_type(const char *type)
{
  return str_equal_nocase(type, "raw");
}

static bool
raw_is_stream(const char *type)
{
  return false;
}

const struct format format_raw = {
    .name = "raw",
    .probe = raw_probe,
    .open = raw_open,
    .knows_type = raw_knows_type,
    .create = raw_create,
    .is_stream = raw_is_stream,
};
