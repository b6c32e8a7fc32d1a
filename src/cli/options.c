/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options: from the tables to values.
 *
 * A verb's own table sets fields of the verb's structure, a group's table
 * fields of struct cli_common; both say where by offset. getopt_long does the
 * scanning; what it cannot do is said here: which option was meant, which
 * value would have been good, which two options exclude each other.
 */
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#define OPTIONS_MAX 40
#define FIRST_VALUE 1000 /* getopt's value of option 0; above any letter */

#define COMMON(field) offsetof(struct cli_common, field)

static const struct cli_option common_options[] = {
    {"json", 0, NULL, CLI_FLAG, COMMON(json),
     "report as one JSON object (schemas: docs/guide/json.md)"},
    {"quiet", 'q', NULL, CLI_FLAG, COMMON(quiet),
     "print nothing but results that were asked for, warnings and errors"},
    {"verbose", 'v', NULL, CLI_COUNT, COMMON(verbose),
     "tell more of what is done; twice: details"},
    {"help", 'h', NULL, CLI_FLAG, COMMON(help), "show this help and exit"},
    {"version", 'V', NULL, CLI_FLAG, COMMON(version),
     "show the version and exit"},
    {0},
};

static const struct cli_option progress_options[] = {
    {"progress", 0, "HOW", CLI_CHOICE, COMMON(progress),
     "auto (a bar on a terminal, lines elsewhere), bar, lines, json, none",
     .choices = progress_choices},
    {0},
};

static const struct cli_option disk_options[] = {
    {"allow-outside", 0, NULL, CLI_FLAG, COMMON(allow_outside),
     "follow extents and parents outside the disk's own folder"},
    {"allow-devices", 0, NULL, CLI_FLAG, COMMON(allow_devices),
     "open block devices, as disks and as extents"},
    {0},
};

static const struct cli_option read_options[] = {
    {"salvage", 0, NULL, CLI_FLAG, COMMON(salvage),
     "read a damaged disk as far as it can be read"},
    {"no-lock", 0, NULL, CLI_FLAG, COMMON(no_lock),
     "take no lock: you know that nobody writes to the disk"},
    {0},
};

static const struct cli_option repo_options[] = {
    {"repo", 'r', "REPO", CLI_TEXT, COMMON(repo),
     "the repository's folder (default: $VDKIT_REPO)",
     .complete = COMPLETE_DIR},
    {0},
};

const struct cli_option_group cli_option_groups[GROUP_COUNT] = {
    {GROUP_REPO, "Repository", repo_options},
    {GROUP_READ, "Reading disks", read_options},
    {GROUP_DISK, "Opening disks", disk_options},
    {GROUP_PROGRESS, "Progress", progress_options},
    {GROUP_COMMON, "Common options", common_options},
};

static bool
table_has(const struct cli_option *table, const char *name)
{
  for (const struct cli_option *o = table; o && o->name; o++)
    if (strcmp(o->name, name) == 0)
      return true;
  return false;
}

bool
cli_has_option(const struct cli_verb *verb, const char *name)
{
  if (table_has(verb->options, name))
    return true;
  for (int i = 0; i < GROUP_COUNT; i++)
    if (verb->groups & cli_option_groups[i].group &&
        table_has(cli_option_groups[i].options, name))
      return true;
  return false;
}

/* The options that one call may have, each with what it sets. */
struct bound {
  const struct cli_option *option;
  void *target;
};

struct parser {
  const struct cli_verb *verb; /* NULL before the verb is known */
  struct bound bound[OPTIONS_MAX];
  int count;
  struct option long_options[OPTIONS_MAX + 1];
  char letters[2 * OPTIONS_MAX + 3];
};

static void
bind_table(struct parser *p, const struct cli_option *table, void *base)
{
  for (const struct cli_option *o = table; o && o->name; o++) {
    if (p->count == OPTIONS_MAX)
      abort(); /* a table of ours has grown: raise OPTIONS_MAX */
    p->bound[p->count].option = o;
    p->bound[p->count].target = (char *)base + o->offset;
    p->count++;
  }
}

static void
build_getopt(struct parser *p, const char *mode)
{
  char *letter = p->letters + strlen(strcpy(p->letters, mode));

  for (int i = 0; i < p->count; i++) {
    const struct cli_option *o = p->bound[i].option;

    p->long_options[i] =
        (struct option){o->name, o->arg ? required_argument : no_argument, NULL,
                        FIRST_VALUE + i};
    if (o->letter) {
      *letter++ = o->letter;
      if (o->arg)
        *letter++ = ':';
    }
  }
  *letter = 0;
}

int
cli_usage_error(const struct cli_verb *verb, const char *fmt, ...)
{
  va_list args;
  char text[1000];

  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  fputs("vdkit: ", stderr);
  if (verb)
    fprintf(stderr, "%s: ", verb->name);
  print_escaped(stderr, text);
  fputc('\n', stderr);
  if (verb) {
    help_usage_line(verb, stderr);
    fprintf(stderr, "Try 'vdkit help %s'.\n", verb->name);
  } else {
    fputs("Try 'vdkit help'.\n", stderr);
  }
  return STATUS_USAGE;
}

static const struct bound *
find_bound(const struct parser *p, int value)
{
  if (value >= FIRST_VALUE)
    return &p->bound[value - FIRST_VALUE];
  for (int i = 0; i < p->count; i++)
    if (p->bound[i].option->letter == value)
      return &p->bound[i];
  abort(); /* getopt_long gives only what it was given */
}

static bool
number(const char *text, long min, long max, int *ret)
{
  char *end;
  long v;

  errno = 0;
  v = strtol(text, &end, 10);
  if (errno || end == text || *end || v < min || v > max)
    return false;
  *ret = (int)v;
  return true;
}

/* 0 for what is no letter. */
static char
upper(char c)
{
  if (c >= 'a' && c <= 'z')
    return (char)(c - 'a' + 'A');
  return c >= 'A' && c <= 'Z' ? c : 0;
}

bool
options_size(const char *text, uint64_t *ret)
{
  static const char units[] = "KMGTP";
  unsigned long long whole = 0, unit = 1, part = 0, place = 1;
  const char *found;
  bool digits = false;

  for (; *text >= '0' && *text <= '9'; text++, digits = true)
    if (__builtin_mul_overflow(whole, 10ull, &whole) ||
        __builtin_add_overflow(whole, (unsigned)(*text - '0'), &whole))
      return false;
  if (*text == '.')
    for (text++; *text >= '0' && *text <= '9'; text++, digits = true)
      if (place < 1000) { /* a tenth, hundredth, thousandth are enough */
        part = part * 10 + (unsigned)(*text - '0');
        place *= 10;
      }
  if (!digits)
    return false;
  if (upper(*text) && (found = strchr(units, upper(*text)))) {
    unit <<= 10 * (found - units + 1);
    text++;
    if (upper(*text) == 'I')
      text++;
  }
  if (upper(*text) == 'B')
    text++;
  if (*text || __builtin_mul_overflow(whole, unit, &whole) ||
      __builtin_add_overflow(whole, part * unit / place, &whole))
    return false;
  *ret = whole;
  return true;
}

static int
set_choice(const struct parser *p, const struct cli_option *o, int *target,
           const char *text)
{
  const char *meant;

  for (int i = 0; o->choices[i]; i++)
    if (strcmp(o->choices[i], text) == 0) {
      *target = i;
      return 0;
    }
  meant = suggest(text, o->choices);
  if (meant)
    return cli_usage_error(p->verb,
                           "--%s: '%s' is none of %s; did you mean %s?",
                           o->name, text, o->help, meant);
  return cli_usage_error(p->verb, "--%s: '%s' is not one of: %s", o->name, text,
                         o->help);
}

static int
set_constant(const struct parser *p, const struct bound *b)
{
  int *target = b->target;

  for (int i = 0; *target && i < p->count; i++) {
    const struct bound *other = &p->bound[i];

    if (other->target == b->target && other->option->value == *target &&
        *target != b->option->value)
      return cli_usage_error(p->verb, "--%s and --%s exclude each other",
                             other->option->name, b->option->name);
  }
  *target = b->option->value;
  return 0;
}

static int
set_value(const struct parser *p, const struct bound *b, const char *text)
{
  const struct cli_option *o = b->option;

  switch (o->kind) {
  case CLI_FLAG:
    *(bool *)b->target = true;
    return 0;
  case CLI_COUNT:
    ++*(unsigned *)b->target;
    return 0;
  case CLI_SET:
    return set_constant(p, b);
  case CLI_CHOICE:
    return set_choice(p, o, b->target, text);
  case CLI_NUMBER:
    if (!number(text, o->min, o->value, b->target))
      return cli_usage_error(p->verb,
                             "--%s: '%s' is not a number from %d to %d",
                             o->name, text, o->min, o->value);
    return 0;
  case CLI_SIZE:
    if (!options_size(text, b->target))
      return cli_usage_error(
          p->verb, "--%s: '%s' is not a size, such as 512M, 10G or 1.5T",
          o->name, text);
    return 0;
  case CLI_TEXT:
  case CLI_WORD:
    if (!*text)
      return cli_usage_error(p->verb, "--%s: an empty %s", o->name, o->arg);
    *(const char **)b->target = text;
    return 0;
  }
  abort();
}

/* What getopt_long called '?': a name that is unknown or not unique, an
 * unknown letter, or a value for an option that takes none. */
static int
unknown_option(const struct parser *p, char **argv)
{
  const char *words[OPTIONS_MAX + 1] = {NULL}, *meant, *text = argv[optind - 1];
  char name[64];

  if (optopt >= FIRST_VALUE)
    return cli_usage_error(p->verb, "option --%s takes no value",
                           find_bound(p, optopt)->option->name);
  if (optopt)
    return cli_usage_error(p->verb, "unknown option -%c", optopt);
  snprintf(name, sizeof name, "%.*s", (int)strcspn(text + 2, "="), text + 2);
  for (int i = 0; i < p->count; i++)
    words[i] = p->bound[i].option->name;
  meant = suggest(name, words);
  if (meant)
    return cli_usage_error(p->verb, "unknown option --%s; did you mean --%s?",
                           name, meant);
  return cli_usage_error(p->verb, "unknown option --%s", name);
}

static int
run_getopt(struct parser *p, int argc, char **argv)
{
  int c, r;

  opterr = 0;
  optind = 0; /* glibc: start afresh, with a new mode */
  while ((c = getopt_long(argc, argv, p->letters, p->long_options, NULL)) !=
         -1) {
    const struct bound *b;

    if (c == '?')
      return unknown_option(p, argv);
    b = find_bound(p, c == ':' ? optopt : c);
    if (c == ':')
      return cli_usage_error(p->verb, "option --%s needs a value: %s",
                             b->option->name, b->option->arg);
    r = set_value(p, b, optarg);
    if (r)
      return r;
  }
  return 0;
}

int
options_parse_leading(struct cli_common *common, int *argc, char ***argv)
{
  struct parser p = {0};
  int r;

  bind_table(&p, common_options, common);
  build_getopt(&p, "+:");
  r = run_getopt(&p, *argc, *argv);
  *argc -= optind;
  *argv += optind;
  return r;
}

static int
check_operands(const struct cli_verb *verb, int count, char **operands)
{
  if (count > verb->max && verb->max == 0)
    return cli_usage_error(verb, "no operand is expected, but there is '%s'",
                           operands[0]);
  if (count > verb->max)
    return cli_usage_error(verb, "one operand too many: '%s'",
                           operands[verb->max]);
  if (count < verb->min)
    return cli_usage_error(verb, "%s missing: %s",
                           count ? "an operand is" : "operands are",
                           verb->operands);
  for (int i = 0; i < count; i++)
    if (!*operands[i])
      return cli_usage_error(verb, "operand %d is empty", i + 1);
  return 0;
}

int
options_parse(const struct cli_verb *verb, struct cli_common *common,
              void *args, int *argc, char ***argv)
{
  struct parser p = {.verb = verb};
  int r;

  bind_table(&p, verb->options, args);
  for (int i = 0; i < GROUP_COUNT; i++)
    if ((verb->groups | GROUP_COMMON) & cli_option_groups[i].group)
      bind_table(&p, cli_option_groups[i].options, common);
  build_getopt(&p, ":");
  r = run_getopt(&p, *argc, *argv);
  if (r)
    return r;
  *argc -= optind;
  *argv += optind;
  /* Help is for those who do not know the operands. */
  if (common->help || common->version)
    return 0;
  return check_operands(verb, *argc, *argv);
}
