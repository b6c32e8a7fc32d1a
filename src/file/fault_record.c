/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was done to a directory, and what a power cut would leave of it.
 *
 * Files are numbered: a write belongs to a file, whatever that is called when
 * the power goes, and names are changes of their own, durable by themselves.
 * So "written and flushed, but the name was never synced" loses the file, and
 * "renamed, but the bytes were never flushed" gives a name to lost bytes: the
 * two mistakes that such tests look for.
 *
 * A replay has two passes. Backwards from the cut it finds which changes are
 * durable: for each file and directory the highest "covers" of the flushes
 * passed so far. Forwards it does what is durable or kept on copies of the
 * first state that share their blocks with it, so that a replay costs about
 * what its changes cost.
 */
#include "file/fault_record.h"

#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "file/memory.h"

#define SECTOR 512u

struct base_entry {
  char *name;
  unsigned file;
  struct memory_node *node; /* NULL: a directory */
};

/* A change as stored: texts and bytes are its own, folders are numbers. */
struct change {
  struct fault_change c;
  unsigned folder, to_folder;
};

struct fault_record {
  struct base_entry *base;
  size_t base_count, base_capacity;
  struct change *changes;
  size_t count, capacity;
  char **folders;
  size_t folder_count, folder_capacity;
  unsigned file_count; /* highest number + 1 */
};

int
fault_record_new(struct fault_record **ret, struct vdk_error *err)
{
  struct fault_record *r = mem_array(1, sizeof *r);

  if (!r)
    return error_nomem(err, "starting a record");
  *ret = r;
  return 0;
}

static void
change_free(struct fault_change *c)
{
  free((void *)(uintptr_t)c->data);
  free((void *)(uintptr_t)c->name);
  free((void *)(uintptr_t)c->to);
}

void
fault_record_free(struct fault_record *r)
{
  if (!r)
    return;
  for (size_t i = 0; i < r->base_count; i++) {
    free(r->base[i].name);
    memory_node_unref(r->base[i].node);
  }
  for (size_t i = 0; i < r->count; i++)
    change_free(&r->changes[i].c);
  for (size_t i = 0; i < r->folder_count; i++)
    free(r->folders[i]);
  free(r->base);
  free(r->changes);
  free(r->folders);
  free(r);
}

size_t
fault_record_count(const struct fault_record *r)
{
  return r->count;
}

/* --- Writing down --------------------------------------------------------- */

static int
copy_content(struct vdk_file *f, struct memory_node *node,
             struct vdk_error *err)
{
  uint8_t buf[16384];
  uint64_t size, at = 0, n;
  int state, r = file_size(f, &size, err);

  if (r == 0 && !memory_node_truncate(node, size))
    r = error_nomem(err, "copying a file for a record");
  while (r == 0 && at < size) {
    r = file_extent(f, at, size - at, &n, &state, err);
    if (r == 0 && state == VDK_EXTENT_DATA) {
      n = MIN(n, (uint64_t)sizeof buf);
      r = file_read(f, at, buf, (size_t)n, err);
      if (r == 0 && !memory_node_write(node, at, buf, (size_t)n))
        r = error_nomem(err, "copying a file for a record");
    }
    at += n;
  }
  return r;
}

int
fault_record_base(struct fault_record *r, const char *name, unsigned file,
                  struct vdk_file *f, struct vdk_error *err)
{
  struct base_entry e = {.name = str_dup(name), .file = file};
  int result = 0;

  if (f)
    e.node = memory_node_new();
  if (!e.name || (f && !e.node) ||
      !mem_grow(&r->base, &r->base_capacity, r->base_count + 1,
                sizeof *r->base))
    result = error_nomem(err, "copying a file for a record");
  else if (f)
    result = copy_content(f, e.node, err);
  if (result < 0) {
    free(e.name);
    memory_node_unref(e.node);
    return result;
  }
  r->base[r->base_count++] = e;
  r->file_count = MAX(r->file_count, file + 1);
  return 0;
}

/* The number of the folder called NAME. */
static bool
intern_folder(struct fault_record *r, const char *name, unsigned *ret)
{
  for (*ret = 0; *ret < r->folder_count; (*ret)++)
    if (strcmp(r->folders[*ret], name) == 0)
      return true;
  if (!mem_grow(&r->folders, &r->folder_capacity, r->folder_count + 1,
                sizeof *r->folders))
    return false;
  r->folders[r->folder_count] = str_dup(name);
  return r->folders[r->folder_count] && ++r->folder_count;
}

static bool
folder_of(struct fault_record *r, const char *name, unsigned *ret)
{
  _cleanup_free_ char *folder = path_dirname(name);

  return folder &&
         intern_folder(r, strcmp(folder, ".") == 0 ? "" : folder, ret);
}

int
fault_record_add(struct fault_record *r, const struct fault_change *c,
                 struct vdk_error *err)
{
  struct change copy = {.c = *c};
  bool ok = true;

  copy.c.data = c->data ? mem_dup(c->data, (size_t)c->len) : NULL;
  copy.c.name = str_dup(c->name);
  copy.c.to = str_dup(c->to);
  ok = (!c->data || copy.c.data) && (!c->name || copy.c.name) &&
       (!c->to || copy.c.to);
  if (ok && c->type == CHANGE_SYNC)
    ok = intern_folder(r, c->name, &copy.folder);
  else if (ok && c->name)
    ok = folder_of(r, c->name, &copy.folder);
  if (ok && c->to)
    ok = folder_of(r, c->to, &copy.to_folder);
  ok = ok &&
       mem_grow(&r->changes, &r->capacity, r->count + 1, sizeof *r->changes);
  if (!ok) {
    change_free(&copy.c);
    return error_nomem(err, "recording a change");
  }
  r->changes[r->count++] = copy;
  r->file_count = MAX(r->file_count, c->file + 1);
  return 0;
}

/* --- Replaying ------------------------------------------------------------ */

/* How much of a change is left. */
enum fate { LOST, KEPT, TORN };

struct replay {
  const struct fault_record *record;
  struct vdk_dir *dir;
  struct memory_node **nodes; /* by file */
  uint8_t *fates;
  uint64_t random;
};

static uint64_t
next_random(struct replay *p)
{
  p->random ^= p->random << 13;
  p->random ^= p->random >> 7;
  p->random ^= p->random << 17;
  return p->random * 0x2545f4914f6cdd1du >> 32;
}

static bool
is_durable(const struct change *e, size_t i, const size_t *files,
           const size_t *folders)
{
  switch (e->c.type) {
  case CHANGE_CREATE:
  case CHANGE_MAKE:
  case CHANGE_REMOVE:
    return i < folders[e->folder];
  case CHANGE_RENAME:
    return i < folders[e->folder] && i < folders[e->to_folder];
  default:
    return i < files[e->c.file];
  }
}

/* FATES: KEPT for what is durable, LOST for the rest. */
static int
find_durable(struct replay *p, size_t cut, struct vdk_error *err)
{
  const struct fault_record *r = p->record;
  _cleanup_free_ size_t *files = mem_array(r->file_count, sizeof *files);
  _cleanup_free_ size_t *folders = mem_array(r->folder_count, sizeof *folders);

  if (!files || !folders)
    return error_nomem(err, "replaying a record");
  for (size_t i = cut; i-- > 0;) {
    const struct change *e = &r->changes[i];

    if (e->c.type == CHANGE_FLUSH)
      files[e->c.file] = MAX(files[e->c.file], e->c.covers);
    else if (e->c.type == CHANGE_SYNC)
      folders[e->folder] = MAX(folders[e->folder], e->c.covers);
    else
      p->fates[i] = is_durable(e, i, files, folders) ? KEPT : LOST;
  }
  return 0;
}

static void
decide_fates(struct replay *p, size_t cut, enum crash_keep keep)
{
  const struct change *changes = p->record->changes;
  bool torn = keep != CRASH_KEEP_TORN;

  for (size_t i = cut; i-- > 0;) {
    bool is_write = changes[i].c.type == CHANGE_WRITE;

    if (is_write && !torn) {
      torn = true;
      if (p->fates[i] == LOST)
        p->fates[i] = TORN;
    }
    if (p->fates[i] != LOST)
      continue;
    if (keep == CRASH_KEEP_ALL || keep == CRASH_KEEP_TORN)
      p->fates[i] = KEPT;
    else if (keep == CRASH_KEEP_RANDOM && next_random(p) % 2)
      p->fates[i] = is_write && next_random(p) % 4 == 0 ? TORN : KEPT;
  }
}

/* How many bytes of a torn write are there: up to a sector's start. */
static size_t
torn_length(struct replay *p, const struct fault_change *c,
            enum crash_keep keep)
{
  uint64_t first = c->offset / SECTOR;
  uint64_t sectors = div_round_up(c->offset + c->len, SECTOR) - first;
  uint64_t left =
      keep == CRASH_KEEP_TORN ? sectors / 2 : next_random(p) % (sectors + 1);
  uint64_t end = (first + left) * SECTOR;

  if (sectors < 2)
    return (size_t)c->len;
  return end > c->offset ? (size_t)MIN(end - c->offset, c->len) : 0;
}

static bool
folder_exists(struct replay *p, unsigned folder)
{
  return p->record->folders[folder][0] == 0 ||
         memory_dir_has_folder(p->dir, p->record->folders[folder]);
}

static bool
replay_rename(struct replay *p, const struct change *e)
{
  struct memory_node *node = p->nodes[e->c.file];

  if (!folder_exists(p, e->to_folder))
    return true;
  /* The file that it was then, even if its first name is lost; of a
   * directory only the name is known. */
  if (node && memory_dir_get(p->dir, e->c.name) != node)
    return memory_dir_set(p->dir, e->c.to, node);
  return dir_rename(p->dir, e->c.name, e->c.to, true, NULL) != -VDK_E_NOMEM;
}

static struct memory_node *
node_of(struct replay *p, unsigned file)
{
  if (!p->nodes[file])
    p->nodes[file] = memory_node_new();
  return p->nodes[file];
}

/* False: out of memory. */
static bool
replay_change(struct replay *p, const struct change *e, size_t len)
{
  const struct fault_change *c = &e->c;
  struct memory_node *n;

  switch (c->type) {
  case CHANGE_RENAME:
    return replay_rename(p, e);
  case CHANGE_MAKE:
    return !folder_exists(p, e->folder) ||
           memory_dir_has_folder(p->dir, c->name) ||
           memory_dir_set(p->dir, c->name, NULL);
  case CHANGE_REMOVE:
    return dir_remove(p->dir, c->name, NULL) != -VDK_E_NOMEM;
  case CHANGE_FLUSH:
  case CHANGE_SYNC:
    return true;
  default:
    break;
  }
  n = node_of(p, c->file);
  if (!n)
    return false;
  switch (c->type) {
  case CHANGE_CREATE:
    return !folder_exists(p, e->folder) || memory_dir_set(p->dir, c->name, n);
  case CHANGE_WRITE:
    return memory_node_write(n, c->offset, c->data, len);
  case CHANGE_ZERO:
    return memory_node_zero(n, c->offset, c->len);
  case CHANGE_TRUNCATE:
    return memory_node_truncate(n, c->offset);
  default:
    return memory_node_size(n) >= c->offset ||
           memory_node_truncate(n, c->offset);
  }
}

static bool
replay_base(struct replay *p)
{
  const struct fault_record *r = p->record;

  for (size_t i = 0; i < r->base_count; i++) {
    const struct base_entry *b = &r->base[i];

    if (b->node) {
      p->nodes[b->file] = memory_node_clone(b->node);
      if (!p->nodes[b->file])
        return false;
    }
    if (!memory_dir_set(p->dir, b->name, b->node ? p->nodes[b->file] : NULL))
      return false;
  }
  return true;
}

static bool
replay_all(struct replay *p, size_t cut, enum crash_keep keep)
{
  if (!replay_base(p))
    return false;
  for (size_t i = 0; i < cut; i++) {
    const struct change *e = &p->record->changes[i];
    size_t len = (size_t)e->c.len;

    if (p->fates[i] == LOST)
      continue;
    if (p->fates[i] == TORN)
      len = torn_length(p, &e->c, keep);
    if (!replay_change(p, e, len))
      return false;
  }
  return true;
}

int
fault_record_crash(const struct fault_record *r, size_t cut,
                   enum crash_keep keep, unsigned seed, struct vdk_dir **ret,
                   struct vdk_error *err)
{
  _cleanup_dir_ struct vdk_dir *dir = NULL;
  struct replay p = {
      .record = r,
      .random = ((uint64_t)seed << 20 ^ cut) * 0x9e3779b97f4a7c15u | 1,
  };
  int result;

  if (cut > r->count)
    return error_set(err, VDK_E_INVAL,
                     "cannot cut behind change %zu: there are %zu", cut,
                     r->count);
  result = dir_memory_new("crashed", &dir, err);
  if (result < 0)
    return result;
  p.dir = dir;
  p.nodes = mem_array(r->file_count, sizeof *p.nodes);
  p.fates = mem_array(cut, 1);
  if (!p.nodes || !p.fates)
    result = error_nomem(err, "replaying a record");
  else
    result = find_durable(&p, cut, err);
  if (result == 0) {
    decide_fates(&p, cut, keep);
    if (!replay_all(&p, cut, keep))
      result = error_nomem(err, "replaying a record");
  }
  for (unsigned i = 0; p.nodes && i < r->file_count; i++)
    memory_node_unref(p.nodes[i]);
  free(p.nodes);
  free(p.fates);
  if (result == 0)
    *ret = TAKE_PTR(dir);
  return result;
}
