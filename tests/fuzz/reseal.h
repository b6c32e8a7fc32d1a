/* SPDX-License-Identifier: BSD-3-Clause */
/* Sealed JSON for fuzz targets: as given, and sealed anew. */
#ifndef TESTS_FUZZ_RESEAL_H
#define TESTS_FUZZ_RESEAL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/id.h"
#include "repo/seal.h"

static inline void
fuzz_sealed(const uint8_t *data, size_t size,
            void (*check)(const char *text, size_t len))
{
  size_t body = size > SEAL_SIZE ? size - SEAL_SIZE : 0;
  char *text = malloc(size + SEAL_SIZE + 1), hex[ID_HEX_SIZE];
  struct repo_id id;

  if (!text)
    abort();
  if (size > 0)
    memcpy(text, data, size);
  text[size] = 0;
  check(text, size);
  if (body > 0 && id_of(data, body, &id, NULL) == 0) {
    snprintf(text + body, SEAL_SIZE + 1, ",\"sha256\":\"%s\"}\n",
             id_hex(&id, hex));
    check(text, body + SEAL_SIZE);
  }
  free(text);
}

#endif
