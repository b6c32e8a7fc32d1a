/* SPDX-License-Identifier: BSD-3-Clause */
/* Out of memory while VMs are found, named, backed up and restored. */
#include "tests/unit/unit.h"

#include "backup/internal.h"
#include "base/str.h"
#include "host/host_free.h"
#include "host/local/local.h"
#include "tests/fault/alloc_fault.h"
#include "tests/unit/host/vm_fixture.h"

#define DISK_SIZE (1u << 20)

static struct vmfx fx;

/* --- Texts --------------------------------------------------------------- */

static int
use_texts(void *opaque, struct vdk_error *err)
{
  static const char text[] =
      "displayName = \"v\"\nscsi0:0.present = TRUE\nscsi0:0.fileName = a\n"
      "sata0:1.present = TRUE\nsata0:1.fileName = b\n"
      "snapshot0.uid = 2\nsnapshot0.disk0.fileName = x\n"
      "snapshot0.disk0.node = scsi0:0\nsnapshot0.disk1.fileName = y\n"
      "snapshot0.disk1.node = sata0:1\nsnapshot3.uid = 1\n"
      "snapshot3.displayName = \"\xe4\"\nsnapshot4.uid = 1\n";
  _cleanup_dict_ struct vmx_dict *d = NULL;
  _cleanup_free_ char *printed = NULL;
  struct host_snapshot *snapshots;
  struct host_disk *disks;
  size_t count, len;
  int r = vmx_dict_parse(text, sizeof text - 1, "t", &d, err);

  if (r == 0 && (r = vmx_disks_find(d, &disks, &count, err)) == 0)
    host_disks_free(disks, count);
  if (r == 0 && (r = vmsd_read(d, "t", NULL, &snapshots, &count, err)) == 0)
    host_snapshots_free(snapshots, count);
  if (r == 0)
    r = vmx_dict_set(d, "scsi0:0.filename", "other", err);
  if (r == 0)
    r = vmx_dict_set(d, "new", "x\"y", err);
  if (r == 0)
    r = vmx_dict_print(d, &printed, &len, err);
  return r;
}

static void
texts(void **state)
{
  alloc_fault_run(&(struct alloc_scenario){.name = "texts", .run = use_texts});
}

/* --- A VM and the changes of its disk ------------------------------------ */

static int
free_vm(void *opaque, struct host_vm *vm)
{
  host_vm_free(vm);
  return 0;
}

static int
use_disk(struct vdk_host *h, struct host_vm *vm, struct vdk_disk *disk,
         struct vdk_error *err)
{
  _cleanup_free_ struct vdk_extent *ranges = NULL;
  _cleanup_free_ char *id = NULL;
  size_t count;
  int r = h->ops->change_id(h, vm, &vm->disks[0], disk, &id, err);

  if (r == 0)
    r = h->ops->changed(h, vm, &vm->disks[0], disk, id, &ranges, &count, err);
  return r;
}

static int
use_host(void *opaque, struct vdk_error *err)
{
  _cleanup_(host_closep) struct vdk_host *h = NULL;
  _cleanup_(host_vm_freep) struct host_vm *vm = NULL;
  _cleanup_disk_ struct vdk_disk *disk = NULL;
  _cleanup_free_ char *text = NULL;
  size_t len;
  int r = host_local_open(fx.dir, 0, NULL, &h, err);

  if (r == 0)
    r = h->ops->list(h, free_vm, NULL, err);
  if (r == 0)
    r = h->ops->open_vm(h, "fixture", &vm, err);
  if (r == 0)
    r = h->ops->read_file(h, vm, &vm->files[0], &text, &len, err);
  if (r == 0)
    r = h->ops->open_disk(h, vm, &vm->disks[0], 0, 0, &disk, err);
  return r == 0 ? use_disk(h, vm, disk, err) : r;
}

/* Some failures only cost knowledge: whether a lock is there, or what a link
 * is called without its symbolic links. */
static void
host(void **state)
{
  alloc_fault_run(&(struct alloc_scenario){
      .name = "host", .run = use_host, .may_succeed = 1});
}

/* --- Backup and restore -------------------------------------------------- */

static int
make_repo(struct vdk_dir **ret_dir, struct repo **ret, struct vdk_error *err)
{
  struct vdk_store *store;
  int r = dir_memory_new("memory", ret_dir, err);

  if (r == 0)
    r = store_dir_new(*ret_dir, &store, err);
  if (r < 0)
    return r;
  r = repo_create(store, NULL, err);
  if (r < 0) {
    store_close(store);
    return r;
  }
  return repo_open(store, NULL, ret, err);
}

static int
use_backup(void *opaque, struct vdk_error *err)
{
  _cleanup_dir_ struct vdk_dir *dir = NULL, *target = NULL;
  _cleanup_repo_ struct repo *repo = NULL;
  _cleanup_(host_closep) struct vdk_host *h = NULL;
  _cleanup_(host_vm_freep) struct host_vm *vm = NULL;
  _cleanup_(backup_result_free) struct backup_result first = {0}, second = {0};
  _cleanup_(restore_result_free) struct restore_result restored = {0};
  int r = make_repo(&dir, &repo, err);

  if (r == 0)
    r = host_local_open(fx.vmx, 0, NULL, &h, err);
  if (r == 0)
    r = h->ops->open_vm(h, "", &vm, err);
  if (r == 0)
    r = backup_run(h, vm, repo, NULL, &first, err);
  if (r == 0)
    r = backup_run(h, vm, repo, NULL, &second, err);
  if (r == 0)
    r = dir_memory_new("target", &target, err);
  if (r == 0)
    r = restore_in(repo, second.point, target, "vm", NULL, &restored, err);
  return r;
}

static void
backup(void **state)
{
  alloc_fault_run(&(struct alloc_scenario){
      .name = "backup", .run = use_backup, .may_succeed = 1});
}

static int
setup(void **state)
{
  srand(51);
  vmfx_new(&fx, "monolithicSparse", DISK_SIZE);
  vmfx_write(&fx, 4);
  vmfx_snapshot(&fx);
  vmfx_write(&fx, 2);
  vmfx_settle();
  return 0;
}

static int
teardown(void **state)
{
  vmfx_free(&fx);
  return 0;
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts),
      cmocka_unit_test(host),
      cmocka_unit_test(backup),
  };

  return cmocka_run_group_tests(tests, setup, teardown);
}
