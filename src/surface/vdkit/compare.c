/* SPDX-License-Identifier: BSD-3-Clause */
/* Two disks by name, compared by the copy engine. */
#include "base/error.h"
#include "copy/copy.h"
#include "surface/vdkit/surface.h"

int
vdk_compare(const char *a, const char *b,
            const struct vdk_compare_options *options, uint64_t *ret_offset,
            struct vdk_error *err)
{
  struct vdk_compare_options o = VDK_COMPARE_OPTIONS_INIT;
  struct vdk_open_options open = VDK_OPEN_OPTIONS_INIT;
  _cleanup_handle_ struct vdk_handle *disk_a = NULL;
  _cleanup_handle_ struct vdk_handle *disk_b = NULL;
  struct copy_options copy = {0};
  int rc;

  if (!a || !b || !ret_offset)
    return options_null(a && b ? "ret_offset" : "the name of a disk", err);
  rc = OPTIONS_LOAD(&o, options, log, "vdk_compare_options", err);
  if (rc == 0)
    rc = options_check_flags(o.flags, OPTIONS_READ_FLAGS, "comparing", err);
  if (rc < 0)
    return rc;
  open.flags = o.flags;
  open.log = o.log;
  open.format = o.format_a;
  rc = vdk_open(a, &open, &disk_a, err);
  if (rc < 0)
    return rc;
  open.format = o.format_b;
  rc = vdk_open(b, &open, &disk_b, err);
  if (rc < 0)
    return rc;
  copy.workers = o.workers;
  copy.progress = o.progress;
  return copy_compare(disk_a->disk, disk_b->disk, &copy, ret_offset, err);
}
