/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The blocks that a compressed extent consists of behind its overhead. Each
 * starts at a sector with a marker:
 *
 *   0   8  a grain: its LBA; else: sectors that follow the marker's own
 *   8   4  a grain: bytes of packed data, which begin at 12; else 0
 *   12  4  not a grain: what it is
 *
 * Some writers leave the sector count of tables 0, so that it is computed
 * from the header and the stored one is not used.
 */
#ifndef FORMAT_VMDK_MARKER_H
#define FORMAT_VMDK_MARKER_H

#include "format/vmdk/vmdk.h"

#define MARKER_GRAIN_HEADER 12u
#define MARKER_PEEK         16u /* bytes that marker_parse looks at */

enum marker_kind {
  MARKER_EOS = 0,
  MARKER_GT = 1,
  MARKER_GD = 2,
  MARKER_FOOTER = 3,
  MARKER_PROGRESS = 4, /* a keep-alive, nothing behind it */
  MARKER_KINDS,
  MARKER_GRAIN,
};

struct marker {
  enum marker_kind kind;
  uint64_t lba;   /* GRAIN: sectors */
  uint32_t size;  /* GRAIN: packed bytes */
  uint64_t bytes; /* of the whole block, marker and padding included */
};

/* Packed data may be larger than what it holds, but not without limit. */
static inline uint32_t
marker_size_max(uint32_t grain_bytes)
{
  return 2 * grain_bytes + 4096;
}

/* The largest block of a grain. */
static inline uint32_t
marker_block_max(uint32_t grain_bytes)
{
  return (marker_size_max(grain_bytes) + MARKER_GRAIN_HEADER + 511) / 512 * 512;
}

static inline uint64_t
marker_gt_bytes(const struct vmdk_header *h)
{
  return ((uint64_t)h->gtes_per_gt * 4 + 511) / 512 * 512;
}

static inline uint64_t
marker_gd_bytes(const struct vmdk_header *h)
{
  return (h->gt_count * 4 + 511) / 512 * 512;
}

/* NAME and OFFSET (of the marker, in the file) are for messages. Checks the
 * size, and that a grain's LBA is one of the extent's grains. */
int marker_parse(const uint8_t p[MARKER_PEEK], const struct vmdk_header *h,
                 const char *name, uint64_t offset, struct marker *ret,
                 struct vdk_error *err);

/* A marker of KIND (not GRAIN) with SECTORS behind it. */
void marker_print(enum marker_kind kind, uint64_t sectors, uint8_t ret[512]);

#endif
