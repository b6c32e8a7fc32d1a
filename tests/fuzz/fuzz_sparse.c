/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A sparse disk of a stranger, in memory: opened, mapped, read; written where
 * that is allowed, and what was written is read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "file/file.h"
#include "format/format.h"

#define STEPS 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vdk_link *
open_disk(struct vdk_dir *dir, unsigned flags)
{
  struct format_open o = {.dir = dir, .name = "a.vmdk", .flags = flags};
  struct vdk_link *l = NULL;

  return format_by_name("vmdk")->open(&o, &l, NULL) == 0 ? l : NULL;
}

static void
walk(struct vdk_link *l)
{
  static uint8_t buf[65536];
  struct link_info info;
  uint64_t offset = 0;

  l->ops->info(l, &info);
  for (int i = 0; i < STEPS && offset < info.size; i++) {
    uint64_t run = 0;
    size_t len = 0, want = (size_t)MIN(info.size - offset, sizeof buf);
    int state = -1;

    if (l->ops->map(l, offset, info.size - offset, &run, &state, NULL) != 0) {
      offset += info.granularity;
      continue;
    }
    if (run == 0 || run > info.size - offset || state < 0)
      abort();
    if (l->ops->read(l, offset, buf, want, &len, &state, NULL) == 0 &&
        (len == 0 || len > want))
      abort();
    offset += run;
  }
}

static void
change(struct vdk_link *l)
{
  static const char text[] = "written here";
  struct link_info info;
  char back[sizeof text];
  size_t len;
  int state;

  l->ops->info(l, &info);
  if (info.size < 4096)
    return;
  for (unsigned i = 0; i < 8; i++) {
    uint64_t offset =
        i < 7 ? (info.size - sizeof text) / 7 * i : info.size - sizeof text;

    if (info.has_parent)
      offset = offset / info.granularity * info.granularity;
    if (l->ops->write(l, offset, text, sizeof text, NULL) != 0)
      continue;
    if (l->ops->read(l, offset, back, sizeof back, &len, &state, NULL) != 0 ||
        state != VDK_EXTENT_DATA || memcmp(back, text, len) != 0)
      abort();
  }
  l->ops->zero(l, 0, MIN(info.size, 3ull * info.granularity), NULL);
  l->ops->flush(l, NULL);
  l->ops->meta_set(l, "fuzz", "value", NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const unsigned flags[] = {0, FORMAT_SALVAGE, FORMAT_WRITE, 0};
  _cleanup_dir_ struct vdk_dir *dir = NULL;

  if (dir_memory_new("fuzz", &dir, NULL) != 0 ||
      dir_put(dir, "a.vmdk", data, size, false, NULL) != 0)
    return 0;
  for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
    struct vdk_link *l = open_disk(dir, flags[i]);

    if (!l)
      continue;
    walk(l);
    if (flags[i] & FORMAT_WRITE)
      change(l);
    l->ops->close(l, NULL);
  }
  return 0;
}
