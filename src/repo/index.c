/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs form a list that only grows, so that it is walked without a lock; the
 * resident table and the page cache have a mutex each, held for a copy.
 *
 * A look-up in a paged run guesses the page from the id (ids are evenly
 * spread), looks at its neighbours when it missed, and halves what is left
 * after that, so that a run made to mislead costs no more than a binary
 * search.
 */
#include "repo/index.h"

#include <pthread.h>

#include "base/checked.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "repo/table.h"

#define CACHE_PAGES 512u /* 2 MiB */

struct run {
  struct run *next;
  char key[INDEX_KEY_SIZE];
  uint64_t number;
  bool resident;
  struct index_head head;
};

struct cached_page {
  uint64_t tag; /* run number and page; 0: empty */
  uint8_t bytes[INDEX_PAGE_SIZE];
};

struct index {
  struct vdk_store *store;
  const struct vdk_log *log;
  size_t resident_max;

  pthread_mutex_t refresh_mutex; /* one refresher at a time */
  bool loaded;                   /* atomic */
  struct table known;            /* names of runs; refresh_mutex */

  pthread_mutex_t mutex; /* the fields below */
  struct table resident;
  struct index_pack *packs; /* of resident entries */
  size_t pack_count, pack_capacity;
  struct run *runs; /* newest first; read without the mutex */

  pthread_mutex_t cache_mutex;
  struct cached_page *cache;
};

int
index_new(struct vdk_store *store, const struct vdk_log *log,
          struct index **ret, struct vdk_error *err)
{
  struct index *x = mem_array(1, sizeof *x);

  if (!x)
    return error_nomem(err, "opening a repository's index");
  x->store = store;
  x->log = log;
  x->resident_max = INDEX_RESIDENT_MAX;
  pthread_mutex_init(&x->refresh_mutex, NULL);
  pthread_mutex_init(&x->mutex, NULL);
  pthread_mutex_init(&x->cache_mutex, NULL);
  *ret = x;
  return 0;
}

void
index_free(struct index *x)
{
  if (!x)
    return;
  while (x->runs) {
    struct run *next = x->runs->next;

    free(x->runs);
    x->runs = next;
  }
  table_clear(&x->known);
  table_clear(&x->resident);
  free(x->packs);
  free(x->cache);
  pthread_mutex_destroy(&x->refresh_mutex);
  pthread_mutex_destroy(&x->mutex);
  pthread_mutex_destroy(&x->cache_mutex);
  free(x);
}

void
index_set_resident_max(struct index *x, size_t entries)
{
  x->resident_max = entries;
}

/* --- Whole runs ---------------------------------------------------------- */

static int
run_damaged(struct vdk_error *err, const char *key, const char *problem)
{
  return error_set(err, VDK_E_DAMAGED, "%s is damaged: %s", key, problem);
}

/* Checks a whole run but for its name; FN sees its entries. */
static int
walk_run(const char *key, const uint8_t *object, uint64_t len,
         int (*fn)(void *opaque, const struct index_entry *e,
                   const struct index_pack *pack),
         void *opaque, struct vdk_error *err)
{
  struct index_head head;
  struct index_entry e = {0}, last;
  const char *problem;

  if (len < INDEX_PAGE_SIZE)
    return run_damaged(err, key, "it is too short");
  problem = index_head_get(object, len, &head);
  if (problem)
    return run_damaged(err, key, problem);
  for (uint64_t at = INDEX_PAGE_SIZE; at < len; at += INDEX_PAGE_SIZE)
    if (!index_page_is_whole(object + at))
      return run_damaged(err, key, "the checksum of a page is wrong");
  for (uint64_t i = 0; i < head.entries; i++) {
    const uint8_t *page =
        object + index_page_of_entry(&head, i) * INDEX_PAGE_SIZE;
    struct index_pack pack;
    int ret;

    last = e;
    if (!index_entry_get(page, &head, i, &e))
      return run_damaged(err, key, "an entry points nowhere");
    if (i > 0 && memcmp(&last.id, &e.id, sizeof e.id) >= 0)
      return run_damaged(err, key, "its entries do not ascend");
    if (i >= head.fanout[e.id.bytes[0]] ||
        (e.id.bytes[0] > 0 && i < head.fanout[e.id.bytes[0] - 1]))
      return run_damaged(err, key, "its fan-out is wrong");
    index_pack_get(object + index_page_of_pack(e.pack) * INDEX_PAGE_SIZE,
                   e.pack, &pack);
    if ((uint64_t)e.offset + RECORD_SIZE + e.stored_len > pack.size)
      return run_damaged(err, key, "an entry points behind its pack");
    ret = fn(opaque, &e, &pack);
    if (ret)
      return ret;
  }
  return 0;
}

int
index_run_read(struct vdk_store *store, const char *key, uint64_t size,
               int (*fn)(void *opaque, const struct index_entry *e,
                         const struct index_pack *pack),
               void *opaque, struct vdk_error *err)
{
  _cleanup_free_ uint8_t *object = NULL;
  struct repo_id want, got;
  int ret;

  if (!index_key_parse(key, &want))
    return run_damaged(err, key, "its name is not that of an index run");
  if (size < INDEX_PAGE_SIZE ||
      size > index_run_size(INDEX_ENTRIES_MAX, INDEX_PACKS_MAX))
    return run_damaged(err, key, "it has a wrong size");
  object = mem_buffer(size);
  if (!object)
    return error_nomem(err, "reading an index run");
  ret = store_get(store, key, 0, object, size, err);
  if (ret)
    return ret;
  ret = id_of(object, size, &got, err);
  if (ret)
    return ret;
  if (!id_equal(&want, &got))
    return run_damaged(err, key, "its SHA-256 is not its name");
  return walk_run(key, object, size, fn, opaque, err);
}

/* --- Loading ------------------------------------------------------------- */

/* Numbers of packs in the run are made numbers of packs in memory. */
struct loader {
  struct index *x;
  struct repo_id last_pack;
  uint32_t last_number;
  bool has_last;
  struct table numbers; /* pack id -> number */
};

static int
number_of_pack(struct loader *l, const struct index_pack *pack, uint32_t *ret)
{
  struct index *x = l->x;
  struct index_entry *e;

  if (l->has_last && id_equal(&l->last_pack, &pack->id)) {
    *ret = l->last_number;
    return 0;
  }
  e = table_find(&l->numbers, &pack->id);
  if (!e) {
    if (x->pack_count >= UINT32_MAX ||
        !mem_grow(&x->packs, &x->pack_capacity, x->pack_count + 1,
                  sizeof *x->packs) ||
        !(e = table_add(&l->numbers, &pack->id)))
      return -VDK_E_NOMEM;
    e->pack = (uint32_t)x->pack_count;
    x->packs[x->pack_count++] = *pack;
  }
  l->last_pack = pack->id;
  *ret = l->last_number = e->pack;
  l->has_last = true;
  return 0;
}

static int
load_entry(void *opaque, const struct index_entry *e,
           const struct index_pack *pack)
{
  struct loader *l = opaque;
  struct index *x = l->x;
  struct index_entry *mine;
  uint32_t number;
  int ret = 0;

  LOCK_SCOPE(&x->mutex);
  if (table_find(&x->resident, &e->id))
    return 0;
  ret = number_of_pack(l, pack, &number);
  if (ret)
    return ret;
  mine = table_add(&x->resident, &e->id);
  if (!mine)
    return -VDK_E_NOMEM;
  mine->pack = number;
  mine->offset = e->offset;
  mine->stored_len = e->stored_len;
  return 0;
}

static void
append_run(struct index *x, struct run *run)
{
  LOCK_SCOPE(&x->mutex);
  run->number = x->runs ? x->runs->number + 1 : 1;
  run->next = x->runs;
  __atomic_store_n(&x->runs, run, __ATOMIC_RELEASE);
}

/* At most that many entries are in a run of SIZE bytes. */
static bool
fits_resident(struct index *x, uint64_t size)
{
  uint64_t entries = size / INDEX_PAGE_SIZE * INDEX_PAGE_ENTRIES;

  return x->resident.count < x->resident_max &&
         entries <= x->resident_max - x->resident.count;
}

static int
load_resident(struct index *x, const char *key, uint64_t size,
              const uint8_t *object, struct vdk_error *err)
{
  struct loader l = {.x = x};
  int ret;

  ret = object ? walk_run(key, object, size, load_entry, &l, err)
               : index_run_read(x->store, key, size, load_entry, &l, err);
  table_clear(&l.numbers);
  if (ret == -VDK_E_NOMEM)
    return error_nomem(err, "loading the index");
  return ret;
}

/* OBJECT may be NULL: then the store is read. */
static int
add_run(struct index *x, const char *key, uint64_t size, const uint8_t *object,
        struct vdk_error *err)
{
  uint8_t page[INDEX_PAGE_SIZE];
  _cleanup_free_ struct run *run = mem_array(1, sizeof *run);
  const char *problem;
  int ret;

  if (!run)
    return error_nomem(err, "loading the index");
  if (size < sizeof page)
    return run_damaged(err, key, "it is too short");
  if (object) {
    memcpy(page, object, sizeof page);
  } else {
    ret = store_get(x->store, key, 0, page, sizeof page, err);
    if (ret)
      return ret;
  }
  problem = index_head_get(page, size, &run->head);
  if (problem)
    return run_damaged(err, key, problem);
  memcpy(run->key, key, sizeof run->key);
  if (fits_resident(x, size)) {
    ret = load_resident(x, key, size, object, err);
    if (ret)
      return ret;
    run->resident = true;
  }
  append_run(x, TAKE_PTR(run));
  return 0;
}

struct found_run {
  char key[INDEX_KEY_SIZE];
  struct repo_id name;
  uint64_t size;
};

struct found_runs {
  struct index *x;
  struct found_run *runs;
  size_t count, capacity;
};

static int
collect_run(void *opaque, const struct store_entry *e)
{
  struct found_runs *f = opaque;
  struct found_run run = {.size = e->size};

  if (!index_key_parse(e->key, &run.name) ||
      table_find(&f->x->known, &run.name))
    return 0;
  memcpy(run.key, e->key, sizeof run.key);
  if (!mem_grow(&f->runs, &f->capacity, f->count + 1, sizeof *f->runs))
    return -VDK_E_NOMEM;
  f->runs[f->count++] = run;
  return 0;
}

static int
compare_size(const void *a, const void *b)
{
  const struct found_run *x = a, *y = b;

  return x->size < y->size ? -1 : x->size > y->size;
}

static int
add_found(struct index *x, const struct found_run *f, struct vdk_error *err)
{
  struct vdk_error why = VDK_ERROR_INIT;
  int ret = add_run(x, f->key, f->size, NULL, &why);

  switch (-ret) {
  case 0:
    break;
  case VDK_E_NOT_FOUND: /* removed since it was listed */
    return 0;
  case VDK_E_DAMAGED:
  case VDK_E_TRUNCATED:
    log_warning(x->log, "%s: %s; its chunks are not known", x->store->name,
                vdk_error_message(&why));
    break;
  default:
    return error_copy(err, &why);
  }
  if (!table_add(&x->known, &f->name))
    return error_nomem(err, "loading the index");
  return 0;
}

int
index_refresh(struct index *x, struct vdk_error *err)
{
  struct found_runs f = {.x = x};
  int ret;

  LOCK_SCOPE(&x->refresh_mutex);
  ret = store_list(x->store, "index/", collect_run, &f, err);
  if (ret == -VDK_E_NOMEM)
    error_nomem(err, "listing the index");
  if (f.count > 1)
    qsort(f.runs, f.count, sizeof *f.runs, compare_size);
  for (size_t i = 0; i < f.count && ret == 0; i++)
    ret = add_found(x, &f.runs[i], err);
  free(f.runs);
  if (ret == 0)
    __atomic_store_n(&x->loaded, true, __ATOMIC_RELEASE);
  return ret;
}

int
index_add(struct index *x, const struct repo_id *name, const uint8_t *object,
          size_t len, struct vdk_error *err)
{
  char key[INDEX_KEY_SIZE];

  LOCK_SCOPE(&x->refresh_mutex);
  if (table_find(&x->known, name))
    return 0;
  if (!table_add(&x->known, name))
    return error_nomem(err, "adding to the index");
  return add_run(x, index_key(name, key), len, object, err);
}

/* --- Looking up ---------------------------------------------------------- */

static int
read_page(struct index *x, const struct run *run, uint64_t page, uint8_t *ret,
          struct vdk_error *err)
{
  uint64_t tag = run->number << 24 | page;
  size_t slot = (tag * 0x9e3779b97f4a7c15u >> 32) % CACHE_PAGES;
  bool hit = false;
  int r;

  pthread_mutex_lock(&x->cache_mutex);
  if (!x->cache)
    x->cache = mem_array(CACHE_PAGES, sizeof *x->cache);
  if (x->cache && x->cache[slot].tag == tag) {
    memcpy(ret, x->cache[slot].bytes, INDEX_PAGE_SIZE);
    hit = true;
  }
  pthread_mutex_unlock(&x->cache_mutex);
  if (hit)
    return 0;
  r = store_get(x->store, run->key, page * INDEX_PAGE_SIZE, ret,
                INDEX_PAGE_SIZE, err);
  if (r)
    return r;
  if (!index_page_is_whole(ret))
    return run_damaged(err, run->key, "the checksum of a page is wrong");
  LOCK_SCOPE(&x->cache_mutex);
  if (x->cache) {
    x->cache[slot].tag = tag;
    memcpy(x->cache[slot].bytes, ret, INDEX_PAGE_SIZE);
  }
  return 0;
}

/* Binary search in one page: the entry's index in it, or -1. */
static int
search_page(const uint8_t *page, unsigned count, const struct repo_id *id)
{
  unsigned low = 0, high = count;

  while (low < high) {
    unsigned middle = (low + high) / 2;
    int order = index_page_compare(page, middle, id);

    if (order == 0)
      return (int)middle;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return -1;
}

/* The page to look at next in [LOW, HIGH], after TRIES. */
static uint64_t
next_page(uint64_t low, uint64_t high, uint64_t guess, unsigned tries)
{
  if (tries < 3)
    return guess < low ? low : guess > high ? high : guess;
  return low + (high - low) / 2;
}

/* Finds ID's entry in the run. VDK_E_NOT_FOUND has no text. */
static int
find_entry(struct index *x, const struct run *run, const struct repo_id *id,
           uint8_t *page, struct index_entry *ret, struct vdk_error *err)
{
  const struct index_head *h = &run->head;
  unsigned byte = id->bytes[0];
  uint64_t first = byte ? h->fanout[byte - 1] : 0, count = h->fanout[byte];
  uint64_t low, high, guess;

  if (first == count)
    return -VDK_E_NOT_FOUND;
  low = first / INDEX_PAGE_ENTRIES;
  high = (count - 1) / INDEX_PAGE_ENTRIES;
  guess = (first + ((count - first) * be32_load(id->bytes + 1) >> 32)) /
          INDEX_PAGE_ENTRIES;
  for (unsigned tries = 0; low <= high; tries++) {
    uint64_t at = next_page(low, high, guess, tries);
    uint64_t entry = at * INDEX_PAGE_ENTRIES;
    unsigned n = index_page_count(h, entry);
    int r = read_page(x, run, index_page_of_entry(h, entry), page, err);

    if (r)
      return r;
    if (index_page_compare(page, 0, id) < 0) {
      if (at == 0)
        break;
      high = guess = at - 1;
    } else if (index_page_compare(page, n - 1, id) > 0) {
      low = guess = at + 1;
    } else {
      int i = search_page(page, n, id);

      if (i < 0)
        break;
      if (!index_entry_get(page, h, entry + (unsigned)i, ret))
        return run_damaged(err, run->key, "an entry points nowhere");
      return 0;
    }
  }
  return -VDK_E_NOT_FOUND;
}

static int
find_in_run(struct index *x, const struct run *run, const struct repo_id *id,
            struct chunk_place *ret, struct vdk_error *err)
{
  uint8_t page[INDEX_PAGE_SIZE];
  struct index_entry e;
  struct index_pack pack;
  int r = find_entry(x, run, id, page, &e, err);

  if (r)
    return r;
  r = read_page(x, run, index_page_of_pack(e.pack), page, err);
  if (r)
    return r;
  index_pack_get(page, e.pack, &pack);
  *ret = (struct chunk_place){pack.id, pack.size, e.offset, e.stored_len};
  return 0;
}

static bool
find_resident(struct index *x, const struct repo_id *id,
              struct chunk_place *ret)
{
  const struct index_entry *e;

  LOCK_SCOPE(&x->mutex);
  e = table_find(&x->resident, id);
  if (!e)
    return false;
  *ret = (struct chunk_place){x->packs[e->pack].id, x->packs[e->pack].size,
                              e->offset, e->stored_len};
  return true;
}

int
index_find(struct index *x, const struct repo_id *id,
           const struct repo_id *skip, struct chunk_place *ret,
           struct vdk_error *err)
{
  struct chunk_place place;
  int r;

  if (!__atomic_load_n(&x->loaded, __ATOMIC_ACQUIRE)) {
    r = index_refresh(x, err);
    if (r)
      return r;
  }
  if (find_resident(x, id, &place) && !(skip && id_equal(&place.pack, skip))) {
    *ret = place;
    return 0;
  }
  for (struct run *run = __atomic_load_n(&x->runs, __ATOMIC_ACQUIRE); run;
       run = run->next) {
    struct vdk_error why = VDK_ERROR_INIT;

    if (run->resident && !skip)
      continue;
    r = find_in_run(x, run, id, &place, &why);
    if (r == 0 && !(skip && id_equal(&place.pack, skip))) {
      *ret = place;
      return 0;
    }
    if (r == -VDK_E_DAMAGED || r == -VDK_E_TRUNCATED)
      log_warning(x->log, "%s: %s", x->store->name, vdk_error_message(&why));
    else if (r != 0 && r != -VDK_E_NOT_FOUND)
      return error_copy(err, &why);
  }
  return -VDK_E_NOT_FOUND;
}
