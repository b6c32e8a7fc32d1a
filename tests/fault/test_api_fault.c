/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that fails under the native API: every call either works or says so,
 * and gives everything back; no descriptor stays open, no file that the call
 * did not promise stays behind.
 */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vdkit/vdkit.h>

#include "tests/fault/alloc_fault.h"

#define SIZE (2u << 20)
#define UUID "564d1234-5678-9abc-def0-112233445566"

static char folder[64];

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  return remove(path);
}

static const char *
in_folder(const char *name)
{
  static char buf[4][200];
  static unsigned next;
  char *p = buf[next++ % 4];

  snprintf(p, sizeof buf[0], "%s/%s", folder, name);
  return p;
}

static void
remove_tree(const char *path)
{
  alloc_fault_pause();
  nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  alloc_fault_resume();
}

static int
count_entries(const char *path)
{
  DIR *d;
  int count = 0;

  alloc_fault_pause();
  d = opendir(path);
  while (d && readdir(d))
    count++;
  if (d)
    closedir(d);
  alloc_fault_resume();
  return count;
}

static int
create(const char *name, const char *type, const char *parent,
       struct vdk_error *err)
{
  struct vdk_create_options o = VDK_CREATE_OPTIONS_INIT;

  o.type = type;
  o.parent = parent;
  o.capacity = parent ? 0 : SIZE;
  return vdk_create(in_folder(name), &o, err);
}

/* The disks that the scenarios open, the repository that they read. */
static void
make_props(void)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_open_options o = VDK_OPEN_OPTIONS_INIT;
  struct vdk_handle *h;
  char data[] = "some data";

  /* In memory where that can be had: each run syncs. */
  snprintf(folder, sizeof folder, "%s/vdkit-api-fault-XXXXXX",
           access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
  assert_non_null(mkdtemp(folder));
  assert_ok(create("base.vmdk", "monolithicSparse", NULL, &err));
  o.flags = VDK_OPEN_WRITE;
  assert_ok(vdk_open(in_folder("base.vmdk"), &o, &h, &err));
  assert_ok(vdk_write_at(h, 700000, data, sizeof data, NULL, &err));
  assert_ok(vdk_close(h, &err));
  assert_ok(create("child.vmdk", NULL, in_folder("base.vmdk"), &err));
}

/* --- One open disk -------------------------------------------------------- */

static int
ignore_extent(void *opaque, const struct vdk_extent *e)
{
  return 0;
}

static int
ignore_key(void *opaque, const char *key, const char *value)
{
  return 0;
}

static void
keep_result(void *opaque, int result, size_t done, const struct vdk_error *e)
{
  *(int *)opaque = result;
}

static int
read_all_ways(struct vdk_handle *h, struct vdk_error *err)
{
  struct vdk_info info = VDK_INFO_INIT;
  char buf[5000], *value = NULL;
  int result = 0, rc;

  rc = vdk_get_info(h, &info, err);
  if (rc == 0)
    rc = vdk_read_at(h, 699000, buf, sizeof buf, NULL, err);
  if (rc == 0)
    rc = vdk_extents(h, 0, VDK_TO_END, 0, ignore_extent, NULL, err);
  if (rc == 0)
    rc = vdk_meta_list(h, ignore_key, NULL, err);
  if (rc == 0)
    rc = vdk_meta_get(h, "adapterType", &value, err);
  if (rc == 0)
    vdk_free(value);
  if (rc == 0)
    rc = vdk_read_async(h, 1, buf, sizeof buf, keep_result, &result, err);
  if (rc == 0) {
    rc = vdk_wait(h, err);
    if (result < 0 && err) {
      err->code = -result;
      strcpy(err->text, "asynchronous");
    }
    rc = rc ? rc : result;
  }
  return rc;
}

static int
open_and_read(void *opaque, struct vdk_error *err)
{
  struct vdk_log log = {NULL, NULL};
  struct vdk_open_options o = VDK_OPEN_OPTIONS_INIT;
  struct vdk_handle *h;
  int rc;

  o.log = &log;
  rc = vdk_open(in_folder("child.vmdk"), &o, &h, err);
  if (rc < 0)
    return rc;
  rc = read_all_ways(h, err);
  vdk_close(h, NULL);
  return rc;
}

/* --- Whole disks ---------------------------------------------------------- */

/* Nothing is left when a call failed, the disk when it did not. */
static int
check_left(int rc, int before, int after)
{
  if (rc < 0 && before != after)
    fail_msg("%d entries were left behind", after - before);
  return rc;
}

static int
create_child(void *opaque, struct vdk_error *err)
{
  int before = count_entries(folder);
  int rc = create("new.vmdk", NULL, in_folder("child.vmdk"), err);

  check_left(rc, before, count_entries(folder));
  remove_tree(in_folder("new.vmdk"));
  return rc;
}

static int
convert(void *opaque, struct vdk_error *err)
{
  struct vdk_convert_options o = VDK_CONVERT_OPTIONS_INIT;
  int rc;

  o.type = opaque;
  o.workers = 2;
  mkdir(in_folder("out"), 0700);
  rc = vdk_convert(in_folder("child.vmdk"), in_folder("out/out.vmdk"), &o, NULL,
                   err);
  check_left(rc, 2, count_entries(in_folder("out")));
  remove_tree(in_folder("out"));
  return rc;
}

static int
compare(void *opaque, struct vdk_error *err)
{
  uint64_t offset;

  return vdk_compare(in_folder("base.vmdk"), in_folder("child.vmdk"), NULL,
                     &offset, err);
}

/* --- Repositories --------------------------------------------------------- */

static int
write_point(struct vdk_repo *repo, struct vdk_error *err)
{
  struct vdk_vmbk_writer_options w = VDK_VMBK_WRITER_OPTIONS_INIT;
  struct vdk_vmbk_disk_options d = VDK_VMBK_DISK_OPTIONS_INIT;
  const struct vdk_point *point;
  struct vdk_vmbk_writer *writer;
  struct vdk_vmbk_disk *disk;
  int rc;

  w.vm_uuid = UUID;
  w.vm_name = "a vm";
  rc = vdk_vmbk_writer_open(repo, &w, &writer, err);
  if (rc < 0)
    return rc;
  d.key = "scsi0:0";
  d.capacity = SIZE;
  rc = vdk_vmbk_writer_config(writer, "a.vmx", "vmx", "x", 1, err);
  if (rc == 0)
    rc = vdk_vmbk_writer_disk(writer, &d, &disk, err);
  if (rc == 0)
    rc = vdk_vmbk_writer_put(disk, 5000, "bytes", 5, err);
  if (rc == 0)
    rc = vdk_vmbk_writer_commit(writer, &point, err);
  if (rc == 0)
    vdk_point_free(point);
  vdk_vmbk_writer_close(writer);
  return rc;
}

static int
read_point(struct vdk_repo *repo, struct vdk_error *err)
{
  const struct vdk_point_list *list;
  struct vdk_vmbk_reader *reader;
  char buf[10], *text;
  int rc;

  rc = vdk_repo_list(repo, &list, err);
  if (rc < 0)
    return rc;
  vdk_point_list_free(list);
  rc = vdk_vmbk_reader_open(repo, "a vm", &reader, err);
  if (rc < 0)
    return rc;
  rc = vdk_vmbk_reader_pread(reader, "0", 5000, buf, 5, NULL, err);
  if (rc == 0)
    assert_memory_equal(buf, "bytes", 5);
  if (rc == 0)
    rc = vdk_vmbk_reader_diff(NULL, reader, "0", ignore_extent, NULL, err);
  if (rc == 0)
    rc = vdk_vmbk_reader_diff(reader, reader, "0", ignore_extent, NULL, err);
  if (rc == 0)
    rc = vdk_vmbk_reader_config(reader, "a.vmx", &text, NULL, err);
  if (rc == 0)
    vdk_free(text);
  vdk_vmbk_reader_close(reader);
  return rc;
}

static int
use_repo(void *opaque, struct vdk_error *err)
{
  struct vdk_repo *repo = NULL;
  int rc;

  rc = vdk_repo_init(in_folder("repo"), NULL, err);
  if (rc == 0)
    rc = vdk_repo_open(in_folder("repo"), NULL, &repo, err);
  if (rc == 0)
    rc = write_point(repo, err);
  if (rc == 0)
    rc = read_point(repo, err);
  vdk_repo_close(repo);
  remove_tree(in_folder("repo"));
  return rc;
}

static int
open_by_name(void *opaque, struct vdk_error *err)
{
  struct vdk_handle *h;
  char name[200];
  int rc;

  snprintf(name, sizeof name, "vmbk:%s#a%%20vm@latest/scsi0:0",
           in_folder("kept"));
  rc = vdk_open(name, NULL, &h, err);
  if (rc < 0)
    return rc;
  rc = read_all_ways(h, err);
  vdk_close(h, NULL);
  return rc == -VDK_E_NO_KEY ? 0 : rc;
}

static void
make_kept_repo(void)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_repo *repo;

  assert_ok(vdk_repo_init(in_folder("kept"), NULL, &err));
  assert_ok(vdk_repo_open(in_folder("kept"), NULL, &repo, &err));
  assert_ok(write_point(repo, &err));
  vdk_repo_close(repo);
}

/* -------------------------------------------------------------------------- */

static int
open_descriptors(void)
{
  return count_entries("/proc/self/fd");
}

static void
run(const char *name, int (*fn)(void *, struct vdk_error *), void *opaque,
    int may_succeed)
{
  struct alloc_scenario s = {name, fn, opaque, may_succeed};
  int before = open_descriptors();

  alloc_fault_run(&s);
  assert_int_equal(open_descriptors(), before);
}

static void
disks(void **state)
{
  run("open and read", open_and_read, NULL, 0);
  /* Whether the name is free is looked at twice; once is enough. */
  run("create", create_child, NULL, 1);
  run("compare", compare, NULL, 1);
}

static void
conversions(void **state)
{
  static char types[][24] = {"raw", "monolithicSparse", "twoGbMaxExtentSparse",
                             "streamOptimized"};

  for (size_t i = 0; i < ARRAY_SIZE(types); i++)
    run(types[i], convert, types[i], 1);
}

static void
repositories(void **state)
{
  make_kept_repo();
  run("repository", use_repo, NULL, 1);
  run("vmbk: name", open_by_name, NULL, 1);
}

static int
set_up(void **state)
{
  make_props();
  return 0;
}

static int
tear_down(void **state)
{
  return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(disks, set_up, tear_down),
      cmocka_unit_test_setup_teardown(conversions, set_up, tear_down),
      cmocka_unit_test_setup_teardown(repositories, set_up, tear_down),
  };

  return cmocka_run_group_tests_name("api faults", tests, NULL, NULL);
}
