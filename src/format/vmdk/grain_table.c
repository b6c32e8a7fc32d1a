/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Grain tables in pages: load on demand, keep a bounded number, look up.
 *
 * A page that is asked for gets a slot at once, marked loading, and is read
 * with the mutex dropped; whoever wants the same page waits. Thus a page is
 * never read twice at a time, and no stale copy can come in behind a newer
 * one. Only clean pages are evicted (second chance); grain_flush.c keeps the
 * number of dirty ones far below the number of slots.
 *
 * A look-up takes the mutex once for a whole page of entries. Mapping skips
 * what needs no loading: tables that are absent, and tables that lie in holes
 * of the file, which is what the preallocated tables of a large empty disk
 * are.
 */
#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/vmdk/sparse.h"

/* --- Directories ---------------------------------------------------------- */

static bool
directory_fits(const struct sparse *s, uint64_t sector)
{
  return sector != 0 && sector < sparse_file_end(s) &&
         !range_outside(sector * 512, s->header.gt_count * 4,
                        sparse_file_end(s) * 512);
}

static int
directory_read(struct sparse *s, uint64_t sector, uint32_t **ret,
               struct vdk_error *err)
{
  uint64_t count = s->header.gt_count;
  uint32_t *gd = mem_array(MAX(count, 1u), sizeof *gd);
  int r;

  if (!gd)
    return error_nomem(err, "reading the grain directory");
  r = file_read(s->extent.file, sector * 512, gd, count * 4, err);
  if (r != 0) {
    free(gd);
    return r;
  }
  for (uint64_t i = 0; i < count; i++)
    gd[i] = le32_load(&gd[i]);
  *ret = gd;
  return 0;
}

/* The primary directory, and the redundant one where there is one. When only
 * one of two is inside the file, it is used alone, and not for writing. */
static int
directories_open(struct sparse *s, struct vdk_error *err)
{
  bool primary = directory_fits(s, s->header.gd_offset);
  bool second =
      (s->header.flags & VMDK_FLAG_REDUNDANT_GD) && s->header.rgd_offset != 0;
  bool redundant = second && directory_fits(s, s->header.rgd_offset);
  int r;

  if (s->header.gt_count == 0)
    return 0;
  if (!primary && !redundant)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: no grain directory is inside the file", s->name);
  s->directory_lost = !primary || redundant != second;
  if (s->directory_lost) {
    if (s->writable)
      return error_set(err, VDK_E_CORRUPT,
                       "%s: the %s grain directory is not inside the file; "
                       "repair the disk before writing to it",
                       s->name, primary ? "redundant" : "primary");
    log_warning(s->log,
                "%s: the %s grain directory is not inside the file; the other "
                "one is used",
                s->name, primary ? "redundant" : "primary");
  }
  r = directory_read(s, primary ? s->header.gd_offset : s->header.rgd_offset,
                     &s->gd, err);
  if (r == 0 && primary && redundant)
    r = directory_read(s, s->header.rgd_offset, &s->rgd, err);
  return r;
}

int
sparse_tables_open(struct sparse *s, struct vdk_error *err)
{
  const struct vmdk_header *h = &s->header;
  int r;

  s->table_sectors = (uint32_t)div_round_up((uint64_t)h->gtes_per_gt * 4, 512);
  s->page_tables = MAX(PAGE_ENTRIES / h->gtes_per_gt, 1u);
  s->page_tables = MIN(s->page_tables, PAGE_TABLES);
  s->page_entries = s->page_tables * h->gtes_per_gt;
  s->page_count = div_round_up(h->gt_count, s->page_tables);
  s->page_slots = (unsigned)MIN(s->page_count, PAGES_MAX);
  r = directories_open(s, err);
  if (r != 0)
    return r;
  s->pages = mem_array(MAX(s->page_slots, 1u), sizeof *s->pages);
  s->slot_of = mem_array(MAX(s->page_count, 1u), sizeof *s->slot_of);
  if (!s->pages || !s->slot_of)
    return error_nomem(err, "opening a sparse extent");
  memset(s->slot_of, 0xff, s->page_count * sizeof *s->slot_of);
  return 0;
}

void
sparse_tables_free(struct sparse *s)
{
  for (unsigned i = 0; s->pages && i < s->page_slots; i++) {
    free(s->pages[i].entries);
    free(s->pages[i].bad);
  }
  free(s->pages);
  free(s->slot_of);
  free(s->gd);
  free(s->rgd);
}

/* --- Pages ---------------------------------------------------------------- */

void
sparse_page_dirty(struct sparse *s, struct grain_page *page, uint32_t first,
                  uint32_t end)
{
  if (page->dirty_first == page->dirty_end) {
    page->dirty_first = first;
    page->dirty_end = end;
    /* A page that is being loaded is counted when it is there. */
    if (!page->loading)
      s->dirty_pages++;
  } else {
    page->dirty_first = MIN(page->dirty_first, first);
    page->dirty_end = MAX(page->dirty_end, end);
  }
}

/* Reads the tables of a page through one directory; tables that are absent or
 * outside the file are left as zeroes. Tables that follow each other in the
 * file are one read. */
static int
read_tables(struct sparse *s, const uint32_t *directory, uint64_t first,
            uint8_t *buf, struct vdk_error *err)
{
  uint64_t count = MIN(s->page_tables, s->header.gt_count - first);
  size_t bytes = (size_t)s->header.gtes_per_gt * 4;
  bool whole = bytes % 512 == 0;

  for (uint64_t i = 0; i < count;) {
    uint32_t sector = directory[first + i];
    uint64_t run = 1;
    int r;

    if (!sparse_table_valid(s, sector)) {
      i++;
      continue;
    }
    while (whole && i + run < count &&
           directory[first + i + run] == sector + run * s->table_sectors &&
           sparse_table_valid(s, directory[first + i + run]))
      run++;
    r = file_read(s->extent.file, (uint64_t)sector * 512, buf + i * bytes,
                  run * bytes, err);
    if (r != 0)
      return error_prefix(err, "reading grain table %llu",
                          (unsigned long long)(first + i));
    i += run;
  }
  return 0;
}

static int
load(struct sparse *s, struct grain_page *page, struct vdk_error *err)
{
  size_t bytes = (size_t)s->page_entries * 4;
  _cleanup_free_ uint8_t *buf = mem_array(2, bytes);
  uint64_t first = page->number * s->page_tables;
  int r;

  if (!page->entries)
    page->entries = mem_array(s->page_entries, sizeof *page->entries);
  if (!buf || !page->entries)
    return error_nomem(err, "reading grain tables");
  memset(page->entries, 0, bytes);
  r = read_tables(s, s->gd, first, buf, err);
  if (r == 0 && s->rgd)
    r = read_tables(s, s->rgd, first, buf + bytes, err);
  if (r == 0)
    r = sparse_page_decide(s, page, buf, s->rgd ? buf + bytes : NULL, err);
  return r;
}

static bool
is_dirty(const struct sparse *s, const struct grain_page *page)
{
  return s->began && page->dirty_first != page->dirty_end;
}

static void
drop(struct sparse *s, struct grain_page *page)
{
  s->slot_of[page->number] = -1;
  if (page->dirty_first != page->dirty_end && !page->loading)
    s->dirty_pages--;
  free(page->bad);
  *page = (struct grain_page){.entries = page->entries};
}

/* Some page is on its way, so that waiting for a slot has a point. */
static bool
is_busy(const struct sparse *s)
{
  for (unsigned i = 0; i < s->page_slots; i++)
    if (s->pages[i].loading || s->pages[i].writing)
      return true;
  return false;
}

/* A free slot, made so by dropping a clean page if need be; NULL when every
 * page is busy. */
static struct grain_page *
find_slot(struct sparse *s)
{
  for (unsigned i = 0; i < 2 * s->page_slots + 1; i++) {
    struct grain_page *page = &s->pages[s->clock_hand];

    s->clock_hand = (s->clock_hand + 1) % s->page_slots;
    if (!page->used)
      return page;
    if (page->loading || page->writing || is_dirty(s, page))
      continue;
    if (page->referenced) {
      page->referenced = false;
      continue;
    }
    drop(s, page);
    return page;
  }
  return NULL;
}

static int
load_into_slot(struct sparse *s, uint64_t number, struct grain_page *page,
               struct vdk_error *err)
{
  int r;

  page->used = page->loading = page->referenced = true;
  page->number = number;
  s->slot_of[number] = (int32_t)(page - s->pages);
  pthread_mutex_unlock(&s->mutex);
  r = load(s, page, err);
  pthread_mutex_lock(&s->mutex);
  if (r != 0) {
    drop(s, page);
  } else {
    page->loading = false;
    if (page->dirty_first != page->dirty_end)
      s->dirty_pages++;
  }
  pthread_cond_broadcast(&s->loaded);
  return r;
}

int
sparse_page_get(struct sparse *s, uint64_t number, struct grain_page **ret,
                struct vdk_error *err)
{
  assert(number < s->page_count);
  for (;;) {
    int32_t slot = s->slot_of[number];
    struct grain_page *page;
    int r;

    if (slot >= 0 && !s->pages[slot].loading) {
      s->pages[slot].referenced = true;
      *ret = &s->pages[slot];
      return 0;
    }
    page = slot >= 0 ? NULL : find_slot(s);
    if (!page && slot < 0 && !is_busy(s))
      return error_set(err, VDK_E_IO,
                       "%s: the grain tables that were changed cannot be "
                       "written, and no more fit into memory",
                       s->name);
    if (!page) {
      /* Somebody loads this page, or all pages are busy for the moment. */
      pthread_cond_wait(&s->loaded, &s->mutex);
      continue;
    }
    r = load_into_slot(s, number, page, err);
    if (r != 0)
      return r;
  }
}

/* --- Look-up -------------------------------------------------------------- */

int
sparse_entry(struct sparse *s, const struct grain_page *page, uint32_t index,
             int *ret_state, struct vdk_error *err)
{
  uint32_t sector = page->entries[index];
  uint64_t grain = page->number * s->page_entries + index;

  if (sector == GTE_ABSENT) {
    *ret_state = VDK_EXTENT_ABSENT;
  } else if (sector == GTE_ZERO) {
    *ret_state = VDK_EXTENT_ZERO;
    if (!(s->header.flags & VMDK_FLAG_ZERO_GRAINS) && !s->warned_zero) {
      s->warned_zero = true;
      log_warning(s->log,
                  "%s: grain %llu is marked as zeroed although the header does "
                  "not announce such grains",
                  s->name, (unsigned long long)grain);
    }
  } else {
    *ret_state = VDK_EXTENT_DATA;
    if (!sparse_sector_valid(s, grain, sector))
      return sparse_entry_error(s, page, index, err);
  }
  if (page->bad && (page->bad[index / 8] & (1u << (index % 8))))
    return sparse_entry_error(s, page, index, err);
  return 0;
}

int
sparse_lookup(struct sparse *s, uint64_t grain, uint64_t count,
              struct grain_run *runs, size_t max, size_t *ret,
              struct vdk_error *err)
{
  uint32_t at = (uint32_t)(grain % s->page_entries);
  uint32_t end = (uint32_t)MIN(at + count, s->page_entries);
  struct grain_page *page;
  size_t n = 0;
  int r;

  LOCK_SCOPE(&s->mutex);
  r = sparse_page_get(s, sparse_page_of(s, grain), &page, err);
  for (; r == 0 && at < end; at++) {
    struct grain_run *last = n ? &runs[n - 1] : NULL;
    uint32_t sector = page->entries[at];
    int state;

    r = sparse_entry(s, page, at, &state, n ? NULL : err);
    if (r != 0)
      break;
    if (last && last->state == state &&
        (state != VDK_EXTENT_DATA ||
         sector == last->sector + last->count * s->header.grain_sectors)) {
      last->count++;
      continue;
    }
    if (n == max)
      break;
    runs[n++] =
        (struct grain_run){.count = 1, .sector = sector, .state = state};
  }
  if (n == 0)
    return r;
  *ret = n;
  return 0;
}

/* --- Mapping -------------------------------------------------------------- */

/* Tables from GT on that lie, in DIRECTORY, in one hole of the file. */
static uint64_t
tables_in_hole(struct sparse *s, const uint32_t *directory, uint64_t gt,
               uint64_t max)
{
  uint64_t len, count;
  int state;

  if (!sparse_table_valid(s, directory[gt]) ||
      file_extent(s->extent.file, (uint64_t)directory[gt] * 512,
                  sparse_file_end(s) * 512 - (uint64_t)directory[gt] * 512,
                  &len, &state, NULL) != 0 ||
      state != VDK_EXTENT_ZERO)
    return 0;
  max = MIN(max, len / 512 / s->table_sectors);
  for (count = 0; count < max; count++)
    if (directory[gt + count] != directory[gt] + count * s->table_sectors)
      break;
  return count;
}

static uint64_t
tables_absent(const uint32_t *directory, uint64_t gt, uint64_t max)
{
  uint64_t count = 0;

  while (count < max && directory[gt + count] == 0)
    count++;
  return count;
}

/* Tables from GT on that are known to be empty without a look at them, and of
 * which no page is held that could know better. */
static uint64_t
tables_empty(struct sparse *s, uint64_t gt, uint64_t max)
{
  uint64_t count, held;
  uint64_t page = gt / s->page_tables;

  count = s->gd[gt] == 0 ? tables_absent(s->gd, gt, max)
                         : tables_in_hole(s, s->gd, gt, max);
  if (s->rgd && count != 0)
    count = s->rgd[gt] == 0 ? tables_absent(s->rgd, gt, count)
                            : tables_in_hole(s, s->rgd, gt, count);
  for (; page * s->page_tables < gt + count; page++)
    if (s->slot_of[page] >= 0) {
      held = page * s->page_tables;
      return held > gt ? held - gt : 0;
    }
  return count;
}

/* The run in one page; *RET is 0 when its first state is not STATE (-1: any).
 */
static int
map_page(struct sparse *s, uint64_t grain, uint64_t count, int *state,
         uint64_t *ret, struct vdk_error *err)
{
  uint32_t first = (uint32_t)(grain % s->page_entries), at = first;
  uint32_t end = (uint32_t)MIN(first + count, s->page_entries);
  struct grain_page *page;
  int r;

  r = sparse_page_get(s, sparse_page_of(s, grain), &page, err);
  if (r != 0)
    return r;
  for (; at < end; at++) {
    int here;

    r = sparse_entry(s, page, at, &here, at > first ? NULL : err);
    if (r != 0 || (*state >= 0 && here != *state))
      break;
    *state = here;
  }
  *ret = at - first;
  return at > first ? 0 : r;
}

int
sparse_map_grains(struct sparse *s, uint64_t grain, uint64_t count,
                  uint64_t *ret_count, int *ret_state, struct vdk_error *err)
{
  uint32_t gtes = s->header.gtes_per_gt;
  uint64_t done = 0;
  int state = -1;

  while (done < count) {
    uint64_t at = grain + done, gt = at / gtes, run = 0, tables = 0;
    int r = 0;

    LOCK_SCOPE(&s->mutex);
    if (state < 0 || state == VDK_EXTENT_ABSENT)
      tables = tables_empty(s, gt, div_round_up(grain + count, gtes) - gt);
    if (tables != 0) {
      state = VDK_EXTENT_ABSENT;
      run = MIN((gt + tables) * gtes - at, count - done);
    } else {
      r = map_page(s, at, count - done, &state, &run, done ? NULL : err);
    }
    if (r != 0 && done == 0)
      return r;
    if (r != 0 || run == 0)
      break;
    done += run;
    if ((at + run) % gtes != 0)
      break;
  }
  *ret_count = done;
  *ret_state = state;
  return 0;
}
