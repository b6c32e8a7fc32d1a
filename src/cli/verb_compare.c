/* SPDX-License-Identifier: BSD-3-Clause */
/* vdkit compare: whether a guest would see the same on two disks. */
#include "cli/cli.h"

struct compare_args {
  const char *format_a, *format_b;
};

static const struct cli_option options[] = {
    {"format-a", 0, "FORMAT", CLI_WORD, offsetof(struct compare_args, format_a),
     "vmdk or raw for the first disk, instead of what the content says",
     .choices = cli_formats},
    {"format-b", 0, "FORMAT", CLI_WORD, offsetof(struct compare_args, format_b),
     "the same for the second", .choices = cli_formats},
    {0},
};

static int
run(struct cli *cli, const void *opaque, char **operands, int count)
{
  const struct compare_args *args = opaque;
  struct vdk_compare_options compare = VDK_COMPARE_OPTIONS_INIT;
  uint64_t offset;
  json_t *document;
  int status;

  (void)count;
  compare.format_a = args->format_a;
  compare.format_b = args->format_b;
  compare.flags = cli_open_flags(cli);
  compare.progress = cli->progress;
  compare.log = &cli->log;
  if (vdk_compare(operands[0], operands[1], &compare, &offset, &cli->err))
    return cli_fail(cli);
  progress_end();
  status = offset == VDK_NO_DIFFERENCE ? STATUS_OK : STATUS_DIFFERENT;
  if (cli->common.json) {
    document = cli_document("vdkit.compare/1");
    json_put_text(document, "a", operands[0]);
    json_put_text(document, "b", operands[1]);
    json_put_bool(document, "equal", status == STATUS_OK);
    json_put(document, "first_difference",
             status == STATUS_OK ? json_null()
                                 : json_integer((json_int_t)offset));
    return cli_report(cli, document, status);
  }
  if (status == STATUS_OK)
    cli_say(cli, "%s and %s are equal", operands[0], operands[1]);
  else
    cli_say(cli, "%s and %s differ, first at byte %llu", operands[0],
            operands[1], (unsigned long long)offset);
  return status;
}

const struct cli_verb cli_verb_compare = {
    .name = "compare",
    .operands = "DISK DISK",
    .min = 2,
    .max = 2,
    .summary = "tell whether two disks have the same content",
    .about = "Reads two disks and tells whether a guest would see the same. "
             "Where one is longer, the rest must be zeroes. Exit status: 0 "
             "equal, 6 different.",
    .examples = "  vdkit compare disk.vmdk disk.raw\n",
    .groups = GROUP_PROGRESS | GROUP_READ | GROUP_DISK,
    .options = options,
    .args_size = sizeof(struct compare_args),
    .complete = {COMPLETE_FILE, COMPLETE_FILE},
    .run = run,
};
