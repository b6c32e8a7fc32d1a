/* SPDX-License-Identifier: BSD-3-Clause */
/* A .vmsd of a stranger: whatever it says, the tree is a tree. */
#include <stdint.h>
#include <stdlib.h>

#include "host/host_free.h"
#include "host/local/local.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct host_snapshot *
find(const struct host_snapshot *s, size_t count, unsigned uid)
{
  for (size_t i = 0; i < count; i++)
    if (s[i].uid == uid)
      return &s[i];
  return NULL;
}

/* Every parent exists and every line of parents ends. */
static void
check_tree(const struct host_snapshot *s, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    const struct host_snapshot *p = &s[i];
    size_t steps = 0;

    while (p && p->parent && steps++ <= count)
      p = find(s, count, p->parent);
    if (!p || steps > count || (i && s[i - 1].uid >= s[i].uid))
      abort();
  }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  _cleanup_dict_ struct vmx_dict *d = NULL;
  struct host_snapshot *snapshots;
  size_t count;

  if (vmx_dict_parse((const char *)data, size, "fuzz", &d, NULL) < 0)
    return 0;
  if (vmsd_read(d, "fuzz", NULL, &snapshots, &count, NULL) < 0)
    return 0;
  check_tree(snapshots, count);
  host_snapshots_free(snapshots, count);
  return 0;
}
