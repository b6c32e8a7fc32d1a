/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The objects themselves: vmbk.json, index runs, packs.
 *
 * Packs are read whole, each by one of a few threads, so that a deep
 * verification uses all processors; memory is one pack per thread.
 */
#include <stdio.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/sys.h"
#include "repo/verify.h"

#define THREADS_MAX 8u

/* A finding from an error that is one. */
static int
found_error(struct verify *v, const char *object, const struct vdk_error *why,
            uint32_t *ret, struct vdk_error *err)
{
  if (verify_is_fatal(-why->code))
    return error_copy(err, why);
  return verify_found(v, object, vdk_error_message(why), ret, err);
}

/* --- vmbk.json ----------------------------------------------------------- */

static int
verify_config(struct verify *v, struct vdk_error *err)
{
  struct repo copy = {.store = v->r->store};
  struct vdk_error why = VDK_ERROR_INIT;
  _cleanup_free_ char *text = NULL;
  size_t len;
  int r = store_get_all(v->r->store, "vmbk.json", VMBK_CONFIG_MAX, &text, &len,
                        &why);

  if (r == 0)
    r = repo_config_check(&copy, text, len, &why);
  if (r == 0 && strcmp(copy.uuid, v->r->uuid) != 0)
    return verify_found(v, "vmbk.json",
                        "it is that of another repository than when this one "
                        "was opened",
                        NULL, err);
  return r ? found_error(v, "vmbk.json", &why, NULL, err) : 0;
}

/* --- The list of packs --------------------------------------------------- */

static int
see_pack(void *opaque, const struct store_entry *e)
{
  struct verify *v = opaque;
  struct index_entry *pack;
  struct repo_id id;

  if (!pack_key_parse(e->key, &id) || table_find(&v->packs, &id))
    return 0;
  pack = table_add(&v->packs, &id);
  if (!pack)
    return -VDK_E_NOMEM;
  pack->stored_len = (uint32_t)MIN(e->size, (uint64_t)UINT32_MAX);
  v->stats.packs++;
  if (v->level != REPO_VERIFY_QUICK)
    v->total += e->size;
  return 0;
}

/* --- Index runs ---------------------------------------------------------- */

struct runs {
  struct verify *v;
  struct vdk_error *err;
  struct index_pack last; /* checked; its size is 0 at first */
};

static int
check_pack_size(struct verify *v, const struct index_pack *pack,
                struct vdk_error *err)
{
  struct index_entry *e = table_find(&v->packs, &pack->id);
  char key[PACK_KEY_SIZE], text[200];

  if (e && (e->pack != 0 || e->stored_len == pack->size))
    return 0;
  if (e)
    snprintf(text, sizeof text, "it has %u bytes where %u must be",
             e->stored_len, pack->size);
  else
    snprintf(text, sizeof text, "it is missing");
  if (!e && !(e = table_add(&v->packs, &pack->id)))
    return error_nomem(err, "verifying a repository");
  return verify_found(v, pack_key(&pack->id, key), text, &e->pack, err);
}

static int
see_entry(void *opaque, const struct index_entry *e,
          const struct index_pack *pack)
{
  struct runs *runs = opaque;

  if (runs->last.size == pack->size && id_equal(&runs->last.id, &pack->id))
    return 0;
  runs->last = *pack;
  return check_pack_size(runs->v, pack, runs->err);
}

static int
see_run(void *opaque, const struct store_entry *e)
{
  struct runs *runs = opaque;
  struct vdk_error why = VDK_ERROR_INIT;
  struct repo_id name;
  int r;

  if (!index_key_parse(e->key, &name))
    return 0;
  r = index_run_read(runs->v->r->store, e->key, e->size, see_entry, runs, &why);
  if (r == 0)
    return 0;
  if (why.code == 0) /* FN's own, which has its error already */
    return r;
  return found_error(runs->v, e->key, &why, NULL, runs->err);
}

/* --- Packs --------------------------------------------------------------- */

struct pack_job {
  struct verify *v;
  struct codec *codec;
  const char *key;
  const struct repo_id *pack;
  uint64_t chunks, bytes;
  uint8_t *raw; /* chunk_size bytes */
  bool indexed; /* some chunk of this pack is in the index */
  bool strays;  /* and some is not */
  struct vdk_error *err;
};

/* The index knows the record, and where it lies. */
static int
check_indexed(struct pack_job *job, const struct pack_record *record)
{
  struct chunk_place place;
  int r = index_find(job->v->index, &record->id, NULL, &place, job->err);

  if (r == -VDK_E_NOT_FOUND) {
    job->strays = true;
    return 0;
  }
  if (r)
    return r;
  if (!id_equal(&place.pack, job->pack))
    return 0; /* another copy is used */
  job->indexed = true;
  if (place.offset == record->offset && place.stored_len == record->stored_len)
    return 0;
  return error_set(job->err, VDK_E_DAMAGED,
                   "the index says offset %u for the chunk at offset %u",
                   place.offset, record->offset);
}

static int
see_record(void *opaque, const struct pack_record *record,
           const uint8_t *stored)
{
  struct pack_job *job = opaque;
  uint32_t got;
  int r = check_indexed(job, record);

  job->chunks++;
  if (r || job->v->level != REPO_VERIFY_DEEP)
    return r;
  job->bytes += record->raw_len;
  return codec_decode(job->codec, &record->id, stored - RECORD_SIZE,
                      RECORD_SIZE + (size_t)record->stored_len, job->key,
                      record->offset, job->raw, REPO_CHUNK_SIZE_MAX, &got,
                      job->err);
}

static int
check_pack(struct verify *v, const struct index_entry *pack,
           struct vdk_error *err)
{
  size_t size = pack->stored_len;
  char key[PACK_KEY_SIZE];
  _cleanup_codec_ struct codec *codec = NULL;
  _cleanup_free_ uint8_t *buf = NULL, *raw = NULL;
  struct pack_job job = {.v = v, .key = key, .pack = &pack->id, .err = err};
  struct repo_id got;
  int r = codec_get(v->r->codecs, &codec, err);

  pack_key(&pack->id, key);
  if (r)
    return r;
  if (size > VMBK_PACK_MAX)
    return error_set(err, VDK_E_DAMAGED, "it is too large");
  job.codec = codec;
  job.raw = raw = mem_buffer(REPO_CHUNK_SIZE_MAX);
  buf = mem_buffer(size);
  if (!buf || !raw)
    return error_nomem(err, "verifying a pack");
  r = store_get(v->r->store, key, 0, buf, size, err);
  if (r == 0)
    r = id_of(buf, size, &got, err);
  if (r)
    return r;
  if (!id_equal(&got, &pack->id))
    return error_set(err, VDK_E_DAMAGED, "its SHA-256 is not its name");
  r = pack_walk(buf, size, key, true, see_record, &job, err);
  if (r == 0 && job.indexed && job.strays)
    r = error_set(err, VDK_E_DAMAGED, "some of its chunks are in no index run");
  LOCK_SCOPE(&v->mutex);
  v->stats.chunks += job.chunks;
  v->stats.bytes += v->level == REPO_VERIFY_DEEP ? job.bytes : size;
  v->read += size;
  return r;
}

struct pack_worker {
  struct pool_job job;
  struct verify *v;
  size_t *next; /* atomic: the next pack to take */
  size_t count;
  int result;
  struct vdk_error err;
};

/* A pack that is already suspect is not looked at again. */
static int
verify_pack(struct verify *v, struct index_entry *pack, struct vdk_error *err)
{
  struct vdk_error why = VDK_ERROR_INIT;
  char key[PACK_KEY_SIZE];
  int r;

  pack_key(&pack->id, key);
  if (pack->pack == 0 && check_pack(v, pack, &why) != 0) {
    r = found_error(v, key, &why, &pack->pack, err);
    if (r)
      return r;
  }
  return verify_progress(v, pack->stored_len, key, err);
}

static void
run_worker(struct pool_job *job)
{
  struct pack_worker *w = (struct pack_worker *)job;
  size_t i;

  while (w->result == 0 &&
         (i = __atomic_fetch_add(w->next, 1, __ATOMIC_RELAXED)) < w->count)
    w->result = verify_pack(w->v, table_at(&w->v->packs, i), &w->err);
  if (w->result) /* the others need not go on */
    __atomic_store_n(w->next, w->count, __ATOMIC_RELAXED);
}

static int
verify_packs(struct verify *v, struct vdk_error *err)
{
  unsigned threads = MIN(sys_cpu_count(), THREADS_MAX);
  struct pack_worker *workers = mem_array(threads, sizeof *workers);
  struct pool *pool = NULL;
  size_t next = 0;
  int r = workers ? pool_new(threads, &pool, err)
                  : error_nomem(err, "verifying packs");

  for (unsigned i = 0; i < threads && r == 0; i++) {
    workers[i] = (struct pack_worker){
        .job.run = run_worker, .v = v, .next = &next, .count = v->packs.count};
    r = pool_submit(pool, &workers[i].job, err);
  }
  pool_free(pool);
  for (unsigned i = 0; i < threads && r == 0; i++)
    if (workers[i].result)
      r = error_copy(err, &workers[i].err);
  free(workers);
  return r;
}

int
verify_objects(struct verify *v, struct vdk_error *err)
{
  struct runs runs = {.v = v, .err = err};
  int r = verify_config(v, err);

  if (r == 0) {
    r = store_list(v->r->store, "pack/", see_pack, v, err);
    if (r == -VDK_E_NOMEM)
      error_nomem(err, "listing packs");
  }
  if (r == 0)
    r = store_list(v->r->store, "index/", see_run, &runs, err);
  if (r == 0)
    r = index_refresh(v->index, err);
  if (r == 0 && v->level != REPO_VERIFY_QUICK)
    r = verify_packs(v, err);
  return r;
}
