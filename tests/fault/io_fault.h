/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failing I/O, full disks and power cuts, everywhere: over the fault driver
 * (src/file/fault.h), a scenario is run again and again, each time broken at
 * the next place.
 */
#ifndef TESTS_FAULT_IO_FAULT_H
#define TESTS_FAULT_IO_FAULT_H

#include "file/fault.h"

/* What went on before the check that is about to be made. */
struct io_fault_break {
  uint64_t at;          /* the failed call, the bytes of room, or the cut */
  enum crash_keep keep; /* crashes only */
  unsigned seed;
};

struct io_scenario {
  const char *name;
  /* The state before, made in an empty memory directory; may be NULL. */
  int (*setup)(struct vdk_dir *dir, void *opaque, struct vdk_error *err);
  /* What is broken. Closes all that it opens, whatever happens. For crashes:
   * it notes dir_fault_changes(DIR) in OPAQUE wherever something must be
   * safe from then on. */
  int (*run)(struct vdk_dir *dir, void *opaque, struct vdk_error *err);
  /* The state after: fails the cmocka test when it is not right. DIR works
   * again. May be NULL. */
  void (*check)(struct vdk_dir *dir, const struct io_fault_break *b,
                void *opaque);
  void *opaque;
  /* Some call may fail and the run still succeed (space given back, as a
   * favour): allowed when set. */
  bool may_succeed;
};

/* The Nth call among OPS (enum fault_op) fails, then it and all after it. A
 * run that was broken must fail, with VDK_E_IO. */
void io_fault_each_call(const struct io_scenario *s, unsigned ops);

/* Room for N bytes, N in STEPs from 1 until the run passes. A run that did not
 * pass must fail with VDK_E_NO_SPACE. */
void io_fault_disk_full(const struct io_scenario *s, uint64_t step);

/* Runs once, recorded; then the power is cut behind every change, and for each
 * way to lose what was not flushed CHECK looks at the result. SEEDS: how many
 * random ways at each cut. */
void io_fault_each_crash(const struct io_scenario *s, unsigned seeds);

#endif
