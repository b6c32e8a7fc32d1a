/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packed grains. VMware's note says raw deflate (RFC 1951); every product
 * writes zlib (RFC 1950), and so do we. Both are read.
 */
#ifndef FORMAT_VMDK_GRAIN_CODEC_H
#define FORMAT_VMDK_GRAIN_CODEC_H

#include <pthread.h>

#include "format/vmdk/vmdk.h"

struct libdeflate_decompressor;

/* A packed grain, with what an error has to name. */
struct packed_grain {
  const char *file;
  uint64_t offset; /* of its marker in the file */
  uint64_t lba;    /* sectors */
  const uint8_t *data;
  size_t size;
};

/* What one thread needs to unpack: kept and used again, since making it costs
 * more than unpacking a grain. */
struct unpacker {
  struct unpacker *next;
  struct libdeflate_decompressor *z;
  uint8_t *raw;   /* raw_size bytes */
  uint8_t *grain; /* grain_size bytes; whoever takes it leaves NULL */
};

struct unpackers {
  pthread_mutex_t mutex;
  struct unpacker *free;
  size_t raw_size, grain_size;
};

void unpackers_init(struct unpackers *p, size_t raw_size, size_t grain_size);
void unpackers_destroy(struct unpackers *p); /* all were put back */
int unpackers_get(struct unpackers *p, struct unpacker **ret,
                  struct vdk_error *err);
void unpackers_put(struct unpackers *p, struct unpacker *u); /* NULL is fine */

/* Into OUT, of GRAIN_SIZE bytes; NEEDED of them at least must come out (fewer
 * than GRAIN_SIZE only for the last grain of a disk). */
int grain_unpack(struct unpacker *u, const struct packed_grain *g, uint8_t *out,
                 size_t grain_size, size_t needed, struct vdk_error *err);

#endif
