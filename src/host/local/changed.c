/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What changed on a disk since a named state, from the allocation of its
 * links: nothing is read but tables.
 *
 * Then the chain was O0 (base), O1 ... Ok; now it is N0, N1 ... Nm. Let the
 * first P links be the same, untouched, in both. What the guest sees at a
 * place that none of OP .. Ok held then, and none of NP .. Nm holds now, comes
 * from the same links below and is the same. So the places that any of them
 * held or holds are all that can differ.
 *
 * That is exact when snapshots were only added (P = k+1: what the new links
 * hold), a superset when the written link was written again, and right too
 * when links were dropped or made anew by a revert to a snapshot: which is why
 * the state remembers what each link held, within bounds and rather too much.
 * Nothing is assumed about what a hypervisor may do to a link of its own.
 *
 * With P = 0 the base itself was written and nothing is known.
 */
#include "host/local/local.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "host/local/chain.h"

/* Ranges of an answer; more are joined. 64 Ki of them take 1.5 MB. */
#define CHANGED_MAX 65536u

int
local_change_id(struct vdk_host *h, const struct host_vm *vm,
                const struct host_disk *disk, struct vdk_disk *opened,
                char **ret, struct vdk_error *err)
{
  _cleanup_chain_ struct chain_state s = {0};
  char *text;
  int r;

  r = chain_state_take(opened, true, &s, err);
  if (r < 0)
    return r;
  text = chain_state_print(&s);
  if (!text)
    return error_nomem(err, "naming the state of a disk");
  *ret = text;
  return 0;
}

/* Says why not even the bases are the same. */
static int
lost_base(const struct chain_state *then, const struct chain_state *now,
          struct vdk_error *err)
{
  const struct chain_link *o = &then->links[0], *n = &now->links[0];

  if (strcmp(o->name, n->name) != 0)
    return error_set(err, VDK_E_LOST_RANGES,
                     "the disk's base is now %s and was %s", n->name, o->name);
  if (o->busy)
    return error_set(err, VDK_E_LOST_RANGES,
                     "%s, the disk's base, was being written at the last "
                     "backup; with a snapshot only its links would be",
                     n->name);
  return error_set(err, VDK_E_LOST_RANGES,
                   "%s, the disk's base, was written, moved or replaced since; "
                   "changes are only known above a base that a snapshot keeps",
                   n->name);
}

/* Adds what the old links from FIRST on held. */
static bool
add_then_held(struct ranges *sum, const struct chain_state *then, size_t first)
{
  for (size_t i = first; i < then->count; i++)
    if (!ranges_merge(sum, &then->links[i].held))
      return false;
  return true;
}

static int
collect(struct vdk_disk *d, const struct chain_state *then,
        const struct chain_state *now, size_t same, struct ranges *sum,
        struct vdk_error *err)
{
  struct ranges growth = {.limit = CHANGED_MAX};
  bool ok;

  sum->limit = CHANGED_MAX;
  if (now->count > same) {
    int r = chain_held(d, 0, now->count - same, sum, err);

    if (r < 0)
      return r;
  }
  ok = add_then_held(sum, then, same);
  if (ok && now->size > then->size) {
    ok = ranges_add(&growth, then->size, now->size - then->size) &&
         ranges_merge(sum, &growth);
    ranges_free(&growth);
  }
  if (!ok)
    return error_nomem(err, "listing changed ranges");
  ranges_clip(sum, now->size);
  return 0;
}

static void
ranges_freep(struct ranges *r)
{
  ranges_free(r);
}

int
local_changed(struct vdk_host *h, const struct host_vm *vm,
              const struct host_disk *disk, struct vdk_disk *opened,
              const char *change_id, struct vdk_extent **ret, size_t *ret_count,
              struct vdk_error *err)
{
  _cleanup_chain_ struct chain_state then = {0}, now = {0};
  _cleanup_(ranges_freep) struct ranges sum = {0};
  size_t same = 0;
  int r;

  r = chain_state_parse(change_id, &then, err);
  if (r == -VDK_E_CORRUPT)
    return error_set(err, VDK_E_LOST_RANGES,
                     "the last backup does not say in what state the disk was");
  if (r == 0)
    r = chain_state_take(opened, false, &now, err);
  if (r < 0)
    return r;
  if (now.size < then.size)
    return error_set(err, VDK_E_LOST_RANGES,
                     "the disk has shrunk from %" PRIu64 " to %" PRIu64
                     " bytes",
                     then.size, now.size);
  while (same < then.count && same < now.count &&
         chain_link_same(&then.links[same], &now.links[same]))
    same++;
  if (same == 0)
    return lost_base(&then, &now, err);
  r = collect(opened, &then, &now, same, &sum, err);
  if (r < 0)
    return r;
  if (!sum.list && !(sum.list = malloc(sizeof *sum.list)))
    return error_nomem(err, "listing changed ranges");
  *ret = TAKE_PTR(sum.list);
  *ret_count = sum.count;
  return 0;
}
