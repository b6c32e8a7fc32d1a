/* SPDX-License-Identifier: BSD-3-Clause */
/* vdkit verify: whether a repository is sound. */
#include "cli/cli.h"

/* Reports of a repository that lost everything stay of a size that can be
 * read; the count goes on. */
#define FINDINGS_MAX 10000

struct verify_args {
  int level; /* 0: not said, else an enum vdk_verify_level + 1 */
};

static const struct cli_option options[] = {
    {"quick", 0, NULL, CLI_SET, offsetof(struct verify_args, level),
     "only look that all is there that restore points need",
     .value = VDK_VERIFY_QUICK + 1},
    {"packs", 0, NULL, CLI_SET, offsetof(struct verify_args, level),
     "also read all packs and check their SHA-256 (the default)",
     .value = VDK_VERIFY_PACKS + 1},
    {"deep", 0, NULL, CLI_SET, offsetof(struct verify_args, level),
     "also decode every chunk and compare it with its id",
     .value = VDK_VERIFY_DEEP + 1},
    {0},
};

/* By enum vdk_verify_level. */
static const char *const level_names[] = {"quick", "packs", "deep"};

struct findings {
  struct cli *cli;
  json_t *array;
  size_t count;
};

static void
found(void *opaque, const char *object, const char *text)
{
  struct findings *findings = opaque;

  if (findings->count++ >= FINDINGS_MAX)
    return;
  if (findings->array) {
    json_t *finding = json_object();

    json_put_text(finding, "object", object);
    json_put_text(finding, "text", text);
    json_add(findings->array, finding);
    return;
  }
  progress_hide();
  fputs("damaged: ", findings->cli->report);
  print_escaped(findings->cli->report, object);
  fputs(": ", findings->cli->report);
  print_escaped(findings->cli->report, text);
  fputc('\n', findings->cli->report);
  fflush(findings->cli->report);
  progress_unhide();
}

static int
report_json(struct cli *cli, const struct vdk_verify_stats *stats,
            struct findings *findings, int level, int status)
{
  json_t *document = cli_document("vdkit.verify/1");

  json_put_text(document, "repository", cli->common.repo);
  json_put_text(document, "level", level_names[level]);
  json_put_u64(document, "points", stats->points);
  json_put_u64(document, "disks", stats->disks);
  json_put_u64(document, "packs", stats->packs);
  json_put_u64(document, "chunks", stats->chunks);
  json_put_u64(document, "bytes", stats->bytes);
  json_put_u64(document, "unreferenced_packs", stats->unreferenced_packs);
  json_put_u64(document, "damaged", stats->damaged);
  json_put(document, "findings", findings->array);
  findings->array = NULL;
  return cli_report(cli, document, status);
}

static void
report_text(struct cli *cli, const struct vdk_verify_stats *stats, int level)
{
  char size[SIZE_TEXT];

  cli_say(cli,
          "%s: %llu restore points, %llu disks, %llu packs, %llu chunks, %s: "
          "%llu damaged",
          level_names[level], (unsigned long long)stats->points,
          (unsigned long long)stats->disks, (unsigned long long)stats->packs,
          (unsigned long long)stats->chunks, text_size(stats->bytes, size),
          (unsigned long long)stats->damaged);
  if (stats->unreferenced_packs)
    cli_say(cli,
            "%llu packs are of interrupted backups; the next one uses "
            "what it can of them",
            (unsigned long long)stats->unreferenced_packs);
}

static int
verify(struct cli *cli, struct vdk_repo *repo, int level)
{
  struct vdk_verify_options verify = VDK_VERIFY_OPTIONS_INIT;
  struct vdk_verify_stats stats = VDK_VERIFY_STATS_INIT;
  struct findings findings = {.cli = cli};
  int status = STATUS_OK;

  if (cli->common.json)
    findings.array = json_array();
  verify.level = level;
  verify.progress = cli->progress;
  verify.found = found;
  verify.found_opaque = &findings;
  if (vdk_repo_verify(repo, &verify, &stats, &cli->err)) {
    status = vdk_error_exit_status(&cli->err);
    /* Damage is a result, with its report; anything else is a failure. */
    if (cli->err.code != VDK_E_DAMAGED || findings.count == 0) {
      json_decref(findings.array);
      return cli_fail(cli);
    }
  }
  progress_end();
  if (cli->common.json)
    return report_json(cli, &stats, &findings, level, status);
  report_text(cli, &stats, level);
  if (status)
    fprintf(stderr, "vdkit: the repository is damaged; restore points that "
                    "are not named above can be restored\n");
  return status;
}

static int
run(struct cli *cli, const void *opaque, char **operands, int count)
{
  const struct verify_args *args = opaque;
  struct vdk_repo_options open = VDK_REPO_OPTIONS_INIT;
  struct vdk_repo *repo;
  int status;

  (void)operands;
  (void)count;
  open.log = &cli->log;
  if (vdk_repo_open(cli->common.repo, &open, &repo, &cli->err))
    return cli_fail(cli);
  status = verify(cli, repo, args->level ? args->level - 1 : VDK_VERIFY_PACKS);
  vdk_repo_close(repo);
  return status;
}

const struct cli_verb cli_verb_verify = {
    .name = "verify",
    .operands = "",
    .summary = "check that a repository is sound",
    .about = "Checks a repository. Nothing is changed. Exit status 20 when "
             "there is damage; each damaged object is told with the restore "
             "points that it touches.",
    .examples = "  vdkit verify --repo /backup\n"
                "  vdkit verify --repo /backup --deep --json\n",
    .groups = GROUP_REPO | GROUP_PROGRESS,
    .options = options,
    .args_size = sizeof(struct verify_args),
    .run = run,
};
