/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/backup/repo_fixture.h"

void
repofx_new(struct repofx *r)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_store *store;

  memset(r, 0, sizeof *r);
  fx_make_dir(r->dir, sizeof r->dir);
  assert_ok(store_open(r->dir, true, &store, &err));
  assert_ok(repo_create(store, NULL, &err));
  assert_ok(repo_open(store, NULL, &r->repo, &err));
}

void
repofx_reopen(struct repofx *r)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_store *store;

  repo_close(r->repo);
  assert_ok(store_open(r->dir, false, &store, &err));
  assert_ok(repo_open(store, NULL, &r->repo, &err));
}

void
repofx_free(struct repofx *r)
{
  for (unsigned i = 0; i < r->count; i++) {
    repo_point_free(r->points[i]);
    free(r->images[i]);
  }
  repo_close(r->repo);
  fx_remove(r->dir);
}

int
repofx_try(struct repofx *r, struct vmfx *fx,
           const struct backup_options *options, struct backup_result *ret,
           struct vdk_error *err)
{
  _cleanup_(host_closep) struct vdk_host *host = NULL;
  _cleanup_(host_vm_freep) struct host_vm *vm = NULL;
  int rc = host_local_open(fx->vmx, 0, NULL, &host, err);

  if (rc == 0)
    rc = host->ops->open_vm(host, "", &vm, err);
  return rc ? rc : backup_run(host, vm, r->repo, options, ret, err);
}

void
repofx_backup(struct repofx *r, struct vmfx *fx,
              const struct backup_options *options, struct backup_result *ret)
{
  struct vdk_error err = VDK_ERROR_INIT;
  unsigned uid = options ? options->snapshot : 0;

  assert_true(r->count < ARRAY_SIZE(r->points));
  assert_ok(repofx_try(r, fx, options, ret, &err));
  r->images[r->count] = malloc(fx->size);
  assert_non_null(r->images[r->count]);
  memcpy(r->images[r->count], uid ? fx->snapshots[uid].image : fx->live,
         fx->size);
  assert_int_equal(
      repo_find(r->repo, ret->point->id, &r->points[r->count], &err), 0);
  r->count++;
}

void
repofx_check(struct repofx *r, size_t size)
{
  struct vdk_error err = VDK_ERROR_INIT;

  for (unsigned i = 0; i < r->count; i++) {
    _cleanup_disk_ struct vdk_disk *disk = NULL;
    struct vdk_link *link;

    assert_ok(repo_disk_open(r->repo, r->points[i], &r->points[i]->disks[0],
                             &link, &err));
    assert_ok(disk_from_link(link, NULL, &disk, &err));
    vmfx_check(disk, r->images[i], size);
  }
}

size_t
repofx_points(struct repofx *r)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct repo_point **points;
  size_t count, damaged;

  assert_ok(repo_list(r->repo, &points, &count, &damaged, &err));
  assert_int_equal(damaged, 0);
  repo_list_free(points, count);
  return count;
}
