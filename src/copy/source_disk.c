/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The source that reads a disk, all of it or some ranges.
 *
 * fetch() walks the disk's extents and gives out chunks; read() is one read
 * of the disk. The walk keeps the extent that it stands in, so that a long
 * one is asked for once.
 *
 *   zeroes   as one chunk, however long, but only whole units of s->align
 *   data     up to the next multiple of chunk_size, so that the chunks of two
 *            copies of a disk are the same; holes shorter than HOLE_MIN are
 *            read over, since a chunk each would cost more
 *
 * Everything handed out starts and ends at a multiple of s->align, but for
 * the end of the disk: ranges are widened to it, and where widened ranges
 * meet nothing is passed twice.
 */
#include "copy/copy.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/mem.h"
#include "disk/disk.h"

#define HOLE_MIN (64u * 1024)

struct disk_source {
  struct copy_source source;
  struct vdk_disk *disk;
  struct vdk_extent *ranges;
  size_t range_count, range; /* the one that pos is in or before */
  bool started;
  uint64_t pos;
  uint64_t end; /* of the current range, widened */
  /* The extent last asked for. */
  uint64_t known_start, known_end;
  int known_state;
};

/* The state at POS and where it ends, at most the end of the range. */
static int
extent_at(struct disk_source *d, uint64_t pos, uint64_t *ret_end,
          int *ret_state, struct vdk_error *err)
{
  if (pos < d->known_start || pos >= d->known_end) {
    uint64_t len;
    int state, r;

    r = disk_extent(d->disk, pos, d->end - pos, &len, &state, err);
    if (r != 0)
      return r;
    d->known_start = pos;
    d->known_end = pos + len;
    /* What is not in a single link reads as zeroes. */
    d->known_state =
        state == VDK_EXTENT_DATA ? VDK_EXTENT_DATA : VDK_EXTENT_ZERO;
  }
  *ret_end = MIN(d->known_end, d->end);
  *ret_state = d->known_state;
  return 0;
}

/* Where the zeroes from POS on end: POS itself when there are none. Looks no
 * further than LIMIT. */
static int
zeroes_end(struct disk_source *d, uint64_t pos, uint64_t limit, uint64_t *ret,
           struct vdk_error *err)
{
  while (pos < limit) {
    uint64_t end;
    int state, r;

    if ((r = extent_at(d, pos, &end, &state, err)) != 0)
      return r;
    if (state == VDK_EXTENT_DATA)
      break;
    pos = end;
  }
  *ret = pos;
  return 0;
}

/* The end of the data chunk that starts at d->pos. */
static int
data_end(struct disk_source *d, uint64_t *ret, struct vdk_error *err)
{
  const uint64_t align = d->source.align;
  const uint64_t chunk = d->source.chunk_size;
  uint64_t limit = MIN(round_down(d->pos, chunk) + chunk, d->end);
  uint64_t pos = d->pos;

  while (pos < limit) {
    uint64_t end, hole;
    int state, r;

    if ((r = extent_at(d, pos, &end, &state, err)) != 0)
      return r;
    if (state == VDK_EXTENT_DATA) {
      pos = end;
      continue;
    }
    hole = MIN(round_up(pos, align), limit);
    if ((r = zeroes_end(d, pos, limit, &end, err)) != 0)
      return r;
    /* A hole at the end of the chunk may be the start of a long one. */
    if (hole > d->pos && hole < limit &&
        (end >= limit || end >= hole + MAX(HOLE_MIN, align))) {
      limit = hole;
      break;
    }
    pos = end;
  }
  *ret = limit;
  return 0;
}

/* On to the next range that has something left. False at the end. */
static bool
next_range(struct disk_source *d)
{
  const uint64_t align = d->source.align;

  while (d->pos >= d->end) {
    const struct vdk_extent *e;
    uint64_t end;

    if (d->range == d->range_count)
      return false;
    e = &d->ranges[d->range++];
    end = round_up(e->offset + e->length, align);
    d->end = MIN(end, d->source.size);
    d->pos = MAX(d->pos, round_down(e->offset, align));
  }
  return true;
}

/* The widened ranges' sum, once align is known. */
static uint64_t
widened_total(const struct disk_source *d)
{
  const uint64_t align = d->source.align;
  uint64_t total = 0, passed = 0;

  for (size_t i = 0; i < d->range_count; i++) {
    const struct vdk_extent *e = &d->ranges[i];
    uint64_t start = MAX(round_down(e->offset, align), passed);
    uint64_t end = MIN(round_up(e->offset + e->length, align), d->source.size);

    if (end > start)
      total += end - start;
    passed = MAX(passed, end);
  }
  return total;
}

static int
disk_source_fetch(struct copy_source *s, struct copy_chunk *c,
                  struct vdk_error *err)
{
  struct disk_source *d = (struct disk_source *)s;
  uint64_t end, whole;
  int r;

  if (!d->started) {
    d->started = true;
    s->total = widened_total(d);
  }
  c->length = 0;
  if (!next_range(d))
    return 0;
  if ((r = zeroes_end(d, d->pos, d->end, &end, err)) != 0)
    return r;
  whole = end == d->end ? end : round_down(end, s->align);
  c->state = VDK_EXTENT_ZERO;
  if (whole <= d->pos) {
    c->state = VDK_EXTENT_DATA;
    if ((r = data_end(d, &whole, err)) != 0)
      return r;
  }
  c->offset = d->pos;
  c->length = whole - d->pos;
  d->pos = whole;
  return 0;
}

static int
disk_source_read(struct copy_source *s, struct copy_chunk *c,
                 struct vdk_error *err)
{
  struct disk_source *d = (struct disk_source *)s;

  return disk_read(d->disk, c->offset, c->data, c->length, err);
}

static void
disk_source_close(struct copy_source *s)
{
  struct disk_source *d = (struct disk_source *)s;

  free(d->ranges);
  free(d);
}

static const struct copy_source_ops disk_source_ops = {
    .name = "disk",
    .fetch = disk_source_fetch,
    .read = disk_source_read,
    .close = disk_source_close,
};

static int
check_ranges(const struct vdk_disk *disk, const struct vdk_extent *ranges,
             size_t count, struct vdk_error *err)
{
  uint64_t passed = 0;

  for (size_t i = 0; i < count; i++) {
    const struct vdk_extent *e = &ranges[i];

    if (range_outside(e->offset, e->length, disk_size(disk)))
      return error_set(err, VDK_E_RANGE,
                       "range %zu (%llu bytes at %llu) is outside of %s", i,
                       (unsigned long long)e->length,
                       (unsigned long long)e->offset, disk_name(disk));
    if (e->offset < passed)
      return error_set(err, VDK_E_INVAL,
                       "range %zu of %s, at %llu, overlaps the one before it "
                       "or is out of order",
                       i, disk_name(disk), (unsigned long long)e->offset);
    passed = e->offset + e->length;
  }
  return 0;
}

int
copy_source_ranges(struct vdk_disk *disk, const struct vdk_extent *ranges,
                   size_t count, struct copy_source **ret,
                   struct vdk_error *err)
{
  struct disk_source *d;
  int r;

  if ((r = check_ranges(disk, ranges, count, err)) != 0)
    return r;
  d = mem_array(1, sizeof *d);
  if (!d)
    return error_nomem(err, "starting a copy");
  if (count > 0) {
    d->ranges = mem_array(count, sizeof *ranges);
    if (!d->ranges) {
      free(d);
      return error_nomem(err, "starting a copy");
    }
    memcpy(d->ranges, ranges, count * sizeof *ranges);
  }
  d->range_count = count;
  d->disk = disk;
  d->source.ops = &disk_source_ops;
  d->source.size = disk_size(disk);
  d->source.label = disk_name(disk);
  for (size_t i = 0; i < count; i++)
    d->source.total += ranges[i].length;
  *ret = &d->source;
  return 0;
}

int
copy_source_disk(struct vdk_disk *disk, struct copy_source **ret,
                 struct vdk_error *err)
{
  const struct vdk_extent all = {0, disk_size(disk), VDK_EXTENT_DATA};

  return copy_source_ranges(disk, &all, all.length ? 1 : 0, ret, err);
}
