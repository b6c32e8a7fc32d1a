/* SPDX-License-Identifier: BSD-3-Clause */
/* A zero extent: sectors that have no file and read as zeroes. */
#include "base/error.h"
#include "format/vmdk/vmdk.h"

static int
zero_read(struct vmdk_extent *e, uint64_t offset, void *buf, size_t len,
          size_t *ret_len, int *ret_state, struct vdk_error *err)
{
  *ret_len = len;
  *ret_state = VDK_EXTENT_ZERO;
  return 0;
}

static int
zero_map(struct vmdk_extent *e, uint64_t offset, uint64_t len,
         uint64_t *ret_len, int *ret_state, struct vdk_error *err)
{
  *ret_len = len;
  *ret_state = VDK_EXTENT_ZERO;
  return 0;
}

/* Zero it is already, also where nothing may be written. */
static int
zero_zero(struct vmdk_extent *e, uint64_t offset, uint64_t len,
          struct vdk_error *err)
{
  return 0;
}

static int
zero_flush(struct vmdk_extent *e, struct vdk_error *err)
{
  return 0;
}

static int
zero_close(struct vmdk_extent *e, struct vdk_error *err)
{
  free(e->file_name);
  free(e);
  return 0;
}

static const struct vmdk_extent_ops zero_ops = {
    .name = "zero",
    .read = zero_read,
    .map = zero_map,
    .zero = zero_zero,
    .flush = zero_flush,
    .close = zero_close,
};

int
vmdk_extent_zero_open(const struct vmdk_extent_open *o,
                      struct vmdk_extent **ret, struct vdk_error *err)
{
  struct vmdk_extent *e = calloc(1, sizeof *e);

  if (!e)
    return error_nomem(err, "opening a zero extent");
  e->ops = &zero_ops;
  e->size = o->line->sectors * 512;
  e->granularity = VDK_SECTOR_SIZE;
  *ret = e;
  return 0;
}
