/* SPDX-License-Identifier: BSD-3-Clause */
/* Repositories, and whole VMs in and out of them. */
#include "vm_support.h"

static struct vdk_error err = VDK_ERROR_INIT;

static struct vdk_repo *
make_repo(void)
{
  struct vdk_repo *repo = NULL;

  assert_ok(vdk_repo_init(path_of("repo"), NULL, &err));
  assert_ok(vdk_repo_open(path_of("repo"), NULL, &repo, &err));
  return repo;
}

/* --- The repository ------------------------------------------------------- */

static void
test_repo(void **state)
{
  struct vdk_repo_info info = VDK_REPO_INFO_INIT;
  struct vdk_repo_init_options o = VDK_REPO_INIT_OPTIONS_INIT;
  struct vdk_repo *repo = NULL;
  int before = open_files();

  o.chunk_size = 64 * 1024;
  o.level = 3;
  assert_ok(vdk_repo_init(path_of("repo"), &o, &err));
  assert_fails(vdk_repo_init(path_of("repo"), &o, &err), VDK_E_EXISTS);
  assert_ok(vdk_repo_open(path_of("repo"), NULL, &repo, &err));
  assert_ok(vdk_repo_get_info(repo, &info, &err));
  assert_int_equal(info.chunk_size, 64 * 1024);
  assert_int_equal(strlen(info.uuid), 36);
  assert_non_null(strstr(info.name, "repo"));
  vdk_repo_close(repo);
  vdk_repo_close(NULL);
  assert_int_equal(open_files(), before);
}

static void
test_repo_arguments(void **state)
{
  static const uint32_t chunks[] = {1, 65535, 65536 * 3, 8u << 20};
  struct vdk_repo_init_options o = VDK_REPO_INIT_OPTIONS_INIT;
  struct vdk_repo *repo = NULL;
  int before = open_files();

  for (size_t i = 0; i < ARRAY_SIZE(chunks); i++) {
    o.chunk_size = chunks[i];
    assert_fails(vdk_repo_init(path_of("repo"), &o, &err), VDK_E_INVAL);
  }
  o.chunk_size = 0;
  o.level = 23;
  assert_fails(vdk_repo_init(path_of("repo"), &o, &err), VDK_E_INVAL);
  o.level = -1;
  assert_fails(vdk_repo_init(path_of("repo"), &o, &err), VDK_E_INVAL);
  assert_fails(vdk_repo_init(NULL, NULL, &err), VDK_E_INVAL);
  assert_int_equal(entries(support_dir), 0);
  assert_fails(vdk_repo_open(path_of("repo"), NULL, &repo, &err),
               VDK_E_NOT_A_REPO);
  assert_int_equal(mkdir(path_of("empty"), 0700), 0);
  assert_fails(vdk_repo_open(path_of("empty"), NULL, &repo, &err),
               VDK_E_NOT_A_REPO);
  assert_fails(vdk_repo_open(NULL, NULL, &repo, &err), VDK_E_INVAL);
  assert_fails(vdk_repo_open(path_of("empty"), NULL, NULL, &err), VDK_E_INVAL);
  assert_fails(vdk_repo_get_info(NULL, NULL, &err), VDK_E_INVAL);
  assert_null(repo);
  assert_int_equal(open_files(), before);
}

/* --- Back up and restore -------------------------------------------------- */

static void
assert_restored(const char *disk, const char *name)
{
  uint64_t offset = 0;

  assert_ok(vdk_compare(path_of(disk), name, NULL, &offset, &err));
  assert_int_equal(offset, VDK_NO_DIFFERENCE);
}

static void
backup(struct vdk_repo *repo, char id[64])
{
  const struct vdk_backup_result *result = NULL;

  assert_ok(vdk_backup(path_of("vm"), repo, NULL, &result, &err));
  snprintf(id, 64, "%s", result->point->id);
  assert_int_equal(result->disk_count, 2);
  assert_string_equal(result->disks[0]->key, "scsi0:0");
  assert_int_equal(result->disks[0]->capacity, VM_DISK_SIZE);
  assert_non_null(result->disks[0]->problem);
  vdk_backup_result_free(result);
}

static void
test_backup_and_restore(void **state)
{
  const struct vdk_restore_result *restored = NULL;
  const struct vdk_point_list *list = NULL;
  const struct vdk_vm *vm = NULL;
  struct vdk_repo *repo;
  struct vdk_handle *h;
  char first[64], second[64], name[200];

  make_vm();
  repo = make_repo();
  backup(repo, first);
  assert_ok(vdk_convert(path_of("vm/small.vmdk"), path_of("then.raw"), NULL,
                        NULL, &err));
  h = open_disk("vm/small.vmdk", VDK_OPEN_WRITE);
  fill_disk(h, 2 * MIB + 11, 5000);
  close_disk(h);
  backup(repo, second);

  assert_ok(vdk_repo_list(repo, &list, &err));
  assert_int_equal(list->count, 2);
  assert_int_equal(list->damaged, 0);
  assert_string_equal(list->points[0]->id, first);
  assert_string_equal(list->points[1]->parent, first);
  assert_string_equal(list->points[1]->vm_name, "small vm");
  vdk_point_list_free(list);

  assert_ok(vdk_restore(repo, first, path_of("old"), NULL, &restored, &err));
  assert_int_equal(restored->disk_count, 2);
  assert_ok(vdk_vm_open(restored->vmx, NULL, &vm, &err));
  assert_int_equal(vm->disk_count, 2);
  snprintf(name, sizeof name, "%s/%s", path_of("old"), vm->disks[0]->file);
  assert_restored("then.raw", name);
  vdk_vm_free(vm);
  vdk_restore_result_free(restored);

  assert_ok(vdk_restore(repo, "small vm", path_of("new"), NULL, NULL, &err));
  assert_ok(vdk_vm_open(path_of("new"), NULL, &vm, &err));
  snprintf(name, sizeof name, "%s/%s", path_of("new"), vm->disks[0]->file);
  assert_restored("vm/small.vmdk", name);
  vdk_vm_free(vm);
  vdk_repo_close(repo);
}

static void
test_convert_from_repo(void **state)
{
  struct vdk_repo *repo;
  char id[64], name[200];

  make_vm();
  repo = make_repo();
  backup(repo, id);
  vdk_repo_close(repo);
  snprintf(name, sizeof name, "vmbk:%s#small vm@%s/scsi0:0", path_of("repo"),
           id);
  assert_ok(vdk_convert(name, path_of("out.vmdk"), NULL, NULL, &err));
  assert_restored("out.vmdk", path_of("vm/small.vmdk"));
  assert_restored("vm/small.vmdk", name);
}

static int
cancel(void *opaque, const struct vdk_progress_info *info)
{
  return 1;
}

static void
test_cancel(void **state)
{
  struct vdk_backup_options b = VDK_BACKUP_OPTIONS_INIT;
  struct vdk_restore_options r = VDK_RESTORE_OPTIONS_INIT;
  const struct vdk_backup_result *result = NULL;
  const struct vdk_restore_result *restored = NULL;
  const struct vdk_point_list *list = NULL;
  struct vdk_repo *repo;
  char id[64];

  make_vm();
  repo = make_repo();
  b.progress.fn = cancel;
  assert_fails(vdk_backup(path_of("vm"), repo, &b, &result, &err),
               VDK_E_CANCELLED);
  assert_ok(vdk_repo_list(repo, &list, &err));
  assert_int_equal(list->count, 0);
  vdk_point_list_free(list);
  backup(repo, id);
  r.progress.fn = cancel;
  assert_fails(vdk_restore(repo, id, path_of("t"), &r, &restored, &err),
               VDK_E_CANCELLED);
  assert_int_not_equal(access(path_of("t"), F_OK), 0);
  assert_null(result);
  assert_null(restored);
  vdk_repo_close(repo);
}

static void
test_backup_arguments(void **state)
{
  struct vdk_backup_options b = VDK_BACKUP_OPTIONS_INIT;
  struct vdk_restore_options r = VDK_RESTORE_OPTIONS_INIT;
  const struct vdk_backup_result *result = NULL;
  const struct vdk_restore_result *restored = NULL;
  struct vdk_repo *repo;
  char id[64];

  make_vm();
  repo = make_repo();
  assert_fails(vdk_backup(NULL, repo, NULL, &result, &err), VDK_E_INVAL);
  assert_fails(vdk_backup(path_of("vm"), NULL, NULL, &result, &err),
               VDK_E_INVAL);
  assert_fails(vdk_backup(path_of("none"), repo, NULL, &result, &err),
               VDK_E_NOT_FOUND);
  assert_int_equal(err.side, VDK_SIDE_SOURCE);
  b.full = b.compare = 1;
  assert_fails(vdk_backup(path_of("vm"), repo, &b, &result, &err), VDK_E_INVAL);
  b.full = b.compare = 0;
  b.on_lost = 2;
  assert_fails(vdk_backup(path_of("vm"), repo, &b, &result, &err), VDK_E_INVAL);
  b.on_lost = 0;
  b.flags = VDK_OPEN_WRITE;
  assert_fails(vdk_backup(path_of("vm"), repo, &b, &result, &err), VDK_E_INVAL);
  assert_fails(vdk_restore(repo, "latest", path_of("t"), NULL, &restored, &err),
               VDK_E_NO_POINT);
  backup(repo, id);
  assert_fails(vdk_restore(NULL, id, path_of("t"), NULL, &restored, &err),
               VDK_E_INVAL);
  assert_fails(vdk_restore(repo, NULL, path_of("t"), NULL, &restored, &err),
               VDK_E_INVAL);
  assert_fails(vdk_restore(repo, id, NULL, NULL, &restored, &err), VDK_E_INVAL);
  assert_fails(vdk_restore(repo, id, path_of("vm"), NULL, &restored, &err),
               VDK_E_EXISTS);
  r.disk = "ide0:0";
  assert_fails(vdk_restore(repo, id, path_of("t"), &r, &restored, &err),
               VDK_E_NOT_FOUND);
  r.disk = NULL;
  r.type = "floppy";
  assert_fails(vdk_restore(repo, id, path_of("t"), &r, &restored, &err),
               VDK_E_UNSUPPORTED);
  assert_int_not_equal(access(path_of("t"), F_OK), 0);
  assert_null(result);
  assert_null(restored);
  vdk_backup_result_free(NULL);
  vdk_restore_result_free(NULL);
  vdk_repo_close(repo);
}

/* --- Find and verify ------------------------------------------------------ */

static void
test_find(void **state)
{
  const struct vdk_point *point = NULL;
  struct vdk_repo *repo;
  char id[64], text[100];

  make_vm();
  repo = make_repo();
  backup(repo, id);
  assert_ok(vdk_repo_find(repo, "latest", &point, &err));
  assert_string_equal(point->id, id);
  assert_true(point->file_count >= 1);
  vdk_point_free(point);
  snprintf(text, sizeof text, "small vm@%s", id);
  assert_ok(vdk_repo_find(repo, text, &point, &err));
  vdk_repo_close(repo);
  assert_string_equal(point->id, id); /* it outlives the repository */
  vdk_point_free(point);
  vdk_point_free(NULL);
  vdk_point_list_free(NULL);
  assert_fails(vdk_repo_find(NULL, "latest", &point, &err), VDK_E_INVAL);
  assert_fails(vdk_repo_list(NULL, NULL, &err), VDK_E_INVAL);
}

static void
found(void *opaque, const char *object, const char *text)
{
  assert_non_null(object);
  assert_non_null(text);
  ++*(unsigned *)opaque;
}

/* Flips a byte in the middle of each pack. */
static int
damage(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  if (type == FTW_F && st->st_size > 1000) {
    FILE *f = fopen(path, "r+");
    int c;

    assert_non_null(f);
    fseek(f, st->st_size / 2, SEEK_SET);
    c = fgetc(f);
    fseek(f, st->st_size / 2, SEEK_SET);
    fputc(c ^ 0x10, f);
    fclose(f);
  }
  return 0;
}

static void
test_verify(void **state)
{
  struct vdk_verify_options o = VDK_VERIFY_OPTIONS_INIT;
  struct vdk_verify_stats stats = VDK_VERIFY_STATS_INIT;
  struct vdk_repo *repo;
  unsigned findings = 0;
  char id[64];

  make_vm();
  repo = make_repo();
  backup(repo, id);
  o.found = found;
  o.found_opaque = &findings;
  for (o.level = VDK_VERIFY_QUICK; o.level <= VDK_VERIFY_DEEP; o.level++) {
    assert_ok(vdk_repo_verify(repo, &o, &stats, &err));
    assert_int_equal(stats.points, 1);
    assert_int_equal(stats.damaged, 0);
    assert_true(stats.packs >= 1);
  }
  assert_int_equal(findings, 0);
  assert_ok(vdk_repo_verify(repo, NULL, NULL, &err));
  assert_fails(vdk_repo_verify(repo, &o, NULL, &err), VDK_E_INVAL);
  assert_fails(vdk_repo_verify(NULL, NULL, NULL, &err), VDK_E_INVAL);
  assert_int_equal(nftw(path_of("repo"), damage, 16, FTW_PHYS), 0);
  o.level = VDK_VERIFY_DEEP;
  assert_fails(vdk_repo_verify(repo, &o, &stats, &err), VDK_E_DAMAGED);
  assert_true(findings > 0);
  assert_int_equal(stats.damaged, findings);
  vdk_repo_close(repo);
}

#define T(f) cmocka_unit_test_setup_teardown(f, support_setup, support_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      T(test_repo),
      T(test_repo_arguments),
      T(test_backup_and_restore),
      T(test_convert_from_repo),
      T(test_cancel),
      T(test_backup_arguments),
      T(test_find),
      T(test_verify),
  };

  return cmocka_run_group_tests_name("surface backup", tests, NULL, NULL);
}
