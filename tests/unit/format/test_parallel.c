/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads on one sparse disk: each writes, zeroes, flushes, maps and reads
 * grains of its own, spread so that all share tables and pages are evicted.
 * Meant for ThreadSanitizer as much as for the result.
 */
#include <pthread.h>

#include "tests/unit/unit.h"

#include "disk/disk.h"
#include "format/format.h"

#define THREADS 4
#define STEPS   700
#define DISK    (700ull << 30)

static struct vdk_disk *disk;

struct worker {
  pthread_t thread;
  unsigned number;
  struct vdk_error err;
  int result;
};

/* Grain I of a worker: neighbours belong to others. */
static uint64_t
place(unsigned number, unsigned i)
{
  uint64_t page = (uint64_t)i * 7 % 601 * (1180ull << 20);

  return page + ((uint64_t)i * THREADS + number) * 65536;
}

static int
work_step(struct worker *w, unsigned i)
{
  uint8_t buf[8192];
  uint64_t len;
  int state, r;

  memset(buf, (int)(i % 250) + 1, sizeof buf);
  r = disk_write(disk, place(w->number, i) + 100, buf, sizeof buf, &w->err);
  if (r == 0 && i % 5 == 4)
    r = disk_zero(disk, place(w->number, i - 2), 65536, &w->err);
  if (r == 0 && i % 40 == w->number)
    r = disk_flush(disk, &w->err);
  if (r == 0 && i % 7 == 3)
    r = disk_extent(disk, place(w->number, i / 2), 1u << 20, &len, &state,
                    &w->err);
  if (r == 0)
    r = disk_read(disk, place(w->number, i / 2) + 100, buf, 512, &w->err);
  return r;
}

static void *
work(void *opaque)
{
  struct worker *w = opaque;

  for (unsigned i = 0; i < STEPS && w->result == 0; i++)
    w->result = work_step(w, i);
  return NULL;
}

static void
check(void)
{
  for (unsigned i = 0; i < STEPS; i++)
    for (unsigned k = 0; k < THREADS; k++) {
      struct vdk_error err = VDK_ERROR_INIT;
      uint8_t b[2];
      unsigned want = i % 5 == 2 && i + 2 < STEPS ? 0 : i % 250 + 1;

      assert_ok(disk_read(disk, place(k, i) + 99, b, 2, &err));
      assert_int_equal(b[0], 0);
      if (b[1] != want)
        fail_msg("worker %u, step %u: %u, not %u", k, i, b[1], want);
    }
}

static void
threads_share_a_disk(void **state)
{
  struct format_create c = {.size = DISK, .type = "monolithicSparse"};
  struct disk_open_options o = {.flags = DISK_WRITE};
  struct vdk_error err = VDK_ERROR_INIT;
  static struct worker workers[THREADS];
  struct vdk_dir *dir;

  assert_ok(dir_memory_new("m", &dir, &err));
  assert_ok(format_by_name("vmdk")->create(dir, "a.vmdk", &c, &err));
  assert_ok(disk_open(dir, "a.vmdk", &o, &disk, &err));
  for (unsigned i = 0; i < THREADS; i++) {
    workers[i].number = i;
    assert_int_equal(
        pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
  }
  for (unsigned i = 0; i < THREADS; i++)
    pthread_join(workers[i].thread, NULL);
  for (unsigned i = 0; i < THREADS; i++)
    if (workers[i].result != 0)
      fail_msg("worker %u: %s", i, vdk_error_message(&workers[i].err));
  check();
  assert_ok(disk_close(disk, &err));
  assert_ok(disk_open(dir, "a.vmdk", NULL, &disk, &err));
  check();
  assert_ok(disk_close(disk, &err));
  dir_unref(dir);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads_share_a_disk),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
