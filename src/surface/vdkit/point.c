/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Restore points as public structs: a box of the public struct, the
 * repository's object that its strings point into, and arrays of pointers.
 */
#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "surface/vdkit/surface.h"

struct point_box {
  struct vdk_point point; /* first */
  struct repo_point *inner;
  struct vdk_point_disk *disks;
  struct vdk_point_file *files;
  const struct vdk_point_disk **disk_list;
  const struct vdk_point_file **file_list;
};

static const char *const no_strings[] = {NULL};

static const char *const *
strings_or_none(char **strings)
{
  return strings ? (const char *const *)strings : no_strings;
}

static void
point_box_free(struct point_box *b)
{
  if (!b)
    return;
  repo_point_free(b->inner);
  free(b->disks);
  free(b->files);
  free(b->disk_list);
  free(b->file_list);
  free(b);
}
DEFINE_CLEANUP(struct point_box, point_box_free);

void
vdk_point_free(const struct vdk_point *point)
{
  point_box_free((struct point_box *)point);
}

const struct repo_point *
point_inner(const struct vdk_point *point)
{
  return ((const struct point_box *)point)->inner;
}

static void
fill_disks(struct point_box *b, const struct repo_point *p)
{
  for (size_t i = 0; i < p->disk_count; i++) {
    const struct repo_point_disk *d = &p->disks[i];

    b->disk_list[i] = &b->disks[i];
    b->disks[i] = (struct vdk_point_disk){
        .key = text_or_empty(d->key),
        .file = text_or_empty(d->file),
        .type = text_or_empty(d->format),
        .capacity = d->size,
        .method = d->method,
        .bytes_read = d->bytes_read,
        .bytes_stored = d->bytes_stored,
        .bytes_data = d->bytes_data,
        .change_id = d->change_id,
        .meta = strings_or_none(d->meta),
    };
  }
}

static void
fill_files(struct point_box *b, const struct repo_point *p)
{
  for (size_t i = 0; i < p->file_count; i++) {
    b->file_list[i] = &b->files[i];
    b->files[i] = (struct vdk_point_file){
        .name = text_or_empty(p->files[i].name),
        .role = text_or_empty(p->files[i].role),
        .bytes = p->files[i].size,
    };
  }
}

int
point_box(struct repo_point *p, const struct vdk_point **ret,
          struct vdk_error *err)
{
  _cleanup_(point_box_freep) struct point_box *b = calloc(1, sizeof *b);

  if (!b) {
    repo_point_free(p);
    return error_nomem(err, "listing restore points");
  }
  b->inner = p;
  b->disks = mem_array(p->disk_count + 1, sizeof *b->disks);
  b->files = mem_array(p->file_count + 1, sizeof *b->files);
  b->disk_list = mem_array(p->disk_count + 1, sizeof *b->disk_list);
  b->file_list = mem_array(p->file_count + 1, sizeof *b->file_list);
  if (!b->disks || !b->files || !b->disk_list || !b->file_list)
    return error_nomem(err, "listing restore points");
  fill_disks(b, p);
  fill_files(b, p);
  b->point = (struct vdk_point){
      .id = p->id,
      .vm_name = text_or_empty(p->vm_name),
      .vm_uuid = p->vm_uuid,
      .parent = p->parent,
      .created = p->created,
      .source = text_or_empty(p->source),
      .consistency = text_or_empty(p->consistency),
      .tool = text_or_empty(p->tool),
      .host = text_or_empty(p->host),
      .ranges_lost = p->ranges_lost,
      .seconds = p->seconds,
      .disks = b->disk_list,
      .disk_count = p->disk_count,
      .files = b->file_list,
      .file_count = p->file_count,
      .warnings = strings_or_none(p->warnings),
  };
  *ret = &TAKE_PTR(b)->point;
  return 0;
}

const char *
vdk_method_name(int method)
{
  static const char *const names[] = {
      [VDK_METHOD_FULL] = "full",
      [VDK_METHOD_RANGES] = "ranges",
      [VDK_METHOD_COMPARE] = "compare",
  };

  _Static_assert((int)VDK_METHOD_FULL == (int)REPO_FULL &&
                     (int)VDK_METHOD_RANGES == (int)REPO_RANGES &&
                     (int)VDK_METHOD_COMPARE == (int)REPO_COMPARE,
                 "methods are passed through");
  if (method < 0 || method >= (int)ARRAY_SIZE(names))
    return "unknown";
  return names[method];
}
