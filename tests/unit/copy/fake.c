/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/unit.h"

#include "base/error.h"
#include "tests/unit/copy/fake.h"

#define ADD(v, n) __atomic_add_fetch(&(v), n, __ATOMIC_SEQ_CST)
#define GET(v)    __atomic_load_n(&(v), __ATOMIC_SEQ_CST)

static void
keep_most(unsigned *most, unsigned now)
{
  unsigned old = GET(*most);

  while (now > old &&
         !__atomic_compare_exchange_n(most, &old, now, false, __ATOMIC_SEQ_CST,
                                      __ATOMIC_SEQ_CST))
    ;
}

static bool
every(unsigned n, uint64_t index)
{
  return n != 0 && index % n == n - 1;
}

static int
fake_fetch(struct copy_source *s, struct copy_chunk *c, struct vdk_error *err)
{
  struct fake_source *f = (struct fake_source *)s;
  int others = ADD(f->fetching, 1);

  assert_int_equal(others, 1);
  c->length = 0;
  if (f->next + 1 == f->fail_fetch) {
    ADD(f->fetching, -1);
    return error_set(err, VDK_E_IO, "fetch fails");
  }
  if (f->next < f->count) {
    c->tag[0] = f->next;
    c->state = VDK_EXTENT_DATA;
    c->length = FAKE_CHUNK;
    c->offset = s->size;
    if (every(f->hole_every, f->next)) {
      c->state = VDK_EXTENT_ZERO;
      if (f->hole_length)
        c->length = f->hole_length;
    }
    s->size += c->length;
    f->next++;
    ADD(f->taken, 1);
  }
  ADD(f->fetching, -1);
  return 0;
}

static int
fake_read(struct copy_source *s, struct copy_chunk *c, struct vdk_error *err)
{
  struct fake_source *f = (struct fake_source *)s;
  uint64_t index = c->tag[0];

  keep_most(&f->most_at_once, ADD(f->reading, 1));
  if (every(f->slow_every, index))
    usleep(2000);
  memset(c->data, every(f->zero_every, index) ? 0 : 1 + index % 255,
         FAKE_CHUNK);
  ADD(f->reading, -1);
  if (index + 1 == f->fail_read)
    return error_set(err, VDK_E_CORRUPT, "read fails");
  return 0;
}

static void
fake_source_close(struct copy_source *s)
{
}

static int
fake_prepare(struct copy_sink *s, struct copy_chunk *c, struct vdk_error *err)
{
  struct fake_sink *f = (struct fake_sink *)s;

  if (c->tag[0] + 1 == f->fail_prepare)
    return error_set(err, VDK_E_INTERNAL, "prepare fails");
  c->tag[4] = c->tag[0] * 3;
  if (c->out_size > 0)
    memcpy(c->out, c->data, MIN(c->out_size, FAKE_CHUNK));
  return 0;
}

static int
fake_write(struct copy_sink *s, struct copy_chunk *c, struct vdk_error *err)
{
  struct fake_sink *f = (struct fake_sink *)s;

  keep_most(&f->most_at_once, ADD(f->writing, 1));
  if (f->source)
    keep_most(&f->most_behind, GET(f->source->taken) - GET(f->chunks));
  if (s->ordered) {
    if (c->offset < f->next_offset)
      f->out_of_order = true;
    f->next_offset = c->offset + c->length;
  }
  if (c->state == VDK_EXTENT_DATA) {
    if (c->tag[4] != c->tag[0] * 3 || c->data[0] != 1 + c->tag[0] % 255 ||
        c->data[FAKE_CHUNK - 1] != c->data[0])
      f->wrong_data = true;
    ADD(f->data, c->length);
    ADD(s->written, c->length);
  } else {
    ADD(f->zeroes, c->length);
  }
  ADD(f->writing, -1);
  if (ADD(f->chunks, 1) == f->fail_write)
    return error_set(err, VDK_E_NO_SPACE, "write fails");
  return 0;
}

static int
fake_finish(struct copy_sink *s, struct vdk_error *err)
{
  struct fake_sink *f = (struct fake_sink *)s;

  if (f->fail_finish)
    return error_set(err, VDK_E_IO, "finish fails");
  f->finished = true;
  return 0;
}

static void
fake_sink_close(struct copy_sink *s)
{
}

void
fake_source_init(struct fake_source *f, unsigned count)
{
  static const struct copy_source_ops ops = {
      .name = "fake",
      .fetch = fake_fetch,
      .read = fake_read,
      .close = fake_source_close,
  };

  *f = (struct fake_source){.count = count};
  f->source.ops = &ops;
  f->source.total = (uint64_t)count * FAKE_CHUNK;
  f->source.label = "fake disk";
}

void
fake_sink_init(struct fake_sink *f, bool ordered, bool wants_zeroes)
{
  static const struct copy_sink_ops ops = {
      .name = "fake",
      .prepare = fake_prepare,
      .write = fake_write,
      .finish = fake_finish,
      .close = fake_sink_close,
  };

  *f = (struct fake_sink){{0}};
  f->sink.ops = &ops;
  f->sink.ordered = ordered;
  f->sink.wants_zeroes = wants_zeroes;
  f->sink.chunk_size = FAKE_CHUNK;
  f->sink.out_size = 512;
}
