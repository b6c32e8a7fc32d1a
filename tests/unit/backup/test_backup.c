/* SPDX-License-Identifier: BSD-3-Clause */
/* Backups: methods, what is read and stored, what goes wrong. */
#include "tests/unit/unit.h"

#include "base/str.h"
#include "tests/unit/backup/repo_fixture.h"

#define DISK_SIZE (8u * 1024 * 1024)

/* A VM and a repository. */
struct pair {
  struct vmfx fx;
  struct repofx r;
};

static void
pair_new(struct pair *p, const char *type)
{
  srand(21);
  vmfx_new(&p->fx, type, DISK_SIZE);
  repofx_new(&p->r);
}

static void
pair_free(struct pair *p)
{
  repofx_check(&p->r, p->fx.size);
  repofx_reopen(&p->r);
  repofx_check(&p->r, p->fx.size);
  repofx_free(&p->r);
  vmfx_free(&p->fx);
}

static void
first_full(void **state)
{
  struct backup_result result;
  const struct repo_point *point;
  struct pair p;

  pair_new(&p, "monolithicSparse");
  vmfx_write(&p.fx, 30);
  vmfx_snapshot(&p.fx);
  fx_write(p.fx.dir, "fixture.nvram", "MRVN nvram");
  repofx_backup(&p.r, &p.fx, NULL, &result);
  point = result.point;
  assert_string_equal(point->vm_uuid, "564d0102-0304-0506-0708-090a0b0c0d0e");
  assert_string_equal(point->vm_name, "fixture");
  assert_string_equal(point->parent, "");
  assert_string_equal(point->source, p.fx.vmx);
  assert_string_equal(point->consistency, "powered-off");
  assert_int_equal(point->disk_count, 1);
  assert_string_equal(point->disks[0].key, "scsi0:0");
  assert_string_equal(point->disks[0].file, "disk-000001.vmdk");
  assert_string_equal(point->disks[0].format, "monolithicSparse");
  assert_int_equal(point->disks[0].size, DISK_SIZE);
  assert_non_null(point->disks[0].change_id);
  assert_int_equal(point->disks[0].method, REPO_FULL);
  assert_int_equal(point->file_count, 3);
  assert_int_equal(result.disk_count, 1);
  assert_string_equal(result.disks[0].key, "scsi0:0");
  assert_int_equal(result.disks[0].method, REPO_FULL);
  assert_true(result.disks[0].read > 0 && result.disks[0].read <= DISK_SIZE);
  assert_true(result.stored > 0);
  assert_false(result.ranges_lost);
  assert_int_equal(result.warnings, 0);
  backup_result_free(&result);
  pair_free(&p);
}

/* With snapshots only what the new links hold is read. */
static void
by_ranges(void **state)
{
  struct backup_result result;
  struct pair p;

  pair_new(&p, "monolithicFlat");
  vmfx_write(&p.fx, 30);
  repofx_backup(&p.r, &p.fx, NULL, &result);
  backup_result_free(&result);
  vmfx_snapshot(&p.fx);
  repofx_backup(&p.r, &p.fx, NULL, &result);
  assert_int_equal(result.disks[0].method, REPO_RANGES);
  assert_int_equal(result.read, 0);
  assert_int_equal(result.disks[0].changed, 0);
  assert_string_equal(result.point->parent, p.r.points[0]->id);
  backup_result_free(&result);
  for (unsigned i = 0; i < 4; i++) {
    vmfx_write(&p.fx, 1);
    vmfx_zero(&p.fx);
    repofx_backup(&p.r, &p.fx, NULL, &result);
    assert_int_equal(result.disks[0].method, REPO_RANGES);
    assert_true(result.disks[0].changed > 0);
    assert_true(result.read < DISK_SIZE);
    backup_result_free(&result);
    if (i % 2)
      vmfx_snapshot(&p.fx);
  }
  pair_free(&p);
}

/* A base that is written: compared as a whole, told, or refused. */
static void
lost(void **state)
{
  struct backup_options fail = {.on_lost = BACKUP_LOST_FAIL};
  struct vdk_error err = VDK_ERROR_INIT;
  struct backup_result result;
  struct pair p;

  pair_new(&p, "monolithicSparse");
  vmfx_write(&p.fx, 30);
  repofx_backup(&p.r, &p.fx, NULL, &result);
  backup_result_free(&result);
  vmfx_write(&p.fx, 1);
  assert_fails(repofx_try(&p.r, &p.fx, &fail, &result, &err),
               VDK_E_LOST_RANGES);
  assert_non_null(strstr(err.text, "scsi0:0"));
  assert_non_null(strstr(err.text, "disk.vmdk"));
  assert_int_equal(repofx_points(&p.r), 1);
  repofx_backup(&p.r, &p.fx, NULL, &result);
  assert_true(result.ranges_lost);
  assert_true(result.point->ranges_lost);
  assert_int_equal(result.disks[0].method, REPO_COMPARE);
  assert_non_null(strstr(result.disks[0].problem, "disk.vmdk"));
  assert_true(result.warnings > 0);
  assert_non_null(result.point->warnings[0]);
  backup_result_free(&result);
  /* asked for, a comparison loses nothing; a full one neither */
  repofx_backup(&p.r, &p.fx, &(struct backup_options){.compare = true},
                &result);
  assert_int_equal(result.disks[0].method, REPO_COMPARE);
  assert_false(result.ranges_lost);
  assert_true(result.disks[0].read > 0);
  assert_int_equal(result.disks[0].changed, 0);
  assert_int_equal(result.disks[0].stored, 0);
  backup_result_free(&result);
  repofx_backup(&p.r, &p.fx, &(struct backup_options){.full = true}, &result);
  assert_int_equal(result.disks[0].method, REPO_FULL);
  assert_false(result.ranges_lost);
  assert_int_equal(result.disks[0].stored, 0);
  backup_result_free(&result);
  pair_free(&p);
}

/* A disk that is added is read as a whole; the other stays with its ranges. */
static void
added_disk(void **state)
{
  struct backup_result result;
  struct pair p;

  pair_new(&p, "monolithicSparse");
  vmfx_write(&p.fx, 10);
  vmfx_snapshot(&p.fx);
  repofx_backup(&p.r, &p.fx, NULL, &result);
  backup_result_free(&result);
  fx_run("cd '%s' && cp disk.vmdk second.vmdk && printf 'scsi0:1.present = "
         "\"TRUE\"\\nscsi0:1.fileName = \"second.vmdk\"\\n' >> fixture.vmx",
         p.fx.dir);
  repofx_backup(&p.r, &p.fx, NULL, &result);
  assert_int_equal(result.disk_count, 2);
  assert_int_equal(result.disks[0].method, REPO_RANGES);
  assert_int_equal(result.disks[1].method, REPO_FULL);
  assert_false(result.ranges_lost);
  backup_result_free(&result);
  pair_free(&p);
}

/* The state at a snapshot, and then at another. */
static void
of_snapshot(void **state)
{
  struct backup_options options = {0};
  struct vdk_error err = VDK_ERROR_INIT;
  struct backup_result result;
  struct pair p;

  pair_new(&p, "monolithicSparse");
  for (unsigned i = 0; i < 3; i++) {
    vmfx_write(&p.fx, 10);
    vmfx_snapshot(&p.fx);
  }
  vmfx_write(&p.fx, 10);
  for (options.snapshot = 1; options.snapshot <= 3; options.snapshot++) {
    repofx_backup(&p.r, &p.fx, &options, &result);
    assert_string_equal(result.point->consistency, "crash");
    assert_int_equal(result.disks[0].method,
                     options.snapshot == 1 ? REPO_FULL : REPO_RANGES);
    backup_result_free(&result);
  }
  repofx_backup(&p.r, &p.fx, NULL, &result);
  assert_int_equal(result.disks[0].method, REPO_RANGES);
  backup_result_free(&result);
  options.snapshot = 17;
  assert_fails(repofx_try(&p.r, &p.fx, &options, &result, &err),
               VDK_E_NOT_FOUND);
  /* a disk that the snapshot does not know is left out and told */
  fx_run("cd '%s' && cp disk.vmdk second.vmdk && printf 'scsi0:1.present = "
         "\"TRUE\"\\nscsi0:1.fileName = \"second.vmdk\"\\n' >> fixture.vmx",
         p.fx.dir);
  options.snapshot = 2;
  repofx_backup(&p.r, &p.fx, &options, &result);
  assert_int_equal(result.disk_count, 1);
  assert_non_null(strstr(result.point->warnings[0], "scsi0:1"));
  backup_result_free(&result);
  pair_free(&p);
}

static void
unopenable(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct backup_result result;
  struct pair p;

  pair_new(&p, "monolithicFlat");
  vmfx_write(&p.fx, 3);
  fx_run("mv '%s/disk-flat.vmdk' '%s/gone'", p.fx.dir, p.fx.dir);
  assert_true(repofx_try(&p.r, &p.fx, NULL, &result, &err) < 0);
  assert_non_null(strstr(err.text, "disk-flat.vmdk"));
  assert_int_equal(repofx_points(&p.r), 0);
  fx_run("mv '%s/gone' '%s/disk-flat.vmdk'", p.fx.dir, p.fx.dir);
  repofx_backup(&p.r, &p.fx, NULL, &result);
  backup_result_free(&result);
  pair_free(&p);
}

/* --- While it runs ------------------------------------------------------- */

struct watch {
  struct vmfx *fx;
  unsigned calls, stop_at;
  bool touch;
  uint64_t total, last;
};

static int
watch(void *opaque, const struct vdk_progress_info *info)
{
  struct watch *w = opaque;

  assert_true(info->done <= info->total);
  assert_true(info->done >= w->last);
  assert_non_null(info->item);
  w->last = info->done;
  w->total = info->total;
  w->calls++;
  if (w->touch)
    fx_run("touch '%s/disk.vmdk'", w->fx->dir);
  return w->calls == w->stop_at;
}

static void
progress(void **state)
{
  struct pair p;
  struct watch w = {.fx = &p.fx};
  const struct backup_options options = {.progress = {watch, &w}};
  struct backup_result result;

  pair_new(&p, "monolithicSparse");
  vmfx_write(&p.fx, 30);
  repofx_backup(&p.r, &p.fx, &options, &result);
  backup_result_free(&result);
  assert_true(w.calls > 0);
  assert_int_equal(w.total, DISK_SIZE);
  assert_int_equal(w.last, w.total);
  /* nothing to do is told as well */
  vmfx_snapshot(&p.fx);
  w = (struct watch){.fx = &p.fx};
  repofx_backup(&p.r, &p.fx, &options, &result);
  backup_result_free(&result);
  assert_int_equal(w.calls, 1);
  pair_free(&p);
}

/* A cancelled backup leaves no point; what it stored is used by the next. */
static void
cancelled(void **state)
{
  struct pair p;
  struct watch w = {.fx = &p.fx, .stop_at = 1};
  const struct backup_options options = {.progress = {watch, &w}};
  struct vdk_error err = VDK_ERROR_INIT;
  struct backup_result result;

  pair_new(&p, "monolithicSparse");
  vmfx_write(&p.fx, 60);
  assert_fails(repofx_try(&p.r, &p.fx, &options, &result, &err),
               VDK_E_CANCELLED);
  assert_int_equal(repofx_points(&p.r), 0);
  repofx_reopen(&p.r);
  assert_int_equal(repofx_points(&p.r), 0);
  repofx_backup(&p.r, &p.fx, NULL, &result);
  backup_result_free(&result);
  pair_free(&p);
}

/* Something writes the disk while it is read. */
static void
written_meanwhile(void **state)
{
  struct pair p;
  struct watch w = {.fx = &p.fx, .touch = true};
  const struct backup_options options = {.progress = {watch, &w}};
  struct backup_result result;

  pair_new(&p, "monolithicSparse");
  vmfx_write(&p.fx, 30);
  repofx_backup(&p.r, &p.fx, &options, &result);
  assert_int_equal(result.warnings, 1);
  assert_non_null(strstr(result.point->warnings[0], "was written while"));
  backup_result_free(&result);
  pair_free(&p);
}

static void
running(void **state)
{
  struct backup_result result;
  struct pair p;

  pair_new(&p, "monolithicSparse");
  fx_run("mkdir '%s/fixture.vmx.lck'; touch '%s/fixture.vmx.lck/M1.lck'",
         p.fx.dir, p.fx.dir);
  repofx_backup(&p.r, &p.fx, NULL, &result);
  assert_string_equal(result.point->consistency, "none");
  assert_non_null(strstr(result.point->warnings[0], "running"));
  backup_result_free(&result);
  pair_free(&p);
}

/* Bytes that are no UTF-8 anywhere that a manifest takes them. */
static void
odd_bytes(void **state)
{
  struct backup_result result;
  struct pair p;

  pair_new(&p, "monolithicSparse");
  fx_run("cd '%s' && mv disk.vmdk \"$(printf 'd\\374.vmdk')\" && "
         "printf 'N' > \"$(printf 'n\\344.nvram')\" && "
         "printf 'displayName = \"M\\374ller\"\\nnvram = \"n\\344.nvram\"\\n"
         "scsi0:0.fileName = \"d\\374.vmdk\"\\n' >> fixture.vmx",
         p.fx.dir);
  repofx_backup(&p.r, &p.fx, NULL, &result);
  assert_string_equal(result.point->vm_name, "M\xc3\xbcller");
  assert_string_equal(result.point->disks[0].file, "d\xc3\xbc.vmdk");
  backup_result_free(&result);
  pair_free(&p);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(first_full),
      cmocka_unit_test(by_ranges),
      cmocka_unit_test(lost),
      cmocka_unit_test(added_disk),
      cmocka_unit_test(of_snapshot),
      cmocka_unit_test(unopenable),
      cmocka_unit_test(progress),
      cmocka_unit_test(cancelled),
      cmocka_unit_test(written_meanwhile),
      cmocka_unit_test(running),
      cmocka_unit_test(odd_bytes),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
