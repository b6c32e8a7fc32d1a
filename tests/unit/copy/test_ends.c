/* SPDX-License-Identifier: BSD-3-Clause */
/* The sources and sinks that are disks, ranges, raw streams, comparisons. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "base/mem.h"
#include "disk/disk.h"
#include "file/fault.h"
#include "format/format.h"
#include "tests/unit/copy/fake.h"
#include "tests/unit/format/stream_fixture.h"

static struct vdk_dir *dir;

static int
setup(void **state)
{
  return dir_memory_new("mem", &dir, NULL);
}

static int
teardown(void **state)
{
  dir_unref(dir);
  return 0;
}

static void
put_file(const char *name, const uint8_t *bytes, uint64_t len)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_file *f;

  assert_ok(dir_open_file(dir, name, FILE_CREATE | FILE_REPLACE, &f, &err));
  /* Holes stay holes. */
  for (uint64_t at = 0; at < len; at += 65536) {
    size_t n = MIN(65536, len - at);

    if (!mem_is_zero(bytes + at, n))
      assert_ok(file_write(f, at, bytes + at, n, &err));
  }
  assert_ok(file_truncate(f, len, &err));
  file_close(f);
}

static struct vdk_disk *
open_disk(const char *name, unsigned flags)
{
  const struct disk_open_options o = {.flags = flags};
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *d;

  assert_ok(disk_open(dir, name, &o, &d, &err));
  return d;
}

static struct vdk_disk *
raw_disk(const uint8_t *bytes, uint64_t len)
{
  put_file("source.raw", bytes, len);
  return open_disk("source.raw", 0);
}

static struct vdk_disk *
new_disk(const char *name, const char *type, uint64_t size)
{
  const struct format_create c = {.size = size, .type = type};
  struct vdk_error err = VDK_ERROR_INIT;

  assert_ok(format_by_type(type)->create(dir, name, &c, &err));
  return open_disk(name, DISK_WRITE);
}

static void
copy_disks(struct vdk_disk *from, struct vdk_disk *to, bool is_zero,
           const struct copy_options *o, struct copy_stats *stats)
{
  _cleanup_(copy_source_closep) struct copy_source *source = NULL;
  _cleanup_(copy_sink_closep) struct copy_sink *sink = NULL;
  struct vdk_error err = VDK_ERROR_INIT;

  assert_ok(copy_source_disk(from, &source, &err));
  assert_ok(copy_sink_disk(to, is_zero, &sink, &err));
  assert_ok(copy_run(source, sink, o, stats, &err));
}

static void
assert_equal_disks(struct vdk_disk *a, struct vdk_disk *b)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t at = 7;

  assert_ok(copy_compare(a, b, NULL, &at, &err));
  assert_true(at == UINT64_MAX);
  assert_ok(copy_compare(b, a, NULL, &at, &err));
  assert_true(at == UINT64_MAX);
}

/* The bytes of D are BYTES, by reading them all. */
static void
assert_holds(struct vdk_disk *d, const uint8_t *bytes, uint64_t len)
{
  _cleanup_free_ uint8_t *back = mem_array(1, len);
  struct vdk_error err = VDK_ERROR_INIT;

  assert_true(disk_size(d) == len);
  assert_ok(disk_read(d, 0, back, len, &err));
  assert_memory_equal(back, bytes, len);
}

static void
every_type_and_back(void **state)
{
  static const char *const types[] = {
      "raw",
      "monolithicSparse",
      "monolithicFlat",
      "twoGbMaxExtentSparse",
      "twoGbMaxExtentFlat",
      "vmfs",
  };
  static const unsigned workers[] = {1, 2, 5};

  for (size_t i = 0; i < ARRAY_SIZE(types); i++)
    for (unsigned seed = 0; seed < 3; seed++) {
      const uint64_t len = (5 << 20) + 512 * (1 + seed * 37);
      const struct copy_options o = {.workers = workers[seed],
                                     .chunk_size = 65536 << 2 * seed};
      _cleanup_free_ uint8_t *bytes = guest_bytes(len, seed + 40);
      struct vdk_disk *from = raw_disk(bytes, len), *to, *back;
      struct copy_stats stats;
      char name[40], back_name[40];

      snprintf(name, sizeof name, "%s-%u.vmdk", types[i], seed);
      snprintf(back_name, sizeof back_name, "%s-%u.raw", types[i], seed);
      to = new_disk(name, types[i], len);
      copy_disks(from, to, true, &o, &stats);
      assert_true(stats.passed == len);
      assert_in_range(stats.written, 1, stats.read);
      assert_equal_disks(from, to);
      assert_holds(to, bytes, len);
      back = new_disk(back_name, "raw", len);
      copy_disks(to, back, true, &o, NULL);
      assert_holds(back, bytes, len);
      disk_close(from, NULL);
      disk_close(to, NULL);
      disk_close(back, NULL);
    }
}

/* Zeroes leave no grain behind, though they stand among data of a chunk. */
static void
zeroes_are_not_stored(void **state)
{
  const uint64_t len = 8 << 20;
  _cleanup_free_ uint8_t *bytes = mem_array(1, len);
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *from, *to;
  struct copy_stats stats;
  uint64_t n;
  int what;

  memset(bytes, 1, 65536);
  bytes[3 * 65536 + 17] = 1;
  bytes[5 << 20] = 1;
  put_file("dense.raw", bytes, len);
  from = open_disk("dense.raw", 0);
  to = new_disk("holes.vmdk", "monolithicSparse", len);
  copy_disks(from, to, true, NULL, &stats);
  assert_int_equal(stats.written, 3 * 65536);
  assert_ok(disk_extent(to, 65536, len - 65536, &n, &what, &err));
  assert_int_equal(what, VDK_EXTENT_ZERO);
  assert_int_equal(n, 2 * 65536);
  assert_equal_disks(from, to);
  disk_close(from, NULL);
  disk_close(to, NULL);
}

/* What the target held is gone, zeroes included. */
static void
a_used_target_is_overwritten(void **state)
{
  static const char *const types[] = {"raw", "monolithicSparse", "vmfs"};
  const uint64_t len = 9 << 20;
  _cleanup_free_ uint8_t *old = mem_array(1, len);
  _cleanup_free_ uint8_t *bytes = guest_bytes(len, 8);

  memset(old, 0x55, len);
  for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
    struct vdk_error err = VDK_ERROR_INIT;
    struct vdk_disk *from = raw_disk(bytes, len), *to;
    char name[32];

    snprintf(name, sizeof name, "used-%s.vmdk", types[i]);
    to = new_disk(name, types[i], len);
    assert_ok(disk_write(to, 0, old, len, &err));
    copy_disks(from, to, false, NULL, NULL);
    assert_holds(to, bytes, len);
    disk_close(from, NULL);
    disk_close(to, NULL);
  }
}

/* --- What a disk source hands out ----------------------------------------- */

struct watch_sink {
  struct copy_sink sink;
  struct copy_source *source;
  uint64_t pos; /* everything before it came, or was skipped by ranges */
  unsigned data_chunks, zero_chunks;
  uint64_t data, zero;
};

static int
watch_write(struct copy_sink *s, struct copy_chunk *c, struct vdk_error *err)
{
  struct watch_sink *w = (struct watch_sink *)s;
  const uint64_t end = c->offset + c->length, align = w->source->align;

  assert_true(c->offset >= w->pos);
  assert_true(c->offset % align == 0);
  assert_true(end % align == 0 || end == w->source->size);
  w->pos = end;
  if (c->state == VDK_EXTENT_DATA) {
    assert_true(c->length <= w->source->chunk_size);
    w->data_chunks++;
    w->data += c->length;
  } else {
    w->zero_chunks++;
    w->zero += c->length;
  }
  return 0;
}

static void
watch(struct copy_source *source, struct watch_sink *w, uint32_t align)
{
  static const struct copy_sink_ops ops = {.name = "watch",
                                           .write = watch_write};
  const struct copy_options o = {.keep_zero_blocks = true};
  struct vdk_error err = VDK_ERROR_INIT;

  *w = (struct watch_sink){
      .sink = {.ops = &ops, .ordered = true, .wants_zeroes = true},
      .source = source,
  };
  w->sink.granularity = align;
  assert_ok(copy_run(source, &w->sink, &o, NULL, &err));
}

static void
chunks_follow_extents(void **state)
{
  const uint64_t len = 64 << 20;
  _cleanup_free_ uint8_t *bytes = mem_array(1, len);
  struct copy_source *source;
  struct watch_sink w;
  struct vdk_disk *d;

  memset(bytes + (20 << 20), 1, 3 << 20);           /* three chunks */
  memset(bytes + (40 << 20) + 65536, 1, 65536);     /* one, short */
  bytes[50 << 20] = bytes[(50 << 20) + 131072] = 1; /* a hole between */
  d = raw_disk(bytes, len);
  assert_int_equal(copy_source_disk(d, &source, NULL), 0);
  watch(source, &w, 65536);
  assert_true(w.pos == len);
  assert_int_equal(w.data + w.zero, len);
  assert_int_equal(w.data_chunks, 3 + 1 + 2);
  assert_int_equal(w.data, (3 << 20) + 3 * 65536);
  assert_int_equal(w.zero_chunks, 5);
  copy_source_close(source);
  /* Coarser units swallow the holes. */
  assert_int_equal(copy_source_disk(d, &source, NULL), 0);
  watch(source, &w, 1 << 20);
  assert_int_equal(w.data_chunks, 5);
  assert_int_equal(w.data, 5 << 20);
  copy_source_close(source);
  disk_close(d, NULL);
}

static void
random_extents_are_passed_once(void **state)
{
  for (unsigned seed = 0; seed < 6; seed++) {
    const uint64_t len = (11 << 20) + 512 * seed;
    _cleanup_free_ uint8_t *bytes = guest_bytes(len, seed + 60);
    struct vdk_disk *d = raw_disk(bytes, len);

    for (uint32_t align = 512; align <= 1 << 20; align *= 8) {
      struct copy_source *source;
      struct watch_sink w;

      assert_int_equal(copy_source_disk(d, &source, NULL), 0);
      watch(source, &w, align);
      assert_true(w.pos == len);
      assert_true(w.data + w.zero == len);
      copy_source_close(source);
    }
    disk_close(d, NULL);
  }
}

/* --- Ranges --------------------------------------------------------------- */

static void
only_ranges_are_copied(void **state)
{
  const uint64_t len = (6 << 20) + 512;
  const struct vdk_extent ranges[] = {
      {512, 512, 0},           {4096, 10000, 0},    {1 << 20, 2 << 20, 0},
      {(3 << 20) + 1, 700, 0}, {len - 512, 512, 0},
  };
  _cleanup_free_ uint8_t *bytes = mem_array(1, len);
  _cleanup_free_ uint8_t *want = mem_array(1, len);
  struct vdk_error err = VDK_ERROR_INIT;
  struct copy_source *source;
  struct copy_sink *sink;
  struct vdk_disk *from, *to;
  struct copy_stats stats;

  memset(bytes, 7, len);
  from = raw_disk(bytes, len);
  to = new_disk("ranges.vmdk", "monolithicSparse", len);
  assert_ok(
      copy_source_ranges(from, ranges, ARRAY_SIZE(ranges), &source, &err));
  assert_ok(copy_sink_disk(to, true, &sink, &err));
  assert_ok(copy_run(source, sink, NULL, &stats, &err));
  /* Widened to grains, and those of one grain passed once. */
  memset(want, 7, 65536);
  memset(want + (1 << 20), 7, (2 << 20) + 65536);
  memset(want + (6 << 20), 7, 512);
  assert_int_equal(stats.passed, 65536 + (2 << 20) + 65536 + 512);
  assert_true(source->total == stats.passed);
  assert_holds(to, want, len);
  copy_source_close(source);
  copy_sink_close(sink);
  disk_close(from, NULL);
  disk_close(to, NULL);
}

static void
bad_ranges_are_refused(void **state)
{
  static const struct vdk_extent outside[] = {{0, 512, 0}, {1 << 20, 1, 0}};
  static const struct vdk_extent huge[] = {{512, UINT64_MAX, 0}};
  static const struct vdk_extent overlap[] = {{0, 1024, 0}, {512, 1024, 0}};
  struct vdk_error err = VDK_ERROR_INIT;
  uint8_t *bytes = mem_array(1, 1 << 20);
  struct vdk_disk *d = raw_disk(bytes, 1 << 20);
  struct copy_source *source;
  struct watch_sink w;

  assert_fails(copy_source_ranges(d, outside, 2, &source, &err), VDK_E_RANGE);
  assert_fails(copy_source_ranges(d, huge, 1, &source, &err), VDK_E_RANGE);
  assert_fails(copy_source_ranges(d, overlap, 2, &source, &err), VDK_E_INVAL);
  assert_ok(copy_source_ranges(d, NULL, 0, &source, &err));
  watch(source, &w, 512);
  assert_int_equal(w.data_chunks + w.zero_chunks, 0);
  copy_source_close(source);
  disk_close(d, NULL);
  free(bytes);
}

/* --- Raw streams ---------------------------------------------------------- */

static void
raw_through_pipes(void **state)
{
  static const uint64_t sizes[] = {512, 4096, 1 << 20, (5 << 20) + 1024};

  for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
    const uint64_t len = sizes[i];
    _cleanup_free_ uint8_t *bytes = guest_bytes(len, i + 80);
    _cleanup_free_ uint8_t *out_bytes = NULL;
    struct vdk_error err = VDK_ERROR_INIT;
    struct vdk_file *out_file = file_of(NULL, 0);
    struct vdk_file *in = as_pipe(file_of(bytes, len));
    struct vdk_file *out = as_pipe(out_file);
    uint8_t head[FORMAT_PROBE_SIZE];
    struct copy_source *source;
    struct copy_sink *sink;
    struct copy_stats stats;
    size_t got;

    assert_ok(file_read_upto(in, 0, head, sizeof head, &got, &err));
    assert_ok(copy_source_raw_stream(in, head, got, &source, &err));
    assert_ok(copy_sink_raw_stream(out, len, &sink, &err));
    assert_int_equal(source->total, 0);
    assert_ok(copy_run(source, sink, NULL, &stats, &err));
    assert_true(stats.passed == len && stats.written == len);
    assert_true(source->size == len);
    out_bytes = file_bytes(out_file, &got);
    assert_int_equal(got, len);
    assert_memory_equal(out_bytes, bytes, len);
    copy_source_close(source);
    copy_sink_close(sink);
    file_close(in);
    file_close(out);
  }
}

/* A file that is no whole number of sectors becomes a disk that is. */
static void
a_last_partial_sector_is_filled(void **state)
{
  const uint64_t len = (1 << 20) + 100;
  _cleanup_free_ uint8_t *bytes = mem_array(1, len + 412);
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_file *in = as_pipe(file_of(memset(bytes, 3, len), len));
  struct copy_source *source;
  struct copy_sink *sink;
  struct vdk_disk *to = new_disk("partial.raw", "raw", len + 412);

  assert_ok(copy_source_raw_stream(in, NULL, 0, &source, &err));
  assert_ok(copy_sink_disk(to, true, &sink, &err));
  assert_ok(copy_run(source, sink, NULL, NULL, &err));
  assert_holds(to, bytes, len + 412);
  copy_source_close(source);
  copy_sink_close(sink);
  file_close(in);
  disk_close(to, NULL);
}

/* Into a file: holes where nothing was, zeroes where something was. */
static void
raw_into_a_file(void **state)
{
  const uint64_t len = 8 << 20;
  _cleanup_free_ uint8_t *bytes = mem_array(1, len);
  _cleanup_free_ uint8_t *old = mem_array(1, 1 << 20);
  _cleanup_free_ uint8_t *got = NULL;
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_file *out = file_of(memset(old, 9, 1 << 20), 1 << 20);
  struct copy_source *source;
  struct copy_sink *sink;
  struct vdk_disk *from;
  struct copy_stats stats;
  size_t size;

  bytes[5 << 20] = 1;
  from = raw_disk(bytes, len);
  assert_ok(copy_source_disk(from, &source, &err));
  assert_ok(copy_sink_raw_stream(out, len, &sink, &err));
  assert_ok(copy_run(source, sink, NULL, &stats, &err));
  got = file_bytes(out, &size);
  assert_int_equal(size, len);
  assert_memory_equal(got, bytes, len);
  assert_in_range(stats.written, 1, 1 << 20);
  copy_source_close(source);
  copy_sink_close(sink);
  disk_close(from, NULL);
  file_close(out);
}

/* --- Comparing ------------------------------------------------------------ */

static void
the_first_difference_is_found(void **state)
{
  const uint64_t len = 12 << 20;
  _cleanup_free_ uint8_t *bytes = guest_bytes(len, 4);
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *a = raw_disk(bytes, len), *b;
  uint64_t at;

  srandom(1);
  for (unsigned i = 0; i < 40; i++) {
    uint64_t where = random() % len, later = where + random() % (len - where);

    b = NULL;
    bytes[where] ^= 1;
    bytes[later] ^= 2;
    put_file("b.raw", bytes, len);
    b = open_disk("b.raw", 0);
    assert_ok(copy_compare(a, b, NULL, &at, &err));
    assert_true(at == where);
    assert_ok(copy_compare(b, a, NULL, &at, &err));
    assert_true(at == where);
    bytes[where] ^= 1;
    bytes[later] ^= 2;
    disk_close(b, NULL);
  }
  /* A shorter disk differs where it ends. */
  put_file("b.raw", bytes, len - 512);
  b = open_disk("b.raw", 0);
  assert_ok(copy_compare(a, b, NULL, &at, &err));
  assert_true(at == len - 512);
  disk_close(b, NULL);
  disk_close(a, NULL);
}

/* --- Errors --------------------------------------------------------------- */

static void
io_errors_name_their_side(void **state)
{
  const uint64_t len = 4 << 20;
  _cleanup_free_ uint8_t *bytes = guest_bytes(len, 2);
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_dir *fault;

  put_file("source.raw", bytes, len);
  assert_ok(dir_fault_new(dir, NULL, &fault, &err));
  for (int side = VDK_SIDE_SOURCE; side <= VDK_SIDE_TARGET; side++) {
    const unsigned op = side == VDK_SIDE_SOURCE ? FAULT_READ : FAULT_WRITE;
    struct vdk_disk *from, *to;
    struct copy_source *source;
    struct copy_sink *sink;
    struct fault_plan plan = {.ops = op,
                              .fail_at = 2,
                              .sticky = true,
                              .os_errno =
                                  side == VDK_SIDE_SOURCE ? EIO : ENOSPC};

    to = new_disk(side == VDK_SIDE_SOURCE ? "t1.raw" : "t2.raw", "raw", len);
    disk_close(to, NULL);
    assert_ok(disk_open(side == VDK_SIDE_SOURCE ? fault : dir, "source.raw",
                        NULL, &from, &err));
    assert_ok(disk_open(side == VDK_SIDE_SOURCE ? dir : fault,
                        side == VDK_SIDE_SOURCE ? "t1.raw" : "t2.raw",
                        &(struct disk_open_options){.flags = DISK_WRITE}, &to,
                        &err));
    assert_ok(copy_source_disk(from, &source, &err));
    assert_ok(copy_sink_disk(to, true, &sink, &err));
    dir_fault_set(fault, &plan);
    assert_fails(copy_run(source, sink, NULL, NULL, &err),
                 side == VDK_SIDE_SOURCE ? VDK_E_IO : VDK_E_NO_SPACE);
    assert_int_equal(err.side, side);
    assert_int_equal(vdk_error_exit_status(&err),
                     side == VDK_SIDE_SOURCE ? 31 : 40);
    dir_fault_set(fault, &(struct fault_plan){0});
    copy_source_close(source);
    copy_sink_close(sink);
    disk_close(from, NULL);
    disk_close(to, NULL);
  }
  dir_unref(fault);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      T(every_type_and_back),
      T(zeroes_are_not_stored),
      T(a_used_target_is_overwritten),
      T(chunks_follow_extents),
      T(random_extents_are_passed_once),
      T(only_ranges_are_copied),
      T(bad_ranges_are_refused),
      T(raw_through_pipes),
      T(a_last_partial_sector_is_filled),
      T(raw_into_a_file),
      T(the_first_difference_is_found),
      T(io_errors_name_their_side),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
