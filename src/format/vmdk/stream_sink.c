/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * streamOptimized, written in order, into a file or a pipe.
 *
 *   sector 0      header: version 3, the directory is at the end
 *   1             descriptor
 *   128           grains of the first 32 MiB, their marker and grain table
 *                 (both only where there was a grain), those of the next ...
 *                 marker and grain directory
 *                 marker and footer: the header with the directory's place
 *                 end-of-stream marker
 *
 * This is the layout of VMware's own exports. Packing is prepare(), on all
 * workers: a chunk becomes a row of blocks, ready to be written, with its
 * zero grains left out. write() puts the row out with one call and enters the
 * blocks' places in the grain table. Memory: one grain table, and the
 * directory of 4 bytes per 32 MiB of disk.
 */
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "copy/copy.h"
#include "format/vmdk/marker.h"

#define CHUNK_SIZE         (1024u * 1024)
#define GRAIN_SIZE_DEFAULT (64u * 1024)
#define GRAIN_SIZE_MIN     4096u
#define GTES               512u
#define OVERHEAD_UNIT      128u /* sectors */
#define GT_COUNT_MAX       (8u * 1024 * 1024)
/* The lowest level of libdeflate whose output is smaller than that of zlib's
 * 6, which qemu-img uses: by 1 % for a file system of programs, as well as for
 * one of text. */
#define LEVEL_DEFAULT 5
#define LEVEL_MAX     12
/* Room that programs which add lines to the descriptor count on. */
#define DESCRIPTOR_SECTORS_MIN 20u

/* The name that exports have in their descriptor when they have none. */
#define PIPE_NAME "generated-stream.vmdk"

struct stream_sink {
  struct copy_sink sink;
  struct vdk_file *file;
  struct vmdk_header header;
  uint32_t grain_size;
  size_t block_max;
  int level;
  struct libdeflate_compressor *compressors[COPY_WORKERS_MAX];

  uint8_t *front; /* header and descriptor, up to the first grain */
  size_t front_size;
  uint64_t pos; /* bytes written; 0: nothing yet */

  uint64_t gt;       /* that is being filled */
  bool gt_used;      /* it has an entry */
  uint8_t *gt_block; /* its marker, and the table */
  size_t gt_block_size;
  uint8_t *tail; /* marker and directory, marker and footer, end */
  size_t tail_size;
};

/* --- Packing -------------------------------------------------------------- */

/* One grain, of LEN bytes in a buffer with room for a whole one, as a block
 * at OUT. */
static size_t
pack_grain(struct stream_sink *d, struct libdeflate_compressor *z,
           uint64_t offset, uint8_t *data, size_t len, uint8_t *out)
{
  size_t size, block;

  memset(data + len, 0, d->grain_size - len);
  size = libdeflate_zlib_compress(z, data, d->grain_size,
                                  out + MARKER_GRAIN_HEADER,
                                  d->block_max - MARKER_GRAIN_HEADER);
  le64_store(out, offset / VDK_SECTOR_SIZE);
  le32_store(out + 8, size);
  block = round_up(MARKER_GRAIN_HEADER + size, VDK_SECTOR_SIZE);
  memset(out + MARKER_GRAIN_HEADER + size, 0,
         block - MARKER_GRAIN_HEADER - size);
  return size ? block : 0;
}

static int
stream_sink_prepare(struct copy_sink *s, struct copy_chunk *c,
                    struct vdk_error *err)
{
  struct stream_sink *d = (struct stream_sink *)s;
  struct libdeflate_compressor **z = &d->compressors[c->worker];

  if (!*z)
    *z = libdeflate_alloc_compressor(d->level);
  if (!*z)
    return error_nomem(err, "packing a grain");
  c->out_len = 0;
  for (size_t at = 0; at < c->length; at += d->grain_size) {
    size_t len = MIN(d->grain_size, c->length - at), block;

    if (mem_is_zero(c->data + at, len))
      continue;
    block = pack_grain(d, *z, c->offset + at, c->data + at, len,
                       c->out + c->out_len);
    if (block == 0)
      return error_set(err, VDK_E_INTERNAL,
                       "%s: a grain at %llu did not fit its bound when packed",
                       d->file->name, (unsigned long long)(c->offset + at));
    c->out_len += block;
  }
  return 0;
}

/* --- Writing -------------------------------------------------------------- */

static int
put(struct stream_sink *d, const uint8_t *data, size_t len,
    struct vdk_error *err)
{
  int r;

  if (len == 0)
    return 0;
  if ((r = file_write(d->file, d->pos, data, len, err)) != 0)
    return r;
  d->pos += len;
  __atomic_add_fetch(&d->sink.written, len, __ATOMIC_RELAXED);
  return 0;
}

static int
begin(struct stream_sink *d, struct vdk_error *err)
{
  return d->pos == 0 ? put(d, d->front, d->front_size, err) : 0;
}

/* The sector of what is written at POS, as tables can hold it. */
static int
sector_of(const struct stream_sink *d, uint64_t pos, uint32_t *ret,
          struct vdk_error *err)
{
  if (pos / VDK_SECTOR_SIZE > UINT32_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s: the stream would be larger than 2 TiB, which the "
                     "format cannot hold",
                     d->file->name);
  *ret = pos / VDK_SECTOR_SIZE;
  return 0;
}

static int
flush_gt(struct stream_sink *d, struct vdk_error *err)
{
  uint32_t sector = 0;
  int r;

  if (!d->gt_used)
    return 0;
  if ((r = sector_of(d, d->pos + VDK_SECTOR_SIZE, &sector, err)) != 0 ||
      (r = put(d, d->gt_block, d->gt_block_size, err)) != 0)
    return r;
  le32_store(d->tail + VDK_SECTOR_SIZE + d->gt * 4, sector);
  memset(d->gt_block + VDK_SECTOR_SIZE, 0, GTES * 4);
  d->gt_used = false;
  return 0;
}

/* Enters the block that will be written at POS. */
static int
enter(struct stream_sink *d, uint64_t lba, uint64_t pos, struct vdk_error *err)
{
  uint64_t grain = lba / d->header.grain_sectors;
  uint32_t sector = 0;
  int r = sector_of(d, pos, &sector, err);

  if (r != 0)
    return r;
  d->gt = grain / GTES;
  d->gt_used = true;
  le32_store(d->gt_block + VDK_SECTOR_SIZE + grain % GTES * 4, sector);
  return 0;
}

static int
stream_sink_write(struct copy_sink *s, struct copy_chunk *c,
                  struct vdk_error *err)
{
  struct stream_sink *d = (struct stream_sink *)s;
  size_t done = 0, at = 0;
  int r;

  if ((r = begin(d, err)) != 0)
    return r;
  while (at < c->out_len) {
    const uint8_t *block = c->out + at;
    uint64_t lba = le64_load(block);

    /* On to the next table: the grains so far, then theirs. */
    if (d->gt_used && lba / d->header.grain_sectors / GTES != d->gt) {
      if ((r = put(d, c->out + done, at - done, err)) != 0 ||
          (r = flush_gt(d, err)) != 0)
        return r;
      done = at;
    }
    if ((r = enter(d, lba, d->pos + at - done, err)) != 0)
      return r;
    at += round_up(MARKER_GRAIN_HEADER + le32_load(block + 8), VDK_SECTOR_SIZE);
  }
  return put(d, c->out + done, at - done, err);
}

static int
stream_sink_finish(struct copy_sink *s, struct vdk_error *err)
{
  struct stream_sink *d = (struct stream_sink *)s;
  const uint64_t gd_bytes = marker_gd_bytes(&d->header);
  uint8_t *p = d->tail;
  uint32_t sector = 0;
  int r;

  if ((r = begin(d, err)) != 0 || (r = flush_gt(d, err)) != 0 ||
      (r = sector_of(d, d->pos + VDK_SECTOR_SIZE, &sector, err)) != 0)
    return r;
  marker_print(MARKER_GD, gd_bytes / VDK_SECTOR_SIZE, p);
  p += VDK_SECTOR_SIZE + gd_bytes;
  marker_print(MARKER_FOOTER, 1, p);
  d->header.gd_offset = sector;
  vmdk_header_print(&d->header, p + VDK_SECTOR_SIZE);
  marker_print(MARKER_EOS, 0, p + 2 * VDK_SECTOR_SIZE);
  if ((r = put(d, d->tail, d->tail_size, err)) != 0)
    return r;
  return d->file->is_pipe ? 0 : file_flush(d->file, err);
}

static void
stream_sink_close(struct copy_sink *s)
{
  struct stream_sink *d = (struct stream_sink *)s;

  for (size_t i = 0; i < COPY_WORKERS_MAX; i++)
    if (d->compressors[i])
      libdeflate_free_compressor(d->compressors[i]);
  free(d->front);
  free(d->gt_block);
  free(d->tail);
  free(d);
}

static const struct copy_sink_ops stream_sink_ops = {
    .name = "streamOptimized",
    .prepare = stream_sink_prepare,
    .write = stream_sink_write,
    .finish = stream_sink_finish,
    .close = stream_sink_close,
};

/* --- Setting up ----------------------------------------------------------- */

static int
check_request(const struct format_create *c, uint64_t grain_size,
              struct vdk_error *err)
{
  if (c->size == 0 || c->size % VDK_SECTOR_SIZE != 0)
    return error_set(err, VDK_E_INVAL,
                     "a disk of %llu bytes cannot be made: it takes sectors "
                     "of %u bytes, one at least",
                     (unsigned long long)c->size, VDK_SECTOR_SIZE);
  if (c->level > LEVEL_MAX)
    return error_set(err, VDK_E_INVAL, "%u is no level from 1 to %u", c->level,
                     LEVEL_MAX);
  if (!is_power_of_2(grain_size) || grain_size < GRAIN_SIZE_MIN ||
      grain_size > CHUNK_SIZE)
    return error_set(err, VDK_E_INVAL,
                     "a grain of %llu bytes cannot be made: it takes a power "
                     "of two from %u to %u",
                     (unsigned long long)grain_size, GRAIN_SIZE_MIN,
                     CHUNK_SIZE);
  if (div_round_up(c->size, grain_size * GTES) > GT_COUNT_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "a stream-optimized disk of %llu bytes cannot be made",
                     (unsigned long long)c->size);
  if (c->has_parent)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "a stream-optimized disk cannot have a parent");
  return 0;
}

/* The descriptor, and around it all that comes before the first grain. */
static int
make_front(struct stream_sink *d, const struct format_create *c,
           struct vdk_error *err)
{
  const char *base = path_basename(d->file->name);
  bool named = !d->file->is_pipe && str_ends_with_nocase(base, ".vmdk");
  _cleanup_free_ char *name = str_dup(named ? base : PIPE_NAME);
  struct vmdk_extent_line line = {
      .access = VMDK_RDONLY,
      .type = VMDK_SPARSE,
      .sectors = d->header.capacity,
      .file = name,
  };
  struct vmdk_new_descriptor n = {
      .type = "streamOptimized",
      .create = c,
      .extents = &line,
      .extent_count = 1,
  };
  _cleanup_free_ char *text = NULL;
  size_t len;
  int r;

  if (!name)
    return error_nomem(err, "making a descriptor");
  if ((r = vmdk_new_cid(&n.cid, err)) != 0 ||
      (r = vmdk_descriptor_new(&n, &text, &len, err)) != 0)
    return r;
  if (len > VMDK_DESCRIPTOR_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s: a descriptor of %zu bytes is too large; carry over "
                     "less metadata",
                     d->file->name, len);
  d->header.descriptor_offset = 1;
  d->header.descriptor_sectors =
      MAX(div_round_up(len, VDK_SECTOR_SIZE), DESCRIPTOR_SECTORS_MIN);
  d->header.overhead =
      round_up(1 + d->header.descriptor_sectors, OVERHEAD_UNIT);
  d->front_size = d->header.overhead * VDK_SECTOR_SIZE;
  d->front = mem_array(1, d->front_size);
  if (!d->front)
    return error_nomem(err, "making a stream");
  vmdk_header_print(&d->header, d->front);
  memcpy(d->front + VDK_SECTOR_SIZE, text, len);
  return 0;
}

static int
make_tables(struct stream_sink *d, struct vdk_error *err)
{
  d->gt_block_size = VDK_SECTOR_SIZE + marker_gt_bytes(&d->header);
  d->gt_block = mem_array(1, d->gt_block_size);
  d->tail_size = 4 * VDK_SECTOR_SIZE + marker_gd_bytes(&d->header);
  d->tail = mem_array(1, d->tail_size);
  if (!d->gt_block || !d->tail)
    return error_nomem(err, "making a stream");
  marker_print(MARKER_GT, marker_gt_bytes(&d->header) / VDK_SECTOR_SIZE,
               d->gt_block);
  return 0;
}

int
vmdk_stream_sink(struct vdk_file *file, const struct format_create *c,
                 struct copy_sink **ret, struct vdk_error *err)
{
  const uint64_t grain_size =
      c->grain_size ? c->grain_size : GRAIN_SIZE_DEFAULT;
  struct stream_sink *d;
  int r;

  if ((r = check_request(c, grain_size, err)) != 0)
    return r;
  d = mem_array(1, sizeof *d);
  if (!d)
    return error_nomem(err, "making a stream");
  d->file = file;
  d->grain_size = grain_size;
  d->level = c->level ? (int)c->level : LEVEL_DEFAULT;
  d->header = (struct vmdk_header){
      .version = 3,
      .flags =
          VMDK_FLAG_NEWLINE_TEST | VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS,
      .capacity = c->size / VDK_SECTOR_SIZE,
      .grain_sectors = grain_size / VDK_SECTOR_SIZE,
      .gtes_per_gt = GTES,
      .gd_offset = VMDK_GD_AT_END,
      .compression = 1,
      .gt_count = div_round_up(c->size, grain_size * GTES),
  };
  d->block_max = round_up(MARKER_GRAIN_HEADER +
                              libdeflate_zlib_compress_bound(NULL, grain_size),
                          VDK_SECTOR_SIZE);
  d->sink.ops = &stream_sink_ops;
  d->sink.label = file->name;
  d->sink.ordered = true;
  d->sink.granularity = grain_size;
  d->sink.chunk_size = CHUNK_SIZE;
  d->sink.out_size = CHUNK_SIZE / grain_size * d->block_max;
  r = make_front(d, c, err);
  if (r == 0)
    r = make_tables(d, err);
  if (r != 0) {
    stream_sink_close(&d->sink);
    return r;
  }
  *ret = &d->sink;
  return 0;
}
