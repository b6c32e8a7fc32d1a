/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records and back: compression, checksums, ids. Contexts are costly to make,
 * so that a free list hands them out, one for each thread that is at work.
 */
#ifndef REPO_CODEC_H
#define REPO_CODEC_H

#include <pthread.h>

#include "repo/pack.h"

struct codec;       /* a thread's contexts and buffer */
struct codec_cache; /* those that are free */

int codec_cache_new(struct codec_cache **ret, struct vdk_error *err);
void codec_cache_free(struct codec_cache *c); /* NULL is fine */
int codec_get(struct codec_cache *c, struct codec **ret, struct vdk_error *err);
void codec_put(struct codec *c); /* gives it back; NULL is fine */
DEFINE_CLEANUP(struct codec, codec_put);
#define _cleanup_codec_ _cleanup_(codec_putp)

/* A buffer of SIZE bytes that lives until codec_put; NULL without memory. */
uint8_t *codec_buffer(struct codec *c, size_t size);

/* Makes a record of RAW: header and stored bytes, in C's buffer. ID, type and
 * raw_len of R are given, the rest is filled; *RET_LEN is the whole length. */
int codec_encode(struct codec *c, int level, struct pack_record *r,
                 const void *raw, const uint8_t **ret, size_t *ret_len,
                 struct vdk_error *err);

/* Decodes the record at P (LEN bytes, header first) into DST (DST_SIZE bytes)
 * and checks everything, the SHA-256 last. WANT: the id that it must have.
 * NAME and OFFSET, the pack and the place in it, are for messages. */
int codec_decode(struct codec *c, const struct repo_id *want, const uint8_t *p,
                 size_t len, const char *name, uint32_t offset, void *dst,
                 size_t dst_size, uint32_t *ret_len, struct vdk_error *err);

#endif
