/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One queue, one mutex: the jobs are disk requests of tens of microseconds
 * and more, beside which the lock does not show. A thread is started when a
 * job is queued and nobody is idle, so that a disk that is only used with
 * blocking calls never has a thread.
 */
#include "base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/sys.h"

#define POOL_THREADS_MAX 256u
#define POOL_THREADS_MIN 4u

struct pool {
  pthread_mutex_t mutex;
  pthread_cond_t work;
  struct pool_job *first, **last;
  unsigned queued, idle, threads, max;
  bool stop;
  pthread_t *ids;
};

static void *
worker(void *arg)
{
  struct pool *p = arg;

  pthread_mutex_lock(&p->mutex);
  for (;;) {
    struct pool_job *job = p->first;

    if (job) {
      p->first = job->next;
      if (!p->first)
        p->last = &p->first;
      p->queued--;
      pthread_mutex_unlock(&p->mutex);
      job->run(job);
      pthread_mutex_lock(&p->mutex);
      continue;
    }
    if (p->stop)
      break;
    p->idle++;
    pthread_cond_wait(&p->work, &p->mutex);
    p->idle--;
  }
  pthread_mutex_unlock(&p->mutex);
  return NULL;
}

int
pool_new(unsigned threads, struct pool **ret, struct vdk_error *err)
{
  struct pool *p = mem_array(1, sizeof *p);

  if (!p)
    return error_nomem(err, "making a worker pool");
  if (threads == 0)
    threads = MAX(sys_cpu_count(), POOL_THREADS_MIN);
  p->max = MIN(threads, POOL_THREADS_MAX);
  p->ids = mem_array(p->max, sizeof *p->ids);
  if (!p->ids) {
    free(p);
    return error_nomem(err, "making a worker pool");
  }
  pthread_mutex_init(&p->mutex, NULL);
  pthread_cond_init(&p->work, NULL);
  p->last = &p->first;
  *ret = p;
  return 0;
}

/* Signals are the host program's: our threads take none of them. */
static int
start_thread(struct pool *p)
{
  sigset_t all, old;
  int r;

  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  r = pthread_create(&p->ids[p->threads], NULL, worker, p);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (r == 0)
    p->threads++;
  return r;
}

int
pool_submit(struct pool *p, struct pool_job *job, struct vdk_error *err)
{
  LOCK_SCOPE(&p->mutex);

  if (p->idle <= p->queued && p->threads < p->max) {
    int r = start_thread(p);

    if (r != 0 && p->threads == 0)
      return error_errno(err, r, "cannot start a worker thread");
  }
  job->next = NULL;
  *p->last = job;
  p->last = &job->next;
  p->queued++;
  pthread_cond_signal(&p->work);
  return 0;
}

void
pool_free(struct pool *p)
{
  if (!p)
    return;
  pthread_mutex_lock(&p->mutex);
  p->stop = true;
  pthread_cond_broadcast(&p->work);
  pthread_mutex_unlock(&p->mutex);
  for (unsigned i = 0; i < p->threads; i++)
    pthread_join(p->ids[i], NULL);
  pthread_cond_destroy(&p->work);
  pthread_mutex_destroy(&p->mutex);
  free(p->ids);
  free(p);
}
