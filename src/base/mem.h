/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory: arrays without overflow, aligned buffers, zero detection.
 * Freed with free(); NULL when there is no memory or a product overflows.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* Data buffers are aligned so that they also serve direct I/O. */
#define MEM_BUFFER_ALIGN 4096u

/* SIZE bytes, aligned to MEM_BUFFER_ALIGN, contents undefined. */
void *mem_buffer(size_t size);

/* COUNT zeroed elements of SIZE bytes. */
void *mem_array(size_t count, size_t size);

/* P grown to COUNT elements of SIZE bytes, at least doubled when it grows, so
 * that appending is linear. *CAPACITY is the number of elements that P has
 * room for. Returns false, and leaves all as it was, when out of memory. */
bool mem_grow(void *p_to_pointer, size_t *capacity, size_t count, size_t size);

/* True when every byte is zero (true for a length of 0). Memory speed. */
bool mem_is_zero(const void *p, size_t len);

/* A copy; NULL when out of memory. LEN may be 0. */
void *mem_dup(const void *p, size_t len);

#endif
