/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packs and the records in them: as given, and with the checksums of header,
 * records and footer made to fit, so that the lengths they guard are tried.
 */
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "repo/codec.h"

static struct codec_cache *cache;

struct look {
  const uint8_t *pack;
  size_t len;
  uint8_t *raw;
};

static int
see(void *opaque, const struct pack_record *r, const uint8_t *stored)
{
  struct look *l = opaque;
  struct codec *c;
  uint32_t len;

  if (stored < l->pack || r->stored_len > l->len ||
      stored + r->stored_len > l->pack + l->len)
    abort();
  if (codec_get(cache, &c, NULL) != 0)
    abort();
  codec_decode(c, &r->id, stored - RECORD_SIZE,
               RECORD_SIZE + (size_t)r->stored_len, "fuzz", r->offset, l->raw,
               REPO_CHUNK_SIZE_MAX, &len, NULL);
  codec_put(c);
  return 0;
}

static void
check(const uint8_t *data, size_t size, uint8_t *raw)
{
  struct look l = {data, size, raw};

  pack_walk(data, size, "fuzz", true, see, &l, NULL);
  pack_walk(data, size, "fuzz", false, see, &l, NULL);
}

static void
fit(uint8_t *p, size_t size)
{
  le32_store(p + size, libdeflate_crc32(0, p, size));
}

static void
fit_all(uint8_t *p, size_t size)
{
  size_t at = PACK_HEADER_SIZE;

  if (size < PACK_HEADER_SIZE + PACK_FOOTER_SIZE)
    return;
  fit(p, 60);
  fit(p + size - PACK_FOOTER_SIZE, 28);
  while (size - at > RECORD_SIZE && memcmp(p + at, RECORD_MAGIC, 4) == 0) {
    uint32_t stored = le32_load(p + at + 12);

    if (stored <= size - at - RECORD_SIZE)
      le32_store(p + at + 16,
                 libdeflate_crc32(0, p + at + RECORD_SIZE, stored));
    fit(p + at, 60);
    if (stored > size - at - RECORD_SIZE)
      break;
    at += RECORD_SIZE + stored;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static uint8_t *raw;
  uint8_t *copy = malloc(size ? size : 1);

  if (!raw)
    raw = malloc(REPO_CHUNK_SIZE_MAX);
  if (!cache && codec_cache_new(&cache, NULL) != 0)
    abort();
  if (!raw || !copy)
    abort();
  if (size > 0)
    memcpy(copy, data, size);
  check(copy, size, raw);
  fit_all(copy, size);
  check(copy, size, raw);
  free(copy);
  return 0;
}
