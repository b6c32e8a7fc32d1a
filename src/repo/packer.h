/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A writer's way into the store: chunks in, packs and index runs out.
 *
 * Any thread may put. A chunk that the repository or this packer has is not
 * stored again. Records go into an open pack in memory; a thread of the
 * packer's own names and stores full packs, and publishes an index run at
 * each checkpoint. At most PACKER_BUFFERS packs are in memory; who fills them
 * faster than the store takes them waits.
 *
 * The first error stays: every later call gives it.
 */
#ifndef REPO_PACKER_H
#define REPO_PACKER_H

#include "repo/internal.h"

#define PACKER_BUFFERS            3u
#define PACKER_CHECKPOINT_DEFAULT (64u * 1024 * 1024)
#define PACKER_PENDING_MAX        524288u /* chunks not yet in an index run */

struct packer;

int packer_new(struct repo *r, int level, uint64_t checkpoint,
               struct packer **ret, struct vdk_error *err);
/* Without packer_finish, what was put is stored as far as that can be, so
 * that the next run finds it. NULL is fine. */
void packer_free(struct packer *p);

/* The chunk ID, which is not zero, with LEN bytes at RAW. *RET_STORED: bytes
 * added to packs, 0 when it was there. */
int packer_put(struct packer *p, struct codec *c, enum record_type type,
               const struct repo_id *id, const void *raw, uint32_t len,
               uint64_t *ret_stored, struct vdk_error *err);
/* A chunk of the repository or of this packer; the zero id too. */
int packer_get(struct packer *p, struct codec *c, const struct repo_id *id,
               void *dst, uint32_t len, struct vdk_error *err);
/* All that was put is on stable storage and in the index. */
int packer_finish(struct packer *p, struct vdk_error *err);
uint64_t packer_stored(struct packer *p);

#endif
