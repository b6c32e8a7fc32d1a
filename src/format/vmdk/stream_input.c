/* SPDX-License-Identifier: BSD-3-Clause */
/* A buffer over a file that is read in order: stream_input.h. */
#include "format/vmdk/stream_input.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"

#define BUFFER_SIZE (256u * 1024)

int
stream_input_init(struct stream_input *in, struct vdk_file *file,
                  const uint8_t *head, size_t len, struct vdk_error *err)
{
  *in = (struct stream_input){.file = file};
  if (len > BUFFER_SIZE)
    return error_set(err, VDK_E_INTERNAL, "%s: the head is too long",
                     file->name);
  in->buf = mem_buffer(BUFFER_SIZE);
  if (!in->buf)
    return error_nomem(err, "reading a stream");
  if (len > 0)
    memcpy(in->buf, head, len);
  in->have = in->read = len;
  return 0;
}

void
stream_input_destroy(struct stream_input *in)
{
  free(in->buf);
}

uint64_t
stream_input_pos(const struct stream_input *in)
{
  return in->read - (in->have - in->at);
}

static int
refill(struct stream_input *in, struct vdk_error *err)
{
  size_t got;
  int r;

  memmove(in->buf, in->buf + in->at, in->have - in->at);
  in->have -= in->at;
  in->at = 0;
  r = file_read_upto(in->file, in->read, in->buf + in->have,
                     BUFFER_SIZE - in->have, &got, err);
  if (r != 0)
    return r;
  in->have += got;
  in->read += got;
  return 0;
}

int
stream_input_peek(struct stream_input *in, size_t len, const uint8_t **ret,
                  size_t *ret_len, struct vdk_error *err)
{
  if (in->have - in->at < len) {
    int r = refill(in, err);

    if (r != 0)
      return r;
  }
  *ret = in->buf + in->at;
  *ret_len = MIN(len, in->have - in->at);
  return 0;
}

int
stream_input_take(struct stream_input *in, uint8_t *buf, uint64_t len,
                  uint64_t *ret, struct vdk_error *err)
{
  uint64_t done = 0;
  int r;

  while (done < len) {
    size_t n = MIN(len - done, in->have - in->at), got;

    if (n > 0) {
      if (buf)
        memcpy(buf + done, in->buf + in->at, n);
      in->at += n;
      done += n;
      continue;
    }
    if (!buf || len - done < BUFFER_SIZE) {
      if ((r = refill(in, err)) != 0)
        return r;
      if (in->have == in->at)
        break;
      continue;
    }
    r = file_read_upto(in->file, in->read, buf + done, len - done, &got, err);
    if (r != 0)
      return r;
    in->read += got;
    done += got;
    if (done < len)
      break;
  }
  *ret = done;
  return 0;
}
