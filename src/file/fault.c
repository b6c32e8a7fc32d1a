/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fault driver: calls are counted and fail as the plan says, else they are
 * done by the wrapped directory, and written into the record if there is one.
 *
 * Each file has a number, which it keeps through renames; the table of names
 * says which file a name means now. A change is recorded after it was done,
 * so that the record never knows more than the disk, but what a flush covers
 * is what had been recorded when it began.
 *
 * Locks: the mutex guards plan, counters, names and record, and is not held
 * during calls of the wrapped directory, except for those that change names,
 * which must reach the table in the order in which they happened.
 */
#include "file/fault.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "file/fault_record.h"
#include "file/memory.h"

struct fault_name {
  char *name;
  unsigned file;
};

struct fault_dir {
  struct vdk_dir base;
  struct vdk_dir *inner;
  pthread_mutex_t mutex;
  struct fault_plan plan;
  uint64_t counted, space_left;
  struct fault_name *names;
  size_t name_count, name_capacity;
  unsigned file_count;
  struct fault_record *record; /* NULL: not recording */
};

struct fault_file {
  struct vdk_file base;
  struct vdk_file *inner;
  struct fault_dir *dir;
  unsigned file;
};

/* --- The plan ------------------------------------------------------------- */

static int
check_plan(struct fault_dir *d, enum fault_op op, const char *verb,
           const char *name, struct vdk_error *err)
{
  const struct fault_plan *p = &d->plan;
  bool fails;

  LOCK_SCOPE(&d->mutex);
  if (!(p->ops & op))
    return 0;
  d->counted++;
  fails = p->fail_at &&
          (d->counted == p->fail_at || (p->sticky && d->counted > p->fail_at));
  if (!fails)
    return 0;
  return error_errno(err, p->os_errno ? p->os_errno : EIO,
                     "cannot %s %s (injected)", verb, name);
}

/* How many of LEN bytes still fit. */
static size_t
take_space(struct fault_dir *d, size_t len)
{
  LOCK_SCOPE(&d->mutex);
  if (!d->plan.space)
    return len;
  len = (size_t)MIN((uint64_t)len, d->space_left);
  d->space_left -= len;
  return len;
}

static size_t
piece_size(struct fault_dir *d, size_t len)
{
  LOCK_SCOPE(&d->mutex);
  return d->plan.max_io ? MIN(len, d->plan.max_io) : len;
}

static int
record(struct fault_dir *d, const struct fault_change *c, struct vdk_error *err)
{
  LOCK_SCOPE(&d->mutex);
  return d->record ? fault_record_add(d->record, c, err) : 0;
}

static size_t
recorded(struct fault_dir *d)
{
  LOCK_SCOPE(&d->mutex);
  return d->record ? fault_record_count(d->record) : 0;
}

/* --- Files ---------------------------------------------------------------- */

static struct fault_file *
self(struct vdk_file *f)
{
  return (struct fault_file *)f;
}

static int
fault_size(struct vdk_file *file, uint64_t *ret, struct vdk_error *err)
{
  return file_size(self(file)->inner, ret, err);
}

static int
fault_read(struct vdk_file *file, uint64_t offset, void *buf, size_t len,
           size_t *ret, struct vdk_error *err)
{
  struct fault_file *f = self(file);
  size_t done = 0;

  while (done < len) {
    size_t got = 0, piece = piece_size(f->dir, len - done);
    int r = check_plan(f->dir, FAULT_READ, "read", file->name, err);

    if (r == 0)
      r = file_read_upto(f->inner, offset + done, (uint8_t *)buf + done, piece,
                         &got, err);
    if (r < 0)
      return r;
    done += got;
    if (got < piece)
      break;
  }
  *ret = done;
  return 0;
}

static int
write_piece(struct fault_file *f, uint64_t offset, const void *buf, size_t len,
            struct vdk_error *err)
{
  size_t fits;
  int r = check_plan(f->dir, FAULT_WRITE, "write", f->base.name, err);

  if (r < 0)
    return r;
  fits = take_space(f->dir, len);
  r = file_write(f->inner, offset, buf, fits, err);
  if (r == 0 && fits > 0)
    r = record(f->dir,
               &(struct fault_change){.type = CHANGE_WRITE,
                                      .file = f->file,
                                      .offset = offset,
                                      .len = fits,
                                      .data = buf},
               err);
  if (r == 0 && fits < len)
    r = error_errno(err, ENOSPC, "cannot write %s (injected)", f->base.name);
  return r;
}

static int
fault_write(struct vdk_file *file, uint64_t offset, const void *buf, size_t len,
            struct vdk_error *err)
{
  struct fault_file *f = self(file);

  for (size_t done = 0; done < len;) {
    size_t piece = piece_size(f->dir, len - done);
    int r =
        write_piece(f, offset + done, (const uint8_t *)buf + done, piece, err);

    if (r < 0)
      return r;
    done += piece;
  }
  return 0;
}

static int
fault_zero(struct vdk_file *file, uint64_t offset, uint64_t len,
           struct vdk_error *err)
{
  struct fault_file *f = self(file);
  int r = check_plan(f->dir, FAULT_WRITE, "zero", file->name, err);

  if (r == 0)
    r = file_zero(f->inner, offset, len, err);
  if (r == 0)
    r = record(
        f->dir,
        &(struct fault_change){
            .type = CHANGE_ZERO, .file = f->file, .offset = offset, .len = len},
        err);
  return r;
}

static int
fault_extent(struct vdk_file *file, uint64_t offset, uint64_t len,
             uint64_t *ret_len, int *ret_state, struct vdk_error *err)
{
  return file_extent(self(file)->inner, offset, len, ret_len, ret_state, err);
}

static int
fault_truncate(struct vdk_file *file, uint64_t size, struct vdk_error *err)
{
  struct fault_file *f = self(file);
  int r = check_plan(f->dir, FAULT_WRITE, "resize", file->name, err);

  if (r == 0)
    r = file_truncate(f->inner, size, err);
  if (r == 0)
    r = record(f->dir,
               &(struct fault_change){
                   .type = CHANGE_TRUNCATE, .file = f->file, .offset = size},
               err);
  return r;
}

/* Space that is reserved is not taken from what is left: it is taken when it
 * is written. But there must be as much. */
static int
fault_allocate(struct vdk_file *file, uint64_t offset, uint64_t len,
               struct vdk_error *err)
{
  struct fault_file *f = self(file);
  int r = check_plan(f->dir, FAULT_WRITE, "reserve space in", file->name, err);
  bool fits;

  if (r < 0)
    return r;
  pthread_mutex_lock(&f->dir->mutex);
  fits = !f->dir->plan.space || len <= f->dir->space_left;
  pthread_mutex_unlock(&f->dir->mutex);
  if (!fits)
    return error_errno(err, ENOSPC, "cannot reserve space in %s (injected)",
                       file->name);
  r = file_allocate(f->inner, offset, len, err);
  if (r == 0)
    r = record(f->dir,
               &(struct fault_change){.type = CHANGE_GROW,
                                      .file = f->file,
                                      .offset = offset + len},
               err);
  return r;
}

static int
fault_flush(struct vdk_file *file, struct vdk_error *err)
{
  struct fault_file *f = self(file);
  size_t covers = recorded(f->dir);
  int r = check_plan(f->dir, FAULT_FLUSH, "flush", file->name, err);

  if (r == 0)
    r = file_flush(f->inner, err);
  if (r == 0)
    r = record(f->dir,
               &(struct fault_change){
                   .type = CHANGE_FLUSH, .file = f->file, .covers = covers},
               err);
  return r;
}

static int
fault_lock(struct vdk_file *file, enum file_lock_mode mode,
           struct vdk_error *err)
{
  struct fault_file *f = self(file);
  int r = check_plan(f->dir, FAULT_LOCK, "lock", file->name, err);

  return r < 0 ? r : file_lock(f->inner, mode, err);
}

static void
fault_close(struct vdk_file *file)
{
  struct fault_file *f = self(file);

  file_close(f->inner);
  dir_unref(&f->dir->base);
  free(file->name);
  free(f);
}

/* No fd: what the kernel copies by itself could not be counted. */
static const struct file_ops fault_file_ops = {
    .name = "fault",
    .size = fault_size,
    .read = fault_read,
    .write = fault_write,
    .zero = fault_zero,
    .extent = fault_extent,
    .truncate = fault_truncate,
    .allocate = fault_allocate,
    .flush = fault_flush,
    .lock = fault_lock,
    .close = fault_close,
};

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
            unsigned flags, struct fault_file *f, struct vdk_error *err)
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
  r = dir_open_file(d->inner, name, flags, &f->inner, err);
  if (r == 0)
    r = number_of(d, normal, create && !existed, &f->file, err);
  if (r < 0 || !create)
    return r;
  c.file = f->file;
  if (existed)
    c = (struct fault_change){.type = CHANGE_TRUNCATE, .file = f->file};
  return record_locked(d, &c, err);
}

static int
fault_dir_open(struct vdk_dir *dir, const char *name, unsigned flags,
               struct vdk_file **ret, struct vdk_error *err)
{
  struct fault_dir *d = self_dir(dir);
  enum fault_op op = flags & FILE_CREATE ? FAULT_NAME : FAULT_OPEN;
  _cleanup_free_ struct fault_file *f = mem_array(1, sizeof *f);
  _cleanup_free_ char *normal = memory_normal_name(name);
  int r = check_plan(d, op, op == FAULT_OPEN ? "open" : "create", name, err);

  if (r < 0)
    return r;
  if (!f || !normal)
    return error_nomem(err, "opening a file");
  pthread_mutex_lock(&d->mutex);
  r = open_locked(d, name, normal, flags, f, err);
  pthread_mutex_unlock(&d->mutex);
  if (r == 0) {
    f->base.name = str_dup(f->inner->name);
    r = f->base.name ? 0 : error_nomem(err, "opening a file");
  }
  if (r < 0) {
    file_close(f->inner);
    return r;
  }
  f->base.ops = &fault_file_ops;
  f->base.writable = f->inner->writable;
  f->base.is_pipe = f->inner->is_pipe;
  f->dir = self_dir(dir_ref(dir));
  *ret = &TAKE_PTR(f)->base;
  return 0;
}

static int
fault_dir_rename(struct vdk_dir *dir, const char *from, const char *to,
                 bool replace, struct vdk_error *err)
{
  struct fault_dir *d = self_dir(dir);
  _cleanup_free_ char *from_normal = memory_normal_name(from);
  _cleanup_free_ char *to_normal = memory_normal_name(to);
  struct fault_change c = {.type = CHANGE_RENAME};
  int r = check_plan(d, FAULT_NAME, "rename", from, err);

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
  int r = check_plan(d, FAULT_NAME, "remove", name, err);

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
  int r = check_plan(d, FAULT_NAME, "make directory", name, err);

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
  int r = check_plan(d, FAULT_OPEN, "list", name, err);

  return r < 0 ? r : dir_list(d->inner, name, fn, opaque, err);
}

static int
fault_dir_sync(struct vdk_dir *dir, const char *name, struct vdk_error *err)
{
  struct fault_dir *d = self_dir(dir);
  _cleanup_free_ char *normal = memory_normal_name(name);
  struct fault_change c = {.type = CHANGE_SYNC, .covers = recorded(d)};
  int r = check_plan(d, FAULT_FLUSH, "sync directory", name, err);

  if (r == 0 && !normal)
    r = error_nomem(err, "syncing a directory");
  if (r == 0)
    r = dir_sync(d->inner, name, err);
  c.name = normal;
  return r < 0 ? r : record(d, &c, err);
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
  return recorded(self_dir(fault));
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
