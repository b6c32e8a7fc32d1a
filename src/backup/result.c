/* SPDX-License-Identifier: BSD-3-Clause */
/* What a backup or restore tells of itself. */
#include "backup/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

int
backup_result_prepare(const struct backup_job *job, struct backup_result *ret,
                      struct vdk_error *err)
{
  struct backup_disk_result *disks =
      mem_array(job->disk_count + 1, sizeof *disks);

  if (!disks)
    return error_nomem(err, "telling the result of a backup");
  *ret = (struct backup_result){
      .disks = disks,
      .disk_count = job->disk_count,
      .warnings = job->warnings,
      .ranges_lost = job->ranges_lost,
  };
  for (size_t i = 0; i < job->disk_count; i++) {
    const struct backup_disk *d = &job->disks[i];
    struct backup_disk_result *to = &disks[i];

    snprintf(to->key, sizeof to->key, "%s", d->disk->key);
    snprintf(to->problem, sizeof to->problem, "%s", d->lost ? d->lost : "");
    to->method = d->method;
    to->size = disk_size(d->opened);
    to->read = d->stats.read;
    to->changed = d->changed;
    to->stored = d->stored;
    ret->read += d->stats.read;
  }
  return 0;
}

void
backup_result_free(struct backup_result *r)
{
  if (!r)
    return;
  repo_point_free(r->point);
  free(r->disks);
  *r = (struct backup_result){0};
}

void
restore_result_free(struct restore_result *r)
{
  if (!r)
    return;
  free(r->vmx);
  *r = (struct restore_result){0};
}
