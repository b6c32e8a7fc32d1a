/* SPDX-License-Identifier: BSD-3-Clause */
/* Asynchronous requests: each completes exactly once, overlapping ones in
 * order, and a wait covers callbacks too. */
#include <pthread.h>

#include "support.h"

#define SIZE (4 * MIB)

static struct vdk_error err = VDK_ERROR_INIT;

static const char *const type_names[] = {"raw", "monolithicSparse"};
static const char *const disk_names[] = {"d.raw", "d.vmdk"};

struct outcome {
  unsigned calls; /* atomic */
  int result;
  size_t done;
  bool has_text;
};

static void
note(void *opaque, int result, size_t done, const struct vdk_error *e)
{
  struct outcome *o = opaque;

  o->result = result;
  o->done = done;
  o->has_text = e->text[0] != 0;
  __atomic_add_fetch(&o->calls, 1, __ATOMIC_SEQ_CST);
}

/* --- Many in flight ------------------------------------------------------- */

#define MANY  2000
#define PIECE 1999u

static void
test_many(void **state)
{
  static uint8_t data[MANY][PIECE], back[MANY][PIECE];
  static struct outcome outcomes[MANY];

  for (size_t t = 0; t < ARRAY_SIZE(type_names); t++) {
    struct vdk_handle *h;

    make_disk(disk_names[t], type_names[t], SIZE);
    h = open_disk(disk_names[t], VDK_OPEN_WRITE);
    memset(outcomes, 0, sizeof outcomes);
    for (unsigned i = 0; i < MANY; i++) {
      fill(data[i], (uint64_t)i * PIECE, PIECE);
      assert_ok(vdk_write_async(h, (uint64_t)i * PIECE, data[i], PIECE, note,
                                &outcomes[i], &err));
    }
    assert_ok(vdk_wait(h, &err));
    for (unsigned i = 0; i < MANY; i++) {
      assert_int_equal(outcomes[i].calls, 1);
      assert_int_equal(outcomes[i].result, 0);
      assert_int_equal(outcomes[i].done, PIECE);
    }
    memset(outcomes, 0, sizeof outcomes);
    memset(back, 0, sizeof back);
    for (unsigned i = 0; i < MANY; i++)
      assert_ok(vdk_read_async(h, (uint64_t)i * PIECE, back[i], PIECE, note,
                               &outcomes[i], &err));
    assert_ok(vdk_wait(h, &err));
    for (unsigned i = 0; i < MANY; i++) {
      assert_int_equal(outcomes[i].calls, 1);
      assert_int_equal(outcomes[i].done, PIECE);
      assert_filled(back[i], (uint64_t)i * PIECE, PIECE);
    }
    close_disk(h);
  }
}

/* --- Order ---------------------------------------------------------------- */

/* Writes over each other, never aligned: the last one made wins everywhere,
 * and a read between sees all before and nothing after. */
static void
test_overlapping_order(void **state)
{
  enum { ROUNDS = 300, LEN = 3000 };
  static uint8_t data[ROUNDS][LEN], seen[ROUNDS][LEN];
  static struct outcome outcomes[2 * ROUNDS];

  for (size_t t = 0; t < ARRAY_SIZE(type_names); t++) {
    struct vdk_handle *h;

    make_disk(disk_names[t], type_names[t], SIZE);
    h = open_disk(disk_names[t], VDK_OPEN_WRITE);
    for (unsigned i = 0; i < ROUNDS; i++) {
      memset(data[i], (int)(i % 255 + 1), LEN);
      assert_ok(vdk_write_async(h, 1001 + i % 7, data[i], LEN, note,
                                &outcomes[2 * i], &err));
      assert_ok(vdk_read_async(h, 1001 + i % 7, seen[i], LEN, note,
                               &outcomes[2 * i + 1], &err));
    }
    assert_ok(vdk_wait(h, &err));
    for (unsigned i = 0; i < ROUNDS; i++)
      assert_memory_equal(seen[i], data[i], LEN);
    close_disk(h);
  }
}

/* A flush after a write, a zero over a write. */
static void
test_zero_and_flush(void **state)
{
  struct outcome outcomes[3] = {0};
  uint8_t data[1000], back[1000];
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicSparse", SIZE);
  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  fill(data, 0, sizeof data);
  assert_ok(vdk_write_async(h, 0, data, sizeof data, note, &outcomes[0], &err));
  assert_ok(vdk_zero_async(h, 100, 200, note, &outcomes[1], &err));
  assert_ok(vdk_flush_async(h, note, &outcomes[2], &err));
  assert_ok(vdk_wait(h, &err));
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(outcomes[i].calls, 1);
    assert_int_equal(outcomes[i].result, 0);
  }
  assert_int_equal(outcomes[1].done, 0);
  assert_ok(vdk_read_at(h, 0, back, sizeof back, NULL, &err));
  assert_filled(back, 0, 100);
  assert_all_zero(back + 100, 200);
  assert_filled(back + 300, 300, 700);
  close_disk(h);
}

/* --- The end, and nothing ------------------------------------------------- */

static void
test_edges(void **state)
{
  struct outcome o = {0};
  uint8_t buf[1000];
  struct vdk_handle *h;

  make_disk("d.raw", "raw", 1024);
  h = open_disk("d.raw", VDK_OPEN_WRITE);
  assert_ok(vdk_read_async(h, 1000, buf, 1000, note, &o, &err));
  assert_ok(vdk_wait(h, &err));
  assert_int_equal(o.done, 24);
  assert_ok(vdk_read_async(h, 1024, buf, 1000, note, &o, &err));
  assert_ok(vdk_wait(h, &err));
  assert_int_equal(o.done, 0);
  assert_int_equal(o.result, 0);
  assert_ok(vdk_write_async(h, 1024, NULL, 0, note, &o, &err));
  assert_ok(vdk_zero_async(h, 0, 0, note, &o, &err));
  assert_ok(vdk_wait(h, &err));
  assert_int_equal(o.calls, 4);
  assert_ok(vdk_wait(h, &err));
  close_disk(h);
}

/* What is refused never calls back. */
static void
test_refused(void **state)
{
  struct outcome o = {0};
  uint8_t buf[100];
  struct vdk_handle *h;

  make_disk("d.raw", "raw", 1024);
  h = open_disk("d.raw", VDK_OPEN_WRITE);
  assert_fails(vdk_write_async(h, 1000, buf, 100, note, &o, &err), VDK_E_RANGE);
  assert_fails(vdk_zero_async(h, 1025, 0, note, &o, &err), VDK_E_RANGE);
  assert_fails(vdk_read_async(h, 0, NULL, 100, note, &o, &err), VDK_E_INVAL);
  assert_fails(vdk_read_async(h, 0, buf, 100, NULL, &o, &err), VDK_E_INVAL);
  assert_fails(vdk_flush_async(h, NULL, &o, &err), VDK_E_INVAL);
  assert_fails(vdk_read_async(NULL, 0, buf, 100, note, &o, &err), VDK_E_INVAL);
  assert_fails(vdk_write_async(NULL, 0, buf, 100, note, &o, &err), VDK_E_INVAL);
  assert_fails(vdk_zero_async(NULL, 0, 100, note, &o, &err), VDK_E_INVAL);
  assert_fails(vdk_flush_async(NULL, note, &o, &err), VDK_E_INVAL);
  assert_fails(vdk_wait(NULL, &err), VDK_E_INVAL);
  close_disk(h);
  h = open_disk("d.raw", 0);
  assert_fails(vdk_write_async(h, 0, buf, 100, note, &o, &err),
               VDK_E_READ_ONLY);
  assert_ok(vdk_flush_async(h, note, &o, &err));
  close_disk(h);
  assert_int_equal(o.calls, 1);
}

/* A failure inside reaches the callback, with its text. */
static void
test_failure(void **state)
{
  struct outcome o = {0};
  static uint8_t buf[64 * KIB];
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicFlat", SIZE);
  h = open_disk("d.vmdk", 0);
  assert_int_equal(truncate(path_of("d-flat.vmdk"), 1000), 0);
  assert_ok(vdk_read_async(h, MIB, buf, sizeof buf, note, &o, &err));
  assert_ok(vdk_wait(h, &err));
  assert_int_equal(o.calls, 1);
  assert_true(o.result < 0);
  assert_int_equal(o.done, 0);
  assert_true(o.has_text);
  close_disk(h);
}

/* --- Callbacks that go on ------------------------------------------------- */

struct chain {
  struct vdk_handle *h;
  uint8_t buf[512];
  unsigned left;
};

static void
chain_next(void *opaque, int result, size_t done, const struct vdk_error *e)
{
  struct chain *c = opaque;

  if (result == 0 && --c->left > 0)
    vdk_read_async(c->h, c->left, c->buf, sizeof c->buf, chain_next, c, NULL);
}

/* The wait includes what callbacks start. */
static void
test_requests_from_callbacks(void **state)
{
  struct chain c = {.left = 500};

  make_disk("d.raw", "raw", SIZE);
  c.h = open_disk("d.raw", 0);
  assert_ok(vdk_read_async(c.h, 0, c.buf, sizeof c.buf, chain_next, &c, &err));
  assert_ok(vdk_wait(c.h, &err));
  assert_int_equal(c.left, 0);
  close_disk(c.h);
}

/* A close waits: no callback comes after it. */
static void
test_close_waits(void **state)
{
  enum { COUNT = 64 };
  static uint8_t buf[COUNT][64 * KIB];
  static struct outcome outcomes[COUNT];
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicSparse", SIZE);
  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  for (unsigned i = 0; i < COUNT; i++)
    assert_ok(vdk_write_async(h, i * 64 * KIB, buf[i], sizeof buf[i], note,
                              &outcomes[i], &err));
  close_disk(h);
  for (unsigned i = 0; i < COUNT; i++)
    assert_int_equal(outcomes[i].calls, 1);
}

/* --- Several threads ------------------------------------------------------ */

struct submitter {
  struct vdk_handle *h;
  unsigned number;
  struct outcome outcomes[200];
  uint8_t data[200][1024];
};

static void *
submit_run(void *opaque)
{
  struct submitter *s = opaque;

  for (unsigned i = 0; i < 200; i++) {
    memset(s->data[i], (int)s->number + 1, 1024);
    if (vdk_write_async(s->h, ((uint64_t)i * 4 + s->number) * 1024 + 100,
                        s->data[i], 1024, note, &s->outcomes[i], NULL))
      return s;
  }
  return NULL;
}

static void
test_threads(void **state)
{
  static struct submitter submitters[4];
  pthread_t threads[4];
  uint8_t byte;
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicSparse", SIZE);
  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  for (unsigned i = 0; i < 4; i++) {
    submitters[i] = (struct submitter){.h = h, .number = i};
    assert_int_equal(
        pthread_create(&threads[i], NULL, submit_run, &submitters[i]), 0);
  }
  for (unsigned i = 0; i < 4; i++) {
    void *failed;

    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  assert_ok(vdk_wait(h, &err));
  for (unsigned i = 0; i < 800; i++) {
    assert_int_equal(submitters[i % 4].outcomes[i / 4].calls, 1);
    assert_ok(vdk_read_at(h, i * 1024 + 100, &byte, 1, NULL, &err));
    assert_int_equal(byte, i % 4 + 1);
    assert_ok(vdk_read_at(h, i * 1024 + 1123, &byte, 1, NULL, &err));
    assert_int_equal(byte, i % 4 + 1);
  }
  close_disk(h);
}

#define T(f) cmocka_unit_test_setup_teardown(f, support_setup, support_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      T(test_many),
      T(test_overlapping_order),
      T(test_zero_and_flush),
      T(test_edges),
      T(test_refused),
      T(test_failure),
      T(test_requests_from_callbacks),
      T(test_close_waits),
      T(test_threads),
  };

  return cmocka_run_group_tests_name("surface async", tests, NULL, NULL);
}
