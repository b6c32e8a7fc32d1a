/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/local/ranges.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/mem.h"

/* The first gap that is joined over when a list is too long. */
#define FIRST_GAP (64u * 1024)

void
ranges_free(struct ranges *r)
{
  free(r->list);
  *r = (struct ranges){.limit = r->limit};
}

static uint64_t
end_of(const struct vdk_extent *e)
{
  return e->offset + e->length;
}

/* Joins neighbours that are at most r->gap apart. */
static void
join(struct ranges *r)
{
  size_t out = 0;

  for (size_t i = 1; i < r->count; i++) {
    struct vdk_extent *last = &r->list[out], *e = &r->list[i];

    if (e->offset <= end_of(last) || e->offset - end_of(last) <= r->gap)
      last->length = MAX(end_of(last), end_of(e)) - last->offset;
    else
      r->list[++out] = *e;
  }
  if (r->count)
    r->count = out + 1;
}

/* The gap grows until half are left, so that the cost of joining stays small
 * against that of adding. */
static void
shorten(struct ranges *r)
{
  while (r->count > r->limit / 2 + 1) {
    r->gap = r->gap ? r->gap * 2 : FIRST_GAP;
    join(r);
  }
}

bool
ranges_add(struct ranges *r, uint64_t offset, uint64_t length)
{
  struct vdk_extent *last = r->count ? &r->list[r->count - 1] : NULL;

  if (length == 0)
    return true;
  if (last && (offset <= end_of(last) || offset - end_of(last) <= r->gap)) {
    last->length = MAX(end_of(last), offset + length) - last->offset;
    return true;
  }
  if (!mem_grow(&r->list, &r->capacity, r->count + 1, sizeof *r->list))
    return false;
  r->list[r->count++] = (struct vdk_extent){offset, length, VDK_EXTENT_DATA};
  if (r->count > r->limit)
    shorten(r);
  return true;
}

bool
ranges_merge(struct ranges *r, const struct ranges *other)
{
  struct ranges sum = {.limit = r->limit, .gap = MAX(r->gap, other->gap)};
  size_t i = 0, k = 0;

  while (i < r->count || k < other->count) {
    bool left = k == other->count ||
                (i < r->count && r->list[i].offset <= other->list[k].offset);
    const struct vdk_extent *e = left ? &r->list[i++] : &other->list[k++];

    if (!ranges_add(&sum, e->offset, e->length)) {
      ranges_free(&sum);
      return false;
    }
  }
  free(r->list);
  *r = sum;
  return true;
}

void
ranges_clip(struct ranges *r, uint64_t size)
{
  while (r->count && r->list[r->count - 1].offset >= size)
    r->count--;
  if (r->count && end_of(&r->list[r->count - 1]) > size)
    r->list[r->count - 1].length = size - r->list[r->count - 1].offset;
}

uint64_t
ranges_total(const struct ranges *r)
{
  uint64_t sum = 0;

  for (size_t i = 0; i < r->count; i++)
    sum += r->list[i].length;
  return sum;
}
