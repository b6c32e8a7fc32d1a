/* SPDX-License-Identifier: BSD-3-Clause */
/* streamOptimized: written by us, read back by us, in both ways. */
#include "tests/unit/unit.h"

#include <pthread.h>

#include "base/endian.h"
#include "base/mem.h"
#include "format/vmdk/marker.h"
#include "tests/unit/format/stream_fixture.h"

static void
assert_same(const uint8_t *a, const uint8_t *b, uint64_t len)
{
  for (uint64_t i = 0; memcmp(a, b, len) != 0; i++)
    if (a[i] != b[i])
      fail_msg("first difference at %llu", (unsigned long long)i);
}

/* Every way of reading FILE (closed here) gives BYTES. */
static void
assert_reads_as(struct vdk_file *file, const uint8_t *bytes, uint64_t len)
{
  static const size_t steps[] = {1 << 20, 65536, 100001, 4096};
  struct vdk_error err = VDK_ERROR_INIT;
  _cleanup_free_ uint8_t *back = mem_array(1, len);
  struct vmdk_extent *e;

  for (unsigned workers = 1; workers <= 4; workers += 3) {
    struct copy_options o = {.workers = workers};

    memset(back, 0xee, len);
    assert_ok(read_in_order(file, back, len, &o, &err));
    assert_same(back, bytes, len);
  }
  assert_ok(open_at_random(file, false, &e, &err));
  assert_true(e->size == len);
  for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
    memset(back, 0xee, len);
    assert_ok(read_at_random(e, back, len, steps[i], &err));
    assert_same(back, bytes, len);
  }
  e->ops->close(e, NULL);
}

static void
round_trip(void **state)
{
  static const uint64_t sizes[] = {
      512, 65536, 65536 + 512, (1 << 20) - 512, 10 << 20, (33 << 20) + 1536};

  for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
    _cleanup_free_ uint8_t *bytes = guest_bytes(sizes[i], i);

    assert_reads_as(stream_of(bytes, sizes[i], NULL), bytes, sizes[i]);
  }
}

static void
grain_sizes_and_levels(void **state)
{
  const uint64_t len = (3 << 20) + 512;
  _cleanup_free_ uint8_t *bytes = guest_bytes(len, 5);

  for (uint64_t grain = 4096; grain <= 1 << 20; grain *= 4)
    for (unsigned level = 1; level <= 9; level += 8) {
      const struct format_create c = {.grain_size = grain, .level = level};

      assert_reads_as(stream_of(bytes, len, &c), bytes, len);
    }
}

static void
empty_disk(void **state)
{
  const uint64_t len = 70 << 20;
  _cleanup_free_ uint8_t *bytes = mem_array(1, len);
  struct vdk_file *file = stream_of(bytes, len, NULL);
  uint64_t size;

  assert_int_equal(file_size(file, &size, NULL), 0);
  /* Front, directory, footer, end; each metadata block with its marker. */
  assert_int_equal(size, 128 * 512 + 2 * 512 + 2 * 512 + 512);
  assert_reads_as(file, bytes, len);
}

/* The bytes of the file are those of the layout, looked at by hand. */
static void
layout_is_the_export_stream(void **state)
{
  const uint64_t len = 64 << 20;
  _cleanup_free_ uint8_t *bytes = mem_array(1, len);
  _cleanup_free_ uint8_t *f = NULL;
  struct vdk_file *file;
  size_t size, gd;

  bytes[0] = 1;
  bytes[65536 * 600] = 2; /* in the second grain table */
  file = stream_of(bytes, len, NULL);
  f = file_bytes(file, &size);
  file_close(file);
  assert_memory_equal(f, "KDMV", 4);
  assert_int_equal(le32_load(f + 4), 3);
  assert_int_equal(le32_load(f + 8), 0x30001);
  assert_int_equal(le64_load(f + 12), len / 512);
  assert_true(le64_load(f + 56) == VMDK_GD_AT_END);
  assert_int_equal(le64_load(f + 64), 128);
  assert_non_null(strstr((char *)f + 512, "createType=\"streamOptimized\""));
  assert_non_null(
      strstr((char *)f + 512, "RDONLY 131072 SPARSE \"stream.vmdk\""));
  /* grain 0, GT, grain 600, GT, GD, footer, end */
  assert_int_equal(le64_load(f + 128 * 512), 0);
  assert_true(le32_load(f + 128 * 512 + 8) > 0);
  assert_int_equal(le64_load(f + 129 * 512), 4);
  assert_int_equal(le32_load(f + 129 * 512 + 12), MARKER_GT);
  assert_int_equal(le32_load(f + 130 * 512), 128);
  assert_int_equal(le64_load(f + 134 * 512), 600 * 128);
  assert_int_equal(le32_load(f + 135 * 512 + 12), MARKER_GT);
  assert_int_equal(le32_load(f + 136 * 512 + (600 - 512) * 4), 134);
  gd = 140;
  assert_int_equal(le64_load(f + gd * 512), 1);
  assert_int_equal(le32_load(f + gd * 512 + 12), MARKER_GD);
  assert_int_equal(le32_load(f + (gd + 1) * 512), 130);
  assert_int_equal(le32_load(f + (gd + 1) * 512 + 4), 136);
  assert_int_equal(le32_load(f + (gd + 2) * 512 + 12), MARKER_FOOTER);
  assert_int_equal(le64_load(f + (gd + 3) * 512 + 56), gd + 1);
  assert_true(mem_is_zero(f + (gd + 4) * 512, 512));
  assert_int_equal(size, (gd + 5) * 512);
}

static void
into_and_out_of_a_pipe(void **state)
{
  const uint64_t len = 40 << 20;
  _cleanup_free_ uint8_t *bytes = guest_bytes(len, 9);
  _cleanup_free_ uint8_t *back = mem_array(1, len);
  _cleanup_free_ uint8_t *f = NULL;
  _cleanup_(copy_source_closep) struct copy_source *source = NULL;
  _cleanup_(copy_sink_closep) struct copy_sink *sink = NULL;
  const struct format_create c = {.size = len};
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_file *out, *file, *in;
  size_t size;

  file = file_of(NULL, 0);
  out = as_pipe(file);
  bytes_source(bytes, len, &source);
  assert_ok(vmdk_stream_sink(out, &c, &sink, &err));
  assert_ok(copy_run(source, sink, NULL, NULL, &err));
  f = file_bytes(file, &size);
  file_close(out);
  assert_non_null(strstr((char *)f + 512, "\"generated-stream.vmdk\""));
  in = as_pipe(file_of(f, size));
  assert_ok(read_in_order(in, back, len, NULL, &err));
  assert_same(back, bytes, len);
  file_close(in);
}

/* A sink that wants whole MiBs gets them, from whatever grains there are. */
static void
source_keeps_the_sinks_alignment(void **state)
{
  const uint64_t len = (7 << 20) + 512;
  _cleanup_free_ uint8_t *bytes = guest_bytes(len, 3);
  _cleanup_free_ uint8_t *back = mem_array(1, len);

  for (uint64_t grain = 4096; grain <= 1 << 20; grain *= 16)
    for (uint32_t align = 4096; align <= 1 << 20; align *= 4) {
      _cleanup_(copy_source_closep) struct copy_source *source = NULL;
      _cleanup_(copy_sink_closep) struct copy_sink *sink = NULL;
      const struct format_create c = {.grain_size = grain};
      struct vdk_error err = VDK_ERROR_INIT;
      struct vdk_file *file = stream_of(bytes, len, &c);
      uint8_t head[512];

      assert_ok(file_read(file, 0, head, sizeof head, &err));
      assert_ok(vmdk_stream_source(file, head, 512, NULL, &source, &err));
      bytes_sink(back, len, &sink);
      sink->granularity = align;
      memset(back, 0xee, len);
      assert_ok(copy_run(source, sink, NULL, NULL, &err));
      assert_same(back, bytes, len);
      file_close(file);
    }
}

static void
map_tells_what_is_stored(void **state)
{
  const uint64_t len = 200 << 20;
  _cleanup_free_ uint8_t *bytes = mem_array(1, len);
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmdk_extent *e;
  uint64_t n;
  int what;

  bytes[150 << 20] = 1;
  bytes[(150 << 20) + 65536] = 1;
  assert_ok(open_at_random(stream_of(bytes, len, NULL), false, &e, &err));
  assert_ok(e->ops->map(e, 1000, len - 1000, &n, &what, &err));
  assert_int_equal(what, VDK_EXTENT_ABSENT);
  assert_int_equal(n, (150 << 20) - 1000);
  assert_ok(e->ops->map(e, 150 << 20, 50 << 20, &n, &what, &err));
  assert_int_equal(what, VDK_EXTENT_DATA);
  assert_int_equal(n, 2 * 65536);
  assert_ok(e->ops->map(e, 150 << 20, 70000, &n, &what, &err));
  assert_int_equal(n, 70000);
  assert_ok(e->ops->map(e, (150 << 20) + 131072, (50 << 20) - 131072, &n, &what,
                        &err));
  assert_int_equal(what, VDK_EXTENT_ABSENT);
  assert_int_equal(n, (50 << 20) - 131072);
  e->ops->close(e, NULL);
}

/* --- Several readers ------------------------------------------------------ */

struct reader {
  struct vmdk_extent *e;
  const uint8_t *bytes;
  uint64_t len;
  unsigned seed;
  bool failed;
};

static void *
read_here_and_there(void *arg)
{
  struct reader *t = arg;
  _cleanup_free_ uint8_t *buf = malloc(300000);

  for (unsigned i = 0; i < 300 && !t->failed; i++) {
    uint64_t offset = rand_r(&t->seed) % t->len;
    size_t n = 1 + rand_r(&t->seed) % (i % 2 ? 300000 : 5000), got;
    int what;

    n = MIN(n, t->len - offset);
    if (t->e->ops->read(t->e, offset, buf, n, &got, &what, NULL) != 0 ||
        (what == VDK_EXTENT_DATA ? memcmp(buf, t->bytes + offset, got) != 0
                                 : !mem_is_zero(t->bytes + offset, got)))
      t->failed = true;
  }
  return NULL;
}

static void
many_threads_read(void **state)
{
  const uint64_t len = 20 << 20;
  _cleanup_free_ uint8_t *bytes = guest_bytes(len, 77);
  struct vdk_error err = VDK_ERROR_INIT;
  struct reader readers[4];
  pthread_t threads[4];
  struct vmdk_extent *e;

  assert_ok(open_at_random(stream_of(bytes, len, NULL), false, &e, &err));
  for (unsigned i = 0; i < 4; i++) {
    readers[i] = (struct reader){e, bytes, len, i + 1, false};
    pthread_create(&threads[i], NULL, read_here_and_there, &readers[i]);
  }
  for (unsigned i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    assert_false(readers[i].failed);
  }
  e->ops->close(e, NULL);
}

static void
what_cannot_be_made_is_refused(void **state)
{
  static const struct format_create bad[] = {
      {.size = 0},
      {.size = 513},
      {.size = 1 << 20, .level = 13},
      {.size = 1 << 20, .grain_size = 3 << 10},
      {.size = 1 << 20, .grain_size = 2 << 20},
  };
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_file *file = file_of(NULL, 0);
  struct format_create huge = {.size = 1ull << 60};
  struct format_create child = {
      .size = 1 << 20, .has_parent = true, .parent_hint = "x.vmdk"};
  struct copy_sink *sink;
  uint64_t size;

  for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
    assert_fails(vmdk_stream_sink(file, &bad[i], &sink, &err), VDK_E_INVAL);
  assert_fails(vmdk_stream_sink(file, &huge, &sink, &err), VDK_E_TOO_BIG);
  assert_fails(vmdk_stream_sink(file, &child, &sink, &err), VDK_E_UNSUPPORTED);
  assert_ok(file_size(file, &size, &err));
  assert_int_equal(size, 0);
  file_close(file);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(round_trip),
      cmocka_unit_test(grain_sizes_and_levels),
      cmocka_unit_test(empty_disk),
      cmocka_unit_test(layout_is_the_export_stream),
      cmocka_unit_test(into_and_out_of_a_pipe),
      cmocka_unit_test(source_keeps_the_sinks_alignment),
      cmocka_unit_test(map_tells_what_is_stored),
      cmocka_unit_test(many_threads_read),
      cmocka_unit_test(what_cannot_be_made_is_refused),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
