/* SPDX-License-Identifier: BSD-3-Clause */
#include "repo/id.h"

#include <openssl/evp.h>

#include "base/error.h"
#include "base/str.h"

int
id_of(const void *data, size_t len, struct repo_id *ret, struct vdk_error *err)
{
  if (EVP_Digest(data, len, ret->bytes, NULL, EVP_sha256(), NULL) != 1)
    return error_set(err, VDK_E_NOMEM, "cannot compute a SHA-256");
  return 0;
}

const char *
id_hex(const struct repo_id *id, char *buf)
{
  hex_encode(id->bytes, sizeof id->bytes, buf);
  return buf;
}

bool
id_parse(const char *hex, struct repo_id *ret)
{
  return strspn(hex, "0123456789abcdef") == 2 * REPO_ID_SIZE &&
         hex_decode(hex, ret->bytes, sizeof ret->bytes);
}
