/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Help, printed from the tables. The man pages say more; a test holds that
 * both name the same options.
 */
#include "cli/cli.h"

#include <string.h>

#define HELP_WIDTH  80
#define HELP_COLUMN 26 /* where an option's text starts */

void
cli_verb_page(const struct cli_verb *v, char *buf, size_t size)
{
  snprintf(buf, size, "vdkit-%s", v->name);
  for (char *p = buf; *p; p++)
    if (*p == ' ')
      *p = '-';
}

/* TEXT from column HELP_COLUMN on, broken between words. */
static void
print_wrapped(FILE *f, const char *text, int indent)
{
  int column = indent;

  while (*text) {
    int len = (int)strcspn(text, " ");

    if (column > indent && column + 1 + len > HELP_WIDTH - 1) {
      fprintf(f, "\n%*s", indent, "");
      column = indent;
    } else if (column > indent) {
      fputc(' ', f);
      column++;
    }
    fprintf(f, "%.*s", len, text);
    column += len;
    text += len;
    text += strspn(text, " ");
  }
  fputc('\n', f);
}

static void
print_option(FILE *f, const struct cli_option *o)
{
  char head[64];
  int used;

  if (o->letter)
    used = snprintf(head, sizeof head, "  -%c, --%s", o->letter, o->name);
  else
    used = snprintf(head, sizeof head, "      --%s", o->name);
  if (o->arg)
    used += snprintf(head + used, sizeof head - (size_t)used, " %s", o->arg);
  fputs(head, f);
  if (used + 2 > HELP_COLUMN) {
    fputc('\n', f);
    used = 0;
  }
  fprintf(f, "%*s", HELP_COLUMN - used, "");
  print_wrapped(f, o->help, HELP_COLUMN);
}

static void
print_table(FILE *f, const char *title, const struct cli_option *table)
{
  fprintf(f, "\n%s:\n", title);
  for (const struct cli_option *o = table; o->name; o++)
    print_option(f, o);
}

void
help_usage_line(const struct cli_verb *v, FILE *f)
{
  fprintf(f, "Usage: vdkit %s [OPTION...]%s%s\n", v->name,
          *v->operands ? " " : "", v->operands);
}

void
help_verb(const struct cli_verb *v, FILE *f)
{
  char page[64];

  help_usage_line(v, f);
  print_wrapped(f, v->about ? v->about : v->summary, 0);
  if (v->options)
    print_table(f, "Options", v->options);
  for (int i = 0; i < GROUP_COUNT; i++)
    if ((v->groups | GROUP_COMMON) & cli_option_groups[i].group)
      print_table(f, cli_option_groups[i].title, cli_option_groups[i].options);
  if (v->examples)
    fprintf(f, "\nExamples:\n%s", v->examples);
  cli_verb_page(v, page, sizeof page);
  fprintf(f, "\nMore: man %s\n", page);
}

/* "vdkit vm --help": the verbs of the family. */
bool
help_family(int argc, char **argv)
{
  size_t len = strlen(argv[0]);

  if (!cli_verb_is_family(argv[0]) || argc < 2 ||
      (strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0))
    return false;
  printf("Usage: vdkit %s VERB [OPTION...] [OPERAND...]\n\nVerbs:\n", argv[0]);
  for (const struct cli_verb *const *v = cli_verbs; *v; v++)
    if (strncmp((*v)->name, argv[0], len) == 0 && (*v)->name[len] == ' ')
      printf("  %-10s %s\n", (*v)->name, (*v)->summary);
  printf("\nMore: vdkit help %s VERB\n", argv[0]);
  return true;
}

void
help_all(FILE *f)
{
  fputs("Usage: vdkit VERB [OPTION...] [OPERAND...]\n"
        "Virtual disks read, written, converted, backed up and restored.\n"
        "\nVerbs:\n",
        f);
  for (const struct cli_verb *const *v = cli_verbs; *v; v++)
    if (!(*v)->hidden)
      fprintf(f, "  %-10s %s\n", (*v)->name, (*v)->summary);
  print_table(f, "Common options", cli_option_groups[GROUP_COUNT - 1].options);
  fputs("\nExamples:\n"
        "  vdkit convert disk.vmdk disk.raw\n"
        "  vdkit backup /vms/mail --repo /backup\n"
        "  vdkit restore --repo /backup latest /vms/mail-again\n"
        "\n'vdkit help VERB' tells the options of a verb. More: man vdkit\n",
        f);
}
