/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/utf8.h"

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

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

bool
utf8_valid(const char *text)
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
utf8_from(const char *text)
{
  /* windows-1252 from 0x80 to 0x9f; the rest is Latin-1. */
  static const uint16_t high[32] = {
      0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
      0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd,
      0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
      0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178,
  };
  _cleanup_strbuf_ struct strbuf b = {0};

  if (utf8_valid(text))
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
