/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/disk/memory_link.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/str.h"

#define RANGES_MAX 512

struct busy_range {
  uint64_t start, end;
  bool change, used;
};

struct memory_link {
  struct vdk_link base;
  struct memory_link_options o;
  struct memory_link_counts *counts;
  struct link_ops ops;
  uint8_t *states; /* of granules */
  uint8_t *bytes;
  unsigned fail_in;

  pthread_mutex_t mutex;
  struct busy_range busy[RANGES_MAX];

  /* The asynchronous thread. */
  pthread_t thread;
  bool has_thread, stop;
  pthread_cond_t cond;
  struct vdk_request *queue[RANGES_MAX];
  unsigned queued;
};

#define COUNT(l, what)                                                         \
  __atomic_add_fetch(&(l)->counts->what, 1, __ATOMIC_RELAXED)

static struct memory_link *
self(struct vdk_link *l)
{
  return (struct memory_link *)l;
}

/* Enters a call; a breach when another that it must exclude is under way. */
static struct busy_range *
enter(struct memory_link *l, uint64_t offset, uint64_t len, bool change)
{
  uint64_t start = round_down(offset, l->o.granularity);
  uint64_t end = round_up(offset + len, l->o.granularity);
  struct busy_range *free_slot = NULL;

  if (len == 0 || range_outside(offset, len, l->o.size))
    COUNT(l, breaches);
  pthread_mutex_lock(&l->mutex);
  for (unsigned i = 0; i < RANGES_MAX; i++) {
    struct busy_range *b = &l->busy[i];

    if (!b->used)
      free_slot = b;
    else if (b->start < end && start < b->end && (b->change || change))
      COUNT(l, breaches);
  }
  *free_slot = (struct busy_range){start, end, change, true};
  pthread_mutex_unlock(&l->mutex);
  if (l->o.delay_us)
    usleep(l->o.delay_us);
  return free_slot;
}

static void
leave(struct memory_link *l, struct busy_range *b)
{
  pthread_mutex_lock(&l->mutex);
  b->used = false;
  pthread_mutex_unlock(&l->mutex);
}

static int
should_fail(struct memory_link *l, const char *what, struct vdk_error *err)
{
  if (!l->fail_in || __atomic_sub_fetch(&l->fail_in, 1, __ATOMIC_RELAXED))
    return 0;
  return error_set(err, VDK_E_IO, "%s of %s failed as asked", what,
                   l->base.name);
}

static uint64_t
prefix(struct memory_link *l, uint64_t offset, uint64_t len, int *ret_state)
{
  uint64_t g = offset / l->o.granularity, at = g + 1;

  while (at * l->o.granularity < offset + len && l->states[at] == l->states[g])
    at++;
  *ret_state = l->states[g];
  return MIN(len, at * l->o.granularity - offset);
}

static int
link_read(struct vdk_link *base, uint64_t offset, void *buf, size_t len,
          size_t *ret_len, int *ret_state, struct vdk_error *err)
{
  struct memory_link *l = self(base);
  struct busy_range *b = enter(l, offset, len, false);
  int r = should_fail(l, "read", err);

  COUNT(l, reads);
  if (r == 0) {
    *ret_len = prefix(l, offset, len, ret_state);
    if (*ret_state == VDK_EXTENT_DATA)
      memcpy(buf, l->bytes + offset, *ret_len);
  }
  leave(l, b);
  return r;
}

static int
link_map(struct vdk_link *base, uint64_t offset, uint64_t len,
         uint64_t *ret_len, int *ret_state, struct vdk_error *err)
{
  struct memory_link *l = self(base);
  struct busy_range *b = enter(l, offset, len, false);
  int r = should_fail(l, "map", err);

  COUNT(l, maps);
  if (r == 0)
    *ret_len = prefix(l, offset, len, ret_state);
  leave(l, b);
  return r;
}

/* The granule at AT becomes data; what [offset, end) leaves of it is zero. */
static void
allocate(struct memory_link *l, uint64_t at, uint64_t offset, uint64_t end)
{
  uint64_t g = at / l->o.granularity, start = g * l->o.granularity;
  uint64_t stop = MIN(start + l->o.granularity, l->o.size);
  bool whole = offset <= start && end >= stop;

  if (l->states[g] == VDK_EXTENT_ABSENT && l->o.has_parent && !whole)
    COUNT(l, breaches);
  if (l->states[g] != VDK_EXTENT_DATA)
    memset(l->bytes + start, 0, stop - start);
  l->states[g] = VDK_EXTENT_DATA;
}

static int
link_write(struct vdk_link *base, uint64_t offset, const void *buf, size_t len,
           struct vdk_error *err)
{
  struct memory_link *l = self(base);
  struct busy_range *b = enter(l, offset, len, true);
  int r = should_fail(l, "write", err);

  COUNT(l, writes);
  if (r == 0) {
    for (uint64_t at = offset; at < offset + len;
         at = round_down(at, l->o.granularity) + l->o.granularity)
      allocate(l, at, offset, offset + len);
    memcpy(l->bytes + offset, buf, len);
  }
  leave(l, b);
  return r;
}

/* Whole granules only: so the disk layer's way for the rest is tried too. */
static int
link_zero(struct vdk_link *base, uint64_t offset, uint64_t len,
          struct vdk_error *err)
{
  struct memory_link *l = self(base);
  struct busy_range *b = enter(l, offset, len, true);
  uint64_t end = offset + len;
  int r = should_fail(l, "zero", err);

  COUNT(l, zeroes);
  if (r == 0 && (offset % l->o.granularity ||
                 (end % l->o.granularity && end != l->o.size)))
    r = error_set(err, VDK_E_UNSUPPORTED, "not a whole granule");
  for (uint64_t at = offset; r == 0 && at < end; at += l->o.granularity)
    l->states[at / l->o.granularity] = VDK_EXTENT_ZERO;
  leave(l, b);
  return r;
}

static int
link_flush(struct vdk_link *base, struct vdk_error *err)
{
  struct memory_link *l = self(base);

  COUNT(l, flushes);
  return should_fail(l, "flush", err);
}

static void
link_info(struct vdk_link *base, struct link_info *ret)
{
  struct memory_link *l = self(base);

  *ret = (struct link_info){.size = l->o.size,
                            .granularity = l->o.granularity,
                            .format = "memory",
                            .type = "",
                            .writable = !l->o.read_only,
                            .has_parent = l->o.has_parent,
                            .parent_cid = LINK_NO_PARENT_CID,
                            .file_count = 1};
}

static int
link_meta_get(struct vdk_link *base, const char *key, char **ret,
              struct vdk_error *err)
{
  struct memory_link *l = self(base);

  for (const char *const *m = l->o.meta; m && *m; m += 2)
    if (strcmp(m[0], key) == 0) {
      *ret = str_dup(m[1]);
      return *ret ? 0 : error_nomem(err, "metadata");
    }
  return error_set(err, VDK_E_NO_KEY, "no key %s in %s", key, base->name);
}

static int
link_meta_list(struct vdk_link *base,
               int (*fn)(void *opaque, const char *key, const char *value),
               void *opaque, struct vdk_error *err)
{
  struct memory_link *l = self(base);

  for (const char *const *m = l->o.meta; m && *m; m += 2) {
    int r = fn(opaque, m[0], m[1]);

    if (r != 0)
      return r;
  }
  return 0;
}

static int
link_close(struct vdk_link *base, struct vdk_error *err)
{
  struct memory_link *l = self(base);

  COUNT(l, closes);
  for (unsigned i = 0; i < RANGES_MAX; i++)
    if (l->busy[i].used)
      COUNT(l, breaches);
  if (l->has_thread) {
    pthread_mutex_lock(&l->mutex);
    l->stop = true;
    pthread_cond_signal(&l->cond);
    pthread_mutex_unlock(&l->mutex);
    pthread_join(l->thread, NULL);
  }
  pthread_mutex_destroy(&l->mutex);
  pthread_cond_destroy(&l->cond);
  free(l->states);
  free(l->bytes);
  free(l->base.name);
  free(l);
  return 0;
}

/* --- The asynchronous face ------------------------------------------------ */

static int
serve(struct memory_link *l, struct vdk_request *req)
{
  uint64_t at = req->offset, end = at + req->length;
  int r = 0, state;

  switch (req->type) {
  case REQUEST_READ:
    for (size_t n; r == 0 && at < end; at += n) {
      uint8_t *p = (uint8_t *)req->buf + (at - req->offset);

      n = 1;
      r = link_read(&l->base, at, p, (size_t)(end - at), &n, &state, &req->err);
      if (r == 0 && state != VDK_EXTENT_DATA)
        memset(p, 0, n);
    }
    return r;
  case REQUEST_WRITE:
    return link_write(&l->base, at, req->buf, (size_t)req->length, &req->err);
  case REQUEST_ZERO:
    return link_zero(&l->base, at, req->length, &req->err);
  case REQUEST_FLUSH:
    return link_flush(&l->base, &req->err);
  }
  return -VDK_E_INVAL;
}

static void *
async_thread(void *arg)
{
  struct memory_link *l = arg;
  unsigned turn = 0;

  pthread_mutex_lock(&l->mutex);
  for (;;) {
    struct vdk_request *req;
    unsigned pick;

    while (!l->queued && !l->stop)
      pthread_cond_wait(&l->cond, &l->mutex);
    if (!l->queued)
      break;
    pick = turn++ * 7 % l->queued;
    req = l->queue[pick];
    l->queue[pick] = l->queue[--l->queued];
    pthread_mutex_unlock(&l->mutex);
    request_complete(req, serve(l, req));
    pthread_mutex_lock(&l->mutex);
  }
  pthread_mutex_unlock(&l->mutex);
  return NULL;
}

static int
link_submit(struct vdk_link *base, struct vdk_request *req,
            struct vdk_error *err)
{
  struct memory_link *l = self(base);

  if (req->type == REQUEST_ZERO &&
      (l->o.no_zero || req->offset % l->o.granularity ||
       req->length % l->o.granularity))
    return error_set(err, VDK_E_UNSUPPORTED, "cannot zero");
  if (l->o.instant) {
    request_complete(req, serve(l, req));
    return 0;
  }
  pthread_mutex_lock(&l->mutex);
  l->queue[l->queued++] = req;
  pthread_cond_signal(&l->cond);
  pthread_mutex_unlock(&l->mutex);
  return 0;
}

struct vdk_link *
memory_link_new(const struct memory_link_options *o,
                struct memory_link_counts *counts)
{
  struct memory_link *l = calloc(1, sizeof *l);
  size_t granules = (size_t)div_round_up(o->size, o->granularity);

  l->ops = (struct link_ops){.name = "memory",
                             .info = link_info,
                             .read = o->async_only ? NULL : link_read,
                             .map = o->async_only ? NULL : link_map,
                             .write = o->async_only ? NULL : link_write,
                             .zero = o->no_zero ? NULL : link_zero,
                             .flush = link_flush,
                             .submit = o->async ? link_submit : NULL,
                             .meta_get = link_meta_get,
                             .meta_list = link_meta_list,
                             .close = link_close};
  l->base.ops = &l->ops;
  l->base.name = strdup("memory-link");
  l->o = *o;
  l->counts = counts;
  l->states = malloc(granules + 1);
  memset(l->states, VDK_EXTENT_ABSENT, granules);
  l->states[granules] = 255;
  l->bytes = calloc(1, o->size);
  pthread_mutex_init(&l->mutex, NULL);
  pthread_cond_init(&l->cond, NULL);
  if (o->async && !o->instant)
    l->has_thread = pthread_create(&l->thread, NULL, async_thread, l) == 0;
  return &l->base;
}

void
memory_link_fail_at(struct vdk_link *l, unsigned nth)
{
  self(l)->fail_in = nth;
}
