/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compressed extents, read at random.
 *
 * Two ways through, by the size of the request:
 *
 *   whole grains   the entries of up to BATCH grains; grains that follow one
 *                  another in the file are read with one call, each unpacked
 *                  into the caller's memory
 *   less           the grain is unpacked once and kept, so that small reads
 *                  in a row, or in several threads, do not unpack it again
 *
 * Every grain carries its LBA, which must be the one that the tables say.
 *
 * Locks: the tables have theirs, the kept grains have the cache's, unpackers
 * come from a free list; nothing is held while a file is read or a grain is
 * unpacked.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/vmdk/grain_codec.h"
#include "format/vmdk/marker.h"
#include "format/vmdk/stream_table.h"

#define BATCH       32u            /* entries asked for at once */
#define READ_MAX    (1024u * 1024) /* of one read of the file, about */
#define KEPT_GRAINS 8u

struct kept_grain {
  uint64_t grain; /* + 1; 0: none */
  uint64_t used;
  uint8_t *data;
};

struct stream_extent {
  struct vmdk_extent extent;
  struct vmdk_header header; /* the footer's, where there is one */
  uint64_t file_size;
  size_t grain_size;
  size_t block_max; /* of a packed grain in the file */
  size_t head_size; /* before the packed data: 12 with markers, else 4 */
  struct stream_table *table;
  struct unpackers unpackers;

  pthread_mutex_t mutex;
  struct kept_grain kept[KEPT_GRAINS];
  uint64_t clock;
};

/* --- One packed grain ----------------------------------------------------- */

/* Bytes of the disk in GRAIN: fewer at the end of the disk. */
static size_t
grain_needed(const struct stream_extent *x, uint64_t grain)
{
  return MIN(x->grain_size, x->extent.size - grain * x->grain_size);
}

static int
cut_off(const struct stream_extent *x, uint64_t grain, uint64_t offset,
        struct vdk_error *err)
{
  return error_set(err, VDK_E_TRUNCATED,
                   "%s: grain %llu (LBA %llu), at offset %llu, is cut off by "
                   "the end of the file",
                   x->extent.file->name, (unsigned long long)grain,
                   (unsigned long long)(grain * x->header.grain_sectors),
                   (unsigned long long)offset);
}

/* Checks the head of the block of GRAIN that BLOCK[0..AVAILABLE) starts with.
 * *RET_SIZE: of its packed data. */
static int
parse_block(const struct stream_extent *x, uint64_t grain, uint64_t offset,
            const uint8_t *block, size_t *ret_size, struct vdk_error *err)
{
  const char *name = x->extent.file->name;
  const uint64_t lba = grain * x->header.grain_sectors;
  struct marker m;
  int r;

  if (x->head_size == 4) {
    *ret_size = le32_load(block);
    if (*ret_size != 0 && *ret_size <= marker_size_max(x->grain_size))
      return 0;
    return error_set(err, VDK_E_CORRUPT,
                     "%s: grain %llu (LBA %llu), at offset %llu, claims %zu "
                     "packed bytes",
                     name, (unsigned long long)grain, (unsigned long long)lba,
                     (unsigned long long)offset, *ret_size);
  }
  if ((r = marker_parse(block, &x->header, name, offset, &m, err)) != 0)
    return error_prefix(err, "reading grain %llu (LBA %llu)",
                        (unsigned long long)grain, (unsigned long long)lba);
  if (m.kind != MARKER_GRAIN)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: no grain at offset %llu, where grain %llu (LBA "
                     "%llu) should be",
                     name, (unsigned long long)offset,
                     (unsigned long long)grain, (unsigned long long)lba);
  if (m.lba != lba)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the grain at offset %llu says that it is LBA %llu, "
                     "but the tables have grain %llu (LBA %llu) there",
                     name, (unsigned long long)offset,
                     (unsigned long long)m.lba, (unsigned long long)grain,
                     (unsigned long long)lba);
  *ret_size = m.size;
  return 0;
}

/* Unpacks GRAIN from BLOCK, AVAILABLE bytes of the file from OFFSET on. OUT
 * has room for a whole grain. *RET_SHORT: the block is longer than that. */
static int
unpack_block(const struct stream_extent *x, struct unpacker *u, uint64_t grain,
             uint64_t offset, const uint8_t *block, size_t available,
             uint8_t *out, bool *ret_short, struct vdk_error *err)
{
  struct packed_grain g = {
      .file = x->extent.file->name,
      .offset = offset,
      .lba = grain * x->header.grain_sectors,
      .data = block + x->head_size,
  };
  int r;

  *ret_short = available < MARKER_PEEK;
  if (*ret_short)
    return 0;
  if ((r = parse_block(x, grain, offset, block, &g.size, err)) != 0)
    return r;
  *ret_short = g.size > available - x->head_size;
  if (*ret_short)
    return 0;
  return grain_unpack(u, &g, out, x->grain_size, grain_needed(x, grain), err);
}

/* --- Grains of a request -------------------------------------------------- */

/* Where the bytes end that are worth reading for the last of a row of grains:
 * at the grain behind it, if the file goes on in that order, or after the
 * largest grain that can be. */
static uint64_t
row_end(const struct stream_extent *x, uint32_t last, uint32_t next)
{
  uint64_t end = (uint64_t)last * VDK_SECTOR_SIZE + x->block_max;

  if (next > last)
    end = MIN(end, (uint64_t)next * VDK_SECTOR_SIZE);
  return MIN(end, x->file_size);
}

/* One grain, with a read of its own, as much as it can need. */
static int
unpack_alone(const struct stream_extent *x, struct unpacker *u, uint64_t grain,
             uint32_t sector, uint8_t *out, struct vdk_error *err)
{
  const uint64_t offset = (uint64_t)sector * VDK_SECTOR_SIZE;
  size_t got;
  bool is_short;
  int r;

  r = file_read_upto(x->extent.file, offset, u->raw, x->block_max, &got, err);
  if (r != 0)
    return r;
  r = unpack_block(x, u, grain, offset, u->raw, got, out, &is_short, err);
  if (r == 0 && is_short)
    return cut_off(x, grain, offset, err);
  return r;
}

/* To OUT, which has room for what the disk has of GRAIN. BLOCK NULL: it is to
 * be read first. */
static int
deliver(const struct stream_extent *x, struct unpacker *u, uint64_t grain,
        uint32_t sector, const uint8_t *block, size_t available, uint8_t *out,
        bool *ret_short, struct vdk_error *err)
{
  const size_t needed = grain_needed(x, grain);
  uint8_t *to = needed == x->grain_size ? out : u->grain;
  int r;

  *ret_short = false;
  r = block ? unpack_block(x, u, grain, (uint64_t)sector * VDK_SECTOR_SIZE,
                           block, available, to, ret_short, err)
            : unpack_alone(x, u, grain, sector, to, err);
  if (r == 0 && to != out && !*ret_short)
    memcpy(out, to, needed);
  return r;
}

/* The first grains of ENTRIES[0..COUNT) (all of them stored) that lie in one
 * stretch of the file, with one read. ENTRIES[COUNT] is the next entry or 0.
 * *RET: how many were unpacked. */
static int
unpack_row(const struct stream_extent *x, struct unpacker *u, uint64_t grain,
           const uint32_t *entries, size_t count, uint8_t *out, size_t *ret,
           struct vdk_error *err)
{
  const uint64_t start = (uint64_t)entries[0] * VDK_SECTOR_SIZE;
  size_t n = 1, got;
  uint64_t end;
  int r;

  while (n < count && entries[n] > entries[n - 1] &&
         row_end(x, entries[n], entries[n + 1]) - start <=
             READ_MAX + x->block_max)
    n++;
  end = row_end(x, entries[n - 1], entries[n]);
  if (start + MARKER_PEEK > x->file_size || end <= start)
    return cut_off(x, grain, start, err);
  if ((r = file_read_upto(x->extent.file, start, u->raw, end - start, &got,
                          err)) != 0)
    return r;
  for (size_t i = 0; i < n; i++) {
    const uint64_t at = (uint64_t)entries[i] * VDK_SECTOR_SIZE - start;
    bool is_short = at >= got;

    if (!is_short)
      r = deliver(x, u, grain + i, entries[i], u->raw + at, got - at,
                  out + i * x->grain_size, &is_short, err);
    /* Longer than thought: it starts the next row, or is read alone. */
    if (r == 0 && is_short) {
      n = MAX(i, 1u);
      if (i == 0)
        r = deliver(x, u, grain, entries[0], NULL, 0, out, &is_short, err);
    }
    if (r != 0)
      return r;
  }
  *ret = n;
  return 0;
}

static int
unpack_rows(struct stream_extent *x, uint64_t grain, const uint32_t *entries,
            size_t count, uint8_t *out, struct vdk_error *err)
{
  struct unpacker *u;
  int r = unpackers_get(&x->unpackers, &u, err);

  if (r != 0)
    return r;
  while (count > 0) {
    size_t n = 0;

    r = unpack_row(x, u, grain, entries, count, out, &n, err);
    if (r != 0)
      break;
    grain += n;
    entries += n;
    count -= n;
    out += n * x->grain_size;
  }
  unpackers_put(&x->unpackers, u);
  return r;
}

/* --- Kept grains ---------------------------------------------------------- */

static bool
kept_read(struct stream_extent *x, uint64_t grain, size_t at, uint8_t *buf,
          size_t len)
{
  LOCK_SCOPE(&x->mutex);

  for (size_t i = 0; i < KEPT_GRAINS; i++)
    if (x->kept[i].grain == grain + 1) {
      x->kept[i].used = ++x->clock;
      memcpy(buf, x->kept[i].data + at, len);
      return true;
    }
  return false;
}

/* Keeps what is in *DATA in the place of the one not used for longest, whose
 * memory (perhaps NULL) is in *DATA then. */
static void
kept_put(struct stream_extent *x, uint64_t grain, uint8_t **data)
{
  struct kept_grain *k = &x->kept[0];
  uint8_t *old;
  LOCK_SCOPE(&x->mutex);

  for (size_t i = 1; i < KEPT_GRAINS; i++)
    if (x->kept[i].used < k->used)
      k = &x->kept[i];
  old = k->data;
  *k = (struct kept_grain){grain + 1, ++x->clock, *data};
  *data = old;
}

static int
read_part(struct stream_extent *x, uint64_t grain, uint32_t sector, size_t at,
          uint8_t *buf, size_t len, struct vdk_error *err)
{
  struct unpacker *u;
  int r;

  if (kept_read(x, grain, at, buf, len))
    return 0;
  if ((r = unpackers_get(&x->unpackers, &u, err)) != 0)
    return r;
  r = unpack_alone(x, u, grain, sector, u->grain, err);
  if (r == 0) {
    memcpy(buf, u->grain + at, len);
    kept_put(x, grain, &u->grain);
  }
  unpackers_put(&x->unpackers, u);
  return r;
}

/* --- The extent's calls --------------------------------------------------- */

static int
entry_state(uint32_t entry)
{
  return entry == 0   ? VDK_EXTENT_ABSENT
         : entry == 1 ? VDK_EXTENT_ZERO
                      : VDK_EXTENT_DATA;
}

/* Entries of one state from GRAIN on, at most BATCH when it is DATA. ENTRIES
 * has BATCH + 1 and is 0 behind what is known. */
static int
find_run(struct stream_extent *x, uint64_t grain, uint32_t entries[BATCH + 1],
         uint64_t *ret_count, int *ret_state, struct vdk_error *err)
{
  uint64_t count;
  size_t run = 1;
  bool empty;
  int r;

  r = stream_table_get(x->table, grain, BATCH + 1, entries, &count, &empty,
                       err);
  if (r != 0)
    return r;
  if (empty) {
    *ret_state = VDK_EXTENT_ABSENT;
    *ret_count = count;
    return 0;
  }
  if (count <= BATCH)
    entries[count] = 0;
  *ret_state = entry_state(entries[0]);
  while (run < MIN(count, BATCH) && entry_state(entries[run]) == *ret_state)
    run++;
  *ret_count = run;
  return 0;
}

static int
stream_read(struct vmdk_extent *e, uint64_t offset, void *buf, size_t len,
            size_t *ret_len, int *ret_state, struct vdk_error *err)
{
  struct stream_extent *x = (struct stream_extent *)e;
  const uint64_t grain = offset / x->grain_size;
  const size_t at = offset % x->grain_size;
  const size_t first = MIN(len, grain_needed(x, grain) - at);
  uint32_t entries[BATCH + 1];
  uint64_t count, bytes;
  size_t whole = 0;
  int state, r;

  if ((r = find_run(x, grain, entries, &count, &state, err)) != 0)
    return r;
  bytes = MIN(count * x->grain_size, x->extent.size - grain * x->grain_size);
  bytes = MIN(bytes - at, len);
  *ret_state = state;
  if (state != VDK_EXTENT_DATA) {
    *ret_len = bytes;
    return 0;
  }
  if (at != 0 || first < grain_needed(x, grain)) {
    *ret_len = first;
    return read_part(x, grain, entries[0], at, buf, first, err);
  }
  /* Whole grains; what is left of the last one is another call's. */
  while (whole < count && bytes >= grain_needed(x, grain + whole)) {
    bytes -= grain_needed(x, grain + whole);
    whole++;
  }
  *ret_len = MIN(whole * x->grain_size, x->extent.size - grain * x->grain_size);
  return unpack_rows(x, grain, entries, whole, buf, err);
}

static int
stream_map(struct vmdk_extent *e, uint64_t offset, uint64_t len,
           uint64_t *ret_len, int *ret_state, struct vdk_error *err)
{
  struct stream_extent *x = (struct stream_extent *)e;
  const uint64_t end = offset + len;
  uint64_t pos = offset;
  int first_state = -1;

  while (pos < end) {
    uint64_t grain = pos / x->grain_size, count, grain_end;
    uint32_t entries[BATCH + 1];
    int state, r;

    if ((r = find_run(x, grain, entries, &count, &state, err)) != 0)
      return r;
    if (first_state < 0)
      first_state = state;
    if (state != first_state)
      break;
    grain_end = grain + count;
    pos = MIN(grain_end * x->grain_size, end);
  }
  *ret_len = pos - offset;
  *ret_state = first_state;
  return 0;
}

static int
stream_close(struct vmdk_extent *e, struct vdk_error *err)
{
  struct stream_extent *x = (struct stream_extent *)e;

  for (size_t i = 0; i < KEPT_GRAINS; i++)
    free(x->kept[i].data);
  pthread_mutex_destroy(&x->mutex);
  unpackers_destroy(&x->unpackers);
  stream_table_free(x->table);
  file_close(x->extent.file);
  free(x->extent.file_name);
  free(x);
  return 0;
}

static const struct vmdk_extent_ops stream_ops = {
    .name = "stream",
    .read = stream_read,
    .map = stream_map,
    .close = stream_close,
};

/* The tables, by whatever leads to them. */
static int
open_table(struct stream_extent *x, const struct vmdk_extent_open *o,
           struct vdk_error *err)
{
  const bool walkable = x->head_size == MARKER_GRAIN_HEADER;
  int r = 0;

  if (x->header.gd_offset == VMDK_GD_AT_END)
    r = stream_footer_find(o->file, o->header, o->file_size, &x->header, err);
  if (r == 0)
    r = stream_table_open(o->file, &x->header, o->file_size, &x->table, err);
  if (r == 0 || !o->salvage || !walkable || r == -VDK_E_NOMEM)
    return r;
  log_warning(o->log, "%s: the tables cannot be read; looking for grains",
              o->file->name);
  error_clear(err);
  x->header = *o->header;
  return stream_table_salvage(o->file, o->header, o->file_size, o->log,
                              &x->table, err);
}

int
vmdk_extent_stream_open(const struct vmdk_extent_open *o,
                        struct vmdk_extent **ret, struct vdk_error *err)
{
  const struct vmdk_header *h = o->header;
  struct stream_extent *x;
  int r;

  if (o->writable)
    return error_set(err, VDK_E_READ_ONLY,
                     "%s: a stream-optimized disk cannot be written in place; "
                     "convert it to another type first",
                     o->file->name);
  x = mem_array(1, sizeof *x);
  if (!x)
    return error_nomem(err, "opening a compressed extent");
  x->header = *h;
  x->file_size = o->file_size;
  x->grain_size = h->grain_sectors * VDK_SECTOR_SIZE;
  x->block_max = marker_block_max(x->grain_size);
  x->head_size = h->flags & VMDK_FLAG_MARKERS ? MARKER_GRAIN_HEADER : 4;
  x->extent.ops = &stream_ops;
  x->extent.size = h->capacity * VDK_SECTOR_SIZE;
  x->extent.granularity = x->grain_size;
  unpackers_init(&x->unpackers, READ_MAX + x->block_max, x->grain_size);
  pthread_mutex_init(&x->mutex, NULL);
  r = h->capacity == 0 ? error_set(err, VDK_E_CORRUPT,
                                   "%s: an extent of no sectors", o->file->name)
                       : open_table(x, o, err);
  if (r != 0) {
    stream_close(&x->extent, NULL);
    return r;
  }
  x->extent.file = o->file;
  *ret = &x->extent;
  return 0;
}
