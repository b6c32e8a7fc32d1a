/* SPDX-License-Identifier: BSD-3-Clause */
/* Order, threads and completion of requests. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <unistd.h>

#include "base/mem.h"
#include "disk/private.h"
#include "tests/unit/disk/memory_link.h"

#define KIB 1024u

static struct vdk_disk *
open_one(const struct memory_link_options *o, struct memory_link_counts *counts)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *d = NULL;

  assert_ok(disk_from_link(memory_link_new(o, counts), NULL, &d, &err));
  return d;
}

/* --- Every kind of driver, one model -------------------------------------- */

static const struct kind {
  const char *name;
  bool async, async_only, instant;
} kinds[] = {
    {"blocking", false, false, false},
    {"async", true, false, false},
    {"async only", true, true, false},
    {"instant", true, true, true},
};

struct slot {
  struct vdk_request req;
  uint8_t *buf, *want;
  unsigned *done;
  int result;
};

static void
slot_done(struct vdk_request *req, int result)
{
  struct slot *s = req->opaque;

  s->result = result;
  __atomic_add_fetch(s->done, 1, __ATOMIC_RELEASE);
}

/* Random overlapping requests, many in flight. Each read must see just what
 * the requests submitted before it have written. */
static void
overlapping_requests_keep_order(const struct kind *kind)
{
  enum { SIZE = 64 * KIB, DEPTH = 200, ROUNDS = 20 };
  const struct memory_link_options o = {.size = SIZE,
                                        .granularity = 4 * KIB,
                                        .async = kind->async,
                                        .async_only = kind->async_only,
                                        .instant = kind->instant,
                                        .no_zero =
                                            kind->async_only ? false : true};
  struct memory_link_counts counts = {0};
  struct vdk_disk *d = open_one(&o, &counts);
  struct vdk_error err = VDK_ERROR_INIT;
  struct slot *slots = calloc(DEPTH, sizeof *slots);
  uint8_t *model = calloc(1, SIZE);
  unsigned seed = (unsigned)getpid(), done = 0, submitted = 0;

  print_message("%s: seed %u\n", kind->name, seed);
  for (unsigned round = 0; round < ROUNDS; round++) {
    for (unsigned i = 0; i < DEPTH; i++) {
      struct slot *s = &slots[i];
      struct vdk_request *q = &s->req;

      q->offset = (uint64_t)rand_r(&seed) % SIZE;
      q->length = 1 + (uint64_t)rand_r(&seed) % MIN(6000u, SIZE - q->offset);
      q->type = (enum request_type)(rand_r(&seed) % 4);
      if (q->type == REQUEST_ZERO && kind->async_only)
        q->type = REQUEST_WRITE;
      q->done = slot_done;
      q->opaque = s;
      s->done = &done;
      s->buf = malloc(q->length);
      s->want = malloc(q->length);
      memset(s->buf, rand_r(&seed), q->length);
      q->buf = s->buf;
      if (q->type == REQUEST_READ)
        memcpy(s->want, model + q->offset, q->length);
      else if (q->type == REQUEST_WRITE)
        memcpy(model + q->offset, s->buf, q->length);
      else if (q->type == REQUEST_ZERO)
        memset(model + q->offset, 0, q->length);
      assert_ok(disk_submit(d, q, &err));
      submitted++;
    }
    disk_wait(d);
    assert_int_equal(__atomic_load_n(&done, __ATOMIC_ACQUIRE), submitted);
    for (unsigned i = 0; i < DEPTH; i++) {
      struct slot *s = &slots[i];

      assert_int_equal(s->result, 0);
      if (s->req.type == REQUEST_READ)
        assert_memory_equal(s->buf, s->want, s->req.length);
      free(s->buf);
      free(s->want);
    }
  }
  assert_ok(disk_close(d, &err));
  assert_int_equal(counts.breaches, 0);
  free(slots);
  free(model);
}

static void
order_in_every_kind(void **state)
{
  for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
    overlapping_requests_keep_order(&kinds[i]);
}

/* --- Threads -------------------------------------------------------------- */

enum { HAMMERS = 6, HAMMER_ROUNDS = 400, STRIPE = 100 };

struct hammer {
  struct vdk_disk *disk;
  unsigned index, seed;
  int result;
  struct vdk_error err;
};

/* Each thread owns every sixth stripe of 100 bytes: all are neighbours inside
 * granules. */
static void *
hammer(void *arg)
{
  struct hammer *h = arg;
  uint8_t buf[STRIPE], got[STRIPE];

  for (unsigned i = 0; i < HAMMER_ROUNDS && h->result == 0; i++) {
    uint64_t stripes = disk_size(h->disk) / STRIPE / HAMMERS;
    uint64_t offset =
        ((uint64_t)rand_r(&h->seed) % stripes * HAMMERS + h->index) * STRIPE;

    memset(buf, (int)(1 + h->index), sizeof buf);
    buf[0] = (uint8_t)i;
    h->result = disk_write(h->disk, offset, buf, sizeof buf, &h->err);
    if (h->result == 0)
      h->result = disk_read(h->disk, offset, got, sizeof got, &h->err);
    if (h->result == 0 && memcmp(buf, got, sizeof buf) != 0)
      h->result = -1000;
  }
  return NULL;
}

static void
neighbours_lose_nothing(void **state)
{
  const struct memory_link_options o[] = {
      {.size = 96 * KIB, .granularity = 8 * KIB, .has_parent = true},
      {.size = 96 * KIB, .granularity = 8 * KIB},
  };
  struct memory_link_counts counts[2] = {{0}};
  struct vdk_link *links[2];
  struct vdk_error err = VDK_ERROR_INIT;
  struct hammer hammers[HAMMERS];
  pthread_t threads[HAMMERS];
  struct vdk_disk *d = NULL;
  uint8_t *all = malloc(96 * KIB);

  for (unsigned i = 0; i < 2; i++)
    links[i] = memory_link_new(&o[i], &counts[i]);
  memset(all, 0xee, 96 * KIB);
  assert_int_equal(links[1]->ops->write(links[1], 0, all, 96 * KIB, &err), 0);
  assert_ok(disk_assemble(links, 2, false, NULL, &d, &err));
  for (unsigned i = 0; i < HAMMERS; i++) {
    hammers[i] = (struct hammer){.disk = d, .index = i, .seed = i + 1};
    pthread_create(&threads[i], NULL, hammer, &hammers[i]);
  }
  for (unsigned i = 0; i < HAMMERS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(hammers[i].result, 0);
  }
  assert_ok(disk_read(d, 0, all, 96 * KIB, &err));
  for (size_t i = 0; i < 96 * KIB; i++) {
    uint8_t owner = (uint8_t)(1 + i / STRIPE % HAMMERS);

    if (i % STRIPE && all[i] != owner && all[i] != 0xee)
      fail_msg("byte %zu is %d", i, all[i]);
  }
  assert_ok(disk_close(d, &err));
  assert_int_equal(counts[0].breaches + counts[1].breaches, 0);
  free(all);
}

/* --- Flush, wait, close --------------------------------------------------- */

static void
flush_waits_for_nobody(void **state)
{
  const struct memory_link_options o = {
      .size = 64 * KIB, .granularity = 512, .delay_us = 20000};
  struct memory_link_counts counts = {0};
  struct vdk_disk *d = open_one(&o, &counts);
  struct vdk_error err = VDK_ERROR_INIT;
  unsigned done = 0;
  uint8_t buf[512] = {0};
  struct slot s = {.done = &done,
                   .req = {.type = REQUEST_WRITE,
                           .length = sizeof buf,
                           .buf = buf,
                           .done = slot_done}};

  s.req.opaque = &s;
  assert_ok(disk_submit(d, &s.req, &err));
  assert_ok(disk_flush(d, &err));
  assert_int_equal(counts.flushes, 1);
  disk_wait(d);
  assert_int_equal(done, 1);
  disk_close(d, NULL);
}

/* DONE that submits the next: as deep as it likes, the stack does not grow. */
struct relay {
  struct vdk_request req;
  struct vdk_disk *disk;
  unsigned left;
  int failed;
  uint8_t buf[512];
  char *deepest, *first;
};

static void
relay_done(struct vdk_request *req, int result)
{
  struct relay *r = req->opaque;
  /* Not the address of a local: AddressSanitizer may put those elsewhere. */
  char *here = __builtin_frame_address(0);
  struct vdk_error err;

  if (!r->first)
    r->first = here;
  r->deepest = here;
  r->failed |= result != 0 || labs(r->first - here) > 64 * 1024;
  /* From the submit on, R is the next completion's. */
  if (r->left-- > 0 && disk_submit(r->disk, req, &err) != 0)
    abort();
}

static void
done_may_submit(void **state)
{
  for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
    const struct memory_link_options o = {.size = 64 * KIB,
                                          .granularity = 512,
                                          .async = kinds[i].async,
                                          .async_only = kinds[i].async_only,
                                          .instant = kinds[i].instant};
    struct memory_link_counts counts = {0};
    struct vdk_error err = VDK_ERROR_INIT;
    struct relay r = {.disk = open_one(&o, &counts), .left = 20000};

    r.req = (struct vdk_request){.type = REQUEST_WRITE,
                                 .length = sizeof r.buf,
                                 .buf = r.buf,
                                 .done = relay_done,
                                 .opaque = &r};
    assert_ok(disk_submit(r.disk, &r.req, &err));
    while (__atomic_load_n(&counts.writes, __ATOMIC_RELAXED) < 20001)
      usleep(1000);
    assert_ok(disk_close(r.disk, &err));
    assert_int_equal(r.left, UINT32_MAX);
    /* In other threads the stack is another one. */
    if (kinds[i].instant)
      assert_int_equal(r.failed, 0);
  }
}

/* Closing with hundreds under way: every DONE comes, then the link closes. */
static void
close_waits(void **state)
{
  enum { N = 300 };

  for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
    const struct memory_link_options o = {.size = 64 * KIB,
                                          .granularity = 512,
                                          .async = kinds[k].async,
                                          .async_only = kinds[k].async_only,
                                          .instant = kinds[k].instant,
                                          .delay_us = 50};
    struct memory_link_counts counts = {0};
    struct vdk_disk *d = open_one(&o, &counts);
    struct vdk_error err = VDK_ERROR_INIT;
    struct slot *slots = calloc(N, sizeof *slots);
    uint8_t buf[700] = {0};
    unsigned done = 0;

    for (unsigned i = 0; i < N; i++) {
      slots[i].done = &done;
      slots[i].req = (struct vdk_request){.type = REQUEST_WRITE,
                                          .offset = i * 37 % 60000,
                                          .length = sizeof buf,
                                          .buf = buf,
                                          .done = slot_done,
                                          .opaque = &slots[i]};
      assert_ok(disk_submit(d, &slots[i].req, &err));
    }
    assert_ok(disk_close(d, &err));
    assert_int_equal(done, N);
    assert_int_equal(counts.breaches, 0);
    free(slots);
  }
}

static void
errors_reach_the_request(void **state)
{
  for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
    const struct memory_link_options o = {.size = 64 * KIB,
                                          .granularity = 512,
                                          .async = kinds[k].async,
                                          .async_only = kinds[k].async_only,
                                          .instant = kinds[k].instant};
    struct memory_link_counts counts = {0};
    struct vdk_disk *d = open_one(&o, &counts);
    struct vdk_error err = VDK_ERROR_INIT;
    uint8_t buf[512];
    unsigned done = 0;
    struct slot s = {.done = &done,
                     .req = {.type = REQUEST_READ,
                             .length = sizeof buf,
                             .buf = buf,
                             .done = slot_done}};

    s.req.opaque = &s;
    memory_link_fail_at(disk_link(d, 0), 1);
    assert_ok(disk_submit(d, &s.req, &err));
    disk_wait(d);
    assert_int_equal(s.result, -VDK_E_IO);
    assert_int_equal(s.req.err.code, VDK_E_IO);
    memory_link_fail_at(disk_link(d, 0), 1);
    assert_fails(disk_write(d, 0, buf, sizeof buf, &err), VDK_E_IO);
    memory_link_fail_at(disk_link(d, 0), 1);
    assert_fails(disk_flush(d, &err), VDK_E_IO);
    s.req.length = 0;
    assert_ok(disk_submit(d, &s.req, &err));
    disk_wait(d);
    assert_int_equal(s.result, 0);
    s.req.type = (enum request_type)9;
    assert_fails(disk_submit(d, &s.req, &err), VDK_E_INVAL);
    assert_ok(disk_close(d, &err));
    assert_int_equal(counts.breaches, 0);
  }
}

/* A driver that cannot zero what is asked gets zeroes written instead. */
static void
async_zero_falls_back(void **state)
{
  const struct memory_link_options o = {
      .size = 64 * KIB, .granularity = 4 * KIB, .async = true};
  struct memory_link_counts counts = {0};
  struct vdk_disk *d = open_one(&o, &counts);
  struct vdk_error err = VDK_ERROR_INIT;
  static uint8_t buf[64 * KIB];
  unsigned done = 0;
  struct slot s = {.done = &done,
                   .req = {.type = REQUEST_ZERO,
                           .offset = 5,
                           .length = 9000,
                           .done = slot_done}};

  memset(buf, 1, sizeof buf);
  s.req.opaque = &s;
  assert_ok(disk_write(d, 0, buf, sizeof buf, &err));
  assert_ok(disk_submit(d, &s.req, &err));
  disk_wait(d);
  assert_int_equal(s.result, 0);
  assert_ok(disk_read(d, 0, buf, sizeof buf, &err));
  for (size_t i = 0; i < sizeof buf; i++)
    assert_int_equal(buf[i], i < 5 || i >= 9005);
  disk_close(d, NULL);
  assert_int_equal(counts.breaches, 0);
}

/* Maps, reads, writes and waits from many threads, asynchronous ones mixed
 * in: nothing is lost, nobody waits for ever. */
struct mixer {
  struct vdk_disk *disk;
  unsigned seed, done;
  int result;
};

static void *
mix(void *arg)
{
  struct mixer *m = arg;
  struct vdk_error err;
  struct slot *slots = calloc(16, sizeof *slots);
  static const uint8_t source[4096];
  uint8_t sink[4096];

  for (unsigned i = 0; i < 60; i++) {
    uint64_t offset = (uint64_t)rand_r(&m->seed) % 60000, n;
    int ext;

    for (unsigned j = 0; j < 16; j++) {
      slots[j].done = &m->done;
      slots[j].req =
          (struct vdk_request){.type = REQUEST_WRITE,
                               .offset = (uint64_t)rand_r(&m->seed) % 60000,
                               .length = 1 + (uint64_t)rand_r(&m->seed) % 4000,
                               .buf = (void *)(uintptr_t)source,
                               .done = slot_done,
                               .opaque = &slots[j]};
      m->result |= disk_submit(m->disk, &slots[j].req, &err);
    }
    m->result |= disk_extent(m->disk, offset, 5000, &n, &ext, &err);
    m->result |= disk_read(m->disk, offset, sink, sizeof sink, &err);
    m->result |= disk_zero(m->disk, offset, 3000, &err);
    m->result |= disk_flush(m->disk, &err);
    disk_wait(m->disk);
  }
  free(slots);
  return NULL;
}

static void
everything_at_once(void **state)
{
  for (size_t k = 0; k < 2; k++) {
    const struct memory_link_options o = {
        .size = 64 * KIB, .granularity = 4 * KIB, .async = kinds[k].async};
    struct memory_link_counts counts = {0};
    struct vdk_disk *d = open_one(&o, &counts);
    struct mixer m[4];
    pthread_t threads[4];

    for (unsigned i = 0; i < 4; i++) {
      m[i] = (struct mixer){.disk = d, .seed = i + 5};
      pthread_create(&threads[i], NULL, mix, &m[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
      pthread_join(threads[i], NULL);
      assert_int_equal(m[i].result, 0);
      assert_int_equal(m[i].done, 16 * 60);
    }
    disk_close(d, NULL);
    assert_int_equal(counts.breaches, 0);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(order_in_every_kind),
      cmocka_unit_test(neighbours_lose_nothing),
      cmocka_unit_test(flush_waits_for_nobody),
      cmocka_unit_test(done_may_submit),
      cmocka_unit_test(close_waits),
      cmocka_unit_test(errors_reach_the_request),
      cmocka_unit_test(async_zero_falls_back),
      cmocka_unit_test(everything_at_once),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
