/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pipeline of copy.h.
 *
 * One mutex guards the state below; it is never held while a source, a sink
 * or a progress callback runs. A worker's round is
 *
 *   take a free slot, fetch into it     one worker at a time (p->fetching)
 *   read, look for zeroes, prepare      any number at once
 *   ordered sink: mark the slot ready; if nobody emits, emit from p->head on
 *                 for as long as the oldest slot is ready
 *   else:         write it
 *   give the slot back
 *
 * The ring holds the slots in order of fetch, so slot p->head is the oldest
 * that was not written. A worker only waits for a free slot or for its turn
 * to fetch. That cannot last: every slot that is not free is either being
 * worked on, or ready behind one that is, and whoever finishes the oldest one
 * emits it.
 *
 * The caller's thread is worker 0, so a copy works where no thread can be
 * started, and a small one starts none.
 *
 * The first error (in time) is kept; workers see p->failed at their next
 * step and leave. What was fetched but not written by then is dropped.
 */
#include "copy/copy.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/sys.h"

#define COPY_CHUNK_DEFAULT (1024u * 1024)
#define COPY_CHUNK_MAX     (64u * 1024 * 1024)
/* Sources that wait for something other than the processor need a few. */
#define COPY_WORKERS_MIN 4u
/* All slots together; fewer slots are used rather than more memory. */
#define COPY_MEMORY_MAX (96u * 1024 * 1024)
/* A run of zeroes reaches the sink in pieces of this, so that a sink which
 * has to write them can be cancelled and shows progress. */
#define COPY_ZERO_PIECE   (1024ull * 1024 * 1024)
#define COPY_REPORT_EVERY (100ull * 1000 * 1000) /* nanoseconds */

struct slot {
  struct copy_chunk chunk;
  bool ready;
  struct slot *next_free;
};

struct pipeline {
  struct copy_source *source;
  struct copy_sink *sink;
  struct vdk_progress progress;
  bool keep_zero_blocks;
  unsigned workers;

  pthread_mutex_t mutex;
  pthread_cond_t changed; /* a slot came free, or a fetch ended */
  struct slot *slots, *free;
  struct slot **ring;
  size_t slot_count;
  uint64_t head, tail; /* of the ring, ever rising; index is modulo */
  bool fetching, emitting, ended, failed;
  struct copy_stats stats;
  struct vdk_error err;

  bool reporting;
  uint64_t reported; /* when, in nanoseconds */
};

/* --- State, with the mutex held ------------------------------------------ */

static void
fail(struct pipeline *p, struct vdk_error *err, enum vdk_error_side side)
{
  LOCK_SCOPE(&p->mutex);

  if (!p->failed) {
    error_side(err, side);
    error_copy(&p->err, err);
    p->failed = true;
  }
  pthread_cond_broadcast(&p->changed);
}

/* A relaxed look, for long work that may as well stop early. */
static bool
has_failed(struct pipeline *p)
{
  LOCK_SCOPE(&p->mutex);

  return p->failed;
}

static void
slot_release(struct pipeline *p, struct slot *s)
{
  s->ready = false;
  s->next_free = p->free;
  p->free = s;
  pthread_cond_signal(&p->changed);
}

/* --- Progress ------------------------------------------------------------- */

static int
report(struct pipeline *p, const struct copy_stats *now)
{
  const struct vdk_progress_info info = {
      .done = now->passed,
      .total = p->source->total,
      .read = now->read,
      .written = __atomic_load_n(&p->sink->written, __ATOMIC_RELAXED),
      .item = p->source->label ? p->source->label : "",
  };

  return p->progress.fn(p->progress.opaque, &info);
}

static void
report_cancelled(struct pipeline *p)
{
  struct vdk_error err = VDK_ERROR_INIT;

  error_set(&err, VDK_E_CANCELLED, "cancelled");
  fail(p, &err, VDK_SIDE_NONE);
}

static void
count_read(struct pipeline *p, uint64_t length, bool is_zero)
{
  LOCK_SCOPE(&p->mutex);

  p->stats.read += length;
  if (is_zero)
    p->stats.zero += length;
}

/* LENGTH more bytes of the guest disk are done with. */
static void
pass(struct pipeline *p, uint64_t length)
{
  struct copy_stats now;
  uint64_t time = p->progress.fn ? sys_monotonic_ns() : 0;
  bool due;

  pthread_mutex_lock(&p->mutex);
  p->stats.passed += length;
  now = p->stats;
  due = p->progress.fn && !p->reporting && !p->failed &&
        time - p->reported >= COPY_REPORT_EVERY && time > p->reported;
  if (due) {
    p->reporting = true;
    p->reported = time;
  }
  pthread_mutex_unlock(&p->mutex);
  if (!due)
    return;
  if (report(p, &now) != 0)
    report_cancelled(p);
  pthread_mutex_lock(&p->mutex);
  p->reporting = false;
  pthread_mutex_unlock(&p->mutex);
}

/* --- One chunk ------------------------------------------------------------ */

/* The next chunk into a free slot; NULL when there is nothing more to do. */
static struct slot *
fetch(struct pipeline *p, unsigned worker)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct slot *s;
  int r;

  pthread_mutex_lock(&p->mutex);
  while (!p->failed && !p->ended && (p->fetching || !p->free))
    pthread_cond_wait(&p->changed, &p->mutex);
  if (p->failed || p->ended) {
    pthread_mutex_unlock(&p->mutex);
    return NULL;
  }
  p->fetching = true;
  s = p->free;
  p->free = s->next_free;
  pthread_mutex_unlock(&p->mutex);

  s->chunk.worker = worker;
  s->chunk.length = s->chunk.raw_len = s->chunk.out_len = 0;
  s->chunk.state = VDK_EXTENT_DATA;
  r = p->source->ops->fetch(p->source, &s->chunk, &err);
  if (r != 0)
    fail(p, &err, VDK_SIDE_SOURCE);

  pthread_mutex_lock(&p->mutex);
  p->fetching = false;
  if (r != 0 || s->chunk.length == 0) {
    p->ended = true;
    slot_release(p, s);
    s = NULL;
    pthread_cond_broadcast(&p->changed);
  } else {
    if (p->sink->ordered)
      p->ring[p->tail++ % p->slot_count] = s;
    if (p->free)
      pthread_cond_signal(&p->changed);
  }
  pthread_mutex_unlock(&p->mutex);
  return s;
}

/* Read, look for zeroes, prepare. False when it failed. */
static bool
process(struct pipeline *p, struct copy_chunk *c)
{
  struct vdk_error err = VDK_ERROR_INIT;
  bool is_zero;

  if (c->state != VDK_EXTENT_DATA)
    return true;
  assert(c->length <= p->source->chunk_size);
  if (p->source->ops->read && p->source->ops->read(p->source, c, &err) != 0) {
    fail(p, &err, VDK_SIDE_SOURCE);
    return false;
  }
  is_zero = c->state != VDK_EXTENT_DATA ||
            (!p->keep_zero_blocks && mem_is_zero(c->data, c->length));
  if (is_zero)
    c->state = VDK_EXTENT_ZERO;
  count_read(p, c->length, is_zero);
  if (c->state == VDK_EXTENT_DATA && p->sink->ops->prepare &&
      p->sink->ops->prepare(p->sink, c, &err) != 0) {
    fail(p, &err, VDK_SIDE_TARGET);
    return false;
  }
  return true;
}

static bool
write_zeroes(struct pipeline *p, const struct copy_chunk *c)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct copy_chunk piece = *c;
  uint64_t left = c->length;

  while (left > 0) {
    piece.length = MIN(left, COPY_ZERO_PIECE);
    if (p->sink->ops->write(p->sink, &piece, &err) != 0) {
      fail(p, &err, VDK_SIDE_TARGET);
      return false;
    }
    left -= piece.length;
    piece.offset += piece.length;
    pass(p, piece.length);
    if (left > 0 && has_failed(p))
      return false;
  }
  return true;
}

static bool
write_chunk(struct pipeline *p, struct copy_chunk *c)
{
  struct vdk_error err = VDK_ERROR_INIT;

  if (c->state != VDK_EXTENT_DATA && p->sink->wants_zeroes)
    return write_zeroes(p, c);
  if (c->state == VDK_EXTENT_DATA &&
      p->sink->ops->write(p->sink, c, &err) != 0) {
    fail(p, &err, VDK_SIDE_TARGET);
    return false;
  }
  pass(p, c->length);
  return true;
}

/* S is ready; writes what can be written now, unless somebody does. */
static void
emit(struct pipeline *p, struct slot *s, unsigned worker)
{
  pthread_mutex_lock(&p->mutex);
  s->ready = true;
  if (p->emitting) {
    pthread_mutex_unlock(&p->mutex);
    return;
  }
  p->emitting = true;
  while (!p->failed && p->head != p->tail) {
    struct slot *oldest = p->ring[p->head % p->slot_count];

    if (!oldest->ready)
      break;
    pthread_mutex_unlock(&p->mutex);
    oldest->chunk.worker = worker;
    if (!write_chunk(p, &oldest->chunk)) {
      pthread_mutex_lock(&p->mutex);
      break;
    }
    pthread_mutex_lock(&p->mutex);
    p->head++;
    slot_release(p, oldest);
  }
  p->emitting = false;
  pthread_mutex_unlock(&p->mutex);
}

static void
work(struct pipeline *p, unsigned worker)
{
  struct slot *s;

  while ((s = fetch(p, worker))) {
    if (!process(p, &s->chunk))
      return;
    if (p->sink->ordered) {
      emit(p, s, worker);
      continue;
    }
    if (!write_chunk(p, &s->chunk))
      return;
    pthread_mutex_lock(&p->mutex);
    slot_release(p, s);
    pthread_mutex_unlock(&p->mutex);
  }
}

/* --- Setting up ----------------------------------------------------------- */

struct worker {
  struct pipeline *pipeline;
  unsigned index;
  pthread_t thread;
};

static void *
worker_main(void *arg)
{
  struct worker *w = arg;

  work(w->pipeline, w->index);
  return NULL;
}

/* Runs the workers until all have left. Threads that cannot be started are
 * done without. Signals are the host program's: our threads take none. */
static void
run_workers(struct pipeline *p)
{
  struct worker workers[COPY_WORKERS_MAX];
  unsigned started = 0;
  sigset_t all, old;

  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  for (unsigned i = 1; i < p->workers; i++) {
    workers[started] = (struct worker){.pipeline = p, .index = i};
    if (pthread_create(&workers[started].thread, NULL, worker_main,
                       &workers[started]) != 0)
      break;
    started++;
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  work(p, 0);
  for (unsigned i = 0; i < started; i++)
    pthread_join(workers[i].thread, NULL);
}

static int
choose_sizes(struct pipeline *p, const struct copy_options *o,
             struct vdk_error *err)
{
  size_t chunk = o->chunk_size;
  size_t per_slot, most;
  uint64_t chunks;

  if (p->sink->chunk_size)
    chunk = p->sink->chunk_size;
  else if (chunk == 0)
    chunk = COPY_CHUNK_DEFAULT;
  p->source->align = MAX(p->sink->granularity, 1u);
  if (!is_power_of_2(p->source->align) || p->source->align > COPY_CHUNK_MAX)
    return error_set(err, VDK_E_INVAL, "cannot copy in units of %u bytes",
                     p->source->align);
  chunk = MAX(chunk, p->source->align);
  if (!is_power_of_2(chunk) || chunk < VDK_SECTOR_SIZE ||
      chunk > COPY_CHUNK_MAX)
    return error_set(err, VDK_E_INVAL, "cannot copy in chunks of %zu bytes",
                     chunk);
  p->source->chunk_size = chunk;

  p->workers = o->workers ? o->workers : MAX(sys_cpu_count(), COPY_WORKERS_MIN);
  p->workers = MIN(p->workers, COPY_WORKERS_MAX);
  if (p->source->total != 0) {
    chunks = div_round_up(p->source->total, chunk);
    p->workers = MIN(p->workers, chunks);
  }
  p->slot_count = o->slots ? o->slots : 2 * p->workers + 2;
  per_slot = chunk + p->source->raw_size + p->sink->out_size;
  most = MAX(COPY_MEMORY_MAX / per_slot, 2u);
  p->slot_count = MIN(p->slot_count, most);
  p->workers = MIN(p->workers, p->slot_count);
  return 0;
}

static int
buffer_new(uint8_t **ret, size_t size, struct vdk_error *err)
{
  if (size == 0)
    return 0;
  *ret = mem_buffer(size);
  return *ret ? 0 : error_nomem(err, "making the buffers of a copy");
}

static int
make_slots(struct pipeline *p, struct vdk_error *err)
{
  p->slots = mem_array(p->slot_count, sizeof *p->slots);
  p->ring = mem_array(p->slot_count, sizeof *p->ring);
  if (!p->slots || !p->ring)
    return error_nomem(err, "starting a copy");
  for (size_t i = 0; i < p->slot_count; i++) {
    struct copy_chunk *c = &p->slots[i].chunk;
    int r;

    c->raw_size = p->source->raw_size;
    c->out_size = p->sink->out_size;
    if ((r = buffer_new(&c->data, p->source->chunk_size, err)) != 0 ||
        (r = buffer_new(&c->raw, c->raw_size, err)) != 0 ||
        (r = buffer_new(&c->out, c->out_size, err)) != 0)
      return r;
    p->slots[i].next_free = p->free;
    p->free = &p->slots[i];
  }
  return 0;
}

static void
free_slots(struct pipeline *p)
{
  for (size_t i = 0; p->slots && i < p->slot_count; i++) {
    free(p->slots[i].chunk.data);
    free(p->slots[i].chunk.raw);
    free(p->slots[i].chunk.out);
  }
  free(p->slots);
  free(p->ring);
}

/* After the workers: the last report, which can still cancel, then finish. */
static int
complete(struct pipeline *p, struct vdk_error *err)
{
  struct vdk_error finish_err = VDK_ERROR_INIT;

  if (!p->failed && p->progress.fn && report(p, &p->stats) != 0)
    report_cancelled(p);
  if (!p->failed && p->sink->ops->finish &&
      p->sink->ops->finish(p->sink, &finish_err) != 0)
    fail(p, &finish_err, VDK_SIDE_TARGET);
  return p->failed ? error_copy(err, &p->err) : 0;
}

int
copy_run(struct copy_source *source, struct copy_sink *sink,
         const struct copy_options *options, struct copy_stats *stats,
         struct vdk_error *err)
{
  static const struct copy_options defaults;
  const struct copy_options *o = options ? options : &defaults;
  struct pipeline p = {
      .source = source,
      .sink = sink,
      .progress = o->progress,
      .keep_zero_blocks = o->keep_zero_blocks,
      .err = VDK_ERROR_INIT,
      .reported = sys_monotonic_ns(),
  };
  int r;

  if ((r = choose_sizes(&p, o, err)) != 0)
    return r;
  pthread_mutex_init(&p.mutex, NULL);
  pthread_cond_init(&p.changed, NULL);
  r = make_slots(&p, err);
  if (r == 0) {
    run_workers(&p);
    r = complete(&p, err);
  }
  free_slots(&p);
  pthread_cond_destroy(&p.changed);
  pthread_mutex_destroy(&p.mutex);
  if (stats) {
    *stats = p.stats;
    stats->written = __atomic_load_n(&sink->written, __ATOMIC_RELAXED);
  }
  return r;
}

void
copy_source_close(struct copy_source *s)
{
  if (s)
    s->ops->close(s);
}

void
copy_sink_close(struct copy_sink *s)
{
  if (s)
    s->ops->close(s);
}
