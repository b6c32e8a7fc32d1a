/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of an export stream:
 *
 *   ... | footer marker | footer | end of stream (zeroes) | zeroes, perhaps
 *
 * Archives and uploads leave zeroes behind a stream. As the last marker is a
 * sector of zeroes too, the footer is simply the last sector of the file that
 * is not zero; if that is no footer, the file was cut off.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "format/vmdk/marker.h"
#include "format/vmdk/stream_table.h"

/* How many zeroes are looked over, and in what steps. */
#define PADDING_MAX (64u * 1024 * 1024)
#define STEP        (64u * 1024)

static int
no_footer(const struct vdk_file *file, uint64_t file_size,
          struct vdk_error *err)
{
  return error_set(err, VDK_E_TRUNCATED,
                   "%s: the stream has no footer before its end at byte %llu: "
                   "it was cut off. Get it again, or read what is left with "
                   "the salvage option",
                   file->name, (unsigned long long)file_size);
}

/* The offset of the last whole sector with something in it; 0 when that is
 * the header, or too far from the end. */
static int
last_used_sector(struct vdk_file *file, uint64_t file_size, uint8_t *buf,
                 uint64_t *ret, struct vdk_error *err)
{
  uint64_t end = file_size - file_size % VDK_SECTOR_SIZE;
  const uint64_t stop = end > PADDING_MAX ? end - PADDING_MAX : 0;

  *ret = 0;
  while (end > stop) {
    size_t n = MIN(end, STEP);
    int r = file_read(file, end - n, buf, n, err);

    if (r != 0)
      return r;
    if (!mem_is_zero(buf, n))
      for (size_t i = n; i > 0; i -= VDK_SECTOR_SIZE)
        if (!mem_is_zero(buf + i - VDK_SECTOR_SIZE, VDK_SECTOR_SIZE)) {
          *ret = end - n + i - VDK_SECTOR_SIZE;
          return 0;
        }
    end -= n;
  }
  return 0;
}

static bool
is_footer_marker(const uint8_t *sector, const struct vmdk_header *h)
{
  struct marker m;

  return marker_parse(sector, h, "", 0, &m, NULL) == 0 &&
         m.kind == MARKER_FOOTER;
}

int
stream_footer_find(struct vdk_file *file, const struct vmdk_header *h,
                   uint64_t file_size, struct vmdk_header *ret,
                   struct vdk_error *err)
{
  _cleanup_free_ uint8_t *buf = mem_buffer(STEP);
  struct vmdk_header footer;
  uint64_t at;
  int r;

  if (!buf)
    return error_nomem(err, "looking for the footer of a stream");
  r = last_used_sector(file, file_size, buf, &at, err);
  if (r != 0)
    return r;
  if (at < 2 * VDK_SECTOR_SIZE ||
      range_outside(at, 2 * VDK_SECTOR_SIZE, file_size))
    return no_footer(file, file_size, err);
  r = file_read(file, at - VDK_SECTOR_SIZE, buf, 2 * VDK_SECTOR_SIZE, err);
  if (r != 0)
    return r;
  if (!is_footer_marker(buf, h) ||
      memcmp(buf + VDK_SECTOR_SIZE, "KDMV", 4) != 0)
    return no_footer(file, file_size, err);
  r = vmdk_header_parse(buf + VDK_SECTOR_SIZE, file->name, file_size, false,
                        &footer, err);
  if (r != 0)
    return error_prefix(err, "the footer at offset %llu",
                        (unsigned long long)at);
  if (footer.capacity != h->capacity ||
      footer.grain_sectors != h->grain_sectors ||
      footer.gtes_per_gt != h->gtes_per_gt || footer.flags != h->flags)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the footer at offset %llu does not agree with the "
                     "header",
                     file->name, (unsigned long long)at);
  if (footer.gd_offset == VMDK_GD_AT_END)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the footer at offset %llu does not say where the "
                     "grain directory is",
                     file->name, (unsigned long long)at);
  *ret = footer;
  return 0;
}
