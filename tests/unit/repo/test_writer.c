/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The writer against a model: random puts, holes and inheritance over several
 * points, dedup, resume, writers side by side, the pipeline's sink.
 */
#include "tests/unit/repo/repo_fixture.h"

#include <pthread.h>

#include "base/mem.h"
#include "base/str.h"
#include "copy/copy.h"
#include "repo/internal.h"
#include "repo/map_builder.h"

#define CHUNK (64u * 1024)
#define MODEL (1100u * CHUNK) /* three leaves of a map */

struct model {
  uint8_t *now, *parent;
  uint64_t size, parent_size;
};

static void
random_change(struct repo_disk *d, struct model *m, bool inherits,
              uint64_t *seed)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t offset = fixture_random(seed) % m->size;
  uint64_t len = 1 + fixture_random(seed) %
                         (fixture_random(seed) % 6 ? 2 * CHUNK : 700 * CHUNK);

  if (fixture_random(seed) % 3 == 0)
    offset = round_down(offset, CHUNK);
  len = MIN(len, m->size - offset);
  switch (fixture_random(seed) % 5) {
  case 0:
    memset(m->now + offset, 0, len);
    assert_ok(repo_disk_hole(d, offset, len, &err));
    return;
  case 1:
    memset(m->now + offset, 0, len);
    if (inherits && offset < m->parent_size)
      memcpy(m->now + offset, m->parent + offset,
             MIN(len, m->parent_size - offset));
    assert_ok(repo_disk_inherit(d, offset, len, &err));
    return;
  default:
    len = MIN(len, (uint64_t)4 * CHUNK);
    fixture_fill(m->now + offset, len, seed);
    assert_ok(repo_disk_put(d, offset, m->now + offset, len, &err));
  }
}

static uint64_t
count_data(const struct model *m)
{
  uint64_t data = 0;

  for (uint64_t at = 0; at < m->size; at += CHUNK) {
    uint64_t len = MIN((uint64_t)CHUNK, m->size - at);

    data += mem_is_zero(m->now + at, len) ? 0 : len;
  }
  return data;
}

/* repo_diff tells every byte that differs, in whole chunks, ascending. */
static void
check_diff(struct fixture *f, const struct repo_point *a,
           const struct repo_point *b, const struct model *m)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t end = MAX(m->size, m->parent_size), at = 0;
  struct vdk_extent *list;
  size_t count;

  assert_ok(
      repo_diff(f->repo, &a->disks[0], &b->disks[0], &list, &count, &err));
  for (size_t i = 0; i <= count; i++) {
    uint64_t start = i < count ? list[i].offset : end;

    assert_true(start >= at && start <= end);
    if (start > at) {
      assert_true(start <= MIN(m->size, m->parent_size));
      assert_memory_equal(m->now + at, m->parent + at, start - at);
    }
    if (i == count)
      break;
    assert_true(list[i].length > 0);
    at = list[i].offset + list[i].length;
    if (list[i].state == VDK_EXTENT_ZERO && start < m->size)
      assert_true(mem_is_zero(m->now + start, MIN(at, m->size) - start));
  }
  free(list);
}

/* What map says must be true, and reach the end. */
static void
check_map(struct fixture *f, const struct repo_point *p, const struct model *m)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_link *l;
  uint64_t at = 0, len, data = 0;
  int state;

  assert_ok(repo_disk_open(f->repo, p, &p->disks[0], &l, &err));
  for (; at < m->size; at += len) {
    assert_ok(l->ops->map(l, at, m->size - at, &len, &state, &err));
    assert_in_range(len, 1, m->size - at);
    if (state == VDK_EXTENT_ZERO)
      assert_true(mem_is_zero(m->now + at, len));
    else
      data += len;
  }
  assert_int_equal(data, p->disks[0].bytes_data);
  l->ops->close(l, NULL);
}

static void
one_point(struct fixture *f, struct model *m, struct repo_point **parent,
          uint64_t *seed)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint8_t *read = malloc(MODEL);
  struct repo_writer *w = fixture_writer(f, *parent);
  struct repo_point *p;
  struct repo_disk *d;

  memcpy(m->parent, m->now, MODEL);
  m->parent_size = m->size;
  if (!*parent || fixture_random(seed) % 2)
    m->size = 512 * (1 + fixture_random(seed) % (MODEL / 512));
  memset(m->now + m->size, 0, MODEL - m->size);
  d = fixture_disk(w, "scsi0:0", m->size,
                   *parent ? &(*parent)->disks[0] : NULL);
  for (unsigned i = 0; i < 15; i++)
    random_change(d, m, *parent != NULL, seed);
  assert_ok(repo_disk_end(d, &err));
  assert_ok(repo_writer_commit(w, &p, &err));
  repo_writer_close(w);
  assert_int_equal(p->disks[0].bytes_data, count_data(m));
  fixture_reopen(f);
  if (fixture_random(seed) % 2)
    index_set_resident_max(f->repo->index, 0); /* all is read by the page */
  assert_ok(fixture_read(f->repo, p, &p->disks[0], 0, read, m->size,
                         1 + fixture_random(seed) % (9 * CHUNK), &err));
  assert_memory_equal(read, m->now, m->size);
  check_map(f, p, m);
  if (*parent)
    check_diff(f, *parent, p, m);
  repo_point_free(*parent);
  *parent = p;
  free(read);
}

static void
random_lives_are_read_back(void **state)
{
  for (uint64_t run = 1; run <= 4; run++) {
    struct model m = {mem_array(MODEL, 1), mem_array(MODEL, 1), 0, 0};
    struct vdk_error err = VDK_ERROR_INIT;
    struct repo_point *parent = NULL;
    struct fixture f;
    uint64_t seed = run;

    fixture_open(&f, CHUNK);
    for (unsigned i = 0; i < 4; i++)
      one_point(&f, &m, &parent, &seed);
    assert_ok(
        repo_verify(f.repo, REPO_VERIFY_DEEP, NULL, NULL, NULL, NULL, &err));
    repo_point_free(parent);
    fixture_close(&f);
    free(m.now);
    free(m.parent);
  }
}

/* --- Resume and dedup ---------------------------------------------------- */

static void
what_an_interrupted_run_stored_is_used(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t len = 40 * CHUNK, seed = 5, first;
  uint8_t *bytes = malloc(len);
  struct repo_writer *w;
  struct repo_disk *d;
  struct repo_point *p;
  struct fixture f;

  fixture_fill(bytes, len, &seed);
  fixture_open(&f, CHUNK);
  w = fixture_writer(&f, NULL);
  d = fixture_disk(w, "scsi0:0", len, NULL);
  assert_ok(repo_disk_put(d, 0, bytes, len, &err));
  first = repo_writer_stored(w);
  assert_true(first > len / 3);
  repo_writer_close(w); /* no commit */
  fixture_reopen(&f);
  assert_fails(repo_find(f.repo, "latest", &p, &err), VDK_E_NO_POINT);
  w = fixture_writer(&f, NULL);
  d = fixture_disk(w, "scsi0:0", len, NULL);
  assert_ok(repo_disk_put(d, 0, bytes, len, &err));
  assert_int_equal(repo_writer_stored(w), 0);
  assert_ok(repo_disk_end(d, &err));
  assert_ok(repo_writer_commit(w, &p, &err));
  assert_in_range(p->disks[0].bytes_stored, 1, 4000); /* the map */
  repo_writer_close(w);
  repo_point_free(p);
  fixture_close(&f);
  free(bytes);
}

static void
equal_chunks_are_stored_once(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t seed = 5, one;
  uint8_t *bytes = malloc(CHUNK);
  struct repo_disk *a, *b;
  struct repo_writer *w;
  struct fixture f;

  fixture_fill(bytes, CHUNK, &seed);
  fixture_open(&f, CHUNK);
  w = fixture_writer(&f, NULL);
  a = fixture_disk(w, "scsi0:0", 100 * CHUNK, NULL);
  b = fixture_disk(w, "scsi0:1", 100 * CHUNK, NULL);
  assert_ok(repo_disk_put(a, 0, bytes, CHUNK, &err));
  one = repo_writer_stored(w);
  for (unsigned i = 1; i < 100; i++)
    assert_ok(repo_disk_put(i % 2 ? a : b, i * CHUNK, bytes, CHUNK, &err));
  assert_int_equal(repo_writer_stored(w), one);
  repo_writer_close(w);
  fixture_close(&f);
  free(bytes);
}

/* A put that changes nothing changes no node: the root stays what it was. */
static void
writing_the_same_again_adds_nothing(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t len = 600 * CHUNK + 512, seed = 8;
  uint8_t *bytes = mem_array(len, 1);
  struct repo_point *p, *q;
  struct repo_writer *w;
  struct repo_disk *d;
  struct fixture f;

  fixture_fill(bytes, 20 * CHUNK, &seed);
  fixture_open(&f, CHUNK);
  w = fixture_writer(&f, NULL);
  d = fixture_disk(w, "scsi0:0", len, NULL);
  assert_ok(repo_disk_put(d, 0, bytes, len, &err));
  assert_ok(repo_disk_end(d, &err));
  assert_ok(repo_writer_commit(w, &p, &err));
  repo_writer_close(w);
  w = fixture_writer(&f, p);
  d = fixture_disk(w, "scsi0:0", len, &p->disks[0]);
  assert_ok(repo_disk_put(d, 0, bytes, len, &err));
  assert_ok(repo_disk_end(d, &err));
  assert_ok(repo_writer_commit(w, &q, &err));
  assert_int_equal(repo_writer_stored(w), 0);
  repo_writer_close(w);
  assert_memory_equal(&p->disks[0].root, &q->disks[0].root, 32);
  assert_string_equal(q->parent, p->id);
  assert_true(strcmp(q->id, p->id) > 0); /* also within one second */
  repo_point_free(p);
  repo_point_free(q);
  fixture_close(&f);
  free(bytes);
}

/* --- Many threads -------------------------------------------------------- */

#define THREADS 4u
#define SHARE   60u /* chunks of each */

struct hand {
  pthread_t thread;
  struct repo_disk *d;
  const uint8_t *bytes;
  unsigned first;
};

static void *
put_share(void *arg)
{
  struct hand *h = arg;
  struct vdk_error err = VDK_ERROR_INIT;

  for (unsigned i = 0; i < SHARE; i++) {
    uint64_t at = (uint64_t)(h->first + i * THREADS) * CHUNK;

    /* A whole chunk, or in two parts. */
    if (i % 3) {
      if (repo_disk_put(h->d, at, h->bytes + at, CHUNK, &err) != 0)
        return h;
    } else if (repo_disk_put(h->d, at, h->bytes + at, 1000, &err) != 0 ||
               repo_disk_put(h->d, at + 1000, h->bytes + at + 1000,
                             CHUNK - 1000, &err) != 0) {
      return h;
    }
  }
  return NULL;
}

static void
two_writers_with_threads(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t len = (uint64_t)THREADS * SHARE * CHUNK, seed = 9;
  uint8_t *bytes = malloc(len), *read = malloc(len);
  struct hand hands[2 * THREADS];
  struct repo_writer *w[2];
  struct repo_disk *d[2];
  struct repo_point *p[2];
  struct fixture f;

  fixture_fill(bytes, len, &seed);
  fixture_open(&f, CHUNK);
  for (unsigned i = 0; i < 2; i++) {
    w[i] = fixture_writer(&f, NULL);
    d[i] = fixture_disk(w[i], "scsi0:0", len, NULL);
  }
  for (unsigned i = 0; i < 2 * THREADS; i++) {
    hands[i] = (struct hand){0, d[i % 2], bytes, i / 2};
    assert_int_equal(
        pthread_create(&hands[i].thread, NULL, put_share, &hands[i]), 0);
  }
  for (unsigned i = 0; i < 2 * THREADS; i++) {
    void *failed;

    pthread_join(hands[i].thread, &failed);
    assert_null(failed);
  }
  for (unsigned i = 0; i < 2; i++) {
    assert_ok(repo_disk_end(d[i], &err));
    assert_ok(repo_writer_commit(w[i], &p[i], &err));
    repo_writer_close(w[i]);
  }
  for (unsigned i = 0; i < 2; i++) {
    assert_ok(fixture_read(f.repo, p[i], &p[i]->disks[0], 0, read, len,
                           7 * CHUNK, &err));
    assert_memory_equal(read, bytes, len);
    repo_point_free(p[i]);
  }
  assert_ok(
      repo_verify(f.repo, REPO_VERIFY_DEEP, NULL, NULL, NULL, NULL, &err));
  fixture_close(&f);
  free(bytes);
  free(read);
}

/* Packs get full, checkpoints come, and all is found all the same. */
static void
many_packs_and_checkpoints(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t len = 60u * 1024 * 1024, seed = 11;
  uint8_t *bytes = malloc(len), *read = malloc(len);
  struct repo_writer_options o = {
      .vm_uuid = FIXTURE_UUID, .vm_name = "x", .checkpoint = 1};
  struct repo_verify_stats stats;
  struct repo_writer *w;
  struct repo_point *p;
  struct repo_disk *d;
  struct fixture f;

  for (uint64_t i = 0; i < len; i += 4) {
    uint32_t x = fixture_random(&seed);

    memcpy(bytes + i, &x, 4);
  }
  fixture_open(&f, CHUNK);
  index_set_resident_max(f.repo->index, 300);
  assert_ok(repo_writer_open(f.repo, &o, &w, &err));
  d = fixture_disk(w, "scsi0:0", len, NULL);
  assert_ok(repo_disk_put(d, 0, bytes, len, &err));
  assert_ok(repo_disk_put(d, 100, bytes, 5, &err)); /* reads back */
  memcpy(bytes + 100, bytes, 5);
  assert_ok(repo_disk_end(d, &err));
  assert_ok(repo_writer_commit(w, &p, &err));
  repo_writer_close(w);
  assert_ok(fixture_read(f.repo, p, &p->disks[0], 0, read, len, 1 << 20, &err));
  assert_memory_equal(read, bytes, len);
  assert_ok(
      repo_verify(f.repo, REPO_VERIFY_DEEP, NULL, NULL, NULL, &stats, &err));
  assert_in_range(stats.packs, 4, 5);
  repo_point_free(p);
  fixture_close(&f);
  free(bytes);
  free(read);
}

/* --- The sink ------------------------------------------------------------ */

static void
sink_takes_chunks_and_zeroes(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t len = 9 * CHUNK + 512, seed = 4;
  uint8_t *bytes = mem_array(len, 1), *read = malloc(len);
  struct copy_sink *sink;
  struct repo_writer *w;
  struct repo_point *p;
  struct repo_disk *d;
  struct fixture f;

  fixture_fill(bytes, len, &seed);
  memset(bytes + 2 * CHUNK, 0, 5 * CHUNK);
  fixture_open(&f, CHUNK);
  w = fixture_writer(&f, NULL);
  d = fixture_disk(w, "scsi0:0", len, NULL);
  assert_ok(repo_disk_put(d, 3 * CHUNK, bytes, 10, &err)); /* overwritten */
  assert_ok(repo_disk_sink(d, &sink, &err));
  assert_int_equal(sink->chunk_size, CHUNK);
  for (uint64_t at = 0; at < len;) {
    struct copy_chunk c = {.offset = at,
                           .length = MIN((uint64_t)CHUNK, len - at),
                           .data = bytes + at};

    if (at == 2 * CHUNK) {
      c.state = VDK_EXTENT_ZERO;
      c.length = 5 * CHUNK;
    } else {
      assert_ok(sink->ops->prepare(sink, &c, &err));
    }
    assert_ok(sink->ops->write(sink, &c, &err));
    at += c.length;
  }
  assert_ok(sink->ops->finish(sink, &err));
  sink->ops->close(sink);
  assert_ok(repo_disk_end(d, &err));
  assert_ok(repo_writer_commit(w, &p, &err));
  assert_int_equal(p->disks[0].bytes_data, 4 * CHUNK + 512);
  repo_writer_close(w);
  assert_ok(fixture_read(f.repo, p, &p->disks[0], 0, read, len, len, &err));
  assert_memory_equal(read, bytes, len);
  repo_point_free(p);
  fixture_close(&f);
  free(bytes);
  free(read);
}

/* --- Huge disks ---------------------------------------------------------- */

#define HUGE_SIZE ((uint64_t)60 << 40)

static void
a_disk_of_60_terabytes(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint8_t bytes[1000], read[1000];
  struct repo_point *p;
  struct repo_writer *w;
  struct repo_disk *d;
  struct fixture f;
  uint64_t seed = 2;

  memset(bytes, 0x42, sizeof bytes);
  fixture_open(&f, 256 * 1024);
  w = fixture_writer(&f, NULL);
  d = fixture_disk(w, "scsi0:0", HUGE_SIZE, NULL);
  /* More leaves than the builder caches, in no order. */
  for (unsigned i = 0; i < 3000; i++) {
    uint64_t at = (uint64_t)fixture_random(&seed) * 25000 % HUGE_SIZE;

    assert_ok(repo_disk_put(d, at & ~(uint64_t)4095, bytes, 900, &err));
  }
  assert_ok(repo_disk_hole(d, (uint64_t)20 << 40, (uint64_t)30 << 40, &err));
  assert_ok(repo_disk_put(d, HUGE_SIZE - 1000, bytes, 1000, &err));
  assert_ok(repo_disk_end(d, &err));
  assert_ok(repo_writer_commit(w, &p, &err));
  repo_writer_close(w);
  fixture_reopen(&f);
  assert_ok(fixture_read(f.repo, p, &p->disks[0], HUGE_SIZE - 1000, read, 1000,
                         1000, &err));
  assert_memory_equal(read, bytes, 1000);
  seed = 2;
  for (unsigned i = 0; i < 300; i++) {
    uint64_t at = (uint64_t)fixture_random(&seed) * 25000 % HUGE_SIZE;
    bool hole = at >= (uint64_t)20 << 40 && at < (uint64_t)50 << 40;

    assert_ok(fixture_read(f.repo, p, &p->disks[0], at & ~(uint64_t)4095, read,
                           900, 900, &err));
    if (hole)
      assert_true(mem_is_zero(read, 900));
    else
      assert_memory_equal(read, bytes, 900);
  }
  assert_ok(
      repo_verify(f.repo, REPO_VERIFY_QUICK, NULL, NULL, NULL, NULL, &err));
  repo_point_free(p);
  fixture_close(&f);
}

/* --- Refusals ------------------------------------------------------------ */

static void
what_cannot_be_is_refused(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct repo_writer_options bad = {.vm_uuid = "../x", .vm_name = "x"};
  struct repo_disk_options o = {.key = "scsi0:0", .size = 1024};
  struct repo_writer *w;
  struct repo_disk *d;
  struct fixture f;

  fixture_open(&f, CHUNK);
  assert_fails(repo_writer_open(f.repo, &bad, &w, &err), VDK_E_INVAL);
  w = fixture_writer(&f, NULL);
  assert_ok(repo_disk_begin(w, &o, &d, &err));
  assert_fails(repo_disk_put(d, 1000, "0123456789", 25, &err), VDK_E_RANGE);
  assert_fails(repo_disk_hole(d, 1025, 0, &err), VDK_E_RANGE);
  assert_fails(repo_disk_begin(w, &o, &d, &err), VDK_E_EXISTS);
  o.key = "a/b";
  assert_fails(repo_disk_begin(w, &o, &d, &err), VDK_E_INVAL);
  o.key = "scsi0:1";
  o.size = (uint64_t)1 << 61;
  assert_fails(repo_disk_begin(w, &o, &d, &err), VDK_E_TOO_BIG);
  assert_fails(repo_writer_file(w, "../vm.vmx", "vmx", "", 0, &err),
               VDK_E_INVAL);
  assert_ok(repo_writer_file(w, "vm.vmx", "vmx", "", 0, &err));
  assert_fails(repo_writer_file(w, "vm.vmx", "vmx", "", 0, &err), VDK_E_EXISTS);
  assert_fails(repo_writer_commit(w, NULL, &err), VDK_E_INVAL); /* not ended */
  repo_writer_close(w);
  fixture_close(&f);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_lives_are_read_back),
      cmocka_unit_test(what_an_interrupted_run_stored_is_used),
      cmocka_unit_test(equal_chunks_are_stored_once),
      cmocka_unit_test(writing_the_same_again_adds_nothing),
      cmocka_unit_test(two_writers_with_threads),
      cmocka_unit_test(many_packs_and_checkpoints),
      cmocka_unit_test(sink_takes_chunks_and_zeroes),
      cmocka_unit_test(a_disk_of_60_terabytes),
      cmocka_unit_test(what_cannot_be_is_refused),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
