/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands between a caller and a directory's driver: the check of names,
 * which come out of descriptors that strangers wrote, and the two calls that
 * every store of small files needs: put one durably in one step, get one.
 *
 * The check by text is the same for every driver and comes first; what only
 * the file system knows (symbolic links, kinds of files) is the driver's.
 */
#include "file/file.h"

#include <string.h>

#include "base/error.h"
#include "base/str.h"
#include "base/sys.h"

#define DIR_NAME_MAX 1024u

bool
dir_name_is_safe(const char *name)
{
  const char *p = name;

  if (!name || name[0] == 0 || name[0] == '/' ||
      strnlen(name, DIR_NAME_MAX + 1) > DIR_NAME_MAX)
    return false;
  for (;;) {
    size_t n = strcspn(p, "/");

    if (n == 2 && p[0] == '.' && p[1] == '.')
      return false;
    if (p[n] == 0)
      return true;
    p += n + 1;
  }
}

static int
check_name(struct vdk_dir *d, const char *name, struct vdk_error *err)
{
  if (!name || name[0] == 0)
    return error_set(err, VDK_E_INVAL, "empty file name in %s", d->path);
  if (strnlen(name, DIR_NAME_MAX + 1) > DIR_NAME_MAX)
    return error_set(err, VDK_E_UNSAFE_PATH,
                     "refused a name in %s of more than %u bytes", d->path,
                     DIR_NAME_MAX);
  if ((d->flags & DIR_ALLOW_OUTSIDE) || dir_name_is_safe(name))
    return 0;
  return error_set(err, VDK_E_UNSAFE_PATH,
                   "refused the name \"%s\": it leads out of %s", name,
                   d->path);
}

int
dir_open_file(struct vdk_dir *d, const char *name, unsigned file_flags,
              struct vdk_file **ret, struct vdk_error *err)
{
  int r = check_name(d, name, err);

  if (r < 0)
    return r;
  if (file_flags & FILE_CREATE)
    file_flags |= FILE_WRITE;
  return d->ops->open(d, name, file_flags, ret, err);
}

int
dir_rename(struct vdk_dir *d, const char *from, const char *to, bool replace,
           struct vdk_error *err)
{
  int r = check_name(d, from, err);

  if (r == 0)
    r = check_name(d, to, err);
  return r < 0 ? r : d->ops->rename(d, from, to, replace, err);
}

int
dir_remove(struct vdk_dir *d, const char *name, struct vdk_error *err)
{
  int r = check_name(d, name, err);

  return r < 0 ? r : d->ops->remove(d, name, err);
}

int
dir_make(struct vdk_dir *d, const char *name, struct vdk_error *err)
{
  int r = check_name(d, name, err);

  return r < 0 ? r : d->ops->make(d, name, err);
}

int
dir_list(struct vdk_dir *d, const char *name,
         int (*fn)(void *opaque, const struct dir_entry *entry), void *opaque,
         struct vdk_error *err)
{
  int r = check_name(d, name, err);

  return r < 0 ? r : d->ops->list(d, name, fn, opaque, err);
}

int
dir_sync(struct vdk_dir *d, const char *name, struct vdk_error *err)
{
  int r = check_name(d, name, err);

  return r < 0 ? r : d->ops->sync(d, name, err);
}

struct vdk_dir *
dir_ref(struct vdk_dir *d)
{
  __atomic_add_fetch(&d->refs, 1, __ATOMIC_RELAXED);
  return d;
}

void
dir_unref(struct vdk_dir *d)
{
  if (d && __atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) == 0)
    d->ops->free(d);
}

/* A new name in the directory FOLDER. It does not grow with the final name,
 * which may be as long as the file system allows. */
static char *
temporary_name(const char *folder, struct vdk_error *err)
{
  _cleanup_free_ char *base = NULL;
  uint8_t salt[8];
  char hex[2 * sizeof salt + 1], *name;

  if (sys_random(salt, sizeof salt, err) < 0)
    return NULL;
  hex_encode(salt, sizeof salt, hex);
  base = str_printf(".vdk-%s.tmp", hex);
  name = base ? path_join(folder, base) : NULL;
  if (!name)
    error_nomem(err, "making a temporary name");
  return name;
}

static int
write_temporary(struct vdk_dir *d, const char *name, const void *data,
                size_t len, struct vdk_error *err)
{
  _cleanup_file_ struct vdk_file *f = NULL;
  int r = dir_open_file(d, name, FILE_CREATE, &f, err);

  if (r < 0)
    return r;
  r = file_write(f, 0, data, len, err);
  if (r == 0)
    r = file_flush(f, err);
  if (r < 0)
    dir_remove(d, name, NULL);
  return r;
}

int
dir_put(struct vdk_dir *d, const char *name, const void *data, size_t len,
        bool replace, struct vdk_error *err)
{
  _cleanup_free_ char *folder = NULL, *temporary = NULL;
  struct vdk_error random_err = VDK_ERROR_INIT;
  int r = check_name(d, name, err);

  if (r < 0)
    return r;
  folder = path_dirname(name);
  if (!folder)
    return error_nomem(err, "writing a file");
  temporary = temporary_name(folder, &random_err);
  if (!temporary)
    return error_copy(err, &random_err);
  r = write_temporary(d, temporary, data, len, err);
  if (r < 0)
    return r;
  r = dir_rename(d, temporary, name, replace, err);
  if (r < 0) {
    dir_remove(d, temporary, NULL);
    return r;
  }
  return dir_sync(d, folder, err);
}

int
dir_get(struct vdk_dir *d, const char *name, size_t max, char **ret,
        size_t *ret_len, struct vdk_error *err)
{
  _cleanup_file_ struct vdk_file *f = NULL;
  int r = dir_open_file(d, name, FILE_READ | FILE_SEQUENTIAL, &f, err);

  return r < 0 ? r : file_read_all(f, max, ret, ret_len, err);
}
