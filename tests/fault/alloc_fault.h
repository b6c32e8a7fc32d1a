/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Out of memory, everywhere: a scenario is run again and again, and in run N
 * the Nth allocation fails (then, in a second round, it and all after it),
 * until a run passes without having failed one. Each failed run must end with
 * VDK_E_NOMEM and a text, and no run may leave anything allocated.
 *
 * A test links with the dependency alloc_fault (tests/fault/meson.build),
 * which replaces malloc and its kin in all of our code; the C library's own
 * allocations and those of shared libraries are not touched.
 */
#ifndef TESTS_FAULT_ALLOC_FAULT_H
#define TESTS_FAULT_ALLOC_FAULT_H

#include <vdkit/error.h>

struct alloc_scenario {
  const char *name;
  /* Frees all that it allocates, whatever happens. */
  int (*run)(void *opaque, struct vdk_error *err);
  void *opaque;
  /* Some allocation may fail and the run still succeed (a cache, a thread
   * more): allowed when set. */
  int may_succeed;
};

/* Fails the running cmocka test when the scenario breaks a rule. */
void alloc_fault_run(const struct alloc_scenario *s);

/* Between the two, allocations of this thread are not counted, never fail and
 * may outlive the run: for a scenario's own props. They nest. */
void alloc_fault_pause(void);
void alloc_fault_resume(void);

#endif
