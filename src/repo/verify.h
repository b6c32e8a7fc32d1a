/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Verify: what its parts share.
 *
 * First the objects are looked at (verify_objects.c): each damage becomes a
 * finding, and a pack with one is suspect. Then the restore points are walked
 * (verify_points.c): chunks that lie in suspect packs are read for certain,
 * and what cannot be read ties the point to the finding. Findings are
 * reported at the end, each with the points that it touches.
 */
#ifndef REPO_VERIFY_H
#define REPO_VERIFY_H

#include "base/str.h"
#include "repo/map.h"
#include "repo/table.h"

#define VERIFY_FINDINGS_MAX 65536u
#define VERIFY_NAMES_MAX    8u /* points named with a finding */

struct finding {
  char *object, *text;
  uint64_t points; /* touched */
  uint64_t last_point;
  struct strbuf names;
};

struct verify {
  struct repo *r;
  enum repo_verify_level level;
  const struct vdk_progress *progress;
  struct repo_verify_stats stats;
  struct index *index; /* as it is in the store now */

  /* Packs by id. In an entry: pack: the finding that makes it suspect + 1,
   * offset: 1 when a restore point uses it, stored_len: its size. */
  struct table packs;
  struct table clean;   /* map nodes below which nothing is wrong */
  struct table verdict; /* chunks of suspect packs: pack 1 whole, 2 not */

  pthread_mutex_t mutex; /* findings, stats, progress while threads run */
  struct finding *findings;
  size_t finding_count, finding_capacity;
  uint64_t done, total, read, next_report_ns;
};

/* What keeps a verification from going on; all else is a finding. */
static inline bool
verify_is_fatal(int r)
{
  return r == -VDK_E_NOMEM || r == -VDK_E_CANCELLED || r == -VDK_E_INTERNAL;
}

/* Notes a finding; *RET (may be NULL) is its number + 1, or 0 when there are
 * too many. Fails only without memory. */
int verify_found(struct verify *v, const char *object, const char *text,
                 uint32_t *ret, struct vdk_error *err);
/* Ties finding NUMBER (+ 1) to a point, once each. NAME: "vm@id". */
int verify_touch(struct verify *v, uint32_t number, const char *name,
                 uint64_t point, struct vdk_error *err);
/* BYTES more are done; VDK_E_CANCELLED when the caller wants no more. */
int verify_progress(struct verify *v, uint64_t bytes, const char *item,
                    struct vdk_error *err);

int verify_objects(struct verify *v, struct vdk_error *err);
int verify_points(struct verify *v, struct vdk_error *err);

#endif
