/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the chunks of a repository lie: all its index runs.
 *
 * Small runs are loaded whole into one table, until INDEX_RESIDENT_MAX
 * entries are there; the others are read by the page, through a small cache.
 * So look-ups in a usual repository cost a hash, and a repository of any size
 * is opened in bounded memory. Runs are looked for when the index is first
 * asked, and again (new ones only) by index_refresh.
 *
 * Threads: any, at once. No lock is held while the store is read.
 */
#ifndef REPO_INDEX_H
#define REPO_INDEX_H

#include "repo/index_run.h"

#define INDEX_RESIDENT_MAX (1024u * 1024) /* entries: about 52 MB */

struct index;

struct chunk_place {
  struct repo_id pack;
  uint32_t pack_size;
  uint32_t offset, stored_len;
};

int index_new(struct vdk_store *store, const struct vdk_log *log,
              struct index **ret, struct vdk_error *err);
void index_free(struct index *x); /* NULL is fine */
/* For tests: entries that may be resident. */
void index_set_resident_max(struct index *x, size_t entries);

/* Looks for runs that are not yet known. A damaged run goes to the log and is
 * left out: its chunks may be elsewhere too. */
int index_refresh(struct index *x, struct vdk_error *err);
/* 0, or VDK_E_NOT_FOUND (without a text when only that is the matter).
 * SKIP (may be NULL): a pack that is not wanted, to find another copy. */
int index_find(struct index *x, const struct repo_id *id,
               const struct repo_id *skip, struct chunk_place *ret,
               struct vdk_error *err);
/* A run that was just stored: OBJECT as index_run_make made it. */
int index_add(struct index *x, const struct repo_id *name,
              const uint8_t *object, size_t len, struct vdk_error *err);

/* Reads the run KEY whole and checks all of it, calling FN for each entry. */
int index_run_read(struct vdk_store *store, const char *key, uint64_t size,
                   int (*fn)(void *opaque, const struct index_entry *e,
                             const struct index_pack *pack),
                   void *opaque, struct vdk_error *err);

#endif
