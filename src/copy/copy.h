/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one pipeline: everything that moves sectors in bulk runs here.
 *
 *   source.fetch  ->  source.read  ->  zero check  ->  sink.prepare  ->
 * sink.write in order,         any worker,                      any worker, in
 * order when the one at a time     many at once                     many at
 * once      sink says so, else many
 *
 * A copy has a ring of slots, each with one chunk, and a few workers. A worker
 * takes the next chunk (fetch), fills it (read), transforms it (prepare) and
 * hands it on (write). With an ordered sink the worker that finds the oldest
 * chunk ready writes it and all that follow; nobody waits but for the ring to
 * have room, which bounds the memory: slots x (chunk + what prepare makes).
 *
 * Sources: a disk, changed ranges of a disk, a stream that cannot seek, a
 * repository. Sinks: a disk, a stream, a repository, a comparison, nothing
 * (verify).
 */
#ifndef COPY_COPY_H
#define COPY_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdkit/types.h>

struct vdk_disk;
struct copy_source;
struct copy_sink;

/* copy_chunk.worker is below this: room for a sink's or source's per-worker
 * state, made when it is first needed. */
#define COPY_WORKERS_MAX 64u

/* One slot of the ring. */
struct copy_chunk {
  uint64_t offset; /* bytes of the guest disk */
  uint64_t length; /* bytes; at most the chunk size, unless state is ZERO */
  int state;       /* VDK_EXTENT_DATA or VDK_EXTENT_ZERO */
  uint8_t *data;   /* chunk_size bytes, aligned; valid when DATA */
  unsigned worker; /* who runs it now: index of per-worker state */

  /* A serial source's bytes as fetched, before read() decodes them. */
  uint8_t *raw;
  size_t raw_len, raw_size;

  /* What prepare() makes of it. */
  uint8_t *out;
  size_t out_len, out_size;
  uint64_t tag[8]; /* the source's and sink's own: 0..3 source, 4..7 sink */
};

struct copy_source_ops {
  const char *name;
  /* The next chunk in ascending order: offset, length, state, and RAW for
   * streams. length 0: the end. Called by one worker at a time. */
  int (*fetch)(struct copy_source *s, struct copy_chunk *c,
               struct vdk_error *err);
  /* Fills c->data. Many at once. May turn state to ZERO. */
  int (*read)(struct copy_source *s, struct copy_chunk *c,
              struct vdk_error *err);
  void (*close)(struct copy_source *s);
};

struct copy_source {
  const struct copy_source_ops *ops;
  uint64_t total;  /* bytes of guest disk that will be passed; 0 unknown */
  uint64_t size;   /* bytes of the guest disk */
  size_t raw_size; /* room that fetch wants in c->raw; 0 none */
  const char *label;

  /* Set by copy_run before the first fetch: no DATA chunk is larger than
   * chunk_size, and each starts and ends at a multiple of align (but for the
   * end of the disk; ranges are widened). A stream, whose chunks are what
   * they are, may ignore both when its grain is a multiple of align. */
  size_t chunk_size;
  uint32_t align;
};

struct copy_sink_ops {
  const char *name;
  /* Makes c->out (or tags) of c->data. Many at once, DATA chunks only.
   * Default: nothing. */
  int (*prepare)(struct copy_sink *s, struct copy_chunk *c,
                 struct vdk_error *err);
  /* Takes the chunk: DATA, or a run of zeroes of any length when
   * wants_zeroes. In ascending order and one at a time when ORDERED. */
  int (*write)(struct copy_sink *s, struct copy_chunk *c,
               struct vdk_error *err);
  /* After the last write: writes what is left and makes all of it durable. */
  int (*finish)(struct copy_sink *s, struct vdk_error *err);
  /* Frees; without a finish before it, it undoes what can be undone. */
  void (*close)(struct copy_sink *s);
};

struct copy_sink {
  const struct copy_sink_ops *ops;
  bool ordered;
  bool wants_zeroes;    /* else chunks that are zero are dropped */
  uint32_t granularity; /* chunks start and end at multiples of it (but for
                           the end of the disk); 0 or 1: any */
  size_t chunk_size;    /* the chunk that it wants; 0: the pipeline's */
  size_t out_size;      /* room that prepare wants in c->out; 0 none */
  uint64_t written;     /* bytes really written, atomic: __atomic builtins */
  const char *label;
};

struct copy_options {
  size_t chunk_size;            /* bytes, a power of two; 0: 1 MiB */
  unsigned workers;             /* 0: processors, at least 4 for slow sources */
  unsigned slots;               /* 0: 2 x workers + 2 */
  struct vdk_progress progress; /* fn may be NULL */
  bool keep_zero_blocks;        /* do not look for zeroes in data */
};

struct copy_stats {
  uint64_t passed;  /* bytes of the guest disk */
  uint64_t read;    /* bytes of DATA read */
  uint64_t zero;    /* of those, found to be zero */
  uint64_t written; /* bytes that the sink wrote */
};

/* Runs to the end (finish included) or to the first error. The error's side
 * tells which end it was. SOURCE and SINK stay the caller's to close. STATS
 * may be NULL. */
int copy_run(struct copy_source *source, struct copy_sink *sink,
             const struct copy_options *options, struct copy_stats *stats,
             struct vdk_error *err);

void copy_source_close(struct copy_source *s); /* NULL is fine */
void copy_sink_close(struct copy_sink *s);     /* NULL is fine */
static inline void
copy_source_closep(struct copy_source **s)
{
  copy_source_close(*s);
}
static inline void
copy_sink_closep(struct copy_sink **s)
{
  copy_sink_close(*s);
}

/* All of DISK (which stays the caller's), skipping what it knows to be zero
 * without reading. */
int copy_source_disk(struct vdk_disk *disk, struct copy_source **ret,
                     struct vdk_error *err);
/* Only RANGES (ascending, not overlapping; copied). */
int copy_source_ranges(struct vdk_disk *disk, const struct vdk_extent *ranges,
                       size_t count, struct copy_source **ret,
                       struct vdk_error *err);
/* Into DISK (the caller's). TARGET_IS_ZERO: it is new and empty, so that
 * zeroes need not be written. */
int copy_sink_disk(struct vdk_disk *disk, bool target_is_zero,
                   struct copy_sink **ret, struct vdk_error *err);
/* Raw bytes in order, zeroes included, into a file that may be a pipe. */
struct vdk_file;
int copy_sink_raw_stream(struct vdk_file *file, uint64_t size,
                         struct copy_sink **ret, struct vdk_error *err);
/* Raw bytes in order from a file that may be a pipe. HEAD: already read. */
int copy_source_raw_stream(struct vdk_file *file, const uint8_t *head,
                           size_t head_len, struct copy_source **ret,
                           struct vdk_error *err);
/* Reads DISK and compares; the first difference is *RET_OFFSET (UINT64_MAX
 * when there is none). */
int copy_compare(struct vdk_disk *a, struct vdk_disk *b,
                 const struct copy_options *options, uint64_t *ret_offset,
                 struct vdk_error *err);

#endif
