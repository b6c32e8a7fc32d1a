/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What to believe when the two copies of a grain table differ.
 *
 * Each page is read from both copies, which costs one more small read, and
 * compared. Nearly always they are equal. Where not, entry by entry:
 *
 *   primary   redundant
 *   good      impossible      the primary one; warned
 *   impossible  any           an error that names both (salvage: the other)
 *   good      good, another   the file was closed cleanly: damage, and nobody
 *                             can tell which is right: an error that names
 *                             both (salvage: the one that has data)
 *                             the file was not closed: a flush was cut
 *                             between the copies. Data was stable before
 *                             either was written, so that an entry with data
 *                             is good; the primary one if both have.
 *
 * "Good" means not in the metadata and inside the file. So a zeroed table is
 * never taken for an empty disk while the other copy knows better, and what a
 * power cut leaves is not mistaken for damage. An entry without a decision is
 * marked bad; reads of other grains go on, and nothing is ever written to a
 * page that has one.
 */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/vmdk/sparse.h"

bool
sparse_sector_valid(const struct sparse *s, uint64_t grain, uint32_t sector)
{
  uint64_t gs = s->header.grain_sectors;
  uint64_t need = MIN(gs, s->header.capacity - grain * gs);

  return sector <= GTE_ZERO ||
         (sector >= s->data_start && sector + need <= sparse_file_end(s));
}

bool
sparse_table_valid(const struct sparse *s, uint32_t sector)
{
  return sector != 0 &&
         (uint64_t)sector + s->table_sectors <= sparse_file_end(s);
}

static bool
mark_bad(struct sparse *s, struct grain_page *page, uint32_t index)
{
  if (!page->bad)
    page->bad = mem_array((s->page_entries + 7) / 8, 1);
  if (!page->bad)
    return false;
  page->bad[index / 8] |= (uint8_t)(1u << (index % 8));
  return true;
}

enum verdict { TAKE_PRIMARY, TAKE_REDUNDANT, UNDECIDED };

static enum verdict
decide(const struct sparse *s, uint64_t grain, uint32_t a, uint32_t b)
{
  bool a_valid = sparse_sector_valid(s, grain, a);
  bool b_valid = sparse_sector_valid(s, grain, b);

  if (a_valid && !b_valid)
    return TAKE_PRIMARY;
  if (!a_valid && b_valid)
    return s->salvage ? TAKE_REDUNDANT : UNDECIDED;
  if (!a_valid || !(s->was_unclean || s->salvage))
    return UNDECIDED;
  if (a <= GTE_ZERO && b > a)
    return TAKE_REDUNDANT;
  return TAKE_PRIMARY;
}

static void
warn_redundant(struct sparse *s, uint64_t grain)
{
  if (__atomic_exchange_n(&s->warned_redundant, true, __ATOMIC_RELAXED))
    return;
  log_warning(s->log,
              "%s: the grain tables and their redundant copies differ, at "
              "grain %llu first%s",
              s->name, (unsigned long long)grain,
              s->was_unclean ? "; the disk was not closed cleanly"
                             : "; check the disk");
}

/* Tables of which one copy cannot even be read: its entries are the other's,
 * or bad. Returns which copies there are: bit 0 primary, bit 1 redundant. */
static unsigned
readable_copies(const struct sparse *s, uint64_t gt)
{
  unsigned ret = 0;

  if (s->gd[gt] == 0 || sparse_table_valid(s, s->gd[gt]))
    ret |= 1;
  if (s->rgd && (s->rgd[gt] == 0 || sparse_table_valid(s, s->rgd[gt])))
    ret |= 2;
  return ret;
}

static int
decide_entry(struct sparse *s, struct grain_page *page, uint32_t index,
             unsigned copies, uint32_t a, uint32_t b, struct vdk_error *err)
{
  uint64_t grain = page->number * s->page_entries + index;
  enum verdict v;

  if (grain >= s->grain_count)
    return 0;
  if (copies == 3)
    v = a == b ? TAKE_PRIMARY : decide(s, grain, a, b);
  else if (copies == 2)
    v = s->salvage ? TAKE_REDUNDANT : UNDECIDED;
  else
    v = copies == 1 ? TAKE_PRIMARY : UNDECIDED;
  page->entries[index] = v == TAKE_REDUNDANT ? b : a;
  if (v == TAKE_PRIMARY && (a == b || copies != 3))
    return 0;
  warn_redundant(s, grain);
  if (v == UNDECIDED)
    return mark_bad(s, page, index)
               ? 0
               : error_nomem(err, "comparing grain tables");
  if (s->writable)
    sparse_page_dirty(s, page, index, index + 1);
  return 0;
}

int
sparse_page_decide(struct sparse *s, struct grain_page *page,
                   const uint8_t *primary, const uint8_t *redundant,
                   struct vdk_error *err)
{
  uint32_t gtes = s->header.gtes_per_gt;
  uint64_t first = page->number * s->page_tables;

  for (uint32_t t = 0; t < s->page_tables && first + t < s->header.gt_count;
       t++) {
    size_t at = (size_t)t * gtes;
    unsigned copies = readable_copies(s, first + t);

    if (copies == 1 && s->rgd)
      warn_redundant(s, (first + t) * gtes);
    if ((copies & 1) &&
        (!redundant ||
         memcmp(primary + at * 4, redundant + at * 4, (size_t)gtes * 4) == 0)) {
      for (uint32_t i = 0; i < gtes; i++)
        page->entries[at + i] = le32_load(primary + (at + i) * 4);
      continue;
    }
    for (uint32_t i = 0; i < gtes; i++) {
      uint32_t b = redundant ? le32_load(redundant + (at + i) * 4) : 0;
      int r = decide_entry(s, page, (uint32_t)at + i, copies,
                           le32_load(primary + (at + i) * 4), b, err);

      if (r != 0)
        return r;
    }
  }
  if (page->bad) {
    page->dirty_first = page->dirty_end = 0;
    __atomic_store_n(&s->keep_unclean, true, __ATOMIC_RELAXED);
  }
  return 0;
}

/* The entry as it stands in the table that DIRECTORY names, for a message. */
static void
describe(struct sparse *s, const uint32_t *directory, uint64_t grain, char *ret,
         size_t size)
{
  uint64_t gt = grain / s->header.gtes_per_gt;
  uint64_t slot = grain % s->header.gtes_per_gt;
  uint32_t table = directory ? directory[gt] : 0;
  uint8_t entry[4];

  if (!directory)
    snprintf(ret, size, "there is no redundant table");
  else if (table == 0)
    snprintf(ret, size, "absent");
  else if (!sparse_table_valid(s, table) ||
           file_read(s->extent.file, (uint64_t)table * 512 + slot * 4, entry, 4,
                     NULL) != 0)
    snprintf(ret, size, "its table at sector %u is outside the file", table);
  else
    snprintf(ret, size, "entry %llu of the table at sector %u says sector %u",
             (unsigned long long)slot, table, le32_load(entry));
}

int
sparse_entry_error(struct sparse *s, const struct grain_page *page,
                   uint32_t index, struct vdk_error *err)
{
  uint64_t grain = page->number * s->page_entries + index;
  char a[120], b[120];

  describe(s, s->gd, grain, a, sizeof a);
  describe(s, s->rgd, grain, b, sizeof b);
  return error_set(err, VDK_E_CORRUPT,
                   "%s: grain %llu (byte %llu of this extent) is damaged: "
                   "primary: %s; redundant: %s; the file has %llu sectors, "
                   "grains start at sector %llu. Check the disk, or read it "
                   "with the salvage option",
                   s->name, (unsigned long long)grain,
                   (unsigned long long)(grain * s->grain_bytes), a, b,
                   (unsigned long long)sparse_file_end(s),
                   (unsigned long long)s->data_start);
}
