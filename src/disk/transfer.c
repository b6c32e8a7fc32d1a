/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a request does to the chain.
 *
 * Reading and mapping walk the chain by prefixes: link 0 is asked for the
 * whole range and answers for its longest prefix of one state; what is ABSENT
 * is asked of the next link, for just that prefix, and so on. A stack of
 * limits remembers how far each link's "not here" reaches, so that no link is
 * asked twice for the same bytes: a call costs what the tables passed over
 * cost, not the number of sectors.
 *
 * A parent may be smaller or larger than its child. What lies beyond the
 * parent's end reads as zeroes, whatever the grandparent has there: that is
 * what the guest saw when the parent was the disk.
 *
 * Writing goes to link 0. Where that has a parent, a granule must not be
 * written in part while it is ABSENT, since the rest would read as zeroes
 * instead of the parent's bytes. Only the first and the last granule of a
 * write can be in part: these two are completed from the chain in a buffer,
 * and what lies between goes straight from the caller's memory.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "disk/private.h"

/* How many neighbours of one state a single map call looks at. */
#define MAP_STEPS_MAX 4096

/* Zeroes to write from. Not const only because constants take room in the
 * program's file; never written. */
#define ZEROES_SIZE (1024u * 1024)
static uint8_t zeroes[ZEROES_SIZE] __attribute__((aligned(MEM_BUFFER_ALIGN)));

struct chain_walk {
  struct vdk_disk *disk;
  uint64_t pos;
  unsigned first, end; /* links */
  unsigned level;      /* who is asked now */
  uint64_t limit[DISK_CHAIN_MAX];
};

static void
walk_begin(struct chain_walk *w, struct vdk_disk *d, unsigned first,
           unsigned end, uint64_t offset, uint64_t len)
{
  w->disk = d;
  w->pos = offset;
  w->first = w->level = first;
  w->end = end;
  w->limit[first] = offset + len;
}

/* A driver that breaks its promise must not make us run over a buffer. */
static int
check_answer(struct vdk_link *l, uint64_t n, uint64_t len, int state,
             struct vdk_error *err)
{
  if (n >= 1 && n <= len && state >= VDK_EXTENT_DATA &&
      state <= VDK_EXTENT_ABSENT)
    return 0;
  return error_set(err, VDK_E_INTERNAL,
                   "driver %s answered for %" PRIu64 " of %" PRIu64
                   " bytes of %s",
                   l->ops->name, n, len, l->name);
}

static int
ask_link(struct vdk_link *l, uint64_t offset, uint8_t *buf, uint64_t len,
         uint64_t *ret_len, int *ret_state, struct vdk_error *err)
{
  size_t got = 0;
  int r;

  *ret_len = 0;
  if (buf) {
    r = l->ops->read(l, offset, buf, (size_t)len, &got, ret_state, err);
    *ret_len = got;
  } else {
    r = l->ops->map(l, offset, len, ret_len, ret_state, err);
  }
  return r < 0 ? r : check_answer(l, *ret_len, len, *ret_state, err);
}

/* The state at w->pos, and past it. With BUF, DATA is read into it. ABSENT:
 * none of the links has it. */
static int
walk_step(struct chain_walk *w, uint8_t *buf, uint64_t *ret_len, int *ret_state,
          struct vdk_error *err)
{
  const struct disk_member *links = w->disk->links;

  for (;;) {
    unsigned next;
    uint64_t n;
    int r;

    while (w->level > w->first && w->pos == w->limit[w->level])
      w->level--;
    r = ask_link(links[w->level].link, w->pos, buf, w->limit[w->level] - w->pos,
                 &n, ret_state, err);
    if (r < 0)
      return r;
    next = w->level + 1;
    if (*ret_state != VDK_EXTENT_ABSENT || next == w->end ||
        w->pos >= links[next].info.size) {
      w->pos += n;
      *ret_len = n;
      return 0;
    }
    w->limit[next] = w->pos + MIN(n, links[next].info.size - w->pos);
    w->level = next;
  }
}

static int
chain_read(struct vdk_disk *d, uint64_t offset, uint8_t *buf, size_t len,
           struct vdk_error *err)
{
  struct chain_walk w;
  uint64_t n;
  int r, state;

  walk_begin(&w, d, 0, d->link_count, offset, len);
  while (w.pos < offset + len) {
    uint8_t *p = buf + (w.pos - offset);

    r = walk_step(&w, p, &n, &state, err);
    if (r < 0)
      return r;
    if (state != VDK_EXTENT_DATA)
      memset(p, 0, (size_t)n);
  }
  return 0;
}

int
disk_map(struct vdk_disk *d, unsigned first, unsigned count, uint64_t offset,
         uint64_t len, uint64_t *ret_len, int *ret_state, struct vdk_error *err)
{
  uint64_t size = d->links[first].info.size, n;
  struct chain_walk w;
  int r, state, next_state;

  if (offset >= size) {
    *ret_len = len;
    *ret_state = VDK_EXTENT_ABSENT;
    return 0;
  }
  len = MIN(len, size - offset);
  walk_begin(&w, d, first, first + count, offset, len);
  r = walk_step(&w, NULL, &n, &state, err);
  if (r < 0)
    return r;
  *ret_len = n;
  for (unsigned i = 0; i < MAP_STEPS_MAX && *ret_len < len; i++) {
    r = walk_step(&w, NULL, &n, &next_state, err);
    if (r < 0)
      return r;
    if (next_state != state)
      break;
    *ret_len += n;
  }
  *ret_state = state;
  return 0;
}

/* --- Writing -------------------------------------------------------------- */

/* True when any part of the granule at START is in no link but the parents. */
static int
has_absent(struct vdk_disk *d, uint64_t start, uint64_t end, bool *ret,
           struct vdk_error *err)
{
  struct vdk_link *l = d->links[0].link;

  *ret = false;
  while (start < end && !*ret) {
    uint64_t n;
    int state, r = ask_link(l, start, NULL, end - start, &n, &state, err);

    if (r < 0)
      return r;
    *ret = state == VDK_EXTENT_ABSENT;
    start += n;
  }
  return 0;
}

static int
refuse_partial(struct vdk_disk *d, uint64_t offset, size_t len,
               struct vdk_error *err)
{
  return error_set(err, VDK_E_UNSUPPORTED,
                   "cannot write %zu bytes at offset %" PRIu64
                   " of %s: it was opened without its parent, and so only "
                   "whole blocks of %" PRIu32 " bytes can be written where it "
                   "has none",
                   len, offset, disk_name(d), d->granularity);
}

/* Writes DATA (NULL: zeroes), which lies inside the granule [start, end),
 * together with the rest of the granule. */
static int
write_completed(struct vdk_disk *d, uint64_t start, uint64_t end,
                uint64_t offset, const uint8_t *data, size_t len,
                struct vdk_error *err)
{
  struct vdk_link *l = d->links[0].link;
  size_t size = (size_t)(end - start);
  _cleanup_free_ uint8_t *granule = NULL;
  int r;

  if (d->single)
    return refuse_partial(d, offset, len, err);
  granule = mem_buffer(size);
  if (!granule)
    return error_nomem(err, "completing a block from the parent disk");
  r = chain_read(d, start, granule, size, err);
  if (r < 0)
    return r;
  memcpy(granule + (offset - start), data, len);
  return l->ops->write(l, start, granule, size, err);
}

/* Deals with the granule at START if [offset, offset + len), which lies in
 * it, does not cover it and it is absent. *RET_DONE says whether it did. */
static int
complete_granule(struct vdk_disk *d, uint64_t start, uint64_t offset,
                 const uint8_t *data, size_t len, bool *ret_done,
                 struct vdk_error *err)
{
  uint64_t end = MIN(start + d->granularity, d->size);
  bool absent;
  int r;

  *ret_done = false;
  if (offset == start && offset + len == end)
    return 0;
  r = has_absent(d, start, end, &absent, err);
  if (r < 0 || !absent)
    return r;
  r = write_completed(d, start, end, offset, data, len, err);
  *ret_done = r == 0;
  return r;
}

static int
chain_write(struct vdk_disk *d, uint64_t offset, const uint8_t *data,
            size_t len, struct vdk_error *err)
{
  struct vdk_link *l = d->links[0].link;
  uint64_t end = offset + len, head, tail;
  size_t tail_len = 0, n;
  bool done = false;
  int r = 0;

  if (!d->links[0].info.has_parent)
    return l->ops->write(l, offset, data, len, err);

  head = round_down(offset, d->granularity);
  n = (size_t)(MIN(end, head + d->granularity) - offset);
  r = complete_granule(d, head, offset, data, n, &done, err);
  if (r < 0)
    return r;
  if (done) {
    offset += n;
    data += n;
  }
  /* The last granule waits until the middle is written, in order. */
  tail = round_down(end, d->granularity);
  if (tail > head && tail < end && end < d->size) {
    r = has_absent(d, tail, MIN(tail + d->granularity, d->size), &done, err);
    if (r < 0)
      return r;
    tail_len = done ? (size_t)(end - tail) : 0;
  }
  n = (size_t)(end - tail_len - offset);
  if (n > 0)
    r = l->ops->write(l, offset, data, n, err);
  if (r == 0 && tail_len)
    r = write_completed(d, tail, MIN(tail + d->granularity, d->size), tail,
                        data + n, tail_len, err);
  return r;
}

/* --- Zeroing -------------------------------------------------------------- */

/* Writes zeroes, but only where something else is: what already reads as
 * zeroes through the whole chain stays unallocated. */
static int
zero_by_writing(struct vdk_disk *d, uint64_t offset, uint64_t end,
                struct vdk_error *err)
{
  while (offset < end) {
    uint64_t n, stop;
    int state, r;

    r = disk_map(d, 0, d->link_count, offset, end - offset, &n, &state, err);
    if (r < 0)
      return r;
    stop = offset + n;
    /* A link opened without its parent does not know what it hides. */
    if (state == VDK_EXTENT_ZERO || (state == VDK_EXTENT_ABSENT && !d->single))
      offset = stop;
    while (offset < stop) {
      size_t piece =
          (size_t)MIN(stop - offset, ZEROES_SIZE - offset % ZEROES_SIZE);

      r = chain_write(d, offset, zeroes, piece, err);
      if (r < 0)
        return r;
      offset += piece;
    }
  }
  return 0;
}

static int
driver_zero(struct vdk_disk *d, uint64_t offset, uint64_t end,
            struct vdk_error *err)
{
  struct vdk_link *l = d->links[0].link;
  int r = -VDK_E_UNSUPPORTED;

  if (l->ops->zero)
    r = l->ops->zero(l, offset, end - offset, err);
  if (r != -VDK_E_UNSUPPORTED)
    return r;
  error_clear(err);
  return zero_by_writing(d, offset, end, err);
}

/* Under a parent, the driver gets the whole granules; the rest of the first
 * and the last one must keep showing the parent's bytes. */
static int
chain_zero(struct vdk_disk *d, uint64_t offset, uint64_t len,
           struct vdk_error *err)
{
  uint64_t end = offset + len, head = offset, tail = end;
  int r = 0;

  if (d->links[0].info.has_parent) {
    head = round_up(offset, d->granularity);
    if (end < d->size)
      tail = round_down(end, d->granularity);
    if (head >= tail)
      return zero_by_writing(d, offset, end, err);
  }
  if (offset < head)
    r = zero_by_writing(d, offset, head, err);
  if (r == 0)
    r = driver_zero(d, head, tail, err);
  if (r == 0 && tail < end)
    r = zero_by_writing(d, tail, end, err);
  return r;
}

static int
link_flush(struct vdk_disk *d, struct vdk_error *err)
{
  struct vdk_link *l = d->links[0].link;

  return d->writable && l->ops->flush ? l->ops->flush(l, err) : 0;
}

int
disk_transfer(struct vdk_disk *d, enum request_type type, uint64_t offset,
              void *buf, uint64_t len, struct vdk_error *err)
{
  if (len == 0 && type != REQUEST_FLUSH)
    return 0;
  switch (type) {
  case REQUEST_READ:
    return chain_read(d, offset, buf, (size_t)len, err);
  case REQUEST_WRITE:
    return chain_write(d, offset, buf, (size_t)len, err);
  case REQUEST_ZERO:
    return chain_zero(d, offset, len, err);
  case REQUEST_FLUSH:
    return link_flush(d, err);
  }
  return error_set(err, VDK_E_INTERNAL, "request of unknown type %d", type);
}
