/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two disks, compared: a copy of A into an ordered sink that reads B.
 *
 * The reading of B and the comparison are in prepare(), on all workers; the
 * ordered write() then finds the lowest difference first and ends the copy.
 * What A knows to be zero is not read, and of B only what is stored there.
 *
 * Disks of different size differ at the end of the shorter one, if not
 * before.
 */
#include "copy/copy.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/mem.h"
#include "disk/disk.h"

#define SAME UINT64_MAX

enum { TAG_DIFFERENCE = 4 };

struct compare_sink {
  struct copy_sink sink;
  struct vdk_disk *b;
  uint64_t difference;
};

/* The first byte in which A and B differ; they do. */
static size_t
first_difference(const uint8_t *a, const uint8_t *b, size_t len)
{
  size_t low = 0;

  /* Halving with memcmp keeps this at memory speed. */
  while (len > 1) {
    size_t half = len / 2;

    if (memcmp(a + low, b + low, half) == 0) {
      low += half;
      len -= half;
    } else {
      len = half;
    }
  }
  return low;
}

static int
compare_prepare(struct copy_sink *s, struct copy_chunk *c,
                struct vdk_error *err)
{
  struct compare_sink *d = (struct compare_sink *)s;
  int r = disk_read(d->b, c->offset, c->out, c->length, err);

  if (r != 0)
    return r;
  c->tag[TAG_DIFFERENCE] = SAME;
  if (memcmp(c->data, c->out, c->length) != 0)
    c->tag[TAG_DIFFERENCE] =
        c->offset + first_difference(c->data, c->out, c->length);
  return 0;
}

/* B is to be zero in the range. BUF holds SIZE bytes. */
static int
compare_zeroes(struct compare_sink *d, uint64_t offset, uint64_t len,
               uint8_t *buf, size_t size, struct vdk_error *err)
{
  while (len > 0) {
    uint64_t n;
    int state, r;

    if ((r = disk_extent(d->b, offset, len, &n, &state, err)) != 0)
      return r;
    if (state == VDK_EXTENT_DATA) {
      n = MIN(n, size);
      if ((r = disk_read(d->b, offset, buf, n, err)) != 0)
        return r;
      if (!mem_is_zero(buf, n)) {
        size_t i = 0;

        while (buf[i] == 0)
          i++;
        d->difference = offset + i;
        return 0;
      }
    }
    offset += n;
    len -= n;
  }
  return 0;
}

static int
compare_write(struct copy_sink *s, struct copy_chunk *c, struct vdk_error *err)
{
  struct compare_sink *d = (struct compare_sink *)s;
  int r = 0;

  if (c->state == VDK_EXTENT_DATA)
    d->difference = c->tag[TAG_DIFFERENCE];
  else
    r = compare_zeroes(d, c->offset, c->length, c->out, c->out_size, err);
  if (r == 0 && d->difference != SAME)
    return error_set(err, VDK_E_CANCELLED, "a difference was found");
  return r;
}

static void
compare_close(struct copy_sink *s)
{
}

static const struct copy_sink_ops compare_ops = {
    .name = "compare",
    .prepare = compare_prepare,
    .write = compare_write,
    .close = compare_close,
};

int
copy_compare(struct vdk_disk *a, struct vdk_disk *b,
             const struct copy_options *options, uint64_t *ret_offset,
             struct vdk_error *err)
{
  const uint64_t size = MIN(disk_size(a), disk_size(b));
  const struct vdk_extent all = {0, size, VDK_EXTENT_DATA};
  struct copy_options o = options ? *options : (struct copy_options){0};
  _cleanup_(copy_source_closep) struct copy_source *source = NULL;
  struct compare_sink d = {
      .sink.ops = &compare_ops,
      .sink.ordered = true,
      .sink.wants_zeroes = true,
      .sink.label = disk_name(b),
      .b = b,
      .difference = SAME,
  };
  int r;

  if (o.chunk_size == 0)
    o.chunk_size = 1024 * 1024;
  /* A zero chunk would be compared in write(), by one worker. */
  o.keep_zero_blocks = true;
  d.sink.chunk_size = o.chunk_size;
  d.sink.out_size = o.chunk_size;
  r = copy_source_ranges(a, &all, size ? 1 : 0, &source, err);
  if (r != 0)
    return r;
  r = copy_run(source, &d.sink, &o, NULL, err);
  if (r != 0 && d.difference == SAME)
    return r;
  if (d.difference == SAME && disk_size(a) != disk_size(b))
    d.difference = size;
  error_clear(err);
  *ret_offset = d.difference;
  return 0;
}
