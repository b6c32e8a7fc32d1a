/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of a compressed extent, in one of two shapes:
 *
 *   stored    the grain directory in memory (4 bytes per 32 MiB of disk, and
 *             bounded), grain tables read when needed into a small direct
 *             mapped cache
 *   salvaged  pairs of grain and sector from a marker walk, sorted
 *
 * The mutex guards the cache and is not held while a table is read: two
 * threads may read the same one, and the second puts it there again.
 */
#include "format/vmdk/stream_table.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/vmdk/marker.h"

#define GD_MAX      (8u * 1024 * 1024) /* entries: 32 MiB of memory */
#define GTES_MAX    4096u
#define CACHE_SLOTS 64u
#define SALVAGE_MAX (8u * 1024 * 1024) /* grains: 64 MiB of memory */

struct place {
  uint32_t grain, sector;
};

struct cached_gt {
  uint64_t gt; /* index + 1; 0: empty */
  uint32_t *entries;
};

struct stream_table {
  struct vdk_file *file;
  uint64_t file_size;
  uint64_t grains; /* of the extent */
  uint32_t gtes;

  uint32_t *gd; /* NULL: salvaged */
  uint64_t gt_count;
  pthread_mutex_t mutex;
  struct cached_gt cache[CACHE_SLOTS];

  struct place *places;
  size_t place_count, place_capacity;
};

static struct stream_table *
table_new(struct vdk_file *file, const struct vmdk_header *h,
          uint64_t file_size)
{
  struct stream_table *t = mem_array(1, sizeof *t);

  if (!t)
    return NULL;
  t->file = file;
  t->file_size = file_size;
  t->grains = div_round_up(h->capacity, h->grain_sectors);
  t->gtes = h->gtes_per_gt;
  t->gt_count = h->gt_count;
  pthread_mutex_init(&t->mutex, NULL);
  return t;
}

void
stream_table_free(struct stream_table *t)
{
  if (!t)
    return;
  for (size_t i = 0; i < CACHE_SLOTS; i++)
    free(t->cache[i].entries);
  pthread_mutex_destroy(&t->mutex);
  free(t->gd);
  free(t->places);
  free(t);
}
DEFINE_CLEANUP(struct stream_table, stream_table_free);

/* --- Stored --------------------------------------------------------------- */

int
stream_table_open(struct vdk_file *file, const struct vmdk_header *h,
                  uint64_t file_size, struct stream_table **ret,
                  struct vdk_error *err)
{
  _cleanup_(stream_table_freep) struct stream_table *t = NULL;
  uint64_t offset;
  int r;

  if (h->gt_count == 0 || h->gt_count > GD_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s: a compressed extent with %llu grain tables cannot "
                     "be read; at most %u can",
                     file->name, (unsigned long long)h->gt_count, GD_MAX);
  if (h->gtes_per_gt == 0 || h->gtes_per_gt > GTES_MAX)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: grain tables of %u entries, where 1 to %u can be",
                     file->name, h->gtes_per_gt, GTES_MAX);
  if (mul_overflows(h->gd_offset, (uint64_t)VDK_SECTOR_SIZE, &offset) ||
      range_outside(offset, h->gt_count * 4, file_size))
    return error_set(err, VDK_E_TRUNCATED,
                     "%s: the grain directory, at sector %llu, lies beyond "
                     "the end of the file; it was cut off",
                     file->name, (unsigned long long)h->gd_offset);
  t = table_new(file, h, file_size);
  if (!t)
    return error_nomem(err, "reading a grain directory");
  t->gd = mem_array(h->gt_count, sizeof *t->gd);
  if (!t->gd)
    return error_nomem(err, "reading a grain directory");
  r = file_read(file, offset, t->gd, h->gt_count * 4, err);
  if (r != 0)
    return r;
  for (uint64_t i = 0; i < h->gt_count; i++)
    t->gd[i] = le32_load(&t->gd[i]);
  *ret = TAKE_PTR(t);
  return 0;
}

static int
read_gt(struct stream_table *t, uint64_t gt, uint32_t *ret,
        struct vdk_error *err)
{
  const uint64_t offset = (uint64_t)t->gd[gt] * VDK_SECTOR_SIZE;
  int r;

  if (range_outside(offset, t->gtes * 4, t->file_size))
    return error_set(err, VDK_E_TRUNCATED,
                     "%s: grain table %llu, at offset %llu, lies beyond the "
                     "end of the file",
                     t->file->name, (unsigned long long)gt,
                     (unsigned long long)offset);
  r = file_read(t->file, offset, ret, t->gtes * 4, err);
  if (r != 0)
    return r;
  for (uint32_t i = 0; i < t->gtes; i++)
    ret[i] = le32_load(&ret[i]);
  return 0;
}

/* Entries [AT, AT + COUNT) of table GT from the cache. */
static bool
cache_get(struct stream_table *t, uint64_t gt, size_t at, size_t count,
          uint32_t *ret)
{
  struct cached_gt *c = &t->cache[gt % CACHE_SLOTS];
  LOCK_SCOPE(&t->mutex);

  if (c->gt != gt + 1)
    return false;
  memcpy(ret, c->entries + at, count * sizeof *ret);
  return true;
}

/* Without memory it is merely not kept. */
static void
cache_put(struct stream_table *t, uint64_t gt, const uint32_t *entries)
{
  struct cached_gt *c = &t->cache[gt % CACHE_SLOTS];
  LOCK_SCOPE(&t->mutex);

  if (!c->entries)
    c->entries = mem_array(t->gtes, sizeof *c->entries);
  if (!c->entries)
    return;
  memcpy(c->entries, entries, t->gtes * sizeof *entries);
  c->gt = gt + 1;
}

static int
stored_get(struct stream_table *t, uint64_t first, size_t max, uint32_t *ret,
           uint64_t *ret_count, bool *ret_empty, struct vdk_error *err)
{
  uint32_t entries[GTES_MAX];
  uint64_t gt = first / t->gtes;
  size_t at = first % t->gtes;
  size_t count = MIN(max, t->gtes - at);
  int r;

  *ret_empty = t->gd[gt] == 0;
  if (*ret_empty) {
    uint64_t end = gt;

    while (end < t->gt_count && t->gd[end] == 0)
      end++;
    *ret_count = MIN(end * t->gtes, t->grains) - first;
    return 0;
  }
  if (!cache_get(t, gt, at, count, ret)) {
    if ((r = read_gt(t, gt, entries, err)) != 0)
      return r;
    cache_put(t, gt, entries);
    memcpy(ret, entries + at, count * sizeof *ret);
  }
  *ret_count = MIN(count, t->grains - first);
  return 0;
}

/* --- Salvaged ------------------------------------------------------------- */

static int
by_grain(const void *a, const void *b)
{
  const struct place *x = a, *y = b;

  if (x->grain != y->grain)
    return x->grain < y->grain ? -1 : 1;
  return x->sector < y->sector ? -1 : x->sector > y->sector;
}

/* Sorted; of a grain that is there twice, the later one in the file. */
static void
sort_places(struct stream_table *t)
{
  size_t kept = 0;

  if (t->place_count > 0)
    qsort(t->places, t->place_count, sizeof *t->places, by_grain);
  for (size_t i = 0; i < t->place_count; i++) {
    if (kept > 0 && t->places[kept - 1].grain == t->places[i].grain)
      kept--;
    t->places[kept++] = t->places[i];
  }
  t->place_count = kept;
}

/* One block of the walk. *RET_NEXT: where the next is; 0 at the end. */
static int
walk_step(struct stream_table *t, const struct vmdk_header *h, uint64_t offset,
          uint64_t *ret_next, struct vdk_error *err)
{
  uint8_t head[MARKER_PEEK];
  struct marker m;
  int r;

  *ret_next = 0;
  if (range_outside(offset, sizeof head, t->file_size) ||
      offset / VDK_SECTOR_SIZE > UINT32_MAX)
    return 0;
  if ((r = file_read(t->file, offset, head, sizeof head, err)) != 0)
    return r;
  if (marker_parse(head, h, t->file->name, offset, &m, NULL) != 0 ||
      m.kind == MARKER_EOS ||
      range_outside(offset,
                    m.kind == MARKER_GRAIN
                        ? MARKER_GRAIN_HEADER + (uint64_t)m.size
                        : m.bytes,
                    t->file_size))
    return 0;
  if (m.kind == MARKER_GRAIN) {
    if (t->place_count >= SALVAGE_MAX)
      return error_set(err, VDK_E_TOO_BIG,
                       "%s: more than %u grains cannot be salvaged",
                       t->file->name, SALVAGE_MAX);
    if (!mem_grow(&t->places, &t->place_capacity, t->place_count + 1,
                  sizeof *t->places))
      return error_nomem(err, "salvaging a stream");
    t->places[t->place_count++] = (struct place){
        m.lba / h->grain_sectors,
        offset / VDK_SECTOR_SIZE,
    };
  }
  *ret_next = offset + m.bytes;
  return 0;
}

int
stream_table_salvage(struct vdk_file *file, const struct vmdk_header *h,
                     uint64_t file_size, const struct vdk_log *log,
                     struct stream_table **ret, struct vdk_error *err)
{
  _cleanup_(stream_table_freep) struct stream_table *t = NULL;
  uint64_t offset = 0, end = 0;

  t = table_new(file, h, file_size);
  if (!t)
    return error_nomem(err, "salvaging a stream");
  if (t->grains > UINT32_MAX)
    return error_set(err, VDK_E_TOO_BIG, "%s: too large to be salvaged",
                     file->name);
  if (h->overhead <= file_size / VDK_SECTOR_SIZE)
    offset = MAX(h->overhead, 1u) * VDK_SECTOR_SIZE;
  while (offset != 0) {
    int r;

    end = offset;
    if ((r = walk_step(t, h, offset, &offset, err)) != 0)
      return r;
  }
  sort_places(t);
  log_warning(log,
              "%s: salvaged: %zu grains were found up to offset %llu, of a "
              "file of %llu bytes; what is missing reads as zeroes",
              file->name, t->place_count, (unsigned long long)end,
              (unsigned long long)file_size);
  *ret = TAKE_PTR(t);
  return 0;
}

static void
salvaged_get(struct stream_table *t, uint64_t first, size_t max, uint32_t *ret,
             uint64_t *ret_count, bool *ret_empty)
{
  size_t low = 0, high = t->place_count, count = 0;

  while (low < high) {
    size_t middle = low + (high - low) / 2;

    if (t->places[middle].grain < first)
      low = middle + 1;
    else
      high = middle;
  }
  while (count < max && low + count < t->place_count &&
         t->places[low + count].grain == first + count) {
    ret[count] = t->places[low + count].sector;
    count++;
  }
  *ret_empty = count == 0;
  if (count > 0)
    *ret_count = count;
  else
    *ret_count =
        (low < t->place_count ? t->places[low].grain : t->grains) - first;
}

int
stream_table_get(struct stream_table *t, uint64_t first, size_t max,
                 uint32_t *ret, uint64_t *ret_count, bool *ret_empty,
                 struct vdk_error *err)
{
  if (t->gd)
    return stored_get(t, first, max, ret, ret_count, ret_empty, err);
  salvaged_get(t, first, max, ret, ret_count, ret_empty);
  return 0;
}
