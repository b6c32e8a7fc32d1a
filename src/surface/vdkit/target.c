/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk that appears under its name complete or not at all.
 *
 * A disk can be several files, and its descriptor names the others, so that
 * making it under a temporary name and renaming would leave wrong names
 * inside. Instead it is made under its own name in a folder of its own,
 *
 *   DIR/.NAME.XXXXXXXXXXXXXXXX.part/NAME, NAME-flat ...
 *
 * and its files are moved to DIR when all is written and flushed: the extents
 * first, then NAME, whose appearance is the commit. When a move fails, those
 * that were made are undone. A power cut leaves at worst the folder, which no
 * reader takes for a disk. The clean-up of a failure needs no memory, since
 * that may be what failed.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "file/file.h"
#include "surface/vdkit/surface.h"

/* Files that one disk can have; a descriptor cannot list more. */
#define TARGET_FILES_MAX 65537u

struct names {
  char **name;
  size_t count, capacity;
};

static void
names_free(struct names *n)
{
  for (size_t i = 0; i < n->count; i++)
    free(n->name[i]);
  free(n->name);
}

static int
names_add(void *opaque, const struct dir_entry *entry)
{
  struct names *n = opaque;

  if (n->count >= TARGET_FILES_MAX ||
      !mem_grow(&n->name, &n->capacity, n->count + 1, sizeof *n->name))
    return -VDK_E_NOMEM;
  n->name[n->count] = str_dup(entry->name);
  if (!n->name[n->count])
    return -VDK_E_NOMEM;
  n->count++;
  return 0;
}

bool
target_is_same_file(const char *a, const char *b)
{
  struct stat x, y;

  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
         x.st_ino == y.st_ino;
}

/* What stands at PATH may be replaced: a plain file that nobody uses. */
static int
check_existing(const char *path, bool overwrite, struct vdk_error *err)
{
  _cleanup_file_ struct vdk_file *file = NULL;
  struct stat st;
  int rc;

  if (lstat(path, &st) < 0)
    return 0; /* what is wrong with the path is told when it is used */
  if (!overwrite)
    return error_set(err, VDK_E_EXISTS,
                     "%s exists; ask for overwriting to replace it", path);
  if (!S_ISREG(st.st_mode))
    return error_set(err, VDK_E_UNSUPPORTED,
                     "cannot replace %s: it is no regular file", path);
  rc = file_local_open(path, FILE_WRITE, &file, err);
  if (rc == 0)
    rc = file_lock(file, FILE_LOCK_EXCLUSIVE, err);
  if (rc < 0)
    return error_prefix(err, "cannot replace %s", path);
  return 0;
}

int
target_begin(const char *path, bool overwrite, struct target *ret,
             struct vdk_error *err)
{
  _cleanup_target_ struct target t = {.overwrite = overwrite};
  _cleanup_free_ char *parent = path_dirname(path);
  _cleanup_free_ char *folder = NULL;
  uint8_t random[8];
  char hex[2 * sizeof random + 1];
  int rc;

  rc = check_existing(path, overwrite, err);
  if (rc == 0)
    rc = sys_random(random, sizeof random, err);
  if (rc < 0)
    return rc;
  hex_encode(random, sizeof random, hex);
  t.name = str_dup(path_basename(path));
  t.part = str_printf(".%s.%s.part", path_basename(path), hex);
  folder = parent && t.part ? path_join(parent, t.part) : NULL;
  if (!t.name || !folder)
    return error_nomem(err, "preparing a new disk");
  if (t.name[0] == '\0')
    return error_set(err, VDK_E_INVAL, "%s is no name of a file", path);
  rc = dir_local_open(parent, 0, &t.dir, err);
  if (rc == 0)
    rc = dir_make(t.dir, t.part, err);
  if (rc < 0)
    return error_prefix(err, "cannot create %s", path);
  t.folder = TAKE_PTR(folder);
  t.entries = opendir(t.folder);
  if (!t.entries)
    return error_errno(err, errno, "cannot list %s", t.folder);
  rc = dir_local_open(t.folder, 0, &t.stage, err);
  if (rc < 0)
    return rc;
  *ret = t;
  t = (struct target){0};
  return 0;
}

/* Moves NAME from its folder to DIR. */
static int
move_in(struct target *t, const char *name, struct vdk_error *err)
{
  _cleanup_free_ char *from = path_join(t->part, name);

  if (!from)
    return error_nomem(err, "moving a new disk into place");
  return dir_rename(t->dir, from, name, t->overwrite, err);
}

/* Takes back the moves of the first COUNT names but for the target's own.
 * What an overwriting move replaced is gone; then it stays as it is. */
static void
move_back(struct target *t, const struct names *files, size_t count)
{
  if (t->overwrite)
    return;
  for (size_t i = 0; i < count; i++)
    if (strcmp(files->name[i], t->name) != 0)
      dir_remove(t->dir, files->name[i], NULL);
}

int
target_commit(struct target *t, struct vdk_error *err)
{
  _cleanup_(names_free) struct names files = {0};
  int rc;

  rc = dir_list(t->stage, ".", names_add, &files, err);
  if (rc == -VDK_E_NOMEM)
    return error_nomem(err, "moving a new disk into place");
  if (rc < 0)
    return rc;
  for (size_t i = 0; i < files.count; i++) {
    if (strcmp(files.name[i], t->name) == 0)
      continue;
    rc = move_in(t, files.name[i], err);
    if (rc < 0) {
      move_back(t, &files, i);
      return rc;
    }
  }
  rc = move_in(t, t->name, err);
  if (rc < 0) {
    move_back(t, &files, files.count);
    return rc;
  }
  return dir_sync(t->dir, ".", err);
}

void
target_end(struct target *t)
{
  struct dirent *entry;

  if (t->entries) {
    rewinddir(t->entries);
    while ((entry = readdir(t->entries)))
      unlinkat(dirfd(t->entries), entry->d_name, 0);
    closedir(t->entries);
  }
  if (t->folder)
    rmdir(t->folder);
  dir_unref(t->stage);
  dir_unref(t->dir);
  free(t->name);
  free(t->part);
  free(t->folder);
}
