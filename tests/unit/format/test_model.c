/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random writes, zeroes, reads, maps, flushes and reopenings of every type,
 * against a plain array. The seed is printed with a failure; give it as the
 * argument to repeat one.
 */
#include "tests/unit/unit.h"

#include "disk/disk.h"
#include "file/file.h"
#include "format/format.h"

#define MODEL_SIZE ((5u << 20) + 512 * 37)
#define STEPS      400

static unsigned first_seed = 1;

struct kind {
  const char *label, *type;
  uint64_t grain, extent;
  bool child;
};

static const struct kind kinds[] = {
    {"sparse", "monolithicSparse", 0, 0, false},
    {"sparse-4k", "monolithicSparse", 4096, 0, false},
    {"split", "twoGbMaxExtentSparse", 0, 1u << 20, false},
    {"flat", "monolithicFlat", 0, 0, false},
    {"split-flat", "twoGbMaxExtentFlat", 0, 1u << 20, false},
    {"vmfs", "VMFSthin", 0, 0, false},
    {"child", "monolithicSparse", 0, 0, true},
    {"split-child", "TWOGBMAXEXTENTSPARSE", 4096, 1u << 20, true},
};

struct model {
  struct vdk_dir *dir;
  struct vdk_disk *disk;
  uint8_t *want, *buf;
  unsigned seed, rng;
};

static uint32_t
next(struct model *m, uint32_t below)
{
  m->rng = m->rng * 1664525u + 1013904223u;
  return (uint32_t)(((uint64_t)(m->rng >> 8) * below) >> 24);
}

static void
open_disk(struct model *m)
{
  struct disk_open_options o = {.flags = DISK_WRITE};
  struct vdk_error err = VDK_ERROR_INIT;

  if (disk_open(m->dir, "a.vmdk", &o, &m->disk, &err) != 0)
    fail_msg("seed %u: open: %s", m->seed, vdk_error_message(&err));
  assert_int_equal(disk_size(m->disk), MODEL_SIZE);
}

static void
close_disk(struct model *m)
{
  struct vdk_error err = VDK_ERROR_INIT;

  if (disk_close(m->disk, &err) != 0)
    fail_msg("seed %u: close: %s", m->seed, vdk_error_message(&err));
}

static void
pick(struct model *m, uint64_t *offset, size_t *len)
{
  static const uint32_t sizes[] = {1, 512, 5000, 65536, 300000, 2u << 20};
  uint32_t size = sizes[next(m, ARRAY_SIZE(sizes))];
  uint32_t unit = next(m, 2) ? 512 : 1;

  *offset = next(m, MODEL_SIZE / unit) * unit;
  *len = next(m, size) + 1;
  if (next(m, 3) == 0) {
    *offset = *offset / 65536 * 65536;
    *len = (*len + 65535) / 65536 * 65536;
  }
  *len = (size_t)MIN(*len, MODEL_SIZE - *offset);
}

static void
check_all(struct model *m)
{
  struct vdk_error err = VDK_ERROR_INIT;

  memset(m->buf, 0xaa, MODEL_SIZE);
  if (disk_read(m->disk, 0, m->buf, MODEL_SIZE, &err) != 0)
    fail_msg("seed %u: read: %s", m->seed, vdk_error_message(&err));
  for (size_t i = 0; i < MODEL_SIZE; i++)
    if (m->buf[i] != m->want[i])
      fail_msg("seed %u: byte %zu is 0x%02x, not 0x%02x", m->seed, i, m->buf[i],
               m->want[i]);
}

/* What the map calls zero is zero. */
static void
check_map(struct model *m)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t offset = 0;

  while (offset < MODEL_SIZE) {
    uint64_t len = 0;
    int state = -1;

    assert_ok(
        disk_extent(m->disk, offset, MODEL_SIZE - offset, &len, &state, &err));
    assert_in_range(len, 1, MODEL_SIZE - offset);
    if (state == VDK_EXTENT_ZERO)
      for (uint64_t i = 0; i < len; i++)
        if (m->want[offset + i] != 0)
          fail_msg("seed %u: byte %llu is mapped as zero", m->seed,
                   (unsigned long long)(offset + i));
    offset += len;
  }
}

static void
step(struct model *m)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t offset;
  size_t len;

  pick(m, &offset, &len);
  switch (next(m, 10)) {
  case 0:
  case 1:
  case 2:
  case 3:
    memset(m->want + offset, (int)next(m, 255) + 1, len);
    m->want[offset] = (uint8_t)next(m, 256);
    assert_ok(disk_write(m->disk, offset, m->want + offset, len, &err));
    break;
  case 4:
  case 5:
    memset(m->want + offset, 0, len);
    assert_ok(disk_zero(m->disk, offset, len, &err));
    break;
  case 6:
  case 7:
    assert_ok(disk_read(m->disk, offset, m->buf, len, &err));
    if (memcmp(m->buf, m->want + offset, len) != 0)
      fail_msg("seed %u: read of %zu at %llu differs", m->seed, len,
               (unsigned long long)offset);
    break;
  case 8:
    if (next(m, 4) == 0)
      assert_ok(disk_flush(m->disk, &err));
    else
      check_map(m);
    break;
  default:
    if (next(m, 8) == 0) {
      close_disk(m);
      open_disk(m);
    }
  }
}

/* A base with content, so that the child has something to hide. */
static void
make_base(struct model *m)
{
  struct format_create c = {.size = MODEL_SIZE, .type = "monolithicSparse"};
  struct disk_open_options o = {.flags = DISK_WRITE};
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *disk;

  assert_ok(format_by_name("vmdk")->create(m->dir, "base.vmdk", &c, &err));
  assert_ok(disk_open(m->dir, "base.vmdk", &o, &disk, &err));
  for (size_t i = 0; i < MODEL_SIZE; i++)
    if (i / 150000 % 2)
      m->want[i] = (uint8_t)(i / 1000 + 1);
  assert_ok(disk_write(disk, 0, m->want, MODEL_SIZE, &err));
  assert_ok(disk_close(disk, &err));
}

static void
run_kind(const struct kind *k, unsigned seed)
{
  struct format_create c = {.size = MODEL_SIZE,
                            .type = k->type,
                            .grain_size = k->grain,
                            .extent_size = k->extent};
  struct vdk_error err = VDK_ERROR_INIT;
  struct model m = {.seed = seed, .rng = seed};

  m.want = calloc(1, MODEL_SIZE);
  m.buf = malloc(MODEL_SIZE);
  assert_non_null(m.want);
  assert_non_null(m.buf);
  assert_ok(dir_memory_new("/mem", &m.dir, &err));
  if (k->child) {
    struct link_info info;
    struct vdk_disk *base;

    make_base(&m);
    assert_ok(disk_open(m.dir, "base.vmdk", NULL, &base, &err));
    disk_link_info(base, 0, &info);
    assert_ok(disk_close(base, &err));
    c.has_parent = true;
    c.parent_hint = "base.vmdk";
    c.parent_cid = info.cid;
  }
  assert_ok(format_by_type(k->type)->create(m.dir, "a.vmdk", &c, &err));
  open_disk(&m);
  for (int i = 0; i < STEPS; i++)
    step(&m);
  check_all(&m);
  close_disk(&m);
  open_disk(&m);
  check_all(&m);
  check_map(&m);
  close_disk(&m);
  dir_unref(m.dir);
  free(m.want);
  free(m.buf);
}

static void
all_kinds(void **state)
{
  for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
    for (unsigned seed = first_seed; seed < first_seed + 2; seed++) {
      print_message("# %s, seed %u\n", kinds[i].label, seed);
      run_kind(&kinds[i], seed);
    }
}

int
main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_kinds),
  };

  if (argc > 1)
    first_seed = (unsigned)strtoul(argv[1], NULL, 0);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
