/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A new disk, or a new child of one.
 *
 * A child names its parent by the text that will find it again: the base name
 * when both lie in one folder, so that the folder can be moved, else the
 * parent's absolute path.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/str.h"
#include "format/format.h"
#include "surface/vdkit/surface.h"

struct parent {
  char *hint;
  char *adapter;
  struct link_info info;
  uint64_t size;
};

static void
parent_free(struct parent *p)
{
  free(p->hint);
  free(p->adapter);
}

/* The folder of PATH, without links and dots. */
static int
real_dirname(const char *path, char **ret, struct vdk_error *err)
{
  _cleanup_free_ char *dir = path_dirname(path);
  char *real;

  if (!dir)
    return error_nomem(err, "naming the parent of a disk");
  real = realpath(dir, NULL);
  if (!real)
    return error_errno(err, errno, "cannot look at the folder %s", dir);
  *ret = real;
  return 0;
}

static int
parent_hint(const char *child, const char *parent, char **ret,
            struct vdk_error *err)
{
  _cleanup_free_ char *child_dir = NULL, *parent_dir = NULL;
  char *hint;
  int rc;

  rc = real_dirname(child, &child_dir, err);
  if (rc == 0)
    rc = real_dirname(parent, &parent_dir, err);
  if (rc < 0)
    return rc;
  hint = strcmp(child_dir, parent_dir) == 0
             ? str_dup(path_basename(parent))
             : path_join(parent_dir, path_basename(parent));
  if (!hint)
    return error_nomem(err, "naming the parent of a disk");
  *ret = hint;
  return 0;
}

/* What the child must know of its parent. */
static int
parent_load(const char *child, const struct vdk_create_options *o,
            struct parent *ret, struct vdk_error *err)
{
  _cleanup_handle_ struct vdk_handle *h = NULL;
  struct vdk_open_options open = VDK_OPEN_OPTIONS_INIT;
  int rc;

  if (name_is_vmbk(o->parent))
    return error_set(err, VDK_E_UNSUPPORTED,
                     "a disk in a repository cannot be the parent of %s; "
                     "convert it to a disk first",
                     child);
  rc = options_check_flags(o->parent_flags,
                           OPTIONS_ALLOW_FLAGS | VDK_OPEN_UNBUFFERED,
                           "opening a parent", err);
  if (rc < 0)
    return rc;
  open.flags = o->parent_flags;
  rc = vdk_open(o->parent, &open, &h, err);
  if (rc < 0)
    return rc;
  disk_link_info(h->disk, 0, &ret->info);
  if (!ret->info.has_cid)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "%s cannot be a parent: a %s disk has no content id that "
                     "would show a change; convert it to a VMDK first",
                     o->parent, ret->info.format);
  ret->size = h->size;
  rc = parent_hint(child, o->parent, &ret->hint, err);
  if (rc == 0)
    ret->adapter = TAKE_PTR(h->adapter);
  return rc;
}

/* The type asked for, else what the parent or the suffix suggests. */
static int
choose_type(const char *path, const struct vdk_create_options *o,
            const char **ret, struct vdk_error *err)
{
  const char *type = o->type;

  if (!type)
    type = o->parent ? "monolithicSparse" : format_type_by_suffix(path);
  if (!type)
    return error_set(err, VDK_E_INVAL,
                     "the name %s does not tell what type of disk to make; "
                     "give the type",
                     path);
  *ret = type;
  return 0;
}

static void
describe(struct format_create *c, const char *type,
         const struct vdk_create_options *o, const struct parent *parent)
{
  *c = (struct format_create){
      .size = o->capacity,
      .type = type,
      .grain_size = o->grain_size,
      .extent_size = o->extent_size,
      .adapter = o->adapter,
      .hw_version = o->hw_version,
      .preallocate = o->preallocate != 0,
  };
  if (!o->parent)
    return;
  c->has_parent = true;
  c->parent_hint = parent->hint;
  c->parent_cid = parent->info.cid;
  if (c->size == 0)
    c->size = parent->size;
  if (!c->adapter && parent->adapter && parent->adapter[0])
    c->adapter = parent->adapter;
}

static int
check_size(const char *path, const struct format_create *c,
           const struct parent *parent, struct vdk_error *err)
{
  if (c->size == 0 || c->size % VDK_SECTOR_SIZE != 0)
    return error_set(err, VDK_E_INVAL,
                     "cannot create %s with a size of %llu bytes: a disk has "
                     "a multiple of 512, and not none",
                     path, (unsigned long long)c->size);
  if (c->has_parent && c->size < parent->size)
    return error_set(err, VDK_E_INVAL,
                     "cannot create %s with %llu bytes: its parent has %llu",
                     path, (unsigned long long)c->size,
                     (unsigned long long)parent->size);
  return 0;
}

int
vdk_create(const char *path, const struct vdk_create_options *options,
           struct vdk_error *err)
{
  struct vdk_create_options o = VDK_CREATE_OPTIONS_INIT;
  _cleanup_(parent_free) struct parent parent = {0};
  _cleanup_free_ char *folder = NULL;
  _cleanup_dir_ struct vdk_dir *dir = NULL;
  const struct format *format;
  struct format_create c;
  const char *type = NULL;
  int rc;

  if (!path)
    return options_null("the path of the new disk", err);
  rc = OPTIONS_LOAD(&o, options, parent, "vdk_create_options", err);
  if (rc == 0)
    rc = choose_type(path, &o, &type, err);
  if (rc < 0)
    return rc;
  format = format_by_type(type);
  if (!format || !format->create)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "cannot create %s: disks of type \"%s\" cannot be made",
                     path, type);
  if (o.parent && (rc = parent_load(path, &o, &parent, err)) < 0)
    return error_prefix(err, "cannot create %s", path);
  describe(&c, type, &o, &parent);
  rc = check_size(path, &c, &parent, err);
  if (rc < 0)
    return rc;
  folder = path_dirname(path);
  if (!folder)
    return error_nomem(err, "creating a disk");
  rc = dir_local_open(folder, 0, &dir, err);
  if (rc < 0)
    return rc;
  return format->create(dir, path_basename(path), &c, err);
}
