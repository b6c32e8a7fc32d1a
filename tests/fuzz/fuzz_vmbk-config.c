/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vmbk.json: the bytes as they are, and with a seal that fits them, because
 * the checksum would keep nearly every other input from the parser.
 */
#include <stdlib.h>
#include <string.h>

#include "repo/internal.h"
#include "tests/fuzz/reseal.h"

static void
check(const char *text, size_t len)
{
  struct vdk_store store = {.name = (char *)(uintptr_t) "fuzz"};
  struct repo repo = {.store = &store};
  struct vdk_error err = VDK_ERROR_INIT;

  if (repo_config_check(&repo, text, len, &err) == 0 &&
      (repo.chunk_size < REPO_CHUNK_SIZE_MIN ||
       repo.chunk_size > REPO_CHUNK_SIZE_MAX || strlen(repo.uuid) != 36))
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_sealed(data, size, check);
  return 0;
}
