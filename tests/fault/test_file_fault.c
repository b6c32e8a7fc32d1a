/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory, I/O and power that fail, under file/. */
#include "tests/unit/unit.h"

#include <unistd.h>

#include "tests/fault/alloc_fault.h"
#include "tests/fault/io_fault.h"

static int
count_entry(void *opaque, const struct dir_entry *entry)
{
  ++*(unsigned *)opaque;
  return 0;
}

/* Some of everything that a directory and a file can do. */
static int
use_dir(struct vdk_dir *d, struct vdk_error *err)
{
  _cleanup_free_ char *text = NULL;
  _cleanup_file_ struct vdk_file *f = NULL;
  static uint8_t buf[70000];
  unsigned entries = 0;
  uint64_t n;
  size_t len;
  int state, r;

  r = dir_make(d, "a/b", err);
  if (r == 0)
    r = dir_put(d, "a/b/x", "text", 4, false, err);
  if (r == 0)
    r = dir_put(d, "a/b/x", "other", 5, true, err);
  if (r == 0)
    r = dir_get(d, "a/b/x", 100, &text, &len, err);
  if (r == 0)
    r = dir_open_file(d, "a/f", FILE_CREATE | FILE_REPLACE, &f, err);
  if (r == 0)
    r = file_lock(f, FILE_LOCK_EXCLUSIVE, err);
  if (r == 0)
    r = file_write(f, 5, buf, sizeof buf, err);
  if (r == 0)
    r = file_zero(f, 100, 50000, err);
  if (r == 0)
    r = file_allocate(f, 70000, 5000, err);
  if (r == 0)
    r = file_extent(f, 0, 1000, &n, &state, err);
  if (r == 0)
    r = file_truncate(f, 20000, err);
  if (r == 0)
    r = file_flush(f, err);
  if (r == 0)
    r = file_read(f, 10, buf, 100, err);
  if (r == 0)
    r = dir_rename(d, "a/f", "g", false, err);
  if (r == 0)
    r = dir_list(d, "a", count_entry, &entries, err);
  if (r == 0)
    r = dir_sync(d, ".", err);
  if (r == 0)
    r = dir_remove(d, "g", err);
  return r;
}

static int
in_memory(void *opaque, struct vdk_error *err)
{
  _cleanup_dir_ struct vdk_dir *d = NULL;
  int r = dir_memory_new("m", &d, err);

  return r < 0 ? r : use_dir(d, err);
}

static int
on_disk(void *opaque, struct vdk_error *err)
{
  _cleanup_dir_ struct vdk_dir *d = NULL;
  char command[128];
  int r = dir_local_open(opaque, 0, &d, err);

  if (r == 0)
    r = use_dir(d, err);
  alloc_fault_pause();
  snprintf(command, sizeof command, "rm -rf '%s'/*", (char *)opaque);
  if (system(command) != 0)
    abort();
  alloc_fault_resume();
  return r;
}

static int
recorded(void *opaque, struct vdk_error *err)
{
  _cleanup_dir_ struct vdk_dir *d = NULL, *fault = NULL, *crashed = NULL;
  int r = dir_memory_new("m", &d, err);

  if (r == 0)
    r = dir_put(d, "first", "x", 1, false, err);
  if (r == 0)
    r = dir_make(d, "folder/in", err);
  if (r == 0)
    r = dir_fault_new(d, NULL, &fault, err);
  if (r == 0)
    r = dir_fault_record(fault, err);
  if (r == 0)
    r = use_dir(fault, err);
  if (r == 0)
    r = dir_fault_crash(fault, dir_fault_changes(fault), CRASH_KEEP_ALL, 0,
                        &crashed, err);
  return r;
}

static int
other_files(void *opaque, struct vdk_error *err)
{
  _cleanup_file_ struct vdk_file *f = NULL, *g = NULL, *h = NULL;
  _cleanup_free_ char *text = NULL;
  size_t len;
  int r = file_memory_new("m", "12345", 5, &f, err);

  if (r == 0)
    r = file_read_all(f, 100, &text, &len, err);
  if (r == 0)
    r = file_local_open("/proc/self/stat", FILE_READ, &g, err);
  if (r == 0)
    r = file_fd_open(0, "standard input", false, &h, err);
  return r;
}

static void
no_memory(void **state)
{
  char tmp[] = "/tmp/vdk-fault-XXXXXX";
  const struct alloc_scenario scenarios[] = {
      {.name = "memory", .run = in_memory},
      {.name = "local", .run = on_disk, .opaque = tmp},
      {.name = "fault", .run = recorded},
      {.name = "other files", .run = other_files},
  };

  assert_non_null(mkdtemp(tmp));
  for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
    alloc_fault_run(&scenarios[i]);
  assert_int_equal(rmdir(tmp), 0);
}

/* --- dir_put: old or new, never between ----------------------------------- */

static char old_text[3000], new_text[5000];

static int
put_setup(struct vdk_dir *d, void *opaque, struct vdk_error *err)
{
  return dir_put(d, "x", old_text, sizeof old_text, false, err);
}

static int
put_run(struct vdk_dir *d, void *opaque, struct vdk_error *err)
{
  int r = dir_put(d, "x", new_text, sizeof new_text, true, err);

  *(size_t *)opaque = dir_fault_changes(d);
  return r;
}

static void
put_check(struct vdk_dir *d, const struct io_fault_break *b, void *opaque)
{
  struct vdk_error err = VDK_ERROR_INIT;
  _cleanup_free_ char *text = NULL;
  size_t len;

  assert_ok(dir_get(d, "x", 10000, &text, &len, &err));
  if (len == sizeof old_text)
    assert_memory_equal(text, old_text, sizeof old_text);
  else
    assert_int_equal(len, sizeof new_text);
  if (len == sizeof new_text)
    assert_memory_equal(text, new_text, sizeof new_text);
}

static void
put_crash_check(struct vdk_dir *d, const struct io_fault_break *b, void *opaque)
{
  struct vdk_error err = VDK_ERROR_INIT;
  _cleanup_free_ char *text = NULL;
  size_t len;

  put_check(d, b, opaque);
  assert_ok(dir_get(d, "x", 10000, &text, &len, &err));
  if (b->at >= *(size_t *)opaque)
    assert_int_equal(len, sizeof new_text);
}

static void
put_is_all_or_nothing(void **state)
{
  size_t committed = 0;
  struct io_scenario s = {.name = "put",
                          .setup = put_setup,
                          .run = put_run,
                          .check = put_check,
                          .opaque = &committed};

  memset(old_text, 'o', sizeof old_text);
  memset(new_text, 'n', sizeof new_text);
  io_fault_each_call(&s, FAULT_ALL);
  io_fault_disk_full(&s, 99);
  s.check = put_crash_check;
  io_fault_each_crash(&s, 20);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_memory),
      cmocka_unit_test(put_is_all_or_nothing),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
