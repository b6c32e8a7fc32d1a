/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of an index run (docs/formats/vmbk.md section 6): making one of
 * entries, reading one page at a time. Nothing here knows a store.
 */
#ifndef REPO_INDEX_RUN_H
#define REPO_INDEX_RUN_H

#include "repo/id.h"
#include "repo/vmbk.h"

struct index_entry {
  struct repo_id id;
  uint32_t pack; /* number in the run's table */
  uint32_t offset, stored_len;
};

struct index_pack {
  struct repo_id id;
  uint32_t size;
};

/* What page 0 says. */
struct index_head {
  uint64_t entries;
  uint32_t packs;
  uint32_t fanout[256];
};

/* Sorts ENTRIES (of one id the first stays) and makes the object of them. */
int index_run_make(struct index_entry *entries, size_t count,
                   const struct index_pack *packs, size_t pack_count,
                   uint8_t **ret, size_t *ret_len, struct vdk_error *err);

/* Checks page 0 of an object of SIZE bytes. NULL, or what is wrong. */
const char *index_head_get(const uint8_t *page, uint64_t size,
                           struct index_head *ret);
bool index_page_is_whole(const uint8_t *page);

static inline uint64_t
index_pack_pages(const struct index_head *h)
{
  return (h->packs + INDEX_PAGE_PACKS - 1) / INDEX_PAGE_PACKS;
}

/* Where things stand; a page number times INDEX_PAGE_SIZE is its offset. */
static inline uint64_t
index_page_of_pack(uint32_t pack)
{
  return 1 + pack / INDEX_PAGE_PACKS;
}

static inline uint64_t
index_page_of_entry(const struct index_head *h, uint64_t entry)
{
  return 1 + index_pack_pages(h) + entry / INDEX_PAGE_ENTRIES;
}

uint64_t index_run_size(uint64_t entries, uint32_t packs);

void index_pack_get(const uint8_t *page, uint32_t pack, struct index_pack *ret);
/* False when the entry cannot be true: pack or range out of bounds. */
bool index_entry_get(const uint8_t *page, const struct index_head *h,
                     uint64_t entry, struct index_entry *ret);
/* Number of entries on the page that holds entry FIRST. */
unsigned index_page_count(const struct index_head *h, uint64_t first);

/* Compares ID with entry I of a page of entries. */
int index_page_compare(const uint8_t *page, unsigned i,
                       const struct repo_id *id);

/* "index/00000000/<hex>" into BUF of INDEX_KEY_SIZE. */
#define INDEX_KEY_SIZE (15 + ID_HEX_SIZE)
const char *index_key(const struct repo_id *id, char *buf);
/* Any epoch is good. */
bool index_key_parse(const char *key, struct repo_id *ret);

#endif
