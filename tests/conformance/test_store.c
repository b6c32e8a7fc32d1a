/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every store promises (store/store.h). A new driver is a line in the
 * table of drivers.
 *
 * Usage: test-conformance-store DRIVER
 */
#include "tests/unit/unit.h"

#include <pthread.h>

#include "file/file.h"
#include "store/store.h"

#define RACERS 8

static struct vdk_store *store;
static char tmp[] = "/tmp/vdkit-store-XXXXXX";

static int
open_dir(struct vdk_error *err)
{
  _cleanup_dir_ struct vdk_dir *dir = NULL;
  int r = dir_local_open(tmp, 0, &dir, err);

  return r ? r : store_dir_new(dir, &store, err);
}

static int
open_memory(struct vdk_error *err)
{
  _cleanup_dir_ struct vdk_dir *dir = NULL;
  int r = dir_memory_new("memory", &dir, err);

  return r ? r : store_dir_new(dir, &store, err);
}

static int
open_by_name(struct vdk_error *err)
{
  char path[100];

  snprintf(path, sizeof path, "%s/made", tmp);
  return store_open(path, true, &store, err);
}

static const struct {
  const char *name;
  int (*open)(struct vdk_error *err);
} drivers[] = {
    {"dir", open_dir},
    {"dir-memory", open_memory},
    {"dir-by-name", open_by_name},
};

static int (*open_driver)(struct vdk_error *err);

static int
setup(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;

  strcpy(tmp, "/tmp/vdkit-store-XXXXXX");
  assert_non_null(mkdtemp(tmp));
  assert_ok(open_driver(&err));
  return 0;
}

static int
teardown(void **state)
{
  char command[100];

  store_close(store);
  store = NULL;
  snprintf(command, sizeof command, "rm -rf %s", tmp);
  return system(command);
}

static void
gives_back_what_was_put(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint8_t buf[10];
  uint64_t size;
  char *all;
  size_t len;

  assert_ok(store_put(store, "a/b/c", "0123456789", 10, &err));
  assert_ok(store_put(store, "empty", "", 0, &err));
  assert_ok(store_sync(store, &err));
  assert_ok(store_get(store, "a/b/c", 3, buf, 4, &err));
  assert_memory_equal(buf, "3456", 4);
  assert_ok(store_head(store, "a/b/c", &size, &err));
  assert_int_equal(size, 10);
  assert_ok(store_head(store, "empty", &size, &err));
  assert_int_equal(size, 0);
  assert_ok(store_get_all(store, "a/b/c", 10, &all, &len, &err));
  assert_int_equal(len, 10);
  assert_string_equal(all, "0123456789");
  free(all);
  assert_ok(store_put(store, "a/b/c", "new", 3, &err));
  assert_ok(store_get_all(store, "a/b/c", 10, &all, &len, &err));
  assert_string_equal(all, "new");
  free(all);
}

static void
says_what_is_wrong(void **state)
{
  static const char *const bad[] = {"",  "/a",  "a/",     "a//b", "../a",
                                    "A", "a b", "a/../b", ".a",   "a/.b"};
  struct vdk_error err = VDK_ERROR_INIT;
  uint8_t buf[10];
  uint64_t size;
  size_t len;
  char *all;

  assert_fails(store_get(store, "none", 0, buf, 1, &err), VDK_E_NOT_FOUND);
  assert_fails(store_head(store, "no/ne", &size, &err), VDK_E_NOT_FOUND);
  assert_ok(store_put(store, "k", "12345", 5, &err));
  assert_fails(store_get(store, "k", 3, buf, 4, &err), VDK_E_TRUNCATED);
  assert_fails(store_get(store, "k", 9, buf, 1, &err), VDK_E_TRUNCATED);
  assert_fails(store_get_all(store, "k", 4, &all, &len, &err), VDK_E_TOO_BIG);
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
    assert_false(store_key_is_valid(bad[i]));
    assert_true(store_put(store, bad[i], "x", 1, &err) < 0);
    assert_true(store_get(store, bad[i], 0, buf, 1, &err) < 0);
  }
}

static int
count(void *opaque, const struct store_entry *e)
{
  unsigned *n = opaque;

  assert_true(store_key_is_valid(e->key));
  assert_int_equal(e->size, strlen(e->key));
  ++*n;
  return *n == 100 ? 7 : 0;
}

static void
lists_by_prefix(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  unsigned n = 0;
  char key[40];

  assert_ok(store_list(store, "pack/", count, &n, &err));
  assert_int_equal(n, 0);
  for (int i = 0; i < 30; i++) {
    snprintf(key, sizeof key, "%s/%02d/x", i % 3 ? "pack" : "index", i);
    assert_ok(store_put(store, key, key, strlen(key), &err));
  }
  assert_ok(store_list(store, "pack/", count, &n, &err));
  assert_int_equal(n, 20);
  n = 0;
  assert_ok(store_list(store, "", count, &n, &err));
  assert_int_equal(n, 30);
  n = 99;
  assert_int_equal(store_list(store, "index/", count, &n, &err), 7);
}

static void
removes(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t size;

  assert_ok(store_put(store, "a/b", "x", 1, &err));
  assert_ok(store_remove(store, "a/b", &err));
  assert_fails(store_head(store, "a/b", &size, &err), VDK_E_NOT_FOUND);
  assert_ok(store_remove(store, "a/b", &err));
  assert_ok(store_put(store, "a/b", "x", 1, &err));
}

/* --- Create-only -------------------------------------------------------------
 */

static void *
race(void *arg)
{
  struct vdk_error err = VDK_ERROR_INIT;
  char text[20];
  int *result = arg;

  snprintf(text, sizeof text, "%p", arg);
  *result = store_put_new(store, "vm/point", text, strlen(text), &err);
  return NULL;
}

/* Of many writers one succeeds, and its bytes are what stands there. */
static void
creates_once(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  pthread_t threads[RACERS];
  int results[RACERS], won = -1;
  char expected[20], *all;
  size_t len;

  assert_true(store_caps(store) & STORE_CREATE_ONLY);
  for (int i = 0; i < RACERS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, race, &results[i]), 0);
  for (int i = 0; i < RACERS; i++)
    pthread_join(threads[i], NULL);
  for (int i = 0; i < RACERS; i++) {
    if (results[i] != 0) {
      assert_int_equal(results[i], -VDK_E_EXISTS);
      continue;
    }
    assert_int_equal(won, -1);
    won = i;
  }
  assert_true(won >= 0);
  snprintf(expected, sizeof expected, "%p", (void *)&results[won]);
  assert_ok(store_get_all(store, "vm/point", 100, &all, &len, &err));
  assert_string_equal(all, expected);
  free(all);
  assert_fails(store_put_new(store, "vm/point", "x", 1, &err), VDK_E_EXISTS);
}

int
main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(gives_back_what_was_put, setup, teardown),
      cmocka_unit_test_setup_teardown(says_what_is_wrong, setup, teardown),
      cmocka_unit_test_setup_teardown(lists_by_prefix, setup, teardown),
      cmocka_unit_test_setup_teardown(removes, setup, teardown),
      cmocka_unit_test_setup_teardown(creates_once, setup, teardown),
  };

  for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(drivers); i++)
    if (strcmp(drivers[i].name, argv[1]) == 0)
      open_driver = drivers[i].open;
  if (!open_driver) {
    fprintf(stderr, "usage: test-conformance-store DRIVER\n");
    return 2;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
