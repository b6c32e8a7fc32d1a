/* SPDX-License-Identifier: BSD-3-Clause */
/* A repository in a temporary folder, for the tests of backup/. */
#ifndef TESTS_UNIT_BACKUP_REPO_FIXTURE_H
#define TESTS_UNIT_BACKUP_REPO_FIXTURE_H

#include "backup/backup.h"
#include "tests/unit/host/vm_fixture.h"

struct repofx {
  char dir[128];
  struct repo *repo;
  struct repo_point *points[128]; /* taken, in order */
  uint8_t *images[128];           /* what each holds */
  unsigned count;
};

void repofx_new(struct repofx *r);
void repofx_free(struct repofx *r);
/* The repository is opened anew, as another process would. */
void repofx_reopen(struct repofx *r);

/* A backup of the fixture's VM. */
int repofx_try(struct repofx *r, struct vmfx *fx,
               const struct backup_options *options, struct backup_result *ret,
               struct vdk_error *err);
/* The same, which succeeds; its point and image are kept. */
void repofx_backup(struct repofx *r, struct vmfx *fx,
                   const struct backup_options *options,
                   struct backup_result *ret);
/* Each point that was taken reads as its image. */
void repofx_check(struct repofx *r, size_t size);
/* Committed points, counted in the repository. */
size_t repofx_points(struct repofx *r);

#endif
