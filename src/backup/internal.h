/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of backup/ share.
 *
 *   plan.c          opens the disks, decides how each is read
 *   run.c           one backup from plan to commit
 *   result.c        what is told of it
 *   restore.c       a restore point becomes a folder, or nothing is left
 *   restore_disk.c  one disk of it
 *   restore_vmx.c   its configuration
 */
#ifndef BACKUP_INTERNAL_H
#define BACKUP_INTERNAL_H

#include "backup/backup.h"
#include "copy/copy.h"
#include "file/file.h"

/* --- Backup -------------------------------------------------------------- */

struct backup_disk {
  const struct host_disk *disk;
  struct vdk_disk *opened;
  char *change_id; /* as it was before anything was read; may be NULL */
  char *format;    /* createType of the chain's base */
  char **meta;     /* key, value, ..., NULL */
  size_t meta_count, meta_capacity;
  const struct repo_point_disk *parent; /* what is inherited; NULL: nothing */
  int method;                           /* enum repo_method */
  struct vdk_extent *ranges;            /* REPO_RANGES: what is read */
  size_t range_count;
  uint64_t to_pass; /* bytes of the guest disk that will be passed */
  char *lost;       /* why ranges are not known though they should be */
  struct copy_stats stats;
  uint64_t changed, stored;
};

struct backup_job {
  struct vdk_host *host;
  const struct host_vm *vm;
  struct repo *repo;
  const struct backup_options *options;
  struct repo_point *parent; /* the VM's latest point; NULL: none */
  struct backup_disk *disks;
  size_t disk_count;
  struct repo_writer *writer;
  unsigned warnings;
  bool ranges_lost;
  /* What the disks before the present one add to its progress. */
  struct vdk_progress_info progress;
  uint64_t started; /* sys_monotonic_ns */
};

/* Opens every disk, names its state, finds the parent point and the method of
 * each. Nothing is written. *RET_SKIPPED: the keys of the disks that the
 * snapshot does not hold, comma-separated; NULL: none. */
int backup_plan(struct backup_job *job, char **ret_skipped,
                struct vdk_error *err);
void backup_job_clear(struct backup_job *job);

/* Fills *RET with all that is known before the commit; that comes first so
 * that nothing can fail after it. */
int backup_result_prepare(const struct backup_job *job,
                          struct backup_result *ret, struct vdk_error *err);

/* --- Restore ------------------------------------------------------------- */

struct restore_job {
  struct repo *repo;
  const struct repo_point *point;
  const struct restore_options *options;
  struct vdk_dir *dir; /* the folder while it has its temporary name */
  char *stem;          /* of the new files' names */
  char **files;        /* of each disk of the point; NULL: not restored */
  struct vdk_progress_info progress;
  uint64_t bytes, written;
  size_t disk_count;
};

/* restore_run with the folder NAME in PARENT, which tests wrap. */
int restore_in(struct repo *repo, const struct repo_point *point,
               struct vdk_dir *parent, const char *name,
               const struct restore_options *options,
               struct restore_result *ret, struct vdk_error *err);

/* Makes and fills disk INDEX of the point as JOB->files[INDEX]. */
int restore_disk(struct restore_job *job, size_t index, struct vdk_error *err);
/* What a disk is made as: the asked type, or the nearest to the source's. */
const char *restore_disk_type(const struct restore_job *job, size_t index);

/* The configuration files, the .vmx last. *RET_VMX: its name, NULL when the
 * point has none. */
int restore_files(struct restore_job *job, char **ret_vmx,
                  struct vdk_error *err);

#endif
