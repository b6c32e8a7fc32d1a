/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A folder of a directory as a directory of its own: every name gets the
 * folder's in front of it, and all else, the refusal of what leads out of the
 * directory included, stays with the driver that holds it.
 */
#include "file/file.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

struct below_dir {
  struct vdk_dir base;
  struct vdk_dir *inner;
  char *folder;
};

static char *
below_name(struct vdk_dir *d, const char *name, struct vdk_error *err)
{
  const char *folder = ((struct below_dir *)d)->folder;
  char *full =
      strcmp(name, ".") == 0 ? str_dup(folder) : path_join(folder, name);

  if (!full)
    error_nomem(err, "resolving a name");
  return full;
}

static struct vdk_dir *
inner_of(struct vdk_dir *d)
{
  return ((struct below_dir *)d)->inner;
}

static int
below_open(struct vdk_dir *d, const char *name, unsigned file_flags,
           struct vdk_file **ret, struct vdk_error *err)
{
  _cleanup_free_ char *full = below_name(d, name, err);

  if (!full)
    return -VDK_E_NOMEM;
  return dir_open_file(inner_of(d), full, file_flags, ret, err);
}

static int
below_rename(struct vdk_dir *d, const char *from, const char *to, bool replace,
             struct vdk_error *err)
{
  _cleanup_free_ char *full_from = below_name(d, from, err);
  _cleanup_free_ char *full_to = below_name(d, to, err);

  if (!full_from || !full_to)
    return -VDK_E_NOMEM;
  return dir_rename(inner_of(d), full_from, full_to, replace, err);
}

static int
below_remove(struct vdk_dir *d, const char *name, struct vdk_error *err)
{
  _cleanup_free_ char *full = below_name(d, name, err);

  return full ? dir_remove(inner_of(d), full, err) : -VDK_E_NOMEM;
}

static int
below_make(struct vdk_dir *d, const char *name, struct vdk_error *err)
{
  _cleanup_free_ char *full = below_name(d, name, err);

  return full ? dir_make(inner_of(d), full, err) : -VDK_E_NOMEM;
}

static int
below_list(struct vdk_dir *d, const char *name,
           int (*fn)(void *opaque, const struct dir_entry *entry), void *opaque,
           struct vdk_error *err)
{
  _cleanup_free_ char *full = below_name(d, name, err);

  if (!full)
    return -VDK_E_NOMEM;
  return dir_list(inner_of(d), full, fn, opaque, err);
}

static int
below_sync(struct vdk_dir *d, const char *name, struct vdk_error *err)
{
  _cleanup_free_ char *full = below_name(d, name, err);

  return full ? dir_sync(inner_of(d), full, err) : -VDK_E_NOMEM;
}

static void
below_free(struct vdk_dir *d)
{
  struct below_dir *b = (struct below_dir *)d;

  dir_unref(b->inner);
  free(b->folder);
  free(b->base.path);
  free(b);
}

static const struct dir_ops below_ops = {
    .name = "below",
    .open = below_open,
    .rename = below_rename,
    .remove = below_remove,
    .make = below_make,
    .list = below_list,
    .sync = below_sync,
    .free = below_free,
};

int
dir_below_new(struct vdk_dir *inner, const char *folder, struct vdk_dir **ret,
              struct vdk_error *err)
{
  struct below_dir *b;

  if (!dir_name_is_safe(folder))
    return error_set(err, VDK_E_UNSAFE_PATH, "refused the folder name \"%s\"",
                     folder);
  b = mem_array(1, sizeof *b);
  if (!b)
    return error_nomem(err, "opening a directory");
  b->base.ops = &below_ops;
  b->base.flags = inner->flags;
  b->base.refs = 1;
  b->base.path = path_join(inner->path, folder);
  b->folder = str_dup(folder);
  b->inner = dir_ref(inner);
  if (!b->base.path || !b->folder) {
    below_free(&b->base);
    return error_nomem(err, "opening a directory");
  }
  *ret = &b->base;
  return 0;
}
