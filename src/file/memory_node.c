/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contents of a file in memory: a hash table of blocks, so that a disk of
 * terabytes with little in it takes little. A block that is not in the table
 * is a hole.
 *
 *   slots[hash(index)] -> {index, block}     open addressing, half full
 *
 * Blocks are counted: a clone shares them, and who writes to a shared one
 * copies it first. That makes thousands of copies of one directory, as the
 * crash tests need them, cheap.
 */
#include "file/memory.h"

#include <pthread.h>
#include <string.h>

#include "base/checked.h"
#include "base/mem.h"

#define BLOCK_SIZE 16384u
#define SLOTS_MIN  8u

struct block {
  unsigned refs; /* atomic */
  uint8_t bytes[BLOCK_SIZE];
};

struct slot {
  uint64_t index;
  struct block *block; /* NULL: the slot is free */
};

struct memory_node {
  unsigned refs; /* atomic */
  pthread_rwlock_t lock;
  uint64_t size;
  struct slot *slots;
  size_t slot_count, used; /* slot_count: a power of two, or 0 */
  unsigned readers;        /* locks held by open files */
  bool writer;
};

static void
block_unref(struct block *b)
{
  if (b && __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) == 0)
    free(b);
}

struct memory_node *
memory_node_new(void)
{
  struct memory_node *n = mem_array(1, sizeof *n);

  if (n) {
    n->refs = 1;
    pthread_rwlock_init(&n->lock, NULL);
  }
  return n;
}

struct memory_node *
memory_node_ref(struct memory_node *n)
{
  __atomic_add_fetch(&n->refs, 1, __ATOMIC_RELAXED);
  return n;
}

void
memory_node_unref(struct memory_node *n)
{
  if (!n || __atomic_sub_fetch(&n->refs, 1, __ATOMIC_ACQ_REL) > 0)
    return;
  for (size_t i = 0; i < n->slot_count; i++)
    block_unref(n->slots[i].block);
  pthread_rwlock_destroy(&n->lock);
  free(n->slots);
  free(n);
}

struct memory_node *
memory_node_clone(struct memory_node *n)
{
  struct memory_node *copy = memory_node_new();

  if (!copy)
    return NULL;
  pthread_rwlock_rdlock(&n->lock);
  if (n->slot_count)
    copy->slots = mem_dup(n->slots, n->slot_count * sizeof *n->slots);
  if (!n->slot_count || copy->slots) {
    copy->size = n->size;
    copy->slot_count = n->slot_count;
    copy->used = n->used;
    for (size_t i = 0; i < n->slot_count; i++)
      if (n->slots[i].block)
        __atomic_add_fetch(&n->slots[i].block->refs, 1, __ATOMIC_RELAXED);
    pthread_rwlock_unlock(&n->lock);
    return copy;
  }
  pthread_rwlock_unlock(&n->lock);
  memory_node_unref(copy);
  return NULL;
}

/* --- The table ------------------------------------------------------------
 */

static size_t
slot_of(const struct slot *slots, size_t count, uint64_t index)
{
  size_t i = (size_t)((index * 0x9e3779b97f4a7c15u) >> 20) & (count - 1);

  while (slots[i].block && slots[i].index != index)
    i = (i + 1) & (count - 1);
  return i;
}

static struct block *
find_block(const struct memory_node *n, uint64_t index)
{
  return n->slot_count ? n->slots[slot_of(n->slots, n->slot_count, index)].block
                       : NULL;
}

static bool
table_grow(struct memory_node *n)
{
  size_t count = n->slot_count ? n->slot_count * 2 : SLOTS_MIN;
  struct slot *slots;

  if (n->used * 2 < n->slot_count)
    return true;
  slots = mem_array(count, sizeof *slots);
  if (!slots)
    return false;
  for (size_t i = 0; i < n->slot_count; i++)
    if (n->slots[i].block)
      slots[slot_of(slots, count, n->slots[i].index)] = n->slots[i];
  free(n->slots);
  n->slots = slots;
  n->slot_count = count;
  return true;
}

/* The block for writing: made where there is none, copied where shared. */
static struct block *
own_block(struct memory_node *n, uint64_t index)
{
  struct block *b = find_block(n, index), *fresh;

  if (b && __atomic_load_n(&b->refs, __ATOMIC_ACQUIRE) == 1)
    return b;
  if (!b && !table_grow(n))
    return NULL;
  fresh = b ? malloc(sizeof *fresh) : calloc(1, sizeof *fresh);
  if (!fresh)
    return NULL;
  if (b)
    memcpy(fresh->bytes, b->bytes, BLOCK_SIZE);
  else
    n->used++;
  fresh->refs = 1;
  n->slots[slot_of(n->slots, n->slot_count, index)] =
      (struct slot){index, fresh};
  block_unref(b);
  return fresh;
}

/* Takes slot I away and moves up what had been pushed behind it. */
static void
drop_slot(struct memory_node *n, size_t i)
{
  size_t mask = n->slot_count - 1;

  block_unref(n->slots[i].block);
  n->slots[i].block = NULL;
  n->used--;
  for (size_t j = (i + 1) & mask; n->slots[j].block; j = (j + 1) & mask) {
    struct slot moved = n->slots[j];

    n->slots[j].block = NULL;
    n->slots[slot_of(n->slots, n->slot_count, moved.index)] = moved;
  }
}

/* Drops every block in [first, end). Whichever is fewer is walked: the blocks
 * of the range or those that exist. */
static void
drop_blocks(struct memory_node *n, uint64_t first, uint64_t end)
{
  if (first >= end || n->used == 0)
    return;
  if (end - first <= n->slot_count) {
    for (uint64_t index = first; index < end && n->slot_count; index++) {
      size_t i = slot_of(n->slots, n->slot_count, index);

      if (n->slots[i].block)
        drop_slot(n, i);
    }
    return;
  }
  for (size_t i = 0; i < n->slot_count;) {
    if (n->slots[i].block && n->slots[i].index >= first &&
        n->slots[i].index < end)
      drop_slot(n, i); /* another may stand here now: look again */
    else
      i++;
  }
}

/* --- Bytes ----------------------------------------------------------------
 */

uint64_t
memory_node_size(struct memory_node *n)
{
  uint64_t size;

  pthread_rwlock_rdlock(&n->lock);
  size = n->size;
  pthread_rwlock_unlock(&n->lock);
  return size;
}

size_t
memory_node_read(struct memory_node *n, uint64_t offset, void *buf, size_t len)
{
  uint8_t *p = buf;
  size_t done = 0;

  pthread_rwlock_rdlock(&n->lock);
  if (offset >= n->size)
    len = 0;
  else
    len = (size_t)MIN((uint64_t)len, n->size - offset);
  while (done < len) {
    size_t at = (size_t)((offset + done) % BLOCK_SIZE);
    size_t piece = MIN(len - done, BLOCK_SIZE - at);
    const struct block *b = find_block(n, (offset + done) / BLOCK_SIZE);

    if (b)
      memcpy(p + done, b->bytes + at, piece);
    else
      memset(p + done, 0, piece);
    done += piece;
  }
  pthread_rwlock_unlock(&n->lock);
  return done;
}

bool
memory_node_write(struct memory_node *n, uint64_t offset, const void *buf,
                  size_t len)
{
  const uint8_t *p = buf;
  bool ok = true;

  pthread_rwlock_wrlock(&n->lock);
  while (ok && len > 0) {
    size_t at = (size_t)(offset % BLOCK_SIZE);
    size_t piece = MIN(len, BLOCK_SIZE - at);
    struct block *b = own_block(n, offset / BLOCK_SIZE);

    ok = b != NULL;
    if (ok) {
      memcpy(b->bytes + at, p, piece);
      p += piece;
      offset += piece;
      len -= piece;
      n->size = MAX(n->size, offset);
    }
  }
  pthread_rwlock_unlock(&n->lock);
  return ok;
}

/* Part of one block. A shared block that cannot be copied for lack of memory
 * is left: the caller says so to its caller by writing zeroes instead. */
static bool
clear_part(struct memory_node *n, uint64_t offset, size_t len)
{
  struct block *b = find_block(n, offset / BLOCK_SIZE);

  if (!b)
    return true;
  b = own_block(n, offset / BLOCK_SIZE);
  if (b)
    memset(b->bytes + offset % BLOCK_SIZE, 0, len);
  return b != NULL;
}

static bool
clear_range(struct memory_node *n, uint64_t offset, uint64_t end)
{
  uint64_t first = div_round_up(offset, BLOCK_SIZE), last = end / BLOCK_SIZE;
  bool ok = true;

  if (offset >= end)
    return true;
  if (offset / BLOCK_SIZE == end / BLOCK_SIZE)
    return clear_part(n, offset, (size_t)(end - offset));
  if (offset % BLOCK_SIZE)
    ok = clear_part(n, offset, (size_t)(first * BLOCK_SIZE - offset));
  if (ok && end % BLOCK_SIZE)
    ok = clear_part(n, last * BLOCK_SIZE, (size_t)(end % BLOCK_SIZE));
  if (ok)
    drop_blocks(n, first, last);
  return ok;
}

bool
memory_node_zero(struct memory_node *n, uint64_t offset, uint64_t len)
{
  bool ok;

  pthread_rwlock_wrlock(&n->lock);
  ok = offset >= n->size ||
       clear_range(n, offset, offset + MIN(len, n->size - offset));
  pthread_rwlock_unlock(&n->lock);
  return ok;
}

/* Bytes behind the end are kept zero, so that growing needs no work. */
bool
memory_node_truncate(struct memory_node *n, uint64_t size)
{
  bool ok = true;

  pthread_rwlock_wrlock(&n->lock);
  if (size < n->size)
    ok = clear_range(n, size, round_up(n->size, BLOCK_SIZE));
  if (ok)
    n->size = size;
  pthread_rwlock_unlock(&n->lock);
  return ok;
}

/* The smallest block index in [first, end), or END. */
static uint64_t
next_block(const struct memory_node *n, uint64_t first, uint64_t end)
{
  uint64_t best = end;

  if (end - first <= n->slot_count) {
    while (first < end && !find_block(n, first))
      first++;
    return first;
  }
  for (size_t i = 0; i < n->slot_count; i++)
    if (n->slots[i].block && n->slots[i].index >= first)
      best = MIN(best, n->slots[i].index);
  return best;
}

void
memory_node_extent(struct memory_node *n, uint64_t offset, uint64_t len,
                   uint64_t *ret_len, int *ret_state)
{
  uint64_t first = offset / BLOCK_SIZE, end, at;

  pthread_rwlock_rdlock(&n->lock);
  end = div_round_up(offset + len, BLOCK_SIZE);
  if (find_block(n, first)) {
    for (at = first + 1; at < end && find_block(n, at);)
      at++;
    *ret_state = VDK_EXTENT_DATA;
  } else {
    at = next_block(n, first, end);
    *ret_state = VDK_EXTENT_ZERO;
  }
  *ret_len = MIN(len, at * BLOCK_SIZE - offset);
  pthread_rwlock_unlock(&n->lock);
}

bool
memory_node_lock(struct memory_node *n, enum file_lock_mode from,
                 enum file_lock_mode to)
{
  unsigned readers;
  bool writer, ok;

  pthread_rwlock_wrlock(&n->lock);
  readers = n->readers - (from == FILE_LOCK_SHARED);
  writer = n->writer && from != FILE_LOCK_EXCLUSIVE;
  ok = to == FILE_UNLOCK || (!writer && (to == FILE_LOCK_SHARED || !readers));
  n->readers = readers + (ok && to == FILE_LOCK_SHARED);
  n->writer = writer || (ok && to == FILE_LOCK_EXCLUSIVE);
  pthread_rwlock_unlock(&n->lock);
  return ok;
}
