/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps: where a disk's chunk ids stand in the tree, and reading it.
 */
#ifndef REPO_MAP_H
#define REPO_MAP_H

#include "repo/internal.h"

struct map_geometry {
  uint64_t size;   /* bytes of the disk */
  uint64_t chunks; /* ceil(size / chunk_size) */
  uint32_t chunk_size;
  unsigned levels; /* at least 1; the root is of level levels - 1 */
};

struct map_node {
  struct repo_id ids[MAP_FANOUT];
};
_Static_assert(sizeof(struct map_node) == MAP_NODE_SIZE, "a node is its ids");

/* SIZE is at most VMBK_DISK_MAX. */
void map_geometry_init(struct map_geometry *g, uint64_t size,
                       uint32_t chunk_size);

/* Bytes of chunk INDEX: chunk_size, or less for the last one. */
static inline uint32_t
map_chunk_len(const struct map_geometry *g, uint64_t index)
{
  uint64_t left = g->size - index * g->chunk_size;

  return left < g->chunk_size ? (uint32_t)left : g->chunk_size;
}

/* Chunks below one item of LEVEL; a chunk itself is an item of level -1. */
static inline uint64_t
map_span(int level)
{
  return (uint64_t)1 << (9 * (level + 1));
}

/* Nodes that were read lately, by id. Any thread. */
struct map_cache;

int map_cache_new(struct repo *r, struct map_cache **ret,
                  struct vdk_error *err);
void map_cache_free(struct map_cache *c); /* NULL is fine */
/* COUNT ids of node ID from FIRST on. The zero id gives zero ids. */
int map_cache_ids(struct map_cache *c, const struct repo_id *id, unsigned first,
                  unsigned count, struct repo_id *ret, struct vdk_error *err);

/* The ids of chunks [FIRST, FIRST + COUNT) below ROOT, all in one node of
 * level 0: COUNT is cut to that, and *RET_COUNT is what was given. When a
 * whole subtree is zero, no ids are given (*RET_COUNT is 0) and *RET_ZERO is
 * how many chunks from FIRST on are zero, at most to the end of the disk. */
int map_lookup(struct map_cache *c, const struct map_geometry *g,
               const struct repo_id *root, uint64_t first, unsigned count,
               struct repo_id *ret, unsigned *ret_count, uint64_t *ret_zero,
               struct vdk_error *err);

#endif
