/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * struct vdk_disk: a disk as the guest sees it.
 *
 * A disk is a chain of links (disk/link.h), opened here whatever their
 * formats, and a queue of requests. Requests are asynchronous at heart:
 * disk_submit() returns at once and DONE is called once, from any thread,
 * with none of our locks held; it may submit more, but not wait for others. The
 * blocking calls are the same path, run in the caller's thread where the driver
 * blocks anyway.
 *
 * Order: two requests that overlap, and of which one writes, take effect in
 * the order in which they were submitted, aligned or not. Writes are tracked
 * in granules, so that neighbours inside one granule lose nothing either.
 * Reads never wait for reads. A flush covers all that completed before it was
 * submitted.
 *
 * Any offset and length are good: nothing here needs alignment.
 *
 * Threads: every call but disk_close may be made from several threads.
 */
#ifndef DISK_DISK_H
#define DISK_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdkit/types.h>

#include "base/pool.h"
#include "disk/link.h"
#include "file/file.h"

struct vdk_disk;

enum disk_open_flags {
  DISK_WRITE = 1 << 0,
  /* Only the link itself: what is ABSENT stays so and reads as zeroes. */
  DISK_SINGLE_LINK = 1 << 1,
  /* Take no lock; the caller knows that nobody writes. Readers only. */
  DISK_NO_LOCK = 1 << 2,
  /* O_DIRECT where the file system can. */
  DISK_UNBUFFERED = 1 << 3,
  /* Opens a damaged disk as far as it can be read, with warnings. */
  DISK_SALVAGE = 1 << 4,
  /* Write even though children of this link were found. They are lost. */
  DISK_IGNORE_CHILDREN = 1 << 5,
};

#define DISK_CHAIN_MAX 256 /* links; ESXi allows 32 snapshots */

struct disk_open_options {
  unsigned flags;            /* enum disk_open_flags */
  const char *format;        /* "vmdk", "raw"; NULL: by content */
  const struct vdk_log *log; /* must outlive the disk; may be NULL */
};

/* The disk whose first file (descriptor, or the image itself) is NAME in DIR.
 * Parents are looked for as vmdk-formats section 3 says, within what DIR
 * allows: basename beside the child, the hint from the child's directory,
 * "../<last directory>/<basename>". Parents are opened read-only, their CIDs
 * compared; a loop, a missing or a changed parent is an error that names both
 * files. OPTIONS may be NULL. */
int disk_open(struct vdk_dir *dir, const char *name,
              const struct disk_open_options *options, struct vdk_disk **ret,
              struct vdk_error *err);

/* The same for a path that the user gave: its directory is opened with
 * DIR_FLAGS (enum dir_flags). */
int disk_open_path(const char *path, unsigned dir_flags,
                   const struct disk_open_options *options,
                   struct vdk_disk **ret, struct vdk_error *err);

/* A disk of one link that the caller opened. LINK is taken over, also on
 * failure. */
int disk_from_link(struct vdk_link *link, const struct vdk_log *log,
                   struct vdk_disk **ret, struct vdk_error *err);

/* Waits for what is under way, then closes all links and frees the disk, in
 * every case. The first error of closing the written link is returned. */
int disk_close(struct vdk_disk *d, struct vdk_error *err);
static inline void
disk_closep(struct vdk_disk **d)
{
  if (*d)
    disk_close(*d, NULL);
}
#define _cleanup_disk_ _cleanup_(disk_closep)

uint64_t disk_size(const struct vdk_disk *d); /* bytes */
const char *disk_name(const struct vdk_disk *d);
/* Links in the chain, 1 at least; link 0 is the written one. */
unsigned disk_link_count(const struct vdk_disk *d);
void disk_link_info(struct vdk_disk *d, unsigned index, struct link_info *ret);
const char *disk_link_name(const struct vdk_disk *d, unsigned index);
struct vdk_link *disk_link(struct vdk_disk *d, unsigned index);

/* --- Requests ------------------------------------------------------------ */

enum request_type {
  REQUEST_READ,
  REQUEST_WRITE,
  REQUEST_ZERO,
  REQUEST_FLUSH,
};

/* Memory of the caller's, valid until DONE has been called. */
struct vdk_request {
  enum request_type type;
  uint64_t offset; /* bytes; not for FLUSH */
  uint64_t length; /* bytes; for READ and WRITE it must fit a size_t */
  void *buf;       /* READ: filled; WRITE: not changed */
  void (*done)(struct vdk_request *req, int result);
  void *opaque;         /* the caller's */
  struct vdk_error err; /* filled when result is not 0 */

  /* The disk layer's own. */
  struct {
    struct vdk_disk *disk;
    struct vdk_request *prev, *next; /* under way, in order of submission */
    struct vdk_request *queue_next;  /* ready for the driver */
    struct pool_job job;             /* ready for a worker */
    uint64_t start, end;             /* the granules it holds */
    unsigned waits_for;              /* earlier requests in its way */
    bool waiter;                     /* a thread sleeps on it: no DONE */
  } priv;
};

/* Returns 0 when DONE will be called (perhaps already was); an error means
 * that it will not. A range beyond the end is VDK_E_RANGE. */
int disk_submit(struct vdk_disk *d, struct vdk_request *req,
                struct vdk_error *err);
/* For drivers with link_ops.submit. */
void request_complete(struct vdk_request *req, int result);
/* Waits until nothing submitted before is under way, and the DONE of each has
 * returned. Not from a DONE: it would wait for itself. */
void disk_wait(struct vdk_disk *d);

/* Blocking. All of the range, or an error. */
int disk_read(struct vdk_disk *d, uint64_t offset, void *buf, size_t len,
              struct vdk_error *err);
int disk_write(struct vdk_disk *d, uint64_t offset, const void *buf, size_t len,
               struct vdk_error *err);
int disk_zero(struct vdk_disk *d, uint64_t offset, uint64_t len,
              struct vdk_error *err);
int disk_flush(struct vdk_disk *d, struct vdk_error *err);

/* State at OFFSET and how far it reaches, at most LEN bytes, through the
 * chain: DATA or ZERO; with DISK_SINGLE_LINK also ABSENT. Neighbouring
 * extents may have the same state. */
int disk_extent(struct vdk_disk *d, uint64_t offset, uint64_t len,
                uint64_t *ret_len, int *ret_state, struct vdk_error *err);
/* The same for links FIRST .. FIRST+COUNT-1 only: ABSENT where none of them
 * holds the range. This is how the change between two snapshots is found. */
int disk_extent_links(struct vdk_disk *d, unsigned first, unsigned count,
                      uint64_t offset, uint64_t len, uint64_t *ret_len,
                      int *ret_state, struct vdk_error *err);

/* Metadata: get looks from link 0 towards the base, list shows link 0 over
 * its parents, set writes link 0. */
int disk_meta_get(struct vdk_disk *d, const char *key, char **ret,
                  struct vdk_error *err);
int disk_meta_set(struct vdk_disk *d, const char *key, const char *value,
                  struct vdk_error *err);
int disk_meta_list(struct vdk_disk *d,
                   int (*fn)(void *opaque, const char *key, const char *value),
                   void *opaque, struct vdk_error *err);

#endif
