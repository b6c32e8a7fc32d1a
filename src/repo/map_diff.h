/* SPDX-License-Identifier: BSD-3-Clause */
/* Walking two maps at once, passing over what is equal. */
#ifndef REPO_MAP_DIFF_H
#define REPO_MAP_DIFF_H

#include "repo/map_builder.h"

struct map_side {
  struct map_geometry g;
  struct repo_id root;
};

/* Calls FN for each chunk, ascending, whose ids differ; where one map has
 * ended its id is zero. A result other than 0 of FN ends the walk. Nodes are
 * fetched by STORE->get. */
int map_diff(const struct map_store *store, const struct map_side *a,
             const struct map_side *b,
             int (*fn)(void *opaque, uint64_t chunk, const struct repo_id *a,
                       const struct repo_id *b),
             void *opaque, struct vdk_error *err);

/* Bytes in chunks of B that are not zero, less those of A (by which *BYTES is
 * lowered): what differs is counted, the rest not looked at. *RET_CHANGED:
 * bytes in the chunks of B that differ. */
int map_count_change(const struct map_store *store,
                     const struct map_geometry *ga, const struct repo_id *a,
                     const struct map_geometry *gb, const struct repo_id *b,
                     uint64_t *bytes, uint64_t *ret_changed,
                     struct vdk_error *err);

#endif
