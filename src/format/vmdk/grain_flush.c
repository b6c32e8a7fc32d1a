/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order in which changes reach the file.
 *
 * Guest data is written when it comes; table entries stay in memory. A flush
 * is then
 *
 *   1. copies of all dirty entries are taken (their data is written);
 *   2. the file is flushed: header mark and data are stable;
 *   3. directories, then the redundant tables, then the primary ones;
 *   4. the file is flushed again.
 *
 * A power cut before 3 leaves the old tables; in 3 each entry is old or new
 * in each copy, and a new one names stable data; grain_check.c settles the
 * difference between the copies, knowing from the mark in the header that
 * there may be one. Nothing else ever writes tables: pages with changes are
 * not evicted, and when many are dirty the writer itself runs a flush. So a
 * bulk write costs two flushes per 64 GiB of new grains, and no table write
 * per grain.
 *
 * The mark ("unclean shutdown") is set before the first change and cleared by
 * the close after its flush. A file that is found marked is gone through
 * before its first change: every difference that the cut left is written out
 * equal, since after a clean close it would count as damage. Where something
 * cannot be settled the mark stays.
 */
#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/vmdk/sparse.h"

/* --- The header ----------------------------------------------------------- */

/* Only the fields that we change: all else of the sector stays as it is. */
static int
header_write(struct sparse *s, bool unclean, struct vdk_error *err)
{
  uint8_t buf[VMDK_HEADER_SIZE];
  int r = file_read(s->extent.file, 0, buf, sizeof buf, err);

  if (r != 0)
    return r;
  le32_store(buf + 4, s->header.version);
  le32_store(buf + 8, s->header.flags);
  buf[72] = unclean;
  return file_write(s->extent.file, 0, buf, sizeof buf, err);
}

static void
header_set(struct sparse *s, uint32_t version, uint32_t flags)
{
  LOCK_SCOPE(&s->mutex);
  s->header.version = version;
  s->header.flags = flags;
}

int
sparse_allow_zero_grains(struct sparse *s, struct vdk_error *err)
{
  uint32_t version, flags;
  int r;

  LOCK_SCOPE(&s->flush_mutex);
  version = s->header.version;
  flags = s->header.flags;
  if (flags & VMDK_FLAG_ZERO_GRAINS)
    return 0;
  header_set(s, MAX(version, 2u), flags | VMDK_FLAG_ZERO_GRAINS);
  r = header_write(s, true, err);
  if (r != 0)
    header_set(s, version, flags);
  return r;
}

/* --- Flush ---------------------------------------------------------------- */

/* What one flush writes: pieces of tables, each within one page. */
struct piece {
  struct grain_page *page;
  uint64_t first; /* entry of the extent */
  uint32_t count;
  uint8_t *bytes;
};

struct batch {
  struct piece *pieces;
  size_t count;
  uint8_t *bytes;
  uint64_t gd_first, gd_end;
};

/* Dirty entries as whole sectors, as far as tables have those. */
static struct piece
piece_of(const struct sparse *s, struct grain_page *page)
{
  uint32_t gtes = s->header.gtes_per_gt;
  uint32_t unit = gtes % 128 == 0 ? 128 : 1;
  uint64_t left = s->header.gt_count * gtes - page->number * s->page_entries;
  uint32_t first = page->dirty_first / unit * unit;
  uint32_t end = (uint32_t)div_round_up(page->dirty_end, unit) * unit;

  left = MIN(left, s->page_entries);
  end = (uint32_t)MIN(end, left);
  return (struct piece){.page = page,
                        .first = page->number * s->page_entries + first,
                        .count = end - first};
}

static void
batch_free(struct batch *b)
{
  free(b->pieces);
  free(b->bytes);
}

/* Takes the dirty entries out of the pages. Mutex held. */
static int
batch_take(struct sparse *s, struct batch *b, struct vdk_error *err)
{
  size_t bytes = 0;

  b->pieces = mem_array(s->dirty_pages + 1, sizeof *b->pieces);
  if (!b->pieces)
    return error_nomem(err, "flushing grain tables");
  for (unsigned i = 0; i < s->page_slots; i++) {
    struct grain_page *page = &s->pages[i];

    if (!page->used || page->loading || page->dirty_first == page->dirty_end)
      continue;
    assert(b->count < s->dirty_pages && !page->bad);
    b->pieces[b->count] = piece_of(s, page);
    bytes += (size_t)b->pieces[b->count++].count * 4;
  }
  b->bytes = malloc(MAX(bytes, 1u));
  if (!b->bytes)
    return error_nomem(err, "flushing grain tables");
  bytes = 0;
  for (size_t i = 0; i < b->count; i++) {
    struct piece *p = &b->pieces[i];
    uint32_t from = (uint32_t)(p->first % s->page_entries);

    p->bytes = b->bytes + bytes;
    bytes += (size_t)p->count * 4;
    for (uint32_t k = 0; k < p->count; k++)
      le32_store(p->bytes + (size_t)k * 4, p->page->entries[from + k]);
    p->page->dirty_first = p->page->dirty_end = 0;
    p->page->writing = true;
  }
  s->dirty_pages = 0;
  b->gd_first = s->gd_dirty_first;
  b->gd_end = s->gd_dirty_end;
  s->gd_dirty_first = s->gd_dirty_end = 0;
  assert(s->flushing.count == 0);
  s->flushing.count = 0;
  struct free_list empty = s->flushing;
  s->flushing = s->pending;
  s->pending = empty;
  return 0;
}

static void
list_append(struct free_list *to, struct free_list *from)
{
  if (mem_grow(&to->runs, &to->capacity, to->count + from->count,
               sizeof *to->runs)) {
    memcpy(to->runs + to->count, from->runs, from->count * sizeof *to->runs);
    to->count += from->count;
  }
  from->count = 0;
}

/* After the writing: the pages may go, or are dirty again. Mutex held. */
static void
batch_done(struct sparse *s, struct batch *b, bool written)
{
  for (size_t i = 0; i < b->count; i++) {
    struct piece *p = &b->pieces[i];
    uint32_t from = (uint32_t)(p->first % s->page_entries);

    p->page->writing = false;
    if (!written)
      sparse_page_dirty(s, p->page, from, from + p->count);
  }
  if (!written && b->gd_first != b->gd_end) {
    bool clean = s->gd_dirty_first == s->gd_dirty_end;

    s->gd_dirty_first =
        clean ? b->gd_first : MIN(s->gd_dirty_first, b->gd_first);
    s->gd_dirty_end = clean ? b->gd_end : MAX(s->gd_dirty_end, b->gd_end);
  }
  if (s->flushing.count != 0)
    list_append(written ? &s->free : &s->pending, &s->flushing);
  pthread_cond_broadcast(&s->loaded);
}

/* Writes one piece through one directory; tables that follow each other in
 * the file are one write. */
static int
write_piece(struct sparse *s, const uint32_t *directory, const struct piece *p,
            struct vdk_error *err)
{
  uint64_t gtes = s->header.gtes_per_gt, at = p->first;
  uint64_t end = p->first + p->count;
  bool whole = gtes * 4 % 512 == 0;

  while (at < end) {
    uint64_t gt = at / gtes, next = gt + 1;
    uint64_t stop;
    int r;

    if (directory[gt] == 0) { /* only entries that are absent */
      at = MIN(end, next * gtes);
      continue;
    }
    while (whole && next * gtes < end &&
           directory[next] == directory[gt] + (next - gt) * s->table_sectors)
      next++;
    stop = MIN(end, next * gtes);
    r = file_write(s->extent.file,
                   (uint64_t)directory[gt] * 512 + (at - gt * gtes) * 4,
                   p->bytes + (at - p->first) * 4, (stop - at) * 4, err);
    if (r != 0)
      return error_prefix(err, "writing grain table %llu",
                          (unsigned long long)gt);
    at = stop;
  }
  return 0;
}

static int
write_directory(struct sparse *s, uint64_t sector, const uint32_t *directory,
                uint64_t first, uint64_t end, struct vdk_error *err)
{
  uint8_t buf[512];

  while (first < end) {
    uint64_t count = MIN(end - first, sizeof buf / 4);
    int r;

    for (uint64_t i = 0; i < count; i++)
      le32_store(buf + i * 4,
                 __atomic_load_n(&directory[first + i], __ATOMIC_RELAXED));
    r = file_write(s->extent.file, sector * 512 + first * 4, buf, count * 4,
                   err);
    if (r != 0)
      return error_prefix(err, "writing the grain directory");
    first += count;
  }
  return 0;
}

static int
batch_write(struct sparse *s, struct batch *b, struct vdk_error *err)
{
  int r = file_flush(s->extent.file, err);

  if (r == 0 && s->rgd)
    r = write_directory(s, s->header.rgd_offset, s->rgd, b->gd_first, b->gd_end,
                        err);
  if (r == 0)
    r = write_directory(s, s->header.gd_offset, s->gd, b->gd_first, b->gd_end,
                        err);
  for (size_t i = 0; r == 0 && s->rgd && i < b->count; i++)
    r = write_piece(s, s->rgd, &b->pieces[i], err);
  for (size_t i = 0; r == 0 && i < b->count; i++)
    r = write_piece(s, s->gd, &b->pieces[i], err);
  return r == 0 ? file_flush(s->extent.file, err) : r;
}

static int
flush_locked(struct sparse *s, struct vdk_error *err)
{
  _cleanup_(batch_free) struct batch b = {0};
  int r;

  pthread_mutex_lock(&s->mutex);
  r = batch_take(s, &b, err);
  pthread_mutex_unlock(&s->mutex);
  if (r != 0)
    return r;
  if (b.count == 0 && b.gd_first == b.gd_end)
    r = file_flush(s->extent.file, err);
  else
    r = batch_write(s, &b, err);
  pthread_mutex_lock(&s->mutex);
  batch_done(s, &b, r == 0);
  pthread_mutex_unlock(&s->mutex);
  return r;
}

int
sparse_flush(struct sparse *s, struct vdk_error *err)
{
  LOCK_SCOPE(&s->flush_mutex);
  if (!s->began)
    return 0;
  return flush_locked(s, err);
}

static unsigned
count_dirty(struct sparse *s)
{
  LOCK_SCOPE(&s->mutex);
  return s->dirty_pages;
}

int
sparse_flush_if_full(struct sparse *s, struct vdk_error *err)
{
  if (count_dirty(s) < DIRTY_PAGES_MAX)
    return 0;
  LOCK_SCOPE(&s->flush_mutex);
  return count_dirty(s) < DIRTY_PAGES_MAX ? 0 : flush_locked(s, err);
}

/* --- The first and the last change ---------------------------------------- */

/* Looks at every table, so that each difference is settled and dirty. */
static int
recover(struct sparse *s, struct vdk_error *err)
{
  int r;

  log_info(s->log, "%s: was not closed cleanly: comparing its grain tables",
           s->name);
  for (uint64_t gt = 0; s->rgd && gt < s->header.gt_count; gt++) {
    LOCK_SCOPE(&s->mutex);
    if ((s->gd[gt] == 0) != (s->rgd[gt] == 0)) {
      r = sparse_table_ensure(s, gt, err);
      if (r != 0)
        return r;
    }
  }
  /* A step is bounded so that its pages can all be dirty at once. */
  for (uint64_t grain = 0; grain < s->grain_count;) {
    uint64_t step = (uint64_t)s->page_entries * (DIRTY_PAGES_MAX / 2), count;
    int state;

    step = MIN(step, s->grain_count - grain);
    r = sparse_map_grains(s, grain, step, &count, &state, err);
    if (r != 0 && r != -VDK_E_CORRUPT)
      return r;
    grain += r == 0 ? count : 1;
    if (count_dirty(s) >= DIRTY_PAGES_MAX) {
      r = flush_locked(s, err);
      if (r != 0)
        return r;
    }
  }
  return flush_locked(s, err);
}

int
sparse_begin(struct sparse *s, struct vdk_error *err)
{
  int r;

  if (__atomic_load_n(&s->began, __ATOMIC_ACQUIRE))
    return 0;
  LOCK_SCOPE(&s->flush_mutex);
  if (s->began)
    return 0;
  /* Version 3 says that changes are tracked, which ours are not. */
  if (s->header.version == 3)
    s->header.version = s->header.flags & VMDK_FLAG_ZERO_GRAINS ? 2 : 1;
  r = header_write(s, true, err);
  if (r != 0)
    return r;
  pthread_mutex_lock(&s->mutex);
  __atomic_store_n(&s->began, true, __ATOMIC_RELEASE);
  pthread_mutex_unlock(&s->mutex);
  if (s->was_unclean) {
    r = recover(s, err);
    if (r != 0) {
      pthread_mutex_lock(&s->mutex);
      __atomic_store_n(&s->began, false, __ATOMIC_RELEASE);
      pthread_mutex_unlock(&s->mutex);
    }
  }
  return r;
}

int
sparse_finish(struct sparse *s, struct vdk_error *err)
{
  int r;

  if (!s->began)
    return 0;
  r = sparse_flush(s, err);
  if (r != 0)
    return r;
  if (s->next_free < s->file_end) {
    r = file_truncate(s->extent.file, s->next_free * 512, err);
    if (r != 0)
      return r;
  }
  r = header_write(s, s->keep_unclean, err);
  return r == 0 ? file_flush(s->extent.file, err) : r;
}
