/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the fault driver share. */
#ifndef FILE_FAULT_PRIVATE_H
#define FILE_FAULT_PRIVATE_H

#include <pthread.h>

#include "file/fault.h"
#include "file/fault_record.h"

struct fault_name {
  char *name;
  unsigned file;
};

struct fault_dir {
  struct vdk_dir base;
  struct vdk_dir *inner;
  pthread_mutex_t mutex;
  struct fault_plan plan;
  uint64_t counted, space_left;
  struct fault_name *names;
  size_t name_count, name_capacity;
  unsigned file_count;
  struct fault_record *record; /* NULL: not recording */
};

struct fault_file {
  struct vdk_file base;
  struct vdk_file *inner;
  struct fault_dir *dir;
  unsigned file;
};

/* Counts a call of OP; an error when the plan says so. */
int fault_check(struct fault_dir *d, enum fault_op op, const char *verb,
                const char *name, struct vdk_error *err);
/* Changes recorded so far. */
size_t fault_recorded(struct fault_dir *d);
int fault_note(struct fault_dir *d, const struct fault_change *c,
               struct vdk_error *err);

/* INNER (taken over on success) as a file of D. */
int fault_file_new(struct fault_dir *d, struct vdk_file *inner, unsigned file,
                   struct vdk_file **ret, struct vdk_error *err);

#endif
