/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the local driver share. */
#ifndef FILE_LOCAL_H
#define FILE_LOCAL_H

#include "file/file.h"

struct local_file {
  struct vdk_file base;
  int fd;             /* through the page cache; holds the locks */
  int direct_fd;      /* around it, for aligned requests; -1: none */
  uint32_t alignment; /* that direct_fd wants of offset, length and memory */
  bool owned;         /* fd is ours to close */
  bool is_device;     /* a block device: fixed size */
  bool sequential;    /* tell the kernel */
  bool no_punch;      /* atomic: the file system cannot punch holes */
  int flush_errno;    /* atomic: a failed flush stays failed */
  uint64_t bulk;      /* atomic: bytes of large writes so far */
  uint64_t position;  /* of a pipe */
};

/* Takes over FD when OWNED. NAME is copied. */
int local_file_new(int fd, bool owned, const char *name, unsigned file_flags,
                   struct vdk_file **ret, struct vdk_error *err);

/* FD is a file that FLAGS (enum dir_flags) allow. */
int local_check_kind(int fd, const char *name, unsigned dir_flags,
                     struct vdk_error *err);
/* open(2) flags for FILE_FLAGS. */
int local_open_flags(unsigned file_flags);

int local_file_lock(struct vdk_file *f, enum file_lock_mode mode,
                    struct vdk_error *err);

/* openat() that never leaves DIR_FD: -1 and errno on failure, EXDEV or ELOOP
 * when the name leads out of it. */
int local_open_beneath(int dir_fd, const char *name, int flags, unsigned mode);
/* Pretend that the kernel has no openat2(), for tests. */
void local_beneath_walk_only(bool on);

#endif
