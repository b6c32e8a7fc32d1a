/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a chunk here: reserved (its id is in FRESH, so that no other
 * thread compresses it too), placed (a record in the open pack), uploaded
 * (the pack is stored), published (an index run names it; it leaves FRESH).
 * A chunk that another thread of this packer has only reserved counts as
 * there: should it fail, the packer fails, and no manifest will name it.
 * Chunks of other writers count only once they are published.
 *
 * Packs are numbered as they are begun (SEQ) and uploaded in that order.
 *
 * One mutex: it is held for a table look-up and for copying a record into the
 * open pack, some 10 us of the 800 us that a chunk takes.
 */
#include "repo/packer.h"

#include <signal.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "repo/table.h"

#define RESERVED UINT32_MAX /* pack of an entry that has no place yet */

struct pack {
  struct pack *next;
  uint8_t *buf; /* PACK_TARGET bytes */
  size_t len;
  uint32_t count;
  uint32_t seq;
};

struct packer {
  struct repo *r;
  int level;
  uint64_t checkpoint;

  pthread_mutex_t mutex;
  pthread_cond_t changed; /* packs: full, stored, failed */
  pthread_cond_t placed;  /* a reserved chunk has its place */
  unsigned place_waiters;
  struct table fresh; /* id -> seq, offset, stored length */
  struct pack *open, *full, *uploading, *free;
  unsigned buffers;
  uint32_t next_seq;
  struct repo_id *names; /* of packs from first_name on that were uploaded */
  size_t name_count, name_capacity;
  uint32_t first_name;
  uint64_t stored;
  bool stop, has_thread;
  bool failed;
  struct vdk_error err; /* why */
  pthread_t thread;

  /* The uploader's, and of who knows that it is idle. */
  struct index_entry *pending;
  size_t pending_count, pending_capacity;
  struct index_pack *packs;
  size_t pack_count, pack_capacity;
  uint64_t published_at; /* value of uploaded at the last checkpoint */
  uint64_t uploaded;
};

static void *uploader(void *arg);

int
packer_new(struct repo *r, int level, uint64_t checkpoint, struct packer **ret,
           struct vdk_error *err)
{
  struct packer *p = mem_array(1, sizeof *p);

  if (!p)
    return error_nomem(err, "opening a repository for writing");
  p->r = r;
  p->level = level;
  p->checkpoint = checkpoint ? checkpoint : PACKER_CHECKPOINT_DEFAULT;
  pthread_mutex_init(&p->mutex, NULL);
  pthread_cond_init(&p->changed, NULL);
  pthread_cond_init(&p->placed, NULL);
  *ret = p;
  return 0;
}

static void
pack_free(struct pack *k)
{
  if (k) {
    free(k->buf);
    free(k);
  }
}

static void
free_packs(struct pack *k)
{
  while (k) {
    struct pack *next = k->next;

    pack_free(k);
    k = next;
  }
}

/* --- Failing ------------------------------------------------------------- */

/* With the mutex held. */
static int
fail_locked(struct packer *p, const struct vdk_error *why)
{
  if (!p->failed) {
    p->failed = true;
    p->err = *why;
    pthread_cond_broadcast(&p->changed);
    pthread_cond_broadcast(&p->placed);
  }
  return -why->code;
}

static int
fail(struct packer *p, const struct vdk_error *why, struct vdk_error *err)
{
  LOCK_SCOPE(&p->mutex);
  fail_locked(p, why);
  return error_copy(err, why);
}

/* --- Uploading ----------------------------------------------------------- */

static int
note_record(void *opaque, const struct pack_record *r, const uint8_t *stored)
{
  struct packer *p = opaque;

  if (!mem_grow(&p->pending, &p->pending_capacity, p->pending_count + 1,
                sizeof *p->pending))
    return -VDK_E_NOMEM;
  p->pending[p->pending_count++] = (struct index_entry){
      r->id, (uint32_t)p->pack_count, r->offset, r->stored_len};
  return 0;
}

static int
store_pack(struct packer *p, struct pack *k, struct repo_id *ret_name,
           struct vdk_error *err)
{
  char key[PACK_KEY_SIZE];
  size_t size = pack_finish(k->buf, k->len, k->count);
  int r = id_of(k->buf, size, ret_name, err);

  if (r)
    return r;
  r = store_put(p->r->store, pack_key(ret_name, key), k->buf, size, err);
  if (r)
    return r;
  if (!mem_grow(&p->packs, &p->pack_capacity, p->pack_count + 1,
                sizeof *p->packs) ||
      pack_walk(k->buf, size, key, false, note_record, p, err) != 0)
    return error_nomem(err, "storing a pack");
  p->packs[p->pack_count++] = (struct index_pack){*ret_name, (uint32_t)size};
  p->uploaded += size;
  return 0;
}

/* FRESH without what is published, which are packs before SEQ. */
static int
drop_published(struct packer *p, uint32_t seq)
{
  struct table kept = {0};

  for (size_t i = 0; i < p->fresh.count; i++) {
    const struct index_entry *e = table_at(&p->fresh, i);
    struct index_entry *copy;

    if (e->pack != RESERVED && e->pack < seq)
      continue;
    copy = table_add(&kept, &e->id);
    if (!copy) {
      table_clear(&kept);
      return -VDK_E_NOMEM;
    }
    *copy = *e;
  }
  table_clear(&p->fresh);
  p->fresh = kept;
  p->first_name = seq;
  p->name_count = 0;
  return 0;
}

/* An index run of what was uploaded since the last. */
static int
publish(struct packer *p, struct vdk_error *err)
{
  _cleanup_free_ uint8_t *object = NULL;
  char key[INDEX_KEY_SIZE];
  struct repo_id name;
  size_t len;
  int r;

  if (p->pending_count == 0)
    return 0;
  r = store_sync(p->r->store, err);
  if (r)
    return r;
  r = index_run_make(p->pending, p->pending_count, p->packs, p->pack_count,
                     &object, &len, err);
  if (r)
    return r;
  r = id_of(object, len, &name, err);
  if (r)
    return r;
  r = store_put(p->r->store, index_key(&name, key), object, len, err);
  if (r)
    return r;
  r = index_add(p->r->index, &name, object, len, err);
  if (r)
    return r;
  p->pending_count = p->pack_count = 0;
  p->published_at = p->uploaded;
  LOCK_SCOPE(&p->mutex);
  r = drop_published(p, p->first_name + (uint32_t)p->name_count);
  return r ? error_nomem(err, "writing the index") : 0;
}

/* An eighth of what was stored, so that a long run does not make thousands of
 * index runs; but never more than memory should hold. */
static bool
checkpoint_is_due(const struct packer *p)
{
  return p->uploaded - p->published_at >=
             MAX(p->checkpoint, p->published_at / 8) ||
         p->pending_count >= PACKER_PENDING_MAX;
}

static int
upload(struct packer *p, struct pack *k, struct vdk_error *err)
{
  struct repo_id name;
  int r = store_pack(p, k, &name, err);

  if (r)
    return r;
  pthread_mutex_lock(&p->mutex);
  if (mem_grow(&p->names, &p->name_capacity, p->name_count + 1,
               sizeof *p->names))
    p->names[p->name_count++] = name;
  else
    r = error_nomem(err, "storing a pack");
  pthread_mutex_unlock(&p->mutex);
  return r == 0 && checkpoint_is_due(p) ? publish(p, err) : r;
}

static void *
uploader(void *arg)
{
  struct packer *p = arg;

  pthread_mutex_lock(&p->mutex);
  while (!p->stop) {
    struct pack *k = p->full;
    struct vdk_error err = VDK_ERROR_INIT;
    int r;

    if (!k || p->failed) {
      pthread_cond_wait(&p->changed, &p->mutex);
      continue;
    }
    p->full = k->next;
    p->uploading = k;
    pthread_mutex_unlock(&p->mutex);
    r = upload(p, k, &err);
    pthread_mutex_lock(&p->mutex);
    p->uploading = NULL;
    k->next = p->free;
    p->free = k;
    if (r)
      fail_locked(p, &err);
    pthread_cond_broadcast(&p->changed);
  }
  pthread_mutex_unlock(&p->mutex);
  return NULL;
}

/* With the mutex held. Signals are the host program's. */
static int
start_uploader(struct packer *p, struct vdk_error *err)
{
  sigset_t all, old;
  int r;

  if (p->has_thread)
    return 0;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  r = pthread_create(&p->thread, NULL, uploader, p);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (r)
    return error_errno(err, r, "cannot start the thread that stores packs");
  p->has_thread = true;
  return 0;
}

/* With the mutex held: the open pack, if it holds anything, is to be stored.
 */
static int
close_open(struct packer *p, struct vdk_error *err)
{
  struct pack **at = &p->full;
  int r;

  if (!p->open)
    return 0;
  r = start_uploader(p, err);
  if (r)
    return r;
  while (*at)
    at = &(*at)->next;
  *at = TAKE_PTR(p->open);
  pthread_cond_broadcast(&p->changed);
  return 0;
}

/* --- Placing ------------------------------------------------------------- */

/* With the mutex held: a pack to write to; waits for a buffer. */
static int
begin_pack(struct packer *p, struct vdk_error *err)
{
  struct pack *k;

  while (!p->failed && !p->open && !p->free && p->buffers >= PACKER_BUFFERS)
    pthread_cond_wait(&p->changed, &p->mutex);
  if (p->failed)
    return error_copy(err, &p->err);
  if (p->open)
    return 0;
  k = p->free;
  if (k) {
    p->free = k->next;
  } else {
    k = mem_array(1, sizeof *k);
    if (!k || !(k->buf = mem_buffer(PACK_TARGET))) {
      free(k);
      return error_nomem(err, "beginning a pack");
    }
    p->buffers++;
  }
  k->next = NULL;
  k->len = PACK_HEADER_SIZE;
  k->count = 0;
  k->seq = p->next_seq++;
  pack_header_put(k->buf);
  p->open = k;
  return 0;
}

static bool
has_room(const struct pack *k, size_t len)
{
  return k->len + len + pack_tail_size((size_t)k->count + 1) <= PACK_TARGET;
}

/* The record goes into the open pack, its place into FRESH. */
static int
place(struct packer *p, const struct repo_id *id, const uint8_t *record,
      size_t len, struct vdk_error *err)
{
  struct index_entry *e;
  struct pack *k;

  LOCK_SCOPE(&p->mutex);
  do {
    int r = p->failed ? error_copy(err, &p->err) : 0;

    if (r == 0 && p->open && !has_room(p->open, len))
      r = close_open(p, err);
    if (r == 0)
      r = begin_pack(p, err);
    if (r)
      return r;
  } while (!has_room(p->open, len));
  k = p->open;
  memcpy(k->buf + k->len, record, len);
  e = table_find(&p->fresh, id);
  e->offset = (uint32_t)k->len;
  e->stored_len = (uint32_t)(len - RECORD_SIZE);
  e->pack = k->seq;
  k->len += len;
  k->count++;
  p->stored += len;
  if (p->place_waiters)
    pthread_cond_broadcast(&p->placed);
  return 0;
}

/* Unless ONLY_LOOK, a chunk that was not there is now this thread's to store.
 */
static int
reserve(struct packer *p, const struct repo_id *id, bool only_look,
        bool *ret_there, struct vdk_error *err)
{
  LOCK_SCOPE(&p->mutex);
  if (p->failed)
    return error_copy(err, &p->err);
  *ret_there = table_find(&p->fresh, id) != NULL;
  if (!*ret_there && !only_look) {
    struct index_entry *e = table_add(&p->fresh, id);

    if (!e)
      return error_nomem(err, "storing a chunk");
    e->pack = RESERVED;
  }
  return 0;
}

int
packer_put(struct packer *p, struct codec *c, enum record_type type,
           const struct repo_id *id, const void *raw, uint32_t len,
           uint64_t *ret_stored, struct vdk_error *err)
{
  struct pack_record record = {.id = *id, .type = type, .raw_len = len};
  struct vdk_error why = VDK_ERROR_INIT;
  struct chunk_place at;
  const uint8_t *bytes;
  size_t size;
  bool there;
  int r = reserve(p, id, true, &there, err);

  *ret_stored = 0;
  if (r || there)
    return r;
  r = index_find(p->r->index, id, NULL, &at, err);
  if (r != -VDK_E_NOT_FOUND)
    return r;
  r = reserve(p, id, false, &there, err);
  if (r || there)
    return r;
  r = codec_encode(c, p->level, &record, raw, &bytes, &size, &why);
  if (r == 0)
    r = place(p, id, bytes, size, &why);
  if (r)
    return fail(p, &why, err);
  *ret_stored = size;
  return 0;
}

/* --- Reading back -------------------------------------------------------- */

static const struct pack *
pack_in_memory(const struct packer *p, uint32_t seq)
{
  if (p->open && p->open->seq == seq)
    return p->open;
  if (p->uploading && p->uploading->seq == seq)
    return p->uploading;
  for (const struct pack *k = p->full; k; k = k->next)
    if (k->seq == seq)
      return k;
  return NULL;
}

enum where { NOT_HERE, IN_MEMORY, IN_STORE };

/* Finds a chunk of our own: a copy of its record in C's buffer, or a place in
 * a pack that was stored. */
static int
find_own(struct packer *p, struct codec *c, const struct repo_id *id,
         enum where *ret, struct chunk_place *place, struct vdk_error *err)
{
  struct index_entry *e;
  const struct pack *k;
  uint8_t *copy;
  size_t len;

  LOCK_SCOPE(&p->mutex);
  p->place_waiters++;
  while ((e = table_find(&p->fresh, id)) && e->pack == RESERVED && !p->failed)
    pthread_cond_wait(&p->placed, &p->mutex);
  p->place_waiters--;
  *ret = NOT_HERE;
  if (p->failed)
    return error_copy(err, &p->err);
  if (!e)
    return 0;
  *place =
      (struct chunk_place){.offset = e->offset, .stored_len = e->stored_len};
  k = pack_in_memory(p, e->pack);
  if (!k) {
    place->pack = p->names[e->pack - p->first_name];
    *ret = IN_STORE;
    return 0;
  }
  len = RECORD_SIZE + (size_t)e->stored_len;
  copy = codec_buffer(c, len);
  if (!copy)
    return error_nomem(err, "reading a chunk back");
  memcpy(copy, k->buf + e->offset, len);
  *ret = IN_MEMORY;
  return 0;
}

int
packer_get(struct packer *p, struct codec *c, const struct repo_id *id,
           void *dst, uint32_t len, struct vdk_error *err)
{
  struct chunk_place place;
  enum where where = NOT_HERE;
  uint32_t got = 0;
  int r = 0;

  if (!id_is_zero(id))
    r = find_own(p, c, id, &where, &place, err);
  if (r)
    return r;
  switch (where) {
  case IN_STORE:
    return repo_chunk_read_at(p->r, c, id, &place, dst, len, err);
  case IN_MEMORY:
    r = codec_decode(c, id, codec_buffer(c, 0),
                     RECORD_SIZE + (size_t)place.stored_len, "a pack in memory",
                     place.offset, dst, len, &got, err);
    if (r == 0 && got != len)
      return error_set(err, VDK_E_INTERNAL, "a chunk of %u bytes, not %u", got,
                       len);
    return r;
  default:
    return repo_chunk_read(p->r, c, id, dst, len, err);
  }
}

/* --- The end ------------------------------------------------------------- */

/* All packs are stored and the uploader is idle. */
static int
drain(struct packer *p, struct vdk_error *err)
{
  int r;

  LOCK_SCOPE(&p->mutex);
  r = close_open(p, err);
  while (r == 0 && !p->failed && (p->full || p->uploading))
    pthread_cond_wait(&p->changed, &p->mutex);
  return p->failed ? error_copy(err, &p->err) : r;
}

int
packer_finish(struct packer *p, struct vdk_error *err)
{
  struct vdk_error why = VDK_ERROR_INIT;
  int r = drain(p, &why);

  if (r == 0)
    r = publish(p, &why);
  if (r == 0)
    r = store_sync(p->r->store, &why);
  return r ? fail(p, &why, err) : 0;
}

uint64_t
packer_stored(struct packer *p)
{
  LOCK_SCOPE(&p->mutex);
  return p->stored;
}

void
packer_free(struct packer *p)
{
  if (!p)
    return;
  if (!p->failed)
    packer_finish(p, NULL);
  pthread_mutex_lock(&p->mutex);
  p->stop = true;
  pthread_cond_broadcast(&p->changed);
  pthread_mutex_unlock(&p->mutex);
  if (p->has_thread)
    pthread_join(p->thread, NULL);
  pack_free(p->open);
  free_packs(p->full);
  free_packs(p->free);
  table_clear(&p->fresh);
  free(p->names);
  free(p->pending);
  free(p->packs);
  pthread_cond_destroy(&p->changed);
  pthread_cond_destroy(&p->placed);
  pthread_mutex_destroy(&p->mutex);
  free(p);
}
