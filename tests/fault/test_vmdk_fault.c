/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory and I/O that fail, under format/: nothing leaks, nothing is claimed
 * that did not happen, and what was flushed stays. */
#include "tests/unit/unit.h"

#include "disk/disk.h"
#include "format/format.h"
#include "tests/fault/alloc_fault.h"
#include "tests/fault/io_fault.h"

#define SIZE (40u << 20)

static const char *const types[] = {"monolithicSparse", "twoGbMaxExtentSparse",
                                    "monolithicFlat", "raw"};

static int
open_link(struct vdk_dir *dir, const char *type, unsigned flags,
          struct vdk_link **ret, struct vdk_error *err)
{
  struct format_open o = {.dir = dir, .name = "a.vmdk", .flags = flags};

  return format_by_type(type)->open(&o, ret, err);
}

static int
ignore_key(void *opaque, const char *key, const char *value)
{
  return 0;
}

static int
ignore_file(void *opaque, const char *name, uint64_t size)
{
  return 0;
}

/* What every link can do, once each. */
static int
use_link(struct vdk_link *l, struct vdk_error *err)
{
  static uint8_t buf[200000];
  struct link_info info;
  uint64_t run;
  char *value;
  size_t len;
  int state, r;

  l->ops->info(l, &info);
  memset(buf, 7, sizeof buf);
  r = l->ops->write(l, 1000, buf, sizeof buf, err);
  if (r == 0)
    r = l->ops->flush(l, err);
  if (r == 0)
    r = l->ops->write(l, SIZE - 5000, buf, 5000, err);
  if (r == 0)
    r = l->ops->zero(l, 65536, 65536, err);
  if (r == 0)
    r = l->ops->read(l, 131072, buf, 100, &len, &state, err);
  if (r == 0)
    r = l->ops->map(l, 0, SIZE, &run, &state, err);
  if (r == 0)
    r = l->ops->files(l, ignore_file, NULL, err);
  if (r == 0 && l->ops->meta_get) {
    r = l->ops->meta_set(l, "comment", "a comment", err);
    if (r == 0)
      r = l->ops->meta_get(l, "comment", &value, err);
    if (r == 0)
      free(value);
    if (r == 0)
      r = l->ops->meta_list(l, ignore_key, NULL, err);
  }
  return r;
}

static int
use_disk(struct vdk_dir *dir, const char *type, struct vdk_error *err)
{
  struct format_create c = {
      .size = SIZE, .type = type, .extent_size = 32u << 20};
  struct vdk_link *l;
  int r, closed;

  r = format_by_type(type)->create(dir, "a.vmdk", &c, err);
  if (r == 0)
    r = open_link(dir, type, FORMAT_WRITE, &l, err);
  if (r != 0)
    return r;
  r = use_link(l, err);
  closed = l->ops->close(l, r == 0 ? err : NULL);
  return r == 0 ? closed : r;
}

static int
in_memory(void *opaque, struct vdk_error *err)
{
  _cleanup_dir_ struct vdk_dir *dir = NULL;
  int r = dir_memory_new("m", &dir, err);

  return r == 0 ? use_disk(dir, opaque, err) : r;
}

static void
memory_fails(void **state)
{
  for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
    struct alloc_scenario s = {.name = types[i],
                               .run = in_memory,
                               .opaque = (void *)(uintptr_t)types[i]};

    /* Growing the list of released grains may fail: they are only lost. */
    s.may_succeed = true;
    alloc_fault_run(&s);
  }
}

/* --- I/O ------------------------------------------------------------------ */

#define WHOLE 1000u

static int
setup_disk(struct vdk_dir *dir, void *opaque, struct vdk_error *err)
{
  struct format_create c = {
      .size = SIZE, .type = opaque, .extent_size = 32u << 20};
  uint8_t buf[WHOLE];
  struct vdk_link *l;
  int r;

  memset(buf, 3, sizeof buf);
  r = format_by_type(opaque)->create(dir, "a.vmdk", &c, err);
  if (r == 0)
    r = open_link(dir, opaque, FORMAT_WRITE, &l, err);
  if (r != 0)
    return r;
  r = l->ops->write(l, 0, buf, sizeof buf, err);
  return r == 0 ? l->ops->close(l, err) : r;
}

static int
write_disk(struct vdk_dir *dir, void *opaque, struct vdk_error *err)
{
  struct vdk_link *l;
  int r, closed;

  r = open_link(dir, opaque, FORMAT_WRITE, &l, err);
  if (r != 0)
    return r;
  r = use_link(l, err);
  closed = l->ops->close(l, r == 0 ? err : NULL);
  return r == 0 ? closed : r;
}

/* What was there before is there still, and the disk can be written. */
static void
check_disk(struct vdk_dir *dir, const struct io_fault_break *b, void *opaque)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_link *l;
  uint8_t byte = 0;
  size_t len;
  int state;

  assert_ok(open_link(dir, opaque, FORMAT_WRITE, &l, &err));
  assert_ok(l->ops->read(l, WHOLE - 1, &byte, 1, &len, &state, &err));
  if (byte != 3)
    fail_msg("%s, call %llu: flushed data is gone", (char *)opaque,
             (unsigned long long)b->at);
  assert_ok(l->ops->write(l, 33u << 20, "new", 3, &err));
  assert_ok(l->ops->close(l, &err));
  assert_ok(open_link(dir, opaque, 0, &l, &err));
  assert_ok(l->ops->read(l, 33u << 20, &byte, 1, &len, &state, &err));
  assert_int_equal(byte, 'n');
  assert_ok(l->ops->close(l, &err));
}

static void
io_fails(void **state)
{
  for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
    struct io_scenario s = {.name = types[i],
                            .setup = setup_disk,
                            .run = write_disk,
                            .check = check_disk,
                            .opaque = (void *)(uintptr_t)types[i]};

    io_fault_each_call(&s, FAULT_READ);
    io_fault_each_call(&s, FAULT_FLUSH);
  }
}

/* A failed write is retried or reported; some, like giving space back, may
 * fail without harm, so that the run is not asked to fail. */
static void
writes_fail(void **state)
{
  for (size_t i = 0; i < ARRAY_SIZE(types); i++)
    for (int sticky = 0; sticky < 2; sticky++)
      for (uint64_t at = 1, count = 1; at <= count; at++) {
        struct fault_plan plan = {0};
        struct io_fault_break b = {.at = at};
        struct vdk_error err = VDK_ERROR_INIT;
        struct vdk_dir *memory, *fault;
        void *type = (void *)(uintptr_t)types[i];

        assert_ok(dir_memory_new("m", &memory, &err));
        assert_ok(setup_disk(memory, type, &err));
        assert_ok(dir_fault_new(memory, &plan, &fault, &err));
        plan = (struct fault_plan){
            .ops = FAULT_WRITE, .fail_at = at, .sticky = sticky};
        dir_fault_set(fault, &plan);
        if (write_disk(fault, type, &err) != 0)
          assert_int_equal(err.code, VDK_E_IO);
        else if (sticky && dir_fault_count(fault) >= at)
          fail_msg("%s: write %llu and later failed unnoticed", types[i],
                   (unsigned long long)at);
        count = dir_fault_count(fault);
        plan = (struct fault_plan){0};
        dir_fault_set(fault, &plan);
        check_disk(fault, &b, type);
        dir_unref(fault);
        dir_unref(memory);
      }
}

/* --- Creation ------------------------------------------------------------- */

static int
create_disk(struct vdk_dir *dir, void *opaque, struct vdk_error *err)
{
  struct format_create c = {
      .size = SIZE, .type = opaque, .extent_size = 32u << 20};

  return format_by_type(opaque)->create(dir, "a.vmdk", &c, err);
}

static int
count_entry(void *opaque, const struct dir_entry *entry)
{
  ++*(int *)opaque;
  return 0;
}

/* Nothing is left behind. */
static void
check_empty(struct vdk_dir *dir, const struct io_fault_break *b, void *opaque)
{
  struct vdk_error err = VDK_ERROR_INIT;
  int n = 0;

  assert_ok(dir_list(dir, ".", count_entry, &n, &err));
  if (n != 0)
    fail_msg("%s, call %llu: %d files are left", (char *)opaque,
             (unsigned long long)b->at, n);
}

static void
creation_fails(void **state)
{
  static const char *const made[] = {"monolithicSparse", "twoGbMaxExtentSparse",
                                     "monolithicFlat",   "vmfs",
                                     "streamOptimized",  "raw"};

  for (size_t i = 0; i < ARRAY_SIZE(made); i++)
    for (uint64_t at = 1;; at++) {
      struct fault_plan plan = {.ops = FAULT_WRITE | FAULT_FLUSH | FAULT_NAME,
                                .fail_at = at};
      struct io_fault_break b = {.at = at};
      struct vdk_error err = VDK_ERROR_INIT;
      struct vdk_dir *memory, *fault;
      void *type = (void *)(uintptr_t)made[i];
      int r;

      assert_ok(dir_memory_new("m", &memory, &err));
      assert_ok(dir_fault_new(memory, &plan, &fault, &err));
      r = create_disk(fault, type, &err);
      if (r != 0)
        check_empty(memory, &b, type);
      dir_unref(fault);
      dir_unref(memory);
      if (r == 0)
        break;
      assert_int_equal(err.code, VDK_E_IO);
    }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_fails),
      cmocka_unit_test(io_fails),
      cmocka_unit_test(writes_fail),
      cmocka_unit_test(creation_fails),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
