/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/unit.h"

#include "base/pool.h"

struct count_job {
  struct pool_job job;
  int *counter;
};

static void
count(struct pool_job *job)
{
  __atomic_add_fetch(((struct count_job *)job)->counter, 1, __ATOMIC_RELAXED);
}

static void
every_job_runs_once(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct count_job jobs[1000];
  struct pool *pool;
  int counter = 0;

  assert_ok(pool_new(3, &pool, &err));
  for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
    jobs[i] = (struct count_job){{count, NULL}, &counter};
    assert_ok(pool_submit(pool, &jobs[i].job, &err));
  }
  pool_free(pool);
  assert_int_equal(counter, 1000);
}

static void
idle_pool_has_no_thread(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct pool *pool;

  assert_ok(pool_new(0, &pool, &err));
  pool_free(pool);
  pool_free(NULL);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_job_runs_once),
      cmocka_unit_test(idle_pool_has_no_thread),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
