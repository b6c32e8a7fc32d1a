/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole disks: create, convert, compare; complete or not at all. */
#include "support.h"

#define SIZE (8 * MIB)

static struct vdk_error err = VDK_ERROR_INIT;

/* A disk with some data, some zeroes that are stored, and holes. */
static void
make_source(const char *name, const char *type)
{
  static uint8_t zeroes[128 * KIB];
  struct vdk_handle *h;

  make_disk(name, type, SIZE);
  h = open_disk(name, VDK_OPEN_WRITE);
  fill_disk(h, 0, 100000);
  fill_disk(h, 3 * MIB + 17, 300001);
  fill_disk(h, SIZE - 512, 512);
  assert_ok(vdk_write_at(h, 5 * MIB, zeroes, sizeof zeroes, NULL, &err));
  close_disk(h);
}

static void
assert_same(const char *a, const char *b)
{
  uint64_t offset = 0;

  assert_ok(vdk_compare(path_of(a), path_of(b), NULL, &offset, &err));
  assert_int_equal(offset, VDK_NO_DIFFERENCE);
}

/* --- Create --------------------------------------------------------------- */

static void
test_create_refuses(void **state)
{
  struct vdk_create_options o = VDK_CREATE_OPTIONS_INIT;

  assert_fails(vdk_create(NULL, &o, &err), VDK_E_INVAL);
  assert_fails(vdk_create(path_of("d.vmdk"), NULL, &err), VDK_E_INVAL);
  assert_fails(vdk_create(path_of("d.vmdk"), &o, &err), VDK_E_INVAL);
  o.capacity = 513;
  assert_fails(vdk_create(path_of("d.vmdk"), &o, &err), VDK_E_INVAL);
  o.capacity = 1 * MIB;
  assert_fails(vdk_create(path_of("d.doc"), &o, &err), VDK_E_INVAL);
  o.type = "floppy";
  assert_fails(vdk_create(path_of("d.vmdk"), &o, &err), VDK_E_UNSUPPORTED);
  o.type = "MONOLITHICSPARSE";
  assert_fails(vdk_create(path_of("no/such/folder/d.vmdk"), &o, &err),
               VDK_E_NOT_FOUND);
  assert_int_equal(entries(support_dir), 0);
  assert_ok(vdk_create(path_of("d.vmdk"), &o, &err));
  assert_fails(vdk_create(path_of("d.vmdk"), &o, &err), VDK_E_EXISTS);
  assert_int_equal(entries(support_dir), 1);
}

static void
test_create_all_types(void **state)
{
  for (const char *const *type = vdk_type_names(); *type; type++) {
    struct vdk_info info = VDK_INFO_INIT;
    struct vdk_handle *h;
    char name[64];

    snprintf(name, sizeof name, "%s.%s", *type,
             strcmp(*type, "raw") == 0 ? "raw" : "vmdk");
    make_disk(name, *type, SIZE);
    h = open_disk(name, 0);
    assert_ok(vdk_get_info(h, &info, &err));
    assert_int_equal(info.capacity, SIZE);
    if (strcmp(*type, "raw") != 0)
      assert_string_equal(info.type, *type);
    close_disk(h);
  }
}

static void
test_create_child(void **state)
{
  struct vdk_create_options o = VDK_CREATE_OPTIONS_INIT;
  struct vdk_handle *h;

  make_source("base.vmdk", "monolithicSparse");
  assert_int_equal(mkdir(path_of("sub"), 0700), 0);
  o.parent = path_of("base.vmdk");
  o.capacity = SIZE - 512;
  assert_fails(vdk_create(path_of("child.vmdk"), &o, &err), VDK_E_INVAL);
  o.capacity = 0;
  assert_ok(vdk_create(path_of("child.vmdk"), &o, &err));
  assert_same("base.vmdk", "child.vmdk");
  assert_ok(vdk_create(path_of("sub/far.vmdk"), &o, &err));
  h = open_disk("sub/far.vmdk", VDK_OPEN_ALLOW_OUTSIDE);
  assert_disk_filled(h, 0, 100000);
  close_disk(h);
  o.parent = path_of("missing.vmdk");
  assert_fails(vdk_create(path_of("x.vmdk"), &o, &err), VDK_E_NOT_FOUND);
  o.parent = "vmbk:r#v/0";
  assert_fails(vdk_create(path_of("x.vmdk"), &o, &err), VDK_E_UNSUPPORTED);
  o.parent = path_of("base.vmdk");
  o.parent_flags = VDK_OPEN_WRITE;
  assert_fails(vdk_create(path_of("x.vmdk"), &o, &err), VDK_E_INVAL);
  assert_int_not_equal(access(path_of("x.vmdk"), F_OK), 0);
}

/* A raw image has nothing by which a child could see that it changed. */
static void
test_create_child_of_raw(void **state)
{
  struct vdk_create_options o = VDK_CREATE_OPTIONS_INIT;

  make_source("base.raw", "raw");
  o.parent = path_of("base.raw");
  assert_fails(vdk_create(path_of("child.vmdk"), &o, &err), VDK_E_UNSUPPORTED);
  assert_int_equal(entries(support_dir), 1);
}

/* --- Convert -------------------------------------------------------------- */

static void
test_convert_all_types(void **state)
{
  make_source("s.vmdk", "monolithicSparse");
  for (const char *const *type = vdk_type_names(); *type; type++) {
    struct vdk_convert_options o = VDK_CONVERT_OPTIONS_INIT;
    struct vdk_convert_stats stats = VDK_CONVERT_STATS_INIT;
    struct vdk_info info = VDK_INFO_INIT;
    struct vdk_handle *h;
    char name[64];

    snprintf(name, sizeof name, "to-%s", *type);
    o.type = *type;
    assert_ok(vdk_convert(path_of("s.vmdk"), path_of(name), &o, &stats, &err));
    assert_int_equal(stats.passed, SIZE);
    assert_true(stats.read < SIZE / 2);
    assert_true(stats.read > 400000);
    assert_string_equal(stats.type, *type);
    assert_same("s.vmdk", name);
    h = open_disk(name, 0);
    assert_ok(vdk_get_info(h, &info, &err));
    if (strcmp(*type, "raw") != 0)
      assert_string_equal(info.type, *type);
    close_disk(h);
  }
}

static void
test_convert_there_and_back(void **state)
{
  static const char *const types[] = {"streamOptimized", "twoGbMaxExtentFlat"};

  make_source("s.raw", "raw");
  for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
    struct vdk_convert_options o = VDK_CONVERT_OPTIONS_INIT;

    o.type = types[i];
    o.fast = 1;
    o.overwrite = 1;
    assert_ok(vdk_convert(path_of("s.raw"), path_of("d.vmdk"), &o, NULL, &err));
    o.type = NULL;
    assert_ok(vdk_convert(path_of("d.vmdk"), path_of("b.raw"), &o, NULL, &err));
    assert_same("s.raw", "b.raw");
  }
}

static void
test_convert_refuses(void **state)
{
  struct vdk_convert_options o = VDK_CONVERT_OPTIONS_INIT;
  int before;

  make_source("s.vmdk", "monolithicSparse");
  make_file("there.raw", "keep", 4);
  before = open_files();
  assert_fails(vdk_convert(NULL, path_of("t.raw"), &o, NULL, &err),
               VDK_E_INVAL);
  assert_fails(vdk_convert(path_of("s.vmdk"), NULL, &o, NULL, &err),
               VDK_E_INVAL);
  assert_fails(vdk_convert(path_of("s.vmdk"), path_of("t.doc"), &o, NULL, &err),
               VDK_E_INVAL);
  assert_fails(
      vdk_convert(path_of("s.vmdk"), path_of("there.raw"), &o, NULL, &err),
      VDK_E_EXISTS);
  assert_int_equal(err.side, VDK_SIDE_TARGET);
  assert_fails(
      vdk_convert(path_of("none.vmdk"), path_of("t.raw"), &o, NULL, &err),
      VDK_E_NOT_FOUND);
  assert_int_equal(err.side, VDK_SIDE_SOURCE);
  assert_fails(
      vdk_convert(path_of("s.vmdk"), path_of("no/t.raw"), &o, NULL, &err),
      VDK_E_NOT_FOUND);
  o.level = 13;
  assert_fails(vdk_convert(path_of("s.vmdk"), path_of("t.raw"), &o, NULL, &err),
               VDK_E_INVAL);
  o.level = 0;
  o.source_flags = VDK_OPEN_WRITE;
  assert_fails(vdk_convert(path_of("s.vmdk"), path_of("t.raw"), &o, NULL, &err),
               VDK_E_INVAL);
  o.source_flags = 0;
  o.type = "monolithicSparse";
  assert_fails(vdk_convert(path_of("s.vmdk"), "-", &o, NULL, &err),
               VDK_E_UNSUPPORTED);
  o.type = "floppy";
  assert_fails(vdk_convert(path_of("s.vmdk"), path_of("t.raw"), &o, NULL, &err),
               VDK_E_UNSUPPORTED);
  assert_int_equal(open_files(), before);
  assert_int_equal(entries(support_dir), 2);
}

static void
test_convert_overwrites(void **state)
{
  struct vdk_convert_options o = VDK_CONVERT_OPTIONS_INIT;
  struct vdk_handle *h;

  make_source("s.vmdk", "monolithicSparse");
  make_file("t.raw", "old", 3);
  o.overwrite = 1;
  assert_ok(vdk_convert(path_of("s.vmdk"), path_of("t.raw"), &o, NULL, &err));
  assert_same("s.vmdk", "t.raw");
  assert_int_equal(entries(support_dir), 2);

  /* Never a part of the source, a folder, or a disk in use. */
  assert_fails(
      vdk_convert(path_of("s.vmdk"), path_of("s.vmdk"), &o, NULL, &err),
      VDK_E_INVAL);
  assert_int_equal(mkdir(path_of("f.raw"), 0700), 0);
  assert_fails(vdk_convert(path_of("s.vmdk"), path_of("f.raw"), &o, NULL, &err),
               VDK_E_UNSUPPORTED);
  h = open_disk("t.raw", VDK_OPEN_WRITE);
  assert_fails(vdk_convert(path_of("s.vmdk"), path_of("t.raw"), &o, NULL, &err),
               VDK_E_LOCKED);
  close_disk(h);
}

static void
test_convert_not_over_parent(void **state)
{
  struct vdk_create_options c = VDK_CREATE_OPTIONS_INIT;
  struct vdk_convert_options o = VDK_CONVERT_OPTIONS_INIT;

  make_source("base.vmdk", "monolithicFlat");
  c.parent = path_of("base.vmdk");
  assert_ok(vdk_create(path_of("child.vmdk"), &c, &err));
  o.overwrite = 1;
  assert_fails(
      vdk_convert(path_of("child.vmdk"), path_of("base.vmdk"), &o, NULL, &err),
      VDK_E_INVAL);
  assert_fails(vdk_convert(path_of("child.vmdk"), path_of("base-flat.vmdk"), &o,
                           NULL, &err),
               VDK_E_INVAL);
  assert_same("base.vmdk", "child.vmdk");
}

/* --- Progress and cancel -------------------------------------------------- */

struct watcher {
  unsigned calls, cancel_at;
  struct vdk_progress_info last;
};

static int
watch(void *opaque, const struct vdk_progress_info *info)
{
  struct watcher *w = opaque;

  assert_non_null(info->item);
  assert_true(info->done >= w->last.done);
  w->last = *info;
  w->calls++;
  return w->cancel_at && w->calls >= w->cancel_at;
}

static void
test_convert_progress(void **state)
{
  struct vdk_convert_options o = VDK_CONVERT_OPTIONS_INIT;
  struct watcher w = {0};

  make_source("s.vmdk", "monolithicSparse");
  o.progress.fn = watch;
  o.progress.opaque = &w;
  assert_ok(vdk_convert(path_of("s.vmdk"), path_of("t.raw"), &o, NULL, &err));
  assert_true(w.calls >= 1);
  assert_int_equal(w.last.done, SIZE);
  assert_int_equal(w.last.total, SIZE);
}

static void
test_convert_cancel(void **state)
{
  static const char *const types[] = {
      "raw", "monolithicSparse", "twoGbMaxExtentSparse", "streamOptimized"};

  make_source("s.vmdk", "monolithicSparse");
  make_file("old", "keep", 4);
  for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
    struct vdk_convert_options o = VDK_CONVERT_OPTIONS_INIT;
    struct watcher w = {.cancel_at = 1};
    int before = open_files();

    o.progress.fn = watch;
    o.progress.opaque = &w;
    o.type = types[i];
    assert_fails(vdk_convert(path_of("s.vmdk"), path_of("new"), &o, NULL, &err),
                 VDK_E_CANCELLED);
    o.overwrite = 1;
    w = (struct watcher){.cancel_at = 1};
    assert_fails(vdk_convert(path_of("s.vmdk"), path_of("old"), &o, NULL, &err),
                 VDK_E_CANCELLED);
    assert_int_equal(entries(support_dir), 2);
    assert_int_equal(open_files(), before);
  }
}

/* --- Pipes ---------------------------------------------------------------- */

/* Runs a conversion in a child with descriptors 0 and 1 as given. */
static int
convert_redirected(const char *from, const char *in, const char *to,
                   const char *out, const char *type)
{
  char command[1200];

  snprintf(command, sizeof command, "%s '%s' '%s' %s %s%s %s%s",
           getenv("VDKIT_PIPE_HELPER"), from, to, type ? type : "",
           in ? "<" : "", in ? in : "", out ? ">" : "", out ? out : "");
  return system(command);
}

static void
test_pipe_out_and_in(void **state)
{
  static const char *const types[] = {"raw", "streamOptimized"};
  char command[2000];

  if (!getenv("VDKIT_PIPE_HELPER"))
    skip();
  make_source("s.vmdk", "monolithicSparse");
  for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
    /* Through real pipes on both sides. */
    snprintf(command, sizeof command, "%s '%s' - %s | cat | %s - '%s' raw",
             getenv("VDKIT_PIPE_HELPER"), path_of("s.vmdk"), types[i],
             getenv("VDKIT_PIPE_HELPER"), path_of("piped.raw"));
    assert_int_equal(system(command), 0);
    assert_same("s.vmdk", "piped.raw");
    assert_int_equal(unlink(path_of("piped.raw")), 0);
    /* From a file by redirection; its size is known. */
    assert_int_equal(convert_redirected(path_of("s.vmdk"), NULL, "-",
                                        path_of("out"), types[i]),
                     0);
    assert_same("s.vmdk", "out");
    assert_int_equal(convert_redirected("-", path_of("out"), path_of("t.vmdk"),
                                        NULL, "monolithicSparse"),
                     0);
    assert_same("s.vmdk", "t.vmdk");
    assert_int_equal(unlink(path_of("t.vmdk")), 0);
  }
}

/* --- Compare -------------------------------------------------------------- */

static void
test_compare(void **state)
{
  static const uint64_t places[] = {0, 99999, 3 * MIB + 17, SIZE - 1};
  uint64_t offset = 1;
  uint8_t byte = 0xfe;
  struct vdk_handle *h;

  make_source("a.vmdk", "monolithicSparse");
  make_source("b.raw", "raw");
  assert_same("a.vmdk", "b.raw");
  for (size_t i = ARRAY_SIZE(places); i-- > 0;) {
    h = open_disk("b.raw", VDK_OPEN_WRITE);
    assert_ok(vdk_write_at(h, places[i], &byte, 1, NULL, &err));
    close_disk(h);
    assert_ok(
        vdk_compare(path_of("a.vmdk"), path_of("b.raw"), NULL, &offset, &err));
    assert_int_equal(offset, places[i]);
    assert_ok(
        vdk_compare(path_of("b.raw"), path_of("a.vmdk"), NULL, &offset, &err));
    assert_int_equal(offset, places[i]);
  }
}

static void
test_compare_sizes_and_arguments(void **state)
{
  struct vdk_compare_options o = VDK_COMPARE_OPTIONS_INIT;
  struct watcher w = {.cancel_at = 1};
  uint64_t offset = 1;

  make_disk("a.raw", "raw", 1 * MIB);
  make_disk("b.raw", "raw", 2 * MIB);
  assert_ok(
      vdk_compare(path_of("a.raw"), path_of("b.raw"), NULL, &offset, &err));
  assert_int_equal(offset, 1 * MIB);
  offset = 1;
  assert_fails(vdk_compare(NULL, path_of("b.raw"), NULL, &offset, &err),
               VDK_E_INVAL);
  assert_fails(vdk_compare(path_of("a.raw"), NULL, NULL, &offset, &err),
               VDK_E_INVAL);
  assert_fails(
      vdk_compare(path_of("a.raw"), path_of("b.raw"), NULL, NULL, &err),
      VDK_E_INVAL);
  assert_fails(
      vdk_compare(path_of("a.raw"), path_of("no.raw"), NULL, &offset, &err),
      VDK_E_NOT_FOUND);
  o.flags = VDK_OPEN_WRITE;
  assert_fails(
      vdk_compare(path_of("a.raw"), path_of("b.raw"), &o, &offset, &err),
      VDK_E_INVAL);
  make_source("c.raw", "raw");
  o.flags = 0;
  o.progress.fn = watch;
  o.progress.opaque = &w;
  assert_fails(
      vdk_compare(path_of("c.raw"), path_of("c.raw"), &o, &offset, &err),
      VDK_E_CANCELLED);
  assert_int_equal(offset, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, support_setup, support_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      T(test_create_refuses),
      T(test_create_all_types),
      T(test_create_child),
      T(test_create_child_of_raw),
      T(test_convert_all_types),
      T(test_convert_there_and_back),
      T(test_convert_refuses),
      T(test_convert_overwrites),
      T(test_convert_not_over_parent),
      T(test_convert_progress),
      T(test_convert_cancel),
      T(test_pipe_out_and_in),
      T(test_compare),
      T(test_compare_sizes_and_arguments),
  };

  return cmocka_run_group_tests_name("surface ops", tests, NULL, NULL);
}
