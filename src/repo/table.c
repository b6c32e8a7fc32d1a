/* SPDX-License-Identifier: BSD-3-Clause */
#include "repo/table.h"

#include "base/checked.h"
#include "base/endian.h"
#include "base/mem.h"

enum { SLOTS_MIN = 1024 };

/* The first byte is left out: in a page of an index it hardly varies. */
static size_t
hash(const struct repo_id *id)
{
  return (size_t)le64_load(id->bytes + 1);
}

/* The slot of ID, or the free one where it belongs. */
static uint32_t *
slot_of(const struct table *t, const struct repo_id *id)
{
  size_t mask = t->slot_count - 1;

  for (size_t i = hash(id) & mask;; i = (i + 1) & mask) {
    uint32_t n = t->slots[i];

    if (n == 0 || id_equal(&table_at(t, n - 1)->id, id))
      return &t->slots[i];
  }
}

struct index_entry *
table_find(const struct table *t, const struct repo_id *id)
{
  uint32_t n = t->slot_count ? *slot_of(t, id) : 0;

  return n ? table_at(t, n - 1) : NULL;
}

static bool
grow_slots(struct table *t)
{
  size_t count = t->slot_count ? t->slot_count * 2 : SLOTS_MIN;
  uint32_t *slots = mem_array(count, sizeof *slots);

  if (!slots)
    return false;
  free(t->slots);
  t->slots = slots;
  t->slot_count = count;
  for (size_t i = 0; i < t->count; i++)
    *slot_of(t, &table_at(t, i)->id) = (uint32_t)i + 1;
  return true;
}

static bool
grow_blocks(struct table *t)
{
  struct index_entry *block;

  if (!mem_grow(&t->blocks, &t->block_capacity, t->block_count + 1,
                sizeof(struct index_entry *)))
    return false;
  block = malloc(TABLE_BLOCK * sizeof *block);
  if (!block)
    return false;
  t->blocks[t->block_count++] = block;
  return true;
}

struct index_entry *
table_add(struct table *t, const struct repo_id *id)
{
  struct index_entry *e;

  if (t->count >= UINT32_MAX - 1)
    return NULL;
  if (t->count * 4 >= t->slot_count * 3 && !grow_slots(t))
    return NULL;
  if (t->count == t->block_count * TABLE_BLOCK && !grow_blocks(t))
    return NULL;
  e = table_at(t, t->count);
  *e = (struct index_entry){.id = *id};
  *slot_of(t, id) = (uint32_t)++t->count;
  return e;
}

void
table_clear(struct table *t)
{
  for (size_t i = 0; i < t->block_count; i++)
    free(t->blocks[i]);
  free(t->blocks);
  free(t->slots);
  *t = (struct table){0};
}
