/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Power cuts over VMDKs: a run of writes, zeroes and flushes is recorded, and
 * the power is cut behind every single change of the files, with what was not
 * flushed lost, kept, torn, or there in part. Each time
 *
 *   - the disk opens;
 *   - what was flushed is there, and everything else is old or new, sector by
 *     sector;
 *   - a writer repairs it: after its close the disk is clean and equal.
 *
 * Content is kept in slots of 4 KiB, each filled with one byte, so that the
 * values that a slot may have after a cut are a short list.
 */
#include "tests/unit/unit.h"

#include "base/endian.h"
#include "disk/disk.h"
#include "file/fault.h"
#include "format/format.h"

#define SIZE  (100u << 20)
#define SLOTS 20
#define SLOT  4096u
#define STEPS 40

struct step {
  size_t changes;        /* in the record when the step was done */
  bool flushed;          /* it ended with a flush */
  uint8_t values[SLOTS]; /* after it */
};

struct scene {
  const char *type;
  uint64_t extent;
  bool child, absent;
};

static const struct scene scenes[] = {
    {"monolithicSparse", 0, false, false},
    {"monolithicSparse", 0, false, true},
    {"monolithicSparse", 0, true, false},
    {"monolithicSparse", 0, true, true},
    {"twoGbMaxExtentSparse", 32u << 20, false, false},
    {"monolithicFlat", 0, false, false},
};

static struct step steps[STEPS + 2];
static size_t step_count;
static unsigned rng;
static struct vdk_error err;

static uint32_t
next(uint32_t below)
{
  rng = rng * 1664525u + 1013904223u;
  return (uint32_t)(((uint64_t)(rng >> 8) * below) >> 24);
}

/* Some slots share a grain, some a table, all tables have one. */
static uint64_t
slot_offset(unsigned slot)
{
  return slot % 5 * (20ull << 20) + slot / 5 % 2 * SLOT +
         slot / 10 * (3 * 65536ull);
}

static void
note(struct vdk_dir *fault, const uint8_t *values, bool flushed)
{
  struct step *s = &steps[step_count++];

  s->changes = dir_fault_changes(fault);
  s->flushed = flushed;
  memcpy(s->values, values, SLOTS);
}

static void
put32(struct vdk_dir *dir, const char *name, uint64_t at, uint32_t v)
{
  struct vdk_file *f;
  uint8_t b[4];

  le32_store(b, v);
  assert_ok(dir_open_file(dir, name, FILE_WRITE, &f, &err));
  assert_ok(file_write(f, at, b, 4, &err));
  file_close(f);
}

static void
make(struct vdk_dir *dir, const struct scene *scene)
{
  struct format_create c = {.size = SIZE, .type = scene->type};
  struct link_info info;
  struct vdk_disk *d;

  if (scene->child) {
    uint8_t buf[SLOT];
    struct disk_open_options o = {.flags = DISK_WRITE};

    c.type = "monolithicSparse";
    assert_ok(format_by_type(c.type)->create(dir, "base.vmdk", &c, &err));
    assert_ok(disk_open(dir, "base.vmdk", &o, &d, &err));
    memset(buf, 200, sizeof buf);
    for (unsigned i = 0; i < SLOTS; i++)
      assert_ok(disk_write(d, slot_offset(i), buf, SLOT, &err));
    disk_link_info(d, 0, &info);
    assert_ok(disk_close(d, &err));
    c.has_parent = true;
    c.parent_hint = "base.vmdk";
    c.parent_cid = info.cid;
  }
  c.type = scene->type;
  c.extent_size = scene->extent;
  assert_ok(format_by_type(c.type)->create(dir, "a.vmdk", &c, &err));
  if (scene->absent) { /* 4 tables: rgd at 21, gd at 21 + 1 + 16 */
    put32(dir, "a.vmdk", 21 * 512 + 4, 0);
    put32(dir, "a.vmdk", 38 * 512 + 4, 0);
    put32(dir, "a.vmdk", 38 * 512 + 8, 0);
    put32(dir, "a.vmdk", 21 * 512 + 8, 0);
  }
}

/* The run that is recorded. */
static void
perform(struct vdk_dir *fault, uint8_t *values)
{
  struct disk_open_options o = {.flags = DISK_WRITE};
  uint8_t buf[SLOT];
  struct vdk_disk *d;

  assert_ok(disk_open(fault, "a.vmdk", &o, &d, &err));
  for (int i = 0; i < STEPS; i++) {
    unsigned slot = next(SLOTS), what = next(10);
    bool flush = what == 9;

    if (flush) {
      assert_ok(disk_flush(d, &err));
    } else if (what >= 7) {
      uint64_t grain = slot_offset(slot) / 65536 * 65536;

      for (unsigned k = 0; k < SLOTS; k++)
        if (slot_offset(k) / 65536 * 65536 == grain)
          values[k] = 0;
      assert_ok(disk_zero(d, grain, 65536, &err));
    } else {
      values[slot] = (uint8_t)(i + 1);
      memset(buf, i + 1, SLOT);
      assert_ok(disk_write(d, slot_offset(slot), buf, SLOT, &err));
    }
    note(fault, values, flush);
  }
  assert_ok(disk_close(d, &err));
  note(fault, values, true);
}

/* Whether BYTE can be in SLOT after a cut at CUT: its value in the last
 * flushed step or in any later one that had begun. */
static bool
possible(unsigned slot, uint8_t byte, size_t cut)
{
  size_t first = 0, last = 0;

  for (size_t i = 0; i < step_count; i++) {
    if (steps[i].flushed && steps[i].changes <= cut)
      first = i;
    if (i == 0 || steps[i - 1].changes < cut)
      last = i;
  }
  for (size_t i = first; i <= last; i++)
    if (steps[i].values[slot] == byte)
      return true;
  return false;
}

static void
check(struct vdk_dir *dir, size_t cut, int keep, const char *when)
{
  uint8_t buf[SLOT];
  struct vdk_disk *d;

  if (disk_open(dir, "a.vmdk", NULL, &d, &err) != 0)
    fail_msg("cut %zu, keep %d, %s: %s", cut, keep, when,
             vdk_error_message(&err));
  for (unsigned i = 0; i < SLOTS; i++) {
    if (disk_read(d, slot_offset(i), buf, SLOT, &err) != 0)
      fail_msg("cut %zu, keep %d, %s: slot %u: %s", cut, keep, when, i,
               vdk_error_message(&err));
    for (size_t at = 0; at < SLOT; at++)
      if (buf[at] != buf[at / 512 * 512] || !possible(i, buf[at], cut))
        fail_msg("cut %zu, keep %d, %s: slot %u has byte %u at %zu", cut, keep,
                 when, i, buf[at], at);
  }
  assert_ok(disk_close(d, &err));
}

/* A writer comes after the cut, and the next reader finds nothing odd. */
static void
repair(struct vdk_dir *dir, size_t cut, int keep)
{
  struct disk_open_options o = {.flags = DISK_WRITE};
  struct vdk_disk *d;

  if (disk_open(dir, "a.vmdk", &o, &d, &err) != 0 ||
      disk_write(d, SIZE - 512, "after", 5, &err) != 0 ||
      disk_close(d, &err) != 0)
    fail_msg("cut %zu, keep %d: writing after it: %s", cut, keep,
             vdk_error_message(&err));
  check(dir, cut, keep, "after a writer");
}

static void
cut_everywhere(struct vdk_dir *fault)
{
  static const enum crash_keep keeps[] = {CRASH_KEEP_NONE, CRASH_KEEP_ALL,
                                          CRASH_KEEP_TORN, CRASH_KEEP_RANDOM,
                                          CRASH_KEEP_RANDOM};

  for (size_t cut = 0; cut <= dir_fault_changes(fault); cut++)
    for (size_t k = 0; k < ARRAY_SIZE(keeps); k++) {
      struct vdk_dir *dir;

      assert_ok(dir_fault_crash(fault, cut, keeps[k], (unsigned)(cut * 7 + k),
                                &dir, &err));
      check(dir, cut, (int)k, "after the cut");
      repair(dir, cut, (int)k);
      dir_unref(dir);
    }
}

static void
run_scene(const struct scene *scene, unsigned seed)
{
  struct vdk_dir *memory, *fault;
  struct fault_plan plan = {0};
  uint8_t values[SLOTS];

  print_message("# %s%s%s, seed %u\n", scene->type,
                scene->child ? ", child" : "",
                scene->absent ? ", absent tables" : "", seed);
  rng = seed;
  step_count = 0;
  memset(values, scene->child ? 200 : 0, sizeof values);
  assert_ok(dir_memory_new("/mem", &memory, &err));
  make(memory, scene);
  assert_ok(dir_fault_new(memory, &plan, &fault, &err));
  assert_ok(dir_fault_record(fault, &err));
  note(fault, values, true);
  perform(fault, values);
  cut_everywhere(fault);
  dir_unref(fault);
  dir_unref(memory);
}

static void
writes(void **state)
{
  for (size_t i = 0; i < ARRAY_SIZE(scenes); i++)
    for (unsigned seed = 1; seed <= (i == 0 ? 2 : 1); seed++)
      run_scene(&scenes[i], seed);
}

/* A creation that is cut leaves a whole disk or none. */
static void
creations(void **state)
{
  static const char *const types[] = {"monolithicSparse", "monolithicFlat",
                                      "twoGbMaxExtentSparse",
                                      "streamOptimized"};
  struct fault_plan plan = {0};

  for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
    struct format_create c = {
        .size = 1u << 20, .type = types[i], .extent_size = 1u << 19};
    struct vdk_dir *memory, *fault, *dir;
    struct vdk_disk *d;

    assert_ok(dir_memory_new("/mem", &memory, &err));
    assert_ok(dir_fault_new(memory, &plan, &fault, &err));
    assert_ok(dir_fault_record(fault, &err));
    assert_ok(format_by_type(types[i])->create(fault, "a.vmdk", &c, &err));
    for (size_t cut = 0; cut <= dir_fault_changes(fault); cut++)
      for (unsigned seed = 0; seed < 8; seed++) {
        int r;

        assert_ok(dir_fault_crash(fault, cut,
                                  seed ? CRASH_KEEP_RANDOM : CRASH_KEEP_NONE,
                                  seed, &dir, &err));
        r = disk_open(dir, "a.vmdk", NULL, &d, &err);
        if (r == 0)
          assert_ok(disk_close(d, &err));
        else if (r != -VDK_E_NOT_FOUND || cut == dir_fault_changes(fault))
          fail_msg("%s, cut %zu: %s", types[i], cut, vdk_error_message(&err));
        dir_unref(dir);
      }
    dir_unref(fault);
    dir_unref(memory);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(writes),
      cmocka_unit_test(creations),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
