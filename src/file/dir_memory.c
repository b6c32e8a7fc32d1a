/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories in memory: one sorted array of full names, each with the
 * contents of a file or, without, a directory. A folder's entries stand next
 * to one another in it (all names that start with "folder/").
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "file/memory.h"

struct entry {
  char *name;
  struct memory_node *node; /* NULL: a directory */
};

struct memory_dir {
  struct vdk_dir base;
  pthread_mutex_t mutex;
  struct entry *entries;
  size_t count, capacity;
};

char *
memory_normal_name(const char *name)
{
  char *out = malloc(strlen(name) + 1), *end = out;

  if (!out)
    return NULL;
  while (*name) {
    size_t n = strcspn(name, "/");

    if (n > 0 && !(n == 1 && name[0] == '.')) {
      if (end > out)
        *end++ = '/';
      memcpy(end, name, n);
      end += n;
    }
    name += n + (name[n] == '/');
  }
  *end = 0;
  return out;
}

/* Where NAME is, or belongs. */
static size_t
entry_find(const struct memory_dir *d, const char *name, bool *ret_found)
{
  size_t low = 0, high = d->count;

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int c = strcmp(d->entries[middle].name, name);

    if (c == 0) {
      *ret_found = true;
      return middle;
    }
    if (c < 0)
      low = middle + 1;
    else
      high = middle;
  }
  *ret_found = false;
  return low;
}

static bool
entry_insert(struct memory_dir *d, size_t at, const char *name,
             struct memory_node *node)
{
  char *copy = str_dup(name);

  if (!copy ||
      !mem_grow(&d->entries, &d->capacity, d->count + 1, sizeof *d->entries)) {
    free(copy);
    return false;
  }
  memmove(d->entries + at + 1, d->entries + at,
          (d->count - at) * sizeof *d->entries);
  d->entries[at] = (struct entry){copy, node ? memory_node_ref(node) : NULL};
  d->count++;
  return true;
}

static void
entry_drop(struct memory_dir *d, size_t at)
{
  free(d->entries[at].name);
  memory_node_unref(d->entries[at].node);
  d->count--;
  memmove(d->entries + at, d->entries + at + 1,
          (d->count - at) * sizeof *d->entries);
}

/* 0 when the folder that NAME is in exists, else the errno for it. */
static int
folder_errno(const struct memory_dir *d, const char *name)
{
  _cleanup_free_ char *folder = path_dirname(name);
  bool found;
  size_t i;

  if (!folder)
    return ENOMEM;
  if (strcmp(folder, ".") == 0)
    return 0;
  i = entry_find(d, folder, &found);
  return !found ? ENOENT : d->entries[i].node ? ENOTDIR : 0;
}

static int
name_error(struct memory_dir *d, int e, const char *verb, const char *name,
           struct vdk_error *err)
{
  return error_errno(err, e, "cannot %s %s/%s", verb, d->base.path, name);
}

/* The node that open() wants: there, or made. Errno or 0. */
static int
open_node(struct memory_dir *d, const char *name, unsigned flags,
          struct memory_node **ret)
{
  struct memory_node *fresh;
  bool found;
  size_t i;
  int e;

  LOCK_SCOPE(&d->mutex);
  if (name[0] == 0)
    return EISDIR;
  i = entry_find(d, name, &found);
  if (found && (flags & FILE_CREATE) && !(flags & FILE_REPLACE))
    return EEXIST;
  if (found && !d->entries[i].node)
    return EISDIR;
  if (found) {
    if ((flags & FILE_CREATE) && !memory_node_truncate(d->entries[i].node, 0))
      return ENOMEM;
    *ret = memory_node_ref(d->entries[i].node);
    return 0;
  }
  e = folder_errno(d, name);
  if (e || !(flags & FILE_CREATE))
    return e ? e : ENOENT;
  fresh = memory_node_new();
  if (!fresh || !entry_insert(d, i, name, fresh)) {
    memory_node_unref(fresh);
    return ENOMEM;
  }
  *ret = fresh;
  return 0;
}

static int
memory_dir_open(struct vdk_dir *dir, const char *name, unsigned flags,
                struct vdk_file **ret, struct vdk_error *err)
{
  struct memory_dir *d = (struct memory_dir *)dir;
  _cleanup_free_ char *normal = memory_normal_name(name);
  _cleanup_free_ char *full = path_join(dir->path, name);
  struct memory_node *node = NULL;
  int e, r;

  if (!normal || !full)
    return error_nomem(err, "opening a file in memory");
  e = open_node(d, normal, flags, &node);
  if (e)
    return name_error(d, e, flags & FILE_CREATE ? "create" : "open", name, err);
  r = memory_file_new(node, full, flags & FILE_WRITE, ret, err);
  memory_node_unref(node);
  return r;
}

static bool
has_children(const struct memory_dir *d, const char *name)
{
  size_t len = strlen(name);

  for (size_t i = 0; i < d->count; i++)
    if (str_starts_with(d->entries[i].name, name) &&
        d->entries[i].name[len] == '/')
      return true;
  return false;
}

/* A directory takes what is in it along; that is rare, so it is done by
 * giving each its new name in turn. */
static int
rename_children(struct memory_dir *d, const char *from, const char *to)
{
  size_t len = strlen(from);

  for (size_t i = 0; i < d->count;) {
    struct entry *e = &d->entries[i];
    _cleanup_free_ char *name = NULL;
    bool found;

    if (!str_starts_with(e->name, from) || e->name[len] != '/') {
      i++;
      continue;
    }
    name = str_printf("%s%s", to, e->name + len);
    if (!name || !entry_insert(d, entry_find(d, name, &found), name, e->node))
      return ENOMEM;
    for (i = 0; !str_starts_with(d->entries[i].name, from) ||
                d->entries[i].name[len] != '/';)
      i++;
    entry_drop(d, i);
    i = 0;
  }
  return 0;
}

static int
rename_locked(struct memory_dir *d, const char *from, const char *to,
              bool replace)
{
  struct memory_node *node;
  bool found;
  size_t i;
  int e;

  i = entry_find(d, from, &found);
  if (!found)
    return ENOENT;
  node = d->entries[i].node;
  e = folder_errno(d, to);
  if (e)
    return e;
  i = entry_find(d, to, &found);
  if (found && !replace)
    return EEXIST;
  if (strcmp(from, to) == 0)
    return 0;
  if (!node && str_starts_with(to, from) && to[strlen(from)] == '/')
    return EINVAL;
  if (found && !node != !d->entries[i].node)
    return node ? EISDIR : ENOTDIR;
  if (found && !node && has_children(d, to))
    return ENOTEMPTY;
  if (found) {
    if (node)
      memory_node_ref(node);
    memory_node_unref(d->entries[i].node);
    d->entries[i].node = node;
  } else if (!entry_insert(d, i, to, node)) {
    return ENOMEM;
  }
  if (!node) {
    e = rename_children(d, from, to);
    if (e)
      return e;
  }
  entry_drop(d, entry_find(d, from, &found));
  return 0;
}

static int
memory_dir_rename(struct vdk_dir *dir, const char *from, const char *to,
                  bool replace, struct vdk_error *err)
{
  struct memory_dir *d = (struct memory_dir *)dir;
  _cleanup_free_ char *from_normal = memory_normal_name(from);
  _cleanup_free_ char *to_normal = memory_normal_name(to);
  int e;

  if (!from_normal || !to_normal)
    return error_nomem(err, "renaming a file in memory");
  pthread_mutex_lock(&d->mutex);
  e = rename_locked(d, from_normal, to_normal, replace);
  pthread_mutex_unlock(&d->mutex);
  return e ? error_errno(err, e, "cannot rename %s/%s to %s", dir->path, from,
                         to)
           : 0;
}

static int
memory_dir_remove(struct vdk_dir *dir, const char *name, struct vdk_error *err)
{
  struct memory_dir *d = (struct memory_dir *)dir;
  _cleanup_free_ char *normal = memory_normal_name(name);
  bool found;
  size_t i;

  if (!normal)
    return error_nomem(err, "removing a file in memory");
  LOCK_SCOPE(&d->mutex);
  i = entry_find(d, normal, &found);
  if (!found)
    return name_error(d, ENOENT, "remove", name, err);
  if (!d->entries[i].node && has_children(d, normal))
    return name_error(d, ENOTEMPTY, "remove", name, err);
  entry_drop(d, i);
  return 0;
}

static int
make_locked(struct memory_dir *d, char *name)
{
  for (char *slash = name;; slash++) {
    bool found, last;
    size_t i;

    slash += strcspn(slash, "/");
    last = *slash == 0;
    *slash = 0;
    i = entry_find(d, name, &found);
    if (found && d->entries[i].node)
      return EEXIST;
    if (!found && name[0] && !entry_insert(d, i, name, NULL))
      return ENOMEM;
    if (last)
      return 0;
    *slash = '/';
  }
}

static int
memory_dir_make(struct vdk_dir *dir, const char *name, struct vdk_error *err)
{
  struct memory_dir *d = (struct memory_dir *)dir;
  _cleanup_free_ char *normal = memory_normal_name(name);
  int e;

  if (!normal)
    return error_nomem(err, "making a directory in memory");
  pthread_mutex_lock(&d->mutex);
  e = make_locked(d, normal);
  pthread_mutex_unlock(&d->mutex);
  return e ? name_error(d, e, "make directory", name, err) : 0;
}

/* The walk goes by name, not by index: FN may change the directory. */
static int
memory_dir_list(struct vdk_dir *dir, const char *name,
                int (*fn)(void *opaque, const struct dir_entry *entry),
                void *opaque, struct vdk_error *err)
{
  struct memory_dir *d = (struct memory_dir *)dir;
  _cleanup_free_ char *folder = memory_normal_name(name);
  _cleanup_free_ char *at = NULL;
  size_t skip;
  bool found;

  if (!folder)
    return error_nomem(err, "listing a directory in memory");
  skip = folder[0] ? strlen(folder) + 1 : 0;
  pthread_mutex_lock(&d->mutex);
  if (skip) {
    size_t i = entry_find(d, folder, &found);
    int e = !found ? ENOENT : d->entries[i].node ? ENOTDIR : 0;

    if (e) {
      pthread_mutex_unlock(&d->mutex);
      return name_error(d, e, "list", name, err);
    }
  }
  at = skip ? str_printf("%s/", folder) : str_dup("");
  while (at) {
    size_t i = entry_find(d, at, &found) + found;
    struct dir_entry entry;
    int r;

    while (i < d->count &&
           (strlen(d->entries[i].name) <= skip ||
            strchr(d->entries[i].name + skip, '/')) &&
           (!skip || strncmp(d->entries[i].name, at, skip) == 0))
      i++;
    if (i == d->count || (skip && strncmp(d->entries[i].name, at, skip) != 0)) {
      pthread_mutex_unlock(&d->mutex);
      return 0;
    }
    free(at);
    at = str_dup(d->entries[i].name);
    if (!at)
      break;
    entry.name = at + skip;
    entry.is_dir = !d->entries[i].node;
    entry.size = entry.is_dir ? 0 : memory_node_size(d->entries[i].node);
    pthread_mutex_unlock(&d->mutex);
    r = fn(opaque, &entry);
    if (r != 0)
      return r;
    pthread_mutex_lock(&d->mutex);
  }
  pthread_mutex_unlock(&d->mutex);
  return error_nomem(err, "listing a directory in memory");
}

static int
memory_dir_sync(struct vdk_dir *dir, const char *name, struct vdk_error *err)
{
  struct memory_dir *d = (struct memory_dir *)dir;
  _cleanup_free_ char *normal = memory_normal_name(name);
  bool found = true;
  size_t i = 0;

  if (!normal)
    return error_nomem(err, "syncing a directory in memory");
  LOCK_SCOPE(&d->mutex);
  if (normal[0])
    i = entry_find(d, normal, &found);
  if (!found || (normal[0] && d->entries[i].node))
    return name_error(d, found ? ENOTDIR : ENOENT, "sync directory", name, err);
  return 0;
}

static void
memory_dir_free(struct vdk_dir *dir)
{
  struct memory_dir *d = (struct memory_dir *)dir;

  for (size_t i = 0; i < d->count; i++) {
    free(d->entries[i].name);
    memory_node_unref(d->entries[i].node);
  }
  pthread_mutex_destroy(&d->mutex);
  free(d->entries);
  free(dir->path);
  free(d);
}

static const struct dir_ops memory_dir_ops = {
    .name = "memory",
    .open = memory_dir_open,
    .rename = memory_dir_rename,
    .remove = memory_dir_remove,
    .make = memory_dir_make,
    .list = memory_dir_list,
    .sync = memory_dir_sync,
    .free = memory_dir_free,
};

int
dir_memory_new(const char *path, struct vdk_dir **ret, struct vdk_error *err)
{
  _cleanup_free_ struct memory_dir *d = mem_array(1, sizeof *d);

  if (!d)
    return error_nomem(err, "making a directory in memory");
  d->base.path = str_dup(path);
  if (!d->base.path)
    return error_nomem(err, "making a directory in memory");
  d->base.ops = &memory_dir_ops;
  d->base.refs = 1;
  pthread_mutex_init(&d->mutex, NULL);
  *ret = &TAKE_PTR(d)->base;
  return 0;
}

bool
memory_dir_set(struct vdk_dir *dir, const char *name, struct memory_node *node)
{
  struct memory_dir *d = (struct memory_dir *)dir;
  bool found;
  size_t i;

  LOCK_SCOPE(&d->mutex);
  i = entry_find(d, name, &found);
  if (found)
    entry_drop(d, i);
  return entry_insert(d, i, name, node);
}

struct memory_node *
memory_dir_get(struct vdk_dir *dir, const char *name)
{
  struct memory_dir *d = (struct memory_dir *)dir;
  bool found;
  size_t i;

  LOCK_SCOPE(&d->mutex);
  i = entry_find(d, name, &found);
  return found ? d->entries[i].node : NULL;
}

bool
memory_dir_has_folder(struct vdk_dir *dir, const char *name)
{
  struct memory_dir *d = (struct memory_dir *)dir;
  bool found;
  size_t i;

  LOCK_SCOPE(&d->mutex);
  i = entry_find(d, name, &found);
  return found && !d->entries[i].node;
}
