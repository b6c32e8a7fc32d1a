/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest contents in memory, streams made of them, and the two ways of
 * reading a stream back.
 */
#ifndef TESTS_UNIT_FORMAT_STREAM_FIXTURE_H
#define TESTS_UNIT_FORMAT_STREAM_FIXTURE_H

#include "copy/copy.h"
#include "file/file.h"
#include "format/vmdk/vmdk.h"

/* A source over LEN bytes of memory that has a hole where they are zero. */
int bytes_source(const uint8_t *bytes, uint64_t len, struct copy_source **ret);
/* A sink into LEN bytes of memory, in order, that holds every byte against
 * being written twice. */
int bytes_sink(uint8_t *bytes, uint64_t len, struct copy_sink **ret);

/* Contents: every n-th grain something, some text, some noise. */
uint8_t *guest_bytes(uint64_t len, unsigned seed);

/* The stream of BYTES, in a memory file. */
struct vdk_file *stream_of(const uint8_t *bytes, uint64_t len,
                           const struct format_create *c);

/* FILE as a pipe sees it: is_pipe, and offsets must follow one another. The
 * inner file is closed with it. */
struct vdk_file *as_pipe(struct vdk_file *file);

/* FILE read by the stream source into BYTES. */
int read_in_order(struct vdk_file *file, uint8_t *bytes, uint64_t len,
                  const struct copy_options *o, struct vdk_error *err);
/* FILE (taken over) as an extent. */
int open_at_random(struct vdk_file *file, bool salvage,
                   struct vmdk_extent **ret, struct vdk_error *err);
/* All of E by reads of STEP bytes. */
int read_at_random(struct vmdk_extent *e, uint8_t *bytes, uint64_t len,
                   size_t step, struct vdk_error *err);

/* A copy of FILE's bytes. */
uint8_t *file_bytes(struct vdk_file *file, size_t *ret_len);
/* A memory file of BYTES. */
struct vdk_file *file_of(const uint8_t *bytes, size_t len);

#endif
