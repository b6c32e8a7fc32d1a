/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading, writing and seeking: counts, the end, large offsets, wrong
 * arguments, and the faults that other packages of this kind have had. */
#include <pthread.h>

#include "support.h"

#define SIZE (1 * MIB + 512)

static const char *const type_names[] = {"raw", "monolithicSparse"};
static const char *const disk_names[] = {"d.raw", "d.vmdk"};

static struct vdk_error err = VDK_ERROR_INIT;

/* --- Counts --------------------------------------------------------------- */

/* A read that is not aligned counts all its bytes: head, middle and tail. */
static void
test_unaligned_counts(void **state)
{
  static const struct {
    uint64_t offset;
    size_t len;
  } reads[] = {{500, 1030}, {0, 100}, {511, 2},       {1, 511},
               {512, 512},  {3, 1},   {65535, 70000}, {0, SIZE}};
  static uint8_t buf[SIZE];

  for (size_t t = 0; t < ARRAY_SIZE(type_names); t++) {
    struct vdk_handle *h;

    make_disk(disk_names[t], type_names[t], SIZE);
    h = open_disk(disk_names[t], VDK_OPEN_WRITE);
    fill_disk(h, 0, SIZE);
    for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
      size_t done = 77;

      memset(buf, 0, sizeof buf);
      assert_ok(
          vdk_read_at(h, reads[i].offset, buf, reads[i].len, &done, &err));
      assert_int_equal(done, reads[i].len);
      assert_filled(buf, reads[i].offset, done);
    }
    close_disk(h);
  }
}

/* A loop of odd reads ends, and has seen each byte once. */
static void
test_odd_loop(void **state)
{
  uint8_t buf[1031];
  uint64_t total = 0;
  size_t done;
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicSparse", SIZE);
  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  fill_disk(h, 0, SIZE);
  do {
    assert_ok(vdk_read(h, buf, sizeof buf, &done, &err));
    assert_filled(buf, total, done);
    total += done;
  } while (done > 0);
  assert_int_equal(total, SIZE);
  close_disk(h);
}

static void
test_unaligned_writes(void **state)
{
  uint8_t byte = 0xee;

  for (size_t t = 0; t < ARRAY_SIZE(type_names); t++) {
    struct vdk_handle *h;

    make_disk(disk_names[t], type_names[t], SIZE);
    h = open_disk(disk_names[t], VDK_OPEN_WRITE);
    fill_disk(h, 1000, 70001);
    fill_disk(h, 0, 3);
    fill_disk(h, SIZE - 1, 1);
    assert_disk_filled(h, 1000, 70001);
    assert_disk_filled(h, 0, 3);
    assert_disk_filled(h, SIZE - 1, 1);
    assert_ok(vdk_read_at(h, 999, &byte, 1, NULL, &err));
    assert_int_equal(byte, 0);
    assert_ok(vdk_read_at(h, 71001, &byte, 1, NULL, &err));
    assert_int_equal(byte, 0);
    close_disk(h);
  }
}

/* --- The end -------------------------------------------------------------- */

static void
test_read_at_end(void **state)
{
  uint8_t buf[1024];
  size_t done = 5;
  struct vdk_handle *h;

  make_disk("d.raw", "raw", SIZE);
  h = open_disk("d.raw", VDK_OPEN_WRITE);
  fill_disk(h, SIZE - 1024, 1024);
  assert_ok(vdk_read_at(h, SIZE - 100, buf, sizeof buf, &done, &err));
  assert_int_equal(done, 100);
  assert_filled(buf, SIZE - 100, 100);
  assert_ok(vdk_read_at(h, SIZE, buf, sizeof buf, &done, &err));
  assert_int_equal(done, 0);
  assert_ok(vdk_read_at(h, UINT64_MAX, buf, sizeof buf, &done, &err));
  assert_int_equal(done, 0);
  assert_ok(vdk_read_at(h, UINT64_MAX - 511, buf, sizeof buf, &done, &err));
  assert_int_equal(done, 0);
  assert_ok(vdk_read_at(h, 0, NULL, 0, &done, &err));
  assert_int_equal(done, 0);
  close_disk(h);
}

static void
test_write_at_end(void **state)
{
  static const struct {
    uint64_t offset;
    size_t len;
  } outside[] = {{SIZE, 1},       {SIZE - 1, 2},           {SIZE - 512, 1024},
                 {UINT64_MAX, 1}, {UINT64_MAX - 511, 512}, {1, SIZE},
                 {SIZE + 1, 0}};
  static uint8_t buf[SIZE], back[SIZE];
  struct vdk_handle *h;
  size_t done = 5;

  make_disk("d.raw", "raw", SIZE);
  h = open_disk("d.raw", VDK_OPEN_WRITE);
  memset(buf, 0xff, sizeof buf);
  for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
    assert_fails(
        vdk_write_at(h, outside[i].offset, buf, outside[i].len, &done, &err),
        VDK_E_RANGE);
    assert_fails(vdk_zero_at(h, outside[i].offset, outside[i].len, &err),
                 VDK_E_RANGE);
  }
  assert_int_equal(done, 5);
  assert_ok(vdk_read_at(h, 0, back, SIZE, &done, &err));
  assert_all_zero(back, SIZE);
  assert_ok(vdk_write_at(h, SIZE, NULL, 0, &done, &err));
  assert_int_equal(done, 0);
  assert_ok(vdk_zero_at(h, SIZE, 0, &err));
  close_disk(h);
}

/* --- Large ---------------------------------------------------------------- */

/* Offsets beyond 2, 4 and 8 GiB, and near the end of 3 TiB. */
static void
test_large_offsets(void **state)
{
  static const uint64_t offsets[] = {2 * GIB - 1, 2 * GIB, 4 * GIB - 3,
                                     4 * GIB + 5, 8 * GIB, 3 * KIB * GIB - 777};
  uint64_t position;
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicSparse", 3 * KIB * GIB);
  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
    fill_disk(h, offsets[i], 777);
  for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
    assert_disk_filled(h, offsets[i], 777);
  assert_ok(vdk_seek(h, 0, VDK_SEEK_END, &position, &err));
  assert_int_equal(position, 3 * KIB * GIB);
  close_disk(h);
}

/* --- Position ------------------------------------------------------------- */

static void
test_position(void **state)
{
  uint8_t buf[600];
  uint64_t position = 0;
  size_t done;
  struct vdk_handle *h;

  make_disk("d.raw", "raw", 1024);
  h = open_disk("d.raw", VDK_OPEN_WRITE);
  fill(buf, 0, 600);
  assert_ok(vdk_write(h, buf, 600, &done, &err));
  assert_int_equal(done, 600);
  fill(buf, 600, 424);
  assert_ok(vdk_write(h, buf, 424, NULL, &err));
  assert_fails(vdk_write(h, buf, 1, &done, &err), VDK_E_RANGE);
  assert_ok(vdk_seek(h, 0, VDK_SEEK_CUR, &position, &err));
  assert_int_equal(position, 1024);
  assert_ok(vdk_seek(h, -424, VDK_SEEK_END, &position, &err));
  assert_int_equal(position, 600);
  assert_ok(vdk_read(h, buf, 600, &done, &err));
  assert_int_equal(done, 424);
  assert_filled(buf, 600, 424);
  assert_ok(vdk_read(h, buf, 600, &done, &err));
  assert_int_equal(done, 0);
  close_disk(h);
}

/* A failed call leaves the position; *_at never touches it. */
static void
test_position_stays(void **state)
{
  uint8_t buf[512] = {1};
  uint64_t position = 0;
  struct vdk_handle *h;

  make_disk("d.raw", "raw", 1024);
  h = open_disk("d.raw", 0);
  assert_ok(vdk_seek(h, 100, VDK_SEEK_SET, NULL, &err));
  assert_fails(vdk_write(h, buf, 10, NULL, &err), VDK_E_READ_ONLY);
  assert_fails(vdk_read(h, NULL, 10, NULL, &err), VDK_E_INVAL);
  assert_ok(vdk_read_at(h, 0, buf, 512, NULL, &err));
  assert_ok(vdk_seek(h, 0, VDK_SEEK_CUR, &position, &err));
  assert_int_equal(position, 100);
  close_disk(h);
}

static void
test_seek(void **state)
{
  uint64_t position = 42;
  struct vdk_handle *h;

  make_disk("d.raw", "raw", 1024);
  h = open_disk("d.raw", 0);
  assert_ok(vdk_seek(h, 5000, VDK_SEEK_SET, &position, &err));
  assert_int_equal(position, 5000);
  assert_ok(vdk_seek(h, -5000, VDK_SEEK_CUR, &position, &err));
  assert_int_equal(position, 0);
  assert_ok(vdk_seek(h, INT64_MAX, VDK_SEEK_SET, &position, &err));
  assert_fails(vdk_seek(h, 1, VDK_SEEK_CUR, &position, &err), VDK_E_INVAL);
  assert_fails(vdk_seek(h, -1, VDK_SEEK_SET, &position, &err), VDK_E_INVAL);
  assert_fails(vdk_seek(h, -1025, VDK_SEEK_END, &position, &err), VDK_E_INVAL);
  assert_fails(vdk_seek(h, INT64_MAX, VDK_SEEK_END, &position, &err),
               VDK_E_INVAL);
  assert_fails(vdk_seek(h, 0, 17, &position, &err), VDK_E_INVAL);
  assert_fails(vdk_seek(h, 0, -1, &position, &err), VDK_E_INVAL);
  assert_int_equal(position, INT64_MAX);
  close_disk(h);
}

static void
test_seek_data_hole(void **state)
{
  uint64_t position = 0;
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicSparse", 1 * MIB);
  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  assert_fails(vdk_seek(h, 0, VDK_SEEK_DATA, &position, &err), VDK_E_NOT_FOUND);
  assert_ok(vdk_seek(h, 5, VDK_SEEK_HOLE, &position, &err));
  assert_int_equal(position, 5);
  fill_disk(h, 128 * KIB, 64 * KIB);
  fill_disk(h, 192 * KIB, 64 * KIB);
  assert_ok(vdk_seek(h, 0, VDK_SEEK_DATA, &position, &err));
  assert_int_equal(position, 128 * KIB);
  assert_ok(vdk_seek(h, 130 * KIB, VDK_SEEK_DATA, &position, &err));
  assert_int_equal(position, 130 * KIB);
  assert_ok(vdk_seek(h, 128 * KIB, VDK_SEEK_HOLE, &position, &err));
  assert_int_equal(position, 256 * KIB);
  fill_disk(h, 960 * KIB, 64 * KIB);
  assert_ok(vdk_seek(h, 1000 * KIB, VDK_SEEK_HOLE, &position, &err));
  assert_int_equal(position, 1 * MIB);
  assert_fails(vdk_seek(h, 1 * MIB, VDK_SEEK_DATA, &position, &err),
               VDK_E_RANGE);
  assert_fails(vdk_seek(h, 1 * MIB, VDK_SEEK_HOLE, &position, &err),
               VDK_E_RANGE);
  assert_fails(vdk_seek(h, -1, VDK_SEEK_DATA, &position, &err), VDK_E_RANGE);
  close_disk(h);
}

/* --- Zero and flush ------------------------------------------------------- */

static void
test_zero(void **state)
{
  static uint8_t buf[300 * KIB];

  for (size_t t = 0; t < ARRAY_SIZE(type_names); t++) {
    struct vdk_handle *h;

    make_disk(disk_names[t], type_names[t], 300 * KIB);
    h = open_disk(disk_names[t], VDK_OPEN_WRITE);
    fill_disk(h, 0, 300 * KIB);
    assert_ok(vdk_zero_at(h, 1001, 200 * KIB, &err));
    assert_ok(vdk_flush(h, &err));
    assert_ok(vdk_read_at(h, 0, buf, sizeof buf, NULL, &err));
    assert_filled(buf, 0, 1001);
    assert_all_zero(buf + 1001, 200 * KIB);
    assert_filled(buf + 1001 + 200 * KIB, 1001 + 200 * KIB, 100 * KIB - 1001);
    close_disk(h);
    h = open_disk(disk_names[t], 0);
    assert_disk_filled(h, 0, 1001);
    assert_fails(vdk_zero_at(h, 0, 512, &err), VDK_E_READ_ONLY);
    assert_ok(vdk_flush(h, &err));
    close_disk(h);
  }
}

/* --- Threads -------------------------------------------------------------- */

#define ROUNDS  400
#define THREADS 4

struct neighbour {
  struct vdk_handle *h;
  unsigned number;
};

/* Writes its own odd pieces again and again, beside those of the others. */
static void *
neighbour_run(void *opaque)
{
  struct neighbour *n = opaque;

  for (unsigned round = 0; round < ROUNDS; round++) {
    uint8_t buf[100];

    memset(buf, (int)(round % 250 + 1), sizeof buf);
    for (unsigned slot = n->number; slot < 16; slot += THREADS)
      if (vdk_write_at(n->h, 65000 + slot * 100, buf, sizeof buf, NULL, NULL))
        return n;
  }
  return NULL;
}

/* Nobody loses a write for sharing a sector or a grain with others. */
static void
test_unaligned_neighbours(void **state)
{
  for (size_t t = 0; t < ARRAY_SIZE(type_names); t++) {
    pthread_t threads[THREADS];
    struct neighbour n[THREADS];
    uint8_t buf[1600];
    struct vdk_handle *h;

    make_disk(disk_names[t], type_names[t], 256 * KIB);
    h = open_disk(disk_names[t], VDK_OPEN_WRITE);
    for (unsigned i = 0; i < THREADS; i++) {
      n[i] = (struct neighbour){h, i};
      assert_int_equal(pthread_create(&threads[i], NULL, neighbour_run, &n[i]),
                       0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
      void *failed;

      pthread_join(threads[i], &failed);
      assert_null(failed);
    }
    assert_ok(vdk_read_at(h, 65000, buf, sizeof buf, NULL, &err));
    for (size_t i = 0; i < sizeof buf; i++)
      assert_int_equal(buf[i], (ROUNDS - 1) % 250 + 1);
    close_disk(h);
  }
}

/* An aligned write beside an unaligned one in the same sector's grain. */
static void *
aligned_run(void *opaque)
{
  struct vdk_handle *h = opaque;
  uint8_t buf[512];

  for (unsigned round = 0; round < 2000; round++) {
    memset(buf, (int)(round % 255), sizeof buf);
    if (vdk_write_at(h, 512, buf, sizeof buf, NULL, NULL))
      return h;
  }
  return NULL;
}

static void
test_aligned_neighbour(void **state)
{
  uint8_t buf[1536];
  pthread_t thread;
  void *failed;
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicSparse", 256 * KIB);
  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  assert_int_equal(pthread_create(&thread, NULL, aligned_run, h), 0);
  for (unsigned round = 0; round < 2000; round++) {
    /* Ends and starts inside the sectors around the other's. */
    uint8_t piece[300];

    memset(piece, (int)(round % 255), sizeof piece);
    assert_ok(vdk_write_at(h, 212, piece, 300, NULL, &err));
    assert_ok(vdk_write_at(h, 1024, piece, 300, NULL, &err));
  }
  pthread_join(thread, &failed);
  assert_null(failed);
  assert_ok(vdk_read_at(h, 0, buf, sizeof buf, NULL, &err));
  for (size_t i = 212; i < 1324; i++)
    assert_int_equal(buf[i], 1999 % 255);
  assert_all_zero(buf, 212);
  assert_all_zero(buf + 1324, sizeof buf - 1324);
  close_disk(h);
}

/* Readers that share the position get every byte once. */
#define SHARED_SIZE (512 * KIB)
static uint8_t seen[SHARED_SIZE / 512];

static void *
shared_run(void *opaque)
{
  struct vdk_handle *h = opaque;
  uint8_t buf[512];
  size_t done;

  while (vdk_read(h, buf, sizeof buf, &done, NULL) == 0 && done > 0) {
    uint32_t sector;

    memcpy(&sector, buf, sizeof sector);
    __atomic_add_fetch(&seen[sector], 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

static void
test_shared_position(void **state)
{
  pthread_t threads[THREADS];
  struct vdk_handle *h;

  make_disk("d.raw", "raw", SHARED_SIZE);
  h = open_disk("d.raw", VDK_OPEN_WRITE);
  for (uint32_t i = 0; i < ARRAY_SIZE(seen); i++)
    assert_ok(vdk_write_at(h, i * 512, &i, sizeof i, NULL, &err));
  memset(seen, 0, sizeof seen);
  for (unsigned i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, shared_run, h), 0);
  for (unsigned i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  for (size_t i = 0; i < ARRAY_SIZE(seen); i++)
    assert_int_equal(seen[i], 1);
  close_disk(h);
}

/* --- Wrong arguments ------------------------------------------------------ */

static void
test_null(void **state)
{
  uint8_t buf[1];
  size_t done = 9;
  struct vdk_handle *h;

  assert_fails(vdk_read_at(NULL, 0, buf, 1, &done, &err), VDK_E_INVAL);
  assert_fails(vdk_write_at(NULL, 0, buf, 1, &done, &err), VDK_E_INVAL);
  assert_fails(vdk_read(NULL, buf, 1, &done, &err), VDK_E_INVAL);
  assert_fails(vdk_write(NULL, buf, 1, &done, &err), VDK_E_INVAL);
  assert_fails(vdk_seek(NULL, 0, VDK_SEEK_SET, NULL, &err), VDK_E_INVAL);
  assert_fails(vdk_zero_at(NULL, 0, 1, &err), VDK_E_INVAL);
  assert_fails(vdk_flush(NULL, &err), VDK_E_INVAL);
  assert_int_equal(vdk_read_at(NULL, 0, buf, 1, NULL, NULL), -VDK_E_INVAL);
  make_disk("d.raw", "raw", 1024);
  h = open_disk("d.raw", VDK_OPEN_WRITE);
  assert_fails(vdk_read_at(h, 0, NULL, 1, &done, &err), VDK_E_INVAL);
  assert_fails(vdk_write_at(h, 0, NULL, 1, &done, &err), VDK_E_INVAL);
  assert_int_equal(done, 9);
  close_disk(h);
}

#define T(f) cmocka_unit_test_setup_teardown(f, support_setup, support_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      T(test_unaligned_counts),
      T(test_odd_loop),
      T(test_unaligned_writes),
      T(test_read_at_end),
      T(test_write_at_end),
      T(test_large_offsets),
      T(test_position),
      T(test_position_stays),
      T(test_seek),
      T(test_seek_data_hole),
      T(test_zero),
      T(test_unaligned_neighbours),
      T(test_aligned_neighbour),
      T(test_shared_position),
      T(test_null),
  };

  return cmocka_run_group_tests_name("surface io", tests, NULL, NULL);
}
