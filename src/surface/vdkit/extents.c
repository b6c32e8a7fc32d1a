/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extents and metadata: what a disk knows without being read.
 *
 * The layers below answer piece by piece, as their tables lie; a caller wants
 * as few extents as there are changes of state. So one extent is held back
 * until a piece of another state shows that it is complete.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/str.h"
#include "surface/vdkit/surface.h"

/* The next piece, of the whole disk or of its front link. */
static int
next_piece(struct vdk_disk *disk, uint64_t offset, uint64_t length,
           unsigned flags, struct vdk_extent *ret, struct vdk_error *err)
{
  int rc;

  if (flags & VDK_EXTENTS_SINGLE_LINK)
    rc = disk_extent_links(disk, 0, 1, offset, length, &ret->length,
                           &ret->state, err);
  else
    rc = disk_extent(disk, offset, length, &ret->length, &ret->state, err);
  ret->offset = offset;
  return rc;
}

int
extents_walk(struct vdk_disk *disk, uint64_t offset, uint64_t length,
             unsigned flags,
             int (*fn)(void *opaque, const struct vdk_extent *e), void *opaque,
             struct vdk_error *err)
{
  struct vdk_extent held = {0};
  uint64_t end = offset + length;

  while (offset < end) {
    struct vdk_extent e = {0};
    int rc;

    rc = next_piece(disk, offset, end - offset, flags, &e, err);
    if (rc < 0)
      return rc;
    offset += e.length;
    if (held.length > 0 && held.state == e.state) {
      held.length += e.length;
      continue;
    }
    if (held.length > 0) {
      rc = fn(opaque, &held);
      if (rc != 0)
        return rc;
    }
    held = e;
  }
  return held.length > 0 ? fn(opaque, &held) : 0;
}

int
extents_clip(struct vdk_disk *disk, uint64_t offset, uint64_t *length,
             struct vdk_error *err)
{
  uint64_t size = disk_size(disk);

  if (*length == VDK_TO_END && offset <= size)
    *length = size - offset;
  if (range_outside(offset, *length, size))
    return error_set(err, VDK_E_RANGE,
                     "%s ends at %llu: there are no %llu bytes at offset %llu",
                     disk_name(disk), (unsigned long long)size,
                     (unsigned long long)*length, (unsigned long long)offset);
  return 0;
}

int
vdk_extents(struct vdk_handle *h, uint64_t offset, uint64_t length,
            unsigned flags, int (*fn)(void *opaque, const struct vdk_extent *e),
            void *opaque, struct vdk_error *err)
{
  int rc;

  if (!h || !fn)
    return options_null(h ? "the callback" : "the handle", err);
  rc = options_check_flags(flags, VDK_EXTENTS_SINGLE_LINK, "vdk_extents", err);
  if (rc < 0)
    return rc;
  rc = extents_clip(h->disk, offset, &length, err);
  if (rc < 0)
    return rc;
  return extents_walk(h->disk, offset, length, flags, fn, opaque, err);
}

/* --- Metadata ------------------------------------------------------------- */

int
vdk_meta_get(struct vdk_handle *h, const char *key, char **ret,
             struct vdk_error *err)
{
  if (!h || !key || !ret)
    return options_null(!h ? "the handle" : !key ? "the key" : "ret", err);
  return disk_meta_get(h->disk, key, ret, err);
}

int
vdk_meta_set(struct vdk_handle *h, const char *key, const char *value,
             struct vdk_error *err)
{
  if (!h || !key)
    return options_null(h ? "the key" : "the handle", err);
  if (!h->writable)
    return error_set(err, VDK_E_READ_ONLY,
                     "cannot set metadata of %s: it was opened for reading",
                     disk_name(h->disk));
  return disk_meta_set(h->disk, key, value, err);
}

struct meta_call {
  int (*fn)(void *opaque, const char *key, const char *value);
  void *opaque;
};

/* Formats list keys as they store them. */
static int
pass_key(void *opaque, const char *key, const char *value)
{
  const struct meta_call *call = opaque;

  if (str_starts_with(key, "ddb."))
    key += strlen("ddb.");
  return call->fn(call->opaque, key, value);
}

int
vdk_meta_list(struct vdk_handle *h,
              int (*fn)(void *opaque, const char *key, const char *value),
              void *opaque, struct vdk_error *err)
{
  struct meta_call call = {fn, opaque};

  if (!h || !fn)
    return options_null(h ? "the callback" : "the handle", err);
  return disk_meta_list(h->disk, pass_key, &call, err);
}
