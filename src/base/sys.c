/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/sys.h"

#include <errno.h>
#include <sched.h>
#include <sys/random.h>
#include <time.h>

#include "base/error.h"

uint64_t
sys_monotonic_ns(void)
{
  struct timespec ts;

  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int
sys_random(void *buf, size_t len, struct vdk_error *err)
{
  unsigned char *p = buf;

  while (len > 0) {
    ssize_t n = getrandom(p, len, 0);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return error_errno(err, errno, "cannot get random bytes");
    p += n;
    len -= (size_t)n;
  }
  return 0;
}

unsigned
sys_cpu_count(void)
{
  cpu_set_t set;
  int n;

  if (sched_getaffinity(0, sizeof set, &set) < 0)
    return 1;
  n = CPU_COUNT(&set);
  return n > 0 ? (unsigned)n : 1;
}
