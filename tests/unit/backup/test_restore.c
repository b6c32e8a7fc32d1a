/* SPDX-License-Identifier: BSD-3-Clause */
/* Restores: what appears in the folder, and what does not. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <unistd.h>

#include "base/str.h"
#include "backup/internal.h"
#include "host/vmx_dict.h"
#include "tests/unit/backup/repo_fixture.h"

#define DISK_SIZE (4u * 1024 * 1024)

struct setup {
  struct vmfx fx;
  struct repofx r;
  char dir[128], target[160];
  struct restore_result result;
};

/* A VM with one snapshot, an nvram, and a suspended state; backed up once. */
static void
setup_new(struct setup *s, const char *type)
{
  struct backup_result result;

  srand(31);
  vmfx_new(&s->fx, type, DISK_SIZE);
  repofx_new(&s->r);
  vmfx_write(&s->fx, 10);
  vmfx_snapshot(&s->fx);
  vmfx_write(&s->fx, 3);
  fx_write(s->fx.dir, "fixture.nvram", "MRVN");
  fx_run("printf '# by hand\\ncheckpoint.vmState = \"fixture.vmss\"\\n"
         "scsi0:0.redo = \"\"\\nnvram = \"fixture.nvram\"\\n' >> '%s'",
         s->fx.vmx);
  repofx_backup(&s->r, &s->fx, NULL, &result);
  backup_result_free(&result);
  fx_make_dir(s->dir, sizeof s->dir);
  snprintf(s->target, sizeof s->target, "%s/new vm", s->dir);
  s->result = (struct restore_result){0};
}

static void
setup_free(struct setup *s)
{
  restore_result_free(&s->result);
  fx_remove(s->dir);
  repofx_free(&s->r);
  vmfx_free(&s->fx);
}

/* Names in the folder, sorted. */
static char *
list(const char *dir)
{
  struct dirent **entries;
  struct strbuf b = {0};
  int n = scandir(dir, &entries, NULL, alphasort);

  if (n < 0)
    return str_dup("(none)");
  for (int i = 0; i < n; i++) {
    if (strcmp(entries[i]->d_name, ".") && strcmp(entries[i]->d_name, ".."))
      strbuf_printf(&b, "%s%s", b.len ? " " : "", entries[i]->d_name);
    free(entries[i]);
  }
  free(entries);
  return strbuf_take(&b);
}

static void
check_list(const char *dir, const char *want)
{
  _cleanup_free_ char *have = list(dir);

  assert_string_equal(have, want);
}

/* The restored disk reads as the image, by our reader. */
static void
check_disk(struct setup *s, const char *name)
{
  _cleanup_free_ char *path = path_join(s->target, name);
  _cleanup_disk_ struct vdk_disk *disk = NULL;
  struct vdk_error err = VDK_ERROR_INIT;

  assert_ok(disk_open_path(path, 0, NULL, &disk, &err));
  assert_int_equal(disk_link_count(disk), 1);
  vmfx_check(disk, s->r.images[0], DISK_SIZE);
}

static void
as_it_was(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  _cleanup_dict_ struct vmx_dict *d = NULL;
  char *text = NULL, *want;
  struct setup s;
  size_t len;
  FILE *f;

  setup_new(&s, "monolithicSparse");
  assert_ok(
      restore_run(s.r.repo, s.r.points[0], s.target, NULL, &s.result, &err));
  check_list(s.target, "fixture.nvram fixture.vmdk fixture.vmx");
  check_list(s.dir, "new vm");
  check_disk(&s, "fixture.vmdk");
  want = str_printf("%s/fixture.vmx", s.target);
  assert_string_equal(s.result.vmx, want);
  assert_int_equal(s.result.disk_count, 1);
  assert_int_equal(s.result.bytes, DISK_SIZE);
  assert_true(s.result.written > 0 && s.result.written <= DISK_SIZE);
  f = fopen(want, "r");
  text = calloc(1, 65536);
  len = fread(text, 1, 65535, f);
  fclose(f);
  assert_ok(vmx_dict_parse(text, len, "t", &d, &err));
  assert_string_equal(vmx_dict_get(d, "scsi0:0.fileName"), "fixture.vmdk");
  assert_string_equal(vmx_dict_get(d, "checkpoint.vmState"), "");
  assert_string_equal(vmx_dict_get(d, "displayName"), "fixture");
  assert_string_equal(vmx_dict_get(d, "nvram"), "fixture.nvram");
  assert_non_null(strstr(text, "# by hand\n"));
  free(text);
  free(want);
  /* the new VM can be opened, and backed up, as any other */
  {
    struct vdk_host *h;
    struct host_vm *vm;

    assert_ok(host_local_open(s.target, 0, NULL, &h, &err));
    assert_ok(h->ops->open_vm(h, "", &vm, &err));
    assert_int_equal(vm->disk_count, 1);
    assert_null(vm->disks[0].problem);
    assert_false(vm->suspended);
    assert_int_equal(vm->snapshot_count, 0);
    host_vm_free(vm);
    host_close(h);
  }
  setup_free(&s);
}

/* Every type, with metadata; qemu-img agrees where it reads it. */
static void
types(void **state)
{
  static const struct {
    const char *source, *type, *made, *files;
  } cases[] = {
      {"monolithicSparse", NULL, "monolithicSparse", "vm.vmdk vm.vmx"},
      {"monolithicFlat", NULL, "monolithicFlat", "vm-flat.vmdk vm.vmdk vm.vmx"},
      {"vmfs", NULL, "vmfs", "vm-flat.vmdk vm.vmdk vm.vmx"},
      {"twoGbMaxExtentSparse", NULL, "twoGbMaxExtentSparse",
       "vm-s001.vmdk vm.vmdk vm.vmx"},
      {"twoGbMaxExtentFlat", NULL, "twoGbMaxExtentFlat",
       "vm-f001.vmdk vm.vmdk vm.vmx"},
      {"vmfs", "streamoptimized", "streamOptimized", "vm.vmdk vm.vmx"},
      {"monolithicFlat", "monolithicSparse", "monolithicSparse",
       "vm.vmdk vm.vmx"},
      {"monolithicSparse", "RAW", "raw", "vm.raw vm.vmx"},
  };

  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    const struct restore_options o = {.type = cases[i].type, .name = "vm"};
    struct vdk_error err = VDK_ERROR_INIT;
    _cleanup_free_ char *disk_path = NULL, *text = NULL, *adapter = NULL;
    _cleanup_disk_ struct vdk_disk *disk = NULL;
    struct link_info info;
    struct setup s;

    setup_new(&s, cases[i].source);
    assert_ok(
        restore_run(s.r.repo, s.r.points[0], s.target, &o, &s.result, &err));
    text = str_printf("fixture.nvram %s", cases[i].files);
    check_list(s.target, text);
    disk_path = str_printf("%s/vm.%s", s.target, i == 7 ? "raw" : "vmdk");
    check_disk(&s, path_basename(disk_path));
    assert_ok(disk_open_path(disk_path, 0, NULL, &disk, &err));
    disk_link_info(disk, 0, &info);
    assert_string_equal(info.type, cases[i].made);
    if (i != 7) {
      assert_ok(disk_meta_get(disk, "adapterType", &adapter, &err));
      assert_string_equal(adapter, "lsilogic");
    }
    disk_closep(&disk);
    disk = NULL;
    if (fx_has("qemu-img"))
      fx_run("qemu-img compare -q '%s' '%s/%s'", disk_path, s.fx.dir, s.fx.top);
    setup_free(&s);
  }
}

/* A folder that is there: empty is fine, anything else is not touched. */
static void
target_exists(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct setup s;

  setup_new(&s, "monolithicSparse");
  fx_run("mkdir '%s'; touch '%s/mine'", s.target, s.target);
  assert_fails(
      restore_run(s.r.repo, s.r.points[0], s.target, NULL, &s.result, &err),
      VDK_E_EXISTS);
  check_list(s.target, "mine");
  check_list(s.dir, "new vm");
  fx_run("rm '%s/mine'", s.target);
  assert_ok(
      restore_run(s.r.repo, s.r.points[0], s.target, NULL, &s.result, &err));
  check_disk(&s, "fixture.vmdk");
  setup_free(&s);
}

static void
bad_targets(void **state)
{
  static const char *const names[] = {"", "/", ".", "..", "x/..", "no/such/y"};
  struct vdk_error err = VDK_ERROR_INIT;
  struct setup s;
  char file[200];

  setup_new(&s, "monolithicSparse");
  for (size_t i = 0; i < ARRAY_SIZE(names); i++)
    assert_true(restore_run(s.r.repo, s.r.points[0], names[i], NULL, &s.result,
                            &err) < 0);
  snprintf(file, sizeof file, "%s/file", s.dir);
  fx_run("touch '%s'", file);
  assert_true(
      restore_run(s.r.repo, s.r.points[0], file, NULL, &s.result, &err) < 0);
  check_list(s.dir, "file");
  /* a slash at the end is fine */
  snprintf(file, sizeof file, "%s/good//", s.dir);
  assert_ok(restore_run(s.r.repo, s.r.points[0], file, NULL, &s.result, &err));
  check_list(s.dir, "file good");
  setup_free(&s);
}

static void
one_disk(void **state)
{
  struct restore_options o = {.disk = "SCSI0:0"};
  struct vdk_error err = VDK_ERROR_INIT;
  struct setup s;

  setup_new(&s, "monolithicSparse");
  assert_ok(
      restore_run(s.r.repo, s.r.points[0], s.target, &o, &s.result, &err));
  assert_null(s.result.vmx);
  check_list(s.target, "fixture.vmdk");
  check_disk(&s, "fixture.vmdk");
  o.disk = "scsi0:9";
  snprintf(s.target, sizeof s.target, "%s/other", s.dir);
  assert_fails(
      restore_run(s.r.repo, s.r.points[0], s.target, &o, &s.result, &err),
      VDK_E_NOT_FOUND);
  check_list(s.dir, "new vm");
  setup_free(&s);
}

/* Names that a VM may have and a file may not. */
static void
names(void **state)
{
  static const struct {
    const char *name, *file;
  } cases[] = {
      {"plain", "plain.vmx"},         {"a/b\\c", "a_b_c.vmx"},
      {"../../up", "_._.._up.vmx"},   {".hidden", "_hidden.vmx"},
      {"q\"u|o\nte", "q_u_o_te.vmx"}, {"", "vm.vmx"},
  };
  struct vdk_error err = VDK_ERROR_INIT;
  struct setup s;

  setup_new(&s, "monolithicSparse");
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    const struct restore_options o = {.name = cases[i].name};
    struct restore_result result = {0};
    _cleanup_free_ char *target = str_printf("%s/%zu", s.dir, i);

    assert_ok(restore_run(s.r.repo, s.r.points[0], target, &o, &result, &err));
    assert_string_equal(path_basename(result.vmx), cases[i].file);
    restore_result_free(&result);
  }
  setup_free(&s);
}

/* A repository that a stranger wrote: nothing outside, nothing left. */
static void
hostile_points(void **state)
{
  static const struct {
    const char *file, *key;
    int code;
  } cases[] = {
      {"../evil", NULL, VDK_E_UNSAFE_PATH},
      {"/tmp/evil", NULL, VDK_E_UNSAFE_PATH},
      {"a/b", NULL, VDK_E_UNSAFE_PATH},
      {".ssh", NULL, VDK_E_UNSAFE_PATH},
      {"", NULL, VDK_E_UNSAFE_PATH},
      {"fixture.vmdk", NULL, VDK_E_EXISTS},
      {NULL, "scsi0:0\nevil = 1", VDK_E_DAMAGED},
      {NULL, "", VDK_E_DAMAGED},
  };
  struct vdk_error err = VDK_ERROR_INIT;
  struct setup s;

  setup_new(&s, "monolithicSparse");
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    struct repo_point *p = s.r.points[0];
    char **place = &p->disks[0].key, *old;

    for (size_t k = 0; cases[i].file && k < p->file_count; k++)
      if (strcmp(p->files[k].role, "nvram") == 0)
        place = &p->files[k].name;
    old = *place;
    *place = str_dup(cases[i].file ? cases[i].file : cases[i].key);
    assert_fails(restore_run(s.r.repo, p, s.target, NULL, &s.result, &err),
                 cases[i].code);
    free(*place);
    *place = old;
    check_list(s.dir, "");
  }
  setup_free(&s);
}

/* Damage in the repository: the restore fails and leaves nothing. */
static void
damaged(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct setup s;

  setup_new(&s, "monolithicSparse");
  fx_run("cd '%s' && for f in $(find pack -type f); do chmod u+w $f; "
         "printf x | dd of=$f bs=1 seek=$(($(stat -c %%s $f) / 3)) "
         "conv=notrunc status=none; done",
         s.r.dir);
  repofx_reopen(&s.r);
  assert_true(restore_run(s.r.repo, s.r.points[0], s.target, NULL, &s.result,
                          &err) < 0);
  check_list(s.dir, "");
  setup_free(&s);
}

static int
cancel(void *opaque, const struct vdk_progress_info *info)
{
  return 1;
}

static void
cancelled(void **state)
{
  const struct restore_options o = {.progress = {cancel, NULL}};
  struct vdk_error err = VDK_ERROR_INIT;
  struct setup s;

  setup_new(&s, "monolithicSparse");
  assert_fails(
      restore_run(s.r.repo, s.r.points[0], s.target, &o, &s.result, &err),
      VDK_E_CANCELLED);
  check_list(s.dir, "");
  setup_free(&s);
}

/* Two disks, and one that the point does not hold. */
static void
several_disks(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct backup_result backup;
  _cleanup_free_ char *path = NULL, *text = calloc(1, 65536);
  struct setup s;
  FILE *f;

  setup_new(&s, "monolithicSparse");
  fx_run("cd '%s' && cp disk.vmdk b.vmdk && printf 'sata0:3.present = "
         "\"TRUE\"\\nsata0:3.fileName = \"b.vmdk\"\\n' >> fixture.vmx",
         s.fx.dir);
  repofx_backup(&s.r, &s.fx, NULL, &backup);
  backup_result_free(&backup);
  assert_ok(
      restore_run(s.r.repo, s.r.points[1], s.target, NULL, &s.result, &err));
  check_list(s.target, "fixture.nvram fixture.vmdk fixture.vmx fixture_1.vmdk");
  assert_int_equal(s.result.disk_count, 2);
  restore_result_free(&s.result);
  /* the point says one disk, its .vmx two */
  free(s.r.points[1]->disks[1].key);
  s.r.points[1]->disks[1].key = str_dup("sata9:9");
  snprintf(s.target, sizeof s.target, "%s/other", s.dir);
  assert_ok(
      restore_run(s.r.repo, s.r.points[1], s.target, NULL, &s.result, &err));
  path = path_join(s.target, "fixture.vmx");
  f = fopen(path, "r");
  assert_true(fread(text, 1, 65535, f) > 0);
  fclose(f);
  assert_non_null(strstr(text, "sata0:3.present = \"FALSE\""));
  assert_non_null(strstr(text, "sata9:9.fileName = \"fixture_1.vmdk\""));
  setup_free(&s);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(as_it_was),      cmocka_unit_test(types),
      cmocka_unit_test(target_exists),  cmocka_unit_test(bad_targets),
      cmocka_unit_test(one_disk),       cmocka_unit_test(names),
      cmocka_unit_test(hostile_points), cmocka_unit_test(damaged),
      cmocka_unit_test(cancelled),      cmocka_unit_test(several_disks),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
