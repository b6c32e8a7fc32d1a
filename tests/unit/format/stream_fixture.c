/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/unit.h"

#include "base/error.h"
#include "base/mem.h"
#include "tests/unit/format/stream_fixture.h"

/* --- A source and a sink in memory ---------------------------------------- */

struct bytes_source {
  struct copy_source source;
  const uint8_t *bytes;
  uint64_t pos;
};

static int
bytes_fetch(struct copy_source *s, struct copy_chunk *c, struct vdk_error *err)
{
  struct bytes_source *d = (struct bytes_source *)s;
  uint64_t chunk = s->chunk_size;

  c->offset = d->pos;
  c->length = MIN(s->size - d->pos, chunk - d->pos % chunk);
  c->state = mem_is_zero(d->bytes + d->pos, c->length) ? VDK_EXTENT_ZERO
                                                       : VDK_EXTENT_DATA;
  d->pos += c->length;
  return 0;
}

static int
bytes_read(struct copy_source *s, struct copy_chunk *c, struct vdk_error *err)
{
  struct bytes_source *d = (struct bytes_source *)s;

  memcpy(c->data, d->bytes + c->offset, c->length);
  return 0;
}

static void
bytes_source_close(struct copy_source *s)
{
  free(s);
}

int
bytes_source(const uint8_t *bytes, uint64_t len, struct copy_source **ret)
{
  static const struct copy_source_ops ops = {
      .name = "bytes",
      .fetch = bytes_fetch,
      .read = bytes_read,
      .close = bytes_source_close,
  };
  struct bytes_source *d = mem_array(1, sizeof *d);

  d->source.ops = &ops;
  d->source.size = d->source.total = len;
  d->bytes = bytes;
  *ret = &d->source;
  return 0;
}

struct bytes_sink {
  struct copy_sink sink;
  uint8_t *bytes;
  uint64_t len, pos;
};

static int
bytes_write(struct copy_sink *s, struct copy_chunk *c, struct vdk_error *err)
{
  struct bytes_sink *d = (struct bytes_sink *)s;

  assert_true(c->offset == d->pos);
  assert_false(range_outside(c->offset, c->length, d->len));
  if (c->state == VDK_EXTENT_DATA)
    memcpy(d->bytes + c->offset, c->data, c->length);
  else
    memset(d->bytes + c->offset, 0, c->length);
  d->pos += c->length;
  return 0;
}

static int
bytes_finish(struct copy_sink *s, struct vdk_error *err)
{
  struct bytes_sink *d = (struct bytes_sink *)s;

  assert_true(d->pos == d->len);
  return 0;
}

static void
bytes_sink_close(struct copy_sink *s)
{
  free(s);
}

int
bytes_sink(uint8_t *bytes, uint64_t len, struct copy_sink **ret)
{
  static const struct copy_sink_ops ops = {
      .name = "bytes",
      .write = bytes_write,
      .finish = bytes_finish,
      .close = bytes_sink_close,
  };
  struct bytes_sink *d = mem_array(1, sizeof *d);

  d->sink.ops = &ops;
  d->sink.ordered = d->sink.wants_zeroes = true;
  d->bytes = bytes;
  d->len = len;
  *ret = &d->sink;
  return 0;
}

/* --- Contents ------------------------------------------------------------- */

uint8_t *
guest_bytes(uint64_t len, unsigned seed)
{
  uint8_t *bytes = mem_array(1, len);

  assert_non_null(bytes);
  srandom(seed);
  for (uint64_t at = 0; at < len; at += 4096) {
    size_t n = MIN(len - at, 4096);
    unsigned what = random() % 8;

    /* Long empty stretches between what is there. */
    if (at % (1 << 20) == 0 && random() % 3 == 0)
      at += (uint64_t)(random() % 40) << 16;
    if (at >= len)
      break;
    n = MIN(len - at, 4096);
    if (what < 2)
      continue;
    for (size_t i = 0; i < n; i++)
      bytes[at + i] = what < 4 ? random() : "lorem ipsum"[(at + i) % 11];
  }
  return bytes;
}

struct vdk_file *
file_of(const uint8_t *bytes, size_t len)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_file *file;

  assert_ok(file_memory_new("stream.vmdk", bytes, len, &file, &err));
  file->writable = true;
  return file;
}

uint8_t *
file_bytes(struct vdk_file *file, size_t *ret_len)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t size;
  uint8_t *bytes;

  assert_ok(file_size(file, &size, &err));
  bytes = mem_array(1, size + 1);
  assert_ok(file_read(file, 0, bytes, size, &err));
  *ret_len = size;
  return bytes;
}

struct vdk_file *
stream_of(const uint8_t *bytes, uint64_t len, const struct format_create *c)
{
  _cleanup_(copy_source_closep) struct copy_source *source = NULL;
  _cleanup_(copy_sink_closep) struct copy_sink *sink = NULL;
  struct vdk_error err = VDK_ERROR_INIT;
  struct format_create create = c ? *c : (struct format_create){0};
  struct vdk_file *file = file_of(NULL, 0);
  struct copy_options o = {.workers = 3};

  create.size = len;
  bytes_source(bytes, len, &source);
  assert_ok(vmdk_stream_sink(file, &create, &sink, &err));
  assert_ok(copy_run(source, sink, &o, NULL, &err));
  return file;
}

/* --- A pipe --------------------------------------------------------------- */

struct pipe_file {
  struct vdk_file file;
  struct vdk_file *inner;
  uint64_t pos;
};

static int
pipe_size(struct vdk_file *f, uint64_t *ret, struct vdk_error *err)
{
  return error_set(err, VDK_E_UNSUPPORTED, "a pipe has no size");
}

static int
pipe_read(struct vdk_file *f, uint64_t offset, void *buf, size_t len,
          size_t *ret, struct vdk_error *err)
{
  struct pipe_file *p = (struct pipe_file *)f;
  int r;

  assert_true(offset == p->pos);
  r = file_read_upto(p->inner, offset, buf, len, ret, err);
  if (r == 0)
    p->pos += *ret;
  return r;
}

static int
pipe_write(struct vdk_file *f, uint64_t offset, const void *buf, size_t len,
           struct vdk_error *err)
{
  struct pipe_file *p = (struct pipe_file *)f;

  assert_true(offset == p->pos);
  p->pos += len;
  return file_write(p->inner, offset, buf, len, err);
}

static void
pipe_close(struct vdk_file *f)
{
  file_close(((struct pipe_file *)f)->inner);
  free(f->name);
  free(f);
}

struct vdk_file *
as_pipe(struct vdk_file *file)
{
  static const struct file_ops ops = {
      .name = "pipe",
      .size = pipe_size,
      .read = pipe_read,
      .write = pipe_write,
      .close = pipe_close,
  };
  struct pipe_file *p = mem_array(1, sizeof *p);

  p->file.ops = &ops;
  p->file.name = strdup("pipe");
  p->file.is_pipe = p->file.writable = true;
  p->inner = file;
  return &p->file;
}

/* --- Reading back --------------------------------------------------------- */

int
read_in_order(struct vdk_file *file, uint8_t *bytes, uint64_t len,
              const struct copy_options *o, struct vdk_error *err)
{
  _cleanup_(copy_source_closep) struct copy_source *source = NULL;
  _cleanup_(copy_sink_closep) struct copy_sink *sink = NULL;
  uint8_t head[FORMAT_PROBE_SIZE];
  size_t got;
  int r;

  r = file_read_upto(file, 0, head, sizeof head, &got, err);
  if (r != 0)
    return r;
  r = vmdk_stream_source(file, head, got, NULL, &source, err);
  if (r != 0)
    return r;
  if (source->size != len)
    return error_set(err, VDK_E_RANGE, "another size: %llu",
                     (unsigned long long)source->size);
  bytes_sink(bytes, len, &sink);
  return copy_run(source, sink, o, NULL, err);
}

int
open_at_random(struct vdk_file *file, bool salvage, struct vmdk_extent **ret,
               struct vdk_error *err)
{
  struct vmdk_extent_open o = {.file = file, .salvage = salvage};
  uint8_t buf[VMDK_HEADER_SIZE];
  struct vmdk_header header;
  int r;

  if ((r = file_size(file, &o.file_size, err)) == 0 &&
      (r = file_read(file, 0, buf, sizeof buf, err)) == 0 &&
      (r = vmdk_header_parse(buf, file->name, o.file_size, salvage, &header,
                             err)) == 0) {
    o.header = &header;
    r = vmdk_extent_stream_open(&o, ret, err);
  }
  if (r != 0)
    file_close(file);
  return r;
}

int
read_at_random(struct vmdk_extent *e, uint8_t *bytes, uint64_t len, size_t step,
               struct vdk_error *err)
{
  for (uint64_t pos = 0; pos < len;) {
    size_t n = MIN(step, len - pos), got = 0;
    int state = -1, r;

    r = e->ops->read(e, pos, bytes + pos, n, &got, &state, err);
    if (r != 0)
      return r;
    assert_in_range(got, 1, n);
    if (state != VDK_EXTENT_DATA)
      memset(bytes + pos, 0, got);
    pos += got;
  }
  return 0;
}
