/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text: a growing buffer, hex, and pure path arithmetic (nothing here looks at
 * a file system).
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include <vdkit/error.h>

/* Growing text. Zero-initialise; after a failed allocation it stays failed
 * and every append is ignored, so that only the end needs a check. TEXT is
 * NUL-terminated once anything was appended. */
struct strbuf {
  char *text;
  size_t len, capacity;
  bool failed;
};

void strbuf_append(struct strbuf *b, const char *text);
void strbuf_append_bytes(struct strbuf *b, const void *bytes, size_t len);
void strbuf_printf(struct strbuf *b, const char *fmt, ...) VDK_PRINTF(2, 3);
/* The text, now the caller's; NULL when an append had failed. Never NULL
 * otherwise: an empty buffer gives "". */
char *strbuf_take(struct strbuf *b);
void strbuf_free(struct strbuf *b);

static inline void
strbuf_freep(struct strbuf *b)
{
  strbuf_free(b);
}
#define _cleanup_strbuf_ _cleanup_(strbuf_freep)

/* printf into new memory; NULL when there is none. */
char *str_printf(const char *fmt, ...) VDK_PRINTF(1, 2);
/* strdup, strndup; NULL for NULL. */
char *str_dup(const char *s);
char *str_ndup(const char *s, size_t len);

bool str_equal_nocase(const char *a, const char *b); /* ASCII only */
bool str_starts_with(const char *s, const char *prefix);
bool str_ends_with_nocase(const char *s, const char *suffix);

/* A decimal or (with 0x) hexadecimal number that takes all of S. False for
 * anything else, signs and blanks included. */
bool str_to_u64(const char *s, uint64_t *ret);

/* "10G", "512", "1.5T", "64KiB": bytes; the suffixes K M G T P (with or
 * without B or iB) are powers of 1024. False when it is no size. */
bool str_to_size(const char *s, uint64_t *ret);

/* Lower-case hex of LEN bytes into 2 * LEN + 1 characters. */
void hex_encode(const void *bytes, size_t len, char *ret);
/* False unless HEX is exactly 2 * LEN hex digits (either case). */
bool hex_decode(const char *hex, void *ret, size_t len);

/* The part after the last '/' (all of it when there is none). */
const char *path_basename(const char *path);
/* The directory part: "." when there is none. New memory or NULL. */
char *path_dirname(const char *path);
/* DIR "/" NAME, or NAME alone when it is absolute or DIR is ".". */
char *path_join(const char *dir, const char *name);

#endif
