/* SPDX-License-Identifier: BSD-3-Clause */
#include "repo/index_run.h"

#include <stdio.h>
#include <libdeflate.h>

#include "base/checked.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/mem.h"

static void
page_seal(uint8_t *page)
{
  le32_store(page + INDEX_PAGE_BYTES,
             libdeflate_crc32(0, page, INDEX_PAGE_BYTES));
}

bool
index_page_is_whole(const uint8_t *page)
{
  return le32_load(page + INDEX_PAGE_BYTES) ==
         libdeflate_crc32(0, page, INDEX_PAGE_BYTES);
}

uint64_t
index_run_size(uint64_t entries, uint32_t packs)
{
  return (1 + div_round_up(packs, INDEX_PAGE_PACKS) +
          div_round_up(entries, INDEX_PAGE_ENTRIES)) *
         INDEX_PAGE_SIZE;
}

static int
compare_entries(const void *a, const void *b)
{
  const struct index_entry *x = a, *y = b;
  int order = memcmp(&x->id, &y->id, sizeof x->id);

  if (order)
    return order;
  if (x->pack != y->pack)
    return x->pack < y->pack ? -1 : 1;
  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static size_t
drop_doubles(struct index_entry *entries, size_t count)
{
  size_t kept = 0;

  for (size_t i = 0; i < count; i++)
    if (kept == 0 || !id_equal(&entries[kept - 1].id, &entries[i].id))
      entries[kept++] = entries[i];
  return kept;
}

static void
put_head(uint8_t *page, const struct index_entry *entries, size_t count,
         size_t pack_count)
{
  uint32_t below[256] = {0}, sum = 0;

  memcpy(page, INDEX_MAGIC, 8);
  le16_store(page + 8, VMBK_VERSION);
  le16_store(page + 10, INDEX_ENTRY_SIZE);
  le64_store(page + 16, count);
  le32_store(page + 24, (uint32_t)pack_count);
  for (size_t i = 0; i < count; i++)
    below[entries[i].id.bytes[0]]++;
  for (unsigned b = 0; b < 256; b++) {
    sum += below[b];
    le32_store(page + INDEX_FANOUT_OFFSET + (size_t)4 * b, sum);
  }
}

int
index_run_make(struct index_entry *entries, size_t count,
               const struct index_pack *packs, size_t pack_count, uint8_t **ret,
               size_t *ret_len, struct vdk_error *err)
{
  uint8_t *object, *page;
  uint64_t size;

  qsort(entries, count, sizeof *entries, compare_entries);
  count = drop_doubles(entries, count);
  if (count == 0 || count > INDEX_ENTRIES_MAX || pack_count > INDEX_PACKS_MAX)
    return error_set(err, VDK_E_INTERNAL, "an index run of %zu chunks", count);
  size = index_run_size(count, (uint32_t)pack_count);
  object = mem_array(size, 1);
  if (!object)
    return error_nomem(err, "making an index run");
  put_head(object, entries, count, pack_count);
  page = object + INDEX_PAGE_SIZE;
  for (size_t i = 0; i < pack_count; i++) {
    uint8_t *p = page + i / INDEX_PAGE_PACKS * INDEX_PAGE_SIZE +
                 i % INDEX_PAGE_PACKS * INDEX_PACK_SIZE;

    memcpy(p, packs[i].id.bytes, sizeof packs[i].id);
    le32_store(p + 32, packs[i].size);
  }
  page += div_round_up(pack_count, INDEX_PAGE_PACKS) * INDEX_PAGE_SIZE;
  for (size_t i = 0; i < count; i++) {
    uint8_t *p = page + i / INDEX_PAGE_ENTRIES * INDEX_PAGE_SIZE +
                 i % INDEX_PAGE_ENTRIES * INDEX_ENTRY_SIZE;

    memcpy(p, entries[i].id.bytes, sizeof entries[i].id);
    le32_store(p + 32, entries[i].pack);
    le32_store(p + 36, entries[i].offset);
    le32_store(p + 40, entries[i].stored_len);
  }
  for (uint64_t at = 0; at < size; at += INDEX_PAGE_SIZE)
    page_seal(object + at);
  *ret = object;
  *ret_len = size;
  return 0;
}

const char *
index_head_get(const uint8_t *page, uint64_t size, struct index_head *ret)
{
  if (memcmp(page, INDEX_MAGIC, 8) != 0)
    return "it does not begin as an index run";
  if (!index_page_is_whole(page))
    return "the checksum of its first page is wrong";
  if (le16_load(page + 8) != VMBK_VERSION || le32_load(page + 12) != 0)
    return "it is of a newer version";
  ret->entries = le64_load(page + 16);
  ret->packs = le32_load(page + 24);
  if (le16_load(page + 10) != INDEX_ENTRY_SIZE || ret->entries < 1 ||
      ret->entries > INDEX_ENTRIES_MAX || ret->packs < 1 ||
      ret->packs > INDEX_PACKS_MAX ||
      size != index_run_size(ret->entries, ret->packs))
    return "its head does not fit its size";
  for (unsigned b = 0; b < 256; b++) {
    ret->fanout[b] = le32_load(page + INDEX_FANOUT_OFFSET + (size_t)4 * b);
    if (ret->fanout[b] < (b ? ret->fanout[b - 1] : 0))
      return "its fan-out does not ascend";
  }
  return ret->fanout[255] == ret->entries ? NULL
                                          : "its fan-out does not fit its size";
}

void
index_pack_get(const uint8_t *page, uint32_t pack, struct index_pack *ret)
{
  const uint8_t *p = page + pack % INDEX_PAGE_PACKS * INDEX_PACK_SIZE;

  memcpy(ret->id.bytes, p, sizeof ret->id);
  ret->size = le32_load(p + 32);
}

bool
index_entry_get(const uint8_t *page, const struct index_head *h, uint64_t entry,
                struct index_entry *ret)
{
  const uint8_t *p = page + entry % INDEX_PAGE_ENTRIES * INDEX_ENTRY_SIZE;

  memcpy(ret->id.bytes, p, sizeof ret->id);
  ret->pack = le32_load(p + 32);
  ret->offset = le32_load(p + 36);
  ret->stored_len = le32_load(p + 40);
  return ret->pack < h->packs && ret->offset >= PACK_HEADER_SIZE &&
         ret->offset < VMBK_PACK_MAX && ret->stored_len >= 1 &&
         ret->stored_len <= REPO_CHUNK_SIZE_MAX;
}

unsigned
index_page_count(const struct index_head *h, uint64_t first)
{
  uint64_t start = first - first % INDEX_PAGE_ENTRIES;

  return (unsigned)MIN(h->entries - start, (uint64_t)INDEX_PAGE_ENTRIES);
}

int
index_page_compare(const uint8_t *page, unsigned i, const struct repo_id *id)
{
  return memcmp(id->bytes, page + (size_t)i * INDEX_ENTRY_SIZE, sizeof *id);
}

const char *
index_key(const struct repo_id *id, char *buf)
{
  char hex[ID_HEX_SIZE];

  snprintf(buf, INDEX_KEY_SIZE, "index/00000000/%s", id_hex(id, hex));
  return buf;
}

bool
index_key_parse(const char *key, struct repo_id *ret)
{
  return strlen(key) == INDEX_KEY_SIZE - 1 && strncmp(key, "index/", 6) == 0 &&
         strspn(key + 6, "0123456789abcdef") == 8 && key[14] == '/' &&
         id_parse(key + 15, ret);
}
