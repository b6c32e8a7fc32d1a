/* SPDX-License-Identifier: BSD-3-Clause */
/* vdkit restore: a restore point as a new virtual machine. */
#include "cli/cli.h"

struct restore_args {
  const char *type, *name, *disk;
};
#define ARG(field) offsetof(struct restore_args, field)

static const struct cli_option options[] = {
    {"type", 't', "TYPE", CLI_WORD, ARG(type),
     "of the disks: raw or a createType, as 'vdkit help types' lists them "
     "(default: as they were)",
     .words = vdk_type_names},
    {"name", 0, "NAME", CLI_TEXT, ARG(name),
     "of the new virtual machine (default: as it was)"},
    {"disk", 0, "KEY", CLI_TEXT, ARG(disk),
     "only this disk, as 'scsi0:0', without a virtual machine"},
    {0},
};

static int
report(struct cli *cli, const char *point, const char *dir,
       const struct vdk_restore_result *result)
{
  char bytes[SIZE_TEXT], written[SIZE_TEXT], took[TIME_TEXT];
  json_t *document;

  if (!cli->common.json) {
    cli_say(cli, "restored %s to %s", point, result->vmx ? result->vmx : dir);
    cli_say(cli, "%zu disk%s of %s, wrote %s in %s", result->disk_count,
            result->disk_count == 1 ? "" : "s", text_size(result->bytes, bytes),
            text_size(result->written, written),
            text_elapsed(result->seconds, took));
    return STATUS_OK;
  }
  document = cli_document("vdkit.restore/1");
  json_put_text(document, "repository", cli->common.repo);
  json_put_text(document, "point", point);
  json_put_text(document, "target", dir);
  json_put_text(document, "vmx", result->vmx);
  json_put_u64(document, "disks", result->disk_count);
  json_put_u64(document, "bytes", result->bytes);
  json_put_u64(document, "written", result->written);
  json_put(document, "seconds", json_real(result->seconds));
  return cli_report(cli, document, STATUS_OK);
}

/* POINT is resolved once, so that what is restored is what is reported, also
 * when a backup ends in between. */
static int
restore(struct cli *cli, struct vdk_repo *repo, char **operands,
        const struct restore_args *args)
{
  struct vdk_restore_options restore = VDK_RESTORE_OPTIONS_INIT;
  const struct vdk_restore_result *result;
  const struct vdk_point *point;
  int status;

  if (vdk_repo_find(repo, operands[0], &point, &cli->err))
    return cli_fail(cli);
  restore.type = args->type;
  restore.name = args->name;
  restore.disk = args->disk;
  restore.progress = cli->progress;
  restore.log = &cli->log;
  if (vdk_restore(repo, point->id, operands[1], &restore, &result, &cli->err)) {
    status = cli_fail(cli);
  } else {
    progress_end();
    status = report(cli, point->id, operands[1], result);
    vdk_restore_result_free(result);
  }
  vdk_point_free(point);
  return status;
}

static int
run(struct cli *cli, const void *args, char **operands, int count)
{
  struct vdk_repo_options open = VDK_REPO_OPTIONS_INIT;
  struct vdk_repo *repo;
  int status;

  (void)count;
  status = cli_check_type(cli, ((const struct restore_args *)args)->type);
  if (status)
    return status;
  open.log = &cli->log;
  if (vdk_repo_open(cli->common.repo, &open, &repo, &cli->err))
    return cli_fail(cli);
  status = restore(cli, repo, operands, args);
  vdk_repo_close(repo);
  return status;
}

const struct cli_verb cli_verb_restore = {
    .name = "restore",
    .operands = "POINT TARGET-DIR",
    .min = 2,
    .max = 2,
    .summary = "restore a virtual machine from a repository",
    .about = "Restores a restore point as a new virtual machine in the folder "
             "TARGET-DIR, which must not exist or be empty. POINT is 'latest', "
             "a VM's name for its latest, or an id as 'vdkit list' prints it.",
    .examples = "  vdkit restore --repo /backup latest /vms/mail-again\n"
                "  vdkit restore --repo /backup mail /vms/new --type vmfs\n"
                "  vdkit convert 'vmbk:/backup#mail@latest/scsi0:0' disk.raw\n",
    .groups = GROUP_REPO | GROUP_PROGRESS,
    .options = options,
    .args_size = sizeof(struct restore_args),
    .complete = {COMPLETE_POINT, COMPLETE_DIR},
    .run = run,
};
