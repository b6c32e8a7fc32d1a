/* SPDX-License-Identifier: BSD-3-Clause */
/* Markers of compressed extents: marker.h has the layout. */
#include "format/vmdk/marker.h"

#include <string.h>

#include "base/checked.h"
#include "base/endian.h"
#include "base/error.h"

static int
parse_grain(const struct vmdk_header *h, const char *name, uint64_t offset,
            struct marker *m, struct vdk_error *err)
{
  const uint32_t max = marker_size_max(h->grain_sectors * VDK_SECTOR_SIZE);

  if (m->size > max)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the grain at offset %llu claims %u packed bytes; at "
                     "most %u can be",
                     name, (unsigned long long)offset, m->size, max);
  if (m->lba % h->grain_sectors != 0 || m->lba >= h->capacity)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the grain at offset %llu claims LBA %llu, where no "
                     "grain of %llu sectors can begin",
                     name, (unsigned long long)offset,
                     (unsigned long long)m->lba,
                     (unsigned long long)h->grain_sectors);
  m->kind = MARKER_GRAIN;
  m->bytes = round_up((uint64_t)MARKER_GRAIN_HEADER + m->size, VDK_SECTOR_SIZE);
  return 0;
}

int
marker_parse(const uint8_t p[MARKER_PEEK], const struct vmdk_header *h,
             const char *name, uint64_t offset, struct marker *ret,
             struct vdk_error *err)
{
  struct marker m = {.lba = le64_load(p), .size = le32_load(p + 8)};
  uint32_t type = le32_load(p + 12);

  if (m.size != 0) {
    int r = parse_grain(h, name, offset, &m, err);

    if (r == 0)
      *ret = m;
    return r;
  }
  if (type >= MARKER_KINDS)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: no marker that is known, but type %u, at offset %llu",
                     name, type, (unsigned long long)offset);
  m.kind = (enum marker_kind)type;
  m.lba = 0;
  m.bytes = VDK_SECTOR_SIZE;
  if (m.kind == MARKER_GT)
    m.bytes += marker_gt_bytes(h);
  else if (m.kind == MARKER_GD)
    m.bytes += marker_gd_bytes(h);
  else if (m.kind == MARKER_FOOTER)
    m.bytes += VMDK_HEADER_SIZE;
  *ret = m;
  return 0;
}

void
marker_print(enum marker_kind kind, uint64_t sectors, uint8_t ret[512])
{
  memset(ret, 0, 512);
  le64_store(ret, sectors);
  le32_store(ret + 12, kind);
}
