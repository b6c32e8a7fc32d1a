/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories of the local system.
 *
 * Every call resolves its name from the directory's descriptor, so that a
 * rename of the directory itself changes nothing, and through one function,
 * open_at(), which does not leave the directory unless that is allowed. Calls
 * that change names resolve the folder of the name that way and then use its
 * last part alone, which by itself can lead nowhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "file/local.h"
#include "file/local_space.h"

struct local_dir {
  struct vdk_dir base;
  int fd;
};

static int
open_at(struct local_dir *d, const char *name, int flags, unsigned mode)
{
  if (d->base.flags & DIR_ALLOW_OUTSIDE)
    return openat(d->fd, name, flags | O_CLOEXEC, mode);
  return local_open_beneath(d->fd, name, flags, mode);
}

static int
name_error(struct local_dir *d, int e, const char *verb, const char *name,
           struct vdk_error *err)
{
  if (e == EXDEV || e == ELOOP)
    return error_set(err, VDK_E_UNSAFE_PATH,
                     "cannot %s \"%s\": a symbolic link leads out of %s", verb,
                     name, d->base.path);
  if (name[0] == '/')
    return error_errno(err, e, "cannot %s %s", verb, name);
  return error_errno(err, e, "cannot %s %s/%s", verb, d->base.path, name);
}

/* A descriptor of the folder that NAME is in, and NAME's last part. */
static int
open_folder(struct local_dir *d, const char *name, const char *verb,
            int *ret_fd, const char **ret_last, struct vdk_error *err)
{
  const char *last = path_basename(name);
  /* Without memory for a name of one part: removing what a failure left must
   * work when memory is what failed. */
  _cleanup_free_ char *folder = last != name ? path_dirname(name) : NULL;
  int fd;

  if (last != name && !folder)
    return error_nomem(err, "resolving a name");
  if (last[0] == 0 || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
    return error_set(err, VDK_E_INVAL, "cannot %s \"%s\": it names no file",
                     verb, name);
  fd = open_at(d, folder ? folder : ".", O_PATH | O_DIRECTORY, 0);
  if (fd < 0)
    return name_error(d, errno, verb, name, err);
  *ret_fd = fd;
  *ret_last = last;
  return 0;
}

/* Devices and pipes can do things merely by being opened: look first, without
 * opening. What is opened in the end is looked at again. */
static int
check_before_open(struct local_dir *d, const char *name, const char *full,
                  unsigned file_flags, struct vdk_error *err)
{
  _cleanup_close_ int fd = -1;

  if ((file_flags & FILE_CREATE) && !(file_flags & FILE_REPLACE))
    return 0;
  fd = open_at(d, name, O_PATH, 0);
  if (fd < 0)
    return 0; /* the real open tells why, or creates */
  return local_check_kind(fd, full, d->base.flags, err);
}

static int
local_dir_remove(struct vdk_dir *dir, const char *name, struct vdk_error *err)
{
  struct local_dir *d = (struct local_dir *)dir;
  _cleanup_close_ int fd = -1;
  const char *last;
  int r = open_folder(d, name, "remove", &fd, &last, err);

  if (r < 0)
    return r;
  if (unlinkat(fd, last, 0) == 0)
    return 0;
  if (errno == EISDIR && unlinkat(fd, last, AT_REMOVEDIR) == 0)
    return 0;
  return name_error(d, errno, "remove", name, err);
}

static int
local_dir_open(struct vdk_dir *dir, const char *name, unsigned file_flags,
               struct vdk_file **ret, struct vdk_error *err)
{
  struct local_dir *d = (struct local_dir *)dir;
  _cleanup_free_ char *full = path_join(dir->path, name);
  _cleanup_close_ int fd = -1;
  int r;

  if (!full)
    return error_nomem(err, "opening a file");
  r = check_before_open(d, name, full, file_flags, err);
  if (r < 0)
    return r;
  fd = open_at(d, name, local_open_flags(file_flags), 0666);
  if (fd < 0)
    return name_error(d, errno, file_flags & FILE_CREATE ? "create" : "open",
                      name, err);
  r = local_check_kind(fd, full, dir->flags, err);
  if (r == 0)
    r = local_empty(fd, full, file_flags, err);
  if (r == 0)
    r = local_file_new(fd, true, full, file_flags, ret, err);
  if (r == 0)
    TAKE_FD(fd);
  else if ((file_flags & (FILE_CREATE | FILE_REPLACE)) == FILE_CREATE)
    local_dir_remove(dir, name, NULL); /* nobody else made it */
  return r;
}

/* For what cannot be linked. A file's new name is claimed by an empty file,
 * which fails if there is one, and then replaced: a power cut in between leaves
 * the empty file. rename() puts a folder only in place of an empty folder, so
 * that a look is nearly as good as a claim. */
static int
rename_claimed(int from_fd, const char *from, int to_fd, const char *to)
{
  struct stat st;
  int fd, e;

  if (fstatat(from_fd, from, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return errno;
  if (S_ISDIR(st.st_mode)) {
    if (fstatat(to_fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
      return EEXIST;
    return renameat(from_fd, from, to_fd, to) < 0 ? errno : 0;
  }
  fd = openat(to_fd, to, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
  if (fd < 0)
    return errno;
  close(fd);
  if (renameat(from_fd, from, to_fd, to) == 0)
    return 0;
  e = errno;
  unlinkat(to_fd, to, 0);
  return e;
}

/* renameat2() is missing on some file systems. A link under the new name
 * fails just as atomically when that exists. */
static int
rename_exclusive(int from_fd, const char *from, int to_fd, const char *to)
{
  if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0)
    return 0;
  if (errno != EINVAL && errno != ENOSYS)
    return errno;
  if (linkat(from_fd, from, to_fd, to, 0) == 0)
    return unlinkat(from_fd, from, 0) < 0 ? errno : 0;
  if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
    return errno;
  return rename_claimed(from_fd, from, to_fd, to);
}

static int
local_dir_rename(struct vdk_dir *dir, const char *from, const char *to,
                 bool replace, struct vdk_error *err)
{
  struct local_dir *d = (struct local_dir *)dir;
  _cleanup_close_ int from_fd = -1, to_fd = -1;
  const char *from_last, *to_last;
  int e, r;

  r = open_folder(d, from, "rename", &from_fd, &from_last, err);
  if (r == 0)
    r = open_folder(d, to, "rename to", &to_fd, &to_last, err);
  if (r < 0)
    return r;
  if (replace)
    e = renameat(from_fd, from_last, to_fd, to_last) < 0 ? errno : 0;
  else
    e = rename_exclusive(from_fd, from_last, to_fd, to_last);
  if (e)
    return error_errno(err, e, "cannot rename %s/%s to %s", dir->path, from,
                       to);
  return 0;
}

static int
make_one(struct local_dir *d, const char *name, struct vdk_error *err)
{
  _cleanup_close_ int fd = -1;
  const char *last;
  struct stat st;
  int r;

  if (strcmp(path_basename(name), ".") == 0)
    return 0;
  r = open_folder(d, name, "make directory", &fd, &last, err);
  if (r < 0)
    return r;
  if (mkdirat(fd, last, 0777) == 0)
    return 0;
  r = errno;
  if (r == EEXIST && fstatat(fd, last, &st, 0) == 0 && S_ISDIR(st.st_mode))
    return 0;
  return name_error(d, r, "make directory", name, err);
}

static int
local_dir_make(struct vdk_dir *dir, const char *name, struct vdk_error *err)
{
  struct local_dir *d = (struct local_dir *)dir;
  _cleanup_free_ char *prefix = str_dup(name);
  size_t len;

  if (!prefix)
    return error_nomem(err, "making a directory");
  for (len = strlen(prefix); len > 0 && prefix[len - 1] == '/'; len--)
    prefix[len - 1] = 0;
  for (size_t i = 1; i <= len; i++) {
    int r;

    if ((i < len && prefix[i] != '/') || prefix[i - 1] == '/')
      continue;
    prefix[i] = 0;
    r = make_one(d, prefix, err);
    if (r < 0)
      return r;
    prefix[i] = i < len ? '/' : 0;
  }
  return 0;
}

/* Links are followed as open() would, so that a list shows what opens. */
static void
fill_entry(struct local_dir *d, int fd, const char *folder,
           const struct dirent *ent, struct dir_entry *ret)
{
  struct stat st = {0};
  bool known = fstatat(fd, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0;

  if (known && S_ISLNK(st.st_mode)) {
    _cleanup_free_ char *name = path_join(folder, ent->d_name);
    _cleanup_close_ int target = name ? open_at(d, name, O_PATH, 0) : -1;

    known = target >= 0 && fstat(target, &st) == 0;
  }
  ret->name = ent->d_name;
  ret->is_dir = known && S_ISDIR(st.st_mode);
  ret->size = known && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

static int
local_dir_list(struct vdk_dir *dir, const char *name,
               int (*fn)(void *opaque, const struct dir_entry *entry),
               void *opaque, struct vdk_error *err)
{
  struct local_dir *d = (struct local_dir *)dir;
  _cleanup_closedir_ DIR *stream = NULL;
  int fd = open_at(d, name, O_RDONLY | O_DIRECTORY, 0);

  if (fd < 0)
    return name_error(d, errno, "list", name, err);
  stream = fdopendir(fd);
  if (!stream) {
    close(fd);
    return error_nomem(err, "listing a directory");
  }
  for (;;) {
    struct dir_entry entry;
    struct dirent *ent;
    int r;

    errno = 0;
    ent = readdir(stream);
    if (!ent && errno)
      return name_error(d, errno, "list", name, err);
    if (!ent)
      return 0;
    if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
      continue;
    fill_entry(d, fd, name, ent, &entry);
    r = fn(opaque, &entry);
    if (r != 0)
      return r;
  }
}

static int
local_dir_sync(struct vdk_dir *dir, const char *name, struct vdk_error *err)
{
  struct local_dir *d = (struct local_dir *)dir;
  _cleanup_close_ int fd = open_at(d, name, O_RDONLY | O_DIRECTORY, 0);
  int r;

  if (fd < 0)
    return name_error(d, errno, "sync directory", name, err);
  do
    r = fsync(fd);
  while (r < 0 && errno == EINTR);
  /* EINVAL: a file system that has no such thing keeps names by itself. */
  if (r < 0 && errno != EINVAL && errno != EROFS)
    return name_error(d, errno, "sync directory", name, err);
  return 0;
}

static void
local_dir_free(struct vdk_dir *dir)
{
  close(((struct local_dir *)dir)->fd);
  free(dir->path);
  free(dir);
}

static const struct dir_ops local_dir_ops = {
    .name = "local",
    .open = local_dir_open,
    .rename = local_dir_rename,
    .remove = local_dir_remove,
    .make = local_dir_make,
    .list = local_dir_list,
    .sync = local_dir_sync,
    .free = local_dir_free,
};

int
dir_local_open(const char *path, unsigned dir_flags, struct vdk_dir **ret,
               struct vdk_error *err)
{
  _cleanup_free_ struct local_dir *d = mem_array(1, sizeof *d);
  _cleanup_close_ int fd = -1;

  if (!d)
    return error_nomem(err, "opening a directory");
  fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return error_errno(err, errno, "cannot open directory %s", path);
  d->base.path = str_dup(path);
  if (!d->base.path)
    return error_nomem(err, "opening a directory");
  d->base.ops = &local_dir_ops;
  d->base.flags = dir_flags;
  d->base.refs = 1;
  d->fd = TAKE_FD(fd);
  *ret = &TAKE_PTR(d)->base;
  return 0;
}
