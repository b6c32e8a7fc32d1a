/* SPDX-License-Identifier: BSD-3-Clause */
/* The pipeline alone, between a fake source and a fake sink. */
#include "tests/unit/unit.h"

#include "tests/unit/copy/fake.h"

static const unsigned worker_counts[] = {1, 2, 3, 8};

/* Everything arrives, in order where that is asked for, however many work. */
static void
all_chunks_arrive(void **state)
{
  for (size_t i = 0; i < ARRAY_SIZE(worker_counts); i++)
    for (int ordered = 0; ordered <= 1; ordered++) {
      struct vdk_error err = VDK_ERROR_INIT;
      struct copy_options o = {.workers = worker_counts[i]};
      struct copy_stats stats;
      struct fake_source source;
      struct fake_sink sink;

      fake_source_init(&source, 500);
      source.slow_every = 37;
      fake_sink_init(&sink, ordered, false);
      assert_ok(copy_run(&source.source, &sink.sink, &o, &stats, &err));
      assert_int_equal(sink.chunks, 500);
      assert_int_equal(sink.data, 500 * FAKE_CHUNK);
      assert_false(sink.out_of_order);
      assert_false(sink.wrong_data);
      assert_true(sink.finished);
      assert_int_equal(stats.passed, 500 * FAKE_CHUNK);
      assert_int_equal(stats.read, 500 * FAKE_CHUNK);
      assert_int_equal(stats.written, 500 * FAKE_CHUNK);
      assert_int_equal(stats.zero, 0);
      assert_true(source.most_at_once <= worker_counts[i]);
      if (ordered)
        assert_int_equal(sink.most_at_once, 1);
      if (worker_counts[i] > 1)
        assert_true(source.most_at_once > 1);
    }
}

static void
empty_source(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct copy_stats stats;
  struct fake_source source;
  struct fake_sink sink;

  fake_source_init(&source, 0);
  fake_sink_init(&sink, true, true);
  assert_ok(copy_run(&source.source, &sink.sink, NULL, &stats, &err));
  assert_true(sink.finished);
  assert_int_equal(sink.chunks, 0);
  assert_int_equal(stats.passed, 0);
}

/* One slow chunk in front: the others must not run further than the ring. */
static void
slots_bound_what_is_fetched(void **state)
{
  for (unsigned slots = 1; slots <= 7; slots += 2) {
    struct vdk_error err = VDK_ERROR_INIT;
    struct copy_options o = {.workers = 4, .slots = slots};
    struct fake_source source;
    struct fake_sink sink;

    fake_source_init(&source, 200);
    source.slow_every = 20;
    fake_sink_init(&sink, true, false);
    sink.source = &source;
    assert_ok(copy_run(&source.source, &sink.sink, &o, NULL, &err));
    assert_false(sink.out_of_order);
    assert_int_equal(sink.chunks, 200);
    assert_in_range(sink.most_behind, 1, slots);
    assert_true(source.most_at_once <= slots);
  }
}

static void
zeroes_are_dropped_or_given(void **state)
{
  for (int wants = 0; wants <= 1; wants++)
    for (int ordered = 0; ordered <= 1; ordered++) {
      struct vdk_error err = VDK_ERROR_INIT;
      struct copy_stats stats;
      struct fake_source source;
      struct fake_sink sink;

      fake_source_init(&source, 100);
      source.zero_every = 5;  /* 20 chunks, of which 4 are holes */
      source.hole_every = 25; /* known beforehand */
      fake_sink_init(&sink, ordered, wants);
      assert_ok(copy_run(&source.source, &sink.sink, NULL, &stats, &err));
      assert_int_equal(sink.data, 80 * FAKE_CHUNK);
      assert_int_equal(sink.zeroes, wants ? 20 * FAKE_CHUNK : 0);
      assert_int_equal(stats.passed, 100 * FAKE_CHUNK);
      assert_int_equal(stats.read, 96 * FAKE_CHUNK);
      assert_int_equal(stats.zero, 16 * FAKE_CHUNK);
      assert_false(sink.wrong_data || sink.out_of_order);
    }
}

static void
zero_blocks_can_be_kept(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct copy_options o = {.keep_zero_blocks = true};
  struct copy_stats stats;
  struct fake_source source;
  struct fake_sink sink;

  fake_source_init(&source, 10);
  source.zero_every = 5;
  fake_sink_init(&sink, true, false);
  assert_ok(copy_run(&source.source, &sink.sink, &o, &stats, &err));
  assert_int_equal(sink.data, 10 * FAKE_CHUNK);
  assert_int_equal(stats.zero, 0);
}

/* A hole of 10 TiB reaches the sink whole, though in pieces. */
static void
huge_holes(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct copy_stats stats;
  struct fake_source source;
  struct fake_sink sink;

  fake_source_init(&source, 5);
  source.hole_every = 3;
  source.hole_length = 10ull << 40;
  fake_sink_init(&sink, true, true);
  assert_ok(copy_run(&source.source, &sink.sink, NULL, &stats, &err));
  assert_true(sink.zeroes == 10ull << 40);
  assert_true(sink.chunks > 4 + 1);
  assert_false(sink.out_of_order);
  assert_true(stats.passed == (10ull << 40) + 4 * FAKE_CHUNK);
}

/* --- Errors --------------------------------------------------------------- */

struct failure {
  const char *stage;
  int code, side;
};

static void
set_failure(struct fake_source *source, struct fake_sink *sink,
            const char *stage, unsigned at)
{
  if (strcmp(stage, "fetch") == 0)
    source->fail_fetch = at;
  else if (strcmp(stage, "read") == 0)
    source->fail_read = at;
  else if (strcmp(stage, "prepare") == 0)
    sink->fail_prepare = at;
  else if (strcmp(stage, "write") == 0)
    sink->fail_write = at;
  else
    sink->fail_finish = at;
}

static void
errors_stop_the_copy_and_name_their_side(void **state)
{
  static const struct failure failures[] = {
      {"fetch", VDK_E_IO, VDK_SIDE_SOURCE},
      {"read", VDK_E_CORRUPT, VDK_SIDE_SOURCE},
      {"prepare", VDK_E_INTERNAL, VDK_SIDE_TARGET},
      {"write", VDK_E_NO_SPACE, VDK_SIDE_TARGET},
      {"finish", VDK_E_IO, VDK_SIDE_TARGET},
  };

  for (size_t i = 0; i < ARRAY_SIZE(failures); i++)
    for (size_t w = 0; w < ARRAY_SIZE(worker_counts); w++)
      for (int ordered = 0; ordered <= 1; ordered++) {
        struct vdk_error err = VDK_ERROR_INIT;
        struct copy_options o = {.workers = worker_counts[w]};
        struct fake_source source;
        struct fake_sink sink;

        fake_source_init(&source, 1000);
        source.slow_every = 3;
        fake_sink_init(&sink, ordered, false);
        set_failure(&source, &sink, failures[i].stage, 30);
        if (strcmp(failures[i].stage, "finish") == 0)
          source.count = 30;
        assert_fails(copy_run(&source.source, &sink.sink, &o, NULL, &err),
                     failures[i].code);
        assert_int_equal(err.side, failures[i].side);
        assert_non_null(strstr(err.text, failures[i].stage));
        assert_false(sink.finished);
        assert_false(sink.out_of_order);
        /* It stops soon: what is under way ends, no more. */
        assert_true(source.taken < 30 + 8 * worker_counts[w] + 8);
        if (ordered && strcmp(failures[i].stage, "write") == 0)
          assert_int_equal(sink.chunks, 30);
      }
}

/* --- Progress and cancelling ---------------------------------------------- */

struct watcher {
  unsigned calls;
  unsigned cancel_at;
  int inside;
  uint64_t done, total, written;
  char item[32];
};

static int
watch(void *opaque, const struct vdk_progress_info *info)
{
  struct watcher *w = opaque;

  assert_int_equal(__atomic_add_fetch(&w->inside, 1, __ATOMIC_SEQ_CST), 1);
  assert_true(info->done >= w->done);
  w->done = info->done;
  w->total = info->total;
  w->written = info->written;
  snprintf(w->item, sizeof w->item, "%s", info->item);
  w->calls++;
  usleep(1000);
  __atomic_add_fetch(&w->inside, -1, __ATOMIC_SEQ_CST);
  return w->calls == w->cancel_at;
}

static void
progress_is_reported(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct watcher w = {0};
  struct copy_options o = {.workers = 4, .progress = {watch, &w}};
  struct fake_source source;
  struct fake_sink sink;

  fake_source_init(&source, 500);
  source.slow_every = 1; /* 500 x 2 ms over 4 workers: a quarter second */
  fake_sink_init(&sink, true, false);
  assert_ok(copy_run(&source.source, &sink.sink, &o, NULL, &err));
  assert_in_range(w.calls, 2, 40);
  assert_int_equal(w.done, 500 * FAKE_CHUNK);
  assert_int_equal(w.total, 500 * FAKE_CHUNK);
  assert_int_equal(w.written, 500 * FAKE_CHUNK);
  assert_string_equal(w.item, "fake disk");
}

static void
a_short_copy_reports_once(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct watcher w = {0};
  struct copy_options o = {.progress = {watch, &w}};
  struct fake_source source;
  struct fake_sink sink;

  fake_source_init(&source, 3);
  source.source.label = NULL;
  fake_sink_init(&sink, false, false);
  assert_ok(copy_run(&source.source, &sink.sink, &o, NULL, &err));
  assert_int_equal(w.calls, 1);
  assert_int_equal(w.done, 3 * FAKE_CHUNK);
  assert_string_equal(w.item, "");
}

static void
progress_cancels(void **state)
{
  for (int ordered = 0; ordered <= 1; ordered++)
    for (unsigned count = 2; count <= 1000; count += 998) {
      struct vdk_error err = VDK_ERROR_INIT;
      struct watcher w = {.cancel_at = 1};
      struct copy_options o = {.workers = 3, .progress = {watch, &w}};
      struct fake_source source;
      struct fake_sink sink;

      fake_source_init(&source, count);
      source.slow_every = 1;
      fake_sink_init(&sink, ordered, false);
      assert_fails(copy_run(&source.source, &sink.sink, &o, NULL, &err),
                   VDK_E_CANCELLED);
      assert_int_equal(err.side, VDK_SIDE_NONE);
      assert_int_equal(w.calls, 1);
      assert_false(sink.finished);
    }
}

static int
cancel(void *opaque, const struct vdk_progress_info *info)
{
  return 1;
}

/* Cancelling works in the middle of one huge hole, too. */
static int
slow_zero_write(struct copy_sink *s, struct copy_chunk *c,
                struct vdk_error *err)
{
  usleep(10000);
  s->written += c->length;
  return 0;
}

static void
a_huge_hole_can_be_cancelled(void **state)
{
  static const struct copy_sink_ops ops = {.write = slow_zero_write};
  struct vdk_error err = VDK_ERROR_INIT;
  struct copy_sink sink = {.ops = &ops, .ordered = true, .wants_zeroes = true};
  struct copy_options o = {.progress = {cancel, NULL}};
  struct fake_source source;

  fake_source_init(&source, 1);
  source.hole_every = 1;
  source.hole_length = 60ull << 40;
  assert_fails(copy_run(&source.source, &sink, &o, NULL, &err),
               VDK_E_CANCELLED);
  assert_true(sink.written < 1ull << 40);
}

static void
sizes_are_checked(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct fake_source source;
  struct fake_sink sink;

  fake_source_init(&source, 1);
  fake_sink_init(&sink, false, false);
  sink.sink.chunk_size = 3000;
  assert_fails(copy_run(&source.source, &sink.sink, NULL, NULL, &err),
               VDK_E_INVAL);
  sink.sink.chunk_size = 1u << 30;
  assert_fails(copy_run(&source.source, &sink.sink, NULL, NULL, &err),
               VDK_E_INVAL);
  sink.sink.chunk_size = FAKE_CHUNK;
  sink.sink.granularity = 100;
  assert_fails(copy_run(&source.source, &sink.sink, NULL, NULL, &err),
               VDK_E_INVAL);
  /* A unit larger than the chunk makes the chunk larger. */
  sink.sink.granularity = 2 * FAKE_CHUNK;
  assert_ok(copy_run(&source.source, &sink.sink, NULL, NULL, &err));
  assert_int_equal(source.source.align, 2 * FAKE_CHUNK);
  assert_int_equal(source.source.chunk_size, 2 * FAKE_CHUNK);
  copy_source_close(NULL);
  copy_sink_close(NULL);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_chunks_arrive),
      cmocka_unit_test(empty_source),
      cmocka_unit_test(slots_bound_what_is_fetched),
      cmocka_unit_test(zeroes_are_dropped_or_given),
      cmocka_unit_test(zero_blocks_can_be_kept),
      cmocka_unit_test(huge_holes),
      cmocka_unit_test(errors_stop_the_copy_and_name_their_side),
      cmocka_unit_test(progress_is_reported),
      cmocka_unit_test(a_short_copy_reports_once),
      cmocka_unit_test(progress_cancels),
      cmocka_unit_test(a_huge_hole_can_be_cancelled),
      cmocka_unit_test(sizes_are_checked),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
