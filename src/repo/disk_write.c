/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk on its way into a restore point.
 *
 * Whole chunks go straight through: hash, compare with what the map has,
 * store, set. Parts of chunks are collected in a few open chunks; a chunk is
 * written when it is complete, when its place is needed, or at the end, and
 * what was not put is then read from the map as it stands. A run of small
 * puts in disk order so costs one write a chunk and no reading.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "repo/manifest.h"
#include "repo/map_diff.h"
#include "repo/writer.h"

static uint64_t
counter_add(uint64_t *counter, uint64_t n)
{
  return __atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

/* --- Whole chunks -------------------------------------------------------- */

int
disk_store_chunk(struct repo_disk *d, uint64_t index, const void *data,
                 struct repo_id *ret, struct vdk_error *err)
{
  uint32_t len = map_chunk_len(&d->g, index);
  _cleanup_codec_ struct codec *c = NULL;
  struct repo_id there;
  uint64_t stored;
  int r;

  if (mem_is_zero(data, len)) {
    memset(ret, 0, sizeof *ret);
    return 0;
  }
  r = id_of(data, len, ret, err);
  if (r == 0)
    r = map_builder_get(d->map, index, &there, err);
  if (r || id_equal(&there, ret))
    return r;
  r = codec_get(d->w->r->codecs, &c, err);
  if (r == 0)
    r = packer_put(d->w->packer, c, RECORD_DATA, ret, data, len, &stored, err);
  if (r == 0)
    counter_add(&d->bytes_stored, stored);
  return r;
}

/* With the mutex held; read without it, to pass by quickly. */
static void
open_count_add(struct repo_disk *d, int n)
{
  __atomic_store_n(&d->open_count, d->open_count + (unsigned)n,
                   __ATOMIC_RELAXED);
}

static void
discard_open(struct repo_disk *d, uint64_t first, uint64_t end)
{
  if (__atomic_load_n(&d->open_count, __ATOMIC_RELAXED) == 0)
    return;
  LOCK_SCOPE(&d->mutex);
  for (unsigned i = 0; i < DISK_OPEN_CHUNKS; i++) {
    struct open_chunk *o = &d->open[i];

    if (o->from != o->to && o->index >= first && o->index < end) {
      o->from = o->to = 0;
      open_count_add(d, -1);
    }
  }
}

int
disk_set_chunk(struct repo_disk *d, uint64_t index, const struct repo_id *id,
               struct vdk_error *err)
{
  discard_open(d, index, index + 1);
  return map_builder_set(d->map, index, id, err);
}

int
disk_write_chunk(struct repo_disk *d, uint64_t index, const void *data,
                 struct vdk_error *err)
{
  struct repo_id id;
  int r = disk_store_chunk(d, index, data, &id, err);

  return r ? r : disk_set_chunk(d, index, &id, err);
}

/* --- Parts of chunks ----------------------------------------------------- */

/* The bytes that the map has for a chunk now. */
static int
read_chunk(struct repo_disk *d, uint64_t index, uint8_t *dst,
           struct vdk_error *err)
{
  _cleanup_codec_ struct codec *c = NULL;
  struct repo_id id;
  int r = map_builder_get(d->map, index, &id, err);

  if (r == 0)
    r = codec_get(d->w->r->codecs, &c, err);
  return r ? r
           : packer_get(d->w->packer, c, &id, dst, map_chunk_len(&d->g, index),
                        err);
}

/* What was not put becomes what the map has. */
static int
complete(struct repo_disk *d, struct open_chunk *o, struct vdk_error *err)
{
  uint32_t len = map_chunk_len(&d->g, o->index);
  _cleanup_free_ uint8_t *base = NULL;
  int r;

  if (o->from == 0 && o->to == len)
    return 0;
  base = mem_buffer(d->g.chunk_size);
  if (!base)
    return error_nomem(err, "writing a part of a chunk");
  r = read_chunk(d, o->index, base, err);
  if (r)
    return r;
  memcpy(o->data, base, o->from);
  memcpy(o->data + o->to, base + o->to, len - o->to);
  o->from = 0;
  o->to = len;
  return 0;
}

/* With the mutex held. The place is free afterwards, also after an error. */
static int
write_open(struct repo_disk *d, struct open_chunk *o, struct vdk_error *err)
{
  struct repo_id id;
  int r = complete(d, o, err);

  if (r == 0)
    r = disk_store_chunk(d, o->index, o->data, &id, err);
  if (r == 0)
    r = map_builder_set(d->map, o->index, &id, err);
  o->from = o->to = 0;
  open_count_add(d, -1);
  return r;
}

static int
get_open(struct repo_disk *d, uint64_t index, struct open_chunk **ret,
         struct vdk_error *err)
{
  struct open_chunk *best = &d->open[0];
  int r = 0;

  for (unsigned i = 0; i < DISK_OPEN_CHUNKS; i++) {
    struct open_chunk *o = &d->open[i];

    if (o->from != o->to && o->index == index) {
      *ret = o;
      return 0;
    }
    if (best->from != best->to && (o->from == o->to || o->used < best->used))
      best = o;
  }
  if (best->from != best->to)
    r = write_open(d, best, err);
  if (r)
    return r;
  if (!best->data && !(best->data = mem_buffer(d->g.chunk_size)))
    return error_nomem(err, "writing a part of a chunk");
  best->index = index;
  *ret = best;
  return 0;
}

/* Bytes [FROM, TO) of a chunk; DATA may be NULL for zeroes. */
static int
put_part(struct repo_disk *d, uint64_t index, uint32_t from, uint32_t to,
         const void *data, struct vdk_error *err)
{
  struct open_chunk *o = NULL;
  int r;

  LOCK_SCOPE(&d->mutex);
  r = get_open(d, index, &o, err);
  if (r)
    return r;
  if (o->from == o->to) {
    o->from = from;
    o->to = to;
    open_count_add(d, 1);
  } else if (from > o->to || to < o->from) {
    r = complete(d, o, err);
    if (r)
      return r;
  }
  if (data)
    memcpy(o->data + from, data, to - from);
  else
    memset(o->data + from, 0, to - from);
  o->from = MIN(o->from, from);
  o->to = MAX(o->to, to);
  o->used = ++d->clock;
  if (o->from == 0 && o->to == map_chunk_len(&d->g, index))
    return write_open(d, o, err);
  return 0;
}

static int
write_all_open(struct repo_disk *d, struct vdk_error *err)
{
  int r = 0;

  LOCK_SCOPE(&d->mutex);
  for (unsigned i = 0; i < DISK_OPEN_CHUNKS && r == 0; i++)
    if (d->open[i].from != d->open[i].to)
      r = write_open(d, &d->open[i], err);
  return r;
}

/* --- Ranges -------------------------------------------------------------- */

static int
check_range(struct repo_disk *d, uint64_t offset, uint64_t len,
            struct vdk_error *err)
{
  if (d->ended)
    return error_set(err, VDK_E_INVAL,
                     "disk %s was ended: it takes no more data", d->point.key);
  if (range_outside(offset, len, d->g.size))
    return error_set(err, VDK_E_RANGE,
                     "%llu bytes at offset %llu lie beyond the end of disk %s "
                     "(%llu bytes)",
                     (unsigned long long)len, (unsigned long long)offset,
                     d->point.key, (unsigned long long)d->g.size);
  return 0;
}

int
repo_disk_put(struct repo_disk *d, uint64_t offset, const void *buf, size_t len,
              struct vdk_error *err)
{
  const uint8_t *p = buf;
  int r = check_range(d, offset, len, err);

  counter_add(&d->bytes_read, len);
  while (r == 0 && len > 0) {
    uint64_t index = offset / d->g.chunk_size;
    uint32_t from = offset % d->g.chunk_size;
    uint32_t whole = map_chunk_len(&d->g, index);
    uint32_t n = (uint32_t)MIN(len, (size_t)(whole - from));

    r = n == whole ? disk_write_chunk(d, index, p, err)
                   : put_part(d, index, from, from + n, p, err);
    p += n;
    offset += n;
    len -= n;
  }
  return r;
}

/* How a range is cut: a part of a chunk, whole chunks, a part of a chunk. */
struct cut {
  uint64_t first, end; /* whole chunks; the rest is empty when first > end */
  uint64_t head_end, tail_start; /* bytes */
};

static struct cut
cut_range(const struct map_geometry *g, uint64_t offset, uint64_t end)
{
  uint64_t size = g->chunk_size;
  struct cut c;

  c.first = div_round_up(offset, size);
  c.end = end == g->size ? g->chunks : end / size;
  if (c.first >= c.end) { /* no whole chunk */
    c.head_end = MIN(end, c.first * size);
    c.tail_start = c.head_end;
    c.end = c.first;
  } else {
    c.head_end = c.first * size;
    c.tail_start = MIN(c.end * size, end);
  }
  return c;
}

static int
zero_part(struct repo_disk *d, uint64_t offset, uint64_t end,
          struct vdk_error *err)
{
  uint64_t index = offset / d->g.chunk_size, start = index * d->g.chunk_size;

  return put_part(d, index, (uint32_t)(offset - start), (uint32_t)(end - start),
                  NULL, err);
}

int
repo_disk_hole(struct repo_disk *d, uint64_t offset, uint64_t len,
               struct vdk_error *err)
{
  struct cut c;
  int r = check_range(d, offset, len, err);

  if (r || len == 0)
    return r;
  c = cut_range(&d->g, offset, offset + len);
  if (offset < c.head_end)
    r = zero_part(d, offset, c.head_end, err);
  if (r == 0 && c.first < c.end) {
    discard_open(d, c.first, c.end);
    r = map_builder_zero(d->map, c.first, c.end, err);
  }
  if (r == 0 && c.tail_start < offset + len)
    r = zero_part(d, c.tail_start, offset + len, err);
  return r;
}

/* The bytes that a chunk has in the parent, as long as it is here. */
static int
read_parent_chunk(struct repo_disk *d, uint64_t index, uint8_t *dst,
                  struct vdk_error *err)
{
  _cleanup_codec_ struct codec *c = NULL;
  struct repo_id id;
  uint32_t len;
  int r;

  memset(dst, 0, d->g.chunk_size);
  if (index >= d->parent_g.chunks)
    return 0;
  len = map_chunk_len(&d->parent_g, index);
  r = map_builder_parent_get(d->map, index, &id, err);
  if (r == 0)
    r = codec_get(d->w->r->codecs, &c, err);
  return r ? r : repo_chunk_read(d->w->r, c, &id, dst, len, err);
}

static int
inherit_part(struct repo_disk *d, uint64_t offset, uint64_t end,
             struct vdk_error *err)
{
  uint64_t index = offset / d->g.chunk_size, start = index * d->g.chunk_size;
  _cleanup_free_ uint8_t *bytes = mem_buffer(d->g.chunk_size);
  int r;

  if (!bytes)
    return error_nomem(err, "taking over a part of a chunk");
  r = read_parent_chunk(d, index, bytes, err);
  return r ? r
           : put_part(d, index, (uint32_t)(offset - start),
                      (uint32_t)(end - start), bytes + (offset - start), err);
}

/* The chunk at the end of the shorter disk has another length in the longer
 * one, so that its id cannot be taken over. */
static int
inherit_boundary(struct repo_disk *d, uint64_t first, uint64_t end,
                 struct vdk_error *err)
{
  uint64_t shorter = MIN(d->g.size, d->parent_g.size);
  uint64_t index = shorter / d->g.chunk_size;
  _cleanup_free_ uint8_t *bytes = NULL;
  int r;

  if (d->g.size == d->parent_g.size || shorter % d->g.chunk_size == 0 ||
      index < first || index >= end)
    return 0;
  bytes = mem_buffer(d->g.chunk_size);
  if (!bytes)
    return error_nomem(err, "taking over a chunk");
  r = read_parent_chunk(d, index, bytes, err);
  return r ? r : disk_write_chunk(d, index, bytes, err);
}

static int
inherit_chunks(struct repo_disk *d, uint64_t first, uint64_t end,
               struct vdk_error *err)
{
  int r;

  discard_open(d, first, end);
  r = map_builder_inherit(d->map, first, end, err);
  return r ? r : inherit_boundary(d, first, end, err);
}

int
repo_disk_inherit(struct repo_disk *d, uint64_t offset, uint64_t len,
                  struct vdk_error *err)
{
  struct cut c;
  int r = check_range(d, offset, len, err);

  if (r || len == 0)
    return r;
  if (!d->inherits)
    return repo_disk_hole(d, offset, len, err);
  c = cut_range(&d->g, offset, offset + len);
  if (offset < c.head_end)
    r = inherit_part(d, offset, c.head_end, err);
  if (r == 0 && c.first < c.end)
    r = inherit_chunks(d, c.first, c.end, err);
  if (r == 0 && c.tail_start < offset + len)
    r = inherit_part(d, c.tail_start, offset + len, err);
  return r;
}

/* --- Beginning and ending ------------------------------------------------ */

static int
put_node(void *opaque, const struct map_node *node, struct repo_id *ret,
         struct vdk_error *err)
{
  struct repo_disk *d = opaque;
  _cleanup_codec_ struct codec *c = NULL;
  uint64_t stored;
  int r = id_of(node, sizeof *node, ret, err);

  if (r == 0)
    r = codec_get(d->w->r->codecs, &c, err);
  if (r == 0)
    r = packer_put(d->w->packer, c, RECORD_MAP, ret, node, MAP_NODE_SIZE,
                   &stored, err);
  if (r == 0)
    counter_add(&d->bytes_stored, stored);
  return r;
}

static int
get_node(void *opaque, const struct repo_id *id, struct map_node *ret,
         struct vdk_error *err)
{
  struct repo_disk *d = opaque;
  _cleanup_codec_ struct codec *c = NULL;
  int r = codec_get(d->w->r->codecs, &c, err);

  return r ? r : packer_get(d->w->packer, c, id, ret, MAP_NODE_SIZE, err);
}

static char **
copy_meta(const char *const *meta)
{
  size_t n = 0;
  char **copy;

  while (meta && meta[n] && meta[n + 1])
    n += 2;
  copy = mem_array(n + 1, sizeof *copy);
  for (size_t i = 0; copy && i < n; i++)
    if (!(copy[i] = str_dup(meta[i]))) {
      for (size_t k = 0; k < i; k++)
        free(copy[k]);
      free(copy);
      return NULL;
    }
  return copy;
}

static int
copy_options(struct repo_disk *d, const struct repo_disk_options *o,
             struct vdk_error *err)
{
  struct repo_point_disk *p = &d->point;

  p->key = str_dup(o->key);
  p->file = str_dup(o->file ? o->file : "");
  p->format = str_dup(o->format ? o->format : "raw");
  p->change_id = str_dup(o->change_id);
  p->meta = copy_meta(o->meta);
  p->size = o->size;
  p->method = o->method;
  d->ranges_lost = o->ranges_lost;
  if (!p->key || !p->file || !p->format || !p->meta ||
      (o->change_id && !p->change_id))
    return error_nomem(err, "beginning a disk");
  return 0;
}

static int
begin(struct repo_disk *d, const struct repo_disk_options *o,
      struct vdk_error *err)
{
  const struct map_store store = {put_node, get_node, d};
  int r = copy_options(d, o, err);

  if (r)
    return r;
  map_geometry_init(&d->g, o->size, d->w->r->chunk_size);
  d->parent_g = d->g;
  r = map_builder_new(&d->g, &store, MAP_BUILDER_NODES, &d->map, err);
  if (r || !o->inherit)
    return r;
  d->inherits = true;
  d->parent_root = o->inherit->root;
  d->parent_bytes = o->inherit->bytes_data;
  map_geometry_init(&d->parent_g, o->inherit->size, d->w->r->chunk_size);
  map_builder_set_parent(d->map, &d->parent_g, &d->parent_root);
  return inherit_chunks(d, 0, d->g.chunks, err);
}

void
disk_write_free(struct repo_disk *d)
{
  struct repo_point_disk *p = &d->point;

  for (size_t i = 0; p->meta && p->meta[i]; i++)
    free(p->meta[i]);
  free(p->meta);
  free(p->key);
  free(p->file);
  free(p->format);
  free(p->change_id);
  for (unsigned i = 0; i < DISK_OPEN_CHUNKS; i++)
    free(d->open[i].data);
  map_builder_free(d->map);
  pthread_mutex_destroy(&d->mutex);
  free(d);
}

int
repo_disk_begin(struct repo_writer *w, const struct repo_disk_options *o,
                struct repo_disk **ret, struct vdk_error *err)
{
  struct repo_disk *d;
  int r;

  if (o->size > VMBK_DISK_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "disk %s: %llu bytes are more than a repository holds",
                     o->key, (unsigned long long)o->size);
  if (!repo_disk_key_is_valid(o->key))
    return error_set(err, VDK_E_INVAL, "\"%.80s\" cannot be the key of a disk",
                     o->key);
  pthread_mutex_lock(&w->mutex);
  for (d = w->disks; d && strcmp(d->point.key, o->key) != 0; d = d->next)
    ;
  pthread_mutex_unlock(&w->mutex);
  if (d)
    return error_set(err, VDK_E_EXISTS,
                     "disk %s was already begun in this backup", o->key);
  d = mem_array(1, sizeof *d);
  if (!d)
    return error_nomem(err, "beginning a disk");
  d->w = w;
  pthread_mutex_init(&d->mutex, NULL);
  r = begin(d, o, err);
  if (r) {
    disk_write_free(d);
    return r;
  }
  LOCK_SCOPE(&w->mutex);
  *w->last_disk = d;
  w->last_disk = &d->next;
  *ret = d;
  return 0;
}

int
repo_disk_end(struct repo_disk *d, struct vdk_error *err)
{
  const struct map_store store = {put_node, get_node, d};
  struct repo_id none = {0};
  int r;

  if (d->ended)
    return 0;
  r = write_all_open(d, err);
  if (r == 0)
    r = map_builder_finish(d->map, &d->point.root, err);
  if (r)
    return r;
  d->point.bytes_data = d->inherits ? d->parent_bytes : 0;
  r = map_count_change(&store, &d->parent_g,
                       d->inherits ? &d->parent_root : &none, &d->g,
                       &d->point.root, &d->point.bytes_data, &d->changed, err);
  if (r)
    return r;
  d->point.bytes_read = d->bytes_read;
  d->point.bytes_stored = d->bytes_stored;
  d->ended = true;
  return 0;
}

uint64_t
repo_disk_changed(const struct repo_disk *d)
{
  return d->changed;
}
