/* SPDX-License-Identifier: BSD-3-Clause */
/* The fault driver must itself be right: what fails, what a crash leaves. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <time.h>

#include "base/mem.h"
#include "file/fault.h"

struct fixture {
  struct vdk_dir *inner, *dir;
};

static int
set_up(void **state)
{
  struct fixture *f = calloc(1, sizeof *f);
  struct vdk_error err;

  *state = f;
  return dir_memory_new("m", &f->inner, &err) ||
         dir_fault_new(f->inner, NULL, &f->dir, &err);
}

static int
tear_down(void **state)
{
  struct fixture *f = *state;

  dir_unref(f->dir);
  dir_unref(f->inner);
  free(f);
  return 0;
}

#define SCENE                                                                  \
  struct fixture *fixture = *state;                                            \
  struct vdk_dir *d = fixture->dir;                                            \
  struct vdk_error err = VDK_ERROR_INIT

static struct vdk_file *
create(struct vdk_dir *d, const char *name)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_file *f = NULL;

  assert_ok(dir_open_file(d, name, FILE_CREATE, &f, &err));
  return f;
}

/* The text of NAME after the crash; "-" when it is not there. */
static const char *
after(struct vdk_dir *fault, size_t cut, enum crash_keep keep, unsigned seed,
      const char *name)
{
  static char text[8192];
  _cleanup_dir_ struct vdk_dir *d = NULL;
  _cleanup_free_ char *got = NULL;
  struct vdk_error err = VDK_ERROR_INIT;
  size_t len;

  assert_ok(dir_fault_crash(fault, cut, keep, seed, &d, &err));
  if (dir_get(d, name, sizeof text - 1, &got, &len, &err) < 0) {
    assert_int_equal(err.code, VDK_E_NOT_FOUND);
    return "-";
  }
  memcpy(text, got, len + 1);
  return text;
}

static void
nth_call_fails(void **state)
{
  SCENE;
  _cleanup_file_ struct vdk_file *f = create(d, "a");
  struct fault_plan plan = {.ops = FAULT_WRITE | FAULT_READ, .fail_at = 2};
  char c;

  dir_fault_set(d, &plan);
  assert_ok(file_write(f, 0, "x", 1, &err));
  assert_ok(file_flush(f, &err));
  assert_fails(file_read(f, 0, &c, 1, &err), VDK_E_IO);
  assert_ok(file_read(f, 0, &c, 1, &err));
  assert_int_equal(dir_fault_count(d), 3);
  plan = (struct fault_plan){
      .ops = FAULT_ALL, .fail_at = 1, .sticky = true, .os_errno = EACCES};
  dir_fault_set(d, &plan);
  assert_fails(file_read(f, 0, &c, 1, &err), VDK_E_ACCESS);
  assert_fails(file_write(f, 0, &c, 1, &err), VDK_E_ACCESS);
  assert_fails(file_zero(f, 0, 1, &err), VDK_E_ACCESS);
  assert_fails(file_truncate(f, 0, &err), VDK_E_ACCESS);
  assert_fails(file_allocate(f, 0, 9, &err), VDK_E_ACCESS);
  assert_fails(file_flush(f, &err), VDK_E_ACCESS);
  assert_fails(file_lock(f, FILE_LOCK_SHARED, &err), VDK_E_ACCESS);
  assert_fails(dir_make(d, "s", &err), VDK_E_ACCESS);
  assert_fails(dir_remove(d, "a", &err), VDK_E_ACCESS);
  assert_fails(dir_rename(d, "a", "b", false, &err), VDK_E_ACCESS);
  assert_fails(dir_sync(d, ".", &err), VDK_E_ACCESS);
  dir_fault_set(d, NULL);
  assert_ok(file_read(f, 0, &c, 1, &err));
  assert_int_equal(c, 'x');
}

static void
pieces_and_space(void **state)
{
  SCENE;
  _cleanup_file_ struct vdk_file *f = create(d, "a");
  struct fault_plan plan = {.ops = FAULT_WRITE, .fail_at = 3, .max_io = 4};
  uint64_t size;

  dir_fault_set(d, &plan);
  assert_fails(file_write(f, 0, "0123456789ab", 12, &err), VDK_E_IO);
  assert_ok(file_size(f, &size, &err));
  assert_int_equal(size, 8);
  plan = (struct fault_plan){.space = 5};
  dir_fault_set(d, &plan);
  assert_fails(file_allocate(f, 8, 6, &err), VDK_E_NO_SPACE);
  assert_ok(file_write(f, 8, "ab", 2, &err));
  assert_fails(file_write(f, 10, "cdefg", 5, &err), VDK_E_NO_SPACE);
  assert_ok(file_size(f, &size, &err));
  assert_int_equal(size, 13);
  assert_fails(file_write(f, 0, "z", 1, &err), VDK_E_NO_SPACE);
}

static void
only_what_was_flushed_is_safe(void **state)
{
  SCENE;
  struct vdk_file *f;
  size_t cut;

  assert_ok(dir_fault_record(d, &err));
  f = create(d, "a");                          /* 1 */
  assert_ok(file_write(f, 0, "one", 3, &err)); /* 2 */
  assert_ok(file_flush(f, &err));              /* 3 */
  assert_int_equal(dir_fault_changes(d), 3);
  /* Flushed, but the name was not. */
  assert_string_equal(after(d, 3, CRASH_KEEP_NONE, 0, "a"), "-");
  assert_ok(dir_sync(d, ".", &err)); /* 4 */
  assert_string_equal(after(d, 4, CRASH_KEEP_NONE, 0, "a"), "one");
  assert_ok(file_write(f, 0, "two", 3, &err)); /* 5 */
  assert_string_equal(after(d, 5, CRASH_KEEP_NONE, 0, "a"), "one");
  assert_string_equal(after(d, 5, CRASH_KEEP_ALL, 0, "a"), "two");
  assert_string_equal(after(d, 4, CRASH_KEEP_ALL, 0, "a"), "one");
  assert_string_equal(after(d, 1, CRASH_KEEP_ALL, 0, "a"), "");
  assert_string_equal(after(d, 0, CRASH_KEEP_ALL, 0, "a"), "-");
  assert_ok(file_flush(f, &err)); /* 6 */
  assert_string_equal(after(d, 6, CRASH_KEEP_NONE, 0, "a"), "two");
  file_close(f);
  /* A flush of another file does not help. */
  f = create(d, "b");
  assert_ok(file_write(f, 0, "B", 1, &err));
  assert_ok(dir_sync(d, ".", &err));
  file_close(f);
  f = create(d, "c");
  assert_ok(file_flush(f, &err));
  file_close(f);
  cut = dir_fault_changes(d);
  assert_string_equal(after(d, cut, CRASH_KEEP_NONE, 0, "b"), "");
  assert_fails(dir_fault_crash(d, cut + 1, 0, 0, &d, &err), VDK_E_INVAL);
}

static void
replace_by_rename(void **state)
{
  SCENE;
  struct vdk_file *f;
  size_t before, cut;

  assert_ok(dir_put(d, "x", "old", 3, false, &err));
  assert_ok(dir_fault_record(d, &err));
  before = dir_fault_changes(d);
  assert_int_equal(before, 0);
  assert_ok(dir_put(d, "x", "new", 3, true, &err));
  cut = dir_fault_changes(d);
  /* dir_put is safe: old or new at every cut, whatever is kept. */
  for (size_t i = 0; i <= cut; i++)
    for (unsigned k = 0; k < 40; k++) {
      enum crash_keep keep = k < CRASH_KEEP_RANDOM ? k : CRASH_KEEP_RANDOM;
      const char *text = after(d, i, keep, k, "x");

      assert_true(strcmp(text, "old") == 0 || strcmp(text, "new") == 0);
      if (i == cut)
        assert_string_equal(text, "new");
    }
  /* A rename without a flush before it is not. */
  f = create(d, "t");
  assert_ok(file_write(f, 0, "unsafe", 6, &err));
  file_close(f);
  assert_ok(dir_rename(d, "t", "x", true, &err));
  assert_ok(dir_sync(d, ".", &err));
  cut = dir_fault_changes(d);
  assert_string_equal(after(d, cut, CRASH_KEEP_NONE, 0, "x"), "");
  assert_string_equal(after(d, cut, CRASH_KEEP_ALL, 0, "x"), "unsafe");
}

static void
directories_are_names_too(void **state)
{
  SCENE;
  struct vdk_file *f;
  size_t cut;

  assert_ok(dir_fault_record(d, &err));
  assert_ok(dir_make(d, "a/b", &err));
  f = create(d, "a/b/f");
  assert_ok(file_write(f, 0, "F", 1, &err));
  assert_ok(file_flush(f, &err));
  assert_ok(dir_sync(d, "a/b", &err));
  cut = dir_fault_changes(d);
  assert_string_equal(after(d, cut, CRASH_KEEP_ALL, 0, "a/b/f"), "F");
  assert_string_equal(after(d, cut, CRASH_KEEP_NONE, 0, "a/b/f"), "-");
  assert_ok(dir_sync(d, "a", &err));
  assert_ok(dir_sync(d, ".", &err));
  cut = dir_fault_changes(d);
  assert_string_equal(after(d, cut, CRASH_KEEP_NONE, 0, "a/b/f"), "F");
  assert_ok(dir_rename(d, "a", "z", false, &err));
  assert_ok(file_write(f, 0, "G", 1, &err));
  assert_ok(file_flush(f, &err));
  cut = dir_fault_changes(d);
  assert_string_equal(after(d, cut, CRASH_KEEP_NONE, 0, "a/b/f"), "G");
  assert_string_equal(after(d, cut, CRASH_KEEP_ALL, 0, "z/b/f"), "G");
  file_close(f);
  assert_ok(dir_remove(d, "z/b/f", &err));
  cut = dir_fault_changes(d);
  assert_string_equal(after(d, cut, CRASH_KEEP_NONE, 0, "a/b/f"), "G");
  assert_string_equal(after(d, cut, CRASH_KEEP_ALL, 0, "z/b/f"), "-");
}

static void
first_state_is_copied(void **state)
{
  SCENE;
  struct vdk_file *f;

  assert_ok(dir_make(d, "s/e", &err));
  assert_ok(dir_put(d, "s/x", "base", 4, false, &err));
  assert_ok(dir_open_file(d, "s/x", FILE_WRITE, &f, &err));
  assert_ok(dir_fault_record(d, &err));
  assert_ok(file_write(f, 0, "BASE", 4, &err));
  assert_ok(file_truncate(f, 2, &err));
  assert_ok(file_zero(f, 0, 1, &err));
  assert_string_equal(after(d, 0, CRASH_KEEP_NONE, 0, "s/x"), "base");
  assert_string_equal(after(d, 1, CRASH_KEEP_ALL, 0, "s/x"), "BASE");
  assert_string_equal(after(d, 2, CRASH_KEEP_ALL, 0, "s/x"), "BA");
  assert_string_equal(after(d, 3, CRASH_KEEP_ALL, 0, "s/x"), "");
  assert_string_equal(after(d, 3, CRASH_KEEP_NONE, 0, "s/x"), "base");
  file_close(f);
  assert_ok(dir_open_file(d, "s/x", FILE_CREATE | FILE_REPLACE, &f, &err));
  file_close(f);
  assert_string_equal(after(d, 4, CRASH_KEEP_ALL, 0, "s/x"), "");
}

static void
torn_between_sectors(void **state)
{
  SCENE;
  _cleanup_dir_ struct vdk_dir *c = NULL;
  char buf[2048], got[2048];
  struct vdk_file *f;
  size_t cut;
  bool seen[5] = {false};

  memset(buf, 'o', sizeof buf);
  assert_ok(dir_put(d, "x", buf, sizeof buf, false, &err));
  assert_ok(dir_fault_record(d, &err));
  assert_ok(dir_open_file(d, "x", FILE_WRITE, &f, &err));
  memset(buf, 'n', sizeof buf);
  assert_ok(file_write(f, 0, buf, sizeof buf, &err));
  file_close(f);
  cut = dir_fault_changes(d);
  assert_ok(dir_fault_crash(d, cut, CRASH_KEEP_TORN, 0, &c, &err));
  assert_ok(dir_open_file(c, "x", FILE_READ, &f, &err));
  assert_ok(file_read(f, 0, got, sizeof got, &err));
  file_close(f);
  assert_int_equal(got[1023], 'n');
  assert_int_equal(got[1024], 'o');
  /* By coin: every boundary comes, and nothing but boundaries. */
  for (unsigned seed = 0; seed < 300; seed++) {
    const char *text = after(d, cut, CRASH_KEEP_RANDOM, seed, "x");
    size_t n = strspn(text, "n");

    assert_int_equal(n % 512, 0);
    assert_int_equal(n + strspn(text + n, "o"), 2048);
    seen[n / 512] = true;
  }
  for (unsigned i = 0; i < 5; i++)
    assert_true(seen[i]);
}

/* Thousands of cuts of a small record must not take long. */
static void
replay_is_fast(void **state)
{
  SCENE;
  static char block[4096];
  struct vdk_file *f = create(d, "a");
  clock_t start;

  assert_ok(file_truncate(f, 64 << 20, &err));
  for (unsigned i = 0; i < 256; i++)
    assert_ok(file_write(f, i * 65536u, block, sizeof block, &err));
  assert_ok(dir_fault_record(d, &err));
  for (unsigned i = 0; i < 200; i++)
    assert_ok(file_write(f, i * 777u, block, sizeof block, &err));
  file_close(f);
  start = clock();
  for (unsigned i = 0; i < 2000; i++) {
    struct vdk_dir *c = NULL;

    assert_ok(dir_fault_crash(d, i % 200, CRASH_KEEP_RANDOM, i, &c, &err));
    dir_unref(c);
  }
  /* Of processor time; a sanitizer may take twenty times as long. */
  assert_true(clock() - start < 20 * CLOCKS_PER_SEC);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(nth_call_fails),        TEST(pieces_and_space),
      TEST(replace_by_rename),     TEST(only_what_was_flushed_is_safe),
      TEST(first_state_is_copied), TEST(directories_are_names_too),
      TEST(torn_between_sectors),  TEST(replay_is_fast),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
