/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Streams as others write them, and damaged ones: built here block by block.
 * The forms are those of docs/formats/vmdk.md: exports, VMware's local files,
 * qemu's, and the habits of single writers.
 */
#include "tests/unit/unit.h"

#include <libdeflate.h>

#include "base/endian.h"
#include "base/mem.h"
#include "format/vmdk/marker.h"
#include "tests/unit/format/stream_fixture.h"

/* --- A builder ------------------------------------------------------------ */

/* A disk of 16 MiB with tables of one sector. */
enum { GRAIN = 65536, GRAINS = 256, GTES = 128 };

#define DISK_SIZE ((uint64_t)GRAIN * GRAINS)

struct builder {
  struct vmdk_header h;
  uint8_t bytes[4 << 20];
  size_t size;
  uint32_t sectors[GRAINS]; /* where each grain was put */
  uint8_t *guest;
  bool raw_deflate;
  bool front_tables;
  bool zero_counts; /* markers of tables have a count of 0 */
};

static void
put_bytes(struct builder *b, const void *p, size_t len)
{
  assert_true(b->size + len <= sizeof b->bytes);
  memcpy(b->bytes + b->size, p, len);
  b->size += len;
}

static void
pad(struct builder *b, size_t unit)
{
  b->size = (b->size + unit - 1) / unit * unit;
}

static void
build_front(struct builder *b, bool tables)
{
  static const char text[] = "# Disk DescriptorFile\nversion=1\n"
                             "CID=12345678\nparentCID=ffffffff\n"
                             "createType=\"streamOptimized\"\n"
                             "RW 32768 SPARSE \"x.vmdk\"\n";

  memset(b, 0, offsetof(struct builder, guest));
  b->front_tables = tables;
  b->h = (struct vmdk_header){
      .version = 3,
      .flags = 0x30001,
      .capacity = DISK_SIZE / 512,
      .grain_sectors = GRAIN / 512,
      .descriptor_offset = 1,
      .descriptor_sectors = 20,
      .gtes_per_gt = GTES,
      .gd_offset = tables ? 21 : VMDK_GD_AT_END,
      .overhead = 128,
      .compression = 1,
      .gt_count = 2,
  };
  memcpy(b->bytes + 512, text, sizeof text);
  b->size = 128 * 512;
}

/* The guest's grain, packed as B says, as if it were at LBA. */
static void
add_grain_as(struct builder *b, unsigned grain, uint64_t lba, size_t len)
{
  struct libdeflate_compressor *z = libdeflate_alloc_compressor(6);
  uint8_t out[2 * GRAIN], head[12];
  const uint8_t *in = b->guest + (size_t)grain * GRAIN;
  size_t n;

  n = b->raw_deflate ? libdeflate_deflate_compress(z, in, len, out, sizeof out)
                     : libdeflate_zlib_compress(z, in, len, out, sizeof out);
  libdeflate_free_compressor(z);
  assert_true(n > 0);
  b->sectors[grain] = b->size / 512;
  if (b->h.flags & VMDK_FLAG_MARKERS) {
    le64_store(head, lba);
    le32_store(head + 8, n);
    put_bytes(b, head, 12);
  } else {
    le32_store(head, n);
    put_bytes(b, head, 4);
  }
  put_bytes(b, out, n);
  pad(b, 512);
}

static void
add_grain(struct builder *b, unsigned grain)
{
  add_grain_as(b, grain, (uint64_t)grain * (GRAIN / 512), GRAIN);
}

static void
add_marker(struct builder *b, enum marker_kind kind, uint64_t sectors)
{
  uint8_t m[512];

  marker_print(kind, b->zero_counts ? 0 : sectors, m);
  put_bytes(b, m, sizeof m);
}

/* The table of grains [GTES * GT ..), with its marker. Returns its sector. */
static uint32_t
add_gt(struct builder *b, unsigned gt)
{
  uint8_t table[GTES * 4];

  add_marker(b, MARKER_GT, 1);
  for (unsigned i = 0; i < GTES; i++)
    le32_store(table + i * 4, b->sectors[gt * GTES + i]);
  put_bytes(b, table, sizeof table);
  return b->size / 512 - 1;
}

static void
add_end(struct builder *b, uint32_t gt0, uint32_t gt1)
{
  uint8_t sector[512] = {0};
  struct vmdk_header footer = b->h;

  add_marker(b, MARKER_GD, 1);
  footer.gd_offset = b->size / 512;
  le32_store(sector, gt0);
  le32_store(sector + 4, gt1);
  put_bytes(b, sector, 512);
  add_marker(b, MARKER_FOOTER, 1);
  vmdk_header_print(&footer, sector);
  put_bytes(b, sector, 512);
  add_marker(b, MARKER_EOS, 0);
}

static void
finish_front(struct builder *b)
{
  vmdk_header_print(&b->h, b->bytes);
  if (!b->front_tables)
    return;
  for (unsigned gt = 0; gt < 2; gt++) {
    le32_store(b->bytes + b->h.gd_offset * 512 + gt * 4, 22 + gt);
    for (unsigned i = 0; i < GTES; i++)
      le32_store(b->bytes + (22 + gt) * 512 + i * 4, b->sectors[gt * GTES + i]);
  }
}

/* Grains 0, 3, 4 and 200 in the way of an export. */
static void
build_export(struct builder *b)
{
  uint32_t gt0, gt1;

  build_front(b, false);
  add_grain(b, 0);
  add_grain(b, 3);
  add_grain(b, 4);
  gt0 = add_gt(b, 0);
  add_grain(b, 200);
  gt1 = add_gt(b, 1);
  add_end(b, gt0, gt1);
  finish_front(b);
}

/* The same with the tables in front, and a marker at the end or not. */
static void
build_local(struct builder *b, bool eos)
{
  build_front(b, true);
  add_grain(b, 0);
  add_grain(b, 3);
  add_grain(b, 4);
  add_grain(b, 200);
  if (eos)
    add_marker(b, MARKER_EOS, 0);
  finish_front(b);
}

/* --- What must be read ---------------------------------------------------- */

static struct builder *b;
static uint8_t *expected, *back;

static int
setup(void **state)
{
  b = calloc(1, sizeof *b);
  b->guest = guest_bytes(DISK_SIZE, 1);
  expected = calloc(1, DISK_SIZE);
  back = malloc(DISK_SIZE);
  for (unsigned g = 0; g < GRAINS; g++)
    if (g == 0 || g == 3 || g == 4 || g == 200) {
      memset(b->guest + (size_t)g * GRAIN, 'a' + g % 20, 700);
      memcpy(expected + (size_t)g * GRAIN, b->guest + (size_t)g * GRAIN, GRAIN);
    }
  return 0;
}

static int
teardown(void **state)
{
  free(b->guest);
  free(b);
  free(expected);
  free(back);
  return 0;
}

static int
at_random(bool salvage, size_t size, struct vdk_error *err)
{
  struct vmdk_extent *e;
  int r = open_at_random(file_of(b->bytes, size), salvage, &e, err);

  if (r != 0)
    return r;
  memset(back, 0xee, DISK_SIZE);
  r = read_at_random(e, back, b->h.capacity * 512, 1 << 20, err);
  e->ops->close(e, NULL);
  return r;
}

static int
in_order(size_t size, struct vdk_error *err)
{
  struct vdk_file *file = as_pipe(file_of(b->bytes, size));
  int r;

  memset(back, 0xee, DISK_SIZE);
  r = read_in_order(file, back, b->h.capacity * 512, NULL, err);
  file_close(file);
  return r;
}

static void
reads(void)
{
  struct vdk_error err = VDK_ERROR_INIT;
  const uint64_t size = b->h.capacity * 512;

  assert_ok(at_random(false, b->size, &err));
  assert_memory_equal(back, expected, size);
  assert_ok(in_order(b->size, &err));
  assert_memory_equal(back, expected, size);
}

static void
both_layouts(void **state)
{
  build_export(b);
  reads();
  build_local(b, true);
  reads();
  build_local(b, false);
  reads();
  /* qemu's: a second directory is claimed, and a version 1 is old. */
  build_local(b, false);
  b->h.flags |= VMDK_FLAG_REDUNDANT_GD;
  b->h.rgd_offset = 21;
  b->h.version = 1;
  finish_front(b);
  reads();
}

static void
padding_behind_the_end(void **state)
{
  build_export(b);
  b->size += 10240;
  reads();
  b->size += 300000 + 13;
  reads();
  build_local(b, true);
  b->size += 10240;
  reads();
}

static void
table_markers_without_count(void **state)
{
  b->zero_counts = true;
  build_export(b);
  b->zero_counts = false;
  reads();
}

static void
progress_markers(void **state)
{
  uint32_t gt0, gt1;

  build_front(b, false);
  add_marker(b, MARKER_PROGRESS, 0);
  add_grain(b, 0);
  add_marker(b, MARKER_PROGRESS, 0);
  add_marker(b, MARKER_PROGRESS, 0);
  add_grain(b, 3);
  add_grain(b, 4);
  gt0 = add_gt(b, 0);
  add_grain(b, 200);
  gt1 = add_gt(b, 1);
  add_marker(b, MARKER_PROGRESS, 0);
  add_end(b, gt0, gt1);
  finish_front(b);
  reads();
}

/* All tables at the end, and tables of empty regions. */
static void
tables_elsewhere(void **state)
{
  uint32_t gt0, gt1;

  build_front(b, false);
  add_grain(b, 0);
  add_grain(b, 3);
  add_grain(b, 4);
  add_grain(b, 200);
  gt0 = add_gt(b, 0);
  gt1 = add_gt(b, 1);
  add_end(b, gt0, gt1);
  finish_front(b);
  reads();

  memset(expected, 0, 5 * GRAIN);
  build_front(b, false);
  add_grain(b, 200);
  gt0 = add_gt(b, 0);
  gt1 = add_gt(b, 1);
  add_end(b, gt0, gt1);
  finish_front(b);
  reads();
  for (unsigned g = 0; g < 5; g++)
    if (g == 0 || g > 2)
      memcpy(expected + g * GRAIN, b->guest + g * GRAIN, GRAIN);
}

static void
raw_deflate(void **state)
{
  b->raw_deflate = true;
  build_export(b);
  reads();
  b->raw_deflate = false;
}

/* Packed, but without markers: a size, then the data. Only at random. */
static void
without_markers(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;

  build_front(b, true);
  b->h.flags &= ~VMDK_FLAG_MARKERS;
  add_grain(b, 0);
  add_grain(b, 3);
  add_grain(b, 4);
  add_grain(b, 200);
  finish_front(b);
  assert_ok(at_random(false, b->size, &err));
  assert_memory_equal(back, expected, DISK_SIZE);
  assert_fails(in_order(b->size, &err), VDK_E_UNSUPPORTED);
  le32_store(b->bytes + b->sectors[3] * 512, 0x7fffffff);
  assert_fails(at_random(false, b->size, &err), VDK_E_CORRUPT);
}

/* The last grain of a disk whose size is no multiple of it: whole or short. */
static void
short_last_grain(void **state)
{
  for (int whole = 0; whole <= 1; whole++) {
    build_front(b, true);
    b->h.capacity = 4 * (GRAIN / 512) + 37;
    b->h.gt_count = 1;
    add_grain(b, 0);
    add_grain(b, 3);
    add_grain_as(b, 4, 4 * (GRAIN / 512), whole ? GRAIN : 37 * 512);
    add_marker(b, MARKER_EOS, 0);
    finish_front(b);
    reads();
  }
}

/* Zero grains by entry, with and without the flag for it. */
static void
zero_entries(void **state)
{
  build_local(b, true);
  le32_store(b->bytes + 22 * 512 + 4 * 17, 1);
  reads();
  b->h.flags |= VMDK_FLAG_ZERO_GRAINS;
  vmdk_header_print(&b->h, b->bytes);
  reads();
}

/* A local file that was written in another order than that of the disk. */
static void
grains_out_of_order(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;

  build_front(b, true);
  add_grain(b, 200);
  add_grain(b, 4);
  add_grain(b, 0);
  add_grain(b, 3);
  add_marker(b, MARKER_EOS, 0);
  finish_front(b);
  assert_ok(at_random(false, b->size, &err));
  assert_memory_equal(back, expected, DISK_SIZE);
  assert_fails(in_order(b->size, &err), VDK_E_CORRUPT);
  assert_non_null(strstr(err.text, "save it to a file"));
}

/* What an earlier write left lies in the file, but not in the tables. */
static void
dead_grains(void **state)
{
  build_front(b, true);
  add_grain(b, 0);
  add_grain_as(b, 3, 3 * 128, 4096);
  add_grain(b, 3);
  add_grain(b, 4);
  add_grain(b, 200);
  finish_front(b);
  reads();
}

/* --- What must be refused ------------------------------------------------- */

static void
repeated_grain(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;

  build_front(b, false);
  add_grain(b, 3);
  add_grain(b, 3);
  add_end(b, add_gt(b, 0), 0);
  finish_front(b);
  assert_fails(in_order(b->size, &err), VDK_E_CORRUPT);
  assert_int_equal(err.side, VDK_SIDE_SOURCE);
}

static void
lba_mismatch(void **state)
{
  static const uint64_t lbas[] = {2 * 128, 1193046, 5 * 128, DISK_SIZE / 512,
                                  UINT64_MAX};
  struct vdk_error err = VDK_ERROR_INIT;

  for (size_t i = 0; i < ARRAY_SIZE(lbas); i++)
    for (int local = 0; local <= 1; local++) {
      if (local)
        build_local(b, true);
      else
        build_export(b);
      le64_store(b->bytes + b->sectors[3] * 512, lbas[i]);
      assert_fails(at_random(false, b->size, &err), VDK_E_CORRUPT);
      assert_non_null(strstr(err.text, "grain 3"));
      assert_non_null(strstr(err.text, "LBA 384"));
      assert_fails(in_order(b->size, &err), VDK_E_CORRUPT);
    }
}

static void
damaged_payload(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmdk_extent *e;
  size_t got;
  int what;

  for (size_t at = 12; at < 200; at += 17) {
    build_export(b);
    b->bytes[b->sectors[4] * 512 + at] ^= 0x10;
    assert_fails(in_order(b->size, &err), VDK_E_CORRUPT);
    assert_non_null(strstr(err.text, "grain 4"));
    assert_fails(at_random(false, b->size, &err), VDK_E_CORRUPT);
    assert_non_null(strstr(err.text, "LBA 512"));
    /* The others are read. */
    assert_ok(open_at_random(file_of(b->bytes, b->size), false, &e, &err));
    assert_ok(e->ops->read(e, 200 * GRAIN, back, GRAIN, &got, &what, &err));
    assert_memory_equal(back, expected + 200 * GRAIN, GRAIN);
    assert_fails(e->ops->read(e, 4 * GRAIN + 5, back, 10, &got, &what, &err),
                 VDK_E_CORRUPT);
    e->ops->close(e, NULL);
  }
}

static void
wrong_sizes(void **state)
{
  static const uint32_t sizes[] = {1, 0x7fffffff, 2 * GRAIN + 4097, UINT32_MAX};
  struct vdk_error err = VDK_ERROR_INIT;

  for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
    build_export(b);
    le32_store(b->bytes + b->sectors[3] * 512 + 8, sizes[i]);
    assert_fails(at_random(false, b->size, &err), VDK_E_CORRUPT);
    assert_fails(in_order(b->size, &err), VDK_E_CORRUPT);
  }
  /* Unpacks to more, and to less, than a grain. */
  build_front(b, true);
  add_grain_as(b, 0, 0, GRAIN + 1);
  add_grain_as(b, 3, 3 * 128, GRAIN);
  finish_front(b);
  assert_fails(at_random(false, b->size, &err), VDK_E_CORRUPT);
  assert_non_null(strstr(err.text, "more than a grain"));
  build_front(b, true);
  add_grain_as(b, 0, 0, GRAIN - 1);
  finish_front(b);
  assert_fails(at_random(false, b->size, &err), VDK_E_CORRUPT);
  assert_fails(in_order(b->size, &err), VDK_E_CORRUPT);
  assert_non_null(strstr(err.text, "less than a grain"));
}

static void
lying_tables(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint8_t *gt;

  /* Points into the descriptor, at another grain, beyond the end. */
  static const uint32_t entries[] = {2, 128, 0x7fffffff, UINT32_MAX};

  for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
    build_local(b, true);
    gt = b->bytes + 22 * 512;
    le32_store(gt + 4 * 3, entries[i]);
    assert_int_not_equal(at_random(false, b->size, &err), 0);
    assert_true(err.code == VDK_E_CORRUPT || err.code == VDK_E_TRUNCATED);
    assert_fails(in_order(b->size, &err), VDK_E_CORRUPT);
  }
  /* A grain that came, but is not in the table behind it; and the reverse. */
  build_export(b);
  gt = b->bytes + (b->sectors[4] + (b->sectors[4] - b->sectors[3])) * 512;
  for (gt = b->bytes + b->sectors[4] * 512;
       le32_load(gt + 12) != MARKER_GT || le32_load(gt + 8) != 0; gt += 512)
    ;
  le32_store(gt + 512 + 4 * 3, 0);
  assert_fails(in_order(b->size, &err), VDK_E_CORRUPT);
  le32_store(gt + 512 + 4 * 3, b->sectors[3]);
  assert_ok(in_order(b->size, &err));
  le32_store(gt + 512 + 4 * 9, b->sectors[3]);
  assert_fails(in_order(b->size, &err), VDK_E_CORRUPT);
}

static void
unknown_marker(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;

  build_export(b);
  le32_store(b->bytes + b->sectors[3] * 512 + 8, 0);
  le32_store(b->bytes + b->sectors[3] * 512 + 12, 77);
  assert_fails(in_order(b->size, &err), VDK_E_CORRUPT);
  assert_fails(at_random(false, b->size, &err), VDK_E_CORRUPT);
}

/* Cut at every sector, and inside of some: never taken for whole. */
static void
cut_anywhere(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;

  for (int kind = 0; kind <= 2; kind++) {
    if (kind == 0)
      build_export(b);
    else
      build_local(b, kind == 1);
    for (size_t size = 100; size < b->size; size += 768) {
      /* The last sector of a local file with a marker is that marker, which
       * does without: qemu's have none. */
      if (kind == 1 && size >= b->size - 512)
        break;
      /* Nor does padding matter. */
      if (kind == 2 && mem_is_zero(b->bytes + size, b->size - size))
        break;
      err.code = 0;
      in_order(size, &err);
      if (err.code != VDK_E_TRUNCATED)
        fail_msg("layout %d, cut at %zu of %zu in order: %s", kind, size,
                 b->size, err.text);
      if (size < 512)
        continue;
      if (at_random(false, size, &err) == 0)
        fail_msg("layout %d, cut at %zu of %zu: read", kind, size, b->size);
      if (err.code != VDK_E_TRUNCATED && err.code != VDK_E_CORRUPT)
        fail_msg("layout %d, cut at %zu of %zu at random: %s", kind, size,
                 b->size, err.text);
    }
  }
}

/* Cut by a hole: the size is right, but the rest was never written. */
static void
zeroed_tail(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;

  build_export(b);
  memset(b->bytes + b->sectors[200] * 512, 0, b->size - b->sectors[200] * 512);
  assert_fails(in_order(b->size, &err), VDK_E_TRUNCATED);
  assert_fails(at_random(false, b->size, &err), VDK_E_TRUNCATED);
  build_local(b, true);
  memset(b->bytes + b->sectors[200] * 512, 0, b->size - b->sectors[200] * 512);
  assert_fails(in_order(b->size, &err), VDK_E_CORRUPT);
  assert_fails(at_random(false, b->size, &err), VDK_E_CORRUPT);
}

static void
salvage(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;

  build_export(b);
  /* In the table behind grain 200: all grains are there. */
  assert_ok(at_random(true, b->size - 2000, &err));
  assert_memory_equal(back, expected, DISK_SIZE);
  /* Inside of grain 4: two are left. */
  assert_ok(at_random(true, b->sectors[4] * 512 + 300, &err));
  assert_memory_equal(back, expected, 4 * GRAIN);
  assert_true(mem_is_zero(back + 4 * GRAIN, DISK_SIZE - 4 * GRAIN));
  /* A local file with its tables gone. */
  build_local(b, true);
  b->h.gd_offset = 1u << 30;
  vmdk_header_print(&b->h, b->bytes);
  assert_int_not_equal(at_random(false, b->size, &err), 0);
  assert_ok(at_random(true, b->size, &err));
  assert_memory_equal(back, expected, DISK_SIZE);
  /* Out of order, and one grain twice: the later one counts. */
  build_front(b, false);
  add_grain(b, 200);
  add_grain_as(b, 0, 4 * 128, GRAIN);
  add_grain(b, 4);
  add_grain(b, 0);
  add_grain(b, 3);
  finish_front(b);
  assert_ok(at_random(true, b->size, &err));
  assert_memory_equal(back, expected, DISK_SIZE);
  b->h.overhead = INT64_MAX / 512;
  vmdk_header_print(&b->h, b->bytes);
  assert_ok(at_random(true, b->size, &err));
  assert_true(mem_is_zero(back, DISK_SIZE));
}

static void
footer_that_disagrees(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint8_t *footer;

  build_export(b);
  footer = b->bytes + b->size - 1024;
  le64_store(footer + 12, le64_load(footer + 12) + 128);
  assert_fails(at_random(false, b->size, &err), VDK_E_CORRUPT);
  build_export(b);
  le64_store(footer + 56, VMDK_GD_AT_END);
  assert_fails(at_random(false, b->size, &err), VDK_E_CORRUPT);
  build_export(b);
  le64_store(footer + 56, 1u << 30);
  assert_fails(at_random(false, b->size, &err), VDK_E_TRUNCATED);
  build_export(b);
  footer[0] = 'X';
  assert_fails(at_random(false, b->size, &err), VDK_E_TRUNCATED);
}

static void
other_files_are_refused(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmdk_extent_open o = {.header = &b->h, .writable = true};
  struct vmdk_extent *e;

  build_export(b);
  o.file = file_of(b->bytes, b->size);
  o.file_size = b->size;
  assert_fails(vmdk_extent_stream_open(&o, &e, &err), VDK_E_READ_ONLY);
  file_close(o.file);
  b->h.flags = 1;
  vmdk_header_print(&b->h, b->bytes);
  assert_int_not_equal(in_order(b->size, &err), 0);
  memcpy(b->bytes, "QFI", 3);
  assert_fails(in_order(b->size, &err), VDK_E_NOT_A_DISK);
  /* More front than any file. */
  build_export(b);
  b->h.overhead = UINT64_MAX / 512;
  vmdk_header_print(&b->h, b->bytes);
  assert_int_not_equal(in_order(b->size, &err), 0);
}

#define T(f) cmocka_unit_test(f)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      T(both_layouts),          T(padding_behind_the_end),
      T(progress_markers),      T(table_markers_without_count),
      T(tables_elsewhere),      T(raw_deflate),
      T(without_markers),       T(short_last_grain),
      T(zero_entries),          T(grains_out_of_order),
      T(dead_grains),           T(repeated_grain),
      T(lba_mismatch),          T(damaged_payload),
      T(wrong_sizes),           T(lying_tables),
      T(unknown_marker),        T(cut_anywhere),
      T(zeroed_tail),           T(salvage),
      T(footer_that_disagrees), T(other_files_are_refused),
  };

  return cmocka_run_group_tests(tests, setup, teardown);
}
