/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text helpers. Numbers and sizes are parsed by hand or with every way out of
 * strtoull closed, since they come from descriptors that strangers wrote:
 * what is not wholly a number is none.
 */
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/checked.h"
#include "base/mem.h"

void
strbuf_append_bytes(struct strbuf *b, const void *bytes, size_t len)
{
  size_t want;

  if (b->failed)
    return;
  if (add_overflows(b->len, len, &want) || add_overflows(want, 1, &want) ||
      !mem_grow(&b->text, &b->capacity, want, 1)) {
    b->failed = true;
    return;
  }
  if (len)
    memcpy(b->text + b->len, bytes, len);
  b->len += len;
  b->text[b->len] = 0;
}

void
strbuf_append(struct strbuf *b, const char *text)
{
  strbuf_append_bytes(b, text, strlen(text));
}

void
strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
  char stack[256];
  _cleanup_free_ char *heap = NULL;
  va_list args;
  int n;

  va_start(args, fmt);
  n = vsnprintf(stack, sizeof stack, fmt, args);
  va_end(args);
  if (n < 0) {
    b->failed = true;
    return;
  }
  if ((size_t)n < sizeof stack) {
    strbuf_append_bytes(b, stack, n);
    return;
  }
  heap = malloc((size_t)n + 1);
  if (!heap) {
    b->failed = true;
    return;
  }
  va_start(args, fmt);
  vsnprintf(heap, (size_t)n + 1, fmt, args);
  va_end(args);
  strbuf_append_bytes(b, heap, n);
}

char *
strbuf_take(struct strbuf *b)
{
  char *text;

  strbuf_append_bytes(b, "", 0);
  if (b->failed) {
    strbuf_free(b);
    return NULL;
  }
  text = b->text;
  *b = (struct strbuf){0};
  return text;
}

void
strbuf_free(struct strbuf *b)
{
  free(b->text);
  *b = (struct strbuf){0};
}

char *
str_printf(const char *fmt, ...)
{
  va_list args;
  char *text;
  int n;

  va_start(args, fmt);
  n = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  if (n < 0)
    return NULL;
  text = malloc((size_t)n + 1);
  if (!text)
    return NULL;
  va_start(args, fmt);
  vsnprintf(text, (size_t)n + 1, fmt, args);
  va_end(args);
  return text;
}

char *
str_dup(const char *s)
{
  return s ? mem_dup(s, strlen(s) + 1) : NULL;
}

char *
str_ndup(const char *s, size_t len)
{
  char *copy;

  if (!s)
    return NULL;
  len = strnlen(s, len);
  copy = malloc(len + 1);
  if (!copy)
    return NULL;
  memcpy(copy, s, len);
  copy[len] = 0;
  return copy;
}

static int
ascii_lower(unsigned char c)
{
  return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

bool
str_equal_nocase(const char *a, const char *b)
{
  for (; *a && *b; a++, b++)
    if (ascii_lower(*a) != ascii_lower(*b))
      return false;
  return *a == *b;
}

bool
str_starts_with(const char *s, const char *prefix)
{
  return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool
str_ends_with_nocase(const char *s, const char *suffix)
{
  size_t n = strlen(s), m = strlen(suffix);

  return n >= m && str_equal_nocase(s + n - m, suffix);
}

bool
str_to_u64(const char *s, uint64_t *ret)
{
  int base = 10;
  uint64_t v = 0;

  if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
    base = 16;
    s += 2;
  }
  if (!*s)
    return false;
  for (; *s; s++) {
    int c = ascii_lower(*s), digit;

    if (c >= '0' && c <= '9')
      digit = c - '0';
    else if (base == 16 && c >= 'a' && c <= 'f')
      digit = c - 'a' + 10;
    else
      return false;
    if (mul_overflows(v, (uint64_t)base, &v) ||
        add_overflows(v, (uint64_t)digit, &v))
      return false;
  }
  *ret = v;
  return true;
}

bool
str_to_size(const char *s, uint64_t *ret)
{
  static const char units[] = "kmgtp";
  uint64_t whole = 0, scale = 1;
  double fraction = 0, place = 0.1;
  const char *unit;
  size_t digits = 0;

  for (; *s >= '0' && *s <= '9'; s++, digits++)
    if (mul_overflows(whole, (uint64_t)10, &whole) ||
        add_overflows(whole, (uint64_t)(*s - '0'), &whole))
      return false;
  if (*s == '.')
    for (s++; *s >= '0' && *s <= '9'; s++, digits++, place /= 10)
      fraction += (*s - '0') * place;
  if (!digits)
    return false;
  if (*s && (unit = strchr(units, ascii_lower(*s)))) {
    scale = (uint64_t)1 << (10 * (unit - units + 1));
    s++;
    if (ascii_lower(s[0]) == 'i' && ascii_lower(s[1]) == 'b')
      s += 2;
    else if (ascii_lower(s[0]) == 'b')
      s++;
  } else if (ascii_lower(*s) == 'b') {
    s++;
  }
  if (*s || mul_overflows(whole, scale, &whole) ||
      add_overflows(whole, (uint64_t)(fraction * (double)scale), &whole))
    return false;
  *ret = whole;
  return true;
}

void
hex_encode(const void *bytes, size_t len, char *ret)
{
  static const char digits[] = "0123456789abcdef";
  const uint8_t *p = bytes;

  for (size_t i = 0; i < len; i++) {
    ret[2 * i] = digits[p[i] >> 4];
    ret[2 * i + 1] = digits[p[i] & 15];
  }
  ret[2 * len] = 0;
}

static int
hex_digit(unsigned char c)
{
  c = ascii_lower(c);
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return -1;
}

bool
hex_decode(const char *hex, void *ret, size_t len)
{
  uint8_t *out = ret;

  if (strnlen(hex, 2 * len + 1) != 2 * len)
    return false;
  for (size_t i = 0; i < 2 * len; i++)
    if (hex_digit(hex[i]) < 0)
      return false;
  for (size_t i = 0; i < len; i++)
    out[i] = hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]);
  return true;
}

const char *
path_basename(const char *path)
{
  const char *slash = strrchr(path, '/');

  return slash ? slash + 1 : path;
}

char *
path_dirname(const char *path)
{
  const char *slash = strrchr(path, '/');

  if (!slash)
    return str_dup(".");
  if (slash == path)
    return str_dup("/");
  return str_ndup(path, slash - path);
}

char *
path_join(const char *dir, const char *name)
{
  if (name[0] == '/' || strcmp(dir, ".") == 0)
    return str_dup(name);
  return str_printf("%s%s%s", dir, str_ends_with_nocase(dir, "/") ? "" : "/",
                    name);
}
