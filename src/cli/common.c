/* SPDX-License-Identifier: BSD-3-Clause */
/* What several verbs do alike. */
#include "cli/cli.h"

#include <strings.h>

const char *const cli_formats[] = {"vmdk", "raw", NULL};

static const struct {
  size_t offset; /* of a bool in struct cli_common */
  unsigned flag;
} open_flags[] = {
    {offsetof(struct cli_common, allow_outside), VDK_OPEN_ALLOW_OUTSIDE},
    {offsetof(struct cli_common, allow_devices), VDK_OPEN_ALLOW_DEVICES},
    {offsetof(struct cli_common, salvage), VDK_OPEN_SALVAGE},
    {offsetof(struct cli_common, no_lock), VDK_OPEN_NO_LOCK},
};

unsigned
cli_open_flags(const struct cli *cli)
{
  unsigned flags = 0;

  for (size_t i = 0; i < ARRAY_SIZE(open_flags); i++)
    if (*(const bool *)((const char *)&cli->common + open_flags[i].offset))
      flags |= open_flags[i].flag;
  return flags;
}

int
cli_check_type(const struct cli *cli, const char *type)
{
  const char *meant;

  if (!type)
    return 0;
  for (const char *const *t = vdk_type_names(); *t; t++)
    if (strcasecmp(*t, type) == 0)
      return 0;
  meant = suggest(type, vdk_type_names());
  if (meant)
    return cli_usage_error(cli->verb,
                           "--type: there is no type '%s'; did you mean %s?",
                           type, meant);
  return cli_usage_error(cli->verb,
                         "--type: there is no type '%s'; 'vdkit help types' "
                         "lists what there is",
                         type);
}
