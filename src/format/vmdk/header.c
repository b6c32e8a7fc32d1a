/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The 512-byte header of a hosted sparse extent ("KDMV").
 *
 *    0  u32  magic            44  u32  entries per grain table
 *    4  u32  version          48  u64  redundant grain directory, sectors
 *    8  u32  flags            56  u64  grain directory, sectors
 *   12  u64  capacity         64  u64  overhead, sectors
 *   20  u64  grain size       72  u8   unclean shutdown
 *   28  u64  descriptor at    73  u8x4 newline test: LF SP CR LF
 *   36  u64  descriptor size  77  u16  compression
 *
 * Whatever passes vmdk_header_parse() can be used in arithmetic: sectors
 * times 512 fits, the grain directory is of bounded size, descriptor and
 * directory lie inside the file (where its size is known). Only the primary
 * directory may lie outside when there is a redundant one that does not; the
 * extent decides what that is worth.
 */
#include <string.h>

#include "base/checked.h"
#include "base/endian.h"
#include "base/error.h"
#include "format/vmdk/vmdk.h"

#define MAGIC            0x564d444bu /* "KDMV" */
#define MAGIC_UNFINISHED 0x766d646bu /* "kdmv": open-vmdk while it writes */

#define VERSION_MAX       3u
#define GRAIN_SECTORS_MAX 2048u
#define GTES_MAX          4096u
/* 256 TiB of 64 KiB grains; 32 MiB of directory. */
#define GT_COUNT_MAX (8u << 20)
#define SECTORS_MAX  (INT64_MAX / 512)

/* Flags of which a reader that does not know them must keep away. */
#define FLAGS_INCOMPATIBLE 0xffff0000u
#define FLAGS_KNOWN                                                            \
  (VMDK_FLAG_NEWLINE_TEST | VMDK_FLAG_REDUNDANT_GD | VMDK_FLAG_ZERO_GRAINS |   \
   VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS)

static const uint8_t newline_test[4] = {'\n', ' ', '\r', '\n'};

static int
check_identity(const uint8_t *buf, const char *name, struct vmdk_header *h,
               struct vdk_error *err)
{
  uint32_t magic = le32_load(buf);

  if (magic == MAGIC_UNFINISHED)
    return error_set(err, VDK_E_TRUNCATED,
                     "%s: this sparse extent is unfinished: the program that "
                     "wrote it did not come to its end",
                     name);
  if (magic != MAGIC)
    return error_set(err, VDK_E_NOT_A_DISK,
                     "%s: no sparse extent: its magic is 0x%08x", name, magic);
  h->version = le32_load(buf + 4);
  h->flags = le32_load(buf + 8);
  if (h->version == 0 || h->version > VERSION_MAX)
    return error_set(err, VDK_E_VERSION,
                     "%s: sparse extent of version %u; up to version %u is "
                     "known",
                     name, h->version, VERSION_MAX);
  if (h->flags & FLAGS_INCOMPATIBLE & ~FLAGS_KNOWN)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "%s: the sparse header has the unknown incompatible flags "
                     "0x%08x",
                     name, h->flags & FLAGS_INCOMPATIBLE & ~FLAGS_KNOWN);
  if ((h->flags & VMDK_FLAG_MARKERS) && !(h->flags & VMDK_FLAG_COMPRESSED))
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the sparse header has markers without compression",
                     name);
  return 0;
}

static int
check_geometry(const char *name, struct vmdk_header *h, struct vdk_error *err)
{
  if (h->capacity > SECTORS_MAX)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the sparse header's capacity of %llu sectors is "
                     "impossible",
                     name, (unsigned long long)h->capacity);
  if (!is_power_of_2(h->grain_sectors) || h->grain_sectors > GRAIN_SECTORS_MAX)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the sparse header's grain size of %llu sectors is "
                     "not a power of two up to %u",
                     name, (unsigned long long)h->grain_sectors,
                     GRAIN_SECTORS_MAX);
  if (h->gtes_per_gt == 0 || h->gtes_per_gt > GTES_MAX)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the sparse header's %u entries per grain table are "
                     "not within 1 and %u",
                     name, h->gtes_per_gt, GTES_MAX);
  h->gt_count = div_round_up(h->capacity, h->grain_sectors * h->gtes_per_gt);
  if (h->gt_count > GT_COUNT_MAX)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the sparse header's capacity of %llu sectors would "
                     "need %llu grain tables, more than the %u that are "
                     "possible",
                     name, (unsigned long long)h->capacity,
                     (unsigned long long)h->gt_count, GT_COUNT_MAX);
  return 0;
}

/* True when LEN bytes at SECTOR lie behind the header and in the file. */
static bool
area_fits(uint64_t sector, uint64_t len, uint64_t file_size)
{
  return sector != 0 && sector <= SECTORS_MAX &&
         (file_size == 0 || !range_outside(sector * 512, len, file_size));
}

static int
check_areas(const char *name, const struct vmdk_header *h, uint64_t file_size,
            bool salvage, struct vdk_error *err)
{
  uint64_t gd_bytes = h->gt_count * 4;
  bool compressed = h->flags & VMDK_FLAG_COMPRESSED;

  if (h->descriptor_sectors != 0 && h->descriptor_offset != 0 &&
      (h->descriptor_sectors > VMDK_DESCRIPTOR_MAX / 512 ||
       !area_fits(h->descriptor_offset, h->descriptor_sectors * 512,
                  file_size)))
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the sparse header puts a descriptor of %llu sectors "
                     "at sector %llu, which is not inside the file",
                     name, (unsigned long long)h->descriptor_sectors,
                     (unsigned long long)h->descriptor_offset);
  if (salvage)
    return 0;
  if (file_size != 0 &&
      (h->overhead > SECTORS_MAX || h->overhead * 512 > file_size))
    return error_set(err, VDK_E_TRUNCATED,
                     "%s: the file ends at byte %llu, inside its own header "
                     "area of %llu sectors",
                     name, (unsigned long long)file_size,
                     (unsigned long long)h->overhead);
  if (compressed && h->gd_offset == VMDK_GD_AT_END)
    return 0;
  if (h->gt_count == 0 || area_fits(h->gd_offset, gd_bytes, file_size))
    return 0;
  if (!compressed && (h->flags & VMDK_FLAG_REDUNDANT_GD) &&
      area_fits(h->rgd_offset, gd_bytes, file_size))
    return 0;
  return error_set(err, compressed ? VDK_E_TRUNCATED : VDK_E_CORRUPT,
                   "%s: the grain directory (%llu bytes at sector %llu) is not "
                   "inside the file",
                   name, (unsigned long long)gd_bytes,
                   (unsigned long long)h->gd_offset);
}

int
vmdk_header_parse(const uint8_t buf[VMDK_HEADER_SIZE], const char *name,
                  uint64_t file_size, bool salvage, struct vmdk_header *ret,
                  struct vdk_error *err)
{
  struct vmdk_header h = {
      .capacity = le64_load(buf + 12),
      .grain_sectors = le64_load(buf + 20),
      .descriptor_offset = le64_load(buf + 28),
      .descriptor_sectors = le64_load(buf + 36),
      .gtes_per_gt = le32_load(buf + 44),
      .rgd_offset = le64_load(buf + 48),
      .gd_offset = le64_load(buf + 56),
      .overhead = le64_load(buf + 64),
      .unclean = buf[72] != 0,
      .compression = le16_load(buf + 77),
  };
  int r;

  r = check_identity(buf, name, &h, err);
  if (r != 0)
    return r;
  h.newline_damaged = (h.flags & VMDK_FLAG_NEWLINE_TEST) &&
                      memcmp(buf + 73, newline_test, 4) != 0;
  if (h.newline_damaged && !salvage)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the header's line ends were changed: the file went "
                     "through a transfer in text mode, which damages data too. "
                     "Transfer it again in binary mode, or read what is left "
                     "with the salvage option",
                     name);
  r = check_geometry(name, &h, err);
  if (r != 0)
    return r;
  if ((h.flags & VMDK_FLAG_COMPRESSED) && h.compression != 1)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "%s: compression method %u is not known", name,
                     h.compression);
  r = check_areas(name, &h, file_size, salvage, err);
  if (r != 0)
    return r;
  *ret = h;
  return 0;
}

void
vmdk_header_print(const struct vmdk_header *h, uint8_t ret[VMDK_HEADER_SIZE])
{
  memset(ret, 0, VMDK_HEADER_SIZE);
  le32_store(ret, MAGIC);
  le32_store(ret + 4, h->version);
  le32_store(ret + 8, h->flags);
  le64_store(ret + 12, h->capacity);
  le64_store(ret + 20, h->grain_sectors);
  le64_store(ret + 28, h->descriptor_offset);
  le64_store(ret + 36, h->descriptor_sectors);
  le32_store(ret + 44, h->gtes_per_gt);
  le64_store(ret + 48, h->rgd_offset);
  le64_store(ret + 56, h->gd_offset);
  le64_store(ret + 64, h->overhead);
  ret[72] = h->unclean;
  memcpy(ret + 73, newline_test, 4);
  le16_store(ret + 77, h->compression);
}
