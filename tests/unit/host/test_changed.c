/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changed ranges of real chains. The model says which bytes differ between
 * two states; the ranges may cover more, and never less.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "host/host.h"
#include "tests/unit/host/vm_fixture.h"

#define DISK_SIZE (8u * 1024 * 1024)

static unsigned seeds = 1, steps = 15;

struct session {
  struct vdk_host *host;
  struct host_vm *vm;
  struct vdk_disk *disk;
};

static void
session_open(struct vmfx *fx, struct session *s)
{
  struct vdk_error err = VDK_ERROR_INIT;

  assert_ok(host_local_open(fx->vmx, 0, NULL, &s->host, &err));
  assert_ok(s->host->ops->open_vm(s->host, "", &s->vm, &err));
  assert_int_equal(s->vm->disk_count, 1);
  assert_ok(s->host->ops->open_disk(s->host, s->vm, &s->vm->disks[0], 0, 0,
                                    &s->disk, &err));
}

static void
session_close(struct session *s)
{
  disk_close(s->disk, NULL);
  host_vm_free(s->vm);
  host_close(s->host);
}

/* The state's name, as a backup would take it. */
static char *
take_id(struct vmfx *fx)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct session s;
  char *id;

  session_open(fx, &s);
  vmfx_check(s.disk, fx->live, fx->size);
  assert_ok(
      s.host->ops->change_id(s.host, s.vm, &s.vm->disks[0], s.disk, &id, &err));
  session_close(&s);
  return id;
}

/* Bytes in the changed ranges since ID, or -1 when they are lost. The disk
 * held BEFORE then; whatever differs now must be covered. */
static long long
changed_since(struct vmfx *fx, const char *id, const uint8_t *before)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_extent *ranges;
  struct session s;
  size_t count, at = 0;
  long long total = 0;
  int r;

  session_open(fx, &s);
  r = s.host->ops->changed(s.host, s.vm, &s.vm->disks[0], s.disk, id, &ranges,
                           &count, &err);
  session_close(&s);
  if (r < 0) {
    assert_int_equal(r, -VDK_E_LOST_RANGES);
    assert_true(err.text[0]);
    return -1;
  }
  for (size_t i = 0; i < count; i++) {
    assert_true(ranges[i].length > 0 && ranges[i].offset >= at);
    for (; at < ranges[i].offset; at++)
      if (before[at] != fx->live[at])
        fail_msg("byte %zu changed and is not in the ranges", at);
    at = ranges[i].offset + ranges[i].length;
    assert_true(at <= fx->size);
    total += ranges[i].length;
  }
  for (; at < fx->size; at++)
    if (before[at] != fx->live[at])
      fail_msg("byte %zu changed and is not in the ranges", at);
  free(ranges);
  return total;
}

/* Nothing was done: nothing changed, with and without snapshots. */
static void
nothing(void **state)
{
  struct vmfx fx;

  vmfx_new(&fx, "monolithicSparse", DISK_SIZE);
  for (unsigned round = 0; round < 3; round++) {
    _cleanup_free_ char *id = NULL, *again = NULL;

    vmfx_write(&fx, 5);
    id = take_id(&fx);
    again = take_id(&fx);
    assert_string_equal(id, again);
    assert_null(strstr(id, " busy "));
    assert_int_equal(changed_since(&fx, id, fx.live), 0);
    vmfx_snapshot(&fx);
    assert_int_equal(changed_since(&fx, id, fx.live), 0);
  }
  vmfx_free(&fx);
}

/* Only what the new link holds: one grain is one grain. */
static void
exact(void **state)
{
  _cleanup_free_ char *id = NULL;
  _cleanup_free_ uint8_t *before = malloc(DISK_SIZE);
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *disk;
  struct vmfx fx;

  vmfx_new(&fx, "monolithicSparse", DISK_SIZE);
  vmfx_write(&fx, 20);
  id = take_id(&fx);
  memcpy(before, fx.live, DISK_SIZE);
  vmfx_snapshot(&fx);
  memset(fx.live + 3 * 65536 + 512, 0xa5, 512);
  disk = vmfx_open(&fx, DISK_WRITE);
  assert_ok(
      disk_write(disk, 3 * 65536 + 512, fx.live + 3 * 65536 + 512, 512, &err));
  assert_ok(disk_close(disk, &err));
  assert_int_equal(changed_since(&fx, id, before), 65536);
  /* and a link more, with a grain of zeroes elsewhere */
  vmfx_snapshot(&fx);
  memset(fx.live + 9 * 65536, 0, 65536);
  disk = vmfx_open(&fx, DISK_WRITE);
  assert_ok(disk_zero(disk, 9 * 65536, 65536, &err));
  assert_ok(disk_close(disk, &err));
  assert_int_equal(changed_since(&fx, id, before), 2 * 65536);
  vmfx_free(&fx);
}

/* A base that was written: not known, and the reason names it. */
static void
base_written(void **state)
{
  _cleanup_free_ char *id = NULL;
  struct vmfx fx;

  vmfx_new(&fx, "monolithicSparse", DISK_SIZE);
  vmfx_write(&fx, 3);
  id = take_id(&fx);
  vmfx_write(&fx, 1);
  assert_int_equal(changed_since(&fx, id, fx.live), -1);
  /* and neither when a snapshot came after that */
  vmfx_snapshot(&fx);
  assert_int_equal(changed_since(&fx, id, fx.live), -1);
  vmfx_free(&fx);
}

/* Other ways to touch a base without changing its size or time. */
static void
base_replaced(void **state)
{
  static const char *const commands[] = {
      "touch '%s/disk.vmdk'",
      "cp -p '%1$s/disk.vmdk' '%1$s/x' && mv '%1$s/x' '%1$s/disk.vmdk'",
      ("cp -p '%1$s/disk.vmdk' '%1$s/x' && cp '%1$s/x' '%1$s/disk.vmdk' && "
       "touch -r '%1$s/x' '%1$s/disk.vmdk'"),
  };

  for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
    _cleanup_free_ char *id = NULL;
    struct vmfx fx;
    char command[600];

    vmfx_new(&fx, "monolithicSparse", DISK_SIZE);
    vmfx_write(&fx, 3);
    vmfx_snapshot(&fx);
    id = take_id(&fx);
    assert_int_equal(changed_since(&fx, id, fx.live), 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(command, sizeof command, commands[i], fx.dir);
#pragma GCC diagnostic pop
    fx_run("%s", command);
    assert_int_equal(changed_since(&fx, id, fx.live), -1);
    vmfx_free(&fx);
  }
}

/* Another byte at the end of FILE, in place. */
static void
poke(int fd, off_t size)
{
  uint8_t byte;

  assert_int_equal(pread(fd, &byte, 1, size - 1), 1);
  byte++;
  assert_int_equal(pwrite(fd, &byte, 1, size - 1), 1);
}

/* A state that is not called busy is of a file that no tick of a clock can
 * still hide a write of. (Kernels from 6.13 on give times fine enough that the
 * loss itself cannot be shown.) */
static void
check_settled(struct vmfx *fx, const char *id)
{
  char path[300];
  struct timespec now;
  struct stat st;

  snprintf(path, sizeof path, "%s/%s", fx->dir, fx->top);
  assert_int_equal(stat(path, &st), 0);
  clock_gettime(CLOCK_REALTIME, &now);
  if (!strstr(id, " busy "))
    assert_true((now.tv_sec - st.st_mtim.tv_sec) * 1000000000ll + now.tv_nsec -
                    st.st_mtim.tv_nsec >=
                40000000);
}

/* A write in the very moment after the name was taken, within the tick of the
 * file system's clock in which the last one before it was, is not lost. */
static void
same_moment(void **state)
{
  struct vmfx fx;
  char path[300];
  int fd;

  vmfx_new(&fx, "monolithicSparse", DISK_SIZE);
  vmfx_snapshot(&fx);
  vmfx_write(&fx, 2);
  snprintf(path, sizeof path, "%s/%s", fx.dir, fx.top);
  fd = open(path, O_RDWR);
  for (unsigned round = 0; round < 20; round++) {
    struct vdk_error err = VDK_ERROR_INIT;
    struct vdk_extent *ranges = NULL;
    struct session s;
    size_t count;
    char *id;

    session_open(&fx, &s);
    poke(fd, fx_size(fx.dir, fx.top));
    assert_ok(s.host->ops->change_id(s.host, s.vm, &s.vm->disks[0], s.disk, &id,
                                     &err));
    check_settled(&fx, id);
    poke(fd, fx_size(fx.dir, fx.top));
    assert_ok(s.host->ops->changed(s.host, s.vm, &s.vm->disks[0], s.disk, id,
                                   &ranges, &count, &err));
    assert_true(count > 0);
    session_close(&s);
    free(ranges);
    free(id);
  }
  close(fd);
  vmfx_free(&fx);
}

/* A text that is none, or another disk's, is no answer. */
static void
foreign_id(void **state)
{
  static const char *const texts[] = {
      "", "*", "52 8f 3e/12",
      ("vdkit-chain-1 size=1;other.vmdk cid=none files=1 bytes=1 "
       "sum=00000000000000000000000000000000 still held=")};
  struct vmfx fx;

  vmfx_new(&fx, "monolithicSparse", DISK_SIZE);
  for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
    assert_int_equal(changed_since(&fx, texts[i], fx.live), -1);
  vmfx_free(&fx);
}

/*
 * Random lives of a VM: writes by us and by qemu, zeroes, snapshots, reverts.
 * After each step the ranges since every earlier state that is still told of
 * must cover what differs from it.
 */
static void
random_life(const char *type, bool qemu, unsigned seed)
{
  enum { STATES = 4 };
  char *ids[STATES] = {0};
  uint8_t *images[STATES] = {0};
  bool over_base[STATES] = {0};
  struct vmfx fx;

  srand(seed);
  vmfx_new(&fx, type, DISK_SIZE);
  vmfx_write(&fx, 10);
  for (unsigned step = 0; step < steps; step++) {
    unsigned slot = rand() % STATES;

    free(ids[slot]);
    ids[slot] = take_id(&fx);
    images[slot] = images[slot] ? images[slot] : malloc(DISK_SIZE);
    memcpy(images[slot], fx.live, DISK_SIZE);
    over_base[slot] = fx.snapshot_count > 0;
    switch (rand() % 8) {
    case 0:
      break;
    case 1:
    case 2:
      vmfx_snapshot(&fx);
      break;
    case 3:
      if (fx.snapshot_count)
        vmfx_revert(&fx, 1 + rand() % fx.snapshot_count);
      break;
    case 4:
      vmfx_zero(&fx);
      break;
    case 5:
      if (qemu) {
        vmfx_write_qemu(&fx, 1 + rand() % 4);
        break;
      }
      /* fall through */
    default:
      vmfx_write(&fx, 1 + rand() % 8);
    }
    /* Once a snapshot keeps the base, nothing is lost any more. */
    for (unsigned i = 0; i < STATES; i++)
      if (ids[i] && changed_since(&fx, ids[i], images[i]) < 0)
        assert_false(over_base[i]);
  }
  for (unsigned i = 0; i < STATES; i++) {
    free(ids[i]);
    free(images[i]);
  }
  vmfx_free(&fx);
}

static void
random_lives(void **state)
{
  bool qemu = fx_has("qemu-io");

  for (unsigned seed = 1; seed <= seeds; seed++) {
    random_life("monolithicSparse", qemu, seed);
    random_life("monolithicFlat", qemu, seed + 100);
    random_life("twoGbMaxExtentSparse", qemu, seed + 200);
  }
}

/* Chains that qemu-img made, one with a child of another size of grain. */
static void
qemu_chain(void **state)
{
  _cleanup_free_ char *id = NULL;
  _cleanup_free_ uint8_t *before = malloc(DISK_SIZE);
  struct vmfx fx;
  long long changed;

  if (!fx_has("qemu-img"))
    skip();
  srand(11);
  vmfx_new(&fx, "monolithicSparse", DISK_SIZE);
  fx_run("cd '%s' && rm disk.vmdk && qemu-img create -q -f vmdk disk.vmdk 8M",
         fx.dir);
  vmfx_write_qemu(&fx, 5);
  id = take_id(&fx);
  memcpy(before, fx.live, DISK_SIZE);
  fx_run("cd '%s' && qemu-img create -q -f vmdk -b disk.vmdk -F vmdk c.vmdk &&"
         " sed -i s/disk.vmdk/c.vmdk/ fixture.vmx",
         fx.dir);
  snprintf(fx.top, sizeof fx.top, "c.vmdk");
  assert_int_equal(changed_since(&fx, id, before), 0);
  vmfx_write_qemu(&fx, 3);
  changed = changed_since(&fx, id, before);
  assert_true(changed > 0 && changed < DISK_SIZE);
  /* made anew in place: the same file, fewer grains */
  free(id);
  id = take_id(&fx);
  memcpy(before, fx.live, DISK_SIZE);
  fx_run("cd '%s' && qemu-img create -q -f vmdk -b disk.vmdk -F vmdk c.vmdk",
         fx.dir);
  free(fx.live);
  fx.live = calloc(1, DISK_SIZE);
  {
    struct vdk_error err = VDK_ERROR_INIT;
    struct vdk_disk *disk = vmfx_open(&fx, 0);

    assert_ok(disk_read(disk, 0, fx.live, DISK_SIZE, &err));
    disk_close(disk, NULL);
  }
  assert_true(memcmp(before, fx.live, DISK_SIZE) != 0);
  assert_true(changed_since(&fx, id, before) > 0);
  vmfx_free(&fx);
}

/* test-host-changed [SEEDS [STEPS]]: how long the random lives are */
int
main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing),      cmocka_unit_test(exact),
      cmocka_unit_test(base_written), cmocka_unit_test(base_replaced),
      cmocka_unit_test(same_moment),  cmocka_unit_test(foreign_id),
      cmocka_unit_test(random_lives), cmocka_unit_test(qemu_chain),
  };

  if (argc > 1)
    seeds = atoi(argv[1]);
  if (argc > 2)
    steps = atoi(argv[2]);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
