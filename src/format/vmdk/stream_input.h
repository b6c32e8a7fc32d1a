/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes of a file that is read once, in order, with a buffer for the small
 * pieces; large ones go straight to where they are wanted.
 */
#ifndef FORMAT_VMDK_STREAM_INPUT_H
#define FORMAT_VMDK_STREAM_INPUT_H

#include "file/file.h"

struct stream_input {
  struct vdk_file *file;
  uint8_t *buf;
  size_t at, have; /* the bytes [at, have) of buf are still to be taken */
  uint64_t read;   /* bytes of the file that were read */
};

/* HEAD: the first bytes, already read. */
int stream_input_init(struct stream_input *in, struct vdk_file *file,
                      const uint8_t *head, size_t len, struct vdk_error *err);
void stream_input_destroy(struct stream_input *in);

/* Where the next byte stands in the file. */
uint64_t stream_input_pos(const struct stream_input *in);
/* Up to LEN bytes, at most a sector, stay to be taken: fewer only at the end
 * of the file. */
int stream_input_peek(struct stream_input *in, size_t len, const uint8_t **ret,
                      size_t *ret_len, struct vdk_error *err);
/* The next LEN bytes, into BUF (NULL: nowhere). *RET fewer only at the end. */
int stream_input_take(struct stream_input *in, uint8_t *buf, uint64_t len,
                      uint64_t *ret, struct vdk_error *err);

#endif
