/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Raw bytes in order, from and to files that may be pipes.
 *
 * The source reads whole chunks in fetch(), where the order is that of the
 * file; a last partial sector is filled up with zeroes, because a disk has
 * only whole ones. The size is known beforehand where the file has one.
 *
 * The sink writes every byte to a pipe. In a file it leaves holes for the
 * zeroes that lie behind what the file held when the copy began, and sets the
 * size at the end.
 */
#include "copy/copy.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "file/file.h"

/* --- Source --------------------------------------------------------------- */

struct raw_source {
  struct copy_source source;
  struct vdk_file *file;
  uint8_t *head;
  size_t head_len;
  uint64_t pos;
  bool ended;
};

/* Fills BUF from the head, then from the file. */
static int
raw_source_take(struct raw_source *d, uint8_t *buf, size_t len, size_t *ret,
                struct vdk_error *err)
{
  size_t from_head = 0, from_file;
  int r;

  if (d->pos < d->head_len) {
    from_head = MIN(len, d->head_len - d->pos);
    memcpy(buf, d->head + d->pos, from_head);
  }
  r = file_read_upto(d->file, d->pos + from_head, buf + from_head,
                     len - from_head, &from_file, err);
  if (r == 0)
    *ret = from_head + from_file;
  return r;
}

static int
raw_source_fetch(struct copy_source *s, struct copy_chunk *c,
                 struct vdk_error *err)
{
  struct raw_source *d = (struct raw_source *)s;
  size_t got = 0, whole;
  int r;

  c->length = 0;
  if (d->ended)
    return 0;
  r = raw_source_take(d, c->data, s->chunk_size, &got, err);
  if (r != 0)
    return r;
  d->ended = got < s->chunk_size;
  whole = round_up(got, VDK_SECTOR_SIZE);
  memset(c->data + got, 0, whole - got);
  c->offset = d->pos;
  c->length = whole;
  c->state = VDK_EXTENT_DATA;
  d->pos += whole;
  s->size = MAX(s->size, d->pos);
  return 0;
}

static void
raw_source_close(struct copy_source *s)
{
  struct raw_source *d = (struct raw_source *)s;

  free(d->head);
  free(d);
}

static const struct copy_source_ops raw_source_ops = {
    .name = "raw stream",
    .fetch = raw_source_fetch,
    .close = raw_source_close,
};

int
copy_source_raw_stream(struct vdk_file *file, const uint8_t *head,
                       size_t head_len, struct copy_source **ret,
                       struct vdk_error *err)
{
  struct raw_source *d = mem_array(1, sizeof *d);
  uint64_t size;
  int r;

  if (!d)
    return error_nomem(err, "starting a copy");
  d->source.ops = &raw_source_ops;
  d->source.label = file->name;
  d->file = file;
  d->head = mem_dup(head, head_len);
  d->head_len = head_len;
  if (!d->head) {
    raw_source_close(&d->source);
    return error_nomem(err, "starting a copy");
  }
  if (!file->is_pipe) {
    if ((r = file_size(file, &size, err)) != 0) {
      raw_source_close(&d->source);
      return r;
    }
    d->source.size = round_up(size, VDK_SECTOR_SIZE);
    d->source.total = d->source.size;
  }
  *ret = &d->source;
  return 0;
}

/* --- Sink ----------------------------------------------------------------- */

#define ZERO_PIECE (256u * 1024)

struct raw_sink {
  struct copy_sink sink;
  struct vdk_file *file;
  uint64_t size;
  uint64_t pos;
  uint64_t end; /* of the file; nothing lies behind */
  uint8_t *zeroes;
};

static int
raw_sink_put(struct raw_sink *d, const uint8_t *data, size_t len,
             struct vdk_error *err)
{
  int r = file_write(d->file, d->pos, data, len, err);

  if (r != 0)
    return r;
  d->pos += len;
  d->end = MAX(d->end, d->pos);
  __atomic_add_fetch(&d->sink.written, len, __ATOMIC_RELAXED);
  return 0;
}

static int
raw_sink_zeroes(struct raw_sink *d, uint64_t len, struct vdk_error *err)
{
  int r = 0;

  if (!d->file->is_pipe) {
    if (d->pos < d->end)
      r = file_zero(d->file, d->pos, MIN(len, d->end - d->pos), err);
    if (r == 0)
      d->pos += len;
    return r;
  }
  while (len > 0 && r == 0) {
    size_t n = MIN(len, ZERO_PIECE);

    r = raw_sink_put(d, d->zeroes, n, err);
    len -= n;
  }
  return r;
}

static int
raw_sink_write(struct copy_sink *s, struct copy_chunk *c, struct vdk_error *err)
{
  struct raw_sink *d = (struct raw_sink *)s;
  int r;

  /* What the source did not pass, such as what lies between ranges. */
  if (c->offset > d->pos &&
      (r = raw_sink_zeroes(d, c->offset - d->pos, err)) != 0)
    return r;
  if (c->state != VDK_EXTENT_DATA)
    return raw_sink_zeroes(d, c->length, err);
  return raw_sink_put(d, c->data, c->length, err);
}

static int
raw_sink_finish(struct copy_sink *s, struct vdk_error *err)
{
  struct raw_sink *d = (struct raw_sink *)s;
  int r;

  if (d->pos < d->size && (r = raw_sink_zeroes(d, d->size - d->pos, err)) != 0)
    return r;
  if (d->file->is_pipe)
    return 0;
  if (d->end < d->pos && (r = file_truncate(d->file, d->pos, err)) != 0)
    return r;
  return file_flush(d->file, err);
}

static void
raw_sink_close(struct copy_sink *s)
{
  struct raw_sink *d = (struct raw_sink *)s;

  free(d->zeroes);
  free(d);
}

static const struct copy_sink_ops raw_sink_ops = {
    .name = "raw stream",
    .write = raw_sink_write,
    .finish = raw_sink_finish,
    .close = raw_sink_close,
};

int
copy_sink_raw_stream(struct vdk_file *file, uint64_t size,
                     struct copy_sink **ret, struct vdk_error *err)
{
  struct raw_sink *d = mem_array(1, sizeof *d);
  int r;

  if (!d)
    return error_nomem(err, "starting a copy");
  d->sink.ops = &raw_sink_ops;
  d->sink.label = file->name;
  d->sink.ordered = true;
  d->sink.wants_zeroes = true;
  d->file = file;
  d->size = size;
  d->zeroes = mem_buffer(ZERO_PIECE);
  if (!d->zeroes) {
    raw_sink_close(&d->sink);
    return error_nomem(err, "starting a copy");
  }
  memset(d->zeroes, 0, ZERO_PIECE);
  if (!file->is_pipe && (r = file_size(file, &d->end, err)) != 0) {
    raw_sink_close(&d->sink);
    return r;
  }
  *ret = &d->sink;
  return 0;
}
