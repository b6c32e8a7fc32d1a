/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cleanup by scope.
 *
 *   _cleanup_free_ char *name = str_dup(...);
 *   ...
 *   *ret = TAKE_PTR(name);
 *
 * DEFINE_CLEANUP(struct vdk_file, file_close) makes _cleanup_(file_closep)
 * usable for a pointer variable.
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>
#include <pthread.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

#define TAKE_PTR(p)                                                            \
  ({                                                                           \
    __typeof__(p) *_pp = &(p);                                                 \
    __typeof__(p) _v = *_pp;                                                   \
    *_pp = NULL;                                                               \
    _v;                                                                        \
  })

#define TAKE_FD(fd)                                                            \
  ({                                                                           \
    int *_pfd = &(fd);                                                         \
    int _v = *_pfd;                                                            \
    *_pfd = -1;                                                                \
    _v;                                                                        \
  })

#define DEFINE_CLEANUP(type, func)                                             \
  static inline void func##p(type **p)                                         \
  {                                                                            \
    if (*p)                                                                    \
      func(*p);                                                                \
  }                                                                            \
  struct cleanup_needs_semicolon

static inline void
cleanup_freep(void *p)
{
  free(*(void **)p);
}

static inline void
cleanup_closep(int *fd)
{
  if (*fd >= 0)
    close(*fd);
}

static inline void
cleanup_closedirp(DIR **d)
{
  if (*d)
    closedir(*d);
}

#define _cleanup_free_     _cleanup_(cleanup_freep)
#define _cleanup_close_    _cleanup_(cleanup_closep)
#define _cleanup_closedir_ _cleanup_(cleanup_closedirp)

/* Holds a mutex until the end of the scope: LOCK_SCOPE(&d->mutex); */
static inline void
cleanup_unlockp(pthread_mutex_t **m)
{
  if (*m)
    pthread_mutex_unlock(*m);
}

static inline pthread_mutex_t *
lock_scope_acquire(pthread_mutex_t *m)
{
  pthread_mutex_lock(m);
  return m;
}

#define LOCK_SCOPE_NAME2(l) _lock_scope_##l
#define LOCK_SCOPE_NAME(l)  LOCK_SCOPE_NAME2(l)
#define LOCK_SCOPE(m)                                                          \
  _cleanup_(cleanup_unlockp) __attribute__((unused)) pthread_mutex_t *         \
  LOCK_SCOPE_NAME(__LINE__) = lock_scope_acquire(m)

#endif
