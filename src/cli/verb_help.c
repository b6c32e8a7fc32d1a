/* SPDX-License-Identifier: BSD-3-Clause */
/* vdkit help: all verbs, one verb, or the types of disks. */
#include "cli/cli.h"

#include <string.h>

static int
help_types(struct cli *cli)
{
  _cleanup_table_ struct table t = {0};

  if (cli->common.json) {
    json_t *document = cli_document("vdkit.types/1"), *types = json_array();

    json_put(document, "types", types);
    for (const char *const *name = vdk_type_names(); *name; name++) {
      json_t *type = json_object();

      json_put_text(type, "type", *name);
      json_put_text(type, "text", vdk_type_text(*name));
      json_add(types, type);
    }
    return cli_report(cli, document, STATUS_OK);
  }
  for (const char *const *name = vdk_type_names(); *name; name++)
    table_add(&t, *name, vdk_type_text(*name));
  table_print(&t, "  ", cli->report);
  return STATUS_OK;
}

static int
run(struct cli *cli, const void *args, char **operands, int count)
{
  const struct cli_verb *verb;
  int words;

  (void)args;
  if (count == 1 && strcmp(operands[0], "types") == 0)
    return help_types(cli);
  if (count == 0) {
    help_all(cli->report);
    return STATUS_OK;
  }
  if (count == 1 && cli_verb_is_family(operands[0])) {
    char option[] = "--help", *family[] = {operands[0], option};

    help_family(2, family);
    return STATUS_OK;
  }
  verb = cli_verb_find(count, operands, &words);
  if (!verb || words != count) {
    if (count == 1 || !verb)
      return cli_unknown_verb(count, operands);
    return cli_usage_error(cli->verb, "one operand too many: '%s'",
                           operands[words]);
  }
  help_verb(verb, cli->report);
  return STATUS_OK;
}

const struct cli_verb cli_verb_help = {
    .name = "help",
    .operands = "[VERB]",
    .min = 0,
    .max = 2,
    .summary = "tell about a verb, or about 'types' of disks",
    .examples = "  vdkit help convert\n"
                "  vdkit help vm show\n"
                "  vdkit help types\n",
    .complete = {COMPLETE_VERB},
    .run = run,
};
