/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vdkit map: which parts of a disk hold data.
 *
 * A map can have millions of rows, so that it is printed as it is walked, the
 * JSON by hand: it is the one report that is never in memory.
 */
#include "cli/cli.h"

#include <string.h>

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

#define STATES 3

struct walk {
  struct cli *cli;
  uint64_t bytes[STATES], extents[STATES];
  bool any;
};

/* By enum vdk_extent_state. */
static const char *const state_names[STATES] = {"data", "zero", "absent"};

static int
print_extent(void *opaque, const struct vdk_extent *e)
{
  struct walk *walk = opaque;
  FILE *f = walk->cli->report;
  int state = e->state >= 0 && e->state < STATES ? e->state : 0;

  walk->bytes[state] += e->length;
  walk->extents[state]++;
  if (walk->cli->common.json)
    fprintf(f,
            "%s\n    {\"offset\": %llu, \"length\": %llu, \"state\": \"%s\"}",
            walk->any ? "," : "", (unsigned long long)e->offset,
            (unsigned long long)e->length, state_names[state]);
  else
    fprintf(f, "%16llu  %16llu  %s\n", (unsigned long long)e->offset,
            (unsigned long long)e->length, state_names[state]);
  walk->any = true;
  /* Nobody reads on: the walk need not go on. */
  return ferror(f) ? -VDK_E_CANCELLED : 0;
}

static void
json_head(struct cli *cli, const char *name, uint64_t capacity)
{
  json_t *text = json_text(name);
  char *quoted = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;

  fprintf(cli->report,
          "{\n  \"schema\": \"vdkit.map/1\",\n  \"disk\": %s,\n"
          "  \"capacity\": %llu,\n  \"extents\": [",
          quoted ? quoted : "null", (unsigned long long)capacity);
  free(quoted);
  json_decref(text);
}

/* The document is closed in every case, so that it can be parsed: "complete"
 * says whether all of the map is in it. */
static void
json_tail(const struct walk *walk, bool complete)
{
  FILE *f = walk->cli->report;

  fprintf(f, "%s],\n  \"totals\": {", walk->any ? "\n  " : "");
  for (int i = 0; i < STATES; i++)
    fprintf(f, "%s\"%s\": %llu", i ? ", " : "", state_names[i],
            (unsigned long long)walk->bytes[i]);
  fprintf(f, "},\n  \"complete\": %s\n}\n", complete ? "true" : "false");
}

static void
text_totals(const struct walk *walk)
{
  char size[SIZE_TEXT];
  bool first = true;

  for (int i = 0; i < STATES; i++)
    if (walk->extents[i]) {
      fprintf(walk->cli->report, "%s%s %s in %llu extent%s", first ? "" : ", ",
              text_size(walk->bytes[i], size), state_names[i],
              (unsigned long long)walk->extents[i],
              walk->extents[i] == 1 ? "" : "s");
      first = false;
    }
  fputc('\n', walk->cli->report);
}

static int
walk_error(struct cli *cli)
{
  struct cli text = *cli;

  if (ferror(cli->report))
    return STATUS_FAILED; /* report_finish says why */
  text.common.json = false;
  return cli_fail(&text);
}

static int
print_map(struct cli *cli, struct vdk_handle *h, const char *name,
          const struct map_args *args)
{
  struct walk walk = {.cli = cli};
  unsigned flags = args->single_link ? VDK_EXTENTS_SINGLE_LINK : 0;
  int r;

  if (cli->common.json)
    json_head(cli, name, vdk_capacity(h));
  else
    fprintf(cli->report, "%16s  %16s  %s\n", "Offset", "Length", "State");
  r = vdk_extents(h, 0, VDK_TO_END, flags, print_extent, &walk, &cli->err);
  if (cli->common.json)
    json_tail(&walk, r == 0);
  else if (r == 0 && !cli->common.quiet)
    text_totals(&walk);
  return r ? walk_error(cli) : STATUS_OK;
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
