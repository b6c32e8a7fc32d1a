/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory, I/O, space and power that fail, under repo/ and store/dir.
 *
 * The state before is a repository with one restore point; what is broken is
 * the second, incremental one. Whatever happens, the first is there and reads
 * as it was; the second is there whole or not at all, and for certain once
 * its commit has returned.
 */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "repo/repo.h"
#include "tests/fault/alloc_fault.h"
#include "tests/fault/io_fault.h"

#define CHUNK 65536u
#define SIZE  (5u * CHUNK + 1000)

static uint8_t models[2][SIZE];
static uint64_t committed_at; /* changes recorded when the commit returned */

static void
make_models(void)
{
  uint32_t x = 1;

  for (size_t i = 0; i < SIZE; i++) {
    x = x * 1664525u + 1013904223u;
    models[0][i] = i / CHUNK == 3 ? 0 : (uint8_t)(x >> 24);
  }
  memcpy(models[1], models[0], SIZE);
  memset(models[1] + CHUNK + 100, 0x5a, CHUNK);
  memset(models[1] + 4 * CHUNK, 0, CHUNK);
}

static int
open_repo(struct vdk_dir *dir, struct repo **ret, struct vdk_error *err)
{
  struct vdk_store *store;
  int r = store_dir_new(dir, &store, err);

  return r ? r : repo_open(store, NULL, ret, err);
}

static int
write_disk(struct repo_writer *w, const struct repo_point *parent,
           struct vdk_error *err)
{
  struct repo_disk_options o = {.key = "scsi0:0",
                                .format = "monolithicSparse",
                                .size = SIZE,
                                .inherit = parent ? &parent->disks[0] : NULL};
  struct repo_disk *d;
  int r = repo_disk_begin(w, &o, &d, err);

  if (r == 0 && !parent)
    r = repo_disk_put(d, 0, models[0], SIZE, err);
  if (r == 0 && parent)
    r = repo_disk_put(d, CHUNK + 100, models[1] + CHUNK + 100, CHUNK, err);
  if (r == 0 && parent)
    r = repo_disk_hole(d, 4 * CHUNK, CHUNK, err);
  return r ? r : repo_disk_end(d, err);
}

static int
back_up(struct repo *repo, const struct repo_point *parent,
        struct vdk_error *err)
{
  struct repo_writer_options o = {.vm_uuid =
                                      "564d0000-1111-2222-3333-444455556666",
                                  .vm_name = "one",
                                  .parent = parent};
  struct repo_writer *w;
  int r = repo_writer_open(repo, &o, &w, err);

  if (r)
    return r;
  r = write_disk(w, parent, err);
  if (r == 0)
    r = repo_writer_file(w, "one.vmx", "vmx", "text", 4, err);
  if (r == 0)
    r = repo_writer_commit(w, NULL, err);
  repo_writer_close(w);
  return r;
}

static int
make_first(struct vdk_dir *dir, void *opaque, struct vdk_error *err)
{
  struct repo_create create = {.chunk_size = CHUNK};
  struct vdk_store *store;
  struct repo *repo;
  int r = store_dir_new(dir, &store, err);

  if (r)
    return r;
  r = repo_create(store, &create, err);
  store_close(store);
  if (r == 0)
    r = open_repo(dir, &repo, err);
  if (r)
    return r;
  r = back_up(repo, NULL, err);
  repo_close(repo);
  return r;
}

static int
make_second(struct vdk_dir *dir, void *opaque, struct vdk_error *err)
{
  struct repo_point *parent = NULL;
  struct repo *repo;
  int r = open_repo(dir, &repo, err);

  if (r)
    return r;
  r = repo_find(repo, "latest", &parent, err);
  if (r == 0)
    r = back_up(repo, parent, err);
  repo_point_free(parent);
  repo_close(repo);
  return r;
}

static int
make_second_recorded(struct vdk_dir *dir, void *opaque, struct vdk_error *err)
{
  int r = make_second(dir, opaque, err);

  committed_at = dir_fault_changes(dir);
  return r;
}

/* --- Reading ------------------------------------------------------------- */

static int
read_disk(struct repo *repo, const struct repo_point *p, uint8_t *buf,
          struct vdk_error *err)
{
  struct vdk_link *l;
  uint64_t at = 0;
  int r = repo_disk_open(repo, p, &p->disks[0], &l, err);

  if (r)
    return r;
  while (r == 0 && at < SIZE) {
    size_t got = 0;
    int state;

    r = l->ops->read(l, at, buf + at, SIZE - at, &got, &state, err);
    if (r == 0 && state == VDK_EXTENT_ZERO)
      memset(buf + at, 0, got);
    at += got;
  }
  l->ops->close(l, NULL);
  return r;
}

static int
read_all(struct vdk_dir *dir, void *opaque, struct vdk_error *err)
{
  static uint8_t buf[SIZE];
  struct repo_point **points = NULL;
  struct vdk_extent *ranges = NULL;
  struct repo *repo;
  size_t count = 0, range_count, len;
  char *text = NULL;
  int r = open_repo(dir, &repo, err);

  if (r)
    return r;
  r = repo_list(repo, &points, &count, NULL, err);
  for (size_t i = 0; r == 0 && i < count; i++) {
    r = read_disk(repo, points[i], buf, err);
    if (r == 0)
      assert_memory_equal(buf, models[i], SIZE);
  }
  if (r == 0)
    r = repo_file_read(repo, &points[0]->files[0], &text, &len, err);
  if (r == 0 && count == 2)
    r = repo_diff(repo, &points[0]->disks[0], &points[1]->disks[0], &ranges,
                  &range_count, err);
  free(ranges);
  free(text);
  repo_list_free(points, count);
  repo_close(repo);
  return r;
}

/* --- Checks -------------------------------------------------------------- */

static void
see(void *opaque, const char *object, const char *text)
{
  print_message("%s: %s\n", object, text);
}

static size_t
points_in(struct vdk_dir *dir, bool verify)
{
  static uint8_t buf[SIZE];
  struct vdk_error err = VDK_ERROR_INIT;
  struct repo_point **points;
  size_t count, damaged;
  struct repo *repo;

  assert_ok(open_repo(dir, &repo, &err));
  assert_ok(repo_list(repo, &points, &count, &damaged, &err));
  assert_int_equal(damaged, 0);
  assert_in_range(count, 1, 2);
  for (size_t i = 0; i < count; i++) {
    assert_ok(read_disk(repo, points[i], buf, &err));
    assert_memory_equal(buf, models[i], SIZE);
  }
  if (verify)
    assert_ok(repo_verify(repo, REPO_VERIFY_DEEP, NULL, see, NULL, NULL, &err));
  repo_list_free(points, count);
  repo_close(repo);
  return count;
}

static void
check_points(struct vdk_dir *dir, const struct io_fault_break *b, void *opaque)
{
  points_in(dir, false);
}

static void
check_crash(struct vdk_dir *dir, const struct io_fault_break *b, void *opaque)
{
  size_t count = points_in(dir, true);

  if (b->at >= committed_at)
    assert_int_equal(count, 2);
}

/* --- The tests ----------------------------------------------------------- */

struct in_memory {
  bool second;
};

static int
whole_life(void *opaque, struct vdk_error *err)
{
  struct vdk_dir *dir = NULL;
  int r;

  alloc_fault_pause();
  r = dir_memory_new("/m", &dir, NULL);
  assert_int_equal(r, 0);
  alloc_fault_resume();
  r = make_first(dir, NULL, err);
  if (r == 0)
    r = make_second(dir, NULL, err);
  if (r == 0)
    r = read_all(dir, NULL, err);
  dir_unref(dir);
  return r;
}

static int
verified(void *opaque, struct vdk_error *err)
{
  struct repo *repo;
  int r = open_repo(opaque, &repo, err);

  if (r)
    return r;
  r = repo_verify(repo, REPO_VERIFY_DEEP, NULL, NULL, NULL, NULL, err);
  repo_close(repo);
  return r;
}

static void
without_memory(void **state)
{
  struct alloc_scenario s = {"a repository's life", whole_life, NULL, true};

  alloc_fault_run(&s);
}

static void
without_memory_verifying(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_dir *dir;
  struct alloc_scenario s = {"verify", verified, NULL, true};

  assert_ok(dir_memory_new("/m", &dir, &err));
  assert_ok(make_first(dir, NULL, &err));
  assert_ok(make_second(dir, NULL, &err));
  s.opaque = dir;
  alloc_fault_run(&s);
  dir_unref(dir);
}

static void
failing_writes(void **state)
{
  struct io_scenario s = {"an incremental backup", make_first, make_second,
                          check_points, NULL};

  io_fault_each_call(&s, FAULT_OPEN | FAULT_WRITE | FAULT_FLUSH | FAULT_NAME);
}

static void
failing_reads(void **state)
{
  struct io_scenario s = {"a restore", make_first, read_all, check_points,
                          NULL};

  io_fault_each_call(&s, FAULT_OPEN | FAULT_READ);
}

static void
a_full_disk(void **state)
{
  struct io_scenario s = {"a backup", make_first, make_second, check_points,
                          NULL};

  io_fault_disk_full(&s, 7001);
}

static void
power_cuts(void **state)
{
  struct io_scenario s = {"a backup", make_first, make_second_recorded,
                          check_crash, NULL};

  io_fault_each_crash(&s, 4);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_memory),
      cmocka_unit_test(without_memory_verifying),
      cmocka_unit_test(failing_writes),
      cmocka_unit_test(failing_reads),
      cmocka_unit_test(a_full_disk),
      cmocka_unit_test(power_cuts),
  };

  make_models();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
