/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dictionary of .vmx and .vmsd files.
 *
 *   # comment
 *   .encoding = "UTF-8"
 *   scsi0:0.fileName = "my disk.vmdk"
 *   annotation = "two|0Alines, a quote |22 and a bar |7C"
 *
 * What is read is liberal: CRLF or LF, a byte order mark, blanks anywhere, no
 * quotes, a quote inside a value (it reaches from the first to the last quote
 * of the line). A line that is no entry is kept as a line without a key.
 *
 * Two tables: the lines in their order, which are what is printed, and an
 * index of their numbers sorted by key and then by line, so that a look-up is
 * a binary search also in a file of 65,536 lines that a stranger wrote; the
 * last of equal keys is the one that counts. A line that was removed stays in
 * its table with no text, for the numbers' sake.
 */
#include "host/vmx_dict.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

struct line {
  char *text;  /* as in the file, without its newline; NULL: removed */
  char *key;   /* lower case; NULL: no entry */
  char *value; /* decoded */
};

struct vmx_dict {
  char *name;
  struct line *lines;
  size_t count, capacity;
  uint32_t *index; /* lines with a key, by key, then by number */
  size_t index_count, index_capacity;
  bool bom, crlf, no_final_newline;
};

void
vmx_dict_free(struct vmx_dict *d)
{
  if (!d)
    return;
  for (size_t i = 0; i < d->count; i++) {
    free(d->lines[i].text);
    free(d->lines[i].key);
    free(d->lines[i].value);
  }
  free(d->lines);
  free(d->index);
  free(d->name);
  free(d);
}

/* --- Reading a line ------------------------------------------------------ */

static bool
is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

static int
hex_digit(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes the |XX escapes away. One that is malformed, or would be a NUL, is
 * text like any other. */
static char *
decode_value(const char *s, size_t len)
{
  char *value = malloc(len + 1);
  size_t out = 0;

  if (!value)
    return NULL;
  for (size_t i = 0; i < len; i++) {
    int high = i + 2 < len && s[i] == '|' ? hex_digit(s[i + 1]) : -1;
    int low = high >= 0 ? hex_digit(s[i + 2]) : -1;

    if (low >= 0 && (high | low) != 0) {
      value[out++] = high << 4 | low;
      i += 2;
    } else
      value[out++] = s[i];
  }
  value[out] = 0;
  return value;
}

/* The value's bytes within [S, END), which has no blanks at either end: what
 * is between the outermost quotes, or all of it. */
static void
value_bounds(const char **s, const char **end)
{
  const char *last;

  if (*s == *end || **s != '"')
    return;
  ++*s;
  last = memrchr(*s, '"', *end - *s);
  if (last)
    *end = last;
}

/* ASCII only, whatever the locale: other bytes may be of any charset. */
static int
lower(char c)
{
  return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static char *
lower_dup(const char *s, size_t len)
{
  char *copy = str_ndup(s, len);

  for (size_t i = 0; copy && i < len; i++)
    copy[i] = lower(copy[i]);
  return copy;
}

/* How STORED, a key of the index, stands to KEY in any letter case. With
 * PREFIX, only as far as KEY goes. */
static int
key_compare(const char *stored, const char *key, bool prefix)
{
  for (; *key; stored++, key++)
    if (lower(*stored) != lower(*key))
      return lower(*stored) - lower(*key);
  return prefix ? 0 : lower(*stored);
}

/* Fills LINE from [S, S + LEN). False when out of memory. */
static bool
line_parse(struct line *line, const char *s, size_t len)
{
  const char *end = s + len, *equals, *key_end;

  line->text = str_ndup(s, len);
  if (!line->text)
    return false;
  while (s < end && is_blank(*s))
    s++;
  while (end > s && is_blank(end[-1]))
    end--;
  equals = s < end && *s != '#' ? memchr(s, '=', end - s) : NULL;
  if (!equals)
    return true;
  for (key_end = equals; key_end > s && is_blank(key_end[-1]);)
    key_end--;
  if (key_end == s)
    return true;
  line->key = lower_dup(s, key_end - s);
  for (s = equals + 1; s < end && is_blank(*s);)
    s++;
  value_bounds(&s, &end);
  line->value = decode_value(s, end - s);
  return line->key && line->value;
}

/* --- The index ----------------------------------------------------------- */

static int
index_compare(const void *a, const void *b, void *opaque)
{
  const struct vmx_dict *d = opaque;
  uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
  int order = strcmp(d->lines[left].key, d->lines[right].key);

  if (order)
    return order;
  return left < right ? -1 : left > right;
}

static const char *
index_key(const struct vmx_dict *d, size_t position)
{
  return d->lines[d->index[position]].key;
}

/* Position in the index of the first key that is not below KEY. */
static size_t
index_lower_bound(const struct vmx_dict *d, const char *key)
{
  size_t low = 0, high = d->index_count;

  while (low < high) {
    size_t middle = low + (high - low) / 2;

    if (key_compare(index_key(d, middle), key, false) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* One behind the last entry of KEY, from POSITION, its first, on. */
static size_t
index_run_end(const struct vmx_dict *d, size_t position, const char *key)
{
  while (position < d->index_count &&
         key_compare(index_key(d, position), key, false) == 0)
    position++;
  return position;
}

/* The line that counts for KEY, or NULL. */
static struct line *
find_line(const struct vmx_dict *d, const char *key)
{
  size_t first = index_lower_bound(d, key);
  size_t end = index_run_end(d, first, key);

  return first == end ? NULL : &d->lines[d->index[end - 1]];
}

/* --- Parsing ------------------------------------------------------------- */

static int
split_lines(struct vmx_dict *d, const char *text, size_t len,
            struct vdk_error *err)
{
  const char *end = text + len;

  while (text < end) {
    const char *newline = memchr(text, '\n', end - text);
    size_t line_len = (newline ? newline : end) - text;

    if (d->count == VMX_DICT_LINES_MAX)
      return error_set(err, VDK_E_TOO_BIG, "%s has more than %u lines", d->name,
                       VMX_DICT_LINES_MAX);
    if (!mem_grow(&d->lines, &d->capacity, d->count + 1, sizeof *d->lines))
      return error_nomem(err, "reading a configuration");
    d->lines[d->count] = (struct line){0};
    d->count++;
    d->no_final_newline = !newline;
    if (newline && line_len && text[line_len - 1] == '\r')
      d->crlf = true;
    if (!line_parse(&d->lines[d->count - 1], text, line_len))
      return error_nomem(err, "reading a configuration");
    text = newline ? newline + 1 : end;
  }
  return 0;
}

static int
build_index(struct vmx_dict *d, struct vdk_error *err)
{
  if (!mem_grow(&d->index, &d->index_capacity, MAX(d->count, (size_t)1),
                sizeof *d->index))
    return error_nomem(err, "reading a configuration");
  for (size_t i = 0; i < d->count; i++)
    if (d->lines[i].key)
      d->index[d->index_count++] = i;
  qsort_r(d->index, d->index_count, sizeof *d->index, index_compare, d);
  return 0;
}

int
vmx_dict_parse(const char *text, size_t len, const char *name,
               struct vmx_dict **ret, struct vdk_error *err)
{
  static const char bom[3] = {'\xef', '\xbb', '\xbf'};
  _cleanup_dict_ struct vmx_dict *d = NULL;
  int r;

  if (len > VMX_DICT_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s is too large for a configuration (%zu bytes)", name,
                     len);
  if (len && memchr(text, 0, len))
    return error_set(err, VDK_E_CORRUPT,
                     "%s is not text: it holds a zero byte at %zu", name,
                     (size_t)((const char *)memchr(text, 0, len) - text));
  d = calloc(1, sizeof *d);
  if (!d || !(d->name = str_dup(name)))
    return error_nomem(err, "reading a configuration");
  if (len >= sizeof bom && memcmp(text, bom, sizeof bom) == 0) {
    d->bom = true;
    text += sizeof bom;
    len -= sizeof bom;
  }
  r = split_lines(d, text, len, err);
  if (r == 0)
    r = build_index(d, err);
  if (r < 0)
    return r;
  *ret = TAKE_PTR(d);
  return 0;
}

/* --- Looking up ---------------------------------------------------------- */

const char *
vmx_dict_get(const struct vmx_dict *d, const char *key)
{
  const struct line *line = find_line(d, key);

  return line ? line->value : NULL;
}

const char *
vmx_dict_text(const struct vmx_dict *d, const char *key)
{
  const char *value = vmx_dict_get(d, key);

  return value ? value : "";
}

bool
vmx_dict_bool(const struct vmx_dict *d, const char *key)
{
  static const char *const yes[] = {"true", "1", "yes", "on", "y", "t"};
  const char *value = vmx_dict_text(d, key);

  for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
    if (str_equal_nocase(value, yes[i]))
      return true;
  return false;
}

bool
vmx_dict_u64(const struct vmx_dict *d, const char *key, uint64_t *ret)
{
  return str_to_u64(vmx_dict_text(d, key), ret);
}

int
vmx_dict_each(const struct vmx_dict *d, const char *prefix,
              int (*fn)(void *opaque, const char *key, const char *value),
              void *opaque)
{
  size_t next;

  for (size_t i = index_lower_bound(d, prefix); i < d->index_count; i = next) {
    const struct line *line;
    int r;

    next = index_run_end(d, i, index_key(d, i));
    line = &d->lines[d->index[next - 1]];
    if (key_compare(line->key, prefix, true) != 0)
      break;
    r = fn(opaque, line->key, line->value);
    if (r)
      return r;
  }
  return 0;
}

/* --- Editing and writing ------------------------------------------------- */

/* KEY = "VALUE"; what would end the value or the line becomes |XX. */
static char *
line_text(const struct vmx_dict *d, const char *key, const char *value)
{
  _cleanup_strbuf_ struct strbuf b = {0};

  strbuf_printf(&b, "%s = \"", key);
  for (; *value; value++) {
    unsigned char c = *value;

    if (c < 0x20 || c == '"' || c == '|' || c == 0x7f)
      strbuf_printf(&b, "|%02X", c);
    else
      strbuf_append_bytes(&b, value, 1);
  }
  strbuf_append(&b, d->crlf ? "\"\r" : "\"");
  return strbuf_take(&b);
}

/* Room for one more line and its index entry. */
static int
reserve_line(struct vmx_dict *d, struct vdk_error *err)
{
  if (d->count == VMX_DICT_LINES_MAX)
    return error_set(err, VDK_E_TOO_BIG, "%s has no room for more lines",
                     d->name);
  if (!mem_grow(&d->lines, &d->capacity, d->count + 1, sizeof *d->lines) ||
      !mem_grow(&d->index, &d->index_capacity, d->index_count + 1,
                sizeof *d->index))
    return error_nomem(err, "changing a configuration");
  return 0;
}

int
vmx_dict_set(struct vmx_dict *d, const char *key, const char *value,
             struct vdk_error *err)
{
  _cleanup_free_ char *key_copy = lower_dup(key, strlen(key));
  _cleanup_free_ char *text = line_text(d, key, value);
  _cleanup_free_ char *copy = str_dup(value);
  struct line *line;
  size_t position;

  if (!key_copy || !text || !copy)
    return error_nomem(err, "changing a configuration");
  line = find_line(d, key);
  if (!line) {
    int r = reserve_line(d, err);

    if (r < 0)
      return r;
    position = index_lower_bound(d, key);
    memmove(&d->index[position + 1], &d->index[position],
            (d->index_count - position) * sizeof *d->index);
    d->index[position] = d->count;
    d->index_count++;
    line = &d->lines[d->count++];
    *line = (struct line){.key = TAKE_PTR(key_copy)};
  }
  free(line->text);
  free(line->value);
  line->text = TAKE_PTR(text);
  line->value = TAKE_PTR(copy);
  return 0;
}

void
vmx_dict_remove(struct vmx_dict *d, const char *key)
{
  size_t first = index_lower_bound(d, key);
  size_t end = index_run_end(d, first, key);

  for (size_t i = first; i < end; i++) {
    struct line *line = &d->lines[d->index[i]];

    free(line->text);
    free(line->key);
    free(line->value);
    *line = (struct line){0};
  }
  memmove(d->index + first, d->index + end,
          (d->index_count - end) * sizeof *d->index);
  d->index_count -= end - first;
}

int
vmx_dict_print(const struct vmx_dict *d, char **ret, size_t *ret_len,
               struct vdk_error *err)
{
  _cleanup_strbuf_ struct strbuf b = {0};
  const char *pending = "";
  char *text;
  size_t len;

  if (d->bom)
    strbuf_append(&b, "\xef\xbb\xbf");
  /* The line end goes before the next line, so that a text without one at
   * its end keeps that too. */
  for (size_t i = 0; i < d->count; i++) {
    if (!d->lines[i].text)
      continue;
    strbuf_append(&b, pending);
    strbuf_append(&b, d->lines[i].text);
    pending = "\n";
  }
  if (!d->no_final_newline)
    strbuf_append(&b, pending);
  len = b.len;
  text = strbuf_take(&b);
  if (!text)
    return error_nomem(err, "writing a configuration");
  *ret = text;
  *ret_len = len;
  return 0;
}
