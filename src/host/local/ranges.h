/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ascending lists of ranges that cover too much rather than grow too long:
 * when there are more than LIMIT, neighbours are joined over a gap that
 * doubles until half of them are gone.
 */
#ifndef HOST_LOCAL_RANGES_H
#define HOST_LOCAL_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdkit/types.h>

struct ranges {
  struct vdk_extent *list; /* state is VDK_EXTENT_DATA */
  size_t count, capacity;
  size_t limit; /* set by the user; at least 2 */
  uint64_t gap; /* ranges that near are one */
};

void ranges_free(struct ranges *r);

/* Appends; OFFSET is not below that of the last range. LENGTH 0 is fine.
 * False when out of memory. */
bool ranges_add(struct ranges *r, uint64_t offset, uint64_t length);

/* R becomes what either covers. */
bool ranges_merge(struct ranges *r, const struct ranges *other);
/* Nothing reaches beyond SIZE. */
void ranges_clip(struct ranges *r, uint64_t size);

uint64_t ranges_total(const struct ranges *r);

#endif
