/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs, in the order in which help lists them. */
#include "cli/cli.h"

#include <string.h>

const struct cli_verb *const cli_verbs[] = {
    &cli_verb_info,
    &cli_verb_map,
    &cli_verb_create,
    &cli_verb_convert,
    &cli_verb_compare,
    &cli_verb_vm_list,
    &cli_verb_vm_show,
    &cli_verb_init,
    &cli_verb_backup,
    &cli_verb_list,
    &cli_verb_restore,
    &cli_verb_verify,
    &cli_verb_diff,
    &cli_verb_help,
    &cli_verb_completion,
    &cli_verb_points,
    NULL,
};

#define VERB_WORDS_MAX 64

bool
cli_verb_is_family(const char *word)
{
  size_t len = strlen(word);

  for (const struct cli_verb *const *v = cli_verbs; *v; v++)
    if (strncmp((*v)->name, word, len) == 0 && (*v)->name[len] == ' ')
      return true;
  return false;
}

const struct cli_verb *
cli_verb_find(int argc, char **argv, int *ret_words)
{
  for (const struct cli_verb *const *v = cli_verbs; argc > 0 && *v; v++) {
    const char *space = strchr((*v)->name, ' ');

    if (!space && strcmp((*v)->name, argv[0]) == 0) {
      *ret_words = 1;
      return *v;
    }
    if (space && argc > 1 && strlen(argv[0]) == (size_t)(space - (*v)->name) &&
        strncmp((*v)->name, argv[0], (size_t)(space - (*v)->name)) == 0 &&
        strcmp(space + 1, argv[1]) == 0) {
      *ret_words = 2;
      return *v;
    }
  }
  return NULL;
}

/* "vdkit vm" and "vdkit vm lsit": what the family has. */
static int
unknown_in_family(int argc, char **argv)
{
  const char *words[VERB_WORDS_MAX] = {NULL}, *meant;
  size_t len = strlen(argv[0]), count = 0;

  for (const struct cli_verb *const *v = cli_verbs; *v; v++)
    if (strncmp((*v)->name, argv[0], len) == 0 && (*v)->name[len] == ' ' &&
        count + 1 < VERB_WORDS_MAX)
      words[count++] = (*v)->name + len + 1;
  meant = argc > 1 ? suggest(argv[1], words) : NULL;
  if (meant)
    return cli_usage_error(NULL,
                           "there is no verb '%s %s'; did you mean '%s %s'?",
                           argv[0], argv[1], argv[0], meant);
  if (argc > 1)
    cli_usage_error(NULL, "there is no verb '%s %s'", argv[0], argv[1]);
  else
    cli_usage_error(NULL, "'%s' needs a second word", argv[0]);
  fprintf(stderr, "There are:");
  for (size_t i = 0; i < count; i++)
    fprintf(stderr, " '%s %s'", argv[0], words[i]);
  fputc('\n', stderr);
  return STATUS_USAGE;
}

int
cli_unknown_verb(int argc, char **argv)
{
  const char *words[VERB_WORDS_MAX] = {NULL}, *meant;
  static char family[] = "vm";
  size_t count = 0;

  if (cli_verb_is_family(argv[0]))
    return unknown_in_family(argc, argv);
  for (const struct cli_verb *const *v = cli_verbs; *v; v++)
    if (!(*v)->hidden && !strchr((*v)->name, ' ') && count + 2 < VERB_WORDS_MAX)
      words[count++] = (*v)->name;
  words[count] = family;
  meant = suggest(argv[0], words);
  if (meant)
    return cli_usage_error(NULL, "there is no verb '%s'; did you mean '%s'?",
                           argv[0], meant);
  return cli_usage_error(NULL, "there is no verb '%s'", argv[0]);
}
