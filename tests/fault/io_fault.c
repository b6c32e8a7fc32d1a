/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fault/io_fault.h"

#include "tests/unit/unit.h"

#define RUNS_MAX 100000u

/* A fresh memory directory with the state before, wrapped. */
static struct vdk_dir *
stage(const struct io_scenario *s, struct vdk_dir **ret_inner)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_dir *inner = NULL, *fault = NULL;

  assert_ok(dir_memory_new("memory", &inner, &err));
  if (s->setup)
    assert_ok(s->setup(inner, s->opaque, &err));
  assert_ok(dir_fault_new(inner, NULL, &fault, &err));
  *ret_inner = inner;
  return fault;
}

/* One broken run. True when nothing broke. */
static bool
run_broken(const struct io_scenario *s, const struct fault_plan *plan,
           uint64_t at, int want)
{
  const struct io_fault_break b = {.at = at};
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_dir *inner, *fault = stage(s, &inner);
  bool broken;
  int r;

  dir_fault_set(fault, plan);
  r = s->run(fault, s->opaque, &err);
  broken = plan->space ? r < 0 : dir_fault_count(fault) >= plan->fail_at;
  if (!broken && r < 0)
    fail_msg("%s: fails by itself: %s", s->name, vdk_error_message(&err));
  if (broken && r == 0 && !s->may_succeed)
    fail_msg("%s: call %llu failed, and nobody noticed", s->name,
             (unsigned long long)at);
  if (r < 0 && (err.code != want || r != -want || !err.text[0]))
    fail_msg("%s: broken at %llu, reported as %d (%d): %s", s->name,
             (unsigned long long)at, r, err.code, vdk_error_message(&err));
  dir_fault_set(fault, NULL);
  if (s->check)
    s->check(inner, &b, s->opaque);
  dir_unref(fault);
  dir_unref(inner);
  return !broken;
}

void
io_fault_each_call(const struct io_scenario *s, unsigned ops)
{
  for (int sticky = 0; sticky < 2; sticky++) {
    struct fault_plan plan = {.ops = ops, .fail_at = 1, .sticky = sticky};

    while (!run_broken(s, &plan, plan.fail_at, VDK_E_IO))
      if (++plan.fail_at > RUNS_MAX)
        fail_msg("%s: more than %u calls", s->name, RUNS_MAX);
    if (!sticky)
      print_message("%s: %llu calls\n", s->name,
                    (unsigned long long)plan.fail_at - 1);
  }
}

void
io_fault_disk_full(const struct io_scenario *s, uint64_t step)
{
  struct fault_plan plan = {.space = 1};
  unsigned runs = 1;

  for (; !run_broken(s, &plan, plan.space, VDK_E_NO_SPACE); runs++) {
    plan.space += step;
    if (runs > RUNS_MAX)
      fail_msg("%s: more than %u steps", s->name, RUNS_MAX);
  }
  print_message("%s: needs at most %llu bytes\n", s->name,
                (unsigned long long)plan.space);
}

static void
crash_once(const struct io_scenario *s, struct vdk_dir *fault,
           const struct io_fault_break *b)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_dir *crashed = NULL;

  assert_ok(
      dir_fault_crash(fault, (size_t)b->at, b->keep, b->seed, &crashed, &err));
  s->check(crashed, b, s->opaque);
  dir_unref(crashed);
}

void
io_fault_each_crash(const struct io_scenario *s, unsigned seeds)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_dir *inner, *fault = stage(s, &inner);
  size_t changes;

  assert_ok(dir_fault_record(fault, &err));
  assert_ok(s->run(fault, s->opaque, &err));
  changes = dir_fault_changes(fault);
  print_message("%s: %zu changes\n", s->name, changes);
  for (size_t cut = 0; cut <= changes; cut++) {
    for (int keep = CRASH_KEEP_NONE; keep < CRASH_KEEP_RANDOM; keep++)
      crash_once(s, fault,
                 &(struct io_fault_break){cut, (enum crash_keep)keep, 0});
    for (unsigned seed = 0; seed < seeds; seed++)
      crash_once(s, fault,
                 &(struct io_fault_break){cut, CRASH_KEEP_RANDOM, seed});
  }
  dir_unref(fault);
  dir_unref(inner);
}
