/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes, holes and space of local files: the entries of the driver's table. */
#ifndef FILE_LOCAL_SPACE_H
#define FILE_LOCAL_SPACE_H

#include "file/file.h"

int local_size(struct vdk_file *file, uint64_t *ret, struct vdk_error *err);
int local_zero(struct vdk_file *file, uint64_t offset, uint64_t len,
               struct vdk_error *err);
int local_extent(struct vdk_file *file, uint64_t offset, uint64_t len,
                 uint64_t *ret_len, int *ret_state, struct vdk_error *err);
int local_truncate(struct vdk_file *file, uint64_t size, struct vdk_error *err);
int local_allocate(struct vdk_file *file, uint64_t offset, uint64_t len,
                   struct vdk_error *err);

/* Empties a regular file that was opened with FILE_REPLACE. */
int local_empty(int fd, const char *name, unsigned file_flags,
                struct vdk_error *err);

#endif
