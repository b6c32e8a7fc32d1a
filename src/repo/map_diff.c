/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trees of unequal height are walked as if the lower one had more levels on
 * top, whose nodes hold it as their first item; those nodes have no id.
 */
#include "repo/map_diff.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"

/* An item of one side: an id, or a node above its root. */
struct item {
  struct repo_id id;
  bool above; /* of the root; ID is the root's then */
};

struct walk {
  const struct map_store *store;
  const struct map_side *sides[2];
  int (*fn)(void *opaque, uint64_t chunk, const struct repo_id *a,
            const struct repo_id *b);
  void *opaque;
};

/* The items below ITEM, a node of LEVEL. */
static int
open_item(struct walk *w, unsigned side, const struct item *item, int level,
          struct map_node *ret, struct vdk_error *err)
{
  if (!item->above && !id_is_zero(&item->id))
    return w->store->get(w->store->opaque, &item->id, ret, err);
  memset(ret, 0, sizeof *ret);
  if (item->above)
    ret->ids[0] = item->id;
  return 0;
}

static bool
is_above(const struct walk *w, unsigned side, const struct item *item,
         unsigned below, int level)
{
  return item->above && below == 0 &&
         level - 1 >= (int)w->sides[side]->g.levels;
}

static int
walk_item(struct walk *w, int level, uint64_t index, const struct item items[2],
          struct vdk_error *err)
{
  struct map_node *nodes;
  int r = 0;

  if (id_equal(&items[0].id, &items[1].id) && items[0].above == items[1].above)
    return 0;
  if (level < 0)
    return w->fn(w->opaque, index, &items[0].id, &items[1].id);
  nodes = malloc(2 * sizeof *nodes);
  if (!nodes)
    return error_nomem(err, "comparing maps");
  for (unsigned s = 0; s < 2 && r == 0; s++)
    r = open_item(w, s, &items[s], level, &nodes[s], err);
  for (unsigned i = 0; i < MAP_FANOUT && r == 0; i++) {
    struct item below[2];

    for (unsigned s = 0; s < 2; s++) {
      below[s].id = nodes[s].ids[i];
      below[s].above = is_above(w, s, &items[s], i, level);
    }
    r = walk_item(w, level - 1, index * MAP_FANOUT + i, below, err);
  }
  free(nodes);
  return r;
}

int
map_diff(const struct map_store *store, const struct map_side *a,
         const struct map_side *b,
         int (*fn)(void *opaque, uint64_t chunk, const struct repo_id *a,
                   const struct repo_id *b),
         void *opaque, struct vdk_error *err)
{
  struct walk w = {store, {a, b}, fn, opaque};
  int top = (int)MAX(a->g.levels, b->g.levels) - 1;
  struct item items[2];

  for (unsigned s = 0; s < 2; s++) {
    items[s].id = w.sides[s]->root;
    items[s].above = top >= (int)w.sides[s]->g.levels;
  }
  return walk_item(&w, top, 0, items, err);
}

/* --- repo_diff ----------------------------------------------------------- */

struct ranges {
  struct vdk_extent *list;
  size_t count, capacity;
  const struct map_geometry *g; /* of the longer disk */
};

static int
add_range(struct ranges *r, uint64_t offset, uint64_t end, int state)
{
  struct vdk_extent *last = r->count ? &r->list[r->count - 1] : NULL;

  if (offset >= end)
    return 0;
  if (last && last->offset + last->length >= offset && last->state == state) {
    last->length = MAX(last->offset + last->length, end) - last->offset;
    return 0;
  }
  if (last)
    offset = MAX(offset, last->offset + last->length);
  if (offset >= end)
    return 0;
  if (!mem_grow(&r->list, &r->capacity, r->count + 1, sizeof *r->list))
    return -VDK_E_NOMEM;
  r->list[r->count++] = (struct vdk_extent){offset, end - offset, state};
  return 0;
}

static int
see_difference(void *opaque, uint64_t chunk, const struct repo_id *a,
               const struct repo_id *b)
{
  struct ranges *r = opaque;
  uint64_t offset = chunk * r->g->chunk_size;

  if (offset >= r->g->size)
    return 0;
  return add_range(r, offset, offset + map_chunk_len(r->g, chunk),
                   id_is_zero(b) ? VDK_EXTENT_ZERO : VDK_EXTENT_DATA);
}

static int
get_node(void *opaque, const struct repo_id *id, struct map_node *ret,
         struct vdk_error *err)
{
  struct repo *r = opaque;
  _cleanup_codec_ struct codec *c = NULL;
  int n = codec_get(r->codecs, &c, err);

  return n ? n : repo_chunk_read(r, c, id, ret, MAP_NODE_SIZE, err);
}

/* What lies only in the longer disk and is zero there was not met as a
 * difference of ids: the gaps are filled. */
static int
add_tail(struct ranges *r, uint64_t from)
{
  struct vdk_extent *old = r->list;
  size_t count = r->count;
  uint64_t at = from;
  int n = 0;

  r->list = NULL;
  r->count = r->capacity = 0;
  for (size_t i = 0; i < count && n == 0; i++) {
    uint64_t end = old[i].offset + old[i].length;

    if (old[i].offset > at && old[i].offset > from)
      n = add_range(r, at, old[i].offset, VDK_EXTENT_ZERO);
    if (n == 0)
      n = add_range(r, old[i].offset, end, old[i].state);
    at = MAX(at, end);
  }
  if (n == 0)
    n = add_range(r, at, r->g->size, VDK_EXTENT_ZERO);
  free(old);
  return n;
}

int
repo_diff(struct repo *r, const struct repo_point_disk *a,
          const struct repo_point_disk *b, struct vdk_extent **ret,
          size_t *ret_count, struct vdk_error *err)
{
  const struct map_store store = {NULL, get_node, r};
  struct map_side sides[2] = {{.root = a->root}, {.root = b->root}};
  struct ranges ranges = {0};
  int n;

  map_geometry_init(&sides[0].g, a->size, r->chunk_size);
  map_geometry_init(&sides[1].g, b->size, r->chunk_size);
  ranges.g = a->size > b->size ? &sides[0].g : &sides[1].g;
  n = map_diff(&store, &sides[0], &sides[1], see_difference, &ranges, err);
  if (n == 0 && a->size != b->size)
    n = add_tail(&ranges, MIN(a->size, b->size));
  if (n) {
    free(ranges.list);
    return n == -VDK_E_NOMEM ? error_nomem(err, "comparing restore points") : n;
  }
  *ret = ranges.list;
  *ret_count = ranges.count;
  return 0;
}

/* --- Counting ------------------------------------------------------------ */

struct counting {
  const struct map_geometry *ga, *gb;
  uint64_t bytes, changed;
};

static int
count_difference(void *opaque, uint64_t chunk, const struct repo_id *a,
                 const struct repo_id *b)
{
  struct counting *c = opaque;

  if (chunk < c->gb->chunks)
    c->changed += map_chunk_len(c->gb, chunk);
  if (!id_is_zero(a))
    c->bytes -= map_chunk_len(c->ga, chunk);
  if (!id_is_zero(b))
    c->bytes += map_chunk_len(c->gb, chunk);
  return 0;
}

int
map_count_change(const struct map_store *store, const struct map_geometry *ga,
                 const struct repo_id *a, const struct map_geometry *gb,
                 const struct repo_id *b, uint64_t *bytes,
                 uint64_t *ret_changed, struct vdk_error *err)
{
  struct map_side sides[2] = {{*ga, *a}, {*gb, *b}};
  struct counting c = {ga, gb, *bytes, 0};
  int r = map_diff(store, &sides[0], &sides[1], count_difference, &c, err);

  if (r == 0) {
    *bytes = c.bytes;
    *ret_changed = c.changed;
  }
  return r;
}
