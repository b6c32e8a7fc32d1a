/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A store in a folder: the key is the path of a file.
 *
 * Writing: tmp/<random>-<n>, write, flush, rename to its name. So a name
 * never shows half an object, not even after a power cut; the flush is done
 * by whoever calls put(), which for packs is the writer's own thread. What
 * sync() adds is the durability of the names: the folders that were touched.
 * put_new() renames without replacing, and syncs at once.
 *
 * Reading: the last few files stay open, because a restore reads a pack in a
 * hundred pieces.
 *
 * Leftovers of killed writers in tmp/ are neither listed nor removed here;
 * docs/decisions/0002-vmbk.md says why.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "file/file.h"
#include "store/store.h"

#define OPEN_FILES 16u
#define DEPTH_MAX  8u

struct open_file {
  char *key; /* NULL: free */
  struct vdk_file *file;
  unsigned users;
  bool stale; /* replaced or removed: closed by its last user */
  uint64_t used;
};

struct folder {
  char *name;
  bool dirty;
};

struct dir_store {
  struct vdk_store store;
  struct vdk_dir *dir;
  char token[17];
  uint64_t counter; /* atomic */

  /* One sync at a time: a second one must not return before the first has
   * synced what it took from the list. */
  pthread_mutex_t sync_mutex;

  pthread_mutex_t mutex; /* the fields below */
  struct open_file files[OPEN_FILES];
  uint64_t clock;
  struct folder *folders;
  size_t folder_count, folder_capacity;
};

/* --- Folders ------------------------------------------------------------- */

/* With the mutex held. */
static struct folder *
find_folder(struct dir_store *s, const char *name)
{
  for (size_t i = 0; i < s->folder_count; i++)
    if (strcmp(s->folders[i].name, name) == 0)
      return &s->folders[i];
  return NULL;
}

static int
mark_dirty(struct dir_store *s, const char *name, struct vdk_error *err)
{
  struct folder *f = find_folder(s, name);
  char *copy;

  if (f) {
    f->dirty = true;
    return 0;
  }
  copy = str_dup(name);
  if (!copy || !mem_grow(&s->folders, &s->folder_capacity, s->folder_count + 1,
                         sizeof *s->folders)) {
    free(copy);
    return error_nomem(err, "writing to a store");
  }
  s->folders[s->folder_count++] = (struct folder){copy, true};
  return 0;
}

/* The folder of KEY exists; new names above it will be synced. */
static int
make_folder_of(struct dir_store *s, const char *key, struct vdk_error *err)
{
  _cleanup_free_ char *name = path_dirname(key);
  char *slash;
  int ret;

  if (!name)
    return error_nomem(err, "writing to a store");
  LOCK_SCOPE(&s->mutex);
  if (strcmp(name, ".") == 0 || find_folder(s, name))
    return 0;
  ret = dir_make(s->dir, name, err);
  if (ret == 0)
    ret = mark_dirty(s, name, err);
  while (ret == 0 && (slash = strrchr(name, '/'))) {
    *slash = 0;
    ret = mark_dirty(s, name, err);
  }
  return ret ? ret : mark_dirty(s, ".", err);
}

/* A name in the folder of KEY has changed. After the change, because a sync
 * may run beside us. */
static int
touch_folder_of(struct dir_store *s, const char *key, struct vdk_error *err)
{
  _cleanup_free_ char *name = path_dirname(key);

  if (!name)
    return error_nomem(err, "writing to a store");
  LOCK_SCOPE(&s->mutex);
  return mark_dirty(s, name, err);
}

/* The next folder to sync, marked clean; NULL when there is none. */
static const char *
take_dirty(struct dir_store *s)
{
  LOCK_SCOPE(&s->mutex);
  for (size_t i = 0; i < s->folder_count; i++)
    if (s->folders[i].dirty) {
      s->folders[i].dirty = false;
      return s->folders[i].name;
    }
  return NULL;
}

static int
dir_store_sync(struct vdk_store *store, struct vdk_error *err)
{
  struct dir_store *s = (struct dir_store *)store;
  const char *name;
  int ret = 0;

  LOCK_SCOPE(&s->sync_mutex);
  while (ret == 0 && (name = take_dirty(s))) {
    ret = dir_sync(s->dir, name, err);
    if (ret) {
      LOCK_SCOPE(&s->mutex);
      find_folder(s, name)->dirty = true;
    }
  }
  return ret;
}

/* --- Open files ---------------------------------------------------------- */

/* With the mutex held; FILE has no users. */
static void
drop_file(struct open_file *f)
{
  free(f->key);
  file_close(f->file);
  *f = (struct open_file){0};
}

static struct open_file *
find_file(struct dir_store *s, const char *key)
{
  for (unsigned i = 0; i < OPEN_FILES; i++)
    if (s->files[i].key && !s->files[i].stale &&
        strcmp(s->files[i].key, key) == 0)
      return &s->files[i];
  return NULL;
}

static void
forget_file(struct dir_store *s, const char *key)
{
  struct open_file *f;

  LOCK_SCOPE(&s->mutex);
  f = find_file(s, key);
  if (f && f->users == 0)
    drop_file(f);
  else if (f)
    f->stale = true;
}

static void
release_file(struct dir_store *s, struct open_file *f)
{
  LOCK_SCOPE(&s->mutex);
  if (--f->users == 0 && f->stale)
    drop_file(f);
}

/* Puts FILE, just opened, into the list; NULL when all places are in use or
 * another thread was faster. */
static struct open_file *
keep_file(struct dir_store *s, const char *key, struct vdk_file *file)
{
  struct open_file *best = NULL;
  char *copy = str_dup(key);

  LOCK_SCOPE(&s->mutex);
  for (unsigned i = 0; i < OPEN_FILES; i++) {
    struct open_file *f = &s->files[i];

    if (f->users == 0 && (!best || f->used < best->used))
      best = f;
  }
  if (!copy || !best || find_file(s, key)) {
    free(copy);
    return NULL;
  }
  if (best->key)
    drop_file(best);
  *best = (struct open_file){copy, file, 1, false, ++s->clock};
  return best;
}

static int
dir_store_get(struct vdk_store *store, const char *key, uint64_t offset,
              void *buf, size_t len, struct vdk_error *err)
{
  struct dir_store *s = (struct dir_store *)store;
  struct vdk_file *file;
  struct open_file *f;
  int ret;

  pthread_mutex_lock(&s->mutex);
  f = find_file(s, key);
  if (f) {
    f->users++;
    f->used = ++s->clock;
  }
  pthread_mutex_unlock(&s->mutex);
  if (f) {
    ret = file_read(f->file, offset, buf, len, err);
    release_file(s, f);
    return ret;
  }
  ret = dir_open_file(s->dir, key, FILE_READ, &file, err);
  if (ret)
    return ret;
  ret = file_read(file, offset, buf, len, err);
  f = ret ? NULL : keep_file(s, key, file);
  if (f)
    release_file(s, f);
  else
    file_close(file);
  return ret;
}

static int
dir_store_head(struct vdk_store *store, const char *key, uint64_t *ret_size,
               struct vdk_error *err)
{
  struct dir_store *s = (struct dir_store *)store;
  _cleanup_file_ struct vdk_file *file = NULL;
  int ret = dir_open_file(s->dir, key, FILE_READ, &file, err);

  return ret ? ret : file_size(file, ret_size, err);
}

/* --- Writing ------------------------------------------------------------- */

static int
write_flushed(struct dir_store *s, const char *name, const void *data,
              size_t size, struct vdk_error *err)
{
  _cleanup_file_ struct vdk_file *file = NULL;
  int ret =
      dir_open_file(s->dir, name, FILE_CREATE | FILE_SEQUENTIAL, &file, err);

  if (ret)
    return ret;
  ret = size ? file_write(file, 0, data, size, err) : 0;
  return ret ? ret : file_flush(file, err);
}

static int
store_object(struct dir_store *s, const char *key, const void *data,
             size_t size, bool replace, struct vdk_error *err)
{
  char temporary[64];
  int ret;

  snprintf(
      temporary, sizeof temporary, "tmp/%s-%llx", s->token,
      (unsigned long long)__atomic_add_fetch(&s->counter, 1, __ATOMIC_RELAXED));
  ret = make_folder_of(s, temporary, err);
  if (ret == 0)
    ret = make_folder_of(s, key, err);
  if (ret)
    return ret;
  ret = write_flushed(s, temporary, data, size, err);
  if (ret == 0)
    ret = dir_rename(s->dir, temporary, key, replace, err);
  if (ret) {
    dir_remove(s->dir, temporary, NULL);
    return ret;
  }
  forget_file(s, key);
  /* A rename between folders is durable for certain when both are synced. */
  ret = touch_folder_of(s, temporary, err);
  return ret ? ret : touch_folder_of(s, key, err);
}

static int
dir_store_put(struct vdk_store *store, const char *key, const void *data,
              size_t size, struct vdk_error *err)
{
  return store_object((struct dir_store *)store, key, data, size, true, err);
}

static int
dir_store_put_new(struct vdk_store *store, const char *key, const void *data,
                  size_t size, struct vdk_error *err)
{
  int ret =
      store_object((struct dir_store *)store, key, data, size, false, err);

  return ret ? ret : dir_store_sync(store, err);
}

static int
dir_store_remove(struct vdk_store *store, const char *key,
                 struct vdk_error *err)
{
  struct dir_store *s = (struct dir_store *)store;
  struct vdk_error why = VDK_ERROR_INIT;
  int ret = dir_remove(s->dir, key, &why);

  forget_file(s, key);
  if (ret == -VDK_E_NOT_FOUND)
    return 0;
  return ret ? error_copy(err, &why) : touch_folder_of(s, key, err);
}

/* --- Listing ------------------------------------------------------------- */

struct walk {
  const char *folder;
  int (*fn)(void *opaque, const struct store_entry *e);
  void *opaque;
  char **below; /* folders met in this one */
  size_t below_count, below_capacity;
};

static char *
join_key(const char *folder, const char *name)
{
  return strcmp(folder, ".") == 0 ? str_dup(name)
                                  : str_printf("%s/%s", folder, name);
}

static int
see_entry(void *opaque, const struct dir_entry *entry)
{
  struct walk *w = opaque;
  _cleanup_free_ char *key = join_key(w->folder, entry->name);
  struct store_entry e = {key, entry->size};

  if (!key)
    return -VDK_E_NOMEM;
  if (!store_key_is_valid(key) || strcmp(key, "tmp") == 0)
    return 0;
  if (!entry->is_dir)
    return w->fn(w->opaque, &e);
  if (!mem_grow(&w->below, &w->below_capacity, w->below_count + 1,
                sizeof *w->below))
    return -VDK_E_NOMEM;
  w->below[w->below_count++] = TAKE_PTR(key);
  return 0;
}

static int
walk_folder(struct dir_store *s, const char *folder, unsigned depth,
            int (*fn)(void *opaque, const struct store_entry *e), void *opaque,
            struct vdk_error *err)
{
  struct walk w = {folder, fn, opaque, NULL, 0, 0};
  struct vdk_error why = VDK_ERROR_INIT;
  int ret = dir_list(s->dir, folder, see_entry, &w, &why);

  if (ret == -VDK_E_NOT_FOUND)
    ret = 0;
  else if (ret == -VDK_E_NOMEM && why.code == 0)
    error_nomem(err, "listing a store");
  else if (ret && why.code)
    error_copy(err, &why);
  for (size_t i = 0; i < w.below_count; i++) {
    if (ret == 0 && depth > 0)
      ret = walk_folder(s, w.below[i], depth - 1, fn, opaque, err);
    free(w.below[i]);
  }
  free(w.below);
  return ret;
}

static int
dir_store_list(struct vdk_store *store, const char *prefix,
               int (*fn)(void *opaque, const struct store_entry *e),
               void *opaque, struct vdk_error *err)
{
  _cleanup_free_ char *folder = str_dup(*prefix ? prefix : ".");
  size_t len = strlen(prefix);

  if (!folder)
    return error_nomem(err, "listing a store");
  if (len > 0 && folder[len - 1] == '/')
    folder[len - 1] = 0;
  return walk_folder((struct dir_store *)store, folder, DEPTH_MAX, fn, opaque,
                     err);
}

/* --- The table ----------------------------------------------------------- */

static unsigned
dir_store_caps(struct vdk_store *store)
{
  return STORE_CREATE_ONLY | STORE_LOCAL;
}

static void
dir_store_close(struct vdk_store *store)
{
  struct dir_store *s = (struct dir_store *)store;

  for (unsigned i = 0; i < OPEN_FILES; i++)
    if (s->files[i].key)
      drop_file(&s->files[i]);
  for (size_t i = 0; i < s->folder_count; i++)
    free(s->folders[i].name);
  free(s->folders);
  pthread_mutex_destroy(&s->mutex);
  pthread_mutex_destroy(&s->sync_mutex);
  dir_unref(s->dir);
  free(s->store.name);
  free(s);
}

static const struct store_ops dir_store_ops = {
    .name = "dir",
    .put = dir_store_put,
    .put_new = dir_store_put_new,
    .get = dir_store_get,
    .head = dir_store_head,
    .list = dir_store_list,
    .remove = dir_store_remove,
    .sync = dir_store_sync,
    .caps = dir_store_caps,
    .close = dir_store_close,
};

int
store_dir_new(struct vdk_dir *dir, struct vdk_store **ret,
              struct vdk_error *err)
{
  struct dir_store *s = mem_array(1, sizeof *s);
  uint8_t token[8];
  int r;

  if (!s)
    return error_nomem(err, "opening a store");
  s->store.ops = &dir_store_ops;
  s->store.name = str_dup(dir->path);
  if (!s->store.name) {
    free(s);
    return error_nomem(err, "opening a store");
  }
  r = sys_random(token, sizeof token, err);
  if (r) {
    free(s->store.name);
    free(s);
    return r;
  }
  hex_encode(token, sizeof token, s->token);
  pthread_mutex_init(&s->mutex, NULL);
  pthread_mutex_init(&s->sync_mutex, NULL);
  s->dir = dir_ref(dir);
  *ret = &s->store;
  return 0;
}
