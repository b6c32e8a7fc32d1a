/* SPDX-License-Identifier: BSD-3-Clause */
/* What requests do to a chain, against a plain array. */
#include "tests/unit/unit.h"

#include <unistd.h>

#include "base/mem.h"
#include "disk/private.h"
#include "tests/unit/disk/memory_link.h"

#define KIB 1024u

/* A chain of COUNT links; sizes and granules as OPTIONS say. */
static struct vdk_disk *
chain(const struct memory_link_options *options, unsigned count, bool single,
      struct memory_link_counts *counts)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_link *links[DISK_CHAIN_MAX];
  struct vdk_disk *d = NULL;

  for (unsigned i = 0; i < count; i++)
    links[i] = memory_link_new(&options[i], &counts[i]);
  assert_ok(disk_assemble(links, count, single, NULL, &d, &err));
  return d;
}

static void
fill_link(struct vdk_disk *d, unsigned index, uint64_t offset, size_t len,
          int byte)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_link *l = disk_link(d, index);
  uint8_t *buf = malloc(len);

  memset(buf, byte, len);
  assert_ok(l->ops->write(l, offset, buf, len, &err));
  free(buf);
}

static void
assert_bytes(struct vdk_disk *d, uint64_t offset, size_t len, int byte)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint8_t *buf = malloc(len);

  memset(buf, 0x5a, len);
  assert_ok(disk_read(d, offset, buf, len, &err));
  for (size_t i = 0; i < len; i++)
    if (buf[i] != byte)
      fail_msg("byte %zu is %d, not %d", (size_t)offset + i, buf[i], byte);
  free(buf);
}

static void
parent_shows_through(void **state)
{
  const struct memory_link_options o[] = {
      {.size = 100 * KIB, .granularity = 4 * KIB, .has_parent = true},
      {.size = 64 * KIB, .granularity = 16 * KIB, .has_parent = true},
      {.size = 100 * KIB, .granularity = 512},
  };
  struct memory_link_counts counts[3] = {{0}};
  struct vdk_disk *d = chain(o, 3, false, counts);
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t n;
  int ext;

  fill_link(d, 2, 0, 100 * KIB, 3);
  fill_link(d, 1, 16 * KIB, 16 * KIB, 2);
  fill_link(d, 0, 20 * KIB, 4 * KIB, 1);
  assert_bytes(d, 0, 16 * KIB, 3);
  assert_bytes(d, 16 * KIB, 4 * KIB, 2);
  assert_bytes(d, 20 * KIB, 4 * KIB, 1);
  assert_bytes(d, 24 * KIB, 8 * KIB, 2);
  assert_bytes(d, 32 * KIB, 32 * KIB, 3);
  /* Behind the middle link's end the base is not seen. */
  assert_bytes(d, 64 * KIB, 36 * KIB, 0);
  assert_ok(disk_extent(d, 0, UINT64_MAX, &n, &ext, &err));
  assert_int_equal(ext, VDK_EXTENT_DATA);
  assert_int_equal(n, 64 * KIB);
  assert_ok(disk_extent(d, 64 * KIB, UINT64_MAX, &n, &ext, &err));
  assert_int_equal(ext, VDK_EXTENT_ZERO);
  assert_int_equal(n, 36 * KIB);
  assert_ok(disk_extent_links(d, 0, 1, 0, UINT64_MAX, &n, &ext, &err));
  assert_int_equal(ext, VDK_EXTENT_ABSENT);
  assert_int_equal(n, 20 * KIB);
  assert_ok(disk_extent_links(d, 0, 2, 10 * KIB, 80 * KIB, &n, &ext, &err));
  assert_int_equal(ext, VDK_EXTENT_ABSENT);
  assert_int_equal(n, 6 * KIB);
  assert_ok(disk_extent_links(d, 0, 2, 16 * KIB, 80 * KIB, &n, &ext, &err));
  assert_int_equal(ext, VDK_EXTENT_DATA);
  assert_int_equal(n, 16 * KIB);
  assert_ok(disk_extent_links(d, 1, 1, 64 * KIB, 80 * KIB, &n, &ext, &err));
  assert_int_equal(ext, VDK_EXTENT_ABSENT);
  assert_int_equal(n, 36 * KIB);
  assert_fails(disk_extent_links(d, 3, 1, 0, 1, &n, &ext, &err), VDK_E_INVAL);
  assert_fails(disk_extent_links(d, 1, 3, 0, 1, &n, &ext, &err), VDK_E_INVAL);
  assert_fails(disk_extent_links(d, 1, 0, 0, 1, &n, &ext, &err), VDK_E_INVAL);
  assert_fails(disk_extent(d, 100 * KIB, 1, &n, &ext, &err), VDK_E_RANGE);
  assert_ok(disk_close(d, &err));
  assert_int_equal(counts[0].breaches + counts[1].breaches, 0);
  assert_int_equal(counts[0].closes + counts[2].closes, 2);
}

static void
partial_write_keeps_the_parent(void **state)
{
  const struct memory_link_options o[] = {
      {.size = 50 * KIB, .granularity = 16 * KIB, .has_parent = true},
      {.size = 50 * KIB, .granularity = 512},
  };
  struct memory_link_counts counts[2] = {{0}};
  struct vdk_disk *d = chain(o, 2, false, counts);
  struct vdk_error err = VDK_ERROR_INIT;
  uint8_t buf[34 * KIB];

  memset(buf, 7, sizeof buf);
  fill_link(d, 1, 0, 50 * KIB, 9);
  counts[0] = (struct memory_link_counts){0};
  assert_ok(disk_write(d, 15 * KIB, buf, 34 * KIB, &err));
  /* Head completed, middle straight, tail completed. */
  assert_int_equal(counts[0].writes, 3);
  assert_bytes(d, 0, 15 * KIB, 9);
  assert_bytes(d, 15 * KIB, 34 * KIB, 7);
  assert_bytes(d, 49 * KIB, KIB, 9);
  counts[0].writes = 0;
  assert_ok(disk_write(d, 100, buf, 20 * KIB, &err));
  assert_int_equal(counts[0].writes, 1);
  /* The short last granule, covered to the end of the disk. */
  assert_ok(disk_zero(d, 48 * KIB, 2 * KIB, &err));
  assert_bytes(d, 48 * KIB, 2 * KIB, 0);
  assert_ok(disk_close(d, &err));
  assert_int_equal(counts[0].breaches, 0);
}

static void
single_link(void **state)
{
  const struct memory_link_options o = {
      .size = 64 * KIB, .granularity = 16 * KIB, .has_parent = true};
  struct memory_link_counts counts = {0};
  struct vdk_disk *d = chain(&o, 1, true, &counts);
  struct vdk_error err = VDK_ERROR_INIT;
  static uint8_t buf[16 * KIB] = {1};
  uint64_t n;
  int ext;

  assert_ok(disk_extent(d, 0, UINT64_MAX, &n, &ext, &err));
  assert_int_equal(ext, VDK_EXTENT_ABSENT);
  assert_bytes(d, 0, 64 * KIB, 0);
  assert_fails(disk_write(d, 1, buf, 10, &err), VDK_E_UNSUPPORTED);
  assert_fails(disk_zero(d, 1, 10, &err), VDK_E_UNSUPPORTED);
  assert_ok(disk_write(d, 16 * KIB, buf, 16 * KIB, &err));
  assert_ok(disk_write(d, 16 * KIB + 1, buf, 10, &err));
  assert_ok(disk_zero(d, 32 * KIB, 32 * KIB, &err));
  assert_ok(disk_extent(d, 32 * KIB, UINT64_MAX, &n, &ext, &err));
  assert_int_equal(ext, VDK_EXTENT_ZERO);
  disk_close(d, NULL);
  assert_int_equal(counts.breaches, 0);
}

static void
ranges_and_modes(void **state)
{
  const struct memory_link_options o = {
      .size = 10 * 512, .granularity = 512, .read_only = true};
  struct memory_link_counts counts = {0};
  struct vdk_disk *d = chain(&o, 1, false, &counts);
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_request req = {.type = REQUEST_READ, .offset = 1, .length = 5120};
  uint8_t buf[5120];

  assert_fails(disk_read(d, 1, buf, 5120, &err), VDK_E_RANGE);
  assert_fails(disk_read(d, UINT64_MAX, buf, 2, &err), VDK_E_RANGE);
  assert_fails(disk_submit(d, &req, &err), VDK_E_RANGE);
  assert_ok(disk_read(d, 5120, buf, 0, &err));
  assert_fails(disk_write(d, 0, buf, 1, &err), VDK_E_READ_ONLY);
  assert_fails(disk_zero(d, 0, 1, &err), VDK_E_READ_ONLY);
  assert_ok(disk_flush(d, &err));
  assert_fails(disk_meta_set(d, "a", "b", &err), VDK_E_UNSUPPORTED);
  disk_close(d, NULL);
  assert_int_equal(counts.flushes, 0);
  assert_int_equal(counts.breaches, 0);
}

static void
errors_come_through(void **state)
{
  const struct memory_link_options o[] = {
      {.size = 64 * KIB, .granularity = 16 * KIB, .has_parent = true},
      {.size = 64 * KIB, .granularity = 512},
  };
  struct memory_link_counts counts[2] = {{0}};
  struct vdk_error err = VDK_ERROR_INIT;
  static uint8_t buf[40 * KIB], got[64 * KIB];
  unsigned fails = 0;

  /* Each call in turn fails, of either link; then the write is repeated. */
  for (unsigned link = 0; link < 2; link++)
    for (unsigned n = 1;; n++) {
      struct vdk_disk *d = chain(o, 2, false, counts);
      int r;

      fill_link(d, 1, 0, 64 * KIB, 9);
      memset(buf, 7, sizeof buf);
      memory_link_fail_at(disk_link(d, link), n);
      r = disk_write(d, 10 * KIB, buf, sizeof buf, &err);
      memory_link_fail_at(disk_link(d, link), 0);
      if (r < 0) {
        assert_int_equal(err.code, VDK_E_IO);
        assert_non_null(strstr(err.text, "as asked"));
        assert_ok(disk_write(d, 10 * KIB, buf, sizeof buf, &err));
        fails++;
      }
      assert_ok(disk_read(d, 0, got, sizeof got, &err));
      for (size_t i = 0; i < sizeof got; i++)
        assert_int_equal(got[i], i >= 10 * KIB && i < 50 * KIB ? 7 : 9);
      disk_close(d, NULL);
      if (r == 0)
        break;
    }
  assert_true(fails >= 7);
  assert_int_equal(counts[0].breaches + counts[1].breaches, 0);
}

static void
long_chain_asks_each_link_once(void **state)
{
  enum { LINKS = 200 };
  struct memory_link_options o[LINKS];
  static struct memory_link_counts counts[LINKS];
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *d;
  unsigned asked = 0;
  uint64_t n;
  int ext;

  for (unsigned i = 0; i < LINKS; i++)
    o[i] = (struct memory_link_options){.size = 1024 * KIB,
                                        .granularity = 64 * KIB,
                                        .has_parent = i + 1 < LINKS};
  d = chain(o, LINKS, false, counts);
  fill_link(d, LINKS - 1, 0, 1024 * KIB, 4);
  assert_bytes(d, 0, 1024 * KIB, 4);
  assert_ok(disk_extent(d, 0, UINT64_MAX, &n, &ext, &err));
  assert_int_equal(n, 1024 * KIB);
  for (unsigned i = 0; i < LINKS; i++)
    asked += counts[i].reads + counts[i].maps;
  assert_int_equal(asked, 2 * LINKS);
  disk_close(d, NULL);
}

struct model {
  struct vdk_disk *disk;
  uint8_t *bytes, *buf;
  size_t size;
  unsigned seed;
};

static void
model_step(struct model *m)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t n, offset = (uint64_t)rand_r(&m->seed) % m->size;
  size_t len =
      1 + (size_t)rand_r(&m->seed) % MIN(rand_r(&m->seed) % 8 ? 9000 : m->size,
                                         m->size - (size_t)offset);
  int ext;

  switch (rand_r(&m->seed) % 8) {
  case 0:
    assert_ok(disk_zero(m->disk, offset, len, &err));
    memset(m->bytes + offset, 0, len);
    break;
  case 1:
    assert_ok(disk_extent(m->disk, offset, len, &n, &ext, &err));
    assert_in_range(n, 1, len);
    assert_true(ext != VDK_EXTENT_ABSENT);
    if (ext == VDK_EXTENT_ZERO)
      assert_true(mem_is_zero(m->bytes + offset, (size_t)n));
    break;
  case 2:
  case 3:
  case 4:
    assert_ok(disk_read(m->disk, offset, m->buf, len, &err));
    assert_memory_equal(m->buf, m->bytes + offset, len);
    break;
  default:
    memset(m->bytes + offset, rand_r(&m->seed), len);
    assert_ok(disk_write(m->disk, offset, m->bytes + offset, len, &err));
    break;
  }
}

/* Random chains of random shapes, thousands of steps. */
static void
random_against_a_model(void **state)
{
  struct memory_link_counts counts[5] = {{0}};
  unsigned seed = (unsigned)getpid();

  print_message("seed %u\n", seed);
  for (unsigned round = 0; round < 60; round++) {
    unsigned links = 1 + round % 5;
    struct memory_link_options o[5];
    struct model m = {.seed = seed + round};

    for (unsigned i = 0; i < links; i++)
      o[i] = (struct memory_link_options){
          .size = 512 * (1 + (uint64_t)rand_r(&m.seed) % 400),
          .granularity = 512u << rand_r(&m.seed) % 8,
          .has_parent = i + 1 < links,
          .no_zero = rand_r(&m.seed) % 2};
    m.disk = chain(o, links, false, counts);
    m.size = disk_size(m.disk);
    m.bytes = calloc(1, m.size);
    m.buf = malloc(m.size);
    for (unsigned i = links; i-- > 0;) {
      uint64_t from =
          round_down((uint64_t)rand_r(&m.seed) % o[i].size, o[i].granularity);

      if (i > 0)
        fill_link(m.disk, i, from, o[i].size - from, 1 + rand_r(&m.seed) % 200);
    }
    struct vdk_error err = VDK_ERROR_INIT;
    assert_ok(disk_read(m.disk, 0, m.bytes, m.size, &err));
    for (unsigned i = 0; i < 200; i++)
      model_step(&m);
    assert_ok(disk_read(m.disk, 0, m.buf, m.size, &err));
    assert_memory_equal(m.buf, m.bytes, m.size);
    disk_close(m.disk, NULL);
    free(m.bytes);
    free(m.buf);
  }
  for (unsigned i = 0; i < 5; i++)
    assert_int_equal(counts[i].breaches, 0);
}

static int
collect(void *opaque, const char *key, const char *value)
{
  char *text = opaque;

  strcat(strcat(strcat(strcat(text, key), "="), value), ";");
  return strcmp(key, "stop") == 0 ? 9 : 0;
}

static void
metadata_of_the_chain(void **state)
{
  static const char *const near[] = {"b", "1", "c", "2", NULL};
  static const char *const far[] = {"a", "3", "B", "4", "d", "5", NULL};
  static const char *const stop[] = {"stop", "", NULL};
  const struct memory_link_options o[] = {
      {.size = 512, .granularity = 512, .has_parent = true, .meta = near},
      {.size = 512, .granularity = 512, .has_parent = true, .meta = far},
      {.size = 512, .granularity = 512, .meta = stop},
  };
  struct memory_link_counts counts[3] = {{0}};
  struct vdk_disk *d = chain(o, 3, false, counts);
  struct vdk_error err = VDK_ERROR_INIT;
  char text[100] = "", *value;

  assert_ok(disk_meta_get(d, "b", &value, &err));
  assert_string_equal(value, "1");
  free(value);
  assert_ok(disk_meta_get(d, "d", &value, &err));
  assert_string_equal(value, "5");
  free(value);
  assert_fails(disk_meta_get(d, "x", &value, &err), VDK_E_NO_KEY);
  assert_int_equal(disk_meta_list(d, collect, text, &err), 9);
  assert_string_equal(text, "b=1;c=2;a=3;d=5;stop=;");
  disk_close(d, NULL);
}

static void
nonsense_from_a_driver(void **state)
{
  const struct memory_link_options big = {.size = 512, .granularity = 3};
  struct memory_link_counts counts = {0};
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *d = NULL;

  assert_fails(disk_from_link(memory_link_new(&big, &counts), NULL, &d, &err),
               VDK_E_INTERNAL);
  assert_int_equal(counts.closes, 1);
  assert_null(d);
  assert_ok(disk_close(NULL, &err));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parent_shows_through),
      cmocka_unit_test(partial_write_keeps_the_parent),
      cmocka_unit_test(single_link),
      cmocka_unit_test(ranges_and_modes),
      cmocka_unit_test(errors_come_through),
      cmocka_unit_test(long_chain_asks_each_link_once),
      cmocka_unit_test(random_against_a_model),
      cmocka_unit_test(metadata_of_the_chain),
      cmocka_unit_test(nonsense_from_a_driver),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
