/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sink that writes a disk.
 *
 * A chunk is cut into runs of zeroes and of data, seen in units of what the
 * disk allocates (a grain of 64 KiB; 4 KiB for raw and flat files), so that
 * what would be an empty grain is never made. Each run of data is one write.
 * Where a unit is cheaper than a system call, a run of zeroes between data
 * has to be worth one: shorter ones are written with their neighbours.
 *
 * On a new, empty target zeroes are skipped; on another they are given to
 * disk_zero, which frees space where the format can.
 */
#include "copy/copy.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "disk/disk.h"

#define UNIT_MIN 4096u
#define SKIP_MIN (16u * 1024)

struct disk_sink {
  struct copy_sink sink;
  struct vdk_disk *disk;
  size_t unit;     /* zeroes are looked for in these */
  size_t skip_min; /* the shortest run of zeroes between data, bytes */
};

/* How far from POS on all units are zero, or all are not. */
static size_t
run_end(const struct disk_sink *d, const uint8_t *data, size_t pos, size_t len,
        bool zero)
{
  while (pos < len) {
    size_t n = MIN(d->unit, len - pos);

    if (mem_is_zero(data + pos, n) != zero)
      break;
    pos += n;
  }
  return pos;
}

/* The end of the data that starts at POS, short runs of zeroes included. */
static size_t
data_run_end(const struct disk_sink *d, const uint8_t *data, size_t pos,
             size_t len)
{
  for (;;) {
    size_t end = run_end(d, data, pos, len, false);
    size_t zero_end = run_end(d, data, end, len, true);

    if (zero_end == len || zero_end - end >= d->skip_min)
      return end;
    pos = zero_end;
  }
}

static int
put_zeroes(struct disk_sink *d, uint64_t offset, uint64_t len,
           struct vdk_error *err)
{
  if (len == 0 || !d->sink.wants_zeroes)
    return 0;
  return disk_zero(d->disk, offset, len, err);
}

static int
disk_sink_write(struct copy_sink *s, struct copy_chunk *c,
                struct vdk_error *err)
{
  struct disk_sink *d = (struct disk_sink *)s;
  size_t pos = 0;
  int r;

  if (c->state != VDK_EXTENT_DATA)
    return put_zeroes(d, c->offset, c->length, err);
  while (pos < c->length) {
    size_t start = run_end(d, c->data, pos, c->length, true);
    size_t end = data_run_end(d, c->data, start, c->length);

    if ((r = put_zeroes(d, c->offset + pos, start - pos, err)) != 0)
      return r;
    if (end > start) {
      r = disk_write(d->disk, c->offset + start, c->data + start, end - start,
                     err);
      if (r != 0)
        return r;
      __atomic_add_fetch(&s->written, end - start, __ATOMIC_RELAXED);
    }
    pos = end;
  }
  return 0;
}

static int
disk_sink_finish(struct copy_sink *s, struct vdk_error *err)
{
  return disk_flush(((struct disk_sink *)s)->disk, err);
}

static void
disk_sink_close(struct copy_sink *s)
{
  free(s);
}

static const struct copy_sink_ops disk_sink_ops = {
    .name = "disk",
    .write = disk_sink_write,
    .finish = disk_sink_finish,
    .close = disk_sink_close,
};

int
copy_sink_disk(struct vdk_disk *disk, bool target_is_zero,
               struct copy_sink **ret, struct vdk_error *err)
{
  struct disk_sink *d = mem_array(1, sizeof *d);
  struct link_info info;

  if (!d)
    return error_nomem(err, "starting a copy");
  disk_link_info(disk, 0, &info);
  d->disk = disk;
  d->unit = MAX(info.granularity, UNIT_MIN);
  d->skip_min = MAX(d->unit, SKIP_MIN);
  d->sink.ops = &disk_sink_ops;
  d->sink.label = disk_name(disk);
  d->sink.ordered = info.sequential;
  d->sink.granularity = d->unit;
  d->sink.wants_zeroes = !target_is_zero;
  *ret = &d->sink;
  return 0;
}
