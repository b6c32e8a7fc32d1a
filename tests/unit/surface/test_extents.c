/* SPDX-License-Identifier: BSD-3-Clause */
/* Extents, merged and cut; metadata. */
#include "support.h"

static struct vdk_error err = VDK_ERROR_INIT;

struct list {
  struct vdk_extent e[64];
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
test_merged(void **state)
{
  struct list l = {0};
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicSparse", 100 * MIB);
  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  /* Out of order, so that neighbours in the disk are none in the file. */
  fill_disk(h, 5 * MIB + 64 * KIB, 64 * KIB);
  fill_disk(h, 5 * MIB, 64 * KIB);
  fill_disk(h, 5 * MIB + 128 * KIB, 64 * KIB);
  fill_disk(h, 99 * MIB, 1 * MIB);
  assert_ok(vdk_extents(h, 0, VDK_TO_END, 0, add, &l, &err));
  assert_int_equal(l.count, 4);
  assert_extent(&l, 0, 0, 5 * MIB, VDK_EXTENT_ZERO);
  assert_extent(&l, 1, 5 * MIB, 192 * KIB, VDK_EXTENT_DATA);
  assert_extent(&l, 2, 5 * MIB + 192 * KIB, 94 * MIB - 192 * KIB,
                VDK_EXTENT_ZERO);
  assert_extent(&l, 3, 99 * MIB, 1 * MIB, VDK_EXTENT_DATA);
  close_disk(h);
}

static void
test_cut(void **state)
{
  struct list l = {0};
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicSparse", 10 * MIB);
  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  fill_disk(h, 1 * MIB, 1 * MIB);
  assert_ok(vdk_extents(h, 1 * MIB + 7, 2 * MIB, 0, add, &l, &err));
  assert_int_equal(l.count, 2);
  assert_extent(&l, 0, 1 * MIB + 7, 1 * MIB - 7, VDK_EXTENT_DATA);
  assert_extent(&l, 1, 2 * MIB, 1 * MIB + 7, VDK_EXTENT_ZERO);
  l.count = 0;
  assert_ok(vdk_extents(h, 10 * MIB, 0, 0, add, &l, &err));
  assert_ok(vdk_extents(h, 10 * MIB, VDK_TO_END, 0, add, &l, &err));
  assert_ok(vdk_extents(h, 5, 0, 0, add, &l, &err));
  assert_int_equal(l.count, 0);
  assert_fails(vdk_extents(h, 10 * MIB + 1, VDK_TO_END, 0, add, &l, &err),
               VDK_E_RANGE);
  assert_fails(vdk_extents(h, 1, 10 * MIB, 0, add, &l, &err), VDK_E_RANGE);
  assert_fails(vdk_extents(h, UINT64_MAX, 2, 0, add, &l, &err), VDK_E_RANGE);
  close_disk(h);
}

static void
test_single_link(void **state)
{
  struct vdk_create_options o = VDK_CREATE_OPTIONS_INIT;
  struct list l = {0};
  struct vdk_handle *h;

  make_disk("base.vmdk", "monolithicSparse", 10 * MIB);
  h = open_disk("base.vmdk", VDK_OPEN_WRITE);
  fill_disk(h, 0, 2 * MIB);
  close_disk(h);
  o.parent = path_of("base.vmdk");
  assert_ok(vdk_create(path_of("child.vmdk"), &o, &err));
  h = open_disk("child.vmdk", VDK_OPEN_WRITE);
  fill_disk(h, 1 * MIB, 64 * KIB);
  assert_ok(
      vdk_extents(h, 0, VDK_TO_END, VDK_EXTENTS_SINGLE_LINK, add, &l, &err));
  assert_int_equal(l.count, 3);
  assert_extent(&l, 0, 0, 1 * MIB, VDK_EXTENT_ABSENT);
  assert_extent(&l, 1, 1 * MIB, 64 * KIB, VDK_EXTENT_DATA);
  assert_extent(&l, 2, 1 * MIB + 64 * KIB, 9 * MIB - 64 * KIB,
                VDK_EXTENT_ABSENT);
  l.count = 0;
  assert_ok(vdk_extents(h, 0, VDK_TO_END, 0, add, &l, &err));
  assert_int_equal(l.count, 2);
  assert_extent(&l, 0, 0, 2 * MIB, VDK_EXTENT_DATA);
  assert_extent(&l, 1, 2 * MIB, 8 * MIB, VDK_EXTENT_ZERO);
  close_disk(h);
}

static int
stop_at_second(void *opaque, const struct vdk_extent *e)
{
  unsigned *calls = opaque;

  return ++*calls == 2 ? -1000 : 0;
}

static void
test_stop_and_arguments(void **state)
{
  struct list l = {0};
  unsigned calls = 0;
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicSparse", 10 * MIB);
  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  fill_disk(h, 1 * MIB, 1 * MIB);
  assert_int_equal(
      vdk_extents(h, 0, VDK_TO_END, 0, stop_at_second, &calls, &err), -1000);
  assert_int_equal(calls, 2);
  assert_fails(vdk_extents(NULL, 0, 1, 0, add, &l, &err), VDK_E_INVAL);
  assert_fails(vdk_extents(h, 0, 1, 0, NULL, NULL, &err), VDK_E_INVAL);
  assert_fails(vdk_extents(h, 0, 1, 0x80, add, &l, &err), VDK_E_INVAL);
  close_disk(h);
}

/* A huge empty disk costs nothing. */
static void
test_huge(void **state)
{
  struct list l = {0};
  struct vdk_handle *h;

  make_disk("d.raw", "raw", 8 * KIB * GIB);
  h = open_disk("d.raw", 0);
  assert_ok(vdk_extents(h, 0, VDK_TO_END, 0, add, &l, &err));
  assert_int_equal(l.count, 1);
  assert_extent(&l, 0, 0, 8 * KIB * GIB, VDK_EXTENT_ZERO);
  close_disk(h);
}

/* --- Metadata ------------------------------------------------------------- */

struct pairs {
  unsigned count;
  bool found;
};

static int
look(void *opaque, const char *key, const char *value)
{
  struct pairs *p = opaque;

  p->count++;
  if (strcmp(key, "comment.test") == 0 && strcmp(value, "a value") == 0)
    p->found = true;
  return 0;
}

static int
refuse(void *opaque, const char *key, const char *value)
{
  return 7;
}

static void
test_metadata(void **state)
{
  struct pairs pairs = {0};
  char *value = NULL;
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicSparse", 10 * MIB);
  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  assert_ok(vdk_meta_get(h, "adapterType", &value, &err));
  assert_string_equal(value, "lsilogic");
  vdk_free(value);
  assert_fails(vdk_meta_get(h, "comment.test", &value, &err), VDK_E_NO_KEY);
  assert_ok(vdk_meta_set(h, "comment.test", "a value", &err));
  close_disk(h);

  h = open_disk("d.vmdk", VDK_OPEN_WRITE);
  assert_ok(vdk_meta_get(h, "comment.test", &value, &err));
  assert_string_equal(value, "a value");
  vdk_free(value);
  assert_ok(vdk_meta_list(h, look, &pairs, &err));
  assert_true(pairs.found);
  assert_true(pairs.count >= 2);
  assert_int_equal(vdk_meta_list(h, refuse, NULL, &err), 7);
  assert_ok(vdk_meta_set(h, "comment.test", NULL, &err));
  assert_fails(vdk_meta_get(h, "comment.test", &value, &err), VDK_E_NO_KEY);
  close_disk(h);
}

static void
test_metadata_arguments(void **state)
{
  struct pairs pairs = {0};
  char *value = NULL;
  struct vdk_handle *h;

  make_disk("d.vmdk", "monolithicSparse", 10 * MIB);
  h = open_disk("d.vmdk", 0);
  assert_fails(vdk_meta_set(h, "a.b", "c", &err), VDK_E_READ_ONLY);
  assert_fails(vdk_meta_get(NULL, "a", &value, &err), VDK_E_INVAL);
  assert_fails(vdk_meta_get(h, NULL, &value, &err), VDK_E_INVAL);
  assert_fails(vdk_meta_get(h, "a", NULL, &err), VDK_E_INVAL);
  assert_fails(vdk_meta_set(NULL, "a", "b", &err), VDK_E_INVAL);
  assert_fails(vdk_meta_set(h, NULL, "b", &err), VDK_E_INVAL);
  assert_fails(vdk_meta_list(NULL, look, &pairs, &err), VDK_E_INVAL);
  assert_fails(vdk_meta_list(h, NULL, NULL, &err), VDK_E_INVAL);
  close_disk(h);
  make_disk("d.raw", "raw", 1 * MIB);
  h = open_disk("d.raw", VDK_OPEN_WRITE);
  assert_fails(vdk_meta_get(h, "a", &value, &err), VDK_E_NO_KEY);
  assert_fails(vdk_meta_set(h, "a", "b", &err), VDK_E_UNSUPPORTED);
  assert_ok(vdk_meta_list(h, look, &pairs, &err));
  assert_int_equal(pairs.count, 0);
  close_disk(h);
  assert_null(value);
}

#define T(f) cmocka_unit_test_setup_teardown(f, support_setup, support_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      T(test_merged),
      T(test_cut),
      T(test_single_link),
      T(test_stop_and_arguments),
      T(test_huge),
      T(test_metadata),
      T(test_metadata_arguments),
  };

  return cmocka_run_group_tests_name("surface extents", tests, NULL, NULL);
}
