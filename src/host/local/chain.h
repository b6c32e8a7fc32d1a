/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of a chain of links, as one line of text: chain_id.c. */
#ifndef HOST_LOCAL_CHAIN_H
#define HOST_LOCAL_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "disk/disk.h"
#include "host/local/identity.h"
#include "host/local/ranges.h"

/* A state from a repository is a stranger's text. */
#define CHAIN_TEXT_MAX (1024u * 1024)

struct chain_link {
  char *name; /* base name of its descriptor */
  bool has_cid;
  uint32_t cid;
  uint64_t files, bytes; /* number and sizes of its files */
  fnv_sum sum;           /* of their names, sizes, inodes and times */
  /* Somebody wrote it just when the state was taken: a later write may have
   * left the same times. It counts as changed whatever it looks like. */
  bool busy;
  struct ranges held; /* what it holds or more; nothing for the base */
};

struct chain_state {
  uint64_t size;            /* bytes of the disk */
  struct chain_link *links; /* the base first */
  size_t count;
};

void chain_state_clear(struct chain_state *s);
#define _cleanup_chain_ _cleanup_(chain_state_clear)

/* The state of D's chain now. FOR_LATER: to be compared with later ones, so
 * that files which were just written are given a moment to settle, and what
 * each link above the base holds is listed. VDK_E_UNSUPPORTED when a link's
 * files cannot be watched. */
int chain_state_take(struct vdk_disk *d, bool for_later,
                     struct chain_state *ret, struct vdk_error *err);

char *chain_state_print(const struct chain_state *s); /* NULL: no memory */
/* VDK_E_CORRUPT for what is no such text. */
int chain_state_parse(const char *text, struct chain_state *ret,
                      struct vdk_error *err);

/* True when nothing says that the link was touched between two states. */
bool chain_link_same(const struct chain_link *then,
                     const struct chain_link *now);

/* Appends what links FIRST .. FIRST+COUNT-1 of D (0 is the written one) hold
 * to the empty RET. */
int chain_held(struct vdk_disk *d, unsigned first, unsigned count,
               struct ranges *ret, struct vdk_error *err);

#endif
