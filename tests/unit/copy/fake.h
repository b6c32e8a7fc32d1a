/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A source and a sink that are nothing but bookkeeping, to see what the
 * pipeline does with them: order, overlap in time, and failures at will.
 */
#ifndef TESTS_UNIT_COPY_FAKE_H
#define TESTS_UNIT_COPY_FAKE_H

#include "copy/copy.h"

enum { FAKE_CHUNK = 4096 };

struct fake_source {
  struct copy_source source;
  unsigned count; /* chunks */
  unsigned next;
  int fetching;          /* under way now */
  unsigned taken;        /* fetched */
  unsigned fail_fetch;   /* the how-manieth, 0 none */
  unsigned fail_read;    /* of this chunk + 1 */
  unsigned zero_every;   /* each n-th chunk is all zeroes */
  unsigned hole_every;   /* each n-th chunk is known to be zero */
  uint64_t hole_length;  /* of such a chunk, 0: FAKE_CHUNK */
  unsigned slow_every;   /* each n-th chunk takes long */
  unsigned most_at_once; /* reads */
  unsigned reading;
};

struct fake_sink {
  struct copy_sink sink;
  unsigned writing, most_at_once;
  unsigned preparing;
  unsigned chunks; /* written */
  uint64_t zeroes; /* bytes given as such */
  uint64_t data;   /* bytes */
  uint64_t next_offset;
  bool out_of_order, wrong_data, finished;
  unsigned fail_prepare, fail_write, fail_finish;
  /* chunks fetched but not written, at most */
  struct fake_source *source;
  unsigned most_behind;
};

void fake_source_init(struct fake_source *f, unsigned count);
void fake_sink_init(struct fake_sink *f, bool ordered, bool wants_zeroes);

#endif
