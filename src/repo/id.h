/* SPDX-License-Identifier: BSD-3-Clause */
/* Chunk ids: SHA-256, compared as bytes, and their hex. */
#ifndef REPO_ID_H
#define REPO_ID_H

#include <string.h>

#include "repo/repo.h"

#define ID_HEX_SIZE (2 * REPO_ID_SIZE + 1)

int id_of(const void *data, size_t len, struct repo_id *ret,
          struct vdk_error *err);

static inline bool
id_equal(const struct repo_id *a, const struct repo_id *b)
{
  return memcmp(a, b, sizeof *a) == 0;
}

static inline bool
id_is_zero(const struct repo_id *id)
{
  static const struct repo_id zero;

  return id_equal(id, &zero);
}

/* Fills BUF (ID_HEX_SIZE) and returns it. */
const char *id_hex(const struct repo_id *id, char *buf);
/* Exactly 64 lower-case digits. */
bool id_parse(const char *hex, struct repo_id *ret);

#endif
