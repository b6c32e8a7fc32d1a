/* SPDX-License-Identifier: BSD-3-Clause */
/* Folders of VMs as users have them, and as nobody should. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "host/host.h"
#include "tests/unit/host/vm_fixture.h"

struct messages {
  struct strbuf text;
  unsigned count;
};

static void
note_message(void *opaque, int level, const char *message)
{
  struct messages *m = opaque;

  m->count++;
  strbuf_printf(&m->text, "%s\n", message);
}

static struct vdk_host *
open_host(const char *path, unsigned flags, const struct vdk_log *log)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_host *h;

  assert_ok(host_local_open(path, flags, log, &h, &err));
  return h;
}

static struct host_vm *
open_vm(struct vdk_host *h, const char *id)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct host_vm *vm;

  assert_ok(h->ops->open_vm(h, id, &vm, &err));
  return vm;
}

static void
whole_vm(void **state)
{
  struct vdk_host *h;
  struct host_vm *vm;
  struct vmfx fx;

  vmfx_new(&fx, "monolithicSparse", 1 << 20);
  vmfx_snapshot(&fx);
  vmfx_snapshot(&fx);
  fx_write(fx.dir, "fixture.nvram", "MRVN");
  fx_write(fx.dir, "unrelated.txt", "x");
  h = open_host(fx.vmx, 0, NULL);
  vm = open_vm(h, NULL);
  assert_string_equal(vm->id, fx.vmx);
  assert_string_equal(vm->name, "fixture");
  assert_string_equal(vm->guest, "debian12-64");
  assert_string_equal(vm->uuid, "564d0102-0304-0506-0708-090a0b0c0d0e");
  assert_int_equal(vm->hw_version, 19);
  assert_false(vm->powered_on || vm->suspended);
  assert_int_equal(vm->disk_count, 1);
  assert_string_equal(vm->disks[0].key, "scsi0:0");
  assert_string_equal(vm->disks[0].file, "disk-000002.vmdk");
  assert_string_equal(vm->disks[0].type, "monolithicSparse");
  assert_null(vm->disks[0].problem);
  assert_int_equal(vm->disks[0].size, 1 << 20);
  assert_int_equal(vm->disks[0].links, 3);
  assert_int_equal(vm->snapshot_count, 2);
  assert_int_equal(vm->snapshots[1].parent, 1);
  assert_true(vm->snapshots[1].current && !vm->snapshots[0].current);
  assert_int_equal(vm->file_count, 3);
  assert_string_equal(vm->files[0].name, "fixture.vmx");
  assert_string_equal(vm->files[1].role, "vmsd");
  assert_string_equal(vm->files[2].name, "fixture.nvram");
  host_vm_free(vm);
  host_close(h);
  vmfx_free(&fx);
}

/* The disk as each snapshot froze it, and as it is now. */
static void
disks_at_snapshots(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *disk = NULL;
  struct vdk_host *h;
  struct host_vm *vm;
  struct vmfx fx;

  srand(5);
  vmfx_new(&fx, "monolithicFlat", 2 << 20);
  for (unsigned i = 0; i < 3; i++) {
    vmfx_write(&fx, 4);
    vmfx_snapshot(&fx);
  }
  vmfx_write(&fx, 4);
  h = open_host(fx.dir, 0, NULL);
  vm = open_vm(h, fx.dir);
  for (unsigned uid = 0; uid <= 3; uid++) {
    assert_ok(h->ops->open_disk(h, vm, &vm->disks[0], uid, 0, &disk, &err));
    vmfx_check(disk, uid ? fx.snapshots[uid].image : fx.live, fx.size);
    disk_close(disk, NULL);
  }
  assert_fails(h->ops->open_disk(h, vm, &vm->disks[0], 9, 0, &disk, &err),
               VDK_E_NOT_FOUND);
  host_vm_free(vm);
  host_close(h);
  vmfx_free(&fx);
}

/* --- Texts that want out ------------------------------------------------- */

static const char vmx_head[] = "displayName = \"v\"\n"
                               "scsi0:0.present = \"TRUE\"\n";

static void
outside(void **state)
{
  static const char *const names[] = {
      "/etc/passwd",  "../secret.vmdk",      "sub/../../secret.vmdk",
      "link.vmdk",    "linkdir/secret.vmdk", "/dev/zero",
      "missing.vmdk", "text.vmdk",
  };
  struct vdk_error err = VDK_ERROR_INIT;
  char dir[128], vm_dir[140];
  struct vdk_host *h;

  fx_make_dir(dir, sizeof dir);
  snprintf(vm_dir, sizeof vm_dir, "%s/vm", dir);
  fx_run("mkdir -p '%s/sub'", vm_dir);
  fx_run("truncate -s 1M '%s/secret.vmdk'", dir);
  fx_run("ln -s ../secret.vmdk '%s/link.vmdk'", vm_dir);
  fx_run("ln -s .. '%s/linkdir'", vm_dir);
  fx_write(vm_dir, "text.vmdk", "root:x:0:0:\n");
  for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
    _cleanup_free_ char *text =
        str_printf("%sscsi0:0.fileName = \"%s\"\nnvram = \"%s\"\n", vmx_head,
                   names[i], names[i]);
    struct vdk_disk *disk = NULL;
    struct host_vm *vm;

    fx_write(vm_dir, "v.vmx", text);
    h = open_host(vm_dir, 0, NULL);
    vm = open_vm(h, "");
    assert_int_equal(vm->disk_count, 1);
    assert_non_null(vm->disks[0].problem);
    assert_int_equal(vm->disks[0].size, 0);
    assert_true(h->ops->open_disk(h, vm, &vm->disks[0], 0, 0, &disk, &err) < 0);
    assert_non_null(strstr(err.text, "scsi0:0"));
    /* "text.vmdk" is a plain file beside the .vmx: that may be an nvram */
    assert_int_equal(vm->file_count, strcmp(names[i], "text.vmdk") ? 1 : 2);
    host_vm_free(vm);
    host_close(h);
  }
  fx_remove(dir);
}

/* Snapshots' file names are no better than the .vmx's. */
static void
outside_by_vmsd(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *disk = NULL;
  struct vdk_host *h;
  struct host_vm *vm;
  struct vmfx fx;

  vmfx_new(&fx, "monolithicSparse", 1 << 20);
  fx_write(fx.dir, "fixture.vmsd",
           "snapshot0.uid = 1\nsnapshot0.disk0.node = scsi0:0\n"
           "snapshot0.disk0.fileName = \"../../../etc/passwd\"\n");
  h = open_host(fx.vmx, 0, NULL);
  vm = open_vm(h, "");
  assert_fails(h->ops->open_disk(h, vm, &vm->disks[0], 1, 0, &disk, &err),
               VDK_E_UNSAFE_PATH);
  host_vm_free(vm);
  host_close(h);
  vmfx_free(&fx);
}

static void
outside_allowed(void **state)
{
  _cleanup_free_ char *text = NULL;
  struct vdk_host *h;
  struct host_vm *vm;
  struct vmfx fx;
  char dir[128];

  vmfx_new(&fx, "monolithicSparse", 1 << 20);
  fx_make_dir(dir, sizeof dir);
  /* Disks may be anywhere then; a configuration file is still beside. */
  text = str_printf("%sscsi0:0.fileName = \"%s/disk.vmdk\"\n"
                    "nvram = \"/etc/passwd\"\nextendedConfigFile = \"../x\"\n",
                    vmx_head, fx.dir);
  fx_write(dir, "v.vmx", text);
  h = open_host(dir, DIR_ALLOW_OUTSIDE, NULL);
  vm = open_vm(h, "");
  assert_null(vm->disks[0].problem);
  assert_int_equal(vm->disks[0].size, 1 << 20);
  assert_int_equal(vm->file_count, 1);
  host_vm_free(vm);
  host_close(h);
  fx_remove(dir);
  vmfx_free(&fx);
}

/* --- Is it running? ------------------------------------------------------ */

static void
check_state(struct vmfx *fx, bool on, bool suspended)
{
  struct vdk_host *h = open_host(fx->vmx, 0, NULL);
  struct host_vm *vm = open_vm(h, "");

  assert_int_equal(vm->powered_on, on);
  assert_int_equal(vm->suspended, suspended);
  host_vm_free(vm);
  host_close(h);
}

static void
power(void **state)
{
  struct vmfx fx;

  vmfx_new(&fx, "monolithicSparse", 1 << 20);
  check_state(&fx, false, false);
  fx_run("mkdir '%s/fixture.vmx.lck'", fx.dir);
  check_state(&fx, false, false);
  fx_write(fx.dir, "fixture.vmx.lck/M12345.lck", "x");
  check_state(&fx, true, false);
  fx_run("rm -r '%s/fixture.vmx.lck'; mkdir '%s/disk.vmdk.lck'; "
         "touch '%s/disk.vmdk.lck/M1.lck'",
         fx.dir, fx.dir, fx.dir);
  check_state(&fx, true, false);
  fx_run("rm -r '%s/disk.vmdk.lck'; touch '%s/fixture.vmx.lck'; "
         "echo 'checkpoint.vmState = \"fixture-1.vmss\"' >> '%s'",
         fx.dir, fx.dir, fx.vmx);
  check_state(&fx, true, true);
  vmfx_free(&fx);
}

/* --- Folders ------------------------------------------------------------- */

static int
note_vm(void *opaque, struct host_vm *vm)
{
  strbuf_printf(opaque, "%s ", vm->name);
  host_vm_free(vm);
  return 0;
}

static void
make_vm(const char *dir, const char *below, const char *name)
{
  _cleanup_free_ char *folder = path_join(dir, below);
  _cleanup_free_ char *file = str_printf("%s.vmx", name);
  _cleanup_free_ char *text = str_printf("displayName = \"%s\"\n", name);

  fx_run("mkdir -p '%s'", folder);
  fx_write(folder, file, text);
}

static void
folders(void **state)
{
  struct messages m = {0};
  const struct vdk_log log = {note_message, &m};
  _cleanup_strbuf_ struct strbuf names = {0};
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_host *h;
  struct host_vm *vm;
  char dir[128];

  fx_make_dir(dir, sizeof dir);
  make_vm(dir, "b", "two");
  make_vm(dir, "a", "one");
  make_vm(dir, "a", "same");
  make_vm(dir, "1/2/3/4", "deep");
  make_vm(dir, "1/2/3/4/5", "deeper");
  make_vm(dir, ".snapshot/a", "hidden");
  make_vm(dir, "c.vmx.lck", "lock");
  make_vm(dir, "x/same", "same");
  fx_run("ln -s / '%s/root'; ln -s a '%s/inner'; ln -s . '%s/self'", dir, dir,
         dir);
  fx_run("mkdir '%s/bad'; printf 'a=\\0' > '%s/bad/bad.vmx'", dir, dir);
  h = open_host(dir, 0, &log);
  assert_ok(h->ops->list(h, note_vm, &names, &err));
  assert_string_equal(names.text, "deep one same two same ");
  assert_non_null(strstr(m.text.text, "bad.vmx"));
  /* one of them, by several names */
  vm = open_vm(h, "two");
  assert_string_equal(vm->name, "two");
  assert_int_equal(strlen(vm->uuid), 36);
  {
    struct host_vm *again = open_vm(h, vm->uuid);

    assert_string_equal(vm->id, again->id);
    host_vm_free(again);
    again = open_vm(h, vm->id);
    assert_string_equal(vm->uuid, again->uuid);
    host_vm_free(again);
  }
  host_vm_free(vm);
  assert_fails(h->ops->open_vm(h, "three", &vm, &err), VDK_E_NOT_FOUND);
  assert_fails(h->ops->open_vm(h, "same", &vm, &err), VDK_E_INVAL);
  assert_fails(h->ops->open_vm(h, "", &vm, &err), VDK_E_INVAL);
  host_close(h);
  strbuf_free(&m.text);
  fx_remove(dir);
}

static void
no_vm(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_host *h;
  struct host_vm *vm;
  char dir[128], path[160];

  fx_make_dir(dir, sizeof dir);
  h = open_host(dir, 0, NULL);
  assert_fails(h->ops->open_vm(h, "", &vm, &err), VDK_E_NOT_FOUND);
  host_close(h);
  snprintf(path, sizeof path, "%s/none", dir);
  assert_fails(host_local_open(path, 0, NULL, &h, &err), VDK_E_NOT_FOUND);
  fx_write(dir, "none", "");
  assert_fails(host_local_open(path, 0, NULL, &h, &err), VDK_E_INVAL);
  fx_remove(dir);
}

static void
encrypted(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_host *h;
  struct host_vm *vm;
  char dir[128];

  fx_make_dir(dir, sizeof dir);
  fx_write(dir, "e.vmx",
           "displayName = \"e\"\nencryption.keySafe = \"vmware:key/list\"\n"
           "encryption.data = \"AAAA\"\n");
  h = open_host(dir, 0, NULL);
  assert_fails(h->ops->open_vm(h, "", &vm, &err), VDK_E_ENCRYPTED);
  host_close(h);
  fx_remove(dir);
}

/* Configuration files: whole, bounded, and gone. */
static void
read_files(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_host *h;
  struct host_vm *vm;
  struct vmfx fx;
  char *text = NULL;
  size_t len;

  vmfx_new(&fx, "monolithicSparse", 1 << 20);
  fx_run("truncate -s 17M '%s/fixture.nvram'", fx.dir);
  h = open_host(fx.vmx, 0, NULL);
  vm = open_vm(h, "");
  assert_int_equal(vm->file_count, 3);
  assert_ok(h->ops->read_file(h, vm, &vm->files[0], &text, &len, &err));
  assert_int_equal(len, fx_size(fx.dir, "fixture.vmx"));
  assert_non_null(strstr(text, "scsi0:0.fileName"));
  free(text);
  assert_fails(h->ops->read_file(h, vm, &vm->files[2], &text, &len, &err),
               VDK_E_TOO_BIG);
  fx_run("rm '%s/fixture.nvram'", fx.dir);
  assert_fails(h->ops->read_file(h, vm, &vm->files[2], &text, &len, &err),
               VDK_E_NOT_FOUND);
  host_vm_free(vm);
  host_close(h);
  vmfx_free(&fx);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whole_vm),        cmocka_unit_test(disks_at_snapshots),
      cmocka_unit_test(outside),         cmocka_unit_test(outside_by_vmsd),
      cmocka_unit_test(outside_allowed), cmocka_unit_test(power),
      cmocka_unit_test(folders),         cmocka_unit_test(no_vm),
      cmocka_unit_test(encrypted),       cmocka_unit_test(read_files),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
