/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A .vmx of a stranger: parsed, its disks found, edited as a restore edits
 * it, printed, and parsed again to the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/host_free.h"
#include "host/local/identity.h"
#include "host/local/local.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What stands there stays; what was set is what is read. */
static void
check_printed(struct vmx_dict *d)
{
  _cleanup_dict_ struct vmx_dict *again = NULL;
  _cleanup_free_ char *text = NULL;
  size_t len;

  if (vmx_dict_set(d, "scsi0:0.fileName", "a \"b\"|\n.vmdk", NULL) < 0 ||
      vmx_dict_print(d, &text, &len, NULL) < 0 || len > VMX_DICT_MAX)
    return;
  if (vmx_dict_parse(text, len, "again", &again, NULL) < 0)
    abort();
  if (strcmp(vmx_dict_text(again, "SCSI0:0.filename"), "a \"b\"|\n.vmdk"))
    abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  _cleanup_dict_ struct vmx_dict *d = NULL;
  _cleanup_free_ char *text = NULL;
  char uuid[UUID_TEXT_SIZE];
  struct host_disk *disks;
  size_t count, len;

  if (vmx_dict_parse((const char *)data, size, "fuzz", &d, NULL) < 0)
    return 0;
  if (vmx_dict_print(d, &text, &len, NULL) == 0 &&
      (len != size || memcmp(text, data, len) != 0))
    abort();
  if (vmx_disks_find(d, &disks, &count, NULL) == 0)
    host_disks_free(disks, count);
  identity_from_bios(vmx_dict_text(d, "uuid.bios"), uuid);
  check_printed(d);
  vmx_dict_remove(d, "scsi0:0.present");
  if (vmx_dict_get(d, "scsi0:0.present"))
    abort();
  return 0;
}
