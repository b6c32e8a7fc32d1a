/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random lives of VMs with a backup after every few steps. At the end every
 * restore point holds what the disk held then, byte for byte, whatever was
 * inherited from what; some are restored to folders as well and read by
 * qemu-img.
 *
 *   test-backup-lives [SEED [STEPS]]
 */
#include "tests/unit/unit.h"

#include "base/str.h"
#include "tests/unit/backup/repo_fixture.h"

#define DISK_SIZE (4u * 1024 * 1024)

static unsigned seed = 1, steps = 12;

static void
step(struct vmfx *fx, bool qemu)
{
  switch (rand() % 10) {
  case 0:
  case 1:
    vmfx_snapshot(fx);
    break;
  case 2:
    if (fx->snapshot_count)
      vmfx_revert(fx, 1 + rand() % fx->snapshot_count);
    break;
  case 3:
    vmfx_zero(fx);
    break;
  case 4:
    if (qemu) {
      vmfx_write_qemu(fx, 1 + rand() % 4);
      break;
    }
    /* fall through */
  default:
    vmfx_write(fx, 1 + rand() % 6);
  }
}

/* A backup of any kind, or one that is cancelled. */
static int
cancel_soon(void *opaque, const struct vdk_progress_info *info)
{
  return ++*(unsigned *)opaque == 2;
}

static void
back_up(struct repofx *r, struct vmfx *fx, unsigned *methods)
{
  struct backup_options o = {.full = rand() % 12 == 0,
                             .compare = rand() % 12 == 0};
  struct vdk_error err = VDK_ERROR_INIT;
  struct backup_result result;
  unsigned calls = 0;

  if (rand() % 6 == 0) {
    o.progress = (struct vdk_progress){cancel_soon, &calls};
    if (repofx_try(r, fx, &o, &result, &err) < 0) {
      assert_int_equal(err.code, VDK_E_CANCELLED);
      return;
    }
    repo_point_free(result.point);
    result.point = NULL;
    backup_result_free(&result);
    return;
  }
  if (fx->snapshot_count && rand() % 5 == 0)
    o.snapshot = 1 + rand() % fx->snapshot_count;
  repofx_backup(r, fx, &o, &result);
  methods[result.disks[0].method]++;
  backup_result_free(&result);
}

/* The point as a new VM, whose disk qemu-img turns into raw bytes. */
static void
restore_one(struct repofx *r, unsigned index, size_t size)
{
  static const char *const types[] = {
      NULL, "monolithicFlat", "twoGbMaxExtentSparse", "raw", "streamOptimized"};
  const struct restore_options o = {.type = types[rand() % 5]};
  struct vdk_error err = VDK_ERROR_INIT;
  struct restore_result result;
  char dir[128], target[160];
  uint8_t *have = malloc(size);
  FILE *f;

  fx_make_dir(dir, sizeof dir);
  snprintf(target, sizeof target, "%s/new", dir);
  assert_ok(restore_run(r->repo, r->points[index], target, &o, &result, &err));
  fx_run("cd '%s' && qemu-img convert -O raw fixture.%s ../out", target,
         o.type && strcmp(o.type, "raw") == 0 ? "raw" : "vmdk");
  snprintf(target, sizeof target, "%s/out", dir);
  f = fopen(target, "r");
  assert_non_null(f);
  assert_int_equal(fread(have, 1, size, f), size);
  fclose(f);
  assert_memory_equal(have, r->images[index], size);
  free(have);
  restore_result_free(&result);
  fx_remove(dir);
}

static void
life(const char *type)
{
  unsigned methods[3] = {0};
  bool qemu = fx_has("qemu-io");
  struct repofx r;
  struct vmfx fx;

  print_message("# seed %u\n", seed);
  srand(seed++);
  vmfx_new(&fx, type, DISK_SIZE);
  repofx_new(&r);
  vmfx_write(&fx, 8);
  for (unsigned i = 0; i < steps; i++) {
    if (fx.snapshot_count < VMFX_SNAPSHOTS_MAX)
      step(&fx, qemu);
    if (rand() % 3)
      back_up(&r, &fx, methods);
    if (rand() % 8 == 0)
      repofx_reopen(&r);
  }
  assert_true(methods[REPO_RANGES] > 0 && methods[REPO_FULL] > 0);
  repofx_check(&r, fx.size);
  repofx_reopen(&r);
  repofx_check(&r, fx.size);
  for (unsigned i = 0; qemu && i < 3; i++)
    restore_one(&r, rand() % r.count, fx.size);
  repofx_free(&r);
  vmfx_free(&fx);
}

static void
lives(void **state)
{
  life("monolithicSparse");
  life("monolithicFlat");
  life("twoGbMaxExtentSparse");
  life("vmfs");
}

int
main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lives),
  };

  if (argc > 1)
    seed = atoi(argv[1]);
  if (argc > 2)
    steps = atoi(argv[2]);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
