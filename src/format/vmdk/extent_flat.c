/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A flat extent: a piece of a file, at an offset. FLAT and VMFS extents are
 * the same bytes; holes of the file (thin VMFS disks are sparse files) read
 * as zeroes and are shown as such.
 *
 * A file that is shorter than its extent has lost data: it is refused at the
 * open, since zeroes in its place would be silent damage. Salvage reads what
 * there is.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/log.h"
#include "format/vmdk/vmdk.h"

struct flat {
  struct vmdk_extent extent;
  uint64_t offset;
  uint64_t stored; /* bytes of the extent that the file has */
};

static struct flat *
flat_of(struct vmdk_extent *e)
{
  return (struct flat *)e;
}

static int
flat_read(struct vmdk_extent *e, uint64_t offset, void *buf, size_t len,
          size_t *ret_len, int *ret_state, struct vdk_error *err)
{
  struct flat *f = flat_of(e);

  if (offset >= f->stored) {
    *ret_len = len;
    *ret_state = VDK_EXTENT_ZERO;
    return 0;
  }
  *ret_len = (size_t)MIN(len, f->stored - offset);
  *ret_state = VDK_EXTENT_DATA;
  return file_read(e->file, f->offset + offset, buf, *ret_len, err);
}

static int
flat_map(struct vmdk_extent *e, uint64_t offset, uint64_t len,
         uint64_t *ret_len, int *ret_state, struct vdk_error *err)
{
  struct flat *f = flat_of(e);

  if (offset >= f->stored) {
    *ret_len = len;
    *ret_state = VDK_EXTENT_ZERO;
    return 0;
  }
  return file_extent(e->file, f->offset + offset, MIN(len, f->stored - offset),
                     ret_len, ret_state, err);
}

static int
flat_write(struct vmdk_extent *e, uint64_t offset, const void *buf, size_t len,
           struct vdk_error *err)
{
  return file_write(e->file, flat_of(e)->offset + offset, buf, len, err);
}

static int
flat_zero(struct vmdk_extent *e, uint64_t offset, uint64_t len,
          struct vdk_error *err)
{
  return file_zero(e->file, flat_of(e)->offset + offset, len, err);
}

static int
flat_flush(struct vmdk_extent *e, struct vdk_error *err)
{
  return e->file->writable ? file_flush(e->file, err) : 0;
}

static int
flat_close(struct vmdk_extent *e, struct vdk_error *err)
{
  int r = flat_flush(e, err);

  file_close(e->file);
  free(e->file_name);
  free(flat_of(e));
  return r;
}

static const struct vmdk_extent_ops flat_ops = {
    .name = "flat",
    .read = flat_read,
    .map = flat_map,
    .write = flat_write,
    .zero = flat_zero,
    .flush = flat_flush,
    .close = flat_close,
};

int
vmdk_extent_flat_open(const struct vmdk_extent_open *o,
                      struct vmdk_extent **ret, struct vdk_error *err)
{
  uint64_t offset = o->line->offset * 512, size = o->line->sectors * 512;
  struct flat *f;

  if (range_outside(offset, size, o->file_size)) {
    if (!o->salvage)
      return error_set(err, VDK_E_TRUNCATED,
                       "%s: the file has %llu bytes, but its extent reaches to "
                       "byte %llu: data is missing",
                       o->file->name, (unsigned long long)o->file_size,
                       (unsigned long long)(offset + size));
    log_warning(o->log, "%s: the file is shorter than its extent",
                o->file->name);
  }
  f = calloc(1, sizeof *f);
  if (!f)
    return error_nomem(err, "opening a flat extent");
  f->extent.ops = &flat_ops;
  f->extent.file = o->file;
  f->extent.size = size;
  f->extent.granularity = VDK_SECTOR_SIZE;
  f->offset = offset;
  f->stored = o->file_size > offset ? MIN(size, o->file_size - offset) : 0;
  *ret = &f->extent;
  return 0;
}
