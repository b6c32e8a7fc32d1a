/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A compressed extent, read in order, from a file that may be a pipe.
 *
 * fetch() walks the blocks. It stands before a grain (d->next), whose data
 * was not taken yet, or at the end. Between the grains it gives out zeroes,
 * so that every byte of the disk is passed once and in order. Grains that
 * lie in one piece of chunk_size are taken together, packed, into c->raw:
 *
 *   struct record | packed data | struct record | packed data | ...
 *
 * and read() unpacks them, in parallel with other chunks.
 *
 * Chunks start and end at multiples of the unit: the grain, or what the sink
 * wants if that is more.
 *
 * The end. An export has a footer and an end-of-stream marker, and without
 * them it was cut off. Files with their tables in front end with the marker,
 * or (qemu) with the file; then the tables tell whether all grains came.
 */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "copy/copy.h"
#include "format/vmdk/grain_codec.h"
#include "format/vmdk/marker.h"
#include "format/vmdk/stream_check.h"
#include "format/vmdk/stream_input.h"

/* Packed bytes of one chunk, before the last grain. A chunk of 1 MiB fits
 * even when nothing in it could be packed. */
#define RAW_SIZE (1024u * 1024 * 9 / 8)
/* What may follow the end and is taken, so that the writer of a pipe can end
 * in peace. */
#define PADDING_MAX (64ull * 1024 * 1024)

struct record {
  uint64_t lba, offset;
  uint32_t size;
};

enum stage { STAGE_START, STAGE_GRAIN, STAGE_END };

struct stream_source {
  struct copy_source source;
  struct vmdk_header header;
  const struct vdk_log *log;
  struct stream_input input;
  struct stream_check check;
  struct unpackers unpackers;
  uint32_t grain_size;

  enum stage stage;
  struct marker next;   /* at STAGE_GRAIN; its header was not taken */
  uint64_t next_offset; /* of its marker in the file */
  uint64_t grains_end;  /* sectors: behind the last grain */
  uint64_t pos;         /* bytes of the disk that were given out */
  bool footer_seen;
  uint8_t *table; /* room for one grain table */
};

/* --- Walking the blocks --------------------------------------------------- */

static int
cut_off(struct stream_source *d, struct vdk_error *err)
{
  return error_set(err, VDK_E_TRUNCATED,
                   "%s: the stream was cut off at byte %llu, after LBA %llu",
                   d->input.file->name,
                   (unsigned long long)stream_input_pos(&d->input),
                   (unsigned long long)d->grains_end);
}

/* All of LEN bytes, to BUF or nowhere. */
static int
take(struct stream_source *d, uint8_t *buf, uint64_t len, struct vdk_error *err)
{
  uint64_t got;
  int r = stream_input_take(&d->input, buf, len, &got, err);

  if (r == 0 && got < len)
    return cut_off(d, err);
  return r;
}

/* Header, descriptor, and tables that are in front. */
static int
take_front(struct stream_source *d, struct vdk_error *err)
{
  const uint64_t sectors = MAX(d->header.overhead, 1u);
  int r;

  if ((r = take(d, NULL, VMDK_HEADER_SIZE, err)) != 0)
    return r;
  if (d->check.front) {
    r = take(d, d->check.front, d->check.front_size, err);
    if (r == 0)
      stream_check_front(&d->check);
    return r;
  }
  if (sectors > INT64_MAX / VDK_SECTOR_SIZE)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the header claims %llu sectors before the first "
                     "grain",
                     d->input.file->name, (unsigned long long)sectors);
  return take(d, NULL, (sectors - 1) * VDK_SECTOR_SIZE, err);
}

/* The last block went by. CUT: the file ended instead. */
static int
at_end(struct stream_source *d, bool cut, struct vdk_error *err)
{
  uint64_t got;
  int r;

  d->stage = STAGE_END;
  r = stream_input_take(&d->input, NULL, VDK_SECTOR_SIZE, &got, err);
  if (r != 0)
    return r;
  cut = cut || got < VDK_SECTOR_SIZE;
  if ((r = stream_check_end(&d->check, cut, err)) != 0)
    return r;
  /* qemu writes no marker at the end of its files, which have their tables
   * in front; others that have them there have one. An export has a footer
   * too. */
  if (d->header.gd_offset == VMDK_GD_AT_END
          ? cut || !d->footer_seen
          : cut && d->header.gd_offset >= d->header.overhead)
    return cut_off(d, err);
  if (cut && !d->check.has_front_tables)
    log_warning(d->log,
                "%s: the stream has no end marker, so that it cannot be seen "
                "whether it is whole",
                d->input.file->name);
  return stream_input_take(&d->input, NULL, PADDING_MAX, &got, err);
}

static int
take_gt(struct stream_source *d, const struct marker *m, struct vdk_error *err)
{
  const uint64_t offset = stream_input_pos(&d->input);
  int r;

  if ((r = take(d, NULL, VDK_SECTOR_SIZE, err)) != 0 ||
      (r = take(d, d->table, m->bytes - VDK_SECTOR_SIZE, err)) != 0)
    return r;
  return d->check.has_front_tables
             ? 0
             : stream_check_gt(&d->check, d->table, offset, err);
}

/* The marker here; *RET_CUT when the file ends instead. */
static int
peek_marker(struct stream_source *d, struct marker *ret, bool *ret_cut,
            struct vdk_error *err)
{
  const uint8_t *p;
  size_t len;
  int r;

  r = stream_input_peek(&d->input, MARKER_PEEK, &p, &len, err);
  if (r != 0)
    return r;
  *ret_cut = len == 0;
  if (len == 0)
    return 0;
  if (len < MARKER_PEEK)
    return cut_off(d, err);
  return marker_parse(p, &d->header, d->input.file->name,
                      stream_input_pos(&d->input), ret, err);
}

static int
out_of_order(struct stream_source *d, const struct marker *m,
             struct vdk_error *err)
{
  return error_set(
      err, VDK_E_CORRUPT,
      "%s: the grain at offset %llu is LBA %llu, but LBA %llu was "
      "reached already; if the stream is whole, save it to a file "
      "and read that",
      d->input.file->name, (unsigned long long)stream_input_pos(&d->input),
      (unsigned long long)m->lba, (unsigned long long)d->grains_end);
}

/* One block that is not a live grain goes by, or d->next is one. */
static int
step(struct stream_source *d, struct vdk_error *err)
{
  struct marker m;
  bool cut, live;
  int r;

  if ((r = peek_marker(d, &m, &cut, err)) != 0)
    return r;
  if (cut || m.kind == MARKER_EOS)
    return at_end(d, cut, err);
  if (m.kind == MARKER_GT)
    return take_gt(d, &m, err);
  if (m.kind == MARKER_FOOTER)
    d->footer_seen = true;
  if (m.kind != MARKER_GRAIN)
    return take(d, NULL, m.bytes, err);
  stream_check_grain(&d->check, m.lba, stream_input_pos(&d->input), &live);
  if (!live)
    return take(d, NULL, m.bytes, err);
  if (m.lba < d->grains_end)
    return out_of_order(d, &m, err);
  d->grains_end = m.lba + d->header.grain_sectors;
  d->next = m;
  d->next_offset = stream_input_pos(&d->input);
  d->stage = STAGE_GRAIN;
  return 0;
}

/* Until d->next is the next grain, or the end is reached. */
static int
find_next(struct stream_source *d, struct vdk_error *err)
{
  int r = 0;

  d->stage = STAGE_START;
  while (r == 0 && d->stage == STAGE_START)
    r = step(d, err);
  return r;
}

/* --- Chunks --------------------------------------------------------------- */

/* d->next into C->raw. */
static int
take_grain(struct stream_source *d, struct copy_chunk *c, struct vdk_error *err)
{
  const struct record rec = {d->next.lba, d->next_offset, d->next.size};
  uint8_t *p = c->raw + c->raw_len;
  uint64_t got;
  int r;

  memcpy(p, &rec, sizeof rec);
  if ((r = take(d, NULL, MARKER_GRAIN_HEADER, err)) != 0 ||
      (r = take(d, p + sizeof rec, rec.size, err)) != 0)
    return r;
  c->raw_len += sizeof rec + rec.size;
  /* The last block's padding may be missing at the end of the file. */
  return stream_input_take(&d->input, NULL,
                           d->next.bytes - MARKER_GRAIN_HEADER - rec.size, &got,
                           err);
}

static bool
fits(const struct stream_source *d, const struct copy_chunk *c)
{
  return sizeof(struct record) + d->next.size <= c->raw_size - c->raw_len;
}

/* Grains from d->pos on, as far as they follow one another in units. */
static int
fill_chunk(struct stream_source *d, struct copy_chunk *c, uint64_t unit,
           struct vdk_error *err)
{
  const uint64_t size = d->source.size;
  const uint64_t limit =
      round_down(d->pos, d->source.chunk_size) + d->source.chunk_size;
  uint64_t end = d->pos;
  int r = 0;

  while (r == 0 && d->stage == STAGE_GRAIN) {
    const uint64_t at = d->next.lba * VDK_SECTOR_SIZE;

    if (at >= limit || round_down(at, unit) > end)
      break;
    if (!fits(d, c)) {
      if (at >= end)
        break;
      return error_set(err, VDK_E_UNSUPPORTED,
                       "%s: the grains from LBA %llu on are larger packed "
                       "than unpacked, by more than can be read at once",
                       d->input.file->name,
                       (unsigned long long)(d->pos / VDK_SECTOR_SIZE));
    }
    end = MAX(end, round_up(at + d->grain_size, unit));
    if ((r = take_grain(d, c, err)) == 0)
      r = find_next(d, err);
  }
  c->state = VDK_EXTENT_DATA;
  c->length = MIN(end, size) - d->pos;
  return r;
}

static int
stream_source_fetch(struct copy_source *s, struct copy_chunk *c,
                    struct vdk_error *err)
{
  struct stream_source *d = (struct stream_source *)s;
  const uint64_t unit = MAX(d->grain_size, s->align);
  uint64_t start = s->size;
  int r;

  if (d->pos == 0 && d->grains_end == 0 && d->stage == STAGE_START) {
    if (unit > s->chunk_size)
      return error_set(err, VDK_E_UNSUPPORTED,
                       "%s: grains of %u bytes do not fit chunks of %zu",
                       d->input.file->name, d->grain_size, s->chunk_size);
    if ((r = take_front(d, err)) != 0 || (r = find_next(d, err)) != 0)
      return r;
  }
  c->raw_len = 0;
  c->offset = d->pos;
  if (d->stage == STAGE_GRAIN)
    start = round_down(d->next.lba * VDK_SECTOR_SIZE, unit);
  if (start > d->pos) {
    c->state = VDK_EXTENT_ZERO;
    c->length = start - d->pos;
  } else if (d->pos >= s->size) {
    c->length = 0;
  } else if ((r = fill_chunk(d, c, unit, err)) != 0) {
    return r;
  }
  d->pos += c->length;
  return 0;
}

static int
stream_source_read(struct copy_source *s, struct copy_chunk *c,
                   struct vdk_error *err)
{
  struct stream_source *d = (struct stream_source *)s;
  uint64_t pos = c->offset; /* C->data is filled up to here */
  struct unpacker *u;
  int r;

  if ((r = unpackers_get(&d->unpackers, &u, err)) != 0)
    return r;
  for (size_t at = 0; at < c->raw_len && r == 0;) {
    struct packed_grain g = {.file = d->input.file->name};
    struct record rec;
    uint64_t start;

    memcpy(&rec, c->raw + at, sizeof rec);
    g.lba = rec.lba;
    g.offset = rec.offset;
    g.data = c->raw + at + sizeof rec;
    g.size = rec.size;
    start = rec.lba * VDK_SECTOR_SIZE;
    memset(c->data + (pos - c->offset), 0, start - pos);
    r = grain_unpack(u, &g, c->data + (start - c->offset), d->grain_size,
                     MIN(d->grain_size, s->size - start), err);
    pos = start + d->grain_size;
    at += sizeof rec + rec.size;
  }
  if (r == 0 && pos < c->offset + c->length)
    memset(c->data + (pos - c->offset), 0, c->offset + c->length - pos);
  unpackers_put(&d->unpackers, u);
  return r;
}

static void
stream_source_close(struct copy_source *s)
{
  struct stream_source *d = (struct stream_source *)s;

  stream_input_destroy(&d->input);
  stream_check_destroy(&d->check);
  unpackers_destroy(&d->unpackers);
  free(d->table);
  free(d);
}

static const struct copy_source_ops stream_source_ops = {
    .name = "streamOptimized",
    .fetch = stream_source_fetch,
    .read = stream_source_read,
    .close = stream_source_close,
};

/* --- Setting up ----------------------------------------------------------- */

static int
parse_head(struct vdk_file *file, const uint8_t *head, size_t len,
           struct vmdk_header *ret, struct vdk_error *err)
{
  const unsigned needed = VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS;
  int r;

  if (len < VMDK_HEADER_SIZE)
    return error_set(err, VDK_E_TRUNCATED,
                     "%s: the stream ends after %zu bytes, inside its header",
                     file->name, len);
  r = vmdk_header_parse(head, file->name, 0, false, ret, err);
  if (r != 0)
    return r;
  if ((ret->flags & needed) != needed)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "%s: this VMDK cannot be read from a pipe, only a "
                     "streamOptimized one can; save it to a file first",
                     file->name);
  if (ret->capacity == 0)
    return error_set(err, VDK_E_CORRUPT, "%s: a disk of no sectors",
                     file->name);
  return 0;
}

static int
source_init(struct stream_source *d, struct vdk_file *file, const uint8_t *head,
            size_t len, struct vdk_error *err)
{
  int r;

  if ((r = stream_input_init(&d->input, file, head, len, err)) != 0 ||
      (r = stream_check_init(&d->check, &d->header, file->name, err)) != 0)
    return r;
  d->table = mem_array(1, marker_gt_bytes(&d->header));
  return d->table ? 0 : error_nomem(err, "reading a stream");
}

int
vmdk_stream_source(struct vdk_file *file, const uint8_t *head, size_t len,
                   const struct vdk_log *log, struct copy_source **ret,
                   struct vdk_error *err)
{
  struct vmdk_header header;
  struct stream_source *d;
  int r;

  if ((r = parse_head(file, head, len, &header, err)) != 0)
    return r;
  d = mem_array(1, sizeof *d);
  if (!d)
    return error_nomem(err, "reading a stream");
  d->header = header;
  d->log = log;
  d->grain_size = header.grain_sectors * VDK_SECTOR_SIZE;
  d->source.ops = &stream_source_ops;
  d->source.size = header.capacity * VDK_SECTOR_SIZE;
  d->source.total = d->source.size;
  d->source.label = file->name;
  d->source.raw_size =
      RAW_SIZE + sizeof(struct record) + marker_size_max(d->grain_size);
  unpackers_init(&d->unpackers, 0, d->grain_size);
  if ((r = source_init(d, file, head, len, err)) != 0) {
    stream_source_close(&d->source);
    return r;
  }
  *ret = &d->source;
  return 0;
}
