/* SPDX-License-Identifier: BSD-3-Clause */
/* The record of the fault driver: changes, and what a power cut leaves. */
#ifndef FILE_FAULT_RECORD_H
#define FILE_FAULT_RECORD_H

#include "file/fault.h"

enum change_type {
  CHANGE_WRITE,
  CHANGE_ZERO,
  CHANGE_TRUNCATE,
  CHANGE_GROW, /* to at least this size */
  CHANGE_FLUSH,
  CHANGE_CREATE, /* a name for a file */
  CHANGE_MAKE,   /* a directory */
  CHANGE_RENAME,
  CHANGE_REMOVE,
  CHANGE_SYNC,
};

struct fault_change {
  enum change_type type;
  unsigned file;   /* which one, whatever it is called by now */
  uint64_t offset; /* or the size */
  uint64_t len;
  const void *data;      /* of a write */
  const char *name, *to; /* normal; for SYNC the directory */
  size_t covers;         /* FLUSH, SYNC: changes before this one are durable */
};

struct fault_record;

int fault_record_new(struct fault_record **ret, struct vdk_error *err);
void fault_record_free(struct fault_record *r); /* NULL is fine */

/* The first state, entry by entry: a directory when F is NULL. */
int fault_record_base(struct fault_record *r, const char *name, unsigned file,
                      struct vdk_file *f, struct vdk_error *err);
/* What C points to is copied. */
int fault_record_add(struct fault_record *r, const struct fault_change *c,
                     struct vdk_error *err);
size_t fault_record_count(const struct fault_record *r);
int fault_record_crash(const struct fault_record *r, size_t cut,
                       enum crash_keep keep, unsigned seed,
                       struct vdk_dir **ret, struct vdk_error *err);

#endif
