/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pool of worker threads that run jobs in the order in which they were
 * given. Threads start when they are first needed.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <vdkit/error.h>

struct pool;

struct pool_job {
  void (*run)(struct pool_job *job);
  struct pool_job *next; /* the pool's */
};

/* THREADS at most; 0: as many as processors, 4 at least. */
int pool_new(unsigned threads, struct pool **ret, struct vdk_error *err);
/* Waits for all jobs, then ends the threads. NULL is fine. Not from a job. */
void pool_free(struct pool *p);
/* JOB is the caller's memory until it runs. Fails only when not one thread can
 * be started. */
int pool_submit(struct pool *p, struct pool_job *job, struct vdk_error *err);

#endif
