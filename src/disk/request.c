/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Order and threads.
 *
 * Every request under way stands in one list, in order of submission, with the
 * granules of link 0 that it touches. Two requests are in each other's way
 * when their granules overlap and one of them changes bytes; the later one
 * counts how many earlier ones are in its way and starts when none is left.
 * So neighbours inside one granule, of which one may have to be completed from
 * the parent, never run at once, and the driver's promise (disk/link.h) holds.
 * A walk of the list is short: it is as long as the queue is deep.
 *
 * Who runs a request:
 *  - a blocking call on a blocking driver: the caller's own thread, at once
 *    or after sleeping until it is its turn. No other thread is involved;
 *  - an asynchronous request on a blocking driver: the worker pool;
 *  - a driver with submit(): the driver. Those requests pass through a queue
 *    that one thread drains at a time, so that a driver which completes at
 *    once, for an application that submits the next from DONE, does not
 *    nest calls without end.
 *
 * Completion: the request leaves the list and lets the next ones go, then DONE
 * is called without the lock. Until DONE has returned the completion is in a
 * second list, so that disk_wait() and disk_close() know when nobody is in the
 * caller's code any more.
 */
#include <assert.h>
#include <inttypes.h>

#include "base/checked.h"
#include "base/error.h"
#include "disk/private.h"

static bool
is_change(enum request_type type)
{
  return type == REQUEST_WRITE || type == REQUEST_ZERO;
}

static bool
in_the_way(const struct vdk_request *a, const struct vdk_request *b)
{
  return a->priv.start < b->priv.end && b->priv.start < a->priv.end &&
         (is_change(a->type) || is_change(b->type));
}

/* --- The list; the mutex is held ------------------------------------------ */

static void
list_append(struct vdk_disk *d, struct vdk_request *req)
{
  req->priv.waits_for = 0;
  if (req->priv.start < req->priv.end)
    for (struct vdk_request *r = d->first; r; r = r->priv.next)
      req->priv.waits_for += in_the_way(r, req);
  req->priv.next = NULL;
  req->priv.prev = d->last;
  if (d->last)
    d->last->priv.next = req;
  else
    d->first = req;
  d->last = req;
}

static void
wake(struct vdk_disk *d)
{
  if (d->sleepers)
    pthread_cond_broadcast(&d->cond);
}

static void
sleep_on(struct vdk_disk *d)
{
  d->sleepers++;
  pthread_cond_wait(&d->cond, &d->mutex);
  d->sleepers--;
}

static void
queue_ready(struct vdk_disk *d, struct vdk_request *req)
{
  req->priv.queue_next = NULL;
  *d->ready_end = req;
  d->ready_end = &req->priv.queue_next;
}

/* Takes REQ out. Those that it alone held up are ready: a thread that sleeps
 * wakes, the others go to the ready queue. */
static void
list_remove(struct vdk_disk *d, struct vdk_request *req)
{
  if (req->priv.start < req->priv.end)
    for (struct vdk_request *r = req->priv.next; r; r = r->priv.next)
      if (in_the_way(req, r) && --r->priv.waits_for == 0 && !r->priv.waiter)
        queue_ready(d, r);
  if (req->priv.prev)
    req->priv.prev->priv.next = req->priv.next;
  else
    d->first = req->priv.next;
  if (req->priv.next)
    req->priv.next->priv.prev = req->priv.prev;
  else
    d->last = req->priv.prev;
  wake(d);
}

static void
set_range(struct vdk_disk *d, struct vdk_request *req)
{
  req->priv.disk = d;
  req->priv.start = req->priv.end = 0;
  if (req->type == REQUEST_FLUSH || req->length == 0)
    return;
  req->priv.start = round_down(req->offset, d->granularity);
  req->priv.end = round_up(req->offset + req->length, d->granularity);
}

/* --- Starting ------------------------------------------------------------- */

static void
run_job(struct pool_job *job)
{
  struct vdk_request *req =
      (struct vdk_request *)((char *)job -
                             offsetof(struct vdk_request, priv.job));

  request_complete(req, disk_transfer(req->priv.disk, req->type, req->offset,
                                      req->buf, req->length, &req->err));
}

static int
start_in_pool(struct vdk_disk *d, struct vdk_request *req)
{
  req->priv.job.run = run_job;
  return pool_submit(d->pool, &req->priv.job, &req->err);
}

/* A driver that cannot zero says so, and then zeroes are written, which
 * blocks: that is for the pool. */
static int
start_in_driver(struct vdk_disk *d, struct vdk_request *req)
{
  struct vdk_link *l = d->links[0].link;
  int r = l->ops->submit(l, req, &req->err);

  if (r == -VDK_E_UNSUPPORTED && req->type == REQUEST_ZERO && d->has_sync)
    return start_in_pool(d, req);
  return r;
}

static void
start(struct vdk_disk *d, struct vdk_request *req)
{
  int r = d->async ? start_in_driver(d, req) : start_in_pool(d, req);

  if (r < 0)
    request_complete(req, r);
}

/* Starts what is ready. Whoever comes while another thread, or this one
 * further up its stack, is at it leaves the work to that. */
static void
drain_ready(struct vdk_disk *d)
{
  struct vdk_request *req;

  pthread_mutex_lock(&d->mutex);
  if (!d->draining) {
    d->draining = true;
    while ((req = d->ready)) {
      d->ready = req->priv.queue_next;
      if (!d->ready)
        d->ready_end = &d->ready;
      pthread_mutex_unlock(&d->mutex);
      start(d, req);
      pthread_mutex_lock(&d->mutex);
    }
    d->draining = false;
    wake(d);
  }
  pthread_mutex_unlock(&d->mutex);
}

/* --- Completion ----------------------------------------------------------- */

static void
finishing_begin(struct vdk_disk *d, struct disk_finishing *f)
{
  f->number = ++d->finishing_number;
  f->next = NULL;
  f->prev = d->finishing_last;
  if (f->prev)
    f->prev->next = f;
  else
    d->finishing = f;
  d->finishing_last = f;
}

static void
finishing_end(struct vdk_disk *d, struct disk_finishing *f)
{
  if (f->prev)
    f->prev->next = f->next;
  else
    d->finishing = f->next;
  if (f->next)
    f->next->prev = f->prev;
  else
    d->finishing_last = f->prev;
  wake(d);
}

void
request_complete(struct vdk_request *req, int result)
{
  struct vdk_disk *d = req->priv.disk;
  struct disk_finishing f;
  bool more;

  pthread_mutex_lock(&d->mutex);
  finishing_begin(d, &f);
  list_remove(d, req);
  more = d->ready != NULL;
  pthread_mutex_unlock(&d->mutex);
  if (more)
    drain_ready(d);
  req->done(req, result);
  pthread_mutex_lock(&d->mutex);
  finishing_end(d, &f);
  pthread_mutex_unlock(&d->mutex);
}

/* --- From outside --------------------------------------------------------- */

int
disk_check_range(struct vdk_disk *d, enum request_type type, uint64_t offset,
                 uint64_t len, struct vdk_error *err)
{
  static const char *const verbs[] = {"read", "write", "zero", "flush"};

  if (type > REQUEST_FLUSH)
    return error_set(err, VDK_E_INVAL, "request of unknown type %d", type);
  if (is_change(type) && !d->writable)
    return error_set(err, VDK_E_READ_ONLY,
                     "cannot %s %s: the disk was opened for reading only",
                     verbs[type], disk_name(d));
  if (type == REQUEST_FLUSH || !range_outside(offset, len, d->size))
    return 0;
  return error_set(err, VDK_E_RANGE,
                   "cannot %s %" PRIu64 " bytes at offset %" PRIu64
                   " of %s, which has %" PRIu64 " bytes",
                   verbs[type], len, offset, disk_name(d), d->size);
}

static int
need_pool(struct vdk_disk *d, struct vdk_error *err)
{
  LOCK_SCOPE(&d->mutex);
  return d->pool ? 0 : pool_new(0, &d->pool, err);
}

int
disk_submit(struct vdk_disk *d, struct vdk_request *req, struct vdk_error *err)
{
  int r = disk_check_range(d, req->type, req->offset, req->length, err);
  bool now;

  if (r == 0 && (req->type == REQUEST_READ || req->type == REQUEST_WRITE) &&
      (size_t)req->length != req->length)
    r = error_set(err, VDK_E_INVAL, "request is larger than memory");
  if (r == 0)
    r = need_pool(d, err);
  if (r < 0)
    return r;
  error_clear(&req->err);
  req->priv.waiter = false;
  set_range(d, req);
  pthread_mutex_lock(&d->mutex);
  list_append(d, req);
  now = req->priv.waits_for == 0;
  if (now)
    queue_ready(d, req);
  pthread_mutex_unlock(&d->mutex);
  if (now)
    drain_ready(d);
  return 0;
}

/* A marker at the end of the list has come to its front when all before it
 * have left; the completions of that moment are waited for by number. */
void
disk_wait(struct vdk_disk *d)
{
  struct vdk_request marker;
  uint64_t number;

  marker.type = REQUEST_FLUSH;
  marker.priv.waiter = true;
  set_range(d, &marker);
  pthread_mutex_lock(&d->mutex);
  list_append(d, &marker);
  while (marker.priv.prev)
    sleep_on(d);
  list_remove(d, &marker);
  number = d->finishing_number;
  while (d->finishing && d->finishing->number <= number)
    sleep_on(d);
  pthread_mutex_unlock(&d->mutex);
}

/* Nobody is in here any more, not even a thread whose last request was
 * completed by another while it was still on its way out. */
void
disk_settle(struct vdk_disk *d)
{
  disk_wait(d);
  pthread_mutex_lock(&d->mutex);
  while (d->draining)
    sleep_on(d);
  pthread_mutex_unlock(&d->mutex);
}

void
disk_enter(struct vdk_disk *d, struct vdk_request *req, enum request_type type,
           uint64_t offset, uint64_t len)
{
  req->type = type;
  req->offset = offset;
  req->length = len;
  req->priv.waiter = true;
  set_range(d, req);
  pthread_mutex_lock(&d->mutex);
  list_append(d, req);
  while (req->priv.waits_for > 0)
    sleep_on(d);
  pthread_mutex_unlock(&d->mutex);
}

void
disk_leave(struct vdk_disk *d, struct vdk_request *req)
{
  bool more;

  pthread_mutex_lock(&d->mutex);
  list_remove(d, req);
  more = d->ready != NULL;
  pthread_mutex_unlock(&d->mutex);
  if (more)
    drain_ready(d);
}

/* --- Blocking calls ------------------------------------------------------- */

struct blocking_call {
  struct vdk_disk *disk;
  bool done;
  int result;
};

static void
blocking_done(struct vdk_request *req, int result)
{
  struct blocking_call *c = req->opaque;

  LOCK_SCOPE(&c->disk->mutex);
  c->result = result;
  c->done = true;
  wake(c->disk);
}

/* For a driver that cannot block: submit, and sleep. */
static int
run_by_submit(struct vdk_disk *d, enum request_type type, uint64_t offset,
              void *buf, uint64_t len, struct vdk_error *err)
{
  struct blocking_call c = {.disk = d};
  struct vdk_request req = {.type = type,
                            .offset = offset,
                            .length = len,
                            .buf = buf,
                            .done = blocking_done,
                            .opaque = &c};
  int r = disk_submit(d, &req, err);

  if (r < 0)
    return r;
  pthread_mutex_lock(&d->mutex);
  while (!c.done)
    sleep_on(d);
  pthread_mutex_unlock(&d->mutex);
  if (c.result < 0)
    error_copy(err, &req.err);
  return c.result;
}

int
disk_run(struct vdk_disk *d, enum request_type type, uint64_t offset, void *buf,
         uint64_t len, struct vdk_error *err)
{
  struct vdk_request req;
  int r = disk_check_range(d, type, offset, len, err);

  if (r < 0 || (len == 0 && type != REQUEST_FLUSH))
    return r;
  if (!d->has_sync)
    return run_by_submit(d, type, offset, buf, len, err);
  disk_enter(d, &req, type, offset, len);
  r = disk_transfer(d, type, offset, buf, len, err);
  disk_leave(d, &req);
  return r;
}
