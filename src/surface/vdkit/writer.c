/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vmbk writer: a restore point in the making.
 *
 * The writer keeps its disks in a list, since a commit must end them all, and
 * their memory until the close, so that a call after the commit is an error
 * and not a crash.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "surface/vdkit/surface.h"

struct vdk_vmbk_disk {
  struct vdk_vmbk_writer *writer;
  struct repo_disk *disk;
  uint64_t size;
  struct vdk_vmbk_disk *next;
};

struct vdk_vmbk_writer {
  struct repo_writer *writer;
  struct repo_point *parent; /* may be NULL */
  struct vdk_vmbk_disk *disks;
  bool ended; /* by a commit, successful or not */
};

void
vdk_vmbk_writer_close(struct vdk_vmbk_writer *w)
{
  if (!w)
    return;
  repo_writer_close(w->writer);
  repo_point_free(w->parent);
  while (w->disks) {
    struct vdk_vmbk_disk *next = w->disks->next;

    free(w->disks);
    w->disks = next;
  }
  free(w);
}
DEFINE_CLEANUP(struct vdk_vmbk_writer, vdk_vmbk_writer_close);

int
vdk_vmbk_writer_open(struct vdk_repo *repo,
                     const struct vdk_vmbk_writer_options *options,
                     struct vdk_vmbk_writer **ret, struct vdk_error *err)
{
  struct vdk_vmbk_writer_options o = VDK_VMBK_WRITER_OPTIONS_INIT;
  _cleanup_(vdk_vmbk_writer_closep) struct vdk_vmbk_writer *w = NULL;
  struct repo_writer_options inner;
  int rc;

  if (!repo || !options || !ret)
    return options_null(!repo      ? "the repository"
                        : !options ? "options of vdk_vmbk_writer_open"
                                   : "ret of vdk_vmbk_writer_open",
                        err);
  rc = OPTIONS_LOAD(&o, options, checkpoint, "vdk_vmbk_writer_options", err);
  if (rc < 0)
    return rc;
  if (!o.vm_uuid || !o.vm_name)
    return options_null(o.vm_uuid ? "the VM's name" : "the VM's UUID", err);
  w = calloc(1, sizeof *w);
  if (!w)
    return error_nomem(err, "starting a restore point");
  if (o.parent) {
    rc = repo_find(repo->repo, o.parent, &w->parent, err);
    if (rc < 0)
      return rc;
  }
  inner = (struct repo_writer_options){
      .vm_uuid = o.vm_uuid,
      .vm_name = o.vm_name,
      .source = o.source,
      .consistency = o.consistency ? o.consistency : "crash",
      .parent = w->parent,
      .level = o.level,
      .checkpoint = o.checkpoint,
  };
  rc = repo_writer_open(repo->repo, &inner, &w->writer, err);
  if (rc < 0)
    return rc;
  *ret = TAKE_PTR(w);
  return 0;
}

static int
check_open(const struct vdk_vmbk_writer *w, struct vdk_error *err)
{
  if (!w)
    return options_null("the writer", err);
  if (w->ended)
    return error_set(err, VDK_E_INVAL,
                     "the restore point was committed; only closing the "
                     "writer is left");
  return 0;
}

int
vdk_vmbk_writer_config(struct vdk_vmbk_writer *w, const char *name,
                       const char *role, const void *data, size_t len,
                       struct vdk_error *err)
{
  int rc = check_open(w, err);

  if (rc < 0)
    return rc;
  if (!name || !role || (!data && len > 0))
    return options_null(!name   ? "the file's name"
                        : !role ? "the file's role"
                                : "the file's data",
                        err);
  return repo_writer_file(w->writer, name, role, data, len, err);
}

int
vdk_vmbk_writer_warning(struct vdk_vmbk_writer *w, const char *text,
                        struct vdk_error *err)
{
  int rc = check_open(w, err);

  if (rc < 0)
    return rc;
  if (!text)
    return options_null("the text", err);
  return repo_writer_warning(w->writer, text, err);
}

uint64_t
vdk_vmbk_writer_stored(const struct vdk_vmbk_writer *w)
{
  return w ? repo_writer_stored(w->writer) : 0;
}

/* --- Disks ---------------------------------------------------------------- */

static int
find_inherited(const struct vdk_vmbk_writer *w, const char *key,
               const struct repo_point_disk **ret, struct vdk_error *err)
{
  if (!w->parent)
    return error_set(err, VDK_E_NOT_FOUND,
                     "cannot inherit disk %s: the restore point has no parent",
                     key);
  return name_find_disk(w->parent, key, ret, err);
}

static int
check_disk_options(const struct vdk_vmbk_disk_options *o, struct vdk_error *err)
{
  if (!o->key)
    return options_null("the disk's key", err);
  if (o->capacity == 0 || o->capacity % VDK_SECTOR_SIZE != 0)
    return error_set(err, VDK_E_INVAL,
                     "disk %s has %llu bytes: a disk has a multiple of 512, "
                     "and not none",
                     o->key, (unsigned long long)o->capacity);
  if (o->method < VDK_METHOD_FULL || o->method > VDK_METHOD_COMPARE)
    return error_set(err, VDK_E_INVAL, "disk %s: there is no method %d", o->key,
                     o->method);
  return 0;
}

int
vdk_vmbk_writer_disk(struct vdk_vmbk_writer *w,
                     const struct vdk_vmbk_disk_options *options,
                     struct vdk_vmbk_disk **ret, struct vdk_error *err)
{
  struct vdk_vmbk_disk_options o = VDK_VMBK_DISK_OPTIONS_INIT;
  _cleanup_free_ struct vdk_vmbk_disk *d = NULL;
  struct repo_disk_options inner = {0};
  int rc = check_open(w, err);

  if (rc < 0)
    return rc;
  if (!options || !ret)
    return options_null(options ? "ret of vdk_vmbk_writer_disk"
                                : "options of vdk_vmbk_writer_disk",
                        err);
  rc = OPTIONS_LOAD(&o, options, meta, "vdk_vmbk_disk_options", err);
  if (rc == 0)
    rc = check_disk_options(&o, err);
  if (rc == 0 && o.inherit)
    rc = find_inherited(w, o.inherit, &inner.inherit, err);
  if (rc < 0)
    return rc;
  inner.key = o.key;
  inner.file = o.file;
  inner.format = o.type;
  inner.change_id = o.change_id;
  inner.size = o.capacity;
  inner.method = o.method;
  inner.meta = o.meta;
  d = calloc(1, sizeof *d);
  if (!d)
    return error_nomem(err, "starting the backup of a disk");
  rc = repo_disk_begin(w->writer, &inner, &d->disk, err);
  if (rc < 0)
    return rc;
  d->writer = w;
  d->size = o.capacity;
  d->next = w->disks;
  w->disks = d;
  *ret = TAKE_PTR(d);
  return 0;
}

static int
check_range(const struct vdk_vmbk_disk *d, uint64_t offset, uint64_t length,
            struct vdk_error *err)
{
  int rc;

  if (!d)
    return options_null("the disk", err);
  rc = check_open(d->writer, err);
  if (rc < 0)
    return rc;
  if (range_outside(offset, length, d->size))
    return error_set(err, VDK_E_RANGE,
                     "%llu bytes at offset %llu are beyond the end of the "
                     "disk at %llu",
                     (unsigned long long)length, (unsigned long long)offset,
                     (unsigned long long)d->size);
  return 0;
}

int
vdk_vmbk_writer_put(struct vdk_vmbk_disk *d, uint64_t offset, const void *buf,
                    size_t len, struct vdk_error *err)
{
  int rc = check_range(d, offset, len, err);

  if (rc < 0 || len == 0)
    return rc;
  if (!buf)
    return options_null("the buffer", err);
  return repo_disk_put(d->disk, offset, buf, len, err);
}

int
vdk_vmbk_writer_hole(struct vdk_vmbk_disk *d, uint64_t offset, uint64_t length,
                     struct vdk_error *err)
{
  int rc = check_range(d, offset, length, err);

  if (rc < 0 || length == 0)
    return rc;
  return repo_disk_hole(d->disk, offset, length, err);
}

int
vdk_vmbk_writer_inherit(struct vdk_vmbk_disk *d, uint64_t offset,
                        uint64_t length, struct vdk_error *err)
{
  int rc = check_range(d, offset, length, err);

  if (rc < 0 || length == 0)
    return rc;
  return repo_disk_inherit(d->disk, offset, length, err);
}

/* --- Commit --------------------------------------------------------------- */

int
vdk_vmbk_writer_commit(struct vdk_vmbk_writer *w, const struct vdk_point **ret,
                       struct vdk_error *err)
{
  struct repo_point *point = NULL;
  int rc = check_open(w, err);

  if (rc < 0)
    return rc;
  w->ended = true;
  for (struct vdk_vmbk_disk *d = w->disks; d; d = d->next) {
    rc = repo_disk_end(d->disk, err);
    if (rc < 0)
      return rc;
  }
  rc = repo_writer_commit(w->writer, ret ? &point : NULL, err);
  if (rc < 0 || !ret)
    return rc;
  return point_box(point, ret, err);
}
