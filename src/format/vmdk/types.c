/* SPDX-License-Identifier: BSD-3-Clause */
/* The createTypes of the VMDK family: which layout each is, and which are
 * only known by name so far. */
#include "base/checked.h"
#include "base/str.h"
#include "format/vmdk/vmdk_link.h"

/* ESXi writes "vmfs" for every kind of its flat disks; how they are allocated
 * is only a matter of creation. */
static const struct vmdk_type types[] = {
    {"monolithicSparse", NULL, "monolithicSparse", LAYOUT_SPARSE, false},
    {"monolithicFlat", NULL, "monolithicFlat", LAYOUT_FLAT, false},
    {"twoGbMaxExtentSparse", "2GbMaxExtentSparse", "twoGbMaxExtentSparse",
     LAYOUT_SPLIT_SPARSE, false},
    {"twoGbMaxExtentFlat", "2GbMaxExtentFlat", "twoGbMaxExtentFlat",
     LAYOUT_SPLIT_FLAT, false},
    {"streamOptimized", NULL, "streamOptimized", LAYOUT_STREAM, false},
    {"vmfs", NULL, "vmfs", LAYOUT_VMFS, false},
    {"vmfsThin", NULL, "vmfs", LAYOUT_VMFS, false},
    {"vmfsPreallocated", NULL, "vmfs", LAYOUT_VMFS, true},
    {"vmfsEagerZeroedThick", NULL, "vmfs", LAYOUT_VMFS, true},
    {"vmfsThick", NULL, "vmfs", LAYOUT_VMFS, true},
    {"custom", NULL, NULL, LAYOUT_UNSUPPORTED, false},
    {"fullDevice", NULL, NULL, LAYOUT_UNSUPPORTED, false},
    {"partitionedDevice", NULL, NULL, LAYOUT_UNSUPPORTED, false},
    {"vmfsSparse", NULL, NULL, LAYOUT_UNSUPPORTED, false},
    {"seSparse", "vmfsSeSparse", NULL, LAYOUT_UNSUPPORTED, false},
    {"vsanSparse", NULL, NULL, LAYOUT_UNSUPPORTED, false},
    {"vmfsRawDeviceMap", "vmfsRDM", NULL, LAYOUT_UNSUPPORTED, false},
    {"vmfsPassthroughRawDeviceMap", "vmfsRDMP", NULL, LAYOUT_UNSUPPORTED,
     false},
    {"vmfsRaw", NULL, NULL, LAYOUT_UNSUPPORTED, false},
};

const struct vmdk_type *
vmdk_type_find(const char *name)
{
  for (size_t i = 0; i < ARRAY_SIZE(types); i++)
    if (str_equal_nocase(types[i].name, name) ||
        (types[i].alias && str_equal_nocase(types[i].alias, name)))
      return &types[i];
  return NULL;
}
