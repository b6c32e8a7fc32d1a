/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hosted sparse extent: reads, writes and zeroes over the grain tables.
 *
 * Reads look up all grains of a request at once, as runs that lie together in
 * the file, and do one I/O per run. Writes reserve places for what is new,
 * move the data, then enter it in the tables (grain_alloc.c); tables reach
 * the file at a flush (grain_flush.c).
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/log.h"
#include "format/vmdk/sparse.h"

#define RUNS_MAX 32

static struct sparse *
sparse_of(struct vmdk_extent *e)
{
  return (struct sparse *)e;
}

/* Grains that [offset, offset + len) touches. */
static uint64_t
grains_touched(const struct sparse *s, uint64_t offset, uint64_t len)
{
  return div_round_up(offset % s->grain_bytes + len, s->grain_bytes);
}

/* Bytes of the request that a run of COUNT grains covers, when the request
 * starts at OFFSET inside the first of them. */
static uint64_t
run_bytes(const struct sparse *s, uint64_t offset, uint64_t count, uint64_t len)
{
  return MIN(count * s->grain_bytes - offset % s->grain_bytes, len);
}

static uint64_t
run_place(const struct sparse *s, uint64_t offset, const struct grain_run *run)
{
  return run->sector * 512 + offset % s->grain_bytes;
}

static int
sparse_read(struct vmdk_extent *e, uint64_t offset, void *buf, size_t len,
            size_t *ret_len, int *ret_state, struct vdk_error *err)
{
  struct sparse *s = sparse_of(e);
  struct grain_run runs[RUNS_MAX];
  size_t n, done = 0;
  int r;

  r = sparse_lookup(s, offset / s->grain_bytes, grains_touched(s, offset, len),
                    runs, RUNS_MAX, &n, err);
  if (r != 0)
    return r;
  for (size_t i = 0; i < n && runs[i].state == runs[0].state; i++) {
    uint64_t at = offset + done;
    size_t part = run_bytes(s, at, runs[i].count, len - done);

    if (runs[i].state == VDK_EXTENT_DATA) {
      r = file_read(e->file, run_place(s, at, &runs[i]), (uint8_t *)buf + done,
                    part, err);
      if (r != 0)
        return error_prefix(err, "reading grain %llu",
                            (unsigned long long)(at / s->grain_bytes));
    }
    done += part;
  }
  *ret_len = done;
  *ret_state = runs[0].state;
  return 0;
}

static int
sparse_map(struct vmdk_extent *e, uint64_t offset, uint64_t len,
           uint64_t *ret_len, int *ret_state, struct vdk_error *err)
{
  struct sparse *s = sparse_of(e);
  uint64_t count;
  int r;

  r = sparse_map_grains(s, offset / s->grain_bytes,
                        grains_touched(s, offset, len), &count, ret_state, err);
  if (r == 0)
    *ret_len = run_bytes(s, offset, count, len);
  return r;
}

static int
write_runs(struct sparse *s, const struct grain_run *runs, size_t n,
           uint64_t *offset, const uint8_t **buf, size_t *len,
           struct vdk_error *err)
{
  for (size_t i = 0; i < n; i++) {
    size_t part = run_bytes(s, *offset, runs[i].count, *len);
    int r;

    r = file_write(s->extent.file, run_place(s, *offset, &runs[i]), *buf, part,
                   err);
    if (r == 0 && runs[i].fresh)
      r = sparse_commit(s, *offset / s->grain_bytes, &runs[i], err);
    if (r != 0)
      return error_prefix(err, "writing grain %llu",
                          (unsigned long long)(*offset / s->grain_bytes));
    *offset += part;
    *buf += part;
    *len -= part;
  }
  return 0;
}

static int
sparse_write(struct vmdk_extent *e, uint64_t offset, const void *data,
             size_t len, struct vdk_error *err)
{
  struct sparse *s = sparse_of(e);
  const uint8_t *buf = data;
  int r;

  r = sparse_begin(s, err);
  while (r == 0 && len != 0) {
    struct grain_run runs[RUNS_MAX];
    size_t n;

    r = sparse_flush_if_full(s, err);
    if (r == 0)
      r = sparse_reserve(s, offset / s->grain_bytes,
                         grains_touched(s, offset, len), runs, RUNS_MAX, &n,
                         err);
    if (r == 0)
      r = write_runs(s, runs, n, &offset, &buf, &len, err);
  }
  return r;
}

/* A part of one grain: only what is stored needs zeroes. */
static int
zero_part(struct sparse *s, uint64_t offset, uint64_t len,
          struct vdk_error *err)
{
  struct grain_run run;
  size_t n;
  int r;

  if (len == 0)
    return 0;
  r = sparse_lookup(s, offset / s->grain_bytes, 1, &run, 1, &n, err);
  if (r != 0 || run.state != VDK_EXTENT_DATA)
    return r;
  return file_zero(s->extent.file, run_place(s, offset, &run), len, err);
}

/* A grain of the parent cannot become zero in part without its other bytes,
 * which only the disk layer can bring. */
static int
refuse_part(struct sparse *s, uint64_t offset, uint64_t len,
            struct vdk_error *err)
{
  struct grain_run run;
  size_t n;
  int r;

  if (len == 0 || !s->has_parent)
    return 0;
  r = sparse_lookup(s, offset / s->grain_bytes, 1, &run, 1, &n, err);
  if (r != 0)
    return r;
  if (run.state == VDK_EXTENT_ABSENT)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "%s: grain %llu is the parent's and cannot be zeroed in "
                     "part",
                     s->name, (unsigned long long)(offset / s->grain_bytes));
  return 0;
}

static int
sparse_zero(struct vmdk_extent *e, uint64_t offset, uint64_t len,
            struct vdk_error *err)
{
  struct sparse *s = sparse_of(e);
  uint64_t end = offset + len;
  uint64_t first = div_round_up(offset, s->grain_bytes);
  uint64_t last =
      end == e->size ? div_round_up(end, s->grain_bytes) : end / s->grain_bytes;
  uint64_t head_end = MIN(first * s->grain_bytes, end);
  uint64_t tail = MAX(last * s->grain_bytes, head_end);
  uint64_t tail_len = tail < end ? end - tail : 0;
  int r;

  r = refuse_part(s, offset, head_end - offset, err);
  if (r == 0)
    r = refuse_part(s, tail, tail_len, err);
  if (r == 0)
    r = sparse_begin(s, err);
  if (r == 0)
    r = zero_part(s, offset, head_end - offset, err);
  if (r == 0 && last > first)
    r = sparse_release(s, first, last - first, err);
  if (r == 0)
    r = zero_part(s, tail, tail_len, err);
  return r;
}

static int
sparse_flush_extent(struct vmdk_extent *e, struct vdk_error *err)
{
  return sparse_flush(sparse_of(e), err);
}

static void
sparse_free(struct sparse *s)
{
  sparse_tables_free(s);
  sparse_alloc_free(s);
  pthread_mutex_destroy(&s->mutex);
  pthread_mutex_destroy(&s->flush_mutex);
  pthread_cond_destroy(&s->loaded);
  free(s);
}

static int
sparse_close(struct vmdk_extent *e, struct vdk_error *err)
{
  struct sparse *s = sparse_of(e);
  int r = sparse_finish(s, err);

  file_close(e->file);
  free(e->file_name);
  sparse_free(s);
  return r;
}

static const struct vmdk_extent_ops sparse_ops = {
    .name = "sparse",
    .read = sparse_read,
    .map = sparse_map,
    .write = sparse_write,
    .zero = sparse_zero,
    .flush = sparse_flush_extent,
    .close = sparse_close,
};

/* Where grains can begin at the earliest. Writers put it into the header's
 * overhead; some do not. */
static uint64_t
data_start_of(const struct vmdk_header *h)
{
  uint64_t gd_sectors = div_round_up(h->gt_count * 4, 512);
  uint64_t start = 1;

  if (h->overhead != 0)
    return h->overhead;
  if (h->descriptor_offset != 0)
    start = MAX(start, h->descriptor_offset + h->descriptor_sectors);
  if (h->gd_offset <= UINT32_MAX)
    start = MAX(start, h->gd_offset + gd_sectors);
  if (h->rgd_offset <= UINT32_MAX)
    start = MAX(start, h->rgd_offset + gd_sectors);
  return start;
}

int
vmdk_extent_sparse_open(const struct vmdk_extent_open *o,
                        struct vmdk_extent **ret, struct vdk_error *err)
{
  const struct vmdk_header *h = o->header;
  struct sparse *s;
  int r;

  s = calloc(1, sizeof *s);
  if (!s)
    return error_nomem(err, "opening a sparse extent");
  s->extent.ops = &sparse_ops;
  s->extent.file = o->file;
  s->extent.granularity = (uint32_t)(h->grain_sectors * 512);
  s->extent.size = h->capacity * 512;
  s->header = *h;
  s->name = o->file->name;
  s->log = o->log;
  s->writable = o->writable;
  s->salvage = o->salvage;
  s->has_parent = o->has_parent;
  s->was_unclean = h->unclean;
  s->grain_bytes = s->extent.granularity;
  s->grain_count = div_round_up(h->capacity, h->grain_sectors);
  s->data_start = data_start_of(h);
  s->file_end = div_round_up(o->file_size, 512);
  pthread_mutex_init(&s->mutex, NULL);
  pthread_mutex_init(&s->flush_mutex, NULL);
  pthread_cond_init(&s->loaded, NULL);
  if (h->unclean)
    log_warning(o->log,
                "%s: the disk was not closed cleanly when it was last written",
                s->name);
  r = sparse_tables_open(s, err);
  if (r == 0)
    r = sparse_alloc_open(s, err);
  if (r != 0) {
    sparse_free(s);
    return r;
  }
  *ret = &s->extent;
  return 0;
}
