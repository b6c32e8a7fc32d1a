/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every driver of struct vdk_file and struct vdk_dir must do. Usage:
 * test-conformance-file DRIVER.
 */
#include "tests/unit/unit.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"
#include "tests/conformance/file_drivers.h"

static const struct file_driver *driver;

struct fixture {
  char tmp[64];
  struct vdk_dir *dir;
  struct vdk_error err;
};

static int
set_up(void **state)
{
  struct fixture *f = calloc(1, sizeof *f);

  strcpy(f->tmp, "/tmp/vdk-conformance-XXXXXX");
  if (!mkdtemp(f->tmp))
    return -1;
  *state = f;
  return driver->new_dir(f->tmp, &f->dir, &f->err);
}

static int
tear_down(void **state)
{
  struct fixture *f = *state;
  char command[128];

  dir_unref(f->dir);
  snprintf(command, sizeof command, "rm -rf '%s'", f->tmp);
  if (system(command) != 0)
    return -1;
  free(f);
  return 0;
}

/* In each test: D is the empty directory, err what assert_ok wants. */
#define SCENE                                                                  \
  struct fixture *fixture = *state;                                            \
  struct vdk_dir *d = fixture->dir;                                            \
  struct vdk_error err = VDK_ERROR_INIT

static struct vdk_file *
create(struct vdk_dir *d, const char *name, const char *text)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_file *f = NULL;

  assert_ok(dir_open_file(d, name, FILE_CREATE, &f, &err));
  assert_ok(file_write(f, 0, text, strlen(text), &err));
  return f;
}

static void
assert_content(struct vdk_dir *d, const char *name, const char *text)
{
  struct vdk_error err = VDK_ERROR_INIT;
  _cleanup_free_ char *got = NULL;
  size_t len;

  assert_ok(dir_get(d, name, 1 << 20, &got, &len, &err));
  assert_int_equal(len, strlen(text));
  assert_string_equal(got, text);
}

static void
bytes_come_back(void **state)
{
  SCENE;
  _cleanup_file_ struct vdk_file *f = create(d, "a", "hello");
  char buf[16] = {0};
  uint64_t size;
  size_t got;

  assert_ok(file_size(f, &size, &err));
  assert_int_equal(size, 5);
  assert_ok(file_read(f, 1, buf, 3, &err));
  assert_string_equal(buf, "ell");
  assert_fails(file_read(f, 3, buf, 3, &err), VDK_E_TRUNCATED);
  assert_non_null(strstr(err.text, "offset 5"));
  assert_ok(file_read_upto(f, 3, buf, 16, &got, &err));
  assert_int_equal(got, 2);
  assert_ok(file_read_upto(f, 100, buf, 16, &got, &err));
  assert_int_equal(got, 0);
  assert_ok(file_read(f, 100, buf, 0, &err));
  assert_ok(file_write(f, 100, buf, 0, &err));
  assert_ok(file_size(f, &size, &err));
  assert_int_equal(size, 5);
}

static void
gap_reads_as_zeroes(void **state)
{
  SCENE;
  _cleanup_file_ struct vdk_file *f = create(d, "a", "x");
  char buf[10];

  assert_ok(file_write(f, 100000, "y", 1, &err));
  assert_ok(file_read(f, 0, buf, 10, &err));
  assert_memory_equal(buf, "x\0\0\0\0\0\0\0\0\0", 10);
  assert_ok(file_read(f, 99991, buf, 10, &err));
  assert_memory_equal(buf, "\0\0\0\0\0\0\0\0\0y", 10);
}

static void
huge_sparse_file(void **state)
{
  SCENE;
  const uint64_t tib = (uint64_t)1 << 40;
  _cleanup_file_ struct vdk_file *f = create(d, "a", "");
  uint64_t size, len;
  int ext;
  char c;

  assert_ok(file_truncate(f, 8 * tib, &err));
  assert_ok(file_write(f, 5 * tib, "m", 1, &err));
  assert_ok(file_size(f, &size, &err));
  assert_int_equal(size, 8 * tib);
  assert_ok(file_read(f, 5 * tib, &c, 1, &err));
  assert_int_equal(c, 'm');
  if (!driver->has_holes)
    return;
  assert_ok(file_extent(f, 0, UINT64_MAX, &len, &ext, &err));
  assert_int_equal(ext, VDK_EXTENT_ZERO);
  assert_in_range(len, 5 * tib - 65536, 5 * tib);
  assert_ok(file_extent(f, 5 * tib, 3 * tib, &len, &ext, &err));
  assert_int_equal(ext, VDK_EXTENT_DATA);
  assert_in_range(len, 1, 65536);
  assert_ok(file_extent(f, 6 * tib, 1000, &len, &ext, &err));
  assert_int_equal(ext, VDK_EXTENT_ZERO);
  assert_int_equal(len, 1000);
  assert_ok(file_extent(f, 7 * tib, 3 * tib, &len, &ext, &err));
  assert_int_equal(len, tib);
  assert_fails(file_extent(f, 8 * tib, 1, &len, &ext, &err), VDK_E_RANGE);
}

static void
truncate_forgets(void **state)
{
  SCENE;
  _cleanup_file_ struct vdk_file *f = create(d, "a", "");
  _cleanup_free_ char *buf = malloc(200000);

  memset(buf, 'x', 200000);
  assert_ok(file_write(f, 0, buf, 200000, &err));
  assert_ok(file_truncate(f, 70001, &err));
  assert_fails(file_read(f, 70001, buf, 1, &err), VDK_E_TRUNCATED);
  assert_ok(file_truncate(f, 200000, &err));
  assert_ok(file_read(f, 0, buf, 200000, &err));
  assert_int_equal(buf[70000], 'x');
  assert_true(mem_is_zero(buf + 70001, 200000 - 70001));
}

static void
zero_keeps_size(void **state)
{
  SCENE;
  _cleanup_file_ struct vdk_file *f = create(d, "a", "");
  _cleanup_free_ char *buf = malloc(300000);
  uint64_t size;

  memset(buf, 'x', 300000);
  assert_ok(file_write(f, 0, buf, 300000, &err));
  assert_ok(file_zero(f, 10, 5, &err));
  assert_ok(file_zero(f, 1000, 250000, &err));
  assert_ok(file_zero(f, 299999, 1000000, &err));
  assert_ok(file_zero(f, 5000000, 1, &err));
  assert_ok(file_size(f, &size, &err));
  assert_int_equal(size, 300000);
  assert_ok(file_read(f, 0, buf, 300000, &err));
  for (size_t i = 0; i < 300000; i++) {
    bool zero = (i >= 10 && i < 15) || (i >= 1000 && i < 251000) || i == 299999;

    if (buf[i] != (zero ? 0 : 'x'))
      fail_msg("byte %zu is %d", i, buf[i]);
  }
}

static void
allocate_grows(void **state)
{
  SCENE;
  _cleanup_file_ struct vdk_file *f = create(d, "a", "abc");
  char buf[200];
  uint64_t size;

  assert_ok(file_allocate(f, 1, 199, &err));
  assert_ok(file_size(f, &size, &err));
  assert_int_equal(size, 200);
  assert_ok(file_read(f, 0, buf, 200, &err));
  assert_memory_equal(buf, "abc", 3);
  assert_true(mem_is_zero(buf + 3, 197));
}

static void
extents_cover_the_file(void **state)
{
  SCENE;
  _cleanup_file_ struct vdk_file *f = create(d, "a", "");
  uint64_t at = 0, len;
  int ext;

  for (unsigned i = 0; i < 20; i++)
    assert_ok(file_write(f, i * 300000, "data", 4, &err));
  for (uint64_t size = 19 * 300000 + 4; at < size; at += len) {
    char buf[64];
    size_t got;

    assert_ok(file_extent(f, at, UINT64_MAX, &len, &ext, &err));
    assert_in_range(len, 1, size - at);
    assert_ok(file_read_upto(f, at, buf, MIN(len, sizeof buf), &got, &err));
    if (ext == VDK_EXTENT_ZERO)
      assert_true(mem_is_zero(buf, got));
  }
}

static void
reader_does_not_write(void **state)
{
  SCENE;
  _cleanup_file_ struct vdk_file *f = NULL;

  file_close(create(d, "a", "abc"));
  assert_ok(dir_open_file(d, "a", FILE_READ, &f, &err));
  assert_fails(file_write(f, 0, "x", 1, &err), VDK_E_READ_ONLY);
  assert_fails(file_zero(f, 0, 1, &err), VDK_E_READ_ONLY);
  assert_fails(file_truncate(f, 0, &err), VDK_E_READ_ONLY);
  assert_fails(file_allocate(f, 0, 10, &err), VDK_E_READ_ONLY);
  assert_ok(file_flush(f, &err));
  assert_content(d, "a", "abc");
}

static void
offsets_that_overflow(void **state)
{
  SCENE;
  _cleanup_file_ struct vdk_file *f = create(d, "a", "abc");
  char c = 0;

  assert_fails(file_read(f, UINT64_MAX, &c, 1, &err), VDK_E_TOO_BIG);
  assert_fails(file_write(f, INT64_MAX, &c, 1, &err), VDK_E_TOO_BIG);
  assert_fails(file_zero(f, 1, UINT64_MAX, &err), VDK_E_TOO_BIG);
  assert_fails(file_truncate(f, UINT64_MAX, &err), VDK_E_TOO_BIG);
  assert_fails(file_allocate(f, INT64_MAX, 2, &err), VDK_E_TOO_BIG);
}

static void
create_open_replace(void **state)
{
  SCENE;
  struct vdk_file *f = NULL;

  assert_fails(dir_open_file(d, "a", FILE_WRITE, &f, &err), VDK_E_NOT_FOUND);
  assert_null(f);
  file_close(create(d, "a", "first"));
  assert_fails(dir_open_file(d, "a", FILE_CREATE, &f, &err), VDK_E_EXISTS);
  assert_content(d, "a", "first");
  assert_ok(dir_open_file(d, "a", FILE_WRITE, &f, &err));
  assert_ok(file_write(f, 0, "w", 1, &err));
  file_close(f);
  assert_content(d, "a", "wirst");
  assert_ok(dir_open_file(d, "a", FILE_CREATE | FILE_REPLACE, &f, &err));
  file_close(f);
  assert_content(d, "a", "");
  assert_ok(dir_open_file(d, "new", FILE_CREATE | FILE_REPLACE, &f, &err));
  file_close(f);
  assert_ok(dir_make(d, "sub", &err));
  assert_fails(dir_open_file(d, "sub", FILE_CREATE, &f, &err), VDK_E_EXISTS);
  assert_fails(dir_open_file(d, "sub", FILE_WRITE, &f, &err), VDK_E_INVAL);
  assert_fails(dir_open_file(d, "no/a", FILE_CREATE, &f, &err),
               VDK_E_NOT_FOUND);
  assert_fails(dir_open_file(d, "a/b", FILE_READ, &f, &err), VDK_E_NOT_FOUND);
}

static void
hints_change_nothing(void **state)
{
  SCENE;
  const size_t size = 3 * 65536 + 100;
  uint8_t *out = mem_buffer(size), *in = mem_buffer(size);
  struct vdk_file *f;

  for (size_t i = 0; i < size; i++)
    out[i] = (uint8_t)(i * 7 + i / 256);
  assert_ok(dir_open_file(d, "a", FILE_CREATE | FILE_DIRECT | FILE_SEQUENTIAL,
                          &f, &err));
  assert_ok(file_write(f, 0, out, 131072, &err));
  assert_ok(file_write(f, 131072, out + 131072, size - 131072, &err));
  assert_ok(file_write(f, 4096, out + 4096, 8192, &err));
  assert_ok(file_write(f, 77, out + 77, 5000, &err));
  assert_ok(file_read(f, 0, in, size, &err));
  assert_memory_equal(in, out, size);
  memset(in, 0, size);
  assert_ok(file_read(f, 4096, in, 8192, &err));
  assert_memory_equal(in, out + 4096, 8192);
  file_close(f);
  free(in);
  free(out);
}

static void
rename_rules(void **state)
{
  SCENE;

  file_close(create(d, "a", "A"));
  file_close(create(d, "b", "B"));
  assert_ok(dir_make(d, "sub", &err));
  assert_fails(dir_rename(d, "a", "b", false, &err), VDK_E_EXISTS);
  assert_content(d, "a", "A");
  assert_content(d, "b", "B");
  assert_ok(dir_rename(d, "a", "b", true, &err));
  assert_content(d, "b", "A");
  assert_fails(dir_rename(d, "a", "c", true, &err), VDK_E_NOT_FOUND);
  assert_ok(dir_rename(d, "b", "sub/c", false, &err));
  assert_content(d, "sub/c", "A");
  assert_ok(dir_rename(d, "sub", "other", false, &err));
  assert_content(d, "other/c", "A");
  assert_fails(dir_rename(d, "other/c", "none/c", false, &err),
               VDK_E_NOT_FOUND);
  assert_ok(dir_sync(d, ".", &err));
  assert_ok(dir_sync(d, "other", &err));
  assert_fails(dir_sync(d, "sub", &err), VDK_E_NOT_FOUND);
}

static void
open_file_outlives_its_name(void **state)
{
  SCENE;
  _cleanup_file_ struct vdk_file *f = create(d, "a", "abc");
  char c;

  assert_ok(dir_remove(d, "a", &err));
  assert_ok(file_read(f, 1, &c, 1, &err));
  assert_int_equal(c, 'b');
  file_close(create(d, "a", "new"));
  assert_ok(file_read(f, 1, &c, 1, &err));
  assert_int_equal(c, 'b');
}

static void
remove_rules(void **state)
{
  SCENE;

  assert_ok(dir_make(d, "x/y/z", &err));
  assert_ok(dir_make(d, "x/y", &err));
  file_close(create(d, "x/y/f", "f"));
  assert_true(dir_remove(d, "x/y", &err) < 0);
  assert_content(d, "x/y/f", "f");
  assert_ok(dir_remove(d, "x/y/f", &err));
  assert_ok(dir_remove(d, "x/y/z", &err));
  assert_ok(dir_remove(d, "x/y", &err));
  assert_fails(dir_remove(d, "x/y", &err), VDK_E_NOT_FOUND);
  file_close(create(d, "f", "f"));
  assert_fails(dir_make(d, "f", &err), VDK_E_EXISTS);
  assert_fails(dir_make(d, "f/g", &err), VDK_E_EXISTS);
}

static int
note_entry(void *opaque, const struct dir_entry *entry)
{
  char *text = opaque, part[64];

  snprintf(part, sizeof part, "%s%s=%d;", entry->is_dir ? "/" : "", entry->name,
           (int)entry->size);
  strcat(text, part);
  return strcmp(entry->name, "stop") == 0 ? 42 : 0;
}

static void
list_shows_entries(void **state)
{
  SCENE;
  char text[512] = "";

  file_close(create(d, "a", "1"));
  file_close(create(d, "a-b", "12"));
  assert_ok(dir_make(d, "s/t", &err));
  file_close(create(d, "s/deep", "123"));
  file_close(create(d, "s-x", ""));
  assert_ok(dir_list(d, ".", note_entry, text, &err));
  assert_int_equal(strlen(text), strlen("a=1;a-b=2;/s=0;s-x=0;"));
  assert_non_null(strstr(text, "a=1;"));
  assert_non_null(strstr(text, "a-b=2;"));
  assert_non_null(strstr(text, "/s=0;"));
  assert_non_null(strstr(text, "s-x=0;"));
  text[0] = 0;
  assert_ok(dir_list(d, "./s/", note_entry, text, &err));
  assert_int_equal(strlen(text), strlen("deep=3;/t=0;"));
  text[0] = 0;
  assert_ok(dir_list(d, "s/t", note_entry, text, &err));
  assert_string_equal(text, "");
  file_close(create(d, "s/t/stop", ""));
  assert_int_equal(dir_list(d, "s/t", note_entry, text, &err), 42);
  assert_fails(dir_list(d, "none", note_entry, text, &err), VDK_E_NOT_FOUND);
  assert_fails(dir_list(d, "a", note_entry, text, &err), VDK_E_NOT_FOUND);
}

static void
names_that_lead_out(void **state)
{
  SCENE;
  static const char *const bad[] = {"/etc/passwd", "..", "../x", "a/../../x",
                                    "a/.."};
  struct vdk_file *f = NULL;

  if (d->flags & DIR_ALLOW_OUTSIDE)
    return;
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
    assert_fails(dir_open_file(d, bad[i], 0, &f, &err), VDK_E_UNSAFE_PATH);
    assert_fails(dir_open_file(d, bad[i], FILE_CREATE, &f, &err),
                 VDK_E_UNSAFE_PATH);
    assert_fails(dir_rename(d, bad[i], "x", true, &err), VDK_E_UNSAFE_PATH);
    assert_fails(dir_rename(d, "x", bad[i], true, &err), VDK_E_UNSAFE_PATH);
    assert_fails(dir_remove(d, bad[i], &err), VDK_E_UNSAFE_PATH);
    assert_fails(dir_make(d, bad[i], &err), VDK_E_UNSAFE_PATH);
    assert_fails(dir_list(d, bad[i], note_entry, NULL, &err),
                 VDK_E_UNSAFE_PATH);
    assert_fails(dir_sync(d, bad[i], &err), VDK_E_UNSAFE_PATH);
  }
  assert_fails(dir_open_file(d, "", 0, &f, &err), VDK_E_INVAL);
}

static void
put_and_get(void **state)
{
  SCENE;
  _cleanup_free_ char *got = NULL;
  char listing[512] = "";
  size_t len;

  assert_ok(dir_make(d, "s", &err));
  assert_ok(dir_put(d, "s/o", "one", 3, false, &err));
  assert_fails(dir_put(d, "s/o", "two", 3, false, &err), VDK_E_EXISTS);
  assert_content(d, "s/o", "one");
  assert_ok(dir_put(d, "s/o", "three", 5, true, &err));
  assert_content(d, "s/o", "three");
  assert_ok(dir_put(d, "empty", NULL, 0, false, &err));
  assert_content(d, "empty", "");
  assert_fails(dir_get(d, "s/o", 4, &got, &len, &err), VDK_E_TOO_BIG);
  assert_ok(dir_get(d, "s/o", 5, &got, &len, &err));
  assert_int_equal(len, 5);
  assert_fails(dir_get(d, "none", 4, &got, &len, &err), VDK_E_NOT_FOUND);
  assert_fails(dir_put(d, "none/o", "x", 1, true, &err), VDK_E_NOT_FOUND);
  /* No temporary file stays. */
  assert_ok(dir_list(d, "s", note_entry, listing, &err));
  assert_string_equal(listing, "o=5;");
}

static void
locks_exclude(void **state)
{
  SCENE;
  _cleanup_file_ struct vdk_file *a = create(d, "a", "A"), *b = NULL;

  assert_ok(dir_open_file(d, "a", FILE_READ, &b, &err));
  assert_ok(file_lock(a, FILE_LOCK_SHARED, &err));
  assert_ok(file_lock(b, FILE_LOCK_SHARED, &err));
  assert_fails(file_lock(a, FILE_LOCK_EXCLUSIVE, &err), VDK_E_LOCKED);
  assert_ok(file_lock(a, FILE_UNLOCK, &err));
  assert_ok(file_lock(b, FILE_UNLOCK, &err));
  assert_ok(file_lock(a, FILE_LOCK_EXCLUSIVE, &err));
  assert_ok(file_lock(a, FILE_LOCK_EXCLUSIVE, &err));
  assert_fails(file_lock(b, FILE_LOCK_SHARED, &err), VDK_E_LOCKED);
  assert_fails(file_lock(b, FILE_LOCK_EXCLUSIVE, &err), VDK_E_LOCKED);
  assert_ok(file_lock(a, FILE_LOCK_SHARED, &err));
  assert_ok(file_lock(b, FILE_LOCK_SHARED, &err));
  file_close(TAKE_PTR(a));
  assert_ok(file_lock(b, FILE_LOCK_EXCLUSIVE, &err));
}

/* Thousands of random changes against a plain array. */
static void
random_changes(void **state)
{
  enum { SIZE = 400000, STEPS = 3000 };
  SCENE;
  _cleanup_file_ struct vdk_file *f = create(d, "a", "");
  _cleanup_free_ uint8_t *model = calloc(1, SIZE), *buf = malloc(SIZE);
  unsigned seed = (unsigned)(uintptr_t)f ^ (unsigned)getpid();
  uint64_t size = 0, now;

  print_message("seed %u\n", seed);
  for (unsigned i = 0; i < STEPS; i++) {
    uint64_t offset = (uint64_t)rand_r(&seed) % SIZE;
    size_t len = (size_t)rand_r(&seed) %
                 MIN(rand_r(&seed) % 10 ? 3000u : SIZE, SIZE - (size_t)offset);

    switch (rand_r(&seed) % 8) {
    case 0:
      assert_ok(file_zero(f, offset, len, &err));
      if (offset < size)
        memset(model + offset, 0, MIN(len, size - offset));
      break;
    case 1:
      if (rand_r(&seed) % 4)
        break;
      assert_ok(file_truncate(f, offset, &err));
      if (offset < size)
        memset(model + offset, 0, size - offset);
      size = offset;
      break;
    case 2:
      assert_ok(file_allocate(f, offset, len, &err));
      size = len ? MAX(size, offset + len) : size;
      break;
    case 3:
    case 4:
      now = 0;
      assert_ok(file_read_upto(f, offset, buf, len, (size_t *)&now, &err));
      assert_int_equal(now, offset >= size ? 0 : MIN(len, size - offset));
      assert_memory_equal(buf, model + offset, now);
      break;
    default:
      memset(model + offset, (int)i, len);
      assert_ok(file_write(f, offset, model + offset, len, &err));
      size = len ? MAX(size, offset + len) : size;
      break;
    }
  }
  assert_ok(file_size(f, &now, &err));
  assert_int_equal(now, size);
  assert_ok(file_read(f, 0, buf, size, &err));
  assert_memory_equal(buf, model, size);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      TEST(bytes_come_back),
      TEST(gap_reads_as_zeroes),
      TEST(huge_sparse_file),
      TEST(truncate_forgets),
      TEST(zero_keeps_size),
      TEST(allocate_grows),
      TEST(extents_cover_the_file),
      TEST(reader_does_not_write),
      TEST(offsets_that_overflow),
      TEST(create_open_replace),
      TEST(hints_change_nothing),
      TEST(rename_rules),
      TEST(open_file_outlives_its_name),
      TEST(remove_rules),
      TEST(list_shows_entries),
      TEST(names_that_lead_out),
      TEST(put_and_get),
      TEST(locks_exclude),
      TEST(random_changes),
  };

  for (unsigned i = 0; argc == 2 && i < file_driver_count; i++)
    if (strcmp(file_drivers[i].name, argv[1]) == 0)
      driver = &file_drivers[i];
  if (!driver)
    return 2;
  return cmocka_run_group_tests_name(driver->name, tests, NULL, NULL);
}
