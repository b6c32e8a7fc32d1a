/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A descriptor of a stranger: parsed, printed to the same bytes, edited,
 * printed, and parsed again to what was set.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "format/vmdk/vmdk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
count_key(void *opaque, const char *key, const char *value)
{
  if (strncasecmp(key, "ddb.", 4) != 0 || strchr(value, '\n'))
    abort();
  ++*(size_t *)opaque;
  return 0;
}

static void
check_same(const struct vmdk_descriptor *d, const char *text, size_t len)
{
  _cleanup_free_ char *printed = NULL;
  size_t printed_len;

  if (vmdk_descriptor_print(d, &printed, &printed_len, NULL) != 0)
    return;
  if (printed_len != len || memcmp(printed, text, len) != 0)
    abort();
}

static void
check_edited(struct vmdk_descriptor *d)
{
  struct vmdk_descriptor *again = NULL;
  _cleanup_free_ char *printed = NULL;
  const struct vmdk_extent_line *lines;
  size_t len, count = vmdk_descriptor_extents(d, &lines);

  if (vmdk_descriptor_set(d, "CID", "0badcafe", false, NULL) != 0 ||
      vmdk_descriptor_set(d, "changeTrackPath", NULL, true, NULL) != 0 ||
      vmdk_descriptor_ddb_set(d, "ddb.fuzz", "a \"value\" = # b", NULL) != 0 ||
      vmdk_descriptor_ddb_set(d, "ddb.uuid", NULL, NULL) != 0 ||
      vmdk_descriptor_print(d, &printed, &len, NULL) != 0)
    return;
  if (len > VMDK_DESCRIPTOR_MAX)
    return;
  if (vmdk_descriptor_parse(printed, len, "again", &again, NULL) != 0)
    abort();
  if (strcmp(vmdk_descriptor_get(again, "cid"), "0badcafe") != 0 ||
      strcmp(vmdk_descriptor_ddb_get(again, "ddb.fuzz"), "a \"value\" = # b") !=
          0 ||
      vmdk_descriptor_extents(again, &lines) != count)
    abort();
  vmdk_descriptor_free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const char *text = (const char *)data;
  const struct vmdk_extent_line *lines;
  struct vmdk_descriptor *d;
  size_t count, keys = 0;

  if (vmdk_descriptor_parse(text, size, "fuzz", &d, NULL) != 0)
    return 0;
  check_same(d, text, strnlen(text, size));
  vmdk_descriptor_ddb_list(d, count_key, &keys);
  count = vmdk_descriptor_extents(d, &lines);
  for (size_t i = 0; i < count; i++)
    if (lines[i].sectors > INT64_MAX / 512 ||
        (lines[i].type != VMDK_ZERO && lines[i].file[0] == 0))
      abort();
  check_edited(d);
  vmdk_descriptor_free(d);
  return 0;
}
