/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Unpacking grains, and the free list of what that needs.
 *
 * The list grows to as many as threads were ever unpacking at once; the lock
 * is held for two pointer moves.
 */
#include "format/vmdk/grain_codec.h"

#include <libdeflate.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/mem.h"

void
unpackers_init(struct unpackers *p, size_t raw_size, size_t grain_size)
{
  pthread_mutex_init(&p->mutex, NULL);
  p->free = NULL;
  p->raw_size = raw_size;
  p->grain_size = grain_size;
}

static void
unpacker_free(struct unpacker *u)
{
  if (u->z)
    libdeflate_free_decompressor(u->z);
  free(u->raw);
  free(u->grain);
  free(u);
}

void
unpackers_destroy(struct unpackers *p)
{
  while (p->free) {
    struct unpacker *u = p->free;

    p->free = u->next;
    unpacker_free(u);
  }
  pthread_mutex_destroy(&p->mutex);
}

/* What U lacks: all at first, later its grain when that was taken. */
static bool
unpacker_fill(struct unpacker *u, const struct unpackers *p)
{
  if (!u->z)
    u->z = libdeflate_alloc_decompressor();
  if (!u->raw && p->raw_size)
    u->raw = mem_buffer(p->raw_size);
  if (!u->grain)
    u->grain = mem_buffer(p->grain_size);
  return u->z && (u->raw || !p->raw_size) && u->grain;
}

int
unpackers_get(struct unpackers *p, struct unpacker **ret, struct vdk_error *err)
{
  struct unpacker *u;

  pthread_mutex_lock(&p->mutex);
  u = p->free;
  if (u)
    p->free = u->next;
  pthread_mutex_unlock(&p->mutex);
  if (!u)
    u = mem_array(1, sizeof *u);
  if (!u)
    return error_nomem(err, "unpacking a grain");
  if (!unpacker_fill(u, p)) {
    unpackers_put(p, u);
    return error_nomem(err, "unpacking a grain");
  }
  *ret = u;
  return 0;
}

void
unpackers_put(struct unpackers *p, struct unpacker *u)
{
  if (!u)
    return;
  pthread_mutex_lock(&p->mutex);
  u->next = p->free;
  p->free = u;
  pthread_mutex_unlock(&p->mutex);
}

/* RFC 1950, 2.2: method 8, and a check of the two bytes. */
static bool
has_zlib_header(const struct packed_grain *g)
{
  return g->size >= 2 && (g->data[0] & 15) == 8 && be16_load(g->data) % 31 == 0;
}

int
grain_unpack(struct unpacker *u, const struct packed_grain *g, uint8_t *out,
             size_t grain_size, size_t needed, struct vdk_error *err)
{
  enum libdeflate_result r;
  size_t got = 0;

  if (has_zlib_header(g))
    r = libdeflate_zlib_decompress(u->z, g->data, g->size, out, grain_size,
                                   &got);
  else
    r = libdeflate_deflate_decompress(u->z, g->data, g->size, out, grain_size,
                                      &got);
  if (r == LIBDEFLATE_SUCCESS && got >= needed)
    return 0;
  return error_set(
      err, VDK_E_CORRUPT,
      "%s: grain %llu (LBA %llu), %zu packed bytes at offset %llu, %s", g->file,
      (unsigned long long)(g->lba * VDK_SECTOR_SIZE / grain_size),
      (unsigned long long)g->lba, g->size, (unsigned long long)g->offset,
      r == LIBDEFLATE_SUCCESS ? "is damaged: it unpacks to less than a grain"
      : r == LIBDEFLATE_INSUFFICIENT_SPACE
          ? "is damaged: it unpacks to more than a grain"
          : "is damaged: it does not unpack");
}
