/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fault driver: a directory that wraps another, fails on demand, and
 * records what is written, so that a test can cut the power anywhere.
 *
 * A record is the sequence of changes in the order in which they were done.
 * dir_fault_crash() builds a new memory directory as a disk could look after a
 * power cut behind change CUT: every change that a flush or sync at or before
 * CUT made durable is there; of the others those that KEEP says. A write may
 * be torn between two sectors, never inside one: disks promise that much.
 * The state of the wrapped directory when recording starts is copied, and may
 * be that of any driver.
 *
 * A directory that was made is durable, like a file's name, when the directory
 * above it was synced; what is in it is lost with it otherwise.
 */
#ifndef FILE_FAULT_H
#define FILE_FAULT_H

#include "file/file.h"

enum fault_op {
  FAULT_OPEN = 1 << 0,
  FAULT_READ = 1 << 1,
  FAULT_WRITE = 1 << 2, /* write, zero, truncate, allocate */
  FAULT_FLUSH = 1 << 3, /* flush, sync */
  FAULT_NAME = 1 << 4,  /* create, rename, remove, make */
  FAULT_LOCK = 1 << 5,
  FAULT_ALL = (1 << 6) - 1,
};

struct fault_plan {
  unsigned ops;     /* enum fault_op: which calls count */
  uint64_t fail_at; /* the how-manieth call that counts fails; 0 = none */
  bool sticky;      /* and all that follow fail too */
  int os_errno;     /* with what: EIO when 0 */
  size_t max_io;    /* reads and writes are cut into pieces of this; 0 = no */
  uint64_t space;   /* bytes that may still be written before ENOSPC; 0 = no
                       limit. The write that does not fit writes what fits. */
};

/* Wraps INNER (a reference is taken). PLAN may be changed by fault_set. */
int dir_fault_new(struct vdk_dir *inner, const struct fault_plan *plan,
                  struct vdk_dir **ret, struct vdk_error *err);
void dir_fault_set(struct vdk_dir *fault, const struct fault_plan *plan);
/* Calls that counted since the last dir_fault_set. */
uint64_t dir_fault_count(struct vdk_dir *fault);

/* Starts a record; the state of INNER at this moment is its base. */
int dir_fault_record(struct vdk_dir *fault, struct vdk_error *err);
/* Number of changes recorded; a flush or sync counts as one too. */
size_t dir_fault_changes(struct vdk_dir *fault);

enum crash_keep {
  CRASH_KEEP_NONE,   /* only what was durable */
  CRASH_KEEP_ALL,    /* everything up to the cut */
  CRASH_KEEP_TORN,   /* everything, but of the last write only the first half
                        of its sectors */
  CRASH_KEEP_RANDOM, /* each by a coin thrown with SEED; some writes torn */
};

/* The directory after a power cut behind the first CUT changes. */
int dir_fault_crash(struct vdk_dir *fault, size_t cut, enum crash_keep keep,
                    unsigned seed, struct vdk_dir **ret, struct vdk_error *err);

#endif
