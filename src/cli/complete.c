/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vdkit __completion: the bash completion, written from the tables when
 * vdkit is built. The script is plain bash, needs no other package, and asks
 * vdkit itself only for the names of restore points.
 *
 * Layout of the script: find the verb and how many operands stand before the
 * cursor; complete the value of an option; else an option; else an operand.
 */
#include "cli/cli.h"

#include <string.h>

/* The parts that do not depend on the tables. */
static const char script_head[] =
    "# bash completion for vdkit. Written by 'vdkit __completion'.\n"
    "\n"
    "_vdkit_words () { COMPREPLY=($(compgen -W \"$1\" -- \"$cur\")); }\n"
    "_vdkit_paths () {\n"
    "  compopt -o filenames 2>/dev/null\n"
    "  local IFS=$'\\n'\n"
    "  COMPREPLY=($(compgen \"$1\" -- \"$cur\"))\n"
    "}\n"
    "_vdkit_points () {\n"
    "  local IFS=$'\\n'\n"
    "  COMPREPLY=($(compgen -W \"$(\"${COMP_WORDS[0]}\" __points \\\n"
    "    ${repo:+--repo \"$repo\"} 2>/dev/null)\" -- \"$cur\"))\n"
    "}\n"
    "\n"
    "_vdkit () {\n"
    "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
    "  local verb= operands=0 repo=${VDKIT_REPO-} i word\n"
    "  COMPREPLY=()\n"
    "  # --option=value comes as three words.\n"
    "  if [[ $cur == = ]]; then\n"
    "    cur=\n"
    "  elif [[ $prev == = ]]; then\n"
    "    prev=${COMP_WORDS[COMP_CWORD-2]}\n"
    "  fi\n"
    "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "    word=${COMP_WORDS[i]}\n"
    "    case $word in\n";

static const char script_scan[] =
    "      [[ ${COMP_WORDS[i+1]-} == = ]] && ((i++))\n"
    "      ((i++))\n"
    "      [[ $word == --repo || $word == -r ]] && repo=${COMP_WORDS[i]-}\n"
    "      ;;\n"
    "    -?*) ;;\n"
    "    *)\n"
    "      if [[ -z $verb ]]; then\n"
    "        verb=$word\n"
    "      elif [[ $verb == vm ]]; then\n"
    "        verb=\"vm $word\"\n"
    "      else\n"
    "        ((operands < 1)) && ((operands++))\n"
    "      fi\n"
    "      ;;\n"
    "    esac\n"
    "  done\n"
    "  # A '~' is for the shell to expand; eval of it is not for us.\n"
    "  [[ $repo == '~/'* ]] && repo=$HOME/${repo#'~/'}\n";

/* Calls FN for each option of V. */
static void
each_option(const struct cli_verb *v,
            void (*fn)(const struct cli_verb *v, const struct cli_option *o))
{
  for (const struct cli_option *o = v->options; o && o->name; o++)
    fn(v, o);
  for (int i = 0; i < GROUP_COUNT; i++)
    if ((v->groups | GROUP_COMMON) & cli_option_groups[i].group)
      for (const struct cli_option *o = cli_option_groups[i].options; o->name;
           o++)
        fn(v, o);
}

static void
print_value_pattern(const struct cli_verb *v, const struct cli_option *o)
{
  (void)v;
  if (o->arg)
    printf("--%s | ", o->name);
  if (o->arg && o->letter)
    printf("-%c | ", o->letter);
}

static void
print_option_word(const struct cli_verb *v, const struct cli_option *o)
{
  (void)v;
  printf("--%s ", o->name);
}

static void
print_words(const char *const *words)
{
  for (; *words; words++)
    printf("%s%s", *words, words[1] ? " " : "");
}

static void
print_value(const struct cli_verb *v, const struct cli_option *o)
{
  const char *const *words = o->words ? o->words() : o->choices;

  if (!o->arg)
    return;
  printf("  '%s:--%s'", v->name, o->name);
  if (o->letter)
    printf(" | '%s:-%c'", v->name, o->letter);
  printf(") ");
  if (words) {
    printf("_vdkit_words '");
    print_words(words);
    printf("'");
  } else if (o->complete == COMPLETE_FILE || o->complete == COMPLETE_DIR) {
    printf("_vdkit_paths %s", o->complete == COMPLETE_DIR ? "-d" : "-f");
  } else {
    printf(":");
  }
  printf("; return ;;\n");
}

static void
print_verbs(void)
{
  for (const struct cli_verb *const *v = cli_verbs; *v; v++)
    if (!(*v)->hidden && !strchr((*v)->name, ' '))
      printf("%s ", (*v)->name);
  printf("vm");
}

static void
print_operand(const struct cli_verb *v, int index)
{
  static const char *const actions[] = {
      [COMPLETE_NOTHING] = NULL,
      [COMPLETE_FILE] = "_vdkit_paths -f",
      [COMPLETE_DIR] = "_vdkit_paths -d",
      [COMPLETE_POINT] = "_vdkit_points",
  };

  if (v->complete[index] == COMPLETE_VERB) {
    printf("  '%s:%d') _vdkit_words '", v->name, index);
    print_verbs();
    printf(" types' ;;\n");
  } else if (actions[v->complete[index]]) {
    printf("  '%s:%d') %s ;;\n", v->name, index, actions[v->complete[index]]);
  }
}

static void
each_verb(void (*fn)(const struct cli_verb *v))
{
  for (const struct cli_verb *const *v = cli_verbs; *v; v++)
    if (!(*v)->hidden)
      fn(*v);
}

static void
verb_value_patterns(const struct cli_verb *v)
{
  each_option(v, print_value_pattern);
}

static void
verb_values(const struct cli_verb *v)
{
  each_option(v, print_value);
}

static void
verb_options(const struct cli_verb *v)
{
  printf("    '%s') _vdkit_words '", v->name);
  each_option(v, print_option_word);
  printf("' ;;\n");
}

static void
verb_operands(const struct cli_verb *v)
{
  print_operand(v, 0);
  print_operand(v, 1);
}

static void
verb_second_words(const struct cli_verb *v)
{
  if (strncmp(v->name, "vm ", 3) == 0)
    printf("%s ", v->name + 3);
}

static int
run(struct cli *cli, const void *args, char **operands, int count)
{
  (void)cli;
  (void)args;
  (void)operands;
  (void)count;
  fputs(script_head, stdout);
  printf("    ");
  each_verb(verb_value_patterns);
  printf("--no-such-option)\n");
  fputs(script_scan, stdout);
  printf("  case $verb:$prev in\n");
  each_verb(verb_values);
  printf("  esac\n  if [[ $cur == -* ]]; then\n    case $verb in\n");
  printf("    '' | vm) _vdkit_words '--help --version' ;;\n");
  each_verb(verb_options);
  printf("    esac\n    return\n  fi\n  case $verb:$operands in\n");
  printf("  ':0') _vdkit_words '");
  print_verbs();
  printf("' ;;\n  'vm:0') _vdkit_words '");
  each_verb(verb_second_words);
  printf("' ;;\n");
  each_verb(verb_operands);
  printf("  esac\n}\n\ncomplete -F _vdkit vdkit\n");
  return STATUS_OK;
}

const struct cli_verb cli_verb_completion = {
    .name = "__completion",
    .operands = "",
    .summary = "print the completion for bash",
    .hidden = true,
    .run = run,
};
