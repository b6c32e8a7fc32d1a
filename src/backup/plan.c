/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How each disk of a VM is to be read.
 *
 *   no earlier point holds the disk, or all is asked for    REPO_FULL
 *   the host knows what changed since the earlier point     REPO_RANGES
 *   it does not, or comparing is asked for                  REPO_COMPARE
 *
 * A full backup inherits nothing. The other two inherit the disk of the
 * parent point: ranges put only what they cover; comparing puts everything,
 * and chunks that are as they were cost a hash.
 *
 * A disk's state is named as soon as it is open and before anything of it is
 * read: what is written meanwhile then belongs to the next backup too. A host
 * that lost track of one disk degrades that disk only.
 */
#include "backup/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

static void
backup_disk_clear(struct backup_disk *d)
{
  disk_closep(&d->opened);
  free(d->change_id);
  free(d->format);
  for (size_t i = 0; i < d->meta_count; i++)
    free(d->meta[i]);
  free(d->meta);
  free(d->ranges);
  free(d->lost);
}

void
backup_job_clear(struct backup_job *job)
{
  repo_writer_close(job->writer);
  for (size_t i = 0; i < job->disk_count; i++)
    backup_disk_clear(&job->disks[i]);
  free(job->disks);
  repo_point_free(job->parent);
}

/* --- The parent point ---------------------------------------------------- */

/* The latest point of the VM, looked for by its UUID among all: a point's
 * name may be anything, also another VM's UUID. */
static int
find_parent(struct backup_job *job, struct vdk_error *err)
{
  struct repo_point **points;
  size_t count;
  int r = repo_list(job->repo, &points, &count, NULL, err);

  if (r < 0)
    return r;
  for (size_t i = count; i-- > 0 && !job->parent;)
    if (str_equal_nocase(points[i]->vm_uuid, job->vm->uuid)) {
      job->parent = points[i];
      memmove(&points[i], &points[i + 1], (count - i - 1) * sizeof points[0]);
      count--;
    }
  repo_list_free(points, count);
  return 0;
}

/* --- What is known of a disk --------------------------------------------- */

static int
note_meta(void *opaque, const char *key, const char *value)
{
  struct backup_disk *d = opaque;
  char *copy[2];

  if (!mem_grow(&d->meta, &d->meta_capacity, d->meta_count + 3,
                sizeof *d->meta))
    return -VDK_E_NOMEM;
  /* A manifest is UTF-8, a descriptor may be anything. */
  copy[0] = utf8_from(key);
  copy[1] = utf8_from(value);
  if (!copy[0] || !copy[1]) {
    free(copy[0]);
    free(copy[1]);
    return -VDK_E_NOMEM;
  }
  memcpy(&d->meta[d->meta_count], copy, sizeof copy);
  d->meta_count += 2;
  d->meta[d->meta_count] = NULL;
  return 0;
}

static int
read_facts(struct backup_job *job, struct backup_disk *d, struct vdk_error *err)
{
  struct vdk_error meta_err = VDK_ERROR_INIT;
  struct link_info base;
  int r;

  /* A child's own type ("vmfsSparse") is not what a restore makes. */
  disk_link_info(d->opened, disk_link_count(d->opened) - 1, &base);
  d->format = str_dup(*base.type ? base.type : base.format);
  if (!d->format)
    return error_nomem(err, "reading what a disk is");
  r = disk_meta_list(d->opened, note_meta, d, &meta_err);
  if (r == -VDK_E_NOMEM)
    return error_nomem(err, "reading a disk's metadata");
  if (r < 0)
    log_warning(job->options->log, "%s: no metadata: %s", d->disk->key,
                vdk_error_message(&meta_err));
  return 0;
}

static int
name_state(struct backup_job *job, struct backup_disk *d, struct vdk_error *err)
{
  struct vdk_error id_err = VDK_ERROR_INIT;
  int r;

  if (!job->host->ops->change_id)
    return 0;
  r = job->host->ops->change_id(job->host, job->vm, d->disk, d->opened,
                                &d->change_id, &id_err);
  if (r == -VDK_E_NOMEM)
    return error_copy(err, &id_err);
  if (r < 0)
    log_info(job->options->log,
             "%s: changes after this backup will not be known: %s",
             d->disk->key, vdk_error_message(&id_err));
  return 0;
}

/* --- The method ---------------------------------------------------------- */

/* The ranges of D that may have changed since its parent; VDK_E_LOST_RANGES
 * with the reason when they are not known. */
static int
find_ranges(struct backup_job *job, struct backup_disk *d,
            const struct repo_point_disk *parent, struct vdk_error *err)
{
  int r;

  if (parent->size > disk_size(d->opened))
    return error_set(err, VDK_E_LOST_RANGES,
                     "the disk is smaller than it was at the last backup");
  if (!parent->change_id || !job->host->ops->changed)
    return error_set(err, VDK_E_LOST_RANGES,
                     "the last backup does not say in what state the disk was");
  r = job->host->ops->changed(job->host, job->vm, d->disk, d->opened,
                              parent->change_id, &d->ranges, &d->range_count,
                              err);
  /* Other failures (a table that cannot be read) stop tracking as well; a
   * disk that is damaged says so when it is read. */
  if (r < 0 && r != -VDK_E_NOMEM && err)
    err->code = VDK_E_LOST_RANGES;
  return r < 0 && r != -VDK_E_NOMEM ? -VDK_E_LOST_RANGES : r;
}

static int
lose_ranges(struct backup_job *job, struct backup_disk *d,
            const struct vdk_error *why, struct vdk_error *err)
{
  if (job->options->on_lost == BACKUP_LOST_FAIL) {
    error_copy(err, why);
    error_prefix(err, "disk %s of the VM %s", d->disk->key, job->vm->name);
    return -VDK_E_LOST_RANGES;
  }
  d->lost = str_dup(vdk_error_message(why));
  if (!d->lost)
    return error_nomem(err, "planning a backup");
  d->method = REPO_COMPARE;
  job->ranges_lost = true;
  return 0;
}

static int
choose_method(struct backup_job *job, struct backup_disk *d,
              struct vdk_error *err)
{
  const struct repo_point_disk *parent =
      job->parent ? repo_point_find_disk(job->parent, d->disk->key) : NULL;
  struct vdk_error why = VDK_ERROR_INIT;
  int r;

  d->to_pass = disk_size(d->opened);
  if (job->options->full || !parent) {
    d->method = REPO_FULL;
    return 0;
  }
  /* What shrank is compared by the chunks that the repository has anyway. */
  d->parent = parent->size <= disk_size(d->opened) ? parent : NULL;
  if (job->options->compare) {
    d->method = REPO_COMPARE;
    return 0;
  }
  r = find_ranges(job, d, parent, &why);
  if (r == -VDK_E_NOMEM)
    return error_copy(err, &why);
  if (r < 0)
    return lose_ranges(job, d, &why, err);
  d->method = REPO_RANGES;
  d->to_pass = 0;
  for (size_t i = 0; i < d->range_count; i++)
    d->to_pass += d->ranges[i].length;
  return 0;
}

/* --- All disks ----------------------------------------------------------- */

/* True when the snapshot that is to be backed up holds DISK. */
static bool
in_snapshot(const struct backup_job *job, const struct host_disk *disk)
{
  unsigned uid = job->options->snapshot;

  for (size_t i = 0; i < job->vm->snapshot_count; i++) {
    const struct host_snapshot *s = &job->vm->snapshots[i];

    for (char **p = s->uid == uid ? s->disks : NULL; p && *p; p += 2)
      if (str_equal_nocase(p[0], disk->key))
        return true;
  }
  return uid == 0;
}

static int
check_snapshot(const struct backup_job *job, struct vdk_error *err)
{
  unsigned uid = job->options->snapshot;

  for (size_t i = 0; i < job->vm->snapshot_count; i++)
    if (job->vm->snapshots[i].uid == uid)
      return 0;
  if (uid == 0)
    return 0;
  return error_set(err, VDK_E_NOT_FOUND, "the VM %s has no snapshot %u",
                   job->vm->name, uid);
}

static int
plan_disk(struct backup_job *job, struct backup_disk *d, struct vdk_error *err)
{
  int r = job->host->ops->open_disk(job->host, job->vm, d->disk,
                                    job->options->snapshot, 0, &d->opened, err);

  if (r == 0)
    r = name_state(job, d, err);
  if (r == 0)
    r = read_facts(job, d, err);
  if (r == 0)
    r = choose_method(job, d, err);
  if (r < 0) {
    error_side(err, VDK_SIDE_SOURCE);
    return r;
  }
  job->progress.total += d->to_pass;
  return 0;
}

int
backup_plan(struct backup_job *job, char **ret_skipped, struct vdk_error *err)
{
  _cleanup_strbuf_ struct strbuf skipped = {0};
  char *text = NULL;
  int r = check_snapshot(job, err);

  if (r == 0)
    r = find_parent(job, err);
  if (r < 0)
    return r;
  job->disks = mem_array(job->vm->disk_count + 1, sizeof *job->disks);
  if (!job->disks)
    return error_nomem(err, "planning a backup");
  for (size_t i = 0; i < job->vm->disk_count; i++) {
    const struct host_disk *disk = &job->vm->disks[i];

    if (!in_snapshot(job, disk)) {
      strbuf_printf(&skipped, "%s%s", skipped.len ? ", " : "", disk->key);
      continue;
    }
    job->disks[job->disk_count].disk = disk;
    r = plan_disk(job, &job->disks[job->disk_count++], err);
    if (r < 0)
      return r;
  }
  if ((skipped.len || skipped.failed) && !(text = strbuf_take(&skipped)))
    return error_nomem(err, "planning a backup");
  *ret_skipped = text;
  return 0;
}
