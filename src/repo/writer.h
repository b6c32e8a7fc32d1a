/* SPDX-License-Identifier: BSD-3-Clause */
/* What writer.c, disk_write.c and sink.c share. */
#ifndef REPO_WRITER_H
#define REPO_WRITER_H

#include "repo/map_builder.h"
#include "repo/packer.h"

#define DISK_OPEN_CHUNKS 8u

/* A chunk of which only a part was put so far. */
struct open_chunk {
  uint64_t index;
  uint8_t *data;     /* chunk_size bytes; NULL: never used */
  uint32_t from, to; /* what was put; empty: the place is free */
  uint64_t used;
};

struct repo_disk {
  struct repo_writer *w;
  struct repo_disk *next;
  struct repo_point_disk point;
  struct map_geometry g;
  struct map_builder *map;
  bool inherits, ended, ranges_lost;
  struct map_geometry parent_g;
  struct repo_id parent_root;
  uint64_t parent_bytes;
  uint64_t changed; /* bytes that differ from the parent; after the end */

  uint64_t bytes_read, bytes_stored; /* atomic */

  pthread_mutex_t mutex; /* the fields below */
  struct open_chunk open[DISK_OPEN_CHUNKS];
  unsigned open_count; /* places in use; also read without the mutex */
  uint64_t clock;
};

struct repo_writer {
  struct repo *r;
  struct packer *packer;
  struct repo_point *point;
  uint64_t began_ns;
  pthread_mutex_t mutex; /* disks, point */
  struct repo_disk *disks, **last_disk;
  bool committed;
};

void disk_write_free(struct repo_disk *d);

/* One whole chunk becomes DATA (its whole length). */
int disk_write_chunk(struct repo_disk *d, uint64_t index, const void *data,
                     struct vdk_error *err);
/* The same in two steps: first its bytes are stored, then the map says so. */
int disk_store_chunk(struct repo_disk *d, uint64_t index, const void *data,
                     struct repo_id *ret, struct vdk_error *err);
int disk_set_chunk(struct repo_disk *d, uint64_t index,
                   const struct repo_id *id, struct vdk_error *err);

#endif
