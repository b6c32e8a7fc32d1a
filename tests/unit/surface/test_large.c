/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One read of more than 2 GiB, cut at an end of the disk that is further away
 * than 32 bits can say.
 *
 * The buffer is one megabyte of memory seen again and again, so that the test
 * needs address space and not memory; only the last megabyte is its own.
 */
#include <sys/mman.h>

#include "support.h"

#define LEN   (2 * GIB + 2 * MIB)
#define SHORT UINT64_C(1024)

static struct vdk_error err = VDK_ERROR_INIT;

static uint8_t *
folded_buffer(void)
{
  uint8_t *base = mmap(NULL, LEN, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  int fd = memfd_create("vdkit-test", MFD_CLOEXEC);

  assert_true(base != MAP_FAILED);
  assert_true(fd >= 0);
  assert_int_equal(ftruncate(fd, 2 * MIB), 0);
  for (uint64_t at = 0; at < LEN; at += MIB)
    assert_true(mmap(base + at, MIB, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_FIXED, fd,
                     at + MIB == LEN ? MIB : 0) != MAP_FAILED);
  close(fd);
  return base;
}

static void
test_large_read(void **state)
{
  const uint64_t size = 9 * GIB;
  uint8_t *buf = folded_buffer();
  size_t done = 0;
  struct vdk_handle *h;

  make_disk("d.raw", "raw", size);
  h = open_disk("d.raw", VDK_OPEN_WRITE);
  fill_disk(h, size - 4096, 4096);
  assert_ok(vdk_read_at(h, size - LEN + SHORT, buf, LEN, &done, &err));
  assert_int_equal(done, LEN - SHORT);
  assert_filled(buf + LEN - SHORT - 4096, size - 4096, 4096);
  assert_all_zero(buf, 4096);
  close_disk(h);
  munmap(buf, LEN);
}

#define T(f) cmocka_unit_test_setup_teardown(f, support_setup, support_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {T(test_large_read)};

  return cmocka_run_group_tests_name("surface large", tests, NULL, NULL);
}
