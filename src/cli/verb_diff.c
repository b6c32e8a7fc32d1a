/* SPDX-License-Identifier: BSD-3-Clause */
/* vdkit diff: what changed between two restore points. */
#include "cli/cli.h"

#include <string.h>

struct diff_args {
  const char *disk;
};

static const struct cli_option options[] = {
    {"disk", 0, "KEY", CLI_TEXT, offsetof(struct diff_args, disk),
     "only this disk, as 'scsi0:0' (default: all of the newer point)"},
    {0},
};

struct sides {
  struct vdk_vmbk_reader *older, *newer;
};

static bool
has_disk(const struct vdk_point *p, const char *key)
{
  for (size_t i = 0; i < p->disk_count; i++)
    if (strcmp(p->disks[i]->key, key) == 0)
      return true;
  return false;
}

static int
diff_disk(struct cli *cli, const struct sides *s,
          const struct vdk_point_disk *disk, bool first)
{
  const struct vdk_point *older = vdk_vmbk_reader_point(s->older);
  bool json = cli->common.json, is_new = !has_disk(older, disk->key);
  struct extents x = {.cli = cli, .indent = "      "};
  int r;

  if (json) {
    fprintf(cli->report, "%s\n    {\n      ", first ? "" : ",");
    extents_put_text(cli, "key", disk->key);
    fprintf(cli->report, ",\n      \"capacity\": %llu,\n      \"new\": %s,\n",
            (unsigned long long)disk->capacity, is_new ? "true" : "false");
  } else {
    fputs(first ? "" : "\n", cli->report);
    cli_say(cli, "%s%s", disk->key, is_new ? ", which is new" : "");
  }
  extents_begin(&x);
  /* A disk that was not there before differs from an empty one. */
  r = vdk_vmbk_reader_diff(is_new ? NULL : s->older, s->newer, disk->key,
                           extents_print, &x, &cli->err);
  if (json || r == 0)
    extents_end(&x);
  if (json)
    fputs("\n    }", cli->report);
  return r;
}

static int
diff_points(struct cli *cli, const struct sides *s, const char *only)
{
  const struct vdk_point *older = vdk_vmbk_reader_point(s->older);
  const struct vdk_point *newer = vdk_vmbk_reader_point(s->newer);
  bool first = true;
  int r = 0;

  if (cli->common.json) {
    fputs("{\n  \"schema\": \"vdkit.diff/1\",\n  ", cli->report);
    extents_put_text(cli, "older", older->id);
    fputs(",\n  ", cli->report);
    extents_put_text(cli, "newer", newer->id);
    fputs(",\n  \"disks\": [", cli->report);
  }
  for (size_t i = 0; i < newer->disk_count && r == 0; i++)
    if (!only || strcmp(newer->disks[i]->key, only) == 0) {
      r = diff_disk(cli, s, newer->disks[i], first);
      first = false;
    }
  if (cli->common.json)
    fprintf(cli->report, "%s],\n  \"complete\": %s\n}\n", first ? "" : "\n  ",
            r ? "false" : "true");
  return r ? extents_fail(cli) : STATUS_OK;
}

static int
run_sides(struct cli *cli, struct vdk_repo *repo, char **operands,
          const char *only)
{
  struct sides s = {NULL, NULL};
  int status;

  if (vdk_vmbk_reader_open(repo, operands[0], &s.older, &cli->err) ||
      vdk_vmbk_reader_open(repo, operands[1], &s.newer, &cli->err))
    status = cli_fail(cli);
  else if (only && !has_disk(vdk_vmbk_reader_point(s.newer), only))
    status = cli_usage_error(cli->verb, "--disk: %s has no disk '%s'",
                             vdk_vmbk_reader_point(s.newer)->id, only);
  else
    status = diff_points(cli, &s, only);
  vdk_vmbk_reader_close(s.newer);
  vdk_vmbk_reader_close(s.older);
  return status;
}

static int
run(struct cli *cli, const void *opaque, char **operands, int count)
{
  const struct diff_args *args = opaque;
  struct vdk_repo_options open = VDK_REPO_OPTIONS_INIT;
  struct vdk_repo *repo;
  int status;

  (void)count;
  open.log = &cli->log;
  if (vdk_repo_open(cli->common.repo, &open, &repo, &cli->err))
    return cli_fail(cli);
  status = run_sides(cli, repo, operands, args->disk);
  vdk_repo_close(repo);
  return status;
}

const struct cli_verb cli_verb_diff = {
    .name = "diff",
    .operands = "OLDER NEWER",
    .min = 2,
    .max = 2,
    .summary = "show what changed between two restore points",
    .about = "Lists, for each disk of the restore point NEWER, the ranges that "
             "differ from OLDER, and what NEWER has there. Offsets and lengths "
             "are bytes, in whole chunks. No data is read.",
    .examples = "  vdkit diff 20261120t2200 latest --repo /backup\n",
    .groups = GROUP_REPO,
    .options = options,
    .args_size = sizeof(struct diff_args),
    .complete = {COMPLETE_POINT, COMPLETE_POINT},
    .run = run,
};
