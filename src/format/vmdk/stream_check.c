/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables of a stream against its grains: stream_check.h.
 *
 * A grain table between the grains lists those since the table before it.
 * Some writers put tables elsewhere; so one is only held against the grains
 * when these belong to one table and it points among them.
 */
#include "format/vmdk/stream_check.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/mem.h"

#define FRONT_MAX (16u * 1024 * 1024)

int
stream_check_init(struct stream_check *k, const struct vmdk_header *h,
                  const char *name, struct vdk_error *err)
{
  *k = (struct stream_check){.name = name, .header = h, .one_gt = true};
  k->entries = mem_array(h->gtes_per_gt, sizeof *k->entries);
  if (!k->entries)
    return error_nomem(err, "reading a stream");
  if (h->gd_offset == VMDK_GD_AT_END || h->overhead <= 1 ||
      h->gd_offset >= h->overhead ||
      h->overhead - 1 > FRONT_MAX / VDK_SECTOR_SIZE)
    return 0;
  k->front_size = (h->overhead - 1) * VDK_SECTOR_SIZE;
  k->front = mem_array(1, k->front_size);
  return k->front ? 0 : error_nomem(err, "reading a stream");
}

void
stream_check_destroy(struct stream_check *k)
{
  free(k->front);
  free(k->entries);
}

/* LEN bytes at SECTOR of the front; NULL when they are not there. */
static const uint8_t *
front_at(const struct stream_check *k, uint64_t sector, uint64_t len)
{
  if (!k->front || sector == 0 || sector > k->header->overhead ||
      range_outside((sector - 1) * VDK_SECTOR_SIZE, len, k->front_size))
    return NULL;
  return k->front + (sector - 1) * VDK_SECTOR_SIZE;
}

/* Counts what the tables list; false when they are not all in the front. */
static bool
count_expected(struct stream_check *k)
{
  const struct vmdk_header *h = k->header;
  const uint8_t *gd = front_at(k, h->gd_offset, h->gt_count * 4);

  if (!gd)
    return false;
  for (uint64_t i = 0; i < h->gt_count; i++) {
    const uint32_t sector = le32_load(gd + i * 4);
    const uint8_t *gt;

    if (sector == 0)
      continue;
    gt = front_at(k, sector, (uint64_t)h->gtes_per_gt * 4);
    if (!gt)
      return false;
    for (uint32_t j = 0; j < h->gtes_per_gt; j++)
      if (le32_load(gt + j * 4) > 1)
        k->expected++;
  }
  return true;
}

void
stream_check_front(struct stream_check *k)
{
  k->has_front_tables = count_expected(k);
}

static bool
front_lists(const struct stream_check *k, uint64_t grain, uint64_t sector)
{
  const struct vmdk_header *h = k->header;
  const uint8_t *gd = front_at(k, h->gd_offset, h->gt_count * 4);
  const uint8_t *gt = front_at(k, le32_load(gd + grain / h->gtes_per_gt * 4),
                               (uint64_t)h->gtes_per_gt * 4);

  return gt && le32_load(gt + grain % h->gtes_per_gt * 4) == sector;
}

void
stream_check_grain(struct stream_check *k, uint64_t lba, uint64_t offset,
                   bool *ret_live)
{
  const struct vmdk_header *h = k->header;
  const uint64_t grain = lba / h->grain_sectors;
  const uint64_t sector = offset / VDK_SECTOR_SIZE;

  *ret_live = true;
  if (k->has_front_tables) {
    *ret_live = front_lists(k, grain, sector);
    if (*ret_live)
      k->seen++;
    return;
  }
  if (sector > UINT32_MAX)
    k->one_gt = false;
  if (k->count++ == 0) {
    k->gt = grain / h->gtes_per_gt;
    k->first = sector;
    memset(k->entries, 0, h->gtes_per_gt * sizeof *k->entries);
  }
  if (grain / h->gtes_per_gt != k->gt)
    k->one_gt = false;
  k->entries[grain % h->gtes_per_gt] = sector;
}

/* The table points at least once at the grains since the last one. */
static bool
lists_them(const struct stream_check *k, const uint8_t *table, uint64_t offset)
{
  for (uint32_t i = 0; i < k->header->gtes_per_gt; i++) {
    uint32_t sector = le32_load(table + i * 4);

    if (sector >= k->first && sector < offset / VDK_SECTOR_SIZE)
      return true;
  }
  return false;
}

int
stream_check_gt(struct stream_check *k, const uint8_t *table, uint64_t offset,
                struct vdk_error *err)
{
  const struct vmdk_header *h = k->header;
  bool checked = k->count > 0 && k->one_gt && lists_them(k, table, offset);

  for (uint32_t i = 0; checked && i < h->gtes_per_gt; i++) {
    uint32_t sector = le32_load(table + i * 4);

    if ((sector == 1 ? 0 : sector) != k->entries[i])
      return error_set(
          err, VDK_E_CORRUPT,
          "%s: the grain table at offset %llu has grain %llu at sector %u, but "
          "%s at sector %u; the stream is damaged",
          k->name, (unsigned long long)offset,
          (unsigned long long)(k->gt * h->gtes_per_gt + i), sector,
          k->entries[i] ? "it came" : "nothing came", k->entries[i]);
  }
  k->count = 0;
  k->one_gt = true;
  return 0;
}

int
stream_check_end(const struct stream_check *k, bool cut, struct vdk_error *err)
{
  if (!k->has_front_tables || k->seen == k->expected)
    return 0;
  return error_set(err, cut ? VDK_E_TRUNCATED : VDK_E_CORRUPT,
                   "%s: the stream's tables list %llu grains, but %llu came: "
                   "it %s",
                   k->name, (unsigned long long)k->expected,
                   (unsigned long long)k->seen,
                   cut ? "was cut off" : "is damaged");
}
