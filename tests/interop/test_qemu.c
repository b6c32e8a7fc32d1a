/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * qemu and we take turns writing to the same disk, and both read it.
 *
 * For every type that both can write: random writes (and, of ours, zeroes)
 * by one and the other, each into what the other left; after each turn a
 * model array, our reading and qemu-img's must be the same, and qemu-img check
 * must be content. Exit 77 without qemu.
 *
 *   test_qemu [SEED]
 */
#include <unistd.h>

#include "tests/unit/unit.h"

#include "base/str.h"
#include "disk/disk.h"
#include "format/format.h"

#define SIZE  ((70u << 20) + 512 * 37)
#define TURNS 6

struct kind {
  const char *type, *qemu; /* QEMU: options with which qemu-img creates it */
  uint64_t extent;
  bool by_qemu, child, check;
};

static const struct kind kinds[] = {
    {"monolithicSparse", NULL, 0, false, false, true},
    {"twoGbMaxExtentSparse", NULL, 32u << 20, false, false, true},
    {"monolithicFlat", NULL, 0, false, false, false},
    {"twoGbMaxExtentFlat", NULL, 32u << 20, false, false, false},
    {"vmfs", NULL, 0, false, false, false},
    {"monolithicSparse", NULL, 0, false, true, true},
    {"monolithicSparse", "subformat=monolithicSparse", 0, true, false, true},
    {"monolithicSparse", "subformat=monolithicSparse,zeroed_grain=on", 0, true,
     false, true},
    {"twoGbMaxExtentSparse", "subformat=twoGbMaxExtentSparse", 0, true, false,
     true},
    {"monolithicFlat", "subformat=monolithicFlat", 0, true, false, false},
    {"monolithicSparse", "subformat=monolithicSparse", 0, true, true, true},
};

static uint8_t *want, *got;
static unsigned rng = 1;
static char *top;

static uint32_t
next(uint32_t below)
{
  rng = rng * 1664525u + 1013904223u;
  return (uint32_t)(((uint64_t)(rng >> 8) * below) >> 24);
}

/* The command must succeed; what it said is shown when it does not. */
VDK_PRINTF(1, 2)
static void
run(const char *fmt, ...)
{
  _cleanup_strbuf_ struct strbuf b = {0};
  char part[2000];
  va_list ap;

  va_start(ap, fmt);
  vsnprintf(part, sizeof part, fmt, ap);
  va_end(ap);
  strbuf_printf(&b, "{ %s; } >%s/log 2>&1 || { cat %s/log >&2; false; }", part,
                top, top);
  assert_false(b.failed);
  if (system(b.text) != 0)
    fail_msg("seed %u: %s", rng, part);
}

static void
pick(uint64_t *offset, size_t *len)
{
  *offset = next(SIZE / 512) * 512ull;
  *len = (next(4) ? next(200) + 1 : next(8000) + 1) * 512ull;
  *len = (size_t)MIN(*len, SIZE - *offset);
}

static void
fill(uint64_t offset, size_t len, int byte)
{
  memset(want + offset, byte, len);
}

static void
qemu_turn(void)
{
  char *command = str_printf("qemu-io -f vmdk");

  for (unsigned i = next(6) + 1; i > 0; i--) {
    int byte = (int)next(255) + 1;
    uint64_t offset;
    size_t len;
    char *more;

    pick(&offset, &len);
    fill(offset, len, byte);
    more = str_printf("%s -c 'write -P %d %llu %zu'", command, byte,
                      (unsigned long long)offset, len);
    free(command);
    command = more;
  }
  run("%s -c flush %s/a.vmdk", command, top);
  free(command);
}

static void
our_turn(struct vdk_dir *dir)
{
  struct disk_open_options o = {.flags = DISK_WRITE};
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *d;

  assert_ok(disk_open(dir, "a.vmdk", &o, &d, &err));
  for (unsigned i = next(12) + 1; i > 0; i--) {
    int byte = (int)next(256);
    uint64_t offset;
    size_t len;

    pick(&offset, &len);
    fill(offset, len, byte);
    if (byte < 80) {
      fill(offset, len, 0);
      assert_ok(disk_zero(d, offset, len, &err));
    } else {
      assert_ok(disk_write(d, offset, want + offset, len, &err));
    }
  }
  assert_ok(disk_close(d, &err));
}

static void
compare(struct vdk_dir *dir, bool check)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *d;
  char path[128];
  FILE *f;

  assert_ok(disk_open(dir, "a.vmdk", NULL, &d, &err));
  assert_int_equal(disk_size(d), SIZE);
  assert_ok(disk_read(d, 0, got, SIZE, &err));
  if (memcmp(got, want, SIZE) != 0)
    fail_msg("seed %u: we read it differently", rng);
  assert_ok(disk_close(d, &err));
  snprintf(path, sizeof path, "%s/want.raw", top);
  f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(fwrite(want, 1, SIZE, f), SIZE);
  fclose(f);
  run("qemu-img compare -f raw -F vmdk %s %s/a.vmdk", path, top);
  if (check)
    run("qemu-img check -f vmdk %s/a.vmdk", top);
}

static uint32_t
make_base(struct vdk_dir *dir)
{
  struct format_create c = {.size = SIZE, .type = "twoGbMaxExtentSparse"};
  struct disk_open_options o = {.flags = DISK_WRITE};
  struct vdk_error err = VDK_ERROR_INIT;
  struct link_info info;
  struct vdk_disk *d;

  assert_ok(format_by_type(c.type)->create(dir, "base.vmdk", &c, &err));
  assert_ok(disk_open(dir, "base.vmdk", &o, &d, &err));
  for (size_t i = 0; i < SIZE; i++)
    want[i] = i / 1500000 % 2 ? (uint8_t)(i / 777 + 1) : 0;
  assert_ok(disk_write(d, 0, want, SIZE, &err));
  disk_link_info(d, 0, &info);
  assert_ok(disk_close(d, &err));
  return info.cid;
}

static void
run_kind(const struct kind *k)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct format_create c = {
      .size = SIZE, .type = k->type, .extent_size = k->extent};
  struct vdk_dir *dir;

  print_message("# %s%s%s\n", k->type, k->by_qemu ? " by qemu" : "",
                k->child ? ", child" : "");
  run("rm -rf %s/*", top);
  assert_ok(dir_local_open(top, 0, &dir, &err));
  memset(want, 0, SIZE);
  if (k->child) {
    c.has_parent = true;
    c.parent_hint = "base.vmdk";
    c.parent_cid = make_base(dir);
  }
  if (!k->by_qemu)
    assert_ok(format_by_type(k->type)->create(dir, "a.vmdk", &c, &err));
  else if (k->child)
    run("cd %s && qemu-img create -f vmdk -b base.vmdk -F vmdk -o %s a.vmdk",
        top, k->qemu);
  else
    run("qemu-img create -f vmdk -o %s %s/a.vmdk %u", k->qemu, top, SIZE);
  for (int i = 0; i < TURNS; i++) {
    /* qemu tells vmfs disks from others by a createType that it can write
     * to, and those of two kinds of extents it cannot. */
    if (next(2))
      qemu_turn();
    else
      our_turn(dir);
    compare(dir, k->check);
  }
  dir_unref(dir);
}

static void
take_turns(void **state)
{
  for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
    run_kind(&kinds[i]);
}

int
main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(take_turns),
  };
  char path[] = "/tmp/vdkit-qemu-XXXXXX", command[64];
  int r;

  if (system("qemu-io --version >/dev/null 2>&1") != 0)
    return 77;
  if (argc > 1)
    rng = (unsigned)strtoul(argv[1], NULL, 0);
  top = mkdtemp(path);
  want = malloc(SIZE);
  got = malloc(SIZE);
  if (!top || !want || !got)
    return 1;
  r = cmocka_run_group_tests(tests, NULL, NULL);
  snprintf(command, sizeof command, "rm -rf %s", top);
  if (r != 0 || system(command) != 0)
    return 1;
  free(want);
  free(got);
  return 0;
}
