/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Identity of a VM.
 *
 * uuid.bios is 16 bytes as VMware writes them; they are only spelled anew,
 * never reordered (an SMBIOS reader shows the first three fields with their
 * bytes swapped; that is its business).
 *
 * A VM without one gets a UUID of version 8 ("custom", RFC 9562), made of the
 * 128-bit FNV-1a sum of the text "vdkit-vm-path:" and the path of its .vmx
 * with all symbolic links resolved: the sum's bytes, highest first, with the
 * version and variant bits put in. A moved VM thus becomes another VM, which
 * costs a full backup and never mixes two.
 */
#include "host/local/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define FNV_PRIME ((fnv_sum)1 << 88 | 0x13b)

fnv_sum
fnv_add(fnv_sum sum, const void *bytes, size_t len)
{
  const uint8_t *p = bytes;

  while (len--)
    sum = (sum ^ *p++) * FNV_PRIME;
  return sum;
}

static void
uuid_print(const uint8_t b[16], char ret[UUID_TEXT_SIZE])
{
  char hex[33];

  hex_encode(b, 16, hex);
  snprintf(ret, UUID_TEXT_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
           hex + 12, hex + 16, hex + 20);
}

bool
identity_from_bios(const char *text, char ret[UUID_TEXT_SIZE])
{
  static const uint8_t zero[16];
  uint8_t bytes[16];
  char hex[33];
  size_t n = 0;

  for (; *text; text++) {
    if (*text == ' ' || *text == '-')
      continue;
    if (n == 32)
      return false;
    hex[n++] = *text;
  }
  hex[n] = 0;
  if (!hex_decode(hex, bytes, sizeof bytes) ||
      memcmp(bytes, zero, sizeof zero) == 0)
    return false;
  uuid_print(bytes, ret);
  return true;
}

void
identity_from_path(const char *path, char ret[UUID_TEXT_SIZE])
{
  static const char domain[] = "vdkit-vm-path:";
  fnv_sum sum = fnv_add(FNV_INIT, domain, sizeof domain - 1);
  uint8_t bytes[16];

  sum = fnv_add(sum, path, strlen(path));
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (uint8_t)(sum >> (120 - 8 * i));
  bytes[6] = (bytes[6] & 0x0f) | 0x80;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  uuid_print(bytes, ret);
}
