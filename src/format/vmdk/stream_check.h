/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a stream's own tables say about the grains that came by: as much
 * proof as can be had from a file that cannot seek.
 *
 *   tables in front   (VMware's local files, qemu's) are kept, if they are
 *                     not too large; each grain must be where they say, and
 *                     at the end none may be missing
 *   tables between    (exports) follow the grains that they list; each is
 *                     compared with those
 */
#ifndef FORMAT_VMDK_STREAM_CHECK_H
#define FORMAT_VMDK_STREAM_CHECK_H

#include "format/vmdk/vmdk.h"

struct stream_check {
  const char *name; /* for messages */
  const struct vmdk_header *header;

  uint8_t *front; /* sectors 1 .. overhead; NULL: not kept */
  uint64_t front_size;
  uint64_t expected, seen; /* grains, when the front holds all tables */
  bool has_front_tables;

  uint32_t *entries; /* of the table to come, as the grains went by */
  uint64_t gt;       /* which table that is */
  uint32_t first;    /* sector of the first of them */
  unsigned count;
  bool one_gt; /* they all belong to it */
};

/* Makes room for the front where it should be kept. */
int stream_check_init(struct stream_check *k, const struct vmdk_header *h,
                      const char *name, struct vdk_error *err);
void stream_check_destroy(struct stream_check *k);

/* The front is filled. */
void stream_check_front(struct stream_check *k);

/* A grain goes by. *RET_LIVE false: the tables in front have the grain
 * elsewhere, this is what an earlier write left. */
void stream_check_grain(struct stream_check *k, uint64_t lba, uint64_t offset,
                        bool *ret_live);
/* A grain table goes by; OFFSET is its marker's. */
int stream_check_gt(struct stream_check *k, const uint8_t *table,
                    uint64_t offset, struct vdk_error *err);
/* The stream has ended. CUT: without an end-of-stream marker. */
int stream_check_end(const struct stream_check *k, bool cut,
                     struct vdk_error *err);

#endif
