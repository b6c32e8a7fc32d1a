/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk of a restore point as a link.
 *
 * read() goes chunk by chunk through the map. A chunk that the request covers
 * is decoded straight into the caller's buffer; of a chunk that is wanted
 * only in part, the whole is kept in a small cache, because the next request
 * will want the rest. Chunks that lie side by side in a pack, as a backup in
 * disk order leaves them, are fetched by one read.
 */
#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "repo/map.h"

#define CACHE_CHUNKS 8u
#define FETCH_MAX    (1024u * 1024) /* bytes fetched by one read of a pack */
#define LOOK_AHEAD   64u            /* ids taken from a node at once */

struct cached_chunk {
  uint8_t *data; /* chunk_size bytes; NULL: never used */
  uint64_t index;
  bool valid;
  uint64_t used;
};

struct disk_link {
  struct vdk_link link;
  struct repo *r;
  struct map_geometry g;
  struct repo_id root;
  struct map_cache *nodes;
  char *format;
  uint64_t bytes_data;
  char **meta;

  pthread_mutex_t mutex;
  struct cached_chunk chunks[CACHE_CHUNKS];
  uint64_t clock;
};

static void
link_info(struct vdk_link *link, struct link_info *ret)
{
  struct disk_link *l = (struct disk_link *)link;

  *ret = (struct link_info){
      .size = l->g.size,
      .granularity = l->g.chunk_size,
      .format = "vmbk",
      .type = l->format,
      .parent_cid = LINK_NO_PARENT_CID,
      .allocated = l->bytes_data,
  };
}

/* --- The chunk cache ----------------------------------------------------- */

/* Bytes [FROM, FROM + LEN) of a chunk that is cached. */
static bool
copy_cached(struct disk_link *l, uint64_t index, uint32_t from, uint32_t len,
            void *dst)
{
  LOCK_SCOPE(&l->mutex);
  for (unsigned i = 0; i < CACHE_CHUNKS; i++) {
    struct cached_chunk *c = &l->chunks[i];

    if (c->valid && c->index == index) {
      memcpy(dst, c->data + from, len);
      c->used = ++l->clock;
      return true;
    }
  }
  return false;
}

/* Puts DATA into the cache; gives back a buffer that is free now. */
static uint8_t *
keep_chunk(struct disk_link *l, uint64_t index, uint8_t *data)
{
  struct cached_chunk *best = &l->chunks[0];
  uint8_t *old;

  LOCK_SCOPE(&l->mutex);
  for (unsigned i = 0; i < CACHE_CHUNKS; i++)
    if (l->chunks[i].used < best->used)
      best = &l->chunks[i];
  old = best->data;
  *best = (struct cached_chunk){data, index, true, ++l->clock};
  return old;
}

static int
read_part(struct disk_link *l, struct codec *c, uint64_t index,
          const struct repo_id *id, uint32_t from, uint32_t len, void *dst,
          struct vdk_error *err)
{
  uint8_t *data;
  int r;

  if (copy_cached(l, index, from, len, dst))
    return 0;
  data = mem_buffer(l->g.chunk_size);
  if (!data)
    return error_nomem(err, "reading a chunk");
  r = repo_chunk_read(l->r, c, id, data, map_chunk_len(&l->g, index), err);
  if (r) {
    free(data);
    return r;
  }
  memcpy(dst, data + from, len);
  free(keep_chunk(l, index, data));
  return 0;
}

/* --- Whole chunks -------------------------------------------------------- */

/* How many of COUNT chunks from IDS on lie side by side in one pack. */
static unsigned
find_neighbours(struct disk_link *l, const struct repo_id *ids, unsigned count,
                struct chunk_place *ret, size_t *ret_len, struct vdk_error *err,
                int *ret_error)
{
  struct chunk_place next;
  unsigned n = 1;

  *ret_error = repo_chunk_find(l->r, &ids[0], ret, err);
  *ret_len = RECORD_SIZE + (size_t)ret->stored_len;
  for (; *ret_error == 0 && n < count && !id_is_zero(&ids[n]); n++) {
    if (index_find(l->r->index, &ids[n], NULL, &next, NULL) != 0 ||
        !id_equal(&next.pack, &ret->pack) ||
        next.offset != ret->offset + *ret_len ||
        *ret_len + RECORD_SIZE + next.stored_len > FETCH_MAX)
      break;
    *ret_len += RECORD_SIZE + (size_t)next.stored_len;
  }
  return n;
}

/* Decodes COUNT chunks from a fetched piece of a pack. Stops early, with what
 * is good, at one that is not. */
static unsigned
decode_fetched(struct disk_link *l, struct codec *c, const struct repo_id *ids,
               uint64_t index, unsigned count, const uint8_t *p, size_t len,
               const struct chunk_place *place, uint8_t *dst)
{
  char key[PACK_KEY_SIZE];
  size_t at = 0;
  unsigned n = 0;

  pack_key(&place->pack, key);
  for (; n < count && len - at >= RECORD_SIZE; n++) {
    uint32_t raw = map_chunk_len(&l->g, index + n), got;
    struct pack_record r;

    if (!pack_record_get(p + at, 0, &r) ||
        codec_decode(c, &ids[n], p + at, len - at, key, 0, dst, raw, &got,
                     NULL) != 0 ||
        got != raw)
      break;
    at += RECORD_SIZE + r.stored_len;
    dst += raw;
  }
  return n;
}

/* LEN bytes of a pack into C's buffer; *RET is NULL when they are not there,
 * which is for the careful way to tell. */
static int
fetch(struct disk_link *l, struct codec *c, const struct chunk_place *place,
      size_t len, uint8_t **ret, struct vdk_error *err)
{
  struct vdk_error why = VDK_ERROR_INIT;
  uint8_t *fetched = codec_buffer(c, len);
  char key[PACK_KEY_SIZE];
  int r;

  *ret = NULL;
  if (!fetched)
    return error_nomem(err, "reading from a pack");
  r = store_get(l->r->store, pack_key(&place->pack, key), place->offset,
                fetched, len, &why);
  if (r == 0)
    *ret = fetched;
  else if (r != -VDK_E_NOT_FOUND && r != -VDK_E_TRUNCATED)
    return error_copy(err, &why);
  return 0;
}

/* Reads whole chunks from INDEX on, at least one, none of them zero. */
static int
read_whole(struct disk_link *l, struct codec *c, const struct repo_id *ids,
           uint64_t index, unsigned count, uint8_t *dst, unsigned *ret,
           struct vdk_error *err)
{
  struct chunk_place place;
  uint8_t *fetched;
  unsigned n = 1;
  size_t len;
  int r = 0;

  if (count > 1)
    n = find_neighbours(l, ids, count, &place, &len, err, &r);
  if (r)
    return r;
  if (n > 1) {
    r = fetch(l, c, &place, len, &fetched, err);
    if (r)
      return r;
    *ret = fetched
               ? decode_fetched(l, c, ids, index, n, fetched, len, &place, dst)
               : 0;
    if (*ret > 0)
      return 0;
  }
  /* One alone, or something is wrong: with all care. */
  *ret = 1;
  return repo_chunk_read(l->r, c, &ids[0], dst, map_chunk_len(&l->g, index),
                         err);
}

/* --- read and map -------------------------------------------------------- */

/* The ids from CHUNK on, and how many of the first state: zero when *RET_ZERO
 * is not 0 (chunks), else COUNT ids that are not zero. */
static int
look_up(struct disk_link *l, uint64_t chunk, unsigned want,
        struct repo_id ids[LOOK_AHEAD], unsigned *ret_count, uint64_t *ret_zero,
        struct vdk_error *err)
{
  unsigned n, same = 0;
  int r = map_lookup(l->nodes, &l->g, &l->root, chunk, MIN(want, LOOK_AHEAD),
                     ids, &n, ret_zero, err);

  if (r || n == 0) {
    *ret_count = 0;
    return r;
  }
  while (same < n && id_is_zero(&ids[same]) == id_is_zero(&ids[0]))
    same++;
  *ret_count = id_is_zero(&ids[0]) ? 0 : same;
  *ret_zero = id_is_zero(&ids[0]) ? same : 0;
  return 0;
}

/* Data of the chunks IDS, from OFFSET on; *RET_LEN: how much was read. */
static int
read_data(struct disk_link *l, struct codec *c, const struct repo_id *ids,
          unsigned count, uint64_t offset, uint8_t *buf, size_t len,
          size_t *ret_len, struct vdk_error *err)
{
  uint64_t index = offset / l->g.chunk_size;
  size_t done = 0;
  unsigned i = 0;
  int r = 0;

  while (r == 0 && i < count && done < len) {
    uint32_t whole = map_chunk_len(&l->g, index + i);
    uint32_t from = done ? 0 : (uint32_t)(offset % l->g.chunk_size);
    size_t n = MIN(len - done, (size_t)(whole - from));
    unsigned fit = 0, got = 1;

    if (n == whole) {
      for (size_t left = len - done; i + fit < count; fit++) {
        uint32_t size = map_chunk_len(&l->g, index + i + fit);

        if (size > left)
          break;
        left -= size;
      }
      r = read_whole(l, c, ids + i, index + i, fit, buf + done, &got, err);
      n = 0;
      for (unsigned k = 0; k < got; k++)
        n += map_chunk_len(&l->g, index + i + k);
    } else {
      r = read_part(l, c, index + i, &ids[i], from, (uint32_t)n, buf + done,
                    err);
    }
    if (r == 0) {
      done += n;
      i += got;
    }
  }
  if (done == 0)
    return r;
  *ret_len = done; /* the error, if any, comes back with the next call */
  return 0;
}

static int
name_error(struct disk_link *l, uint64_t offset, struct vdk_error *err)
{
  return error_prefix(err, "cannot read %s at offset %llu", l->link.name,
                      (unsigned long long)offset);
}

static int
link_read(struct vdk_link *link, uint64_t offset, void *buf, size_t len,
          size_t *ret_len, int *ret_state, struct vdk_error *err)
{
  struct disk_link *l = (struct disk_link *)link;
  uint64_t chunk = offset / l->g.chunk_size, zero;
  uint64_t last = (offset + len - 1) / l->g.chunk_size;
  _cleanup_codec_ struct codec *c = NULL;
  struct repo_id ids[LOOK_AHEAD];
  unsigned count;
  size_t done = 0;
  int r = codec_get(l->r->codecs, &c, err);

  if (r)
    return r;
  r = look_up(l, chunk, (unsigned)MIN(last - chunk + 1, (uint64_t)LOOK_AHEAD),
              ids, &count, &zero, err);
  if (r)
    return name_error(l, offset, err), r;
  if (count == 0) {
    uint64_t end = MIN((chunk + zero) * l->g.chunk_size, l->g.size);

    *ret_state = VDK_EXTENT_ZERO;
    *ret_len = (size_t)MIN((uint64_t)len, end - offset);
    return 0;
  }
  r = read_data(l, c, ids, count, offset, buf, len, &done, err);
  if (r)
    return name_error(l, offset, err), r;
  *ret_state = VDK_EXTENT_DATA;
  *ret_len = done;
  return 0;
}

static int
link_map(struct vdk_link *link, uint64_t offset, uint64_t len,
         uint64_t *ret_len, int *ret_state, struct vdk_error *err)
{
  struct disk_link *l = (struct disk_link *)link;
  uint64_t chunk = offset / l->g.chunk_size, at = chunk;
  uint64_t end = div_round_up(offset + len, l->g.chunk_size);
  struct repo_id ids[LOOK_AHEAD];
  int state = -1;

  while (at < end) {
    uint64_t zero;
    unsigned count;
    int r = look_up(l, at, (unsigned)MIN(end - at, (uint64_t)LOOK_AHEAD), ids,
                    &count, &zero, err);

    if (r && state < 0)
      return name_error(l, offset, err), r;
    if (r || (state >= 0 && (state == VDK_EXTENT_DATA) != (count > 0)))
      break;
    state = count > 0 ? VDK_EXTENT_DATA : VDK_EXTENT_ZERO;
    at += count > 0 ? count : zero;
  }
  *ret_state = state;
  *ret_len = MIN(at * l->g.chunk_size - offset, len);
  return 0;
}

/* --- Metadata and the rest ----------------------------------------------- */

static int
link_meta_get(struct vdk_link *link, const char *key, char **ret,
              struct vdk_error *err)
{
  struct disk_link *l = (struct disk_link *)link;

  for (char **m = l->meta; m[0]; m += 2)
    if (strcmp(m[0], key) == 0) {
      char *copy = str_dup(m[1]);

      if (!copy)
        return error_nomem(err, "reading metadata");
      *ret = copy;
      return 0;
    }
  return error_set(err, VDK_E_NO_KEY, "%s has no metadata key \"%.100s\"",
                   link->name, key);
}

static int
link_meta_list(struct vdk_link *link,
               int (*fn)(void *opaque, const char *key, const char *value),
               void *opaque, struct vdk_error *err)
{
  struct disk_link *l = (struct disk_link *)link;

  for (char **m = l->meta; m[0]; m += 2) {
    int r = fn(opaque, m[0], m[1]);

    if (r)
      return r;
  }
  return 0;
}

static int
link_close(struct vdk_link *link, struct vdk_error *err)
{
  struct disk_link *l = (struct disk_link *)link;

  for (unsigned i = 0; i < CACHE_CHUNKS; i++)
    free(l->chunks[i].data);
  for (size_t i = 0; l->meta && l->meta[i]; i++)
    free(l->meta[i]);
  free(l->meta);
  free(l->format);
  free(l->link.name);
  map_cache_free(l->nodes);
  pthread_mutex_destroy(&l->mutex);
  free(l);
  return 0;
}

static const struct link_ops disk_link_ops = {
    .name = "vmbk",
    .info = link_info,
    .read = link_read,
    .map = link_map,
    .meta_get = link_meta_get,
    .meta_list = link_meta_list,
    .close = link_close,
};

static bool
copy_meta(struct disk_link *l, char *const *meta)
{
  size_t n = 0;

  while (meta && meta[n] && meta[n + 1])
    n += 2;
  l->meta = mem_array(n + 1, sizeof *l->meta);
  for (size_t i = 0; l->meta && i < n; i++)
    if (!(l->meta[i] = str_dup(meta[i])))
      return false;
  return l->meta != NULL;
}

int
repo_disk_open(struct repo *r, const struct repo_point *p,
               const struct repo_point_disk *disk, struct vdk_link **ret,
               struct vdk_error *err)
{
  struct disk_link *l = mem_array(1, sizeof *l);
  int n;

  if (!l)
    return error_nomem(err, "opening a disk of a restore point");
  l->link.ops = &disk_link_ops;
  l->r = r;
  l->root = disk->root;
  l->bytes_data = disk->bytes_data;
  map_geometry_init(&l->g, disk->size, r->chunk_size);
  pthread_mutex_init(&l->mutex, NULL);
  l->link.name = str_printf("vmbk:%s#%s@%s/%s", r->store->name, p->vm_name,
                            p->id, disk->key);
  l->format = str_dup(disk->format);
  n = l->link.name && l->format && copy_meta(l, disk->meta)
          ? map_cache_new(r, &l->nodes, err)
          : error_nomem(err, "opening a disk of a restore point");
  if (n) {
    link_close(&l->link, NULL);
    return n;
  }
  *ret = &l->link;
  return 0;
}

/* --- Configuration files ------------------------------------------------- */

int
repo_file_read(struct repo *r, const struct repo_point_file *f, char **ret,
               size_t *ret_len, struct vdk_error *err)
{
  _cleanup_codec_ struct codec *c = NULL;
  _cleanup_free_ char *text = NULL;
  struct repo_id got;
  int n = codec_get(r->codecs, &c, err);

  if (n)
    return n;
  text = malloc(f->size + 1);
  if (!text)
    return error_nomem(err, "reading a configuration file");
  for (size_t i = 0; i < f->chunk_count; i++) {
    uint64_t at = i * (uint64_t)r->chunk_size;
    uint32_t len = (uint32_t)MIN(f->size - at, (uint64_t)r->chunk_size);

    n = repo_chunk_read(r, c, &f->chunks[i], text + at, len, err);
    if (n)
      return error_prefix(err, "cannot read %s from %s", f->name,
                          r->store->name),
             n;
  }
  n = id_of(text, f->size, &got, err);
  if (n)
    return n;
  if (!id_equal(&got, &f->sha256))
    return error_set(err, VDK_E_DAMAGED,
                     "%s in %s is damaged: its SHA-256 is wrong", f->name,
                     r->store->name);
  text[f->size] = 0;
  *ret = TAKE_PTR(text);
  *ret_len = f->size;
  return 0;
}
