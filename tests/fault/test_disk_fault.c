/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory and I/O that fail under disk/: over the test's own links, and over
 * real chains of VMDKs in memory directories.
 */
#include "tests/unit/unit.h"

#include "base/error.h"
#include "disk/private.h"
#include "format/format.h"
#include "tests/fault/alloc_fault.h"
#include "tests/fault/io_fault.h"
#include "tests/unit/disk/memory_link.h"

#define KIB 1024u

/* --- Requests over links that take no memory of their own ----------------- */

static const char *const meta[] = {"a", "1", "b", "2", NULL};

static int
ignore_pair(void *opaque, const char *key, const char *value)
{
  return 0;
}

static void
count_done(struct vdk_request *req, int result)
{
  *(int *)req->opaque = result;
}

static int
use_disk(struct vdk_disk *d, struct vdk_error *err)
{
  static uint8_t buf[40 * KIB];
  _cleanup_free_ char *value = NULL;
  int result = 1;
  struct vdk_request req = {.type = REQUEST_WRITE,
                            .offset = 500,
                            .length = 3000,
                            .buf = buf,
                            .done = count_done,
                            .opaque = &result};
  int r = disk_write(d, 10 * KIB + 5, buf, sizeof buf, err);

  if (r == 0)
    r = disk_zero(d, 3, 30 * KIB, err);
  if (r == 0)
    r = disk_read(d, 0, buf, sizeof buf, err);
  if (r == 0)
    r = disk_meta_get(d, "b", &value, err);
  if (r == 0)
    r = disk_meta_list(d, ignore_pair, NULL, err);
  if (r == 0)
    r = disk_submit(d, &req, err);
  if (r == 0) {
    disk_wait(d);
    r = result < 0 ? error_copy(err, &req.err) : result;
  }
  return r;
}

static int
own_links(void *opaque, struct vdk_error *err)
{
  static struct memory_link_counts counts[2];
  const struct memory_link_options o[] = {
      {.size = 64 * KIB,
       .granularity = 16 * KIB,
       .has_parent = true,
       .meta = meta},
      {.size = 64 * KIB, .granularity = 512, .meta = meta},
  };
  struct vdk_link *links[2];
  struct vdk_disk *d = NULL;
  int r;

  alloc_fault_pause();
  for (unsigned i = 0; i < 2; i++)
    links[i] = memory_link_new(&o[i], &counts[i]);
  alloc_fault_resume();
  r = disk_assemble(links, 2, false, NULL, &d, err);
  if (r < 0) {
    for (unsigned i = 0; i < 2; i++)
      links[i]->ops->close(links[i], NULL);
    return r;
  }
  r = use_disk(d, err);
  if (r == 0)
    return disk_close(d, err);
  disk_close(d, NULL);
  return r;
}

static int
one_link(void *opaque, struct vdk_error *err)
{
  static struct memory_link_counts counts;
  const struct memory_link_options o = {.size = 512, .granularity = 512};
  struct vdk_disk *d = NULL;
  struct vdk_link *l;
  int r;

  alloc_fault_pause();
  l = memory_link_new(&o, &counts);
  alloc_fault_resume();
  r = disk_from_link(l, NULL, &d, err); /* takes it over, also on failure */
  if (r == 0)
    disk_close(d, NULL);
  return r;
}

static void
no_memory_for_requests(void **state)
{
  const struct alloc_scenario scenarios[] = {
      {.name = "one link", .run = one_link},
      {.name = "two links", .run = own_links},
  };

  for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
    alloc_fault_run(&scenarios[i]);
}

/* --- A real chain --------------------------------------------------------- */

static int
make_chain(struct vdk_dir *d, void *opaque, struct vdk_error *err)
{
  const struct format *vmdk = format_by_name("vmdk");
  struct format_create c = {.size = 1024 * KIB, .type = "monolithicSparse"};
  const struct disk_open_options o = {.flags = DISK_WRITE};
  struct vdk_disk *disk = NULL;
  struct link_info info;
  static const char text[] = "of the base";
  int r = vmdk->create(d, "base.vmdk", &c, err);

  if (r == 0)
    r = disk_open(d, "base.vmdk", &o, &disk, err);
  if (r == 0)
    r = disk_write(disk, 100, text, sizeof text, err);
  if (r == 0)
    r = disk_close(disk, err);
  if (r == 0)
    r = disk_open(d, "base.vmdk", NULL, &disk, err);
  if (r < 0)
    return r;
  disk_link_info(disk, 0, &info);
  disk_close(disk, NULL);
  c.has_parent = true;
  c.parent_hint = "base.vmdk";
  c.parent_cid = info.cid;
  return vmdk->create(d, "child.vmdk", &c, err);
}

/* Opens, changes and closes the child; its first granule comes from the base
 * in part. */
static int
change_child(struct vdk_dir *d, void *opaque, struct vdk_error *err)
{
  const struct disk_open_options o = {.flags = DISK_WRITE};
  static const char text[] = "of the child";
  struct vdk_disk *disk = NULL;
  char buf[200];
  uint64_t n;
  int state, r = disk_open(d, "child.vmdk", &o, &disk, err);

  if (r < 0)
    return r;
  r = disk_write(disk, 200, text, sizeof text, err);
  if (r == 0)
    r = disk_flush(disk, err);
  if (r == 0 && opaque)
    *(size_t *)opaque = dir_fault_changes(d);
  if (r == 0)
    r = disk_read(disk, 0, buf, sizeof buf, err);
  if (r == 0)
    r = disk_extent(disk, 0, 1024 * KIB, &n, &state, err);
  if (r < 0) {
    disk_close(disk, NULL);
    return r;
  }
  return disk_close(disk, err);
}

/* Whatever happened: the chain opens, the base shows, and the child's bytes
 * are old or new. */
static void
check_chain(struct vdk_dir *d, const struct io_fault_break *b, void *opaque)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *disk = NULL;
  char buf[213];
  bool is_new;

  assert_ok(disk_open(d, "child.vmdk", NULL, &disk, &err));
  assert_int_equal(disk_link_count(disk), 2);
  assert_ok(disk_read(disk, 0, buf, sizeof buf, &err));
  disk_close(disk, NULL);
  assert_string_equal(buf + 100, "of the base");
  is_new = strcmp(buf + 200, "of the child") == 0;
  if (!is_new)
    assert_int_equal(buf[200], 0);
  if (opaque && b->at >= *(size_t *)opaque)
    assert_true(is_new);
}

static int
chain_without_memory(void *opaque, struct vdk_error *err)
{
  struct vdk_dir *d = NULL;
  int r;

  alloc_fault_pause();
  r = dir_memory_new("m", &d, err);
  if (r == 0)
    r = make_chain(d, NULL, err);
  alloc_fault_resume();
  if (r == 0)
    r = change_child(d, NULL, err);
  alloc_fault_pause();
  dir_unref(d);
  alloc_fault_resume();
  return r;
}

static void
no_memory_for_a_chain(void **state)
{
  const struct alloc_scenario s = {.name = "chain",
                                   .run = chain_without_memory};

  alloc_fault_run(&s);
}

static void
chain_on_a_bad_disk(void **state)
{
  const struct io_scenario s = {.name = "chain",
                                .setup = make_chain,
                                .run = change_child,
                                .check = check_chain,
                                /* The room that was reserved ahead is given
                                 * back at the close if that can be. */
                                .may_succeed = true};

  io_fault_each_call(&s, FAULT_ALL);
  io_fault_disk_full(&s, 512);
}

static void
chain_and_power_cuts(void **state)
{
  size_t safe = SIZE_MAX;
  const struct io_scenario s = {.name = "chain",
                                .setup = make_chain,
                                .run = change_child,
                                .check = check_chain,
                                .opaque = &safe};

  io_fault_each_crash(&s, 30);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_memory_for_requests),
      cmocka_unit_test(no_memory_for_a_chain),
      cmocka_unit_test(chain_on_a_bad_disk),
      cmocka_unit_test(chain_and_power_cuts),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
