/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cached nodes hang in a hash table by (level, index). Those without cached
 * children are also in a list, oldest first: only they may leave, because a
 * node that leaves writes its id into its parent. Room for a new node is made
 * from the old end of that list. A path from the root to a leaf has at most
 * MAP_LEVELS_MAX nodes, so that a cache of 16 always has one that may go.
 */
#include "repo/map_builder.h"

#include <assert.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"

struct node {
  int level;
  uint64_t index; /* within the level */
  bool dirty;
  unsigned children; /* cached ones, and pins */
  struct node *hash_next;
  struct node *older, *newer; /* in the list, when children is 0 */
  struct map_node ids;
};

struct map_builder {
  struct map_geometry g;
  struct map_store store;
  struct repo_id root; /* stale while the root node is cached and dirty */

  struct map_geometry parent_g;
  struct repo_id parent_root;

  pthread_mutex_t mutex;
  size_t max, count;
  struct node **buckets;
  size_t bucket_count;
  struct node *oldest, *newest;
  struct node *spare; /* one freed node, to save the allocator work */
};

int
map_builder_new(const struct map_geometry *g, const struct map_store *store,
                size_t nodes, struct map_builder **ret, struct vdk_error *err)
{
  struct map_builder *b = mem_array(1, sizeof *b);

  if (!b)
    return error_nomem(err, "making a disk's map");
  b->g = b->parent_g = *g;
  b->store = *store;
  b->max = MAX(nodes, (size_t)16);
  for (b->bucket_count = 16; b->bucket_count < b->max; b->bucket_count *= 2)
    ;
  b->buckets = mem_array(b->bucket_count, sizeof(struct node *));
  if (!b->buckets) {
    free(b);
    return error_nomem(err, "making a disk's map");
  }
  pthread_mutex_init(&b->mutex, NULL);
  *ret = b;
  return 0;
}

void
map_builder_free(struct map_builder *b)
{
  if (!b)
    return;
  for (size_t i = 0; i < b->bucket_count; i++)
    while (b->buckets[i]) {
      struct node *next = b->buckets[i]->hash_next;

      free(b->buckets[i]);
      b->buckets[i] = next;
    }
  free(b->spare);
  free(b->buckets);
  pthread_mutex_destroy(&b->mutex);
  free(b);
}

void
map_builder_set_parent(struct map_builder *b, const struct map_geometry *g,
                       const struct repo_id *root)
{
  b->parent_g = *g;
  b->parent_root = *root;
}

static int
top_level(const struct map_builder *b)
{
  return (int)b->g.levels - 1;
}

/* --- The cache ----------------------------------------------------------- */

static struct node **
bucket_of(struct map_builder *b, int level, uint64_t index)
{
  uint64_t h = (index * 8 + (unsigned)level) * 0x9e3779b97f4a7c15u;

  return &b->buckets[(h >> 32) % b->bucket_count];
}

static struct node *
find_node(struct map_builder *b, int level, uint64_t index)
{
  struct node *n = *bucket_of(b, level, index);

  while (n && (n->level != level || n->index != index))
    n = n->hash_next;
  return n;
}

static void
list_remove(struct map_builder *b, struct node *n)
{
  *(n->older ? &n->older->newer : &b->oldest) = n->newer;
  *(n->newer ? &n->newer->older : &b->newest) = n->older;
}

static void
list_append(struct map_builder *b, struct node *n)
{
  n->newer = NULL;
  n->older = b->newest;
  *(b->newest ? &b->newest->newer : &b->oldest) = n;
  b->newest = n;
}

static void
pin(struct map_builder *b, struct node *n)
{
  if (n->children++ == 0)
    list_remove(b, n);
}

static void
unpin(struct map_builder *b, struct node *n)
{
  if (--n->children == 0)
    list_append(b, n);
}

static struct node *
cached_parent(struct map_builder *b, const struct node *n)
{
  struct node *p;

  if (n->level == top_level(b))
    return NULL;
  p = find_node(b, n->level + 1, n->index / MAP_FANOUT);
  assert(p);
  return p;
}

/* N, without cached children, leaves the cache as it is. */
static void
forget(struct map_builder *b, struct node *n)
{
  struct node *p = cached_parent(b, n), **at = bucket_of(b, n->level, n->index);

  while (*at != n)
    at = &(*at)->hash_next;
  *at = n->hash_next;
  list_remove(b, n);
  b->count--;
  if (b->spare)
    free(n);
  else
    b->spare = n;
  if (p)
    unpin(b, p);
}

/* Writes N, if it changed, and puts its id where it is looked for. */
static int
clean(struct map_builder *b, struct node *n, struct vdk_error *err)
{
  struct node *p = cached_parent(b, n);
  struct repo_id id = {0};
  int r = 0;

  if (!n->dirty)
    return 0;
  if (!mem_is_zero(&n->ids, sizeof n->ids))
    r = b->store.put(b->store.opaque, &n->ids, &id, err);
  if (r)
    return r;
  n->dirty = false;
  if (!p) {
    b->root = id;
  } else if (!id_equal(&p->ids.ids[n->index % MAP_FANOUT], &id)) {
    p->ids.ids[n->index % MAP_FANOUT] = id;
    p->dirty = true;
  }
  return 0;
}

static int
make_room(struct map_builder *b, struct vdk_error *err)
{
  int r = 0;

  while (r == 0 && b->count >= b->max && b->oldest) {
    r = clean(b, b->oldest, err);
    if (r == 0)
      forget(b, b->oldest);
  }
  return r;
}

/* A node with the bytes of ID, whose parent P (NULL for the root) is cached.
 */
static int
add_node(struct map_builder *b, struct node *p, int level, uint64_t index,
         const struct repo_id *id, struct node **ret, struct vdk_error *err)
{
  struct node *n, **bucket;
  int r = make_room(b, err);

  if (r)
    return r;
  n = b->spare ? TAKE_PTR(b->spare) : malloc(sizeof *n);
  if (!n)
    return error_nomem(err, "making a disk's map");
  if (id_is_zero(id))
    memset(&n->ids, 0, sizeof n->ids);
  else
    r = b->store.get(b->store.opaque, id, &n->ids, err);
  if (r) {
    free(n);
    return r;
  }
  bucket = bucket_of(b, level, index);
  n->level = level;
  n->index = index;
  n->dirty = false;
  n->children = 0;
  n->hash_next = *bucket;
  *bucket = n;
  b->count++;
  list_append(b, n);
  if (p)
    pin(b, p);
  *ret = n;
  return 0;
}

static int
get_node(struct map_builder *b, int level, uint64_t index, struct node **ret,
         struct vdk_error *err)
{
  struct node *n = find_node(b, level, index), *p = NULL;
  struct repo_id id = b->root;
  int r;

  if (n) {
    if (n->children == 0) { /* now the newest */
      list_remove(b, n);
      list_append(b, n);
    }
    *ret = n;
    return 0;
  }
  if (level < top_level(b)) {
    r = get_node(b, level + 1, index / MAP_FANOUT, &p, err);
    if (r)
      return r;
    id = p->ids.ids[index % MAP_FANOUT];
    pin(b, p);
  }
  r = add_node(b, p, level, index, &id, ret, err);
  if (p)
    unpin(b, p);
  return r;
}

/* The node and what is below it leave the cache, changes and all. */
static void
drop_subtree(struct map_builder *b, int level, uint64_t index)
{
  struct node *n = find_node(b, level, index);

  if (!n)
    return;
  for (unsigned i = 0; n->children > 0 && i < MAP_FANOUT; i++)
    drop_subtree(b, level - 1, index * MAP_FANOUT + i);
  forget(b, n);
}

/* --- Single chunks ------------------------------------------------------- */

/* True when CHUNK lies in a subtree that is zero as a whole, so that no nodes
 * need be made to say so. */
static bool
below_zero(struct map_builder *b, uint64_t chunk)
{
  for (int level = 0; level <= top_level(b); level++) {
    uint64_t item = chunk / map_span(level - 1);
    struct node *n = find_node(b, level, item / MAP_FANOUT);

    if (n)
      return level > 0 && id_is_zero(&n->ids.ids[item % MAP_FANOUT]);
  }
  return id_is_zero(&b->root);
}

int
map_builder_get(struct map_builder *b, uint64_t chunk, struct repo_id *ret,
                struct vdk_error *err)
{
  struct node *n;
  int r;

  LOCK_SCOPE(&b->mutex);
  if (below_zero(b, chunk)) {
    memset(ret, 0, sizeof *ret);
    return 0;
  }
  r = get_node(b, 0, chunk / MAP_FANOUT, &n, err);
  if (r == 0)
    *ret = n->ids.ids[chunk % MAP_FANOUT];
  return r;
}

/* With the mutex held. */
static int
set_chunk(struct map_builder *b, uint64_t chunk, const struct repo_id *id,
          struct vdk_error *err)
{
  struct node *n;
  int r;

  if (id_is_zero(id) && below_zero(b, chunk))
    return 0;
  r = get_node(b, 0, chunk / MAP_FANOUT, &n, err);
  if (r == 0 && !id_equal(&n->ids.ids[chunk % MAP_FANOUT], id)) {
    n->ids.ids[chunk % MAP_FANOUT] = *id;
    n->dirty = true;
  }
  return r;
}

int
map_builder_set(struct map_builder *b, uint64_t chunk, const struct repo_id *id,
                struct vdk_error *err)
{
  LOCK_SCOPE(&b->mutex);
  return set_chunk(b, chunk, id, err);
}

/* --- Ranges -------------------------------------------------------------- */

/* What a range becomes: zero, or what stands in the parent's map. */
enum filling { FILL_ZERO, FILL_PARENT };

/* The id of an item of LEVEL (-1: chunk) of the parent map, which is not
 * above its root. */
static int
parent_id(struct map_builder *b, int level, uint64_t index, struct repo_id *ret,
          struct vdk_error *err)
{
  int top = (int)b->parent_g.levels - 1;
  struct repo_id above;
  struct map_node *node;
  int r;

  if (level == top) {
    *ret = index == 0 ? b->parent_root : (struct repo_id){0};
    return 0;
  }
  r = parent_id(b, level + 1, index / MAP_FANOUT, &above, err);
  if (r)
    return r;
  if (id_is_zero(&above)) {
    *ret = above;
    return 0;
  }
  node = malloc(sizeof *node);
  if (!node)
    return error_nomem(err, "making a disk's map");
  r = b->store.get(b->store.opaque, &above, node, err);
  if (r == 0)
    *ret = node->ids[index % MAP_FANOUT];
  free(node);
  return r;
}

/* The id that stands for all of an item, or false when it must be put
 * together from the items below: the parent's tree is lower, or ends behind
 * our end within the item. */
static bool
filling_has_id(struct map_builder *b, int level, uint64_t index,
               enum filling filling)
{
  uint64_t end;

  if (filling == FILL_ZERO || id_is_zero(&b->parent_root))
    return true;
  if (level >= (int)b->parent_g.levels)
    return index > 0;
  end = (index + 1) * map_span(level);
  return end <= b->g.chunks || b->parent_g.chunks <= b->g.chunks;
}

static int
filling_id(struct map_builder *b, int level, uint64_t index,
           enum filling filling, struct repo_id *ret, struct vdk_error *err)
{
  if (filling == FILL_ZERO || level >= (int)b->parent_g.levels ||
      index * map_span(level) >= b->g.chunks) {
    memset(ret, 0, sizeof *ret);
    return 0;
  }
  return parent_id(b, level, index, ret, err);
}

static int
replace_subtree(struct map_builder *b, int level, uint64_t index,
                const struct repo_id *id, struct vdk_error *err)
{
  struct node *p;
  int r;

  drop_subtree(b, level, index);
  if (level == top_level(b)) {
    b->root = *id;
    return 0;
  }
  r = get_node(b, level + 1, index / MAP_FANOUT, &p, err);
  if (r == 0 && !id_equal(&p->ids.ids[index % MAP_FANOUT], id)) {
    p->ids.ids[index % MAP_FANOUT] = *id;
    p->dirty = true;
  }
  return r;
}

/* True when the item is zero and nothing of it is cached. */
static bool
is_plain_zero(struct map_builder *b, int level, uint64_t index)
{
  return !find_node(b, level, index) && below_zero(b, index * map_span(level));
}

static int
fill(struct map_builder *b, int level, uint64_t index, uint64_t first,
     uint64_t end, enum filling filling, struct vdk_error *err)
{
  uint64_t start = index * map_span(level);
  uint64_t stop = MIN(start + map_span(level), b->g.chunks);
  uint64_t below, item, last;
  struct repo_id id;
  int r = 0;

  first = MAX(first, start);
  end = MIN(end, stop);
  if (first >= end)
    return 0;
  if (filling == FILL_ZERO && level >= 0 && is_plain_zero(b, level, index))
    return 0;
  if (first == start && end == stop &&
      filling_has_id(b, level, index, filling)) {
    r = filling_id(b, level, index, filling, &id, err);
    if (r)
      return r;
    return level < 0 ? set_chunk(b, index, &id, err)
                     : replace_subtree(b, level, index, &id, err);
  }
  below = map_span(level - 1); /* a chunk has nothing below, and an id */
  item = first / below;
  last = (end - 1) / below;
  for (; r == 0 && item <= last; item++)
    r = fill(b, level - 1, item, first, end, filling, err);
  return r;
}

int
map_builder_zero(struct map_builder *b, uint64_t first, uint64_t end,
                 struct vdk_error *err)
{
  LOCK_SCOPE(&b->mutex);
  return fill(b, top_level(b), 0, first, end, FILL_ZERO, err);
}

int
map_builder_inherit(struct map_builder *b, uint64_t first, uint64_t end,
                    struct vdk_error *err)
{
  LOCK_SCOPE(&b->mutex);
  return fill(b, top_level(b), 0, first, end, FILL_PARENT, err);
}

int
map_builder_parent_get(struct map_builder *b, uint64_t chunk,
                       struct repo_id *ret, struct vdk_error *err)
{
  if (chunk >= b->parent_g.chunks) {
    memset(ret, 0, sizeof *ret);
    return 0;
  }
  return parent_id(b, -1, chunk, ret, err);
}

int
map_builder_finish(struct map_builder *b, struct repo_id *ret_root,
                   struct vdk_error *err)
{
  LOCK_SCOPE(&b->mutex);
  while (b->oldest) {
    int r = clean(b, b->oldest, err);

    if (r)
      return r;
    forget(b, b->oldest);
  }
  *ret_root = b->root;
  return 0;
}
