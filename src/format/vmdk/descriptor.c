/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The descriptor of a VMDK: text that names the disk's kind, its parent, its
 * extents, and the disk database ("ddb." keys).
 *
 * Real descriptors are written by hand, by scripts and by a dozen products,
 * so that reading is liberal: any letter case, any blanks, CRLF, a byte order
 * mark, comments anywhere, any order, any first line. What is not understood
 * is kept: the text is held line by line, only lines that are edited are made
 * anew, and printing an unedited descriptor gives its bytes back.
 *
 * Two copies of the text are held. In `text` each newline became a NUL, so
 * that a line prints as it was. In `words` keys, values and file names were
 * cut out in place, so that they can be handed out as strings without an
 * allocation each. Both live as long as the descriptor; an edited line has
 * memory of its own.
 *
 * The charset ("encoding") is not converted: names are the bytes that stand
 * there, which is how the file systems that hold the extents name them too.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "format/vmdk/vmdk.h"

#define LINES_MAX (VMDK_EXTENTS_MAX + 16384u)

enum line_kind { LINE_OTHER, LINE_KEY, LINE_DDB, LINE_EXTENT };

struct line {
  enum line_kind kind;
  const char *raw;         /* as printed, without its newline */
  const char *key, *value; /* KEY and DDB only */
  char *owned;             /* the memory of an edited line */
};

struct vmdk_descriptor {
  char *text, *words;
  struct line *lines;
  size_t line_count, line_capacity;
  struct vmdk_extent_line *extents; /* names point into WORDS */
  size_t extent_count, extent_capacity;
  bool crlf, final_newline;
};

struct word {
  const char *text;
  int value;
};

static const struct word access_words[] = {
    {"RW", VMDK_RW},
    {"RDONLY", VMDK_RDONLY},
    {"NOACCESS", VMDK_NOACCESS},
};

static const struct word type_words[] = {
    {"FLAT", VMDK_FLAT},
    {"SPARSE", VMDK_SPARSE},
    {"ZERO", VMDK_ZERO},
    {"VMFS", VMDK_VMFS},
    {"VMFSSPARSE", VMDK_VMFSSPARSE},
    {"VMFSRDM", VMDK_VMFSRDM},
    {"VMFSRAW", VMDK_VMFSRAW},
    {"SESPARSE", VMDK_SESPARSE},
    {"VSANSPARSE", VMDK_VSANSPARSE},
};

static bool
is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static char *
skip_blanks(char *p)
{
  while (is_blank(*p))
    p++;
  return p;
}

static void
trim_end(char *start)
{
  char *end = start + strlen(start);

  while (end > start && is_blank(end[-1]))
    end--;
  *end = 0;
}

/* Cuts the next word off *P; NULL at the end of the line. */
static char *
take_word(char **p)
{
  char *start = skip_blanks(*p), *end = start;

  if (*start == 0)
    return NULL;
  while (*end && !is_blank(*end))
    end++;
  *p = *end ? end + 1 : end;
  *end = 0;
  return start;
}

static bool
find_word(const struct word *table, size_t count, const char *text, int *ret)
{
  for (size_t i = 0; i < count; i++)
    if (str_equal_nocase(table[i].text, text)) {
      *ret = table[i].value;
      return true;
    }
  return false;
}

/* True when the line starts with an access word and a blank. */
static bool
is_extent_line(const char *p)
{
  for (size_t i = 0; i < ARRAY_SIZE(access_words); i++) {
    size_t len = strlen(access_words[i].text);

    if (strncasecmp(p, access_words[i].text, len) == 0 && is_blank(p[len]))
      return true;
  }
  return false;
}

/* What follows the type: "NAME" [OFFSET ...]. A name may itself hold quotes:
 * it reaches to the last one of the line. */
static bool
parse_extent_file(char *p, struct vmdk_extent_line *e)
{
  char *last, *word;

  p = skip_blanks(p);
  if (*p == '"') {
    last = strrchr(p, '"');
    if (last == p)
      return false;
    e->file = p + 1;
    *last = 0;
    p = last + 1;
  } else {
    e->file = take_word(&p);
  }
  if (!e->file || e->file[0] == 0)
    return false;
  word = take_word(&p);
  return !word || str_to_u64(word, &e->offset);
}

static int
parse_extent(struct vmdk_descriptor *d, char *p, const char *name,
             size_t number, struct vdk_error *err)
{
  struct vmdk_extent_line e = {0};
  char *access, *sectors, *type;
  int value;

  access = take_word(&p);
  sectors = take_word(&p);
  type = take_word(&p);
  if (!access || !sectors || !type ||
      !find_word(access_words, ARRAY_SIZE(access_words), access, &value))
    return error_set(err, VDK_E_CORRUPT,
                     "%s: line %zu of the descriptor is no extent: an access, "
                     "a size and a type were expected",
                     name, number);
  e.access = (enum vmdk_access)value;
  if (!str_to_u64(sectors, &e.sectors) || e.sectors > INT64_MAX / 512)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: line %zu of the descriptor: %.40s is no number of "
                     "sectors",
                     name, number, sectors);
  if (!find_word(type_words, ARRAY_SIZE(type_words), type, &value))
    return error_set(err, VDK_E_UNSUPPORTED,
                     "%s: line %zu of the descriptor: extents of type %.40s "
                     "are not known",
                     name, number, type);
  e.type = (enum vmdk_extent_type)value;
  if (e.type != VMDK_ZERO && !parse_extent_file(p, &e))
    return error_set(err, VDK_E_CORRUPT,
                     "%s: line %zu of the descriptor: the extent's file name "
                     "or offset is not understood",
                     name, number);
  if (e.offset > INT64_MAX / 512 - e.sectors)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: line %zu of the descriptor: the extent's offset is "
                     "out of range",
                     name, number);
  if (d->extent_count >= VMDK_EXTENTS_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s: the descriptor has more than %u extents", name,
                     VMDK_EXTENTS_MAX);
  if (!mem_grow(&d->extents, &d->extent_capacity, d->extent_count + 1,
                sizeof *d->extents))
    return error_nomem(err, "reading a descriptor");
  d->extents[d->extent_count++] = e;
  return 0;
}

/* KEY = VALUE; what has no '=' is kept but means nothing. */
static void
parse_key(struct line *line, char *p)
{
  char *equals = strchr(p, '='), *value, *last;

  if (!equals || equals == p)
    return;
  *equals = 0;
  trim_end(p);
  value = skip_blanks(equals + 1);
  trim_end(value);
  if (*value == '"') {
    value++;
    last = strrchr(value, '"');
    if (last)
      *last = 0;
  }
  line->key = p;
  line->value = value;
  line->kind = strncasecmp(p, "ddb.", 4) == 0 ? LINE_DDB : LINE_KEY;
}

static int
parse_line(struct vmdk_descriptor *d, const char *raw, char *words,
           const char *name, struct vdk_error *err)
{
  struct line line = {.raw = raw};
  char *p;

  if (d->line_count >= LINES_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s: the descriptor has more than %u lines", name,
                     LINES_MAX);
  if (!mem_grow(&d->lines, &d->line_capacity, d->line_count + 1,
                sizeof *d->lines))
    return error_nomem(err, "reading a descriptor");
  if (d->line_count == 0 && memcmp(words, "\xef\xbb\xbf", 3) == 0)
    words += 3;
  p = skip_blanks(words);
  if (is_extent_line(p)) {
    int r = parse_extent(d, p, name, d->line_count + 1, err);

    if (r != 0)
      return r;
    line.kind = LINE_EXTENT;
  } else if (*p != '#' && *p != 0) {
    parse_key(&line, p);
  }
  d->lines[d->line_count++] = line;
  return 0;
}

static int
parse_lines(struct vmdk_descriptor *d, size_t len, const char *name,
            struct vdk_error *err)
{
  size_t start = 0;

  while (start < len) {
    const char *newline = memchr(d->text + start, '\n', len - start);
    size_t end = newline ? (size_t)(newline - d->text) : len;
    int r;

    d->final_newline = newline != NULL;
    if (d->line_count == 0)
      d->crlf = end > start && d->text[end - 1] == '\r';
    d->text[end] = 0;
    d->words[end] = 0;
    r = parse_line(d, d->text + start, d->words + start, name, err);
    if (r != 0)
      return r;
    start = end + 1;
  }
  return 0;
}

int
vmdk_descriptor_parse(const char *text, size_t len, const char *name,
                      struct vmdk_descriptor **ret, struct vdk_error *err)
{
  struct vmdk_descriptor *d;
  int r;

  if (len > VMDK_DESCRIPTOR_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s: the descriptor is larger than %u bytes", name,
                     VMDK_DESCRIPTOR_MAX);
  len = strnlen(text, len);
  d = calloc(1, sizeof *d);
  if (!d)
    return error_nomem(err, "reading a descriptor");
  /* The zeroes behind the copies let a look at three bytes pass. */
  d->text = calloc(1, len + 4);
  d->words = calloc(1, len + 4);
  if (!d->text || !d->words) {
    vmdk_descriptor_free(d);
    return error_nomem(err, "reading a descriptor");
  }
  memcpy(d->text, text, len);
  memcpy(d->words, text, len);
  r = parse_lines(d, len, name, err);
  if (r == 0 && !vmdk_descriptor_get(d, "createType") &&
      (d->extent_count == 0 ||
       (!vmdk_descriptor_get(d, "version") && !vmdk_descriptor_get(d, "CID"))))
    r = error_set(err, VDK_E_NOT_A_DISK,
                  "%s: this text is no disk descriptor: it has no createType",
                  name);
  if (r != 0) {
    vmdk_descriptor_free(d);
    return r;
  }
  *ret = d;
  return 0;
}

void
vmdk_descriptor_free(struct vmdk_descriptor *d)
{
  if (!d)
    return;
  for (size_t i = 0; i < d->line_count; i++)
    free(d->lines[i].owned);
  free(d->lines);
  free(d->extents);
  free(d->text);
  free(d->words);
  free(d);
}

/* --- Keys ----------------------------------------------------------------- */

#define NO_LINE SIZE_MAX

static size_t
find_key(const struct vmdk_descriptor *d, enum line_kind kind, const char *key)
{
  for (size_t i = 0; i < d->line_count; i++)
    if (d->lines[i].kind == kind && str_equal_nocase(d->lines[i].key, key))
      return i;
  return NO_LINE;
}

const char *
vmdk_descriptor_get(const struct vmdk_descriptor *d, const char *key)
{
  size_t i = find_key(d, LINE_KEY, key);

  return i == NO_LINE ? NULL : d->lines[i].value;
}

const char *
vmdk_descriptor_ddb_get(const struct vmdk_descriptor *d, const char *key)
{
  size_t i = find_key(d, LINE_DDB, key);

  return i == NO_LINE ? NULL : d->lines[i].value;
}

int
vmdk_descriptor_ddb_list(const struct vmdk_descriptor *d,
                         int (*fn)(void *opaque, const char *key,
                                   const char *value),
                         void *opaque)
{
  for (size_t i = 0; i < d->line_count; i++)
    if (d->lines[i].kind == LINE_DDB) {
      int r = fn(opaque, d->lines[i].key, d->lines[i].value);

      if (r != 0)
        return r;
    }
  return 0;
}

size_t
vmdk_descriptor_extents(const struct vmdk_descriptor *d,
                        const struct vmdk_extent_line **ret)
{
  *ret = d->extents;
  return d->extent_count;
}

/* --- Edits ---------------------------------------------------------------- */

static void
remove_line(struct vmdk_descriptor *d, size_t at)
{
  free(d->lines[at].owned);
  memmove(d->lines + at, d->lines + at + 1,
          (d->line_count - at - 1) * sizeof *d->lines);
  d->line_count--;
}

/* Room for a line in front of line AT (line_count: at the end). */
static bool
insert_line(struct vmdk_descriptor *d, size_t at, const struct line *line)
{
  if (d->line_count >= LINES_MAX + 16 ||
      !mem_grow(&d->lines, &d->line_capacity, d->line_count + 1,
                sizeof *d->lines))
    return false;
  memmove(d->lines + at + 1, d->lines + at,
          (d->line_count - at) * sizeof *d->lines);
  d->lines[at] = *line;
  d->line_count++;
  /* A last line without a newline gets one from what follows it. */
  if (at + 1 == d->line_count)
    d->final_newline = true;
  return true;
}

static bool
make_line(const struct vmdk_descriptor *d, enum line_kind kind, const char *key,
          const char *value, bool quoted, struct line *ret)
{
  const char *end = d->crlf ? "\r" : "";
  const char *equals = kind == LINE_DDB ? " = " : "=";
  const char *quote = quoted ? "\"" : "";
  /* One block: the printed line, the key, the value. */
  size_t key_size = strlen(key) + 1, value_size = strlen(value) + 1;
  size_t raw_size = key_size + value_size + 8;
  char *block = malloc(raw_size + key_size + value_size);

  if (!block)
    return false;
  snprintf(block, raw_size, "%s%s%s%s%s%s", key, equals, quote, value, quote,
           end);
  memcpy(block + raw_size, key, key_size);
  memcpy(block + raw_size + key_size, value, value_size);
  *ret = (struct line){.kind = kind,
                       .raw = block,
                       .key = block + raw_size,
                       .value = block + raw_size + key_size,
                       .owned = block};
  return true;
}

static int
check_text(const char *key, const char *value, struct vdk_error *err)
{
  if (key[0] == 0 || strpbrk(key, "=\"#\r\n \t"))
    return error_set(err, VDK_E_INVAL,
                     "\"%.80s\" cannot be a key of a disk descriptor", key);
  if (value && strpbrk(value, "\r\n"))
    return error_set(err, VDK_E_INVAL,
                     "the value of %.80s has a line break, which a disk "
                     "descriptor cannot hold",
                     key);
  if (value && strlen(value) > VMDK_DESCRIPTOR_MAX / 4)
    return error_set(err, VDK_E_TOO_BIG, "the value of %.80s is too long", key);
  return 0;
}

/* Where a new line of KIND goes: behind the last of its kind, else behind the
 * first line (keys) or at the end (ddb). */
static size_t
place_for(const struct vmdk_descriptor *d, enum line_kind kind)
{
  size_t at = kind == LINE_DDB || d->line_count == 0 ? d->line_count : 1;

  for (size_t i = 0; i < d->line_count; i++)
    if (d->lines[i].kind == kind)
      at = i + 1;
  return at;
}

/* The heading that VMware products put over the changeTrackPath. */
static void
remove_heading(struct vmdk_descriptor *d, size_t at)
{
  const char *raw;

  if (at == 0)
    return;
  raw = d->lines[at - 1].raw;
  while (*raw == '#' || is_blank(*raw))
    raw++;
  if (strncasecmp(raw, "Change Tracking File", 20) == 0)
    remove_line(d, at - 1);
}

static int
set_line(struct vmdk_descriptor *d, enum line_kind kind, const char *key,
         const char *value, bool quoted, struct vdk_error *err)
{
  size_t at = find_key(d, kind, key);
  struct line line;
  int r = check_text(key, value, err);

  if (r != 0)
    return r;
  if (!value) {
    if (at == NO_LINE)
      return 0;
    remove_line(d, at);
    if (str_equal_nocase(key, "changeTrackPath"))
      remove_heading(d, at);
    return 0;
  }
  if (!make_line(d, kind, at == NO_LINE ? key : d->lines[at].key, value, quoted,
                 &line))
    return error_nomem(err, "editing a descriptor");
  if (at != NO_LINE) {
    free(d->lines[at].owned);
    d->lines[at] = line;
    return 0;
  }
  if (!insert_line(d, place_for(d, kind), &line)) {
    free(line.owned);
    return error_nomem(err, "editing a descriptor");
  }
  return 0;
}

int
vmdk_descriptor_set(struct vmdk_descriptor *d, const char *key,
                    const char *value, bool quoted, struct vdk_error *err)
{
  if (strncasecmp(key, "ddb.", 4) == 0)
    return error_set(err, VDK_E_INVAL, "%.80s is a key of the disk database",
                     key);
  return set_line(d, LINE_KEY, key, value, quoted, err);
}

int
vmdk_descriptor_ddb_set(struct vmdk_descriptor *d, const char *key,
                        const char *value, struct vdk_error *err)
{
  if (strncasecmp(key, "ddb.", 4) != 0)
    return error_set(err, VDK_E_INVAL, "%.80s is no key of the disk database",
                     key);
  return set_line(d, LINE_DDB, key, value, true, err);
}

int
vmdk_descriptor_print(const struct vmdk_descriptor *d, char **ret,
                      size_t *ret_len, struct vdk_error *err)
{
  struct strbuf b = {0};
  size_t len;
  char *text;

  for (size_t i = 0; i < d->line_count; i++) {
    strbuf_append(&b, d->lines[i].raw);
    if (i + 1 < d->line_count || d->final_newline)
      strbuf_append(&b, "\n");
  }
  len = b.len;
  text = strbuf_take(&b);
  if (!text)
    return error_nomem(err, "printing a descriptor");
  *ret = text;
  *ret_len = len;
  return 0;
}
