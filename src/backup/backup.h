/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans and runs backups and restores: what to read of which disk, how the
 * ranges were found, what was stored; the moves themselves are copy/'s.
 */
#ifndef BACKUP_BACKUP_H
#define BACKUP_BACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdkit/types.h>

#include "host/host.h"
#include "repo/repo.h"

enum backup_on_lost {
  BACKUP_LOST_COMPARE, /* read all, store what differs */
  BACKUP_LOST_FAIL,    /* fail with VDK_E_LOST_RANGES */
};

struct backup_options {
  bool full;         /* read everything, whatever is known */
  bool compare;      /* read everything, even where ranges are known */
  int on_lost;       /* enum backup_on_lost */
  int level;         /* zstd; 0: the repository's */
  unsigned snapshot; /* back up this snapshot of the VM; 0: the present */
  struct vdk_progress progress;
  const struct vdk_log *log;
};

struct backup_disk_result {
  char key[32];
  int method; /* enum repo_method */
  uint64_t size, read, changed, stored;
  char problem[200]; /* "" or why ranges were lost */
};

struct backup_result {
  struct repo_point *point; /* the caller's to free */
  struct backup_disk_result *disks;
  size_t disk_count;
  uint64_t read, stored;
  double seconds;
  unsigned warnings;
  bool ranges_lost; /* exit status 4 */
};

int backup_run(struct vdk_host *host, const struct host_vm *vm,
               struct repo *repo, const struct backup_options *options,
               struct backup_result *ret, struct vdk_error *err);
void backup_result_free(struct backup_result *r);

struct restore_options {
  const char *type; /* createType or "raw"; NULL: as at the source */
  const char *name; /* of the new VM; NULL: as it was */
  const char *disk; /* only this key; NULL: all */
  struct vdk_progress progress;
  const struct vdk_log *log;
};

struct restore_result {
  char *vmx; /* path of the new .vmx; NULL with restore_disk */
  uint64_t bytes, written;
  double seconds;
  size_t disk_count;
};

/* A new VM in the folder TARGET_DIR, which must not exist or be empty: each
 * disk, the configuration with its disks' new file names. Appears complete or
 * not at all: what a failure leaves is removed. */
int restore_run(struct repo *repo, const struct repo_point *point,
                const char *target_dir, const struct restore_options *options,
                struct restore_result *ret, struct vdk_error *err);
void restore_result_free(struct restore_result *r);

#endif
