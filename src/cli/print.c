/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text for people.
 *
 * Names of files come from folders and descriptors that anybody may have
 * written, so nothing is printed that a terminal would obey: control
 * characters and what is no character in the locale come out as \n or \x1b.
 * Sizes are in units of 1024, times in the local zone.
 */
#include "cli/cli.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

/* One character of TEXT: its length in bytes, or 0 when the byte has to be
 * escaped. */
static size_t
printable(const char *text, int *ret_width)
{
  mbstate_t state = {0};
  wchar_t wc;
  size_t n = mbrtowc(&wc, text, strlen(text), &state);

  if (n == 0 || n == (size_t)-1 || n == (size_t)-2 || !iswprint(wc))
    return 0;
  *ret_width = wcwidth(wc) > 0 ? wcwidth(wc) : 0;
  return n;
}

char *
text_escape(const char *text)
{
  size_t len = strlen(text);
  char *out = malloc(4 * len + 1), *p = out;
  int width;

  if (!out)
    return NULL;
  while (*text) {
    size_t n = printable(text, &width);

    if (n) {
      memcpy(p, text, n);
      p += n;
      text += n;
      continue;
    }
    if (*text == '\n')
      p += sprintf(p, "\\n");
    else if (*text == '\t')
      p += sprintf(p, "\\t");
    else
      p += sprintf(p, "\\x%02x", (unsigned char)*text);
    text++;
  }
  *p = 0;
  return out;
}

void
print_escaped(FILE *f, const char *text)
{
  _cleanup_free_ char *safe = text_escape(text);

  if (safe)
    fputs(safe, f);
}

size_t
text_width(const char *text)
{
  size_t width = 0;
  int w = 1;

  while (*text) {
    size_t n = printable(text, &w);

    width += n ? (size_t)w : 1;
    text += n ? n : 1;
  }
  return width;
}

char *
text_printf(const char *fmt, ...)
{
  char *text = NULL;
  va_list args;
  int n;

  va_start(args, fmt);
  n = vasprintf(&text, fmt, args);
  va_end(args);
  return n < 0 ? NULL : text;
}

const char *
text_size(uint64_t bytes, char buf[SIZE_TEXT])
{
  static const char *const units[] = {"B",   "KiB", "MiB", "GiB",
                                      "TiB", "PiB", "EiB"};
  double v = (double)bytes;
  size_t u = 0;

  while (v >= 1023.95 && u + 1 < ARRAY_SIZE(units)) {
    v /= 1024;
    u++;
  }
  if (u == 0)
    snprintf(buf, SIZE_TEXT, "%u B", (unsigned)bytes);
  else
    snprintf(buf, SIZE_TEXT, "%.1f %s", v, units[u]);
  return buf;
}

char *
text_size_exact(uint64_t bytes)
{
  char buf[SIZE_TEXT];

  if (bytes < 1024)
    return text_printf("%u bytes", (unsigned)bytes);
  return text_printf("%s (%llu bytes)", text_size(bytes, buf),
                     (unsigned long long)bytes);
}

const char *
text_time(int64_t us, char buf[TIME_TEXT])
{
  time_t t = (time_t)(us / 1000000);
  struct tm tm;

  if (us == 0 || !localtime_r(&t, &tm) ||
      strftime(buf, TIME_TEXT, "%Y-%m-%d %H:%M:%S", &tm) == 0)
    strcpy(buf, "-");
  return buf;
}

const char *
text_duration(double seconds, char buf[TIME_TEXT])
{
  unsigned long s;

  /* Beyond a month an estimate says nothing. */
  if (!(seconds >= 0) || seconds > 30.0 * 86400) {
    strcpy(buf, "-:--");
    return buf;
  }
  s = (unsigned long)(seconds + 0.5);
  if (s >= 3600)
    snprintf(buf, TIME_TEXT, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
  else
    snprintf(buf, TIME_TEXT, "%lu:%02lu", s / 60, s % 60);
  return buf;
}

const char *
text_elapsed(double seconds, char buf[TIME_TEXT])
{
  if (!(seconds >= 0) || seconds >= 60)
    return text_duration(seconds, buf);
  snprintf(buf, TIME_TEXT, "%.*f s", seconds < 10 ? 2 : 1, seconds);
  return buf;
}

int64_t
time_parse(const char *iso)
{
  struct tm tm = {0};
  const char *end = iso ? strptime(iso, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

  return end ? (int64_t)timegm(&tm) * 1000000 : 0;
}

/* --- Tables --------------------------------------------------------------- */

void
table_row(struct table *t, const char *const *cells, unsigned count)
{
  size_t want = (t->rows + 1) * TABLE_COLUMNS;

  if (t->failed)
    return;
  if (want > t->capacity) {
    size_t capacity = 2 * want;
    char **grown = reallocarray(t->cells, capacity, sizeof *grown);

    if (!grown) {
      t->failed = true;
      return;
    }
    t->cells = grown;
    t->capacity = capacity;
  }
  for (unsigned c = 0; c < TABLE_COLUMNS; c++) {
    char **cell = &t->cells[t->rows * TABLE_COLUMNS + c];

    *cell = c < count ? text_escape(cells[c] ? cells[c] : "-") : NULL;
    if (c < count && !*cell)
      t->failed = true; /* the row counts, so that it is freed */
  }
  if (count > t->columns)
    t->columns = count;
  t->rows++;
}

static const char *
cell_text(const struct table *t, size_t row, unsigned column)
{
  const char *text = t->cells[row * TABLE_COLUMNS + column];

  if (text && row == 0 && *text == '>')
    text++;
  return text ? text : "";
}

void
table_print(const struct table *t, const char *indent, FILE *f)
{
  size_t width[TABLE_COLUMNS] = {0};

  if (t->failed) {
    fputs("vdkit: out of memory while printing a table\n", stderr);
    return;
  }
  for (size_t r = 0; r < t->rows; r++)
    for (unsigned c = 0; c < t->columns; c++) {
      size_t w = text_width(cell_text(t, r, c));

      width[c] = w > width[c] ? w : width[c];
    }
  for (size_t r = 0; r < t->rows; r++) {
    fputs(indent, f);
    for (unsigned c = 0; c < t->columns; c++) {
      const char *text = cell_text(t, r, c);
      int pad = (int)(width[c] - text_width(text));
      bool right = t->cells[c] && t->cells[c][0] == '>';

      /* Nothing is padded behind the last column. */
      if (right)
        fprintf(f, "%*s%s", pad, "", text);
      else
        fprintf(f, "%s%*s", text, c + 1 < t->columns ? pad : 0, "");
      if (c + 1 < t->columns)
        fputs("  ", f);
    }
    fputc('\n', f);
  }
}

void
table_print_fields(const struct table *t, FILE *f)
{
  size_t width = 0;

  if (t->failed) {
    fputs("vdkit: out of memory while printing\n", stderr);
    return;
  }
  for (size_t r = 0; r < t->rows; r++) {
    size_t w = text_width(t->cells[r * TABLE_COLUMNS]);

    width = w > width ? w : width;
  }
  for (size_t r = 0; r < t->rows; r++) {
    const char *name = t->cells[r * TABLE_COLUMNS];

    fprintf(f, "%s:%*s %s\n", name, (int)(width - text_width(name)), "",
            t->cells[r * TABLE_COLUMNS + 1]);
  }
}

void
table_free(struct table *t)
{
  for (size_t i = 0; i < t->rows * TABLE_COLUMNS; i++)
    free(t->cells[i]);
  free(t->cells);
  *t = (struct table){0};
}
