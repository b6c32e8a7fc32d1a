/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of a chain as text, all on one line, links from the base on:
 *
 *   vdkit-chain-1 size=BYTES;NAME cid=HEX|none files=N bytes=N sum=HEX
 *   still|busy held=GAP+LENGTH,GAP+LENGTH...;NAME ...
 *
 * NAME is percent-encoded. What a link holds is in hexadecimal units of 64
 * KiB, each range by the gap to the one before it and its length.
 *
 * The text comes back from a repository that a stranger may have written. A
 * wrong one can make a backup read too little, as a wrong manifest can in
 * other ways; it must never do more, so that every number is bounded here.
 */
#include "host/local/chain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#define MAGIC     "vdkit-chain-1"
#define HELD_UNIT (64u * 1024)
#define HELD_MAX  4096u /* ranges of one link */

/* --- Printing ------------------------------------------------------------ */

static void
print_name(struct strbuf *b, const char *name)
{
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "abcdefghijklmnopqrstuvwxyz0123456789._-";

  for (; *name; name++) {
    if (strchr(plain, *name))
      strbuf_append_bytes(b, name, 1);
    else
      strbuf_printf(b, "%%%02x", (unsigned char)*name);
  }
}

/* Rounded outwards to units; those that then touch are joined. */
static void
print_held(struct strbuf *b, const struct ranges *held)
{
  uint64_t last = 0, start = 0, end = 0;
  const char *comma = "";

  for (size_t i = 0; i <= held->count; i++) {
    const struct vdk_extent *e = i < held->count ? &held->list[i] : NULL;
    uint64_t next = e ? e->offset / HELD_UNIT : UINT64_MAX;

    if (e && end && next <= end) {
      end = MAX(end, div_round_up(e->offset + e->length, HELD_UNIT));
      continue;
    }
    if (end) {
      strbuf_printf(b, "%s%" PRIx64 "+%" PRIx64, comma, start - last,
                    end - start);
      comma = ",";
      last = end;
    }
    if (e) {
      start = next;
      end = div_round_up(e->offset + e->length, HELD_UNIT);
    }
  }
}

char *
chain_state_print(const struct chain_state *s)
{
  _cleanup_strbuf_ struct strbuf b = {0};

  strbuf_printf(&b, MAGIC " size=%" PRIu64, s->size);
  for (size_t i = 0; i < s->count; i++) {
    const struct chain_link *l = &s->links[i];

    strbuf_append(&b, ";");
    print_name(&b, l->name);
    if (l->has_cid)
      strbuf_printf(&b, " cid=%08x", l->cid);
    else
      strbuf_append(&b, " cid=none");
    strbuf_printf(&b, " files=%" PRIu64 " bytes=%" PRIu64, l->files, l->bytes);
    strbuf_printf(&b, " sum=%016" PRIx64 "%016" PRIx64,
                  (uint64_t)(l->sum >> 64), (uint64_t)l->sum);
    strbuf_append(&b, l->busy ? " busy held=" : " still held=");
    print_held(&b, &l->held);
  }
  return strbuf_take(&b);
}

/* --- Parsing ------------------------------------------------------------- */

static bool
take_text(const char **s, const char *text)
{
  if (!str_starts_with(*s, text))
    return false;
  *s += strlen(text);
  return true;
}

/* Hex or decimal digits, 1 to 16 or 20 of them, that fit. */
static bool
take_number(const char **s, unsigned base, uint64_t *ret)
{
  const char *digits = base == 16 ? "0123456789abcdef" : "0123456789";
  const char *p = *s, *digit;
  uint64_t v = 0;

  for (; *p && (digit = strchr(digits, *p)); p++)
    if (mul_overflows(v, (uint64_t)base, &v) ||
        add_overflows(v, (uint64_t)(digit - digits), &v))
      return false;
  if (p == *s)
    return false;
  *s = p;
  *ret = v;
  return true;
}

static bool
take_field(const char **s, const char *name, uint64_t *ret)
{
  return take_text(s, name) && take_number(s, 10, ret);
}

/* Up to the next blank. Undoing the encoding would serve nothing but a file
 * name with a zero in it: names are only compared, so both are encoded. */
static bool
take_name(const char **s, char **ret, bool *ret_nomem)
{
  size_t len = strcspn(*s, " ;");
  _cleanup_strbuf_ struct strbuf b = {0};
  const char *p = *s;

  if (len == 0 || len > 3 * 1024)
    return false;
  while (p < *s + len) {
    char byte = *p;

    if (byte == '%') {
      char hex[3] = {p[1], p[1] ? p[2] : 0, 0};

      if (!hex_decode(hex, &byte, 1) || byte == 0)
        return false;
      p += 2;
    }
    p++;
    strbuf_append_bytes(&b, &byte, 1);
  }
  *s += len;
  *ret = strbuf_take(&b);
  *ret_nomem = !*ret;
  return *ret != NULL;
}

static bool
take_cid(const char **s, struct chain_link *l)
{
  uint64_t cid;

  if (take_text(s, " cid=none"))
    return true;
  if (!take_text(s, " cid=") || !take_number(s, 16, &cid) || cid > UINT32_MAX)
    return false;
  l->has_cid = true;
  l->cid = cid;
  return true;
}

static bool
take_sum(const char **s, struct chain_link *l)
{
  char hex[17] = {0};

  if (!take_text(s, " sum="))
    return false;
  for (int half = 0; half < 2; half++) {
    const char *p = hex;
    uint64_t v;

    if (strnlen(*s, 16) < 16)
      return false;
    memcpy(hex, *s, 16);
    if (!take_number(&p, 16, &v) || *p)
      return false;
    l->sum = l->sum << 64 | v;
    *s += 16;
  }
  return true;
}

static bool
take_held(const char **s, uint64_t size, struct ranges *held, bool *ret_nomem)
{
  uint64_t units = div_round_up(size, HELD_UNIT), at = 0;

  held->limit = HELD_MAX;
  if (**s == ';' || **s == 0)
    return true;
  for (size_t i = 0; i < HELD_MAX; i++) {
    uint64_t gap, len;

    if (!take_number(s, 16, &gap) || !take_text(s, "+") ||
        !take_number(s, 16, &len) || len == 0 || gap > units - at ||
        len > units - at - gap)
      return false;
    at += gap;
    *ret_nomem = !ranges_add(held, at * HELD_UNIT, len * HELD_UNIT);
    if (*ret_nomem)
      return false;
    at += len;
    if (!take_text(s, ","))
      return true;
  }
  return false;
}

static bool
take_link(const char **s, uint64_t size, struct chain_link *l, bool *ret_nomem)
{
  if (!take_text(s, ";") || !take_name(s, &l->name, ret_nomem) ||
      !take_cid(s, l) || !take_field(s, " files=", &l->files) ||
      !take_field(s, " bytes=", &l->bytes) || !take_sum(s, l))
    return false;
  l->busy = take_text(s, " busy");
  if (!l->busy && !take_text(s, " still"))
    return false;
  return take_text(s, " held=") && take_held(s, size, &l->held, ret_nomem);
}

int
chain_state_parse(const char *text, struct chain_state *ret,
                  struct vdk_error *err)
{
  _cleanup_chain_ struct chain_state s = {0};
  size_t capacity = 0;
  bool nomem = false;
  bool good = strnlen(text, CHAIN_TEXT_MAX + 1) <= CHAIN_TEXT_MAX &&
              take_text(&text, MAGIC) && take_field(&text, " size=", &s.size) &&
              s.size <= INT64_MAX;

  while (good && *text) {
    if (s.count == DISK_CHAIN_MAX)
      return error_set(err, VDK_E_CORRUPT, "a chain of too many links");
    if (!mem_grow(&s.links, &capacity, s.count + 1, sizeof *s.links))
      return error_nomem(err, "reading the state of a disk");
    s.links[s.count] = (struct chain_link){0};
    good = take_link(&text, s.size, &s.links[s.count++], &nomem);
  }
  if (nomem)
    return error_nomem(err, "reading the state of a disk");
  if (!good || s.count == 0)
    return error_set(err, VDK_E_CORRUPT,
                     "a text that does not name a state of a disk");
  *ret = s;
  s = (struct chain_state){0};
  return 0;
}
