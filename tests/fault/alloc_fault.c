/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The linker's --wrap sends every call of malloc() and its kin in our objects
 * to __wrap_malloc() here. While armed, live pointers are kept in a table, so
 * that a leak is seen in the very run that makes it.
 */
#include "tests/fault/alloc_fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define LIVE_MAX (1u << 16) /* a power of two */
#define RUNS_MAX 20000u
#define GONE     ((void *)1) /* a slot whose pointer was freed */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **ret, size_t alignment, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t len);
void __wrap_free(void *p);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
  bool armed, sticky;
  unsigned long count, fail_at;
  unsigned failed; /* injected in this run */
  unsigned long live_count;
  void *live[LIVE_MAX];
} state;
static __thread unsigned paused;

static bool
should_fail(void)
{
  bool fails = false;

  if (paused)
    return false;
  pthread_mutex_lock(&mutex);
  if (state.armed) {
    state.count++;
    fails = state.sticky ? state.count >= state.fail_at
                         : state.count == state.fail_at;
    state.failed += fails;
  }
  pthread_mutex_unlock(&mutex);
  if (fails)
    errno = ENOMEM; /* as the real ones do */
  return fails;
}

static size_t
slot_of(const void *p)
{
  return (size_t)(((uintptr_t)p >> 4) * 0x9e3779b97f4a7c15u >> 40) &
         (LIVE_MAX - 1);
}

static void *
note_live(void *p)
{
  if (!p || paused)
    return p;
  pthread_mutex_lock(&mutex);
  if (state.armed && state.live_count < LIVE_MAX / 2) {
    size_t i = slot_of(p);

    while (state.live[i] && state.live[i] != GONE)
      i = (i + 1) % LIVE_MAX;
    state.live[i] = p;
    state.live_count++;
  }
  pthread_mutex_unlock(&mutex);
  return p;
}

static void
note_free(void *p)
{
  if (!p)
    return;
  pthread_mutex_lock(&mutex);
  if (state.armed)
    for (size_t i = slot_of(p); state.live[i]; i = (i + 1) % LIVE_MAX)
      if (state.live[i] == p) {
        state.live[i] = GONE;
        state.live_count--;
        break;
      }
  pthread_mutex_unlock(&mutex);
}

void *
__wrap_malloc(size_t size)
{
  return should_fail() ? NULL : note_live(__real_malloc(size));
}

void *
__wrap_calloc(size_t count, size_t size)
{
  return should_fail() ? NULL : note_live(__real_calloc(count, size));
}

void *
__wrap_realloc(void *p, size_t size)
{
  void *grown;

  if (should_fail())
    return NULL;
  note_free(p);
  grown = __real_realloc(p, size);
  note_live(grown ? grown : p);
  return grown;
}

void *
__wrap_aligned_alloc(size_t alignment, size_t size)
{
  return should_fail() ? NULL
                       : note_live(__real_aligned_alloc(alignment, size));
}

int
__wrap_posix_memalign(void **ret, size_t alignment, size_t size)
{
  void *p = __wrap_aligned_alloc(alignment, size);

  if (!p)
    return ENOMEM;
  *ret = p;
  return 0;
}

char *
__wrap_strndup(const char *s, size_t len)
{
  char *copy;

  len = strnlen(s, len);
  copy = __wrap_malloc(len + 1);
  if (copy) {
    memcpy(copy, s, len);
    copy[len] = 0;
  }
  return copy;
}

char *
__wrap_strdup(const char *s)
{
  return __wrap_strndup(s, strlen(s));
}

void
__wrap_free(void *p)
{
  note_free(p);
  __real_free(p);
}

void
alloc_fault_pause(void)
{
  paused++;
}

void
alloc_fault_resume(void)
{
  paused--;
}

static void
arm(unsigned long fail_at, bool sticky)
{
  pthread_mutex_lock(&mutex);
  memset(&state, 0, sizeof state);
  state.fail_at = fail_at;
  state.sticky = sticky;
  state.armed = true;
  pthread_mutex_unlock(&mutex);
}

/* One run. True when nothing was made to fail: the scenario is through. */
static bool
run_once(const struct alloc_scenario *s, unsigned long n, bool sticky)
{
  struct vdk_error err = VDK_ERROR_INIT;
  unsigned failed;
  unsigned long live;
  int r;

  arm(n, sticky);
  r = s->run(s->opaque, &err);
  pthread_mutex_lock(&mutex);
  state.armed = false;
  failed = state.failed;
  live = state.live_count;
  pthread_mutex_unlock(&mutex);
  if (live > 0)
    fail_msg("%s: %lu allocations are left after allocation %lu failed%s",
             s->name, live, n, sticky ? " and all after it" : "");
  if (failed == 0 && r < 0)
    fail_msg("%s: fails by itself: %s", s->name, vdk_error_message(&err));
  if (failed > 0 && r == 0 && !s->may_succeed)
    fail_msg("%s: allocation %lu failed, and nobody noticed", s->name, n);
  if (r < 0 && (err.code != VDK_E_NOMEM || r != -VDK_E_NOMEM || !err.text[0]))
    fail_msg("%s: allocation %lu failed, reported as %d (%d): %s", s->name, n,
             r, err.code, vdk_error_message(&err));
  return failed == 0;
}

void
alloc_fault_run(const struct alloc_scenario *s)
{
  for (int sticky = 0; sticky < 2; sticky++) {
    unsigned long n = 1;

    while (!run_once(s, n, sticky))
      if (++n > RUNS_MAX)
        fail_msg("%s: more than %u allocations", s->name, RUNS_MAX);
    if (sticky == 0)
      print_message("%s: %lu allocations\n", s->name, n - 1);
  }
}
