/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of repo/ share: the repository itself, reading a chunk. */
#ifndef REPO_INTERNAL_H
#define REPO_INTERNAL_H

#include <pthread.h>

#include "repo/codec.h"
#include "repo/id.h"
#include "repo/index.h"
#include "repo/vmbk.h"

struct repo {
  struct vdk_store *store;
  const struct vdk_log *log;
  char uuid[40];
  uint32_t chunk_size;
  int level;
  bool read_only; /* a feature that writers must know is not known */
  struct index *index;
  struct codec_cache *codecs;
};

/* The text of vmbk.json, checked. */
int repo_config_check(struct repo *r, const char *text, size_t len,
                      struct vdk_error *err);

/* Keys of manifests, oldest first. */
struct point_keys {
  char **keys;
  size_t count, capacity;
};

int repo_point_keys(struct repo *r, struct point_keys *ret,
                    struct vdk_error *err);
void point_keys_free(struct point_keys *keys);
int repo_point_load(struct repo *r, const char *key, struct repo_point **ret,
                    struct vdk_error *err);

/* Where ID lies. VDK_E_DAMAGED when it lies nowhere, after having looked for
 * new index runs. */
int repo_chunk_find(struct repo *r, const struct repo_id *id,
                    struct chunk_place *ret, struct vdk_error *err);
/* Reads, decodes and checks a chunk that must have RAW_LEN bytes; another copy
 * is tried when one is damaged. The zero id gives zeroes. */
int repo_chunk_read(struct repo *r, struct codec *c, const struct repo_id *id,
                    void *dst, uint32_t raw_len, struct vdk_error *err);
/* The same when its place is known. */
int repo_chunk_read_at(struct repo *r, struct codec *c,
                       const struct repo_id *id,
                       const struct chunk_place *place, void *dst,
                       uint32_t raw_len, struct vdk_error *err);

#endif
