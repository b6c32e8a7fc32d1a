/* SPDX-License-Identifier: BSD-3-Clause */
#include "repo/map.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"

#define CACHE_NODES 64u /* 1 MiB */

struct cached_node {
  struct repo_id id; /* zero: empty place */
  struct map_node node;
};

struct map_cache {
  struct repo *r;
  pthread_mutex_t mutex;
  struct cached_node places[CACHE_NODES];
};

void
map_geometry_init(struct map_geometry *g, uint64_t size, uint32_t chunk_size)
{
  g->size = size;
  g->chunk_size = chunk_size;
  g->chunks = div_round_up(size, chunk_size);
  for (g->levels = 1; map_span((int)g->levels - 1) < g->chunks; g->levels++)
    ;
}

int
map_cache_new(struct repo *r, struct map_cache **ret, struct vdk_error *err)
{
  struct map_cache *c = mem_array(1, sizeof *c);

  if (!c)
    return error_nomem(err, "reading a disk's map");
  c->r = r;
  pthread_mutex_init(&c->mutex, NULL);
  *ret = c;
  return 0;
}

void
map_cache_free(struct map_cache *c)
{
  if (!c)
    return;
  pthread_mutex_destroy(&c->mutex);
  free(c);
}

/* An id is as good as random: its first byte chooses the place. */
static struct cached_node *
place_of(struct map_cache *c, const struct repo_id *id)
{
  return &c->places[id->bytes[0] % CACHE_NODES];
}

int
map_cache_ids(struct map_cache *c, const struct repo_id *id, unsigned first,
              unsigned count, struct repo_id *ret, struct vdk_error *err)
{
  const struct repo_id name = *id; /* RET may be ID's own place */
  struct cached_node *place = place_of(c, id);
  _cleanup_codec_ struct codec *codec = NULL;
  _cleanup_free_ struct map_node *node = NULL;
  bool hit;
  int r;

  if (id_is_zero(&name)) {
    memset(ret, 0, count * sizeof *ret);
    return 0;
  }
  pthread_mutex_lock(&c->mutex);
  hit = id_equal(&place->id, &name);
  if (hit)
    memcpy(ret, place->node.ids + first, count * sizeof *ret);
  pthread_mutex_unlock(&c->mutex);
  if (hit)
    return 0;
  node = malloc(sizeof *node);
  if (!node)
    return error_nomem(err, "reading a disk's map");
  r = codec_get(c->r->codecs, &codec, err);
  if (r)
    return r;
  r = repo_chunk_read(c->r, codec, &name, node, MAP_NODE_SIZE, err);
  if (r)
    return error_prefix(err, "reading a disk's map"), r;
  memcpy(ret, node->ids + first, count * sizeof *ret);
  LOCK_SCOPE(&c->mutex);
  place->id = name;
  place->node = *node;
  return 0;
}

int
map_lookup(struct map_cache *c, const struct map_geometry *g,
           const struct repo_id *root, uint64_t first, unsigned count,
           struct repo_id *ret, unsigned *ret_count, uint64_t *ret_zero,
           struct vdk_error *err)
{
  struct repo_id id = *root;
  unsigned at, n;
  int r;

  for (int level = (int)g->levels - 1; level >= 0; level--) {
    uint64_t span = map_span(level);

    if (id_is_zero(&id)) {
      *ret_count = 0;
      *ret_zero = MIN(span - first % span, g->chunks - first);
      return 0;
    }
    if (level == 0)
      break;
    at = first / map_span(level - 1) % MAP_FANOUT;
    r = map_cache_ids(c, &id, at, 1, &id, err);
    if (r)
      return r;
  }
  at = first % MAP_FANOUT;
  n = MIN(count, MAP_FANOUT - at);
  n = (unsigned)MIN((uint64_t)n, g->chunks - first);
  r = map_cache_ids(c, &id, at, n, ret, err);
  if (r)
    return r;
  *ret_count = n;
  *ret_zero = 0;
  return 0;
}
