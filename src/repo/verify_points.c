/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The restore points: each manifest, each map, each chunk that they name.
 *
 * Most nodes of a map are those of the map before, so that nodes below which
 * all is well are remembered and walked once. Only what is damaged is walked
 * again for each point, to tell which points it touches.
 */
#include <stdio.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "repo/verify.h"

struct point_walk {
  struct verify *v;
  const char *key;  /* of the manifest */
  const char *name; /* "vm@id" */
  uint64_t number;
  struct map_geometry g;
  struct codec *codec;
  uint8_t *raw;       /* chunk_size bytes */
  uint64_t missing;   /* chunks of the present disk that are nowhere */
  const char *broken; /* another thing that is wrong with its map */
  struct vdk_error *err;
};

enum verdict { WHOLE = 1, BROKEN = 2 };

/* --- Chunks -------------------------------------------------------------- */

static bool
can_be_read(struct point_walk *w, const struct repo_id *id,
            const struct chunk_place *place, uint32_t *ret_len, int *ret_error)
{
  size_t len = RECORD_SIZE + (size_t)place->stored_len;
  uint8_t *record = codec_buffer(w->codec, len);
  struct vdk_error why = VDK_ERROR_INIT;
  char key[PACK_KEY_SIZE];

  *ret_error = 0;
  if (!record) {
    *ret_error = error_nomem(w->err, "verifying a chunk");
    return false;
  }
  pack_key(&place->pack, key);
  if (store_get(w->v->r->store, key, place->offset, record, len, &why) == 0 &&
      codec_decode(w->codec, id, record, len, key, place->offset, w->raw,
                   REPO_CHUNK_SIZE_MAX, ret_len, &why) == 0)
    return true;
  if (verify_is_fatal(-why.code))
    *ret_error = error_copy(w->err, &why);
  return false;
}

/* A chunk in a suspect pack: is it, or another copy, whole? Asked once. */
static int
judge(struct point_walk *w, const struct repo_id *id,
      const struct chunk_place *place, bool *ret_whole)
{
  struct index_entry *e = table_find(&w->v->verdict, id);
  struct chunk_place other;
  uint32_t len;
  bool whole;
  int r;

  if (e) {
    *ret_whole = e->pack == WHOLE;
    return 0;
  }
  whole = can_be_read(w, id, place, &len, &r);
  if (r == 0 && !whole &&
      index_find(w->v->index, id, &place->pack, &other, NULL) == 0)
    whole = can_be_read(w, id, &other, &len, &r);
  if (r)
    return r;
  e = table_add(&w->v->verdict, id);
  if (!e)
    return error_nomem(w->err, "verifying a chunk");
  e->pack = whole ? WHOLE : BROKEN;
  *ret_whole = whole;
  return 0;
}

/* *RET_GOOD: the chunk can be restored, as far as this level looks. */
static int
check_chunk(struct point_walk *w, const struct repo_id *id, bool *ret_good)
{
  struct verify *v = w->v;
  struct chunk_place place;
  struct index_entry *pack;
  int r = index_find(v->index, id, NULL, &place, w->err);

  *ret_good = false;
  if (r == -VDK_E_NOT_FOUND) {
    w->missing++;
    return 0;
  }
  if (r)
    return r;
  pack = table_find(&v->packs, &place.pack);
  if (!pack) { /* stored after the packs were listed */
    *ret_good = true;
    return 0;
  }
  pack->offset = 1;
  *ret_good = true;
  if (pack->pack != 0)
    r = judge(w, id, &place, ret_good);
  if (r == 0 && !*ret_good)
    r = verify_touch(v, pack->pack, w->name, w->number, w->err);
  return r;
}

/* The last chunk of a disk may be short, and must be just so. */
static int
check_last(struct point_walk *w, const struct repo_id *id)
{
  struct chunk_place place;
  uint32_t len;
  int r;

  if (index_find(w->v->index, id, NULL, &place, NULL) != 0)
    return 0;
  if (!can_be_read(w, id, &place, &len, &r))
    w->broken = "its last chunk cannot be read";
  else if (len != map_chunk_len(&w->g, w->g.chunks - 1))
    w->broken = "its last chunk has a wrong length";
  return r;
}

/* --- Maps ---------------------------------------------------------------- */

/* What the packs' own verification did not see, or did not look for, shows
 * when a node is read: then the pack is suspect from now on. */
static int
suspect(struct point_walk *w, const struct repo_id *id,
        const struct vdk_error *why)
{
  struct chunk_place place;
  struct index_entry *pack = NULL;
  char key[PACK_KEY_SIZE];
  int r = 0;

  if (index_find(w->v->index, id, NULL, &place, NULL) == 0)
    pack = table_find(&w->v->packs, &place.pack);
  if (!pack) {
    w->broken = "a node of its map cannot be read";
    return 0;
  }
  if (pack->pack == 0)
    r = verify_found(w->v, pack_key(&place.pack, key), vdk_error_message(why),
                     &pack->pack, w->err);
  return r ? r : verify_touch(w->v, pack->pack, w->name, w->number, w->err);
}

static int
read_node(struct point_walk *w, const struct repo_id *id, struct map_node *node,
          bool *ret_good)
{
  struct vdk_error why = VDK_ERROR_INIT;
  int r = check_chunk(w, id, ret_good);

  if (r || !*ret_good)
    return r;
  r = repo_chunk_read(w->v->r, w->codec, id, node, MAP_NODE_SIZE, &why);
  if (r == 0)
    return 0;
  *ret_good = false;
  return verify_is_fatal(r) ? error_copy(w->err, &why) : suspect(w, id, &why);
}

static int walk_node(struct point_walk *w, int level, uint64_t index,
                     const struct repo_id *id, bool *ret_good);

/* Item AT of the level below LEVEL. */
static int
walk_item(struct point_walk *w, int level, uint64_t at,
          const struct repo_id *item, bool *ret_good)
{
  int r;

  *ret_good = true;
  if (id_is_zero(item))
    return 0;
  if (at * map_span(level - 1) >= w->g.chunks) {
    w->broken = "its map goes on behind the end of the disk";
    return 0;
  }
  if (level > 0)
    return walk_node(w, level - 1, at, item, ret_good);
  r = check_chunk(w, item, ret_good);
  if (r == 0 && *ret_good && at == w->g.chunks - 1)
    r = check_last(w, item);
  return r;
}

static int
walk_node(struct point_walk *w, int level, uint64_t index,
          const struct repo_id *id, bool *ret_good)
{
  bool ends_inside = (index + 1) * map_span(level) > w->g.chunks;
  struct map_node *node;
  bool readable;
  int r;

  *ret_good = true;
  if (id_is_zero(id) || (!ends_inside && table_find(&w->v->clean, id)))
    return 0;
  node = malloc(sizeof *node);
  if (!node)
    return error_nomem(w->err, "verifying a map");
  r = read_node(w, id, node, &readable);
  *ret_good = readable;
  for (unsigned i = 0; r == 0 && readable && i < MAP_FANOUT; i++) {
    bool good;

    r = walk_item(w, level, index * MAP_FANOUT + i, &node->ids[i], &good);
    *ret_good &= good;
  }
  free(node);
  if (r == 0 && *ret_good && !ends_inside && !table_add(&w->v->clean, id))
    return error_nomem(w->err, "verifying a map");
  return r;
}

/* What is wrong with the point itself becomes a finding of the manifest. */
static int
report_own(struct point_walk *w, const char *what)
{
  char text[400];
  uint32_t number;
  int r;

  if (w->missing == 0 && !w->broken)
    return 0;
  if (w->broken)
    snprintf(text, sizeof text, "%s: %s", what, w->broken);
  else
    snprintf(text, sizeof text,
             "%s: %llu of its chunks are in no index run that can be read",
             what, (unsigned long long)w->missing);
  r = verify_found(w->v, w->key, text, &number, w->err);
  return r ? r : verify_touch(w->v, number, w->name, w->number, w->err);
}

static int
check_disk(struct point_walk *w, const struct repo_point_disk *disk)
{
  char what[100];
  bool good;
  int r;

  map_geometry_init(&w->g, disk->size, w->v->r->chunk_size);
  w->missing = 0;
  w->broken = NULL;
  r = walk_node(w, (int)w->g.levels - 1, 0, &disk->root, &good);
  if (r)
    return r;
  w->v->stats.disks++;
  snprintf(what, sizeof what, "disk %.64s", disk->key);
  r = report_own(w, what);
  return r ? r
           : verify_progress(w->v,
                             w->v->level == REPO_VERIFY_QUICK ? disk->size : 0,
                             w->name, w->err);
}

/* Small enough to be read whole at every level. */
static int
check_file(struct point_walk *w, const struct repo_point_file *f)
{
  struct vdk_error why = VDK_ERROR_INIT;
  _cleanup_free_ char *text = NULL;
  char what[300];
  bool good = true;
  size_t len;
  int r = 0;

  w->missing = 0;
  w->broken = NULL;
  for (size_t i = 0; i < f->chunk_count && r == 0; i++)
    if (!id_is_zero(&f->chunks[i])) {
      bool one;

      r = check_chunk(w, &f->chunks[i], &one);
      good &= one;
    }
  if (r)
    return r;
  if (good && repo_file_read(w->v->r, f, &text, &len, &why) != 0) {
    if (verify_is_fatal(-why.code))
      return error_copy(w->err, &why);
    w->broken = vdk_error_message(&why);
  }
  snprintf(what, sizeof what, "file %.255s", f->name);
  return report_own(w, what);
}

/* --- Points -------------------------------------------------------------- */

static int
check_point(struct point_walk *w, const struct repo_point *p)
{
  int r = 0;

  for (size_t i = 0; i < p->disk_count && r == 0; i++)
    r = check_disk(w, &p->disks[i]);
  for (size_t i = 0; i < p->file_count && r == 0; i++)
    r = check_file(w, &p->files[i]);
  w->v->stats.points++;
  return r;
}

/* A manifest that cannot be read touches the point that its name tells. */
static int
report_manifest(struct verify *v, const char *key, uint64_t number,
                const struct vdk_error *why, struct vdk_error *err)
{
  uint32_t finding;
  int r;

  if (why->code == VDK_E_NOT_FOUND) /* removed since it was listed */
    return 0;
  if (verify_is_fatal(-why->code))
    return error_copy(err, why);
  r = verify_found(v, key, vdk_error_message(why), &finding, err);
  return r ? r : verify_touch(v, finding, path_basename(key), number, err);
}

static int
check_key(struct verify *v, struct point_walk *w, const char *key,
          struct vdk_error *err)
{
  struct vdk_error why = VDK_ERROR_INIT;
  _cleanup_point_ struct repo_point *p = NULL;
  _cleanup_free_ char *name = NULL;

  w->number++;
  if (repo_point_load(v->r, key, &p, &why) != 0)
    return report_manifest(v, key, w->number, &why, err);
  name = str_printf("%s@%s", p->vm_name, p->id);
  if (!name)
    return error_nomem(err, "verifying a restore point");
  w->key = key;
  w->name = name;
  return check_point(w, p);
}

int
verify_points(struct verify *v, struct vdk_error *err)
{
  struct point_keys keys _cleanup_(point_keys_free) = {0};
  _cleanup_codec_ struct codec *codec = NULL;
  _cleanup_free_ uint8_t *raw = mem_buffer(REPO_CHUNK_SIZE_MAX);
  struct point_walk w = {.v = v, .raw = raw, .err = err};
  int r = repo_point_keys(v->r, &keys, err);

  if (r == 0)
    r = codec_get(v->r->codecs, &codec, err);
  if (r == 0 && !raw)
    r = error_nomem(err, "verifying restore points");
  w.codec = codec;
  for (size_t i = 0; i < keys.count && r == 0; i++)
    r = check_key(v, &w, keys.keys[i], err);
  return r;
}
