/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vdkit convert: a disk into a new one of any type, or from and to a pipe.
 *
 * When the disk itself goes to stdout, the report goes to stderr.
 */
#include "cli/cli.h"

#include <string.h>
#include <unistd.h>

struct convert_args {
  const char *type, *source_format, *adapter;
  uint64_t grain_size, extent_size;
  int level, workers;
  bool fast, overwrite;
};
#define ARG(field) offsetof(struct convert_args, field)

static const char *const adapters[] = {"lsilogic", "buslogic", "ide", NULL};

static const struct cli_option options[] = {
    {"type", 't', "TYPE", CLI_WORD, ARG(type),
     "of the target: raw or a createType, as 'vdkit help types' lists them "
     "(default: by the suffix of TARGET; raw for a pipe)",
     .words = vdk_type_names},
    {"fast", 0, NULL, CLI_FLAG, ARG(fast),
     "streamOptimized: compress fast rather than well"},
    {"level", 0, "N", CLI_NUMBER, ARG(level),
     "streamOptimized: compress at level 1 (fast) to 12 (small)", .min = 1,
     .value = 12},
    {"overwrite", 'f', NULL, CLI_FLAG, ARG(overwrite),
     "replace TARGET when it exists, once the copy is complete"},
    {"source-format", 0, "FORMAT", CLI_WORD, ARG(source_format),
     "vmdk or raw, instead of what the content says", .choices = cli_formats},
    {"grain-size", 0, "SIZE", CLI_SIZE, ARG(grain_size),
     "unit of allocation of a sparse target, a power of two (64K)"},
    {"extent-size", 0, "SIZE", CLI_SIZE, ARG(extent_size),
     "size of each file of a split target (2G)"},
    {"adapter", 0, "ADAPTER", CLI_WORD, ARG(adapter),
     "lsilogic, buslogic or ide (default: the source's)", .choices = adapters},
    {"workers", 0, "N", CLI_NUMBER, ARG(workers),
     "threads (default: as many as processors)", .min = 1, .value = 256},
    {0},
};

static bool
is_pipe(const char *name)
{
  return strcmp(name, "-") == 0;
}

static int
check(struct cli *cli, const struct convert_args *args, char **operands)
{
  if (args->fast && args->level)
    return cli_usage_error(cli->verb, "--fast and --level exclude each other");
  if (is_pipe(operands[0]) && isatty(STDIN_FILENO))
    return cli_usage_error(cli->verb, "the source is a terminal; give it a "
                                      "disk: vdkit convert - TARGET <FILE");
  if (is_pipe(operands[1]) && isatty(STDOUT_FILENO))
    return cli_usage_error(cli->verb, "the target is a terminal; send it to a "
                                      "file or program: ... | PROGRAM");
  if (!args->type && !is_pipe(operands[1]) && !vdk_type_by_suffix(operands[1]))
    return cli_usage_error(cli->verb,
                           "the suffix of '%s' does not say which type to "
                           "make; give --type",
                           operands[1]);
  return cli_check_type(cli, args->type);
}

static int
report(struct cli *cli, char **operands, const struct vdk_convert_stats *stats)
{
  char passed[SIZE_TEXT], read[SIZE_TEXT], written[SIZE_TEXT], speed[SIZE_TEXT];
  char took[TIME_TEXT];
  double seconds = stats->seconds > 0.001 ? stats->seconds : 0.001;
  json_t *document;

  if (!cli->common.json) {
    cli_say(cli, "%s: %s of %s; read %s, wrote %s in %s (%s/s)",
            is_pipe(operands[1]) ? "standard output" : operands[1],
            stats->type ? stats->type : "disk",
            text_size(stats->passed, passed), text_size(stats->read, read),
            text_size(stats->written, written),
            text_elapsed(stats->seconds, took),
            text_size((uint64_t)((double)stats->read / seconds), speed));
    return STATUS_OK;
  }
  document = cli_document("vdkit.convert/1");
  json_put_text(document, "source", operands[0]);
  json_put_text(document, "target", operands[1]);
  json_put_text(document, "type", stats->type);
  json_put_u64(document, "capacity", stats->passed);
  json_put_u64(document, "read", stats->read);
  json_put_u64(document, "zero", stats->zero);
  json_put_u64(document, "written", stats->written);
  json_put(document, "seconds", json_real(stats->seconds));
  return cli_report(cli, document, STATUS_OK);
}

static int
run(struct cli *cli, const void *opaque, char **operands, int count)
{
  const struct convert_args *args = opaque;
  struct vdk_convert_options convert = VDK_CONVERT_OPTIONS_INIT;
  struct vdk_convert_stats stats = VDK_CONVERT_STATS_INIT;
  int status = check(cli, args, operands);

  (void)count;
  if (status)
    return status;
  if (is_pipe(operands[1]))
    cli->report = stderr;
  convert.type = args->type;
  convert.level = (unsigned)args->level;
  convert.fast = args->fast;
  convert.overwrite = args->overwrite;
  convert.workers = (unsigned)args->workers;
  convert.source_format = args->source_format;
  convert.source_flags = cli_open_flags(cli);
  convert.grain_size = args->grain_size;
  convert.extent_size = args->extent_size;
  convert.adapter = args->adapter;
  convert.progress = cli->progress;
  convert.log = &cli->log;
  if (vdk_convert(operands[0], operands[1], &convert, &stats, &cli->err))
    return cli_fail(cli);
  progress_end();
  return report(cli, operands, &stats);
}

const struct cli_verb cli_verb_convert = {
    .name = "convert",
    .operands = "SOURCE TARGET",
    .min = 2,
    .max = 2,
    .summary = "copy a disk to a new one of any type",
    .about = "Copies the disk SOURCE, as the guest sees it, to the new disk "
             "TARGET. '-' is standard input or output.",
    .examples = "  vdkit convert disk.vmdk disk.raw\n"
                "  vdkit convert disk.vmdk - --type streamOptimized | "
                "ssh host 'cat >disk.vmdk'\n",
    .groups = GROUP_PROGRESS | GROUP_READ | GROUP_DISK,
    .options = options,
    .args_size = sizeof(struct convert_args),
    .complete = {COMPLETE_FILE, COMPLETE_FILE},
    .run = run,
};
