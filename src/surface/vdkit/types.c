/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The types of disks that can be made, and the version.
 *
 * The table lists what the formats make, since a caller wants a list; a test
 * holds it against what the formats say that they know.
 */
#include "base/checked.h"
#include "base/str.h"
#include "format/format.h"
#include "surface/vdkit/surface.h"

static const struct {
  const char *name, *text;
} types[] = {
    {"raw", "the bytes of the disk, in a sparse file"},
    {"monolithicSparse", "VMDK: one file that grows (VMware Workstation)"},
    {"monolithicFlat", "VMDK: descriptor and one file of full size"},
    {"twoGbMaxExtentSparse", "VMDK: files of up to 2 GB that grow"},
    {"twoGbMaxExtentFlat", "VMDK: files of up to 2 GB, of full size"},
    {"vmfs", "VMDK: descriptor and -flat file, as on ESXi"},
    {"streamOptimized", "VMDK: compressed, for transport (OVA), read-only"},
};

const char *const *
vdk_type_names(void)
{
  static const char *const names[] = {
      "raw",
      "monolithicSparse",
      "monolithicFlat",
      "twoGbMaxExtentSparse",
      "twoGbMaxExtentFlat",
      "vmfs",
      "streamOptimized",
      NULL,
  };

  _Static_assert(ARRAY_SIZE(names) == ARRAY_SIZE(types) + 1,
                 "each type is listed");
  return names;
}

const char *
vdk_type_text(const char *type)
{
  for (size_t i = 0; type && i < ARRAY_SIZE(types); i++)
    if (str_equal_nocase(types[i].name, type))
      return types[i].text;
  return NULL;
}

const char *
vdk_type_by_suffix(const char *path)
{
  return path ? format_type_by_suffix(path) : NULL;
}

const char *
vdk_version(void)
{
  return VDKIT_VERSION;
}
