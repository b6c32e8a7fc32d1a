/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making a map: chunk ids set in any order, in bounded memory.
 *
 * Nodes that are worked on are cached; the parent of a cached node is always
 * cached too, so that a node can leave at any time: if it changed it is
 * stored as a chunk and its new id goes into its parent. Nodes touched in
 * disk order are stored once; a random order over more disk than the cache
 * covers (128 GB with chunks of 256 KiB) stores some more than once.
 *
 * A builder can look into a second map, that of the restore point that is
 * continued: ranges are taken over from it, whole subtrees by their id.
 *
 * Threads: any, at once.
 */
#ifndef REPO_MAP_BUILDER_H
#define REPO_MAP_BUILDER_H

#include "repo/map.h"

#define MAP_BUILDER_NODES 1024u

struct map_builder;

/* How nodes are stored and read back while the map is being made. */
struct map_store {
  int (*put)(void *opaque, const struct map_node *node, struct repo_id *ret,
             struct vdk_error *err);
  int (*get)(void *opaque, const struct repo_id *id, struct map_node *ret,
             struct vdk_error *err);
  void *opaque;
};

/* All zero at first. NODES: how many may be cached, at least 16. */
int map_builder_new(const struct map_geometry *g, const struct map_store *store,
                    size_t nodes, struct map_builder **ret,
                    struct vdk_error *err);
void map_builder_free(struct map_builder *b); /* NULL is fine */

/* The map to take over from; without one it is empty. */
void map_builder_set_parent(struct map_builder *b, const struct map_geometry *g,
                            const struct repo_id *root);

int map_builder_get(struct map_builder *b, uint64_t chunk, struct repo_id *ret,
                    struct vdk_error *err);
int map_builder_set(struct map_builder *b, uint64_t chunk,
                    const struct repo_id *id, struct vdk_error *err);
/* Chunks [FIRST, END) become zero. */
int map_builder_zero(struct map_builder *b, uint64_t first, uint64_t end,
                     struct vdk_error *err);
/* Chunks [FIRST, END) become what they are in the parent map: zero beyond its
 * end. A chunk whose length differs between the maps is the caller's. */
int map_builder_inherit(struct map_builder *b, uint64_t first, uint64_t end,
                        struct vdk_error *err);
/* The id of a chunk in the parent map. */
int map_builder_parent_get(struct map_builder *b, uint64_t chunk,
                           struct repo_id *ret, struct vdk_error *err);

/* Stores what is left; the builder can go on afterwards. */
int map_builder_finish(struct map_builder *b, struct repo_id *ret_root,
                       struct vdk_error *err);

#endif
