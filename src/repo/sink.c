/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pipeline's way into a disk: prepare() hashes and stores a chunk on any
 * worker and leaves its id in the sink's tags; write() sets it in the map.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "copy/copy.h"
#include "repo/writer.h"

struct repo_sink {
  struct copy_sink sink;
  struct repo_disk *disk;
};

enum { TAG_ID = 4 }; /* four tags of eight bytes: an id */

_Static_assert(sizeof(struct repo_id) == 4 * sizeof(uint64_t), "tags hold it");

/* Exactly one chunk of the disk. */
static bool
is_whole(const struct repo_disk *d, const struct copy_chunk *c)
{
  uint64_t index = c->offset / d->g.chunk_size;

  return c->offset % d->g.chunk_size == 0 && index < d->g.chunks &&
         c->length == map_chunk_len(&d->g, index);
}

static int
sink_prepare(struct copy_sink *s, struct copy_chunk *c, struct vdk_error *err)
{
  struct repo_disk *d = ((struct repo_sink *)s)->disk;
  struct repo_id id;
  int r;

  if (!is_whole(d, c))
    return 0;
  r = disk_store_chunk(d, c->offset / d->g.chunk_size, c->data, &id, err);
  if (r == 0)
    memcpy(&c->tag[TAG_ID], &id, sizeof id);
  return r;
}

static int
sink_write(struct copy_sink *s, struct copy_chunk *c, struct vdk_error *err)
{
  struct repo_disk *d = ((struct repo_sink *)s)->disk;
  struct repo_id id;

  if (c->state != VDK_EXTENT_DATA)
    return repo_disk_hole(d, c->offset, c->length, err);
  if (!is_whole(d, c))
    return repo_disk_put(d, c->offset, c->data, c->length, err);
  __atomic_add_fetch(&d->bytes_read, c->length, __ATOMIC_RELAXED);
  memcpy(&id, &c->tag[TAG_ID], sizeof id);
  __atomic_store_n(&s->written,
                   __atomic_load_n(&d->bytes_stored, __ATOMIC_RELAXED),
                   __ATOMIC_RELAXED);
  return disk_set_chunk(d, c->offset / d->g.chunk_size, &id, err);
}

static int
sink_finish(struct copy_sink *s, struct vdk_error *err)
{
  return 0;
}

static void
sink_close(struct copy_sink *s)
{
  free(s);
}

static const struct copy_sink_ops repo_sink_ops = {
    .name = "repository",
    .prepare = sink_prepare,
    .write = sink_write,
    .finish = sink_finish,
    .close = sink_close,
};

int
repo_disk_sink(struct repo_disk *d, struct copy_sink **ret,
               struct vdk_error *err)
{
  struct repo_sink *s = mem_array(1, sizeof *s);

  if (!s)
    return error_nomem(err, "writing to a repository");
  s->disk = d;
  s->sink.ops = &repo_sink_ops;
  s->sink.wants_zeroes = true;
  s->sink.granularity = d->g.chunk_size;
  s->sink.chunk_size = d->g.chunk_size;
  s->sink.label = d->w->r->store->name;
  *ret = &s->sink;
  return 0;
}
