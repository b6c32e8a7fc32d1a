/* SPDX-License-Identifier: BSD-3-Clause */
/* Manifests. What is taken must keep the limits, and be written again. */
#include "repo/manifest.h"
#include "tests/fuzz/reseal.h"

#define KEY                                                                    \
  "vm/564d0000-1111-2222-3333-444455556666/20261121t223455z-1f2e3d4c.json"
#define REPO "01234567-89ab-4cde-8f01-23456789abcd"

static void
check(const char *text, size_t len)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct repo_point *p;
  char *again;
  size_t n;

  if (manifest_read(text, len, KEY, REPO, 65536, &p, &err) != 0)
    return;
  for (size_t i = 0; i < p->disk_count; i++)
    if (!repo_disk_key_is_valid(p->disks[i].key) ||
        p->disks[i].size > VMBK_DISK_MAX)
      abort();
  for (size_t i = 0; i < p->file_count; i++)
    if (!repo_file_name_is_valid(p->files[i].name) ||
        p->files[i].size > VMBK_FILE_MAX)
      abort();
  if (manifest_make(p, REPO, 65536, &again, &n, &err) == 0)
    free(again);
  else if (err.code != VDK_E_INVAL) /* a long warning, grown by U+FFFD */
    abort();
  repo_point_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_sealed(data, size, check);
  return 0;
}
