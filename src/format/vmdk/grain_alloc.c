/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where new grains go.
 *
 * A write reserves places for the grains that it lacks, moves its data there,
 * and only then enters them in the table (commit), so that an entry never
 * names data that is not yet written. All grains that one request needs are
 * taken from one piece where possible: requests of 1 MiB give extents of
 * 1 MiB in the file, and later reads of them are single reads.
 *
 * Space comes from behind the end of the file. The file is made longer ahead
 * of need, 16 MiB at a time and without storage, so that the rest of a grain
 * written in part reads as zeroes; what was not used is cut off at the close.
 * Space that a crash left behind unused is not looked for: new grains start
 * behind the end that the file has when it is opened.
 *
 * Released grains read as zeroes at once (their storage is given back) and
 * are used again only after a flush has made the release stable: before that,
 * a power cut could bring back the old owner's entry over a new owner's data.
 *
 * Grain tables that the file lacks are allocated in both directories, zero,
 * before any entry of theirs is set.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "format/vmdk/sparse.h"

#define GROW_SECTORS  (16u << 11)
#define FREE_RUNS_MAX 65536u
/* Entries are 32-bit sector numbers. */
#define FILE_SECTORS_MAX (1ull << 32)

int
sparse_alloc_open(struct sparse *s, struct vdk_error *err)
{
  s->next_free = round_up(s->file_end, s->header.grain_sectors);
  s->next_free =
      MAX(s->next_free, round_up(s->data_start, s->header.grain_sectors));
  return 0;
}

void
sparse_alloc_free(struct sparse *s)
{
  free(s->free.runs);
  free(s->pending.runs);
  free(s->flushing.runs);
}

/* The file reaches to END sectors at least. */
static int
grow_file(struct sparse *s, uint64_t end, struct vdk_error *err)
{
  uint64_t ahead;
  int r;

  if (end <= s->file_end)
    return 0;
  ahead = MAX(end, FILE_SECTORS_MAX);
  ahead = MIN(end + GROW_SECTORS, ahead);
  r = file_truncate(s->extent.file, ahead * 512, NULL);
  if (r != 0) {
    ahead = end;
    r = file_truncate(s->extent.file, ahead * 512, err);
  }
  if (r != 0)
    return r;
  __atomic_store_n(&s->file_end, ahead, __ATOMIC_RELAXED);
  return 0;
}

/* Places for up to WANT grains in one piece: *RET_COUNT of them at *RET. */
static int
alloc_grains(struct sparse *s, uint64_t want, uint64_t *ret_sector,
             uint64_t *ret_count, struct vdk_error *err)
{
  uint64_t gs = s->header.grain_sectors;
  int r;

  if (s->free.count != 0) {
    struct free_run *run = &s->free.runs[s->free.count - 1];
    uint64_t count = MIN(want, run->count);

    *ret_sector = run->sector;
    *ret_count = count;
    run->sector += count * gs;
    run->count -= count;
    if (run->count == 0)
      s->free.count--;
    return 0;
  }
  if (s->next_free >= FILE_SECTORS_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s: the file has reached 2 TiB, the most that a sparse "
                     "extent can hold; convert the disk to a split or flat one",
                     s->name);
  want = MIN(want, (FILE_SECTORS_MAX - s->next_free) / gs);
  r = grow_file(s, s->next_free + want * gs, err);
  if (r != 0)
    return r;
  *ret_sector = s->next_free;
  *ret_count = want;
  s->next_free += want * gs;
  return 0;
}

/* --- Tables --------------------------------------------------------------- */

/* A place for one table, cut from a grain that is set aside for tables. */
static int
alloc_table(struct sparse *s, uint32_t *ret, struct vdk_error *err)
{
  if (s->meta_end - s->meta_next < s->table_sectors) {
    uint64_t gs = s->header.grain_sectors;
    uint64_t want = div_round_up(s->table_sectors, gs), sector, count;
    struct free_list none = {0}, kept = s->free;
    int r;

    /* Never a released grain: it may be one piece too small. */
    s->free = none;
    r = alloc_grains(s, want, &sector, &count, err);
    s->free = kept;
    if (r != 0)
      return r;
    if (count < want)
      return error_set(err, VDK_E_TOO_BIG, "%s: no room for a grain table",
                       s->name);
    s->meta_next = sector;
    s->meta_end = sector + count * gs;
  }
  *ret = (uint32_t)s->meta_next;
  s->meta_next += s->table_sectors;
  return 0;
}

int
sparse_table_ensure(struct sparse *s, uint64_t gt, struct vdk_error *err)
{
  uint32_t table = s->gd[gt], redundant = s->rgd ? s->rgd[gt] : 1;
  int r = 0;

  if (table != 0 && redundant != 0)
    return 0;
  if (table == 0)
    r = alloc_table(s, &table, err);
  if (r == 0 && redundant == 0)
    r = alloc_table(s, &redundant, err);
  if (r != 0)
    return r;
  __atomic_store_n(&s->gd[gt], table, __ATOMIC_RELAXED);
  if (s->rgd)
    __atomic_store_n(&s->rgd[gt], redundant, __ATOMIC_RELAXED);
  if (s->gd_dirty_first == s->gd_dirty_end) {
    s->gd_dirty_first = gt;
    s->gd_dirty_end = gt + 1;
  } else {
    s->gd_dirty_first = MIN(s->gd_dirty_first, gt);
    s->gd_dirty_end = MAX(s->gd_dirty_end, gt + 1);
  }
  return 0;
}

/* The page, fit to be changed: nothing doubtful in it. */
static int
page_for_change(struct sparse *s, uint64_t grain, struct grain_page **ret,
                struct vdk_error *err)
{
  int r = sparse_page_get(s, sparse_page_of(s, grain), ret, err);

  if (r != 0)
    return r;
  if ((*ret)->bad)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the grain tables around grain %llu and their "
                     "redundant copies differ; repair the disk before writing "
                     "to it",
                     s->name, (unsigned long long)grain);
  return 0;
}

/* --- Reserve, commit, release --------------------------------------------- */

/* Grains from INDEX on that have no place yet. */
static uint64_t
count_missing(const struct grain_page *page, uint32_t index, uint32_t end)
{
  uint32_t at = index;

  while (at < end && page->entries[at] <= GTE_ZERO)
    at++;
  return at - index;
}

static int
reserve_run(struct sparse *s, struct grain_page *page, uint32_t at,
            uint32_t end, struct grain_run *run, struct vdk_error *err)
{
  uint64_t grain = page->number * s->page_entries + at;
  uint64_t missing = count_missing(page, at, end);
  uint64_t gtes = s->header.gtes_per_gt;
  int state, r;

  *run = (struct grain_run){.state = VDK_EXTENT_DATA};
  if (missing != 0) {
    for (uint64_t gt = grain / gtes; gt * gtes < grain + missing; gt++) {
      r = sparse_table_ensure(s, gt, err);
      if (r != 0)
        return r;
    }
    run->fresh = true;
    return alloc_grains(s, missing, &run->sector, &run->count, err);
  }
  run->sector = page->entries[at];
  for (; at < end && page->entries[at] ==
                         run->sector + run->count * s->header.grain_sectors;
       at++) {
    r = sparse_entry(s, page, at, &state, run->count ? NULL : err);
    if (r != 0)
      return run->count ? 0 : r;
    run->count++;
  }
  return 0;
}

int
sparse_reserve(struct sparse *s, uint64_t grain, uint64_t count,
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
  if (r != 0)
    return r;
  if (page->bad && count_missing(page, at, end) != 0) {
    r = page_for_change(s, grain, &page, err);
    return r;
  }
  while (at < end && n < max) {
    if (n != 0 && page->bad && count_missing(page, at, end) != 0)
      break;
    r = reserve_run(s, page, at, end, &runs[n], n ? NULL : err);
    if (r != 0)
      break;
    at += (uint32_t)runs[n++].count;
  }
  if (n == 0)
    return r;
  *ret = n;
  return 0;
}

int
sparse_commit(struct sparse *s, uint64_t grain, const struct grain_run *run,
              struct vdk_error *err)
{
  uint32_t at = (uint32_t)(grain % s->page_entries);
  struct grain_page *page;
  int r;

  LOCK_SCOPE(&s->mutex);
  r = page_for_change(s, grain, &page, err);
  if (r != 0)
    return r;
  for (uint64_t i = 0; i < run->count; i++)
    page->entries[at + i] =
        (uint32_t)(run->sector + i * s->header.grain_sectors);
  sparse_page_dirty(s, page, at, at + (uint32_t)run->count);
  return 0;
}

/* Remembers places to use again; forgets them when there are too many. */
static void
free_list_add(struct free_list *list, uint64_t sector, uint64_t count,
              uint64_t grain_sectors)
{
  struct free_run *last = list->count ? &list->runs[list->count - 1] : NULL;

  if (last && last->sector + last->count * grain_sectors == sector) {
    last->count += count;
    return;
  }
  if (list->count >= FREE_RUNS_MAX ||
      !mem_grow(&list->runs, &list->capacity, list->count + 1,
                sizeof *list->runs))
    return;
  list->runs[list->count++] = (struct free_run){sector, count};
}

/* Takes one physical run off the table; *RET is what it was. */
static int
release_run(struct sparse *s, uint64_t grain, uint64_t count,
            struct grain_run *ret, struct vdk_error *err)
{
  uint32_t at = (uint32_t)(grain % s->page_entries);
  uint32_t end = (uint32_t)MIN(at + count, s->page_entries);
  uint32_t want = s->has_parent ? GTE_ZERO : GTE_ABSENT;
  uint64_t gtes = s->header.gtes_per_gt;
  struct grain_page *page;
  int r;

  LOCK_SCOPE(&s->mutex);
  r = page_for_change(s, grain, &page, err);
  if (r != 0)
    return r;
  *ret = (struct grain_run){0};
  if (page->entries[at] <= GTE_ZERO) {
    ret->count = count_missing(page, at, end);
  } else {
    ret->state = VDK_EXTENT_DATA;
    r = reserve_run(s, page, at, end, ret, err);
    if (r != 0)
      return r;
  }
  if (ret->sector == 0 && want == GTE_ABSENT)
    return 0;
  for (uint64_t gt = grain / gtes; gt * gtes < grain + ret->count; gt++) {
    r = sparse_table_ensure(s, gt, err);
    if (r != 0)
      return r;
  }
  for (uint64_t i = 0; i < ret->count; i++)
    page->entries[at + i] = want;
  sparse_page_dirty(s, page, at, at + (uint32_t)ret->count);
  return 0;
}

int
sparse_release(struct sparse *s, uint64_t grain, uint64_t count,
               struct vdk_error *err)
{
  uint64_t gs = s->header.grain_sectors;

  if (s->has_parent) {
    int r = sparse_allow_zero_grains(s, err);

    if (r != 0)
      return r;
  }
  while (count != 0) {
    struct grain_run run;
    int state, r;

    r = sparse_flush_if_full(s, err);
    if (r == 0)
      r = sparse_map_grains(s, grain, count, &run.count, &state, err);
    if (r != 0)
      return r;
    if (state == (s->has_parent ? VDK_EXTENT_ZERO : VDK_EXTENT_ABSENT)) {
      grain += run.count;
      count -= run.count;
      continue;
    }
    r = release_run(s, grain, run.count, &run, err);
    if (r != 0)
      return r;
    /* Zeroes first, then the list: a place is handed out clean. When zeroing
     * fails the place is not used again, and nothing else is lost. */
    if (run.sector != 0 && file_zero(s->extent.file, run.sector * 512,
                                     run.count * gs * 512, NULL) == 0) {
      LOCK_SCOPE(&s->mutex);
      free_list_add(&s->pending, run.sector, run.count, gs);
    }
    grain += run.count;
    count -= run.count;
  }
  return 0;
}
