/* SPDX-License-Identifier: BSD-3-Clause */
/* Open, close, information; nothing leaks when a step fails. */
#include "support.h"

static struct vdk_error err = VDK_ERROR_INIT;

static void
test_info(void **state)
{
  struct vdk_info info = VDK_INFO_INIT;
  struct vdk_link_info link = VDK_LINK_INFO_INIT;
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicSparse", 10 * MIB);
  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  fill_disk(h, 0, 64 * KIB);
  assert_ok(vdk_flush(h, &err));
  assert_ok(vdk_get_info(h, &info, &err));
  assert_int_equal(info.size, sizeof info);
  assert_int_equal(info.capacity, 10 * MIB);
  assert_int_equal(vdk_capacity(h), 10 * MIB);
  assert_int_equal(info.granularity, 64 * KIB);
  assert_int_equal(info.links, 1);
  assert_true(info.has_cid);
  assert_int_equal(info.parent_cid, 0xffffffffu);
  assert_true(info.writable);
  assert_true(info.allocated >= 64 * KIB);
  assert_string_equal(info.format, "vmdk");
  assert_string_equal(info.type, "monolithicSparse");
  assert_string_equal(info.adapter, "lsilogic");
  assert_non_null(strstr(info.name, "d.vmdk"));
  assert_ok(vdk_get_link_info(h, 0, &link, &err));
  assert_int_equal(link.capacity, 10 * MIB);
  assert_false(link.has_parent);
  assert_true(link.file_count >= 1);
  assert_string_equal(link.type, "monolithicSparse");
  assert_fails(vdk_get_link_info(h, 1, &link, &err), VDK_E_NOT_FOUND);
  close_disk(h);
}

static void
test_raw_info(void **state)
{
  struct vdk_info info = VDK_INFO_INIT;
  struct vdk_handle *h;

  make_disk("d.raw", "raw", 1 * MIB);
  h = open_disk("d.raw", 0);
  assert_ok(vdk_get_info(h, &info, &err));
  assert_string_equal(info.format, "raw");
  assert_string_equal(info.adapter, "");
  assert_false(info.writable);
  assert_false(info.has_cid);
  close_disk(h);
}

struct files {
  unsigned count;
  uint64_t bytes;
  char first[64];
};

static int
count_file(void *opaque, const char *name, uint64_t bytes)
{
  struct files *f = opaque;

  if (f->count++ == 0)
    snprintf(f->first, sizeof f->first, "%s", name);
  f->bytes += bytes;
  return 0;
}

static int
stop_at_once(void *opaque, const char *name, uint64_t bytes)
{
  return 42;
}

static void
test_link_files(void **state)
{
  struct files files = {0};
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicFlat", 1 * MIB);
  h = open_disk("d.vmdk", 0);
  assert_ok(vdk_link_files(h, 0, count_file, &files, &err));
  assert_int_equal(files.count, 2);
  assert_string_equal(files.first, "d.vmdk");
  assert_true(files.bytes > 1 * MIB);
  assert_int_equal(vdk_link_files(h, 0, stop_at_once, NULL, &err), 42);
  assert_fails(vdk_link_files(h, 0, NULL, NULL, &err), VDK_E_INVAL);
  assert_fails(vdk_link_files(h, 7, count_file, &files, &err), VDK_E_NOT_FOUND);
  assert_fails(vdk_link_files(NULL, 0, count_file, &files, &err), VDK_E_INVAL);
  close_disk(h);
}

/* --- A chain -------------------------------------------------------------- */

static void
make_child(const char *name, const char *parent)
{
  struct vdk_create_options o = VDK_CREATE_OPTIONS_INIT;

  o.parent = path_of(parent);
  assert_ok(vdk_create(path_of(name), &o, &err));
}

static void
test_chain(void **state)
{
  struct vdk_info info = VDK_INFO_INIT;
  struct vdk_link_info link = VDK_LINK_INFO_INIT, base = VDK_LINK_INFO_INIT;
  uint8_t buf[512];
  struct vdk_handle *h;

  make_disk("base.vmdk", "monolithicSparse", 4 * MIB);
  h = open_disk("base.vmdk", VDK_OPEN_WRITE);
  fill_disk(h, 0, 300000);
  close_disk(h);
  make_child("child.vmdk", "base.vmdk");
  make_child("grandchild.vmdk", "child.vmdk");

  h = open_disk("grandchild.vmdk", VDK_OPEN_WRITE);
  assert_ok(vdk_get_info(h, &info, &err));
  assert_int_equal(info.links, 3);
  assert_int_equal(info.capacity, 4 * MIB);
  assert_ok(vdk_get_link_info(h, 1, &link, &err));
  assert_ok(vdk_get_link_info(h, 2, &base, &err));
  assert_true(link.has_parent);
  assert_int_equal(link.parent_cid, base.cid);
  assert_non_null(strstr(base.name, "base.vmdk"));
  assert_disk_filled(h, 0, 300000);
  memset(buf, 0, sizeof buf);
  assert_ok(vdk_write_at(h, 1000, buf, 100, NULL, &err));
  close_disk(h);

  h = open_disk("child.vmdk", 0);
  assert_disk_filled(h, 0, 300000);
  close_disk(h);
  h = open_disk("grandchild.vmdk", 0);
  assert_disk_filled(h, 0, 1000);
  assert_disk_filled(h, 1100, 298900);
  close_disk(h);
}

static void
test_single_link(void **state)
{
  struct vdk_info info = VDK_INFO_INIT;
  uint8_t buf[512];
  struct vdk_handle *h;

  make_disk("base.vmdk", "monolithicSparse", 4 * MIB);
  h = open_disk("base.vmdk", VDK_OPEN_WRITE);
  fill_disk(h, 0, 300000);
  close_disk(h);
  make_child("child.vmdk", "base.vmdk");
  h = open_disk("child.vmdk", VDK_OPEN_SINGLE_LINK);
  assert_ok(vdk_get_info(h, &info, &err));
  assert_int_equal(info.links, 1);
  assert_ok(vdk_read_at(h, 0, buf, sizeof buf, NULL, &err));
  assert_all_zero(buf, sizeof buf);
  close_disk(h);
}

static void
test_parent_is_kept(void **state)
{
  struct vdk_open_options o = VDK_OPEN_OPTIONS_INIT;
  struct vdk_handle *h = NULL;

  make_disk("base.vmdk", "monolithicSparse", 4 * MIB);
  make_child("child.vmdk", "base.vmdk");
  o.flags = VDK_OPEN_WRITE;
  assert_fails(vdk_open(path_of("base.vmdk"), &o, &h, &err),
               VDK_E_HAS_CHILDREN);
  assert_null(h);
}

/* --- Locks ---------------------------------------------------------------- */

static void
test_locked(void **state)
{
  struct vdk_open_options o = VDK_OPEN_OPTIONS_INIT;
  struct vdk_handle *h, *second = NULL;

  make_disk("d.vmdk", "monolithicSparse", 1 * MIB);
  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  o.flags = VDK_OPEN_WRITE;
  assert_fails(vdk_open(path_of("d.vmdk"), &o, &second, &err), VDK_E_LOCKED);
  assert_null(second);
  close_disk(h);
  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  close_disk(h);
}

/* --- Wrong arguments, and failures that leave nothing --------------------- */

static void
test_bad_arguments(void **state)
{
  struct vdk_open_options o = VDK_OPEN_OPTIONS_INIT;
  struct vdk_info info = VDK_INFO_INIT;
  struct vdk_link_info link = VDK_LINK_INFO_INIT;
  struct vdk_handle *h = NULL;
  static const unsigned bad_flags[] = {1u << 30,
                                       VDK_OPEN_WRITE | VDK_OPEN_SALVAGE,
                                       VDK_OPEN_WRITE | VDK_OPEN_NO_LOCK};

  make_disk("d.raw", "raw", 1 * MIB);
  assert_fails(vdk_open(NULL, NULL, &h, &err), VDK_E_INVAL);
  assert_fails(vdk_open(path_of("d.raw"), NULL, NULL, &err), VDK_E_INVAL);
  for (size_t i = 0; i < ARRAY_SIZE(bad_flags); i++) {
    o.flags = bad_flags[i];
    assert_fails(vdk_open(path_of("d.raw"), &o, &h, &err), VDK_E_INVAL);
  }
  assert_null(h);
  assert_fails(vdk_get_info(NULL, &info, &err), VDK_E_INVAL);
  assert_fails(vdk_get_link_info(NULL, 0, &link, &err), VDK_E_INVAL);
  assert_int_equal(vdk_capacity(NULL), 0);
  assert_int_equal(vdk_close(NULL, &err), 0);
  h = open_disk("d.raw", 0);
  assert_fails(vdk_get_info(h, NULL, &err), VDK_E_INVAL);
  assert_fails(vdk_get_link_info(h, 0, NULL, &err), VDK_E_INVAL);
  close_disk(h);
}

static void
test_close_twice(void **state)
{
  struct vdk_handle *h;

  make_disk("d.raw", "raw", 1 * MIB);
  h = open_disk("d.raw", 0);
  assert_ok(vdk_close_and_clear(&h, &err));
  assert_null(h);
  assert_ok(vdk_close_and_clear(&h, &err));
}

/* Each kind of open that fails half-way leaves no descriptor behind; memory
 * is watched by the leak checker of the sanitizer build. */
static void
test_nothing_leaks(void **state)
{
  static const char not_a_vmdk[] =
      "# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\n";
  static const struct {
    const char *name;
    const char *format;
    unsigned flags;
  } opens[] = {
      {"missing.vmdk", NULL, 0},
      {"torn.vmdk", NULL, 0},
      {"child.vmdk", NULL, 0},
      {"d.vmdk", "qcow2", 0},
      {"flat.vmdk", NULL, 0},
      {".", NULL, 0},
      {"child.vmdk", NULL, VDK_OPEN_WRITE},
      {"base.vmdk", NULL, VDK_OPEN_WRITE},
  };
  int before;

  make_disk("d.vmdk", "monolithicSparse", 1 * MIB);
  make_disk("base.vmdk", "monolithicSparse", 1 * MIB);
  make_child("child.vmdk", "base.vmdk");
  make_child("other.vmdk", "base.vmdk");
  assert_int_equal(truncate(path_of("base.vmdk"), 100), 0);
  make_disk("flat.vmdk", "monolithicFlat", 1 * MIB);
  assert_int_equal(unlink(path_of("flat-flat.vmdk")), 0);
  make_file("torn.vmdk", not_a_vmdk, strlen(not_a_vmdk));

  before = open_files();
  for (size_t i = 0; i < ARRAY_SIZE(opens); i++) {
    struct vdk_open_options o = VDK_OPEN_OPTIONS_INIT;
    struct vdk_handle *h = NULL;
    int rc;

    o.flags = opens[i].flags;
    o.format = opens[i].format;
    err = (struct vdk_error)VDK_ERROR_INIT;
    rc = vdk_open(path_of(opens[i].name), &o, &h, &err);
    if (rc == 0)
      fail_msg("%s could be opened", opens[i].name);
    assert_int_equal(rc, -err.code);
    assert_true(err.text[0] != 0);
    assert_null(h);
    assert_int_equal(open_files(), before);
  }
}

/* --- vmbk: names ---------------------------------------------------------- */

static void
test_bad_vmbk_names(void **state)
{
  static const char *const names[] = {
      "vmbk:",        "vmbk:repo",     "vmbk:repo#vm",  "vmbk:#vm/0",
      "vmbk:repo#/0", "vmbk:repo#vm/", "vmbk:r#@p/0",   "vmbk:r#vm@/0",
      "vmbk:r%#vm/0", "vmbk:r%2#vm/0", "vmbk:r%zz#v/0", "vmbk:r%00#v/0",
      "vmbk:r#v%/0",  "vmbk:r#v/%4",   "vmbk:r#v%2/0",
  };
  struct vdk_open_options o = VDK_OPEN_OPTIONS_INIT;
  struct vdk_handle *h = NULL;

  for (size_t i = 0; i < ARRAY_SIZE(names); i++)
    assert_fails(vdk_open(names[i], NULL, &h, &err), VDK_E_INVAL);
  o.flags = VDK_OPEN_WRITE;
  assert_fails(vdk_open("vmbk:r#v/0", &o, &h, &err), VDK_E_READ_ONLY);
  o.flags = 0;
  o.format = "raw";
  assert_fails(vdk_open("vmbk:r#v/0", &o, &h, &err), VDK_E_INVAL);
  assert_fails(vdk_open("vmbk:/nowhere/at/all#v/0", NULL, &h, &err),
               VDK_E_NOT_A_REPO);
  assert_null(h);
}

#define T(f) cmocka_unit_test_setup_teardown(f, support_setup, support_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      T(test_info),          T(test_raw_info),       T(test_link_files),
      T(test_chain),         T(test_single_link),    T(test_parent_is_kept),
      T(test_locked),        T(test_bad_arguments),  T(test_close_twice),
      T(test_nothing_leaks), T(test_bad_vmbk_names),
  };

  return cmocka_run_group_tests_name("surface handle", tests, NULL, NULL);
}
