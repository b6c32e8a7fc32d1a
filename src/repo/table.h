/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash table from chunk id to a place. Ids are as good as random, so that
 * their first bytes are the hash. Entries lie in blocks that never move; the
 * slots are numbers of entries: about 52 bytes an entry in all.
 * Not locked: the caller's affair.
 */
#ifndef REPO_TABLE_H
#define REPO_TABLE_H

#include "repo/index_run.h"

#define TABLE_BLOCK 4096u /* entries */

struct table {
  struct index_entry **blocks;
  size_t block_count, block_capacity;
  uint32_t *slots; /* number of the entry + 1; 0: free */
  size_t slot_count;
  size_t count;
};

/* A zeroed table is empty and good. */
void table_clear(struct table *t);
struct index_entry *table_find(const struct table *t, const struct repo_id *id);
/* A new entry with this id, which must not be there; NULL without memory. */
struct index_entry *table_add(struct table *t, const struct repo_id *id);

static inline struct index_entry *
table_at(const struct table *t, size_t i)
{
  return &t->blocks[i / TABLE_BLOCK][i % TABLE_BLOCK];
}

#endif
