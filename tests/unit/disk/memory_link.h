/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A link in memory for tests of the disk layer: granules that are absent,
 * zero or data, each by itself. It watches over what disk/link.h promises to
 * drivers and counts every breach.
 */
#ifndef TESTS_UNIT_DISK_MEMORY_LINK_H
#define TESTS_UNIT_DISK_MEMORY_LINK_H

#include "disk/disk.h"

struct memory_link_options {
  uint64_t size;
  uint32_t granularity;
  bool has_parent, read_only, no_zero;
  bool async;      /* submit(), completed out of order by another thread */
  bool async_only; /* and no blocking calls at all */
  bool instant;    /* submit() completes before it returns */
  unsigned delay_us;
  const char *const *meta; /* key, value, ..., NULL */
};

struct memory_link_counts {
  unsigned reads, maps, writes, zeroes, flushes, closes;
  unsigned breaches; /* promises that the disk layer broke */
};

/* COUNTS outlives the link. */
struct vdk_link *memory_link_new(const struct memory_link_options *options,
                                 struct memory_link_counts *counts);
/* The nth call of read, map, write, zero or flush from now fails; 0: none. */
void memory_link_fail_at(struct vdk_link *l, unsigned nth);

#endif
