/* SPDX-License-Identifier: BSD-3-Clause */
/* The numbers of docs/formats/vmbk.md: sizes, offsets, limits. */
#ifndef REPO_VMBK_H
#define REPO_VMBK_H

#include "repo/repo.h"

#define VMBK_VERSION 1u

/* Limits on what comes from a store. */
#define VMBK_CONFIG_MAX   (1u * 1024 * 1024)
#define VMBK_MANIFEST_MAX (16u * 1024 * 1024)
#define VMBK_PACK_MAX     (64u * 1024 * 1024)
#define VMBK_DISKS_MAX    1024u
#define VMBK_FILES_MAX    4096u
#define VMBK_WARNINGS_MAX 65536u
#define VMBK_META_MAX     65536u
#define VMBK_KEY_MAX      64u
#define VMBK_NAME_MAX     255u
#define VMBK_FILE_MAX     (64u * 1024 * 1024)
#define VMBK_DISK_MAX     ((uint64_t)1 << 60)

/* Pack. */
#define PACK_MAGIC       "VMBKPACK"
#define PACK_HEADER_SIZE 64u
#define PACK_TARGET      (16u * 1024 * 1024)
#define RECORD_MAGIC     "VREC"
#define RECORD_SIZE      64u /* header of a record */
#define TOC_MAGIC        "VMBKTOC1"
#define TOC_ENTRY_SIZE   56u
#define PACK_FOOTER_SIZE 32u

enum record_type {
  RECORD_DATA = 1,
  RECORD_MAP = 2,
  RECORD_FILE = 3,
};

enum record_codec {
  CODEC_NONE = 0,
  CODEC_ZSTD = 1,
};

/* Index run. */
#define INDEX_MAGIC         "VMBKINDX"
#define INDEX_PAGE_SIZE     4096u
#define INDEX_PAGE_BYTES    4092u /* before the crc32 */
#define INDEX_ENTRY_SIZE    44u
#define INDEX_PAGE_ENTRIES  93u
#define INDEX_PACK_SIZE     40u
#define INDEX_PAGE_PACKS    102u
#define INDEX_FANOUT_OFFSET 64u
#define INDEX_ENTRIES_MAX   ((uint64_t)1 << 31)
#define INDEX_PACKS_MAX     (1u << 24)

/* Map. */
#define MAP_FANOUT     512u
#define MAP_NODE_SIZE  (MAP_FANOUT * REPO_ID_SIZE)
#define MAP_LEVELS_MAX 6u /* 2^60 bytes in chunks of 64 KiB */

#endif
