/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole VMs into a repository and out of it: options and results of the
 * backup engine, translated. */
#include "backup/backup.h"
#include "base/error.h"
#include "base/mem.h"
#include "host/host.h"
#include "surface/vdkit/surface.h"

/* --- Backup --------------------------------------------------------------- */

struct backup_box {
  struct vdk_backup_result result; /* first */
  struct backup_result inner;
  struct vdk_backup_disk *disks;
  const struct vdk_backup_disk **disk_list;
};

static void
backup_box_free(struct backup_box *b)
{
  if (!b)
    return;
  vdk_point_free(b->result.point);
  backup_result_free(&b->inner);
  free(b->disks);
  free(b->disk_list);
  free(b);
}
DEFINE_CLEANUP(struct backup_box, backup_box_free);

void
vdk_backup_result_free(const struct vdk_backup_result *result)
{
  backup_box_free((struct backup_box *)result);
}

/* The public view of what B's inner result holds. */
static int
backup_box_fill(struct backup_box *b, struct vdk_error *err)
{
  struct backup_result *r = &b->inner;

  b->disks = mem_array(r->disk_count + 1, sizeof *b->disks);
  b->disk_list = mem_array(r->disk_count + 1, sizeof *b->disk_list);
  if (!b->disks || !b->disk_list)
    return error_nomem(err, "reporting a backup");
  for (size_t i = 0; i < r->disk_count; i++) {
    const struct backup_disk_result *d = &r->disks[i];

    b->disk_list[i] = &b->disks[i];
    b->disks[i] = (struct vdk_backup_disk){
        .key = d->key,
        .method = d->method,
        .capacity = d->size,
        .read = d->read,
        .changed = d->changed,
        .stored = d->stored,
        .problem = d->problem,
    };
  }
  b->result.disks = b->disk_list;
  b->result.disk_count = r->disk_count;
  b->result.read = r->read;
  b->result.stored = r->stored;
  b->result.seconds = r->seconds;
  b->result.warnings = r->warnings;
  b->result.ranges_lost = r->ranges_lost;
  return point_box(TAKE_PTR(r->point), &b->result.point, err);
}

static int
backup_run_boxed(const char *vm_path, struct vdk_repo *repo,
                 const struct vdk_backup_options *o, struct backup_box *box,
                 struct vdk_error *err)
{
  _cleanup_(host_closep) struct vdk_host *host = NULL;
  _cleanup_(host_vm_freep) struct host_vm *vm = NULL;
  struct backup_options options = {
      .full = o->full != 0,
      .compare = o->compare != 0,
      .on_lost =
          o->on_lost == VDK_LOST_FAIL ? BACKUP_LOST_FAIL : BACKUP_LOST_COMPARE,
      .level = o->level,
      .snapshot = o->snapshot,
      .progress = o->progress,
      .log = o->log,
  };
  int rc;

  rc = vm_find(vm_path, o->flags, o->log, &host, &vm, err);
  if (rc < 0)
    return handle_side(rc, VDK_SIDE_SOURCE, err);
  return backup_run(host, vm, repo->repo, &options, &box->inner, err);
}

int
vdk_backup(const char *vm, struct vdk_repo *repo,
           const struct vdk_backup_options *options,
           const struct vdk_backup_result **ret, struct vdk_error *err)
{
  struct vdk_backup_options o = VDK_BACKUP_OPTIONS_INIT;
  _cleanup_(backup_box_freep) struct backup_box *box = NULL;
  int rc;

  if (!vm || !repo)
    return options_null(vm ? "the repository" : "the path of the VM", err);
  rc = OPTIONS_LOAD(&o, options, log, "vdk_backup_options", err);
  if (rc < 0)
    return rc;
  if (o.on_lost != VDK_LOST_COMPARE && o.on_lost != VDK_LOST_FAIL)
    return error_set(err, VDK_E_INVAL, "on_lost cannot be %d", o.on_lost);
  if (o.full && o.compare)
    return error_set(err, VDK_E_INVAL,
                     "a backup is either full or found by comparing, not both");
  box = calloc(1, sizeof *box);
  if (!box)
    return error_nomem(err, "starting a backup");
  rc = backup_run_boxed(vm, repo, &o, box, err);
  if (rc < 0 || !ret)
    return rc;
  rc = backup_box_fill(box, err);
  if (rc < 0)
    return rc;
  *ret = &TAKE_PTR(box)->result;
  return 0;
}

/* --- Restore -------------------------------------------------------------- */

struct restore_box {
  struct vdk_restore_result result; /* first */
  struct restore_result inner;
};

void
vdk_restore_result_free(const struct vdk_restore_result *result)
{
  struct restore_box *box = (struct restore_box *)result;

  if (!box)
    return;
  restore_result_free(&box->inner);
  free(box);
}

static int
restore_run_boxed(struct vdk_repo *repo, const char *which,
                  const char *target_dir, const struct vdk_restore_options *o,
                  struct restore_box *box, struct vdk_error *err)
{
  _cleanup_point_ struct repo_point *point = NULL;
  struct restore_options options = {
      .type = o->type,
      .name = o->name,
      .disk = o->disk,
      .progress = o->progress,
      .log = o->log,
  };
  const struct repo_point_disk *disk;
  struct restore_result *r = &box->inner;
  int rc;

  rc = repo_find(repo->repo, which, &point, err);
  if (rc == 0 && o->disk) {
    rc = name_find_disk(point, o->disk, &disk, err);
    if (rc == 0)
      options.disk = disk->key;
  }
  if (rc < 0)
    return rc;
  rc = restore_run(repo->repo, point, target_dir, &options, r, err);
  if (rc < 0)
    return rc;
  box->result = (struct vdk_restore_result){
      .vmx = r->vmx,
      .bytes = r->bytes,
      .written = r->written,
      .seconds = r->seconds,
      .disk_count = r->disk_count,
  };
  return 0;
}

int
vdk_restore(struct vdk_repo *repo, const char *which, const char *target_dir,
            const struct vdk_restore_options *options,
            const struct vdk_restore_result **ret, struct vdk_error *err)
{
  struct vdk_restore_options o = VDK_RESTORE_OPTIONS_INIT;
  struct restore_box *box;
  int rc;

  if (!repo || !which || !target_dir)
    return options_null(!repo    ? "the repository"
                        : !which ? "the name of the restore point"
                                 : "the target folder",
                        err);
  rc = OPTIONS_LOAD(&o, options, log, "vdk_restore_options", err);
  if (rc < 0)
    return rc;
  box = calloc(1, sizeof *box);
  if (!box)
    return error_nomem(err, "starting a restore");
  rc = restore_run_boxed(repo, which, target_dir, &o, box, err);
  if (rc < 0)
    free(box);
  else if (ret)
    *ret = &box->result;
  else
    vdk_restore_result_free(&box->result);
  return rc;
}
