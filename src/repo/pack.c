/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pack bytes, docs/formats/vmbk.md section 5.
 *
 * A pack is written front to back into one buffer and its table of contents
 * is made at the end by walking the records, so that a writer keeps no second
 * list. A strict walk compares both descriptions; what one of them says alone
 * is damage.
 */
#include "repo/pack.h"

#include <assert.h>
#include <stdio.h>
#include <libdeflate.h>

#include "base/checked.h"
#include "base/endian.h"
#include "base/error.h"

enum { HEADER_CRC = 60, FOOTER_CRC = 28 };

void
pack_header_put(uint8_t *p)
{
  memset(p, 0, PACK_HEADER_SIZE);
  memcpy(p, PACK_MAGIC, 8);
  le16_store(p + 8, VMBK_VERSION);
  le16_store(p + 10, PACK_HEADER_SIZE);
  le32_store(p + HEADER_CRC, libdeflate_crc32(0, p, HEADER_CRC));
}

static const char *
header_problem(const uint8_t *p)
{
  if (memcmp(p, PACK_MAGIC, 8) != 0)
    return "it does not begin as a pack";
  if (le32_load(p + HEADER_CRC) != libdeflate_crc32(0, p, HEADER_CRC))
    return "the checksum of its header is wrong";
  if (le16_load(p + 8) != VMBK_VERSION || le32_load(p + 12) != 0)
    return "it is of a newer version";
  if (le16_load(p + 10) != PACK_HEADER_SIZE)
    return "its header has a wrong size";
  return NULL;
}

void
pack_record_put(uint8_t *p, const struct pack_record *r)
{
  memset(p, 0, RECORD_SIZE);
  memcpy(p, RECORD_MAGIC, 4);
  p[4] = r->type;
  p[5] = r->codec;
  le32_store(p + 8, r->raw_len);
  le32_store(p + 12, r->stored_len);
  le32_store(p + 16, r->crc);
  memcpy(p + 28, r->id.bytes, sizeof r->id);
  le32_store(p + HEADER_CRC, libdeflate_crc32(0, p, HEADER_CRC));
}

bool
pack_record_get(const uint8_t *p, uint32_t offset, struct pack_record *r)
{
  if (memcmp(p, RECORD_MAGIC, 4) != 0 ||
      le32_load(p + HEADER_CRC) != libdeflate_crc32(0, p, HEADER_CRC))
    return false;
  r->offset = offset;
  r->type = p[4];
  r->codec = p[5];
  r->raw_len = le32_load(p + 8);
  r->stored_len = le32_load(p + 12);
  r->crc = le32_load(p + 16);
  memcpy(r->id.bytes, p + 28, sizeof r->id);
  if (r->raw_len < 1 || r->raw_len > REPO_CHUNK_SIZE_MAX || r->stored_len < 1)
    return false;
  return r->codec == CODEC_NONE ? r->stored_len == r->raw_len
                                : r->stored_len < r->raw_len;
}

static void
toc_entry_put(uint8_t *p, const struct pack_record *r)
{
  memset(p, 0, TOC_ENTRY_SIZE);
  memcpy(p, r->id.bytes, sizeof r->id);
  le32_store(p + 32, r->offset);
  le32_store(p + 36, r->raw_len);
  le32_store(p + 40, r->stored_len);
  le32_store(p + 44, r->crc);
  p[48] = r->type;
  p[49] = r->codec;
}

size_t
pack_finish(uint8_t *buf, size_t len, uint32_t count)
{
  uint8_t *toc = buf + len, *footer = toc + (size_t)count * TOC_ENTRY_SIZE;
  size_t at = PACK_HEADER_SIZE;

  for (uint32_t i = 0; i < count; i++) {
    struct pack_record r;
    bool good = pack_record_get(buf + at, (uint32_t)at, &r);

    assert(good);
    (void)good;
    toc_entry_put(toc + (size_t)i * TOC_ENTRY_SIZE, &r);
    at += RECORD_SIZE + r.stored_len;
  }
  assert(at == len);
  memset(footer, 0, PACK_FOOTER_SIZE);
  memcpy(footer, TOC_MAGIC, 8);
  le32_store(footer + 8, (uint32_t)len);
  le32_store(footer + 12, count);
  le32_store(footer + 16, libdeflate_crc32(0, toc, footer - toc));
  le32_store(footer + FOOTER_CRC, libdeflate_crc32(0, footer, FOOTER_CRC));
  return len + pack_tail_size(count);
}

struct toc {
  const uint8_t *entries;
  uint32_t offset, count;
};

/* Finds the table of contents of a pack of LEN bytes. */
static const char *
toc_problem(const uint8_t *buf, size_t len, struct toc *toc)
{
  const uint8_t *footer = buf + len - PACK_FOOTER_SIZE;
  uint64_t size;

  if (memcmp(footer, TOC_MAGIC, 8) != 0)
    return "it does not end as a pack";
  if (le32_load(footer + FOOTER_CRC) != libdeflate_crc32(0, footer, FOOTER_CRC))
    return "the checksum of its footer is wrong";
  toc->offset = le32_load(footer + 8);
  toc->count = le32_load(footer + 12);
  size = (uint64_t)toc->count * TOC_ENTRY_SIZE;
  if (toc->offset < PACK_HEADER_SIZE ||
      toc->offset + size + PACK_FOOTER_SIZE != len)
    return "its footer does not fit its size";
  toc->entries = buf + toc->offset;
  if (le32_load(footer + 16) != libdeflate_crc32(0, toc->entries, size))
    return "the checksum of its table of contents is wrong";
  return NULL;
}

static const char *
pack_problem(const uint8_t *buf, size_t len, struct toc *toc)
{
  const char *problem;

  if (len < PACK_HEADER_SIZE + PACK_FOOTER_SIZE)
    return "it is too short";
  if (len > VMBK_PACK_MAX)
    return "it is too large";
  problem = header_problem(buf);
  return problem ? problem : toc_problem(buf, len, toc);
}

int
pack_walk(const uint8_t *buf, size_t len, const char *name, bool strict,
          int (*fn)(void *opaque, const struct pack_record *r,
                    const uint8_t *stored),
          void *opaque, struct vdk_error *err)
{
  struct toc toc = {0};
  const char *problem = pack_problem(buf, len, &toc);
  size_t end = problem ? len : toc.offset, at = PACK_HEADER_SIZE;
  uint32_t seen = 0;

  if (problem && strict)
    return error_set(err, VDK_E_DAMAGED, "%s is damaged: %s", name, problem);
  for (; at < end && end - at >= RECORD_SIZE; seen++) {
    struct pack_record r;
    uint8_t entry[TOC_ENTRY_SIZE];
    int ret;

    if (!pack_record_get(buf + at, (uint32_t)at, &r) ||
        r.stored_len > end - at - RECORD_SIZE)
      break;
    toc_entry_put(entry, &r);
    if (strict && (seen >= toc.count ||
                   memcmp(entry, toc.entries + (size_t)seen * TOC_ENTRY_SIZE,
                          TOC_ENTRY_SIZE) != 0))
      break;
    ret = fn(opaque, &r, buf + at + RECORD_SIZE);
    if (ret)
      return ret;
    at += RECORD_SIZE + r.stored_len;
  }
  if (strict && (at != end || seen != toc.count))
    return error_set(err, VDK_E_DAMAGED,
                     "%s is damaged: the record at offset %zu does not agree "
                     "with its table of contents",
                     name, at);
  return 0;
}

const char *
pack_key(const struct repo_id *id, char *buf)
{
  char hex[ID_HEX_SIZE];

  id_hex(id, hex);
  snprintf(buf, PACK_KEY_SIZE, "pack/%.2s/%s", hex, hex);
  return buf;
}

bool
pack_key_parse(const char *key, struct repo_id *ret)
{
  char again[PACK_KEY_SIZE];

  return strlen(key) == PACK_KEY_SIZE - 1 && id_parse(key + 8, ret) &&
         strcmp(pack_key(ret, again), key) == 0;
}
