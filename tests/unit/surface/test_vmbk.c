/* SPDX-License-Identifier: BSD-3-Clause */
/* The vmbk writer and reader: any order, holes, inheritance, differences. */
#include <pthread.h>

#include "support.h"

#define SIZE    (4 * MIB)
#define CHUNK   (256 * KIB)
#define VM_UUID "564d1234-5678-9abc-def0-112233445566"

static struct vdk_error err = VDK_ERROR_INIT;
static struct vdk_repo *repo;

static int
repo_setup(void **state)
{
  if (support_setup(state) != 0)
    return -1;
  assert_ok(vdk_repo_init(path_of("repo"), NULL, &err));
  assert_ok(vdk_repo_open(path_of("repo"), NULL, &repo, &err));
  return 0;
}

static int
repo_teardown(void **state)
{
  vdk_repo_close(repo);
  return support_teardown(state);
}

static struct vdk_vmbk_writer *
writer(const char *parent)
{
  struct vdk_vmbk_writer_options o = VDK_VMBK_WRITER_OPTIONS_INIT;
  struct vdk_vmbk_writer *w = NULL;

  o.vm_uuid = VM_UUID;
  o.vm_name = "a vm";
  o.parent = parent;
  assert_ok(vdk_vmbk_writer_open(repo, &o, &w, &err));
  return w;
}

static struct vdk_vmbk_disk *
disk(struct vdk_vmbk_writer *w, const char *key, uint64_t capacity,
     const char *inherit)
{
  struct vdk_vmbk_disk_options o = VDK_VMBK_DISK_OPTIONS_INIT;
  struct vdk_vmbk_disk *d = NULL;

  o.key = key;
  o.capacity = capacity;
  o.inherit = inherit;
  o.type = "monolithicSparse";
  o.method = inherit ? VDK_METHOD_RANGES : VDK_METHOD_FULL;
  assert_ok(vdk_vmbk_writer_disk(w, &o, &d, &err));
  return d;
}

static void
put(struct vdk_vmbk_disk *d, uint64_t offset, size_t len)
{
  uint8_t *buf = malloc(len);

  assert_non_null(buf);
  fill(buf, offset, len);
  assert_ok(vdk_vmbk_writer_put(d, offset, buf, len, &err));
  free(buf);
}

/* Commits and closes; the id is copied to ID. */
static void
commit(struct vdk_vmbk_writer *w, char id[64])
{
  const struct vdk_point *point = NULL;

  assert_ok(vdk_vmbk_writer_commit(w, &point, &err));
  assert_non_null(point);
  snprintf(id, 64, "%s", point->id);
  vdk_point_free(point);
  vdk_vmbk_writer_close(w);
}

static void
assert_point_bytes(struct vdk_vmbk_reader *r, uint64_t offset, size_t len,
                   bool zero)
{
  uint8_t *buf = malloc(len);
  size_t done = 0;

  assert_non_null(buf);
  assert_ok(vdk_vmbk_reader_pread(r, "0", offset, buf, len, &done, &err));
  assert_int_equal(done, len);
  if (zero)
    assert_all_zero(buf, len);
  else
    assert_filled(buf, offset, len);
  free(buf);
}

static struct vdk_vmbk_reader *
reader(const char *which)
{
  struct vdk_vmbk_reader *r = NULL;

  assert_ok(vdk_vmbk_reader_open(repo, which, &r, &err));
  return r;
}

/* --- Full ----------------------------------------------------------------- */

static void
test_any_order(void **state)
{
  struct vdk_vmbk_writer *w = writer(NULL);
  struct vdk_vmbk_disk *d = disk(w, "scsi0:0", SIZE, NULL);
  struct vdk_vmbk_reader *r;
  char id[64];

  put(d, 3 * MIB + 5, 300001);
  put(d, 100, 50);
  put(d, SIZE - 7, 7);
  put(d, 0, 100);
  put(d, 150, 2 * CHUNK);
  assert_ok(vdk_vmbk_writer_hole(d, 1000, 2000, &err));
  assert_ok(vdk_vmbk_writer_put(d, 0, NULL, 0, &err));
  commit(w, id);
  r = reader(id);
  assert_point_bytes(r, 0, 1000, false);
  assert_point_bytes(r, 1000, 2000, true);
  assert_point_bytes(r, 3000, 2 * CHUNK + 150 - 3000, false);
  assert_point_bytes(r, 2 * CHUNK + 150, 1000, true);
  assert_point_bytes(r, 3 * MIB + 5, 300001, false);
  assert_point_bytes(r, SIZE - 7, 7, false);
  vdk_vmbk_reader_close(r);
}

static void
test_point(void **state)
{
  struct vdk_vmbk_writer *w = writer(NULL);
  const struct vdk_point *point;
  struct vdk_vmbk_reader *r;
  uint64_t size = 0;
  char id[64], *text = NULL;
  size_t len = 0;

  disk(w, "scsi0:0", SIZE, NULL);
  disk(w, "scsi0:1", 512, NULL);
  assert_ok(vdk_vmbk_writer_config(w, "a.vmx", "vmx", "hello", 5, &err));
  assert_ok(vdk_vmbk_writer_config(w, "a.nvram", "nvram", "", 0, &err));
  assert_ok(vdk_vmbk_writer_warning(w, "mind the gap", &err));
  commit(w, id);
  r = reader("a vm");
  point = vdk_vmbk_reader_point(r);
  assert_string_equal(point->id, id);
  assert_string_equal(point->vm_name, "a vm");
  assert_string_equal(point->vm_uuid, VM_UUID);
  assert_string_equal(point->parent, "");
  assert_string_equal(point->consistency, "crash");
  assert_int_equal(point->disk_count, 2);
  assert_string_equal(point->disks[0]->key, "scsi0:0");
  assert_string_equal(point->disks[0]->type, "monolithicSparse");
  assert_int_equal(point->disks[1]->capacity, 512);
  assert_int_equal(point->file_count, 2);
  assert_int_equal(point->files[0]->bytes, 5);
  assert_string_equal(point->warnings[0], "mind the gap");
  assert_null(point->warnings[1]);
  assert_ok(vdk_vmbk_reader_disk_size(r, "scsi0:1", &size, &err));
  assert_int_equal(size, 512);
  assert_ok(vdk_vmbk_reader_config(r, "a.vmx", &text, &len, &err));
  assert_string_equal(text, "hello");
  assert_int_equal(len, 5);
  vdk_free(text);
  assert_ok(vdk_vmbk_reader_config(r, "a.nvram", &text, NULL, &err));
  assert_string_equal(text, "");
  vdk_free(text);
  assert_fails(vdk_vmbk_reader_config(r, "b.vmx", &text, &len, &err),
               VDK_E_NOT_FOUND);
  vdk_vmbk_reader_close(r);
}

static void
test_without_commit(void **state)
{
  const struct vdk_point_list *list = NULL;
  struct vdk_vmbk_writer *w = writer(NULL);

  put(disk(w, "scsi0:0", SIZE, NULL), 0, MIB);
  vdk_vmbk_writer_close(w);
  assert_ok(vdk_repo_list(repo, &list, &err));
  assert_int_equal(list->count, 0);
  vdk_point_list_free(list);
}

static void
test_after_commit(void **state)
{
  struct vdk_vmbk_writer *w = writer(NULL);
  struct vdk_vmbk_disk *d = disk(w, "scsi0:0", SIZE, NULL), *other = NULL;
  struct vdk_vmbk_disk_options o = VDK_VMBK_DISK_OPTIONS_INIT;

  o.key = "scsi0:1";
  o.capacity = 512;
  put(d, 0, 1000);
  assert_ok(vdk_vmbk_writer_commit(w, NULL, &err));
  assert_fails(vdk_vmbk_writer_put(d, 0, "x", 1, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_hole(d, 0, 1, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_inherit(d, 0, 1, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_config(w, "a", "vmx", "", 0, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_warning(w, "a", &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_disk(w, &o, &other, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_commit(w, NULL, &err), VDK_E_INVAL);
  assert_true(vdk_vmbk_writer_stored(w) > 0);
  vdk_vmbk_writer_close(w);
}

/* --- Incremental ---------------------------------------------------------- */

struct list {
  struct vdk_extent e[32];
  size_t count;
};

static int
add(void *opaque, const struct vdk_extent *e)
{
  struct list *l = opaque;

  assert_true(l->count < ARRAY_SIZE(l->e));
  l->e[l->count++] = *e;
  return 0;
}

static int
stop(void *opaque, const struct vdk_extent *e)
{
  return 99;
}

static void
assert_extent(const struct list *l, size_t index, uint64_t offset,
              uint64_t length, int extent_state)
{
  assert_true(index < l->count);
  assert_int_equal(l->e[index].offset, offset);
  assert_int_equal(l->e[index].length, length);
  assert_int_equal(l->e[index].state, extent_state);
}

static void
make_two_points(char first[64], char second[64])
{
  static const uint8_t other[1000] = {1, 2, 3};
  struct vdk_vmbk_writer *w = writer(NULL);
  struct vdk_vmbk_disk *d = disk(w, "scsi0:0", SIZE, NULL);

  put(d, 0, 2 * MIB);
  commit(w, first);
  w = writer(first);
  d = disk(w, "scsi0:0", SIZE, "scsi0:0");
  assert_ok(vdk_vmbk_writer_put(d, MIB + 3, other, sizeof other, &err));
  assert_ok(vdk_vmbk_writer_hole(d, 0, CHUNK, &err));
  put(d, 3 * MIB, 10);
  assert_ok(vdk_vmbk_writer_put(d, MIB / 2, other, sizeof other, &err));
  assert_ok(vdk_vmbk_writer_inherit(d, MIB / 2, sizeof other, &err));
  commit(w, second);
}

static void
test_incremental(void **state)
{
  char first[64], second[64];
  struct vdk_vmbk_reader *a, *b;
  uint8_t buf[1000];

  make_two_points(first, second);
  a = reader(first);
  b = reader(second);
  assert_string_equal(vdk_vmbk_reader_point(b)->parent, first);
  assert_point_bytes(a, 0, 2 * MIB, false);
  assert_point_bytes(b, 0, CHUNK, true);
  assert_point_bytes(b, CHUNK, MIB + 3 - CHUNK, false);
  assert_ok(vdk_vmbk_reader_pread(b, "scsi0:0", MIB + 3, buf, sizeof buf, NULL,
                                  &err));
  assert_int_equal(buf[2], 3);
  assert_int_equal(buf[3], 0);
  assert_point_bytes(b, MIB + 1003, MIB - 1003, false);
  assert_point_bytes(b, 3 * MIB, 10, false);
  assert_point_bytes(b, 3 * MIB + 10, CHUNK, true);
  vdk_vmbk_reader_close(a);
  vdk_vmbk_reader_close(b);
}

static void
test_extents_and_diff(void **state)
{
  char first[64], second[64];
  struct vdk_vmbk_reader *a, *b;
  struct list l = {0};

  make_two_points(first, second);
  a = reader(first);
  b = reader(second);
  assert_ok(vdk_vmbk_reader_extents(b, "0", 0, VDK_TO_END, add, &l, &err));
  assert_extent(&l, 0, 0, CHUNK, VDK_EXTENT_ZERO);
  assert_extent(&l, 1, CHUNK, 2 * MIB - CHUNK, VDK_EXTENT_DATA);
  assert_extent(&l, 2, 2 * MIB, MIB, VDK_EXTENT_ZERO);
  assert_extent(&l, 3, 3 * MIB, CHUNK, VDK_EXTENT_DATA);
  assert_extent(&l, 4, 3 * MIB + CHUNK, MIB - CHUNK, VDK_EXTENT_ZERO);
  assert_int_equal(l.count, 5);
  l.count = 0;
  assert_ok(vdk_vmbk_reader_diff(a, b, "0", add, &l, &err));
  assert_int_equal(l.count, 3);
  assert_extent(&l, 0, 0, CHUNK, VDK_EXTENT_ZERO);
  assert_extent(&l, 1, MIB, CHUNK, VDK_EXTENT_DATA);
  assert_extent(&l, 2, 3 * MIB, CHUNK, VDK_EXTENT_DATA);
  l.count = 0;
  assert_ok(vdk_vmbk_reader_diff(a, a, "0", add, &l, &err));
  assert_int_equal(l.count, 0);
  assert_ok(vdk_vmbk_reader_diff(NULL, a, "0", add, &l, &err));
  assert_int_equal(l.count, 1);
  assert_extent(&l, 0, 0, 2 * MIB, VDK_EXTENT_DATA);
  assert_int_equal(vdk_vmbk_reader_diff(a, b, "0", stop, NULL, &err), 99);
  vdk_vmbk_reader_close(a);
  vdk_vmbk_reader_close(b);
}

/* A disk that grows and one that shrinks. */
static void
test_resized(void **state)
{
  char first[64], second[64];
  struct vdk_vmbk_writer *w = writer(NULL);
  struct vdk_vmbk_reader *a, *b;
  struct list l = {0};

  put(disk(w, "scsi0:0", MIB, NULL), 0, MIB);
  commit(w, first);
  w = writer(first);
  put(disk(w, "scsi0:0", 2 * MIB, "scsi0:0"), 2 * MIB - 100, 100);
  commit(w, second);
  a = reader(first);
  b = reader(second);
  assert_point_bytes(b, 0, MIB, false);
  assert_point_bytes(b, MIB, MIB - 100, true);
  assert_ok(vdk_vmbk_reader_diff(a, b, "0", add, &l, &err));
  assert_int_equal(l.count, 2);
  assert_extent(&l, 0, MIB, MIB - CHUNK, VDK_EXTENT_ZERO);
  assert_extent(&l, 1, 2 * MIB - CHUNK, CHUNK, VDK_EXTENT_DATA);
  l.count = 0;
  assert_ok(vdk_vmbk_reader_diff(b, a, "0", add, &l, &err));
  assert_int_equal(l.count, 0);
  vdk_vmbk_reader_close(a);
  vdk_vmbk_reader_close(b);
}

/* --- By name -------------------------------------------------------------- */

static void
assert_opens(const char *vm, const char *point, const char *key)
{
  struct vdk_handle *h = NULL;
  char name[400];

  snprintf(name, sizeof name, "vmbk:%s#%s%s/%s", path_of("repo"), vm, point,
           key);
  if (vdk_open(name, NULL, &h, &err) < 0)
    fail_msg("%s: %s", name, vdk_error_message(&err));
  assert_int_equal(vdk_capacity(h), SIZE);
  close_disk(h);
}

static void
test_open_by_name(void **state)
{
  struct vdk_info info = VDK_INFO_INIT;
  char first[64], second[64], at[80], name[400];
  struct vdk_handle *h = NULL;
  int before;

  make_two_points(first, second);
  before = open_files();
  snprintf(at, sizeof at, "@%s", first);
  assert_opens("a vm", "", "scsi0:0");
  assert_opens("a vm", at, "0");
  assert_opens("a%20vm", "@latest", "0");
  assert_opens("latest", "", "0");
  assert_opens(VM_UUID, at, "0");
  assert_opens(second, "", "0");
  snprintf(name, sizeof name, "vmbk:%s#%s/0", path_of("repo"), first);
  assert_ok(vdk_open(name, NULL, &h, &err));
  assert_disk_filled(h, 0, 2 * MIB);
  assert_ok(vdk_get_info(h, &info, &err));
  assert_false(info.writable);
  assert_fails(vdk_write_at(h, 0, "x", 1, NULL, &err), VDK_E_READ_ONLY);
  close_disk(h);
  snprintf(name, sizeof name, "vmbk:%s#nobody/0", path_of("repo"));
  assert_fails(vdk_open(name, NULL, &h, &err), VDK_E_NO_POINT);
  snprintf(name, sizeof name, "vmbk:%s#latest/1", path_of("repo"));
  assert_fails(vdk_open(name, NULL, &h, &err), VDK_E_NOT_FOUND);
  assert_int_equal(open_files(), before);
}

/* A VM's name with all the characters that mean something. */
static void
test_strange_name(void **state)
{
  struct vdk_vmbk_writer_options o = VDK_VMBK_WRITER_OPTIONS_INIT;
  struct vdk_vmbk_writer *w = NULL;
  char id[64];

  o.vm_uuid = VM_UUID;
  o.vm_name = "50% a@b/c#d";
  assert_ok(vdk_vmbk_writer_open(repo, &o, &w, &err));
  disk(w, "scsi0:0", SIZE, NULL);
  commit(w, id);
  assert_opens("50%25 a%40b%2fc#d", "", "0");
  assert_opens("50%25%20a@b%2Fc%23d", "@latest", "0");
}

/* --- Threads -------------------------------------------------------------- */

struct put_job {
  struct vdk_vmbk_disk *d;
  int rc;
};

static void *
put_run(void *opaque)
{
  struct put_job *job = opaque;
  static uint8_t buf[MIB];

  for (uint64_t at = 0; at < SIZE && job->rc == 0; at += MIB)
    job->rc = vdk_vmbk_writer_put(job->d, at, buf, MIB, NULL);
  return NULL;
}

static void
test_disks_in_parallel(void **state)
{
  struct vdk_vmbk_writer *w = writer(NULL);
  struct put_job jobs[4] = {{NULL, 0}};
  pthread_t threads[4];
  char id[64], key[16];

  for (unsigned i = 0; i < 4; i++) {
    snprintf(key, sizeof key, "scsi0:%u", i);
    jobs[i].d = disk(w, key, SIZE, NULL);
  }
  for (unsigned i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, put_run, &jobs[i]), 0);
  for (unsigned i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(jobs[i].rc, 0);
  }
  commit(w, id);
}

/* --- Wrong arguments ------------------------------------------------------ */

static void
test_writer_arguments(void **state)
{
  struct vdk_vmbk_writer_options o = VDK_VMBK_WRITER_OPTIONS_INIT;
  struct vdk_vmbk_disk_options d = VDK_VMBK_DISK_OPTIONS_INIT;
  struct vdk_vmbk_writer *w = NULL;
  struct vdk_vmbk_disk *ret = NULL;

  assert_fails(vdk_vmbk_writer_open(repo, &o, &w, &err), VDK_E_INVAL);
  o.vm_uuid = VM_UUID;
  assert_fails(vdk_vmbk_writer_open(repo, &o, &w, &err), VDK_E_INVAL);
  o.vm_name = "a vm";
  assert_fails(vdk_vmbk_writer_open(NULL, &o, &w, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_open(repo, NULL, &w, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_open(repo, &o, NULL, &err), VDK_E_INVAL);
  o.vm_uuid = "../../etc";
  assert_fails(vdk_vmbk_writer_open(repo, &o, &w, &err), VDK_E_INVAL);
  o.vm_uuid = VM_UUID;
  o.parent = "nobody";
  assert_fails(vdk_vmbk_writer_open(repo, &o, &w, &err), VDK_E_NO_POINT);
  assert_null(w);
  w = writer(NULL);
  assert_fails(vdk_vmbk_writer_disk(w, &d, &ret, &err), VDK_E_INVAL);
  d.key = "scsi0:0";
  assert_fails(vdk_vmbk_writer_disk(w, &d, &ret, &err), VDK_E_INVAL);
  d.capacity = 513;
  assert_fails(vdk_vmbk_writer_disk(w, &d, &ret, &err), VDK_E_INVAL);
  d.capacity = SIZE;
  d.inherit = "scsi0:0";
  assert_fails(vdk_vmbk_writer_disk(w, &d, &ret, &err), VDK_E_NOT_FOUND);
  d.inherit = NULL;
  d.method = 3;
  assert_fails(vdk_vmbk_writer_disk(w, &d, &ret, &err), VDK_E_INVAL);
  d.method = 0;
  assert_fails(vdk_vmbk_writer_disk(NULL, &d, &ret, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_disk(w, NULL, &ret, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_disk(w, &d, NULL, &err), VDK_E_INVAL);
  assert_null(ret);
  assert_ok(vdk_vmbk_writer_disk(w, &d, &ret, &err));
  assert_fails(vdk_vmbk_writer_disk(w, &d, &ret, &err), VDK_E_EXISTS);
  assert_fails(vdk_vmbk_writer_put(ret, 0, NULL, 1, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_put(NULL, 0, "", 1, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_put(ret, SIZE, "x", 1, &err), VDK_E_RANGE);
  assert_fails(vdk_vmbk_writer_put(ret, UINT64_MAX, "x", 1, &err), VDK_E_RANGE);
  assert_fails(vdk_vmbk_writer_hole(ret, 1, SIZE, &err), VDK_E_RANGE);
  assert_fails(vdk_vmbk_writer_inherit(ret, SIZE + 1, 0, &err), VDK_E_RANGE);
  assert_fails(vdk_vmbk_writer_config(w, NULL, "vmx", "", 0, &err),
               VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_config(w, "a/b", "vmx", "", 0, &err),
               VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_config(w, "..", "vmx", "", 0, &err),
               VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_config(w, "a", NULL, "", 0, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_config(w, "a", "vmx", NULL, 1, &err),
               VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_config(NULL, "a", "vmx", "", 0, &err),
               VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_warning(w, NULL, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_writer_commit(NULL, NULL, &err), VDK_E_INVAL);
  assert_int_equal(vdk_vmbk_writer_stored(NULL), 0);
  vdk_vmbk_writer_close(w);
  vdk_vmbk_writer_close(NULL);
}

static void
test_reader_arguments(void **state)
{
  struct vdk_vmbk_reader *r = NULL;
  struct list l = {0};
  char first[64], second[64], *text = NULL;
  uint8_t buf[16];
  uint64_t size;
  size_t done = 0;

  make_two_points(first, second);
  assert_fails(vdk_vmbk_reader_open(NULL, first, &r, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_reader_open(repo, NULL, &r, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_reader_open(repo, first, NULL, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_reader_open(repo, "no", &r, &err), VDK_E_NO_POINT);
  assert_null(r);
  r = reader(first);
  assert_fails(vdk_vmbk_reader_pread(r, "7", 0, buf, 1, &done, &err),
               VDK_E_NOT_FOUND);
  assert_fails(vdk_vmbk_reader_pread(r, "00", 0, buf, 1, &done, &err),
               VDK_E_NOT_FOUND);
  assert_fails(vdk_vmbk_reader_pread(r, NULL, 0, buf, 1, &done, &err),
               VDK_E_INVAL);
  assert_fails(vdk_vmbk_reader_pread(NULL, "0", 0, buf, 1, &done, &err),
               VDK_E_INVAL);
  assert_fails(vdk_vmbk_reader_pread(r, "0", 0, NULL, 1, &done, &err),
               VDK_E_INVAL);
  assert_ok(vdk_vmbk_reader_pread(r, "0", SIZE - 4, buf, 16, &done, &err));
  assert_int_equal(done, 4);
  assert_ok(vdk_vmbk_reader_pread(r, "0", UINT64_MAX, buf, 16, &done, &err));
  assert_int_equal(done, 0);
  assert_fails(vdk_vmbk_reader_disk_size(r, "7", &size, &err), VDK_E_NOT_FOUND);
  assert_fails(vdk_vmbk_reader_disk_size(r, "0", NULL, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_reader_extents(r, "0", 0, SIZE + 1, add, &l, &err),
               VDK_E_RANGE);
  assert_fails(vdk_vmbk_reader_extents(r, "0", 0, SIZE, NULL, &l, &err),
               VDK_E_INVAL);
  assert_fails(vdk_vmbk_reader_diff(r, NULL, "0", add, &l, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_reader_diff(r, r, "0", NULL, &l, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_reader_diff(r, r, "9", add, &l, &err), VDK_E_NOT_FOUND);
  assert_fails(vdk_vmbk_reader_config(NULL, "a", &text, NULL, &err),
               VDK_E_INVAL);
  assert_fails(vdk_vmbk_reader_config(r, NULL, &text, NULL, &err), VDK_E_INVAL);
  assert_fails(vdk_vmbk_reader_config(r, "a", NULL, NULL, &err), VDK_E_INVAL);
  assert_null(vdk_vmbk_reader_point(NULL));
  vdk_vmbk_reader_close(r);
  vdk_vmbk_reader_close(NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, repo_setup, repo_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      T(test_any_order),        T(test_point),
      T(test_without_commit),   T(test_after_commit),
      T(test_incremental),      T(test_extents_and_diff),
      T(test_resized),          T(test_open_by_name),
      T(test_strange_name),     T(test_disks_in_parallel),
      T(test_writer_arguments), T(test_reader_arguments),
  };

  return cmocka_run_group_tests_name("surface vmbk", tests, NULL, NULL);
}
