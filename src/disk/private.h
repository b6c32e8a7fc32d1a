/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the disk layer share.
 *
 *   disk.c      the object: assembled from links, asked, closed
 *   request.c   order and threads: who may run now
 *   transfer.c  what a request does to the chain: read, write, zero, extents
 *   chain.c     opening a disk with its parents
 *   meta.c      metadata through the chain
 */
#ifndef DISK_PRIVATE_H
#define DISK_PRIVATE_H

#include <pthread.h>

#include "base/pool.h"
#include "disk/disk.h"

/* A granule is bounced through memory when it is completed. */
#define DISK_GRANULARITY_MAX (16u * 1024 * 1024)

struct disk_member {
  struct vdk_link *link;
  struct link_info info; /* as it was when the chain was opened */
};

/* A completion whose DONE runs just now; lives on that thread's stack. */
struct disk_finishing {
  uint64_t number;
  struct disk_finishing *prev, *next;
};

struct vdk_disk {
  struct disk_member *links; /* 0 is the written one */
  unsigned link_count;
  uint64_t size;
  uint32_t granularity; /* of link 0: the unit in which requests exclude */
  bool writable;
  bool single;   /* the parent of link 0, if any, was left out on purpose */
  bool async;    /* link 0 takes requests itself */
  bool has_sync; /* link 0 can be called directly */
  const struct vdk_log *log;

  pthread_mutex_t mutex; /* all below */
  pthread_cond_t cond;
  unsigned sleepers; /* threads that wait on COND */
  struct vdk_request *first, *last;
  struct vdk_request *ready, **ready_end; /* for the driver's submit */
  bool draining;
  struct disk_finishing *finishing, *finishing_last;
  uint64_t finishing_number;
  struct pool *pool; /* NULL until needed */

  pthread_mutex_t meta_mutex; /* one metadata call at a time */
};

/* LINKS (link 0 first) become the disk; they are taken over on success. */
int disk_assemble(struct vdk_link *const *links, unsigned count, bool single,
                  const struct vdk_log *log, struct vdk_disk **ret,
                  struct vdk_error *err);

/* The work of a request, in this thread. Ranges are checked. */
int disk_transfer(struct vdk_disk *d, enum request_type type, uint64_t offset,
                  void *buf, uint64_t len, struct vdk_error *err);
/* The longest prefix with one state as links [first, first + count) see it;
 * ABSENT where none holds it. */
int disk_map(struct vdk_disk *d, unsigned first, unsigned count,
             uint64_t offset, uint64_t len, uint64_t *ret_len, int *ret_state,
             struct vdk_error *err);

/* REQ waits for its turn in this thread, and gives it back. */
void disk_enter(struct vdk_disk *d, struct vdk_request *req,
                enum request_type type, uint64_t offset, uint64_t len);
void disk_leave(struct vdk_disk *d, struct vdk_request *req);
/* disk_wait(), and no thread is in request.c any more. */
void disk_settle(struct vdk_disk *d);
/* A whole request in this thread. */
int disk_run(struct vdk_disk *d, enum request_type type, uint64_t offset,
             void *buf, uint64_t len, struct vdk_error *err);
int disk_check_range(struct vdk_disk *d, enum request_type type,
                     uint64_t offset, uint64_t len, struct vdk_error *err);

#endif
