/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * struct vdk_link: one link of a disk's chain, and the contract of its driver.
 *
 * A disk as the guest sees it (disk/disk.h) is a chain of links: the written
 * one in front, its parents behind. A format (VMDK, raw), a transport (NFC,
 * NBD) and a repository each implement this one table. They know their own
 * link and how to name their parent; they never open it. Chains, COW filling,
 * ordering, threads and asynchronous submission are the disk layer's.
 *
 * What the disk layer promises a driver
 * - ranges lie inside info.size and are never empty;
 * - two calls whose ranges, rounded outwards to info.granularity, overlap and
 *   of which one is a write or zero, are never under way at once. All others
 *   may be, from several threads: a driver locks only its own tables;
 * - a write that covers a granule only in part, while that granule is ABSENT
 *   and the link has a parent, does not occur: the disk layer completes it;
 * - no write, zero or metadata call reaches a link that was not opened for
 *   writing; close() is the last call and nothing else is under way then.
 *
 * What a driver promises
 * - read() and map() answer for a prefix of the range, at least one byte;
 * - when write() allocates a granule, the rest of it reads as zeroes;
 * - after flush() returns 0, everything that completed before it began
 *   survives a power cut; at any moment of a power cut the link can be opened
 *   and holds all flushed data;
 * - an error leaves the link usable or says clearly that it is not.
 */
#ifndef DISK_LINK_H
#define DISK_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdkit/types.h>

#include "base/cleanup.h"

struct vdk_link;
struct vdk_request;

/* "No parent" as the VMDK family writes it. */
#define LINK_NO_PARENT_CID 0xffffffffu

struct link_info {
  uint64_t size;        /* bytes, a multiple of 512 */
  uint32_t granularity; /* bytes; allocation unit; a power of two >= 512 */
  const char *format;   /* "raw", "vmdk" */
  const char *type;     /* within the format: a createType, or "" */
  bool writable;
  bool sequential; /* writes only in ascending order, whole granules */
  bool has_parent;
  uint32_t cid;        /* content id; valid if has_cid */
  uint32_t parent_cid; /* LINK_NO_PARENT_CID without parent */
  bool has_cid;
  uint64_t allocated; /* bytes of storage taken by this link's files */
  unsigned file_count;
};

struct link_ops {
  const char *name;

  /* Never fails; strings live as long as the link. */
  void (*info)(struct vdk_link *l, struct link_info *ret);

  /* Reads the longest prefix of the range that has one state, at most LEN:
   * *RET_STATE DATA: BUF[0..*RET_LEN) is filled; ZERO or ABSENT: BUF is
   * untouched. *RET_LEN is at least 1. */
  int (*read)(struct vdk_link *l, uint64_t offset, void *buf, size_t len,
              size_t *ret_len, int *ret_state, struct vdk_error *err);

  /* The same without reading data; LEN may be the whole disk. Cheap: cost is
   * that of the tables passed over, large empty areas cost next to nothing. */
  int (*map)(struct vdk_link *l, uint64_t offset, uint64_t len,
             uint64_t *ret_len, int *ret_state, struct vdk_error *err);

  /* NULL in a driver that only reads. */
  int (*write)(struct vdk_link *l, uint64_t offset, const void *buf, size_t len,
               struct vdk_error *err);

  /* Makes the range read as zeroes, whatever the parent holds, and frees what
   * it can. Default (NULL): the disk layer writes zeroes. A driver may answer
   * VDK_E_UNSUPPORTED for a range that it cannot do, having changed nothing;
   * then zeroes are written as well. */
  int (*zero)(struct vdk_link *l, uint64_t offset, uint64_t len,
              struct vdk_error *err);

  /* Default (NULL): nothing to flush. */
  int (*flush)(struct vdk_link *l, struct vdk_error *err);

  /* Asynchronous drivers (network) only. The request is complete when
   * request_complete() has been called, from any thread, once. When NULL the
   * worker pool calls read, write and zero. */
  int (*submit)(struct vdk_link *l, struct vdk_request *req,
                struct vdk_error *err);

  /* The text by which this link names its parent; NULL or "" when it has
   * none. Lives as long as the link. Resolving it is the disk layer's. */
  const char *(*parent_hint)(struct vdk_link *l);

  /* Metadata (the disk database of VMDK): keys and values are text without
   * newlines. meta_get gives new memory; VDK_E_NO_KEY when it is not there.
   * VALUE NULL removes a key. Default (all NULL): no metadata. */
  int (*meta_get)(struct vdk_link *l, const char *key, char **ret,
                  struct vdk_error *err);
  int (*meta_set)(struct vdk_link *l, const char *key, const char *value,
                  struct vdk_error *err);
  int (*meta_list)(struct vdk_link *l,
                   int (*fn)(void *opaque, const char *key, const char *value),
                   void *opaque, struct vdk_error *err);

  /* The files of the link, descriptor first: name relative to its directory
   * and size. Default: none. */
  int (*files)(struct vdk_link *l,
               int (*fn)(void *opaque, const char *name, uint64_t size),
               void *opaque, struct vdk_error *err);

  /* Marks the link cleanly closed and frees it, in every case. The error is
   * that of the last writes; a reader's close cannot fail. */
  int (*close)(struct vdk_link *l, struct vdk_error *err);
};

struct vdk_link {
  const struct link_ops *ops;
  char *name; /* for messages: the path of the descriptor; owned by driver */
};

#endif
