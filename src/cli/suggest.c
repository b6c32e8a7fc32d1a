/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Did you mean: the nearest known word, by the number of letters to insert,
 * remove, replace or swap with their neighbour. A word that the wrong one is
 * the start of is nearer than any misspelling.
 */
#include "cli/cli.h"

#include <string.h>
#include <strings.h>

#define WORD_MAX 40

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
  unsigned m = a < b ? a : b;

  return m < c ? m : c;
}

/* Both at most WORD_MAX letters long. */
static unsigned
distance(const char *a, const char *b)
{
  size_t n = strlen(a), m = strlen(b);
  unsigned row[WORD_MAX + 1][WORD_MAX + 1];

  for (size_t i = 0; i <= n; i++)
    row[i][0] = (unsigned)i;
  for (size_t j = 0; j <= m; j++)
    row[0][j] = (unsigned)j;
  for (size_t i = 1; i <= n; i++)
    for (size_t j = 1; j <= m; j++) {
      row[i][j] = min3(row[i - 1][j] + 1, row[i][j - 1] + 1,
                       row[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
          row[i - 2][j - 2] + 1 < row[i][j])
        row[i][j] = row[i - 2][j - 2] + 1;
    }
  return row[n][m];
}

const char *
suggest(const char *word, const char *const *words)
{
  size_t len = strlen(word);
  unsigned best = 1 + (unsigned)len / 3; /* farther is another word */
  const char *found = NULL;

  if (len == 0 || len > WORD_MAX)
    return NULL;
  for (; *words; words++) {
    unsigned d;

    if (strlen(*words) > WORD_MAX)
      continue;
    if (len > 1 && strncasecmp(word, *words, len) == 0)
      return *words;
    d = distance(word, *words);
    if (d <= best && (d < best || !found)) {
      best = d;
      found = *words;
    }
  }
  return found;
}
