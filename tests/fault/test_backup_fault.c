/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Backup and restore on storage that fails: call N fails, once or for ever
 * after; the disk is full; the source cannot be read. Nothing half-done may be
 * seen, and the next run works.
 */
#include "tests/unit/unit.h"

#include "backup/internal.h"
#include "base/str.h"
#include "file/fault.h"
#include "tests/unit/host/vm_fixture.h"

#define DISK_SIZE (2u * 1024 * 1024)

/* A repository in memory, behind faults. */
struct rig {
  struct vmfx fx;
  struct vdk_dir *memory, *fault;
  struct vdk_host *host;
  struct host_vm *vm;
};

/* An empty repository. */
static void
rig_clear(struct rig *g)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_store *store;

  dir_unref(g->fault);
  dir_unref(g->memory);
  assert_ok(dir_memory_new("memory", &g->memory, &err));
  assert_ok(dir_fault_new(g->memory, NULL, &g->fault, &err));
  assert_ok(store_dir_new(g->memory, &store, &err));
  assert_ok(repo_create(store, NULL, &err));
  store_close(store);
}

static void
rig_new(struct rig *g)
{
  struct vdk_error err = VDK_ERROR_INIT;

  srand(41);
  memset(g, 0, sizeof *g);
  vmfx_new(&g->fx, "monolithicSparse", DISK_SIZE);
  vmfx_write(&g->fx, 8);
  vmfx_snapshot(&g->fx);
  vmfx_settle();
  rig_clear(g);
  assert_ok(host_local_open(g->fx.vmx, 0, NULL, &g->host, &err));
  assert_ok(g->host->ops->open_vm(g->host, "", &g->vm, &err));
}

static void
rig_free(struct rig *g)
{
  host_vm_free(g->vm);
  host_close(g->host);
  dir_unref(g->fault);
  dir_unref(g->memory);
  vmfx_free(&g->fx);
}

static struct repo *
open_repo(struct vdk_dir *dir)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_store *store;
  struct repo *r;

  assert_ok(store_dir_new(dir, &store, &err));
  assert_ok(repo_open(store, NULL, &r, &err));
  return r;
}

/* One backup through the faults of PLAN. */
static int
back_up(struct rig *g, const struct fault_plan *plan, struct vdk_error *err)
{
  struct backup_result result;
  struct repo *r;
  int rc;

  dir_fault_set(g->fault, NULL);
  r = open_repo(g->fault);
  dir_fault_set(g->fault, plan);
  rc = backup_run(g->host, g->vm, r, NULL, &result, err);
  if (rc == 0)
    backup_result_free(&result);
  repo_close(r);
  return rc;
}

/* Every point reads as the model. Returns how many there are. */
static size_t
check_points(struct rig *g)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct repo *r = open_repo(g->memory);
  struct repo_point **points;
  size_t count, damaged;

  assert_ok(repo_list(r, &points, &count, &damaged, &err));
  assert_int_equal(damaged, 0);
  for (size_t i = 0; i < count; i++) {
    struct vdk_link *link;
    struct vdk_disk *disk;

    assert_ok(repo_disk_open(r, points[i], &points[i]->disks[0], &link, &err));
    assert_ok(disk_from_link(link, NULL, &disk, &err));
    vmfx_check(disk, g->fx.live, DISK_SIZE);
    disk_close(disk, NULL);
  }
  repo_list_free(points, count);
  repo_close(r);
  return count;
}

/* Fails call 1, 2, 3 ... of a kind until a backup meets no fault any more.
 * Each time there is the new point or none, and a run without faults works.
 * (Where making the committed name durable fails, the run fails and the point
 * is there; it is whole.) */
static void
each_call(unsigned ops, bool sticky)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct rig g;
  uint64_t n = 0;
  bool reached;

  rig_new(&g);
  do {
    const struct fault_plan plan = {
        .ops = ops, .fail_at = ++n, .sticky = sticky};
    size_t count;
    bool ok;

    rig_clear(&g);
    ok = back_up(&g, &plan, &err) == 0;
    reached = dir_fault_count(g.fault) >= n;
    assert_true(ok || err.text[0]);
    assert_true(ok || reached);
    count = check_points(&g);
    assert_true(count == ok || (count == 1 && (ops & FAULT_FLUSH)));
    if (back_up(&g, NULL, &err) != 0)
      fail_msg("after fault %llu: %s", (unsigned long long)n, err.text);
    assert_int_equal(check_points(&g), count + 1);
    assert_true(n < 300);
  } while (reached);
  assert_true(n > 2);
  rig_free(&g);
}

static void
writes_fail(void **state)
{
  each_call(FAULT_WRITE, false);
  each_call(FAULT_WRITE, true);
}

static void
names_and_flushes_fail(void **state)
{
  each_call(FAULT_NAME | FAULT_FLUSH, false);
  each_call(FAULT_NAME | FAULT_FLUSH, true);
}

static void
reads_and_opens_fail(void **state)
{
  each_call(FAULT_READ | FAULT_OPEN, false);
}

/* A disk that fills up at any point of the backup. */
static void
disk_full(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  size_t points = 0;
  struct rig g;

  rig_new(&g);
  for (uint64_t space = 1; space < 4 * DISK_SIZE; space = space * 5 / 3 + 1) {
    const struct fault_plan plan = {.space = space};

    if (back_up(&g, &plan, &err) == 0) {
      points++;
    } else {
      assert_int_equal(err.code, VDK_E_NO_SPACE);
      assert_int_equal(err.side, VDK_SIDE_TARGET);
      assert_int_equal(vdk_error_exit_status(&err), 40);
    }
    assert_int_equal(check_points(&g), points);
  }
  assert_true(points > 0);
  assert_ok(back_up(&g, NULL, &err));
  assert_int_equal(check_points(&g), points + 1);
  rig_free(&g);
}

/* --- A source that cannot be read ---------------------------------------- */

struct faulty_host {
  struct vdk_host base;
  struct vdk_dir *dir;   /* of the VM, behind faults */
  struct vdk_dir *plain; /* the same without */
};

/* The local driver's own would take the host for one of its own. */
static int
faulty_read_file(struct vdk_host *h, const struct host_vm *vm,
                 const struct host_file *file, char **ret, size_t *ret_len,
                 struct vdk_error *err)
{
  return dir_get(((struct faulty_host *)h)->plain, file->name, 1 << 20, ret,
                 ret_len, err);
}

static int
faulty_open_disk(struct vdk_host *h, const struct host_vm *vm,
                 const struct host_disk *disk, unsigned snapshot,
                 unsigned flags, struct vdk_disk **ret, struct vdk_error *err)
{
  const struct disk_open_options options = {.flags = flags};

  return disk_open(((struct faulty_host *)h)->dir, disk->file, &options, ret,
                   err);
}

static void
source_fails(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_dir *local, *fault;
  struct faulty_host host;
  struct host_ops ops;
  unsigned failed = 0;
  uint64_t n = 0;
  struct rig g;

  rig_new(&g);
  assert_ok(dir_local_open(g.fx.dir, 0, &local, &err));
  assert_ok(dir_fault_new(local, NULL, &fault, &err));
  ops = *g.host->ops;
  ops.open_disk = faulty_open_disk;
  ops.read_file = faulty_read_file;
  host = (struct faulty_host){.base = *g.host, .dir = fault, .plain = local};
  host.base.ops = &ops;
  do {
    const struct fault_plan plan = {.ops = FAULT_READ | FAULT_OPEN,
                                    .fail_at = ++n};
    struct backup_result result;
    struct repo *r;
    int rc;

    rig_clear(&g);
    r = open_repo(g.memory);
    dir_fault_set(fault, &plan);
    rc = backup_run(&host.base, g.vm, r, &(struct backup_options){.full = true},
                    &result, &err);
    repo_close(r);
    /* A fault while the state is named costs the next run, not this one. */
    assert_int_equal(check_points(&g), rc == 0);
    if (rc == 0) {
      backup_result_free(&result);
      continue;
    }
    failed++;
    assert_int_equal(err.side, VDK_SIDE_SOURCE);
    assert_non_null(strstr(err.text, "disk"));
    assert_true(n < 300);
  } while (dir_fault_count(fault) >= n);
  assert_true(failed > 3);
  dir_unref(fault);
  dir_unref(local);
  rig_free(&g);
}

/* --- Restore ------------------------------------------------------------- */

static int
count_entry(void *opaque, const struct dir_entry *entry)
{
  ++*(unsigned *)opaque;
  return 0;
}

static unsigned
entries(struct vdk_dir *dir, const char *name)
{
  struct vdk_error err = VDK_ERROR_INIT;
  unsigned count = 0;

  assert_ok(dir_list(dir, name, count_entry, &count, &err));
  return count;
}

/* Whatever call fails, the folder is there complete or not at all, and no
 * leftovers are beside it. */
static void
restore_calls_fail(void **state)
{
  static const char *const types[] = {"monolithicSparse", "monolithicFlat",
                                      "streamOptimized", "raw"};
  struct vdk_error err = VDK_ERROR_INIT;
  struct repo_point *point;
  struct repo *r;
  struct rig g;

  rig_new(&g);
  assert_ok(back_up(&g, NULL, &err));
  r = open_repo(g.memory);
  assert_ok(repo_find(r, "latest", &point, &err));
  for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
    const struct restore_options o = {.type = types[t]};
    uint64_t n = 0;
    int rc;

    do {
      const struct fault_plan plan = {.ops = FAULT_WRITE | FAULT_FLUSH |
                                             FAULT_NAME | FAULT_OPEN,
                                      .fail_at = ++n};
      struct restore_result result = {0};
      struct vdk_dir *target, *fault;
      struct vdk_error why = VDK_ERROR_INIT;

      assert_ok(dir_memory_new("target", &target, &err));
      assert_ok(dir_fault_new(target, &plan, &fault, &err));
      rc = restore_in(r, point, fault, "vm", &o, &result, &why);
      if (rc == 0) {
        assert_int_equal(entries(target, "."), 1);
        assert_true(entries(target, "vm") >= 2);
      } else {
        assert_int_equal(why.side, VDK_SIDE_TARGET);
        assert_true(why.text[0]);
        /* All but the last step, which makes the name durable. */
        if (entries(target, ".") > 0 && dir_fault_count(fault) > n)
          fail_msg("%s: left behind after fault %llu: %s", types[t],
                   (unsigned long long)n, why.text);
      }
      restore_result_free(&result);
      if (rc == 0 && dir_fault_count(fault) >= n)
        rc = 1; /* a fault that did not matter */
      dir_unref(fault);
      dir_unref(target);
      assert_true(n < 1000);
    } while (rc != 0);
    assert_true(n > 5);
  }
  repo_point_free(point);
  repo_close(r);
  rig_free(&g);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(writes_fail),
      cmocka_unit_test(names_and_flushes_fail),
      cmocka_unit_test(reads_and_opens_fail),
      cmocka_unit_test(disk_full),
      cmocka_unit_test(source_fails),
      cmocka_unit_test(restore_calls_fail),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
