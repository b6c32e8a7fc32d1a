/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A record is stored compressed only when that saves something worth the
 * decoding: zstd gets an output buffer smaller than its input by 1/64, and
 * "does not fit" means that the bytes are stored as they are.
 */
#include "repo/codec.h"

#include <libdeflate.h>
#include <zstd.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"

struct codec {
  struct codec_cache *cache;
  struct codec *next;
  ZSTD_CCtx *cctx;
  ZSTD_DCtx *dctx;
  int level;
  uint8_t *buffer;
  size_t buffer_size;
};

struct codec_cache {
  pthread_mutex_t mutex;
  struct codec *free;
};

int
codec_cache_new(struct codec_cache **ret, struct vdk_error *err)
{
  struct codec_cache *c = mem_array(1, sizeof *c);

  if (!c)
    return error_nomem(err, "opening a repository");
  pthread_mutex_init(&c->mutex, NULL);
  *ret = c;
  return 0;
}

static void
codec_free(struct codec *c)
{
  ZSTD_freeCCtx(c->cctx);
  ZSTD_freeDCtx(c->dctx);
  free(c->buffer);
  free(c);
}

void
codec_cache_free(struct codec_cache *c)
{
  if (!c)
    return;
  while (c->free) {
    struct codec *next = c->free->next;

    codec_free(c->free);
    c->free = next;
  }
  pthread_mutex_destroy(&c->mutex);
  free(c);
}

int
codec_get(struct codec_cache *cache, struct codec **ret, struct vdk_error *err)
{
  struct codec *c;

  pthread_mutex_lock(&cache->mutex);
  c = cache->free;
  if (c)
    cache->free = c->next;
  pthread_mutex_unlock(&cache->mutex);
  if (!c) {
    c = mem_array(1, sizeof *c);
    if (!c)
      return error_nomem(err, "preparing to code a chunk");
    c->cache = cache;
  }
  *ret = c;
  return 0;
}

void
codec_put(struct codec *c)
{
  if (!c)
    return;
  pthread_mutex_lock(&c->cache->mutex);
  c->next = c->cache->free;
  c->cache->free = c;
  pthread_mutex_unlock(&c->cache->mutex);
}

uint8_t *
codec_buffer(struct codec *c, size_t size)
{
  if (size > c->buffer_size) {
    free(c->buffer);
    c->buffer = mem_buffer(size);
    c->buffer_size = c->buffer ? size : 0;
  }
  return c->buffer;
}

/* Level 1 looks for matches of 6 bytes in chunks of our size. With 5 it stores
 * 1.2 % less for 4 % more time; a larger table than its 2^14 entries would
 * store 1 % less again, but take a fifth longer (measured over the gigabyte of
 * files of the benchmark). 0 is the level's own. */
static bool
set_level(struct codec *c, int level)
{
  const struct {
    ZSTD_cParameter name;
    int value;
  } parameters[] = {
      {ZSTD_c_compressionLevel, level},
      {ZSTD_c_minMatch, level == 1 ? 5 : 0},
  };

  if (!c->cctx)
    c->cctx = ZSTD_createCCtx();
  else if (c->level == level)
    return true;
  if (!c->cctx)
    return false;
  c->level = 0;
  for (size_t i = 0; i < ARRAY_SIZE(parameters); i++)
    if (ZSTD_isError(ZSTD_CCtx_setParameter(c->cctx, parameters[i].name,
                                            parameters[i].value)))
      return false;
  c->level = level;
  return true;
}

int
codec_encode(struct codec *c, int level, struct pack_record *r, const void *raw,
             const uint8_t **ret, size_t *ret_len, struct vdk_error *err)
{
  size_t room = r->raw_len - r->raw_len / 64 - 1, n = 0;
  uint8_t *p = codec_buffer(c, RECORD_SIZE + (size_t)r->raw_len);

  if (!p || !set_level(c, level))
    return error_nomem(err, "compressing a chunk");
  if (room > 0)
    n = ZSTD_compress2(c->cctx, p + RECORD_SIZE, room, raw, r->raw_len);
  if (room > 0 && !ZSTD_isError(n)) {
    r->codec = CODEC_ZSTD;
    r->stored_len = (uint32_t)n;
  } else {
    r->codec = CODEC_NONE;
    r->stored_len = r->raw_len;
    memcpy(p + RECORD_SIZE, raw, r->raw_len);
  }
  r->crc = libdeflate_crc32(0, p + RECORD_SIZE, r->stored_len);
  pack_record_put(p, r);
  *ret = p;
  *ret_len = RECORD_SIZE + (size_t)r->stored_len;
  return 0;
}

static const char *
decode_problem(struct codec *c, const struct pack_record *r,
               const uint8_t *stored, void *dst)
{
  size_t n;

  if (libdeflate_crc32(0, stored, r->stored_len) != r->crc)
    return "its checksum is wrong";
  if (r->codec == CODEC_NONE) {
    memcpy(dst, stored, r->raw_len);
    return NULL;
  }
  n = ZSTD_decompressDCtx(c->dctx, dst, r->raw_len, stored, r->stored_len);
  if (ZSTD_isError(n))
    return ZSTD_getErrorName(n);
  return n == r->raw_len ? NULL : "it is shorter than it says";
}

int
codec_decode(struct codec *c, const struct repo_id *want, const uint8_t *p,
             size_t len, const char *name, uint32_t offset, void *dst,
             size_t dst_size, uint32_t *ret_len, struct vdk_error *err)
{
  const char *problem = NULL;
  struct pack_record r = {.codec = CODEC_NONE};
  struct repo_id got;
  char hex[ID_HEX_SIZE];
  int ret;

  if (!c->dctx && !(c->dctx = ZSTD_createDCtx()))
    return error_nomem(err, "decompressing a chunk");
  if (len < RECORD_SIZE || !pack_record_get(p, offset, &r))
    problem = "there is no record";
  else if (r.stored_len > len - RECORD_SIZE)
    problem = "its length is wrong";
  else if (!id_equal(&r.id, want))
    problem = "another chunk stands there";
  else if (r.raw_len > dst_size)
    problem = "it is longer than it may be";
  else if (r.codec > CODEC_ZSTD)
    problem = "its codec is not known";
  else
    problem = decode_problem(c, &r, p + RECORD_SIZE, dst);
  if (!problem) {
    ret = id_of(dst, r.raw_len, &got, err);
    if (ret)
      return ret;
    if (!id_equal(&got, want))
      problem = "its SHA-256 is wrong";
  }
  if (problem)
    return error_set(err, VDK_E_DAMAGED,
                     "chunk %.16s... in %s at offset %u is damaged: %s; run "
                     "vdkit verify to see what it touches",
                     id_hex(want, hex), name, offset, problem);
  *ret_len = r.raw_len;
  return 0;
}
