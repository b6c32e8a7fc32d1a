/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An open disk: open, close, information.
 *
 * A handle is made last, around a disk that is open already, so that a failure
 * of any step unwinds by the scopes of what was made before; from then on
 * vdk_close is the one place that takes a handle apart.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "surface/vdkit/surface.h"

int
handle_side(int rc, enum vdk_error_side side, struct vdk_error *err)
{
  if (rc < 0)
    error_side(err, side);
  return rc;
}

/* The adapter that the disk's metadata names, "" when they name none. */
static int
read_adapter(struct vdk_disk *disk, char **ret, struct vdk_error *err)
{
  struct vdk_error ignored = VDK_ERROR_INIT;
  char *adapter = NULL;
  int rc;

  rc = disk_meta_get(disk, "adapterType", &adapter, &ignored);
  if (rc < 0) {
    if (rc == -VDK_E_NOMEM)
      return error_copy(err, &ignored);
    adapter = str_dup("");
    if (!adapter)
      return error_nomem(err, "opening a disk");
  }
  *ret = adapter;
  return 0;
}

/* The disk keeps a pointer to its log, and is there before its handle. */
int
handle_copy_log(const struct vdk_log *log, struct vdk_log **ret,
                struct vdk_error *err)
{
  struct vdk_log *copy = NULL;

  if (log) {
    copy = mem_dup(log, sizeof *log);
    if (!copy)
      return error_nomem(err, "opening a disk");
  }
  *ret = copy;
  return 0;
}

int
handle_new(struct vdk_disk *disk, struct vdk_log *log, bool writable,
           struct vdk_handle **ret, struct vdk_error *err)
{
  _cleanup_free_ struct vdk_handle *h = calloc(1, sizeof *h);
  int rc;

  if (!h)
    return error_nomem(err, "opening a disk");
  rc = read_adapter(disk, &h->adapter, err);
  if (rc < 0)
    return rc;
  h->disk = disk;
  h->log = log;
  h->size = disk_size(disk);
  h->writable = writable;
  pthread_mutex_init(&h->position_lock, NULL);
  pthread_mutex_init(&h->async_lock, NULL);
  pthread_cond_init(&h->async_idle, NULL);
  *ret = TAKE_PTR(h);
  return 0;
}

static int
open_path(const char *path, const struct vdk_open_options *o,
          struct vdk_handle **ret, struct vdk_error *err)
{
  _cleanup_free_ struct vdk_log *log = NULL;
  _cleanup_disk_ struct vdk_disk *disk = NULL;
  struct disk_open_options options = {
      .flags = options_disk_flags(o->flags),
      .format = o->format,
  };
  int rc;

  rc = handle_copy_log(o->log, &log, err);
  if (rc < 0)
    return rc;
  options.log = log;
  rc = disk_open_path(path, options_dir_flags(o->flags), &options, &disk, err);
  if (rc < 0)
    return rc;
  rc = handle_new(disk, log, (o->flags & VDK_OPEN_WRITE) != 0, ret, err);
  if (rc < 0)
    return rc;
  TAKE_PTR(disk);
  TAKE_PTR(log);
  return 0;
}

static void
close_repop(struct vdk_repo **repo)
{
  vdk_repo_close(*repo);
}

/* The disk of a restore point; the handle keeps repository and point. */
static int
open_in_repo(const struct vmbk_name *name, const struct vdk_open_options *o,
             struct vdk_handle **ret, struct vdk_error *err)
{
  _cleanup_(close_repop) struct vdk_repo *repo = NULL;
  _cleanup_point_ struct repo_point *point = NULL;
  _cleanup_disk_ struct vdk_disk *disk = NULL;
  struct vdk_repo_options options = VDK_REPO_OPTIONS_INIT;
  const struct repo_point_disk *entry;
  struct vdk_link *link;
  struct vdk_handle *h;
  int rc;

  options.log = o->log;
  rc = vdk_repo_open(name->repo, &options, &repo, err);
  if (rc < 0)
    return rc;
  rc = name_find_point(repo->repo, name->vm, name->point, &point, err);
  if (rc < 0)
    return rc;
  rc = name_find_disk(point, name->disk, &entry, err);
  if (rc < 0)
    return rc;
  rc = repo_disk_open(repo->repo, point, entry, &link, err);
  if (rc < 0)
    return rc;
  rc = disk_from_link(link, &repo->log, &disk, err);
  if (rc < 0)
    return rc;
  rc = handle_new(disk, NULL, false, &h, err);
  if (rc < 0)
    return rc;
  TAKE_PTR(disk);
  h->repo = TAKE_PTR(repo);
  h->point = TAKE_PTR(point);
  *ret = h;
  return 0;
}

static int
open_vmbk(const char *name, const struct vdk_open_options *o,
          struct vdk_handle **ret, struct vdk_error *err)
{
  _cleanup_(name_free) struct vmbk_name parts = {0};
  int rc;

  if (o->flags & VDK_OPEN_WRITE)
    return error_set(err, VDK_E_READ_ONLY,
                     "cannot open %s for writing: restore points never "
                     "change; convert it to a new disk first",
                     name);
  if (o->format)
    return error_set(err, VDK_E_INVAL,
                     "cannot open %s as format %s: a disk in a repository "
                     "has none",
                     name, o->format);
  rc = name_parse_vmbk(name, &parts, err);
  if (rc < 0)
    return rc;
  rc = open_in_repo(&parts, o, ret, err);
  if (rc < 0)
    return error_prefix(err, "cannot open %s", name);
  return 0;
}

int
vdk_open(const char *name, const struct vdk_open_options *options,
         struct vdk_handle **ret, struct vdk_error *err)
{
  struct vdk_open_options o = VDK_OPEN_OPTIONS_INIT;
  int rc;

  if (!name || !ret)
    return options_null(name ? "ret of vdk_open" : "the name of the disk", err);
  rc = OPTIONS_LOAD(&o, options, log, "vdk_open_options", err);
  if (rc < 0)
    return rc;
  rc = options_check_flags(o.flags, VDK_OPEN_WRITE | OPTIONS_READ_FLAGS,
                           "vdk_open", err);
  if (rc < 0)
    return rc;
  if ((o.flags & VDK_OPEN_WRITE) &&
      (o.flags & (VDK_OPEN_SALVAGE | VDK_OPEN_NO_LOCK)))
    return error_set(err, VDK_E_INVAL,
                     "cannot open %s: a disk is not opened for writing with "
                     "salvage or without a lock",
                     name);
  if (name_is_vmbk(name))
    return open_vmbk(name, &o, ret, err);
  return open_path(name, &o, ret, err);
}

int
vdk_close(struct vdk_handle *h, struct vdk_error *err)
{
  int rc;

  if (!h)
    return 0;
  vdk_wait(h, NULL);
  rc = disk_close(h->disk, err);
  repo_point_free(h->point);
  vdk_repo_close(h->repo);
  pthread_cond_destroy(&h->async_idle);
  pthread_mutex_destroy(&h->async_lock);
  pthread_mutex_destroy(&h->position_lock);
  free(h->adapter);
  free(h->log);
  free(h);
  return rc;
}

/* --- Information ---------------------------------------------------------- */

uint64_t
vdk_capacity(const struct vdk_handle *h)
{
  return h ? h->size : 0;
}

int
vdk_get_info(struct vdk_handle *h, struct vdk_info *ret, struct vdk_error *err)
{
  struct vdk_info info = VDK_INFO_INIT;
  struct link_info link;

  if (!h)
    return options_null("the handle", err);
  disk_link_info(h->disk, 0, &link);
  info.capacity = h->size;
  info.granularity = link.granularity;
  info.links = disk_link_count(h->disk);
  info.has_cid = link.has_cid;
  info.cid = link.has_cid ? link.cid : 0;
  info.parent_cid = link.has_cid ? link.parent_cid : 0;
  info.writable = h->writable;
  info.name = disk_name(h->disk);
  info.format = text_or_empty(link.format);
  info.type = text_or_empty(link.type);
  info.adapter = h->adapter;
  for (unsigned i = 0; i < info.links; i++) {
    disk_link_info(h->disk, i, &link);
    info.allocated += link.allocated;
  }
  return OPTIONS_STORE(ret, &info, adapter, "vdk_info", err);
}

static int
check_link(struct vdk_handle *h, unsigned index, struct vdk_error *err)
{
  if (!h)
    return options_null("the handle", err);
  if (index >= disk_link_count(h->disk))
    return error_set(err, VDK_E_NOT_FOUND,
                     "%s has %u links, there is no link %u (the first is 0)",
                     disk_name(h->disk), disk_link_count(h->disk), index);
  return 0;
}

int
vdk_get_link_info(struct vdk_handle *h, unsigned index,
                  struct vdk_link_info *ret, struct vdk_error *err)
{
  struct vdk_link_info info = VDK_LINK_INFO_INIT;
  struct link_info link;
  int rc;

  rc = check_link(h, index, err);
  if (rc < 0)
    return rc;
  disk_link_info(h->disk, index, &link);
  info.capacity = link.size;
  info.allocated = link.allocated;
  info.granularity = link.granularity;
  info.has_cid = link.has_cid;
  info.cid = link.has_cid ? link.cid : 0;
  info.parent_cid = link.has_cid ? link.parent_cid : 0;
  info.has_parent = link.has_parent;
  info.file_count = link.file_count;
  info.name = disk_link_name(h->disk, index);
  info.format = text_or_empty(link.format);
  info.type = text_or_empty(link.type);
  return OPTIONS_STORE(ret, &info, type, "vdk_link_info", err);
}

int
vdk_link_files(struct vdk_handle *h, unsigned index,
               int (*fn)(void *opaque, const char *name, uint64_t bytes),
               void *opaque, struct vdk_error *err)
{
  struct vdk_link *link;
  int rc;

  rc = check_link(h, index, err);
  if (rc < 0)
    return rc;
  if (!fn)
    return options_null("the callback", err);
  link = disk_link(h->disk, index);
  return link->ops->files ? link->ops->files(link, fn, opaque, err) : 0;
}

void
vdk_free(void *p)
{
  free(p);
}
