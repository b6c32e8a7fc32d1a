/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the memory driver shares with the fault driver, which rebuilds
 * directories as a power cut leaves them: contents apart from names.
 */
#ifndef FILE_MEMORY_H
#define FILE_MEMORY_H

#include "file/file.h"

/* The contents of one file. Counted: names and open files each hold one. */
struct memory_node;

struct memory_node *memory_node_new(void); /* NULL: out of memory */
struct memory_node *memory_node_ref(struct memory_node *n);
void memory_node_unref(struct memory_node *n); /* NULL is fine */
/* A copy that shares blocks until one of the two is written. */
struct memory_node *memory_node_clone(struct memory_node *n);

uint64_t memory_node_size(struct memory_node *n);
size_t memory_node_read(struct memory_node *n, uint64_t offset, void *buf,
                        size_t len);
/* False: out of memory. */
bool memory_node_write(struct memory_node *n, uint64_t offset, const void *buf,
                       size_t len);
/* These two fail only when a shared block must be copied. */
bool memory_node_zero(struct memory_node *n, uint64_t offset, uint64_t len);
bool memory_node_truncate(struct memory_node *n, uint64_t size);
void memory_node_extent(struct memory_node *n, uint64_t offset, uint64_t len,
                        uint64_t *ret_len, int *ret_state);
bool memory_node_lock(struct memory_node *n, enum file_lock_mode from,
                      enum file_lock_mode to);

/* NODE (a reference is taken) under NAME, which is normal; NULL makes a
 * directory. Replaces what is there. False: out of memory. */
bool memory_dir_set(struct vdk_dir *d, const char *name,
                    struct memory_node *node);
/* The node under NAME, borrowed; NULL when there is none. */
struct memory_node *memory_dir_get(struct vdk_dir *d, const char *name);
bool memory_dir_has_folder(struct vdk_dir *d, const char *name);

/* NAME without empty parts, "." and (where it can) "..": new memory. "" is
 * the directory itself. */
char *memory_normal_name(const char *name);

int memory_file_new(struct memory_node *node, const char *name, bool writable,
                    struct vdk_file **ret, struct vdk_error *err);

#endif
