/* SPDX-License-Identifier: BSD-3-Clause */
/* vdkit map: which parts of a disk hold data. */
#include "cli/cli.h"

struct map_args {
  const char *format;
  bool single_link;
};

static const struct cli_option options[] = {
    {"single-link", 0, NULL, CLI_FLAG, offsetof(struct map_args, single_link),
     "what the first link alone holds; the rest is absent"},
    {"format", 0, "FORMAT", CLI_WORD, offsetof(struct map_args, format),
     "vmdk or raw, instead of what the content says", .choices = cli_formats},
    {0},
};

static int
print_map(struct cli *cli, struct vdk_handle *h, const char *name,
          const struct map_args *args)
{
  struct extents x = {.cli = cli, .indent = "  "};
  unsigned flags = args->single_link ? VDK_EXTENTS_SINGLE_LINK : 0;
  bool json = cli->common.json;
  int r;

  if (json) {
    fputs("{\n  \"schema\": \"vdkit.map/1\",\n  ", cli->report);
    extents_put_text(cli, "disk", name);
    fprintf(cli->report, ",\n  \"capacity\": %llu,\n",
            (unsigned long long)vdk_capacity(h));
  }
  extents_begin(&x);
  r = vdk_extents(h, 0, VDK_TO_END, flags, extents_print, &x, &cli->err);
  if (json || r == 0)
    extents_end(&x);
  if (json)
    fprintf(cli->report, ",\n  \"complete\": %s\n}\n", r ? "false" : "true");
  return r ? extents_fail(cli) : STATUS_OK;
}

static int
run(struct cli *cli, const void *opaque, char **operands, int count)
{
  const struct map_args *args = opaque;
  struct vdk_open_options open = VDK_OPEN_OPTIONS_INIT;
  struct vdk_handle *h;
  int status;

  (void)count;
  open.flags = cli_open_flags(cli);
  open.format = args->format;
  open.log = &cli->log;
  if (vdk_open(operands[0], &open, &h, &cli->err))
    return cli_fail(cli);
  status = print_map(cli, h, operands[0], args);
  vdk_close(h, NULL);
  return status;
}

const struct cli_verb cli_verb_map = {
    .name = "map",
    .operands = "DISK",
    .min = 1,
    .max = 1,
    .summary = "show which parts of a disk hold data",
    .about = "Lists the extents of a disk, as the guest sees it: those that "
             "are stored and those that are known to read as zeroes. Offsets "
             "and lengths are bytes. No data is read.",
    .examples = "  vdkit map disk.vmdk\n"
                "  vdkit map --single-link disk-000001.vmdk --json\n",
    .groups = GROUP_READ | GROUP_DISK,
    .options = options,
    .args_size = sizeof(struct map_args),
    .complete = {COMPLETE_FILE},
    .run = run,
};
