/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every format promises (disk/link.h), asked through the disk layer. A
 * new format, or a new type of one, is a line in the table below; stream types
 * are written by their sink and then read like all others.
 *
 * Usage: test-conformance-disk KIND
 */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "copy/copy.h"
#include "disk/disk.h"
#include "file/file.h"
#include "format/format.h"

#define SIZE (3u << 20)

struct kind {
  const char *label, *type, *file;
  uint64_t extent;    /* of a split disk */
  const char *parent; /* a child over a disk of this type */
};

static const struct kind kinds[] = {
    {"raw", "raw", "d.raw", 0, NULL},
    {"sparse", "monolithicSparse", "d.vmdk", 0, NULL},
    {"flat", "monolithicFlat", "d.vmdk", 0, NULL},
    {"split-sparse", "twoGbMaxExtentSparse", "d.vmdk", 1u << 20, NULL},
    {"split-flat", "twoGbMaxExtentFlat", "d.vmdk", 1u << 20, NULL},
    {"vmfs", "vmfs", "d.vmdk", 0, NULL},
    {"stream", "streamOptimized", "d.vmdk", 0, NULL},
    {"child", "monolithicSparse", "d.vmdk", 0, "monolithicFlat"},
    {"split-child", "twoGbMaxExtentSparse", "d.vmdk", 1u << 20,
     "monolithicSparse"},
};

static const struct kind *kind;
static const struct format *format;
static struct vdk_dir *dir;
static uint8_t want[SIZE], got[SIZE];

static bool
is_stream(void)
{
  return format->is_stream && format->is_stream(kind->type);
}

static void
must(int r, const struct vdk_error *err, const char *what)
{
  if (r != 0)
    fail_msg("%s: %s: %s", kind->label, what, vdk_error_message(err));
}

static struct vdk_disk *
open_disk(const char *name, unsigned flags)
{
  struct disk_open_options o = {.flags = flags};
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *d = NULL;

  must(disk_open(dir, name, &o, &d, &err), &err, "open");
  return d;
}

static void
close_disk(struct vdk_disk *d)
{
  struct vdk_error err = VDK_ERROR_INIT;

  must(disk_close(d, &err), &err, "close");
}

static void
put(struct vdk_disk *d, uint64_t offset, const void *p, size_t len)
{
  struct vdk_error err = VDK_ERROR_INIT;

  must(disk_write(d, offset, p, len, &err), &err, "write");
  memcpy(want + offset, p, len);
}

/* --- One disk for each test ------------------------------------------------
 */

static void
create_parent(struct format_create *c)
{
  const struct format *f = format_by_type(kind->parent);
  struct format_create p = {.size = SIZE, .type = kind->parent};
  struct vdk_error err = VDK_ERROR_INIT;
  struct link_info info;
  struct vdk_disk *d;

  must(f->create(dir, "parent.vmdk", &p, &err), &err, "create parent");
  d = open_disk("parent.vmdk", DISK_WRITE);
  for (size_t i = 0; i < SIZE; i += 300000)
    put(d, i, "of the parent", 13);
  close_disk(d);
  d = open_disk("parent.vmdk", 0);
  disk_link_info(d, 0, &info);
  c->has_parent = true;
  c->parent_hint = "parent.vmdk";
  c->parent_cid = info.cid;
  close_disk(d);
}

/* The pattern that every disk holds: bytes of every granule's both ends, and
 * zeroes enough between. */
static void
fill(uint8_t *to)
{
  for (size_t i = 0; i + 100 < SIZE; i += 200000 + i / 7)
    memset(to + i, 'a' + (int)(i % 23), 100 + i % 9000);
}

static void
write_stream(const struct format_create *c)
{
  _cleanup_(copy_source_closep) struct copy_source *source = NULL;
  _cleanup_(copy_sink_closep) struct copy_sink *sink = NULL;
  _cleanup_file_ struct vdk_file *in = NULL, *out = NULL;
  struct vdk_error err = VDK_ERROR_INIT;

  must(file_memory_new("pattern", want, SIZE, &in, &err), &err, "memory");
  must(dir_open_file(dir, kind->file, FILE_CREATE, &out, &err), &err, "file");
  must(copy_source_raw_stream(in, NULL, 0, &source, &err), &err, "source");
  must(format->stream_sink(out, c, &sink, &err), &err, "sink");
  must(copy_run(source, sink, NULL, NULL, &err), &err, "copy");
}

static int
setup(void **state)
{
  struct format_create c = {
      .size = SIZE, .type = kind->type, .extent_size = kind->extent};
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *d;

  memset(want, 0, SIZE);
  must(dir_memory_new("conformance", &dir, &err), &err, "memory");
  if (is_stream()) {
    fill(want);
    write_stream(&c);
    return 0;
  }
  if (kind->parent)
    create_parent(&c);
  must(format->create(dir, kind->file, &c, &err), &err, "create");
  fill(got);
  d = open_disk(kind->file, DISK_WRITE);
  for (size_t i = 0; i < SIZE; i++)
    if (got[i]) {
      size_t n = i;

      while (n < SIZE && got[n])
        n++;
      put(d, i, got + i, n - i);
      i = n;
    }
  close_disk(d);
  memset(got, 0, SIZE);
  return 0;
}

static int
teardown(void **state)
{
  dir_unref(dir);
  dir = NULL;
  return 0;
}

/* --- The promises -----------------------------------------------------------
 */

static void
check_content(struct vdk_disk *d)
{
  struct vdk_error err = VDK_ERROR_INIT;

  memset(got, 0xa5, SIZE);
  must(disk_read(d, 0, got, SIZE, &err), &err, "read");
  assert_memory_equal(got, want, SIZE);
}

static void
holds_what_was_written(void **state)
{
  struct vdk_disk *d = open_disk(kind->file, 0);
  struct vdk_error err = VDK_ERROR_INIT;

  assert_int_equal(disk_size(d), SIZE);
  check_content(d);
  for (size_t at = 0; at < SIZE; at += 123457) {
    size_t n = MIN((size_t)SIZE - at, (size_t)70001);

    must(disk_read(d, at, got, n, &err), &err, "odd read");
    assert_memory_equal(got, want + at, n);
  }
  close_disk(d);
}

static void
tells_of_itself(void **state)
{
  struct vdk_disk *d = open_disk(kind->file, 0);
  struct link_info info;

  disk_link_info(d, 0, &info);
  assert_int_equal(info.size, SIZE);
  assert_true(is_power_of_2(info.granularity) && info.granularity >= 512);
  assert_string_equal(info.format, format->name);
  assert_false(info.writable);
  assert_int_equal(info.has_parent, kind->parent != NULL);
  assert_int_equal(disk_link_count(d), kind->parent ? 2 : 1);
  assert_true(info.file_count >= 1 && info.allocated > 0);
  close_disk(d);
}

/* Extents cover the disk without gap; what is called zero is zero. */
static void
maps_what_it_holds(void **state)
{
  struct vdk_disk *d = open_disk(kind->file, 0);
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t at = 0, len;
  int where;

  while (at < SIZE) {
    must(disk_extent(d, at, SIZE - at, &len, &where, &err), &err, "extent");
    assert_true(len >= 1 && len <= SIZE - at);
    assert_true(where == VDK_EXTENT_DATA || where == VDK_EXTENT_ZERO);
    if (where == VDK_EXTENT_ZERO)
      assert_true(mem_is_zero(want + at, len));
    at += len;
  }
  assert_fails(disk_extent(d, SIZE, 1, &len, &where, &err), VDK_E_RANGE);
  close_disk(d);
}

static void
keeps_its_bounds(void **state)
{
  struct vdk_disk *d = open_disk(kind->file, 0);
  struct vdk_error err = VDK_ERROR_INIT;
  uint8_t b[2] = {0};

  assert_fails(disk_read(d, SIZE - 1, b, 2, &err), VDK_E_RANGE);
  assert_fails(disk_read(d, UINT64_MAX, b, 2, &err), VDK_E_RANGE);
  assert_fails(disk_write(d, 0, b, 1, &err), VDK_E_READ_ONLY);
  assert_fails(disk_zero(d, 0, 1, &err), VDK_E_READ_ONLY);
  must(disk_read(d, SIZE - 1, b, 1, &err), &err, "last byte");
  close_disk(d);
}

/* Unaligned writes and zeroes, seen at once and after reopening. */
static void
takes_changes(void **state)
{
  static const struct {
    uint32_t offset, len;
    bool zero;
  } steps[] = {
      {1, 1, false},        {65535, 2, false},
      {65536, 65536, true}, {100, 700000, false},
      {50, 200000, true},   {SIZE - 513, 513, false},
      {1048570, 12, false}, {1048000, 90000, true},
      {0, 512, false},      {SIZE - 70000, 70000, true},
  };
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *d;

  d = open_disk(kind->file, DISK_WRITE);
  for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
    uint32_t at = steps[i].offset, len = steps[i].len;

    if (steps[i].zero) {
      must(disk_zero(d, at, len, &err), &err, "zero");
      memset(want + at, 0, len);
    } else {
      memset(got, 'A' + (int)i, len);
      put(d, at, got, len);
    }
    if (i % 3 == 0)
      must(disk_flush(d, &err), &err, "flush");
    check_content(d);
  }
  assert_fails(disk_write(d, SIZE, got, 1, &err), VDK_E_RANGE);
  close_disk(d);
  d = open_disk(kind->file, 0);
  check_content(d);
  close_disk(d);
}

/* A stream, once written, is not changed in place: it says so. */
static void
refuses_what_it_cannot(void **state)
{
  struct disk_open_options o = {.flags = DISK_WRITE};
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *d = NULL;

  if (disk_open(dir, kind->file, &o, &d, &err) == 0) {
    assert_true(disk_write(d, 0, "x", 1, &err) < 0);
    disk_close(d, NULL);
  }
  assert_true(err.code != 0 && err.text[0] != 0);
}

/* Making what exists already changes nothing. */
static void
never_replaces(void **state)
{
  struct format_create c = {
      .size = SIZE / 2, .type = kind->type, .extent_size = kind->extent};
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *d;

  assert_fails(format->create(dir, kind->file, &c, &err), VDK_E_EXISTS);
  d = open_disk(kind->file, 0);
  check_content(d);
  close_disk(d);
}

int
main(int argc, char **argv)
{
  struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(holds_what_was_written, setup, teardown),
      cmocka_unit_test_setup_teardown(tells_of_itself, setup, teardown),
      cmocka_unit_test_setup_teardown(maps_what_it_holds, setup, teardown),
      cmocka_unit_test_setup_teardown(keeps_its_bounds, setup, teardown),
      cmocka_unit_test_setup_teardown(never_replaces, setup, teardown),
      cmocka_unit_test_setup_teardown(takes_changes, setup, teardown),
  };
  const struct CMUnitTest for_streams =
      cmocka_unit_test_setup_teardown(refuses_what_it_cannot, setup, teardown);

  for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(kinds); i++)
    if (strcmp(kinds[i].label, argv[1]) == 0)
      kind = &kinds[i];
  if (!kind) {
    fprintf(stderr, "usage: test-conformance-disk KIND\n");
    return 2;
  }
  format = format_by_type(kind->type);
  if (is_stream())
    tests[ARRAY_SIZE(tests) - 1] = for_streams;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
