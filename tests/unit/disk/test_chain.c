/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening chains, over a format of this test's own: a file that starts with
 * "FAKE sectors cid parent-cid hint" (hex; cid "-": none; hint "-": no
 * parent). The registry's functions are defined here instead.
 */
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/error.h"
#include "base/str.h"
#include "disk/disk.h"
#include "format/format.h"

struct fake_link {
  struct vdk_link base;
  struct link_info info;
  char hint[300];
};

static unsigned open_links; /* not yet closed */
static unsigned flags_seen[DISK_CHAIN_MAX + 1], opens;

static void
fake_info(struct vdk_link *l, struct link_info *ret)
{
  *ret = ((struct fake_link *)l)->info;
}

static int
fake_read(struct vdk_link *l, uint64_t offset, void *buf, size_t len,
          size_t *ret_len, int *ret_state, struct vdk_error *err)
{
  *ret_len = len;
  *ret_state = VDK_EXTENT_ABSENT;
  return 0;
}

static int
fake_map(struct vdk_link *l, uint64_t offset, uint64_t len, uint64_t *ret_len,
         int *ret_state, struct vdk_error *err)
{
  *ret_len = len;
  *ret_state = VDK_EXTENT_ABSENT;
  return 0;
}

static const char *
fake_hint(struct vdk_link *l)
{
  return ((struct fake_link *)l)->hint;
}

static int
fake_close(struct vdk_link *l, struct vdk_error *err)
{
  open_links--;
  free(l->name);
  free(l);
  return 0;
}

static const struct link_ops fake_ops = {.name = "fake",
                                         .info = fake_info,
                                         .read = fake_read,
                                         .map = fake_map,
                                         .parent_hint = fake_hint,
                                         .close = fake_close};

static int
fake_open(const struct format_open *o, struct vdk_link **ret,
          struct vdk_error *err)
{
  _cleanup_free_ char *text = NULL;
  struct fake_link *l;
  char cid[16], hint[300];
  uint64_t sectors;
  size_t len;
  uint32_t parent;
  int r = dir_get(o->dir, o->name, 4096, &text, &len, err);

  if (r < 0)
    return r;
  if (sscanf(text, "FAKE %" SCNx64 " %15s %" SCNx32 " %299[^\n]", &sectors, cid,
             &parent, hint) != 4)
    return error_set(err, VDK_E_CORRUPT, "%s is damaged", o->name);
  l = calloc(1, sizeof *l);
  l->base.ops = &fake_ops;
  l->base.name = path_join(o->dir->path, o->name);
  l->info = (struct link_info){.size = sectors * 512,
                               .granularity = 512,
                               .format = "fake",
                               .type = "",
                               .has_cid = cid[0] != '-',
                               .cid = (uint32_t)strtoul(cid, NULL, 16),
                               .parent_cid = parent,
                               .has_parent = strcmp(hint, "-") != 0,
                               .file_count = 1};
  if (l->info.has_parent)
    strcpy(l->hint, strcmp(hint, "?") == 0 ? "" : hint);
  open_links++;
  flags_seen[opens++ % ARRAY_SIZE(flags_seen)] = o->flags;
  *ret = &l->base;
  return 0;
}

static const struct format fake_format = {.name = "fake", .open = fake_open};

const struct format *
format_by_name(const char *name)
{
  return strcmp(name, "fake") == 0 ? &fake_format : NULL;
}

const struct format *
format_probe(const uint8_t *head, size_t len, uint64_t file_size)
{
  return len >= 4 && memcmp(head, "FAKE", 4) == 0 ? &fake_format : NULL;
}

static struct vdk_dir *
scene(void)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_dir *d = NULL;

  opens = 0;
  assert_ok(dir_memory_new("mem", &d, &err));
  return d;
}

static void
put(struct vdk_dir *d, const char *name, const char *fmt, ...)
{
  struct vdk_error err = VDK_ERROR_INIT;
  char text[512];
  va_list args;

  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  if (strchr(name, '/')) {
    char *folder = path_dirname(name);

    assert_ok(dir_make(d, folder, &err));
    free(folder);
  }
  assert_ok(dir_put(d, name, text, strlen(text), true, &err));
}

static void
assert_chain(struct vdk_dir *d, const char *name, const char *want)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *disk = NULL;
  char got[600] = "";

  assert_ok(disk_open(d, name, NULL, &disk, &err));
  for (unsigned i = 0; i < disk_link_count(disk); i++) {
    strcat(got, disk_link_name(disk, i) + strlen("mem/"));
    strcat(got, " ");
  }
  disk_close(disk, NULL);
  assert_string_equal(got, want);
  assert_int_equal(open_links, 0);
}

static void
assert_refused(struct vdk_dir *d, const char *name, int code, const char *word1,
               const char *word2)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *disk = NULL;

  assert_fails(disk_open(d, name, NULL, &disk, &err), code);
  assert_null(disk);
  assert_int_equal(open_links, 0);
  if (!strstr(err.text, word1) || !strstr(err.text, word2))
    fail_msg("neither %s nor %s in: %s", word1, word2, err.text);
}

static void
three_readings_of_a_hint(void **state)
{
  _cleanup_dir_ struct vdk_dir *d = scene();

  put(d, "base.vmdk", "FAKE 8 aa ffffffff -\n");
  put(d, "child.vmdk", "FAKE 8 bb aa base.vmdk\n");
  assert_chain(d, "child.vmdk", "child.vmdk base.vmdk ");
  /* An absolute name of another machine: the file beside the child. */
  put(d, "c2.vmdk", "FAKE 8 cc bb /vmfs/volumes/x/vm/child.vmdk\n");
  assert_chain(d, "./c2.vmdk", "c2.vmdk child.vmdk base.vmdk ");
  put(d, "c3.vmdk", "FAKE 8 dd cc C:\\VMs\\my vm\\c2.vmdk\n");
  assert_chain(d, "c3.vmdk", "c3.vmdk c2.vmdk child.vmdk base.vmdk ");
  /* The hint from the child's folder. */
  put(d, "clone/a.vmdk", "FAKE 8 ee aa ../base.vmdk\n");
  assert_chain(d, "clone/a.vmdk", "clone/a.vmdk base.vmdk ");
  put(d, "sub/deep/b.vmdk", "FAKE 8 b1 ffffffff -\n");
  put(d, "sub/c.vmdk", "FAKE 8 b2 b1 deep/./b.vmdk\n");
  assert_chain(d, "sub//c.vmdk", "sub/c.vmdk sub/deep/b.vmdk ");
  /* A folder beside the child's. */
  put(d, "clone/b.vmdk", "FAKE 8 ee b1 /vmfs/volumes/y/deep/b.vmdk\n");
  assert_refused(d, "clone/b.vmdk", VDK_E_UNSAFE_PATH, "deep", "clone/b.vmdk");
  put(d, "deep/b.vmdk", "FAKE 8 b1 ffffffff -\n");
  assert_chain(d, "clone/b.vmdk", "clone/b.vmdk deep/b.vmdk ");
}

static void
same_base_name_elsewhere(void **state)
{
  _cleanup_dir_ struct vdk_dir *d = scene();

  /* Every linked clone has a disk-000001 of its own. */
  put(d, "base/d.vmdk", "FAKE 8 aa ffffffff -\n");
  put(d, "clone/d.vmdk", "FAKE 8 bb aa ../base/d.vmdk\n");
  assert_chain(d, "clone/d.vmdk", "clone/d.vmdk base/d.vmdk ");
  put(d, "clone/x.vmdk", "FAKE 8 cc aa ../base/d.vmdk\n");
  assert_chain(d, "clone/x.vmdk", "clone/x.vmdk base/d.vmdk ");
}

static void
content_ids_are_compared(void **state)
{
  const struct disk_open_options salvage = {.flags = DISK_SALVAGE};
  _cleanup_dir_ struct vdk_dir *d = scene();
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *disk = NULL;

  put(d, "base.vmdk", "FAKE 8 aa ffffffff -\n");
  put(d, "child.vmdk", "FAKE 8 bb ab base.vmdk\n");
  assert_refused(d, "child.vmdk", VDK_E_CID_MISMATCH, "mem/base.vmdk",
                 "mem/child.vmdk");
  assert_ok(disk_open(d, "child.vmdk", &salvage, &disk, &err));
  assert_int_equal(disk_link_count(disk), 2);
  disk_close(disk, NULL);
  put(d, "base.vmdk", "FAKE 8 - ffffffff -\n");
  assert_refused(d, "child.vmdk", VDK_E_CID_MISMATCH, "no content id",
                 "mem/child.vmdk");
  /* A fresh child has its parent's id as its own. */
  put(d, "base.vmdk", "FAKE 8 ab ffffffff -\n");
  put(d, "child.vmdk", "FAKE 8 ab ab base.vmdk\n");
  assert_chain(d, "child.vmdk", "child.vmdk base.vmdk ");
}

static void
parents_that_are_not_there(void **state)
{
  _cleanup_dir_ struct vdk_dir *d = scene();

  put(d, "a.vmdk", "FAKE 8 bb aa gone.vmdk\n");
  assert_refused(d, "a.vmdk", VDK_E_PARENT, "mem/a.vmdk", "gone.vmdk");
  put(d, "b.vmdk", "FAKE 8 bb aa ?\n");
  assert_refused(d, "b.vmdk", VDK_E_PARENT, "mem/b.vmdk", "does not name");
  put(d, "c.vmdk", "FAKE 8 bb aa ../../etc/passwd\n");
  assert_refused(d, "c.vmdk", VDK_E_UNSAFE_PATH, "mem/c.vmdk",
                 "../../etc/passwd");
  put(d, "e.vmdk", "FAKE 8 bb aa /dev/sda\n");
  assert_refused(d, "e.vmdk", VDK_E_UNSAFE_PATH, "mem/e.vmdk", "/dev/sda");
  put(d, "f.vmdk", "FAKE 8 bb aa ..\n");
  assert_refused(d, "f.vmdk", VDK_E_UNSAFE_PATH, "mem/f.vmdk", "..");
  put(d, "g.vmdk", "FAKE 8 bb aa broken.vmdk\n");
  put(d, "broken.vmdk", "FAKE nonsense");
  assert_refused(d, "g.vmdk", VDK_E_CORRUPT, "parent of mem/g.vmdk",
                 "broken.vmdk");
  put(d, "h.vmdk", "FAKE 8 bb aa empty.vmdk\n");
  put(d, "empty.vmdk", "%s", "");
  assert_refused(d, "h.vmdk", VDK_E_NOT_A_DISK, "empty", "mem/h.vmdk");
  assert_refused(d, "none.vmdk", VDK_E_NOT_FOUND, "none.vmdk", "");
  put(d, "i.vmdk", "FAKE 8 bb aa folder/\n");
  assert_refused(d, "i.vmdk", VDK_E_PARENT, "mem/i.vmdk", "folder/");
}

static void
loops_and_long_chains(void **state)
{
  _cleanup_dir_ struct vdk_dir *d = scene();
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *disk = NULL;
  char name[32];

  put(d, "self.vmdk", "FAKE 8 aa aa self.vmdk\n");
  assert_refused(d, "self.vmdk", VDK_E_CHAIN, "loop", "mem/self.vmdk");
  put(d, "a.vmdk", "FAKE 8 aa aa b.vmdk\n");
  put(d, "b.vmdk", "FAKE 8 aa aa c.vmdk\n");
  put(d, "c.vmdk", "FAKE 8 aa aa ./a.vmdk\n");
  assert_refused(d, "a.vmdk", VDK_E_CHAIN, "loop", "mem/c.vmdk");
  for (unsigned i = 0; i <= DISK_CHAIN_MAX; i++) {
    snprintf(name, sizeof name, "l%u", i);
    put(d, name, "FAKE 8 aa aa %s%u\n", i ? "l" : "-", i - 1);
  }
  put(d, "l0", "FAKE 8 aa ffffffff -\n");
  snprintf(name, sizeof name, "l%u", DISK_CHAIN_MAX);
  assert_refused(d, name, VDK_E_CHAIN, "256", name);
  snprintf(name, sizeof name, "l%u", DISK_CHAIN_MAX - 1);
  assert_ok(disk_open(d, name, NULL, &disk, &err));
  assert_int_equal(disk_link_count(disk), DISK_CHAIN_MAX);
  disk_close(disk, NULL);
  assert_int_equal(open_links, 0);
}

static void
options_reach_the_format(void **state)
{
  _cleanup_dir_ struct vdk_dir *d = scene();
  struct vdk_error err = VDK_ERROR_INIT;
  struct disk_open_options o = {.flags = DISK_WRITE | DISK_UNBUFFERED |
                                         DISK_IGNORE_CHILDREN};
  struct vdk_disk *disk = NULL;

  put(d, "base.vmdk", "FAKE 8 aa ffffffff -\n");
  put(d, "child.vmdk", "FAKE 8 bb aa base.vmdk\n");
  assert_ok(disk_open(d, "child.vmdk", &o, &disk, &err));
  disk_close(disk, NULL);
  assert_int_equal(flags_seen[0],
                   FORMAT_WRITE | FORMAT_UNBUFFERED | FORMAT_IGNORE_CHILDREN);
  assert_int_equal(flags_seen[1], FORMAT_UNBUFFERED | FORMAT_AS_PARENT);
  o = (struct disk_open_options){.flags = DISK_SINGLE_LINK | DISK_NO_LOCK,
                                 .format = "fake"};
  opens = 0;
  assert_ok(disk_open(d, "child.vmdk", &o, &disk, &err));
  assert_int_equal(disk_link_count(disk), 1);
  assert_int_equal(flags_seen[0], FORMAT_NO_LOCK);
  disk_close(disk, NULL);
  o.format = "other";
  assert_fails(disk_open(d, "child.vmdk", &o, &disk, &err), VDK_E_INVAL);
  o.flags = DISK_WRITE | DISK_NO_LOCK;
  assert_fails(disk_open(d, "child.vmdk", &o, &disk, &err), VDK_E_INVAL);
}

/* Over real directories: what DIR_ALLOW_OUTSIDE opens, and links that the
 * user himself names. */
static void
paths_of_the_user(void **state)
{
  char tmp[] = "/tmp/vdk-chain-XXXXXX", path[64], link[64], command[128];
  _cleanup_dir_ struct vdk_dir *d = NULL;
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *disk = NULL;

  assert_non_null(mkdtemp(tmp));
  assert_ok(dir_local_open(tmp, 0, &d, &err));
  put(d, "base/d.vmdk", "FAKE 8 aa ffffffff -\n");
  put(d, "clone/d.vmdk", "FAKE 8 bb aa ../base/d.vmdk\n");
  snprintf(path, sizeof path, "%s/clone/d.vmdk", tmp);
  assert_fails(disk_open_path(path, 0, NULL, &disk, &err), VDK_E_UNSAFE_PATH);
  assert_non_null(strstr(err.text, "allow files outside"));
  assert_ok(disk_open_path(path, DIR_ALLOW_OUTSIDE, NULL, &disk, &err));
  assert_int_equal(disk_link_count(disk), 2);
  disk_close(disk, NULL);
  /* A link elsewhere that the user names leads to the disk's own folder. */
  put(d, "clone/e.vmdk", "FAKE 8 bb bb d2.vmdk\n");
  put(d, "clone/d2.vmdk", "FAKE 8 bb ffffffff -\n");
  snprintf(link, sizeof link, "%s/link.vmdk", tmp);
  assert_int_equal(symlink("clone/e.vmdk", link), 0);
  assert_ok(disk_open_path(link, 0, NULL, &disk, &err));
  assert_int_equal(disk_link_count(disk), 2);
  disk_close(disk, NULL);
  assert_fails(disk_open_path("/nonexistent/x", 0, NULL, &disk, &err),
               VDK_E_NOT_FOUND);
  assert_true(disk_open_path(tmp, 0, NULL, &disk, &err) < 0);
  assert_int_equal(open_links, 0);
  snprintf(command, sizeof command, "rm -rf '%s'", tmp);
  assert_int_equal(system(command), 0);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(three_readings_of_a_hint),
      cmocka_unit_test(same_base_name_elsewhere),
      cmocka_unit_test(content_ids_are_compared),
      cmocka_unit_test(parents_that_are_not_there),
      cmocka_unit_test(loops_and_long_chains),
      cmocka_unit_test(options_reach_the_format),
      cmocka_unit_test(paths_of_the_user),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
