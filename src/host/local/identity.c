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

/* Bytes of the UTF-8 character at S, 0 when there is none. Refuses what RFC
 * 3629 refuses: overlong forms, surrogates, beyond U+10FFFF. */
static size_t
utf8_length(const unsigned char *s)
{
  static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  uint32_t c;
  size_t n;

  if (s[0] < 0x80)
    return 1;
  n = s[0] >= 0xf8 ? 0 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
  if (n == 0 || s[0] < 0xc2)
    return 0;
  c = s[0] & (0x7f >> n);
  for (size_t i = 1; i < n; i++) {
    if ((s[i] & 0xc0) != 0x80)
      return 0;
    c = c << 6 | (s[i] & 0x3f);
  }
  if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
    return 0;
  return n;
}

static bool
is_utf8(const char *text)
{
  const unsigned char *s = (const unsigned char *)text;

  while (*s) {
    size_t n = utf8_length(s);

    if (n == 0)
      return false;
    s += n;
  }
  return true;
}

char *
identity_utf8(const char *text)
{
  /* windows-1252 from 0x80 to 0x9f; the rest is Latin-1. */
  static const uint16_t high[32] = {
      0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
      0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd,
      0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
      0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178,
  };
  _cleanup_strbuf_ struct strbuf b = {0};

  if (is_utf8(text))
    return str_dup(text);
  for (; *text; text++) {
    unsigned c = (unsigned char)*text;
    char out[3];

    if (c >= 0x80 && c < 0xa0)
      c = high[c - 0x80];
    if (c < 0x80) {
      out[0] = c;
      strbuf_append_bytes(&b, out, 1);
    } else if (c < 0x800) {
      out[0] = 0xc0 | c >> 6;
      out[1] = 0x80 | (c & 0x3f);
      strbuf_append_bytes(&b, out, 2);
    } else {
      out[0] = 0xe0 | c >> 12;
      out[1] = 0x80 | (c >> 6 & 0x3f);
      out[2] = 0x80 | (c & 0x3f);
      strbuf_append_bytes(&b, out, 3);
    }
  }
  return strbuf_take(&b);
}
