/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stream of a stranger: read in order as from a pipe, and at random, also
 * as far as it can be salvaged. What is read whole and in parts is the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "copy/copy.h"
#include "format/vmdk/vmdk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Extents of states that are looked at; hostile tables make many. */
#define STEPS_MAX 200
#define BUF_SIZE  (2u << 20)

static uint8_t whole[BUF_SIZE], part[BUF_SIZE];

/* --- In order ------------------------------------------------------------- */

struct null_sink {
  struct copy_sink sink;
  uint64_t pos;
};

static int
null_write(struct copy_sink *s, struct copy_chunk *c, struct vdk_error *err)
{
  struct null_sink *n = (struct null_sink *)s;

  if (c->offset < n->pos || c->length == 0)
    abort();
  n->pos = c->offset + c->length;
  /* Every byte handed out is one that was written. */
  if (c->state == VDK_EXTENT_DATA)
    for (size_t i = 0; i < c->length; i += 512)
      s->written += c->data[i];
  return 0;
}

static void
read_in_order(struct vdk_file *file, const uint8_t *data, size_t size)
{
  static const struct copy_sink_ops ops = {.name = "null", .write = null_write};
  _cleanup_(copy_source_closep) struct copy_source *source = NULL;
  struct null_sink sink = {
      .sink = {.ops = &ops, .ordered = true, .granularity = 512}};
  const struct copy_options o = {.workers = 1, .keep_zero_blocks = true};

  if (vmdk_stream_source(file, data, MIN(size, FORMAT_PROBE_SIZE), NULL,
                         &source, NULL) != 0)
    return;
  copy_run(source, &sink.sink, &o, NULL, NULL);
}

/* --- At random ------------------------------------------------------------ */

/* Grain by grain, whole and in two parts. */
static void
read_grain(struct vmdk_extent *e, uint64_t offset)
{
  size_t len = MIN(e->granularity, e->size - offset), got, got2;
  size_t first = len / 3 + 1;
  int r, state, state2;

  r = e->ops->read(e, offset, whole, len, &got, &state, NULL);
  if (r != 0 || state != VDK_EXTENT_DATA)
    return;
  if (got == 0 || got > len)
    abort();
  if (first >= len)
    return;
  r = e->ops->read(e, offset + first, part, len - first, &got2, &state2, NULL);
  if (r != 0 || state2 != state || got2 != len - first ||
      memcmp(whole + first, part, got2) != 0)
    abort();
}

static void
read_extent(struct vmdk_extent *e)
{
  uint64_t offset = 0, len;
  size_t got;
  int state;

  for (unsigned i = 0; i < STEPS_MAX && offset < e->size; i++) {
    if (e->ops->map(e, offset, e->size - offset, &len, &state, NULL) != 0) {
      offset += e->granularity;
      continue;
    }
    if (len == 0 || len > e->size - offset)
      abort();
    if (state == VDK_EXTENT_DATA) {
      read_grain(e, offset);
      e->ops->read(e, offset, whole, MIN(e->size - offset, BUF_SIZE), &got,
                   &state, NULL);
    }
    offset += len;
  }
}

static void
read_at_random(struct vdk_file *file, const uint8_t *data, size_t size,
               bool salvage)
{
  struct vmdk_extent_open o = {
      .file = file, .file_size = size, .salvage = salvage};
  struct vmdk_header header;
  struct vmdk_extent *e;

  if (size < VMDK_HEADER_SIZE ||
      vmdk_header_parse(data, "fuzz", size, salvage, &header, NULL) != 0 ||
      !(header.flags & VMDK_FLAG_COMPRESSED)) {
    file_close(file);
    return;
  }
  o.header = &header;
  if (vmdk_extent_stream_open(&o, &e, NULL) != 0) {
    file_close(file);
    return;
  }
  read_extent(e);
  e->ops->close(e, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct vdk_file *file;

  if (file_memory_new("fuzz", data, size, &file, NULL) != 0)
    return 0;
  read_in_order(file, data, size);
  file_close(file);
  for (int salvage = 0; salvage <= 1; salvage++) {
    if (file_memory_new("fuzz", data, size, &file, NULL) != 0)
      return 0;
    read_at_random(file, data, size, salvage);
  }
  return 0;
}
