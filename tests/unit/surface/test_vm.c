/* SPDX-License-Identifier: BSD-3-Clause */
/* VMs as public structs. */
#include "vm_support.h"

static struct vdk_error err = VDK_ERROR_INIT;

static void
assert_small_vm(const struct vdk_vm *vm)
{
  assert_string_equal(vm->name, "small vm");
  assert_string_equal(vm->uuid, VM_UUID);
  assert_string_equal(vm->guest, "debian11-64");
  assert_int_equal(vm->hw_version, 19);
  assert_non_null(strstr(vm->id, "small.vmx"));
  assert_false(vm->powered_on);
  assert_int_equal(vm->disk_count, 2);
  assert_string_equal(vm->disks[0]->key, "scsi0:0");
  assert_string_equal(vm->disks[0]->file, "small.vmdk");
  assert_string_equal(vm->disks[0]->type, "monolithicSparse");
  assert_int_equal(vm->disks[0]->capacity, VM_DISK_SIZE);
  assert_int_equal(vm->disks[0]->links, 1);
  assert_null(vm->disks[0]->problem);
  assert_string_equal(vm->disks[1]->key, "scsi0:1");
  assert_int_equal(vm->snapshot_count, 0);
  assert_true(vm->file_count >= 2);
}

static void
test_open(void **state)
{
  const struct vdk_vm *vm = NULL;
  bool nvram = false;

  make_vm();
  assert_ok(vdk_vm_open(path_of("vm/small.vmx"), NULL, &vm, &err));
  assert_small_vm(vm);
  for (size_t i = 0; i < vm->file_count; i++)
    nvram |= strcmp(vm->files[i]->role, "nvram") == 0 &&
             strcmp(vm->files[i]->name, "small.nvram") == 0;
  assert_true(nvram);
  vdk_vm_free(vm);
  vm = NULL;
  assert_ok(vdk_vm_open(path_of("vm"), NULL, &vm, &err));
  assert_small_vm(vm);
  vdk_vm_free(vm);
  vdk_vm_free(NULL);
}

static void
test_problem(void **state)
{
  const struct vdk_vm *vm = NULL;

  make_vm();
  assert_int_equal(unlink(path_of("vm/small.vmdk")), 0);
  assert_ok(vdk_vm_open(path_of("vm"), NULL, &vm, &err));
  assert_int_equal(vm->disk_count, 2);
  assert_non_null(vm->disks[0]->problem);
  assert_string_equal(vm->disks[0]->type, "");
  assert_int_equal(vm->disks[0]->capacity, 0);
  assert_null(vm->disks[1]->problem);
  vdk_vm_free(vm);
}

static int
count_vms(void *opaque, const struct vdk_vm *vm)
{
  assert_non_null(vm->name);
  ++*(unsigned *)opaque;
  return 0;
}

static int
stop(void *opaque, const struct vdk_vm *vm)
{
  return -77;
}

static void
test_list(void **state)
{
  const struct vdk_vm *vm = NULL;
  unsigned count = 0;

  make_vm();
  assert_ok(vdk_vm_list(support_dir, NULL, count_vms, &count, &err));
  assert_int_equal(count, 1);
  make_file("vm/other.vmx", vm_vmx, strlen(vm_vmx));
  assert_ok(vdk_vm_list(support_dir, NULL, count_vms, &count, &err));
  assert_int_equal(count, 3);
  assert_int_equal(vdk_vm_list(support_dir, NULL, stop, NULL, &err), -77);
  assert_fails(vdk_vm_open(path_of("vm"), NULL, &vm, &err), VDK_E_INVAL);
  assert_non_null(strstr(err.text, "other.vmx"));
  assert_null(vm);
}

static void
test_disk(void **state)
{
  struct vdk_open_options o = VDK_OPEN_OPTIONS_INIT;
  struct vdk_handle *h = NULL;
  int before;

  make_vm();
  before = open_files();
  assert_ok(vdk_vm_open_disk(path_of("vm"), "scsi0:0", 0, NULL, &h, &err));
  assert_disk_filled(h, 0, 700000);
  close_disk(h);
  h = NULL;
  assert_ok(vdk_vm_open_disk(path_of("vm"), "1", 0, NULL, &h, &err));
  assert_int_equal(vdk_capacity(h), 1 * MIB);
  close_disk(h);
  h = NULL;
  assert_fails(vdk_vm_open_disk(path_of("vm"), "2", 0, NULL, &h, &err),
               VDK_E_NOT_FOUND);
  assert_fails(vdk_vm_open_disk(path_of("vm"), "ide0:0", 0, NULL, &h, &err),
               VDK_E_NOT_FOUND);
  assert_fails(vdk_vm_open_disk(path_of("vm"), "0", 9, NULL, &h, &err),
               VDK_E_NOT_FOUND);
  o.flags = VDK_OPEN_WRITE;
  assert_ok(vdk_vm_open_disk(path_of("vm"), "0", 0, &o, &h, &err));
  fill_disk(h, 2 * MIB, 100);
  close_disk(h);
  assert_int_equal(open_files(), before);
}

static void
test_arguments(void **state)
{
  struct vdk_vm_options o = VDK_VM_OPTIONS_INIT;
  const struct vdk_vm *vm = NULL;
  struct vdk_handle *h = NULL;
  unsigned count = 0;

  make_vm();
  assert_fails(vdk_vm_open(NULL, NULL, &vm, &err), VDK_E_INVAL);
  assert_fails(vdk_vm_open(path_of("vm"), NULL, NULL, &err), VDK_E_INVAL);
  assert_fails(vdk_vm_list(NULL, NULL, count_vms, &count, &err), VDK_E_INVAL);
  assert_fails(vdk_vm_list(support_dir, NULL, NULL, NULL, &err), VDK_E_INVAL);
  assert_fails(vdk_vm_open_disk(NULL, "0", 0, NULL, &h, &err), VDK_E_INVAL);
  assert_fails(vdk_vm_open_disk(path_of("vm"), NULL, 0, NULL, &h, &err),
               VDK_E_INVAL);
  assert_fails(vdk_vm_open_disk(path_of("vm"), "0", 0, NULL, NULL, &err),
               VDK_E_INVAL);
  o.flags = VDK_OPEN_WRITE;
  assert_fails(vdk_vm_open(path_of("vm"), &o, &vm, &err), VDK_E_INVAL);
  assert_fails(vdk_vm_list(support_dir, &o, count_vms, &count, &err),
               VDK_E_INVAL);
  assert_fails(vdk_vm_open(path_of("nowhere"), NULL, &vm, &err),
               VDK_E_NOT_FOUND);
  assert_fails(vdk_vm_open(path_of("no.vmx"), NULL, &vm, &err),
               VDK_E_NOT_FOUND);
  assert_int_equal(mkdir(path_of("empty"), 0700), 0);
  assert_fails(vdk_vm_open(path_of("empty"), NULL, &vm, &err), VDK_E_NOT_FOUND);
  assert_null(vm);
  assert_null(h);
}

#define T(f) cmocka_unit_test_setup_teardown(f, support_setup, support_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      T(test_open), T(test_problem),   T(test_list),
      T(test_disk), T(test_arguments),
  };

  return cmocka_run_group_tests_name("surface vm", tests, NULL, NULL);
}
