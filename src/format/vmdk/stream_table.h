/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the grains of a compressed extent are: its tables, read only.
 * Any number of threads.
 */
#ifndef FORMAT_VMDK_STREAM_TABLE_H
#define FORMAT_VMDK_STREAM_TABLE_H

#include "format/vmdk/vmdk.h"

struct stream_table;

/* By the directory that H names (not GD_AT_END). FILE must outlive it. */
int stream_table_open(struct vdk_file *file, const struct vmdk_header *h,
                      uint64_t file_size, struct stream_table **ret,
                      struct vdk_error *err);
/* By a walk over all markers, up to the first thing that is none: for files
 * that were cut off. */
int stream_table_salvage(struct vdk_file *file, const struct vmdk_header *h,
                         uint64_t file_size, const struct vdk_log *log,
                         struct stream_table **ret, struct vdk_error *err);
void stream_table_free(struct stream_table *t);

/* The footer of a stream whose header says GD_AT_END, which must agree with
 * it: *RET is H with the directory's place. */
int stream_footer_find(struct vdk_file *file, const struct vmdk_header *h,
                       uint64_t file_size, struct vmdk_header *ret,
                       struct vdk_error *err);

/* Entries of the grains from FIRST on, at most MAX. *RET_COUNT tells how many
 * are answered for, at least 1. Entries are 0 (not there), 1 (zero) or the
 * sector of a grain. Where a whole stretch is not there, *RET_EMPTY is true,
 * *RET_COUNT may be larger than MAX, and RET is not filled. */
int stream_table_get(struct stream_table *t, uint64_t first, size_t max,
                     uint32_t *ret, uint64_t *ret_count, bool *ret_empty,
                     struct vdk_error *err);

#endif
