/* SPDX-License-Identifier: BSD-3-Clause */
/* Structs that grow: older and newer callers, and layouts that allow it. */
#include "support.h"

static struct vdk_error err = VDK_ERROR_INIT;

/* No struct may end in padding: a field put there later would be garbage in
 * older callers, which count the padding in their size. */
#define ENDS_WITH(type, last)                                                  \
  _Static_assert(sizeof(struct type) == offsetof(struct type, last) +          \
                                            sizeof(((struct type *)0)->last),  \
                 #type " does not end in padding")
ENDS_WITH(vdk_open_options, log);
ENDS_WITH(vdk_info, adapter);
ENDS_WITH(vdk_link_info, type);
ENDS_WITH(vdk_create_options, parent);
ENDS_WITH(vdk_convert_options, log);
ENDS_WITH(vdk_convert_stats, type);
ENDS_WITH(vdk_compare_options, log);
ENDS_WITH(vdk_vm_options, log);
ENDS_WITH(vdk_repo_init_options, level);
ENDS_WITH(vdk_repo_options, log);
ENDS_WITH(vdk_repo_info, name);
ENDS_WITH(vdk_verify_options, found_opaque);
ENDS_WITH(vdk_verify_stats, unreferenced_packs);
ENDS_WITH(vdk_backup_options, log);
ENDS_WITH(vdk_restore_options, log);
ENDS_WITH(vdk_vmbk_writer_options, checkpoint);
ENDS_WITH(vdk_vmbk_disk_options, meta);

struct newer_options {
  struct vdk_open_options known;
  uint64_t unknown;
};

static void
test_newer_caller(void **state)
{
  struct newer_options o = {VDK_OPEN_OPTIONS_INIT, 0};
  struct vdk_handle *h = NULL;

  make_disk("d.raw", "raw", 1 * MIB);
  o.known.size = sizeof o;
  assert_ok(vdk_open(path_of("d.raw"), &o.known, &h, &err));
  close_disk(h);
  h = NULL;
  o.unknown = 1;
  assert_fails(vdk_open(path_of("d.raw"), &o.known, &h, &err),
               VDK_E_UNSUPPORTED);
  assert_null(h);
}

static void
test_no_size(void **state)
{
  static const size_t sizes[] = {0, 1, sizeof(struct vdk_open_options) - 1,
                                 5000, SIZE_MAX};
  struct vdk_open_options o = VDK_OPEN_OPTIONS_INIT;
  struct vdk_handle *h = NULL;

  make_disk("d.raw", "raw", 1 * MIB);
  for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
    o.size = sizes[i];
    assert_fails(vdk_open(path_of("d.raw"), &o, &h, &err), VDK_E_INVAL);
  }
  assert_null(h);
}

struct newer_info {
  struct vdk_info known;
  uint64_t unknown;
};

/* What the library does not know is zero, and size stays the caller's. */
static void
test_newer_info(void **state)
{
  struct newer_info info = {VDK_INFO_INIT, 99};
  struct vdk_info unset;
  struct vdk_handle *h;

  make_disk("d.raw", "raw", 1 * MIB);
  h = open_disk("d.raw", 0);
  info.known.size = sizeof info;
  assert_ok(vdk_get_info(h, &info.known, &err));
  assert_int_equal(info.known.size, sizeof info);
  assert_int_equal(info.known.capacity, 1 * MIB);
  assert_int_equal(info.unknown, 0);
  memset(&unset, 0, sizeof unset);
  assert_fails(vdk_get_info(h, &unset, &err), VDK_E_INVAL);
  close_disk(h);
}

static void
test_small_things(void **state)
{
  unsigned major, minor, patch;
  char rest;
  size_t count = 0;

  assert_int_equal(
      sscanf(vdk_version(), "%u.%u.%u%c", &major, &minor, &patch, &rest), 3);
  for (const char *const *n = vdk_type_names(); *n; n++, count++)
    assert_non_null(vdk_type_text(*n));
  assert_true(count >= 7);
  assert_non_null(vdk_type_text("STREAMoptimized"));
  assert_null(vdk_type_text("floppy"));
  assert_null(vdk_type_text(NULL));
  assert_string_equal(vdk_type_by_suffix("/a/b.raw"), "raw");
  assert_string_equal(vdk_type_by_suffix("b.img"), "raw");
  assert_non_null(vdk_type_by_suffix("b.vmdk"));
  assert_null(vdk_type_by_suffix("b.docx"));
  assert_null(vdk_type_by_suffix(NULL));
  assert_string_equal(vdk_method_name(VDK_METHOD_FULL), "full");
  assert_string_equal(vdk_method_name(VDK_METHOD_RANGES), "ranges");
  assert_string_equal(vdk_method_name(VDK_METHOD_COMPARE), "compare");
  assert_string_equal(vdk_method_name(3), "unknown");
  assert_string_equal(vdk_method_name(-1), "unknown");
  vdk_free(NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, support_setup, support_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      T(test_newer_caller),
      T(test_no_size),
      T(test_newer_info),
      T(test_small_things),
  };

  return cmocka_run_group_tests_name("surface options", tests, NULL, NULL);
}
