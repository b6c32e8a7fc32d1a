/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fault driver's directories: names, their numbers, and the start of a
 * record. What a file's number is for: fault.c.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "file/fault_private.h"
#include "file/memory.h"

/* --- Names; the mutex is held --------------------------------------------- */

static struct fault_name *
find_name(struct fault_dir *d, const char *name)
{
  for (size_t i = 0; i < d->name_count; i++)
    if (strcmp(d->names[i].name, name) == 0)
      return &d->names[i];
  return NULL;
}

static void
drop_name(struct fault_dir *d, const char *name)
{
  struct fault_name *n = find_name(d, name);

  if (!n)
    return;
  free(n->name);
  *n = d->names[--d->name_count];
}

/* The number of the file called NAME; a new one when FRESH or not known. */
static int
number_of(struct fault_dir *d, const char *name, bool fresh, unsigned *ret,
          struct vdk_error *err)
{
  struct fault_name *n = find_name(d, name);

  if (!n) {
    char *copy = str_dup(name);

    if (!copy || !mem_grow(&d->names, &d->name_capacity, d->name_count + 1,
                           sizeof *d->names)) {
      free(copy);
      return error_nomem(err, "noting a file");
    }
    n = &d->names[d->name_count++];
    *n = (struct fault_name){copy, d->file_count++};
  } else if (fresh) {
    n->file = d->file_count++;
  }
  *ret = n->file;
  return 0;
}

/* FROM, or what is below it, is called TO now. */
static int
move_names(struct fault_dir *d, const char *from, const char *to,
           struct vdk_error *err)
{
  size_t len = strlen(from);

  drop_name(d, to);
  for (size_t i = 0; i < d->name_count; i++) {
    struct fault_name *n = &d->names[i];
    char *name;

    if (!str_starts_with(n->name, from) ||
        (n->name[len] != 0 && n->name[len] != '/'))
      continue;
    name = str_printf("%s%s", to, n->name + len);
    if (!name)
      return error_nomem(err, "noting a file");
    free(n->name);
    n->name = name;
  }
  return 0;
}

static int
record_locked(struct fault_dir *d, const struct fault_change *c,
              struct vdk_error *err)
{
  return d->record ? fault_record_add(d->record, c, err) : 0;
}

/* --- Directories ---------------------------------------------------------- */

static struct fault_dir *
self_dir(struct vdk_dir *d)
{
  return (struct fault_dir *)d;
}

/* Opens and gives the file its number; a new name or an emptied file is a
 * change. */
static int
open_locked(struct fault_dir *d, const char *name, const char *normal,
            unsigned flags, struct vdk_file **ret_inner, unsigned *ret_file,
            struct vdk_error *err)
{
  bool create = flags & FILE_CREATE, existed = !create;
  struct fault_change c = {.type = CHANGE_CREATE, .name = normal};
  int r;

  if (create && (flags & FILE_REPLACE)) {
    struct vdk_file *there = NULL;

    r = dir_open_file(d->inner, name, FILE_READ, &there, err);
    file_close(there);
    if (r < 0 && r != -VDK_E_NOT_FOUND)
      return r;
    existed = r == 0;
  }
  r = dir_open_file(d->inner, name, flags, ret_inner, err);
  if (r == 0)
    r = number_of(d, normal, create && !existed, ret_file, err);
  if (r < 0 || !create)
    return r;
  c.file = *ret_file;
  if (existed)
    c = (struct fault_change){.type = CHANGE_TRUNCATE, .file = *ret_file};
  return record_locked(d, &c, err);
}

static int
fault_dir_open(struct vdk_dir *dir, const char *name, unsigned flags,
               struct vdk_file **ret, struct vdk_error *err)
{
  struct fault_dir *d = self_dir(dir);
  enum fault_op op = flags & FILE_CREATE ? FAULT_NAME : FAULT_OPEN;
  _cleanup_free_ char *normal = memory_normal_name(name);
  struct vdk_file *inner = NULL;
  unsigned file;
  int r = fault_check(d, op, op == FAULT_OPEN ? "open" : "create", name, err);

  if (r < 0)
    return r;
  if (!normal)
    return error_nomem(err, "opening a file");
  pthread_mutex_lock(&d->mutex);
  r = open_locked(d, name, normal, flags, &inner, &file, err);
  pthread_mutex_unlock(&d->mutex);
  if (r == 0)
    r = fault_file_new(d, inner, file, ret, err);
  if (r < 0)
    file_close(inner);
  return r;
}

static int
fault_dir_rename(struct vdk_dir *dir, const char *from, const char *to,
                 bool replace, struct vdk_error *err)
{
  struct fault_dir *d = self_dir(dir);
  _cleanup_free_ char *from_normal = memory_normal_name(from);
  _cleanup_free_ char *to_normal = memory_normal_name(to);
  struct fault_change c = {.type = CHANGE_RENAME};
  int r = fault_check(d, FAULT_NAME, "rename", from, err);

  if (r < 0)
    return r;
  if (!from_normal || !to_normal)
    return error_nomem(err, "renaming a file");
  LOCK_SCOPE(&d->mutex);
  r = dir_rename(d->inner, from, to, replace, err);
  if (r < 0 || strcmp(from_normal, to_normal) == 0)
    return r;
  c.name = from_normal;
  c.to = to_normal;
  r = number_of(d, from_normal, false, &c.file, err);
  if (r == 0)
    r = move_names(d, from_normal, to_normal, err);
  return r < 0 ? r : record_locked(d, &c, err);
}

static int
fault_dir_remove(struct vdk_dir *dir, const char *name, struct vdk_error *err)
{
  struct fault_dir *d = self_dir(dir);
  _cleanup_free_ char *normal = memory_normal_name(name);
  int r = fault_check(d, FAULT_NAME, "remove", name, err);

  if (r < 0)
    return r;
  if (!normal)
    return error_nomem(err, "removing a file");
  LOCK_SCOPE(&d->mutex);
  r = dir_remove(d->inner, name, err);
  if (r < 0)
    return r;
  drop_name(d, normal);
  return record_locked(
      d, &(struct fault_change){.type = CHANGE_REMOVE, .name = normal}, err);
}

/* Each directory on the way is a change by itself. One that was there already
 * is recorded too, and does nothing when replayed. */
static int
record_makes(struct fault_dir *d, char *normal, struct vdk_error *err)
{
  int r = 0;

  for (char *slash = normal; r == 0 && *normal; *slash++ = '/') {
    bool last;

    slash += strcspn(slash, "/");
    last = *slash == 0;
    *slash = 0;
    r = record_locked(
        d, &(struct fault_change){.type = CHANGE_MAKE, .name = normal}, err);
    if (last)
      break;
  }
  return r;
}

static int
fault_dir_make(struct vdk_dir *dir, const char *name, struct vdk_error *err)
{
  struct fault_dir *d = self_dir(dir);
  _cleanup_free_ char *normal = memory_normal_name(name);
  int r = fault_check(d, FAULT_NAME, "make directory", name, err);

  if (r < 0)
    return r;
  if (!normal)
    return error_nomem(err, "making a directory");
  LOCK_SCOPE(&d->mutex);
  r = dir_make(d->inner, name, err);
  return r < 0 ? r : record_makes(d, normal, err);
}

static int
fault_dir_list(struct vdk_dir *dir, const char *name,
               int (*fn)(void *opaque, const struct dir_entry *entry),
               void *opaque, struct vdk_error *err)
{
  struct fault_dir *d = self_dir(dir);
  int r = fault_check(d, FAULT_OPEN, "list", name, err);

  return r < 0 ? r : dir_list(d->inner, name, fn, opaque, err);
}

static int
fault_dir_sync(struct vdk_dir *dir, const char *name, struct vdk_error *err)
{
  struct fault_dir *d = self_dir(dir);
  _cleanup_free_ char *normal = memory_normal_name(name);
  struct fault_change c = {.type = CHANGE_SYNC, .covers = fault_recorded(d)};
  int r = fault_check(d, FAULT_FLUSH, "sync directory", name, err);

  if (r == 0 && !normal)
    r = error_nomem(err, "syncing a directory");
  if (r == 0)
    r = dir_sync(d->inner, name, err);
  c.name = normal;
  return r < 0 ? r : fault_note(d, &c, err);
}

static void
fault_dir_free(struct vdk_dir *dir)
{
  struct fault_dir *d = self_dir(dir);

  for (size_t i = 0; i < d->name_count; i++)
    free(d->names[i].name);
  fault_record_free(d->record);
  pthread_mutex_destroy(&d->mutex);
  dir_unref(d->inner);
  free(d->names);
  free(dir->path);
  free(d);
}

static const struct dir_ops fault_dir_ops = {
    .name = "fault",
    .open = fault_dir_open,
    .rename = fault_dir_rename,
    .remove = fault_dir_remove,
    .make = fault_dir_make,
    .list = fault_dir_list,
    .sync = fault_dir_sync,
    .free = fault_dir_free,
};

int
dir_fault_new(struct vdk_dir *inner, const struct fault_plan *plan,
              struct vdk_dir **ret, struct vdk_error *err)
{
  _cleanup_free_ struct fault_dir *d = mem_array(1, sizeof *d);

  if (!d)
    return error_nomem(err, "wrapping a directory");
  d->base.path = str_dup(inner->path);
  if (!d->base.path)
    return error_nomem(err, "wrapping a directory");
  d->base.ops = &fault_dir_ops;
  d->base.flags = inner->flags;
  d->base.refs = 1;
  d->inner = dir_ref(inner);
  pthread_mutex_init(&d->mutex, NULL);
  dir_fault_set(&d->base, plan);
  *ret = &TAKE_PTR(d)->base;
  return 0;
}

void
dir_fault_set(struct vdk_dir *fault, const struct fault_plan *plan)
{
  struct fault_dir *d = self_dir(fault);

  LOCK_SCOPE(&d->mutex);
  d->plan = plan ? *plan : (struct fault_plan){0};
  d->counted = 0;
  d->space_left = d->plan.space;
}

uint64_t
dir_fault_count(struct vdk_dir *fault)
{
  struct fault_dir *d = self_dir(fault);

  LOCK_SCOPE(&d->mutex);
  return d->counted;
}

/* --- Recording ------------------------------------------------------------ */

struct base_walk {
  struct fault_dir *dir;
  struct fault_record *record;
  const char *folder;
  char **names; /* of what is in FOLDER; directories end with '/' */
  size_t count, capacity;
};

static int
note_entry(void *opaque, const struct dir_entry *entry)
{
  struct base_walk *w = opaque;
  char *name = str_printf("%s%s%s%s", w->folder, w->folder[0] ? "/" : "",
                          entry->name, entry->is_dir ? "/" : "");

  if (!name ||
      !mem_grow(&w->names, &w->capacity, w->count + 1, sizeof *w->names)) {
    free(name);
    return -VDK_E_NOMEM;
  }
  w->names[w->count++] = name;
  return 0;
}

static int walk_base(struct fault_dir *d, struct fault_record *r,
                     const char *folder, struct vdk_error *err);

static int
note_base(struct fault_dir *d, struct fault_record *r, char *name,
          struct vdk_error *err)
{
  _cleanup_file_ struct vdk_file *f = NULL;
  size_t len = strlen(name);
  unsigned number = 0;
  int result;

  if (name[len - 1] == '/') {
    name[len - 1] = 0;
    result = fault_record_base(r, name, 0, NULL, err);
    return result < 0 ? result : walk_base(d, r, name, err);
  }
  result = dir_open_file(d->inner, name, FILE_READ, &f, err);
  if (result == 0)
    result = number_of(d, name, false, &number, err);
  return result < 0 ? result : fault_record_base(r, name, number, f, err);
}

static int
walk_base(struct fault_dir *d, struct fault_record *r, const char *folder,
          struct vdk_error *err)
{
  struct base_walk w = {.dir = d, .record = r, .folder = folder};
  int result =
      dir_list(d->inner, folder[0] ? folder : ".", note_entry, &w, err);

  if (result == -VDK_E_NOMEM)
    error_nomem(err, "copying a directory for a record");
  for (size_t i = 0; i < w.count; i++) {
    if (result == 0)
      result = note_base(d, r, w.names[i], err);
    free(w.names[i]);
  }
  free(w.names);
  return result;
}

int
dir_fault_record(struct vdk_dir *fault, struct vdk_error *err)
{
  struct fault_dir *d = self_dir(fault);
  struct fault_record *r = NULL;
  int result = fault_record_new(&r, err);

  if (result < 0)
    return result;
  LOCK_SCOPE(&d->mutex);
  result = walk_base(d, r, "", err);
  if (result < 0) {
    fault_record_free(r);
    return result;
  }
  fault_record_free(d->record);
  d->record = r;
  return 0;
}

size_t
dir_fault_changes(struct vdk_dir *fault)
{
  return fault_recorded(self_dir(fault));
}

int
dir_fault_crash(struct vdk_dir *fault, size_t cut, enum crash_keep keep,
                unsigned seed, struct vdk_dir **ret, struct vdk_error *err)
{
  struct fault_dir *d = self_dir(fault);

  LOCK_SCOPE(&d->mutex);
  if (!d->record)
    return error_set(err, VDK_E_INVAL, "no record was started for %s",
                     fault->path);
  return fault_record_crash(d->record, cut, keep, seed, ret, err);
}
