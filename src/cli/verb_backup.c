/* SPDX-License-Identifier: BSD-3-Clause */
/* vdkit init, vdkit backup: a repository, and restore points in it. */
#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

/* --- init ----------------------------------------------------------------- */

struct init_args {
  uint64_t chunk_size;
  int level;
};

static const struct cli_option init_options[] = {
    {"chunk-size", 0, "SIZE", CLI_SIZE, offsetof(struct init_args, chunk_size),
     "unit of storage, a power of two from 64K to 4M (256K)"},
    {"level", 0, "N", CLI_NUMBER, offsetof(struct init_args, level),
     "zstd level 1 (fast, the default) to 19 (small)", .min = 1, .value = 19},
    {0},
};

static int
report_init(struct cli *cli, struct vdk_repo *repo)
{
  struct vdk_repo_info info = VDK_REPO_INFO_INIT;
  json_t *document;
  char size[SIZE_TEXT];

  if (vdk_repo_get_info(repo, &info, &cli->err))
    return cli_fail(cli);
  cli_say(cli, "made the repository %s, in chunks of %s", info.name,
          text_size(info.chunk_size, size));
  if (!cli->common.json)
    return STATUS_OK;
  document = cli_document("vdkit.init/1");
  json_put_text(document, "repository", info.name);
  json_put_text(document, "uuid", info.uuid);
  json_put_u64(document, "chunk_size", info.chunk_size);
  return cli_report(cli, document, STATUS_OK);
}

static int
run_init(struct cli *cli, const void *opaque, char **operands, int count)
{
  const struct init_args *args = opaque;
  struct vdk_repo_init_options init = VDK_REPO_INIT_OPTIONS_INIT;
  struct vdk_repo_options open = VDK_REPO_OPTIONS_INIT;
  struct vdk_repo *repo = NULL;
  int status;

  (void)operands;
  (void)count;
  if (args->chunk_size > UINT32_MAX)
    return cli_usage_error(cli->verb, "--chunk-size: at most 4M");
  init.chunk_size = (uint32_t)args->chunk_size;
  init.level = args->level;
  open.log = &cli->log;
  if (vdk_repo_init(cli->common.repo, &init, &cli->err) ||
      vdk_repo_open(cli->common.repo, &open, &repo, &cli->err))
    return cli_fail(cli);
  status = report_init(cli, repo);
  vdk_repo_close(repo);
  return status;
}

/* --- backup --------------------------------------------------------------- */

struct backup_args {
  bool full, compare, no_init;
  int on_lost, level, snapshot;
};
#define ARG(field) offsetof(struct backup_args, field)

/* By enum vdk_on_lost. */
static const char *const on_lost[] = {"compare", "fail", NULL};

static const struct cli_option backup_options[] = {
    {"full", 0, NULL, CLI_FLAG, ARG(full),
     "read everything, whatever is known of changes"},
    {"compare", 0, NULL, CLI_FLAG, ARG(compare),
     "read everything and store what differs, also where changes are known"},
    {"on-lost", 0, "HOW", CLI_CHOICE, ARG(on_lost),
     "compare or fail: when the changed ranges should be known and are not "
     "(compare)",
     .choices = on_lost},
    {"snapshot", 0, "UID", CLI_NUMBER, ARG(snapshot),
     "take this snapshot of the VM ('vdkit vm show' lists them), not the "
     "present",
     .min = 1, .value = 0x7fffffff},
    {"level", 0, "N", CLI_NUMBER, ARG(level),
     "zstd level 1 (fast) to 19 (small); default: the repository's", .min = 1,
     .value = 19},
    {"no-init", 0, NULL, CLI_FLAG, ARG(no_init),
     "fail (status 10) when there is no repository yet, rather than make it"},
    {0},
};

/* True when nothing is at PATH, or an empty folder: only there is a new
 * repository what the user can have meant. */
static bool
is_vacant(const char *path)
{
  DIR *dir = opendir(path);
  struct dirent *entry;
  bool vacant = true;

  if (!dir)
    return errno == ENOENT;
  while (vacant && (entry = readdir(dir)))
    vacant =
        strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
  closedir(dir);
  return vacant;
}

static int
open_or_make(struct cli *cli, const struct backup_args *args,
             struct vdk_repo **ret)
{
  struct vdk_repo_options open = VDK_REPO_OPTIONS_INIT;
  const char *path = cli->common.repo;
  int r;

  open.log = &cli->log;
  r = vdk_repo_open(path, &open, ret, &cli->err);
  if (r != -VDK_E_NOT_A_REPO || args->no_init || !is_vacant(path))
    return r;
  cli->err = (struct vdk_error)VDK_ERROR_INIT;
  r = vdk_repo_init(path, NULL, &cli->err);
  if (r == 0)
    r = vdk_repo_open(path, &open, ret, &cli->err);
  if (r == 0)
    cli_say(cli, "made the repository %s", path);
  return r;
}

static int
backup_status(const struct vdk_backup_result *result)
{
  if (result->ranges_lost)
    return STATUS_RANGES_LOST;
  return result->warnings ? STATUS_WARNINGS : STATUS_OK;
}

static int
backup_json(struct cli *cli, const struct vdk_backup_result *result)
{
  json_t *document = cli_document("vdkit.backup/1"), *disks = json_array();
  json_t *warnings = json_array();

  json_put_text(document, "repository", cli->common.repo);
  json_put_text(document, "point", result->point->id);
  json_put_text(document, "vm", result->point->vm_name);
  json_put_text(document, "vm_uuid", result->point->vm_uuid);
  json_put_text(document, "parent",
                *result->point->parent ? result->point->parent : NULL);
  json_put_text(document, "created", result->point->created);
  json_put_u64(document, "read", result->read);
  json_put_u64(document, "stored", result->stored);
  json_put(document, "seconds", json_real(result->seconds));
  json_put_bool(document, "ranges_lost", result->ranges_lost);
  json_put(document, "disks", disks);
  for (size_t i = 0; i < result->disk_count; i++) {
    const struct vdk_backup_disk *d = result->disks[i];
    json_t *disk = json_object();

    json_put_text(disk, "key", d->key);
    json_put_text(disk, "method", vdk_method_name(d->method));
    json_put_u64(disk, "capacity", d->capacity);
    json_put_u64(disk, "read", d->read);
    json_put_u64(disk, "changed", d->changed);
    json_put_u64(disk, "stored", d->stored);
    json_put_text(disk, "problem", *d->problem ? d->problem : NULL);
    json_add(disks, disk);
  }
  json_put(document, "warnings", warnings);
  for (const char *const *w = result->point->warnings; w && *w; w++)
    json_add(warnings, json_text(*w));
  return cli_report(cli, document, backup_status(result));
}

static void
backup_text(struct cli *cli, const struct vdk_backup_result *result)
{
  _cleanup_table_ struct table t = {0};
  char a[SIZE_TEXT], b[SIZE_TEXT], c[SIZE_TEXT], d[SIZE_TEXT], took[TIME_TEXT];
  double seconds = result->seconds > 0.001 ? result->seconds : 0.001;

  for (size_t i = 0; i < result->disk_count; i++)
    if (*result->disks[i]->problem)
      cli_warn("%s: the changed ranges were lost, so that all was read: %s",
               result->disks[i]->key, result->disks[i]->problem);
  for (const char *const *w = result->point->warnings; w && *w; w++)
    cli_warn("%s", *w);
  if (cli->common.quiet)
    return;
  table_add(&t, "Disk", "Method", ">Capacity", ">Read", ">Changed", ">Stored");
  for (size_t i = 0; i < result->disk_count; i++) {
    const struct vdk_backup_disk *disk = result->disks[i];

    table_add(&t, disk->key, vdk_method_name(disk->method),
              text_size(disk->capacity, a), text_size(disk->read, b),
              text_size(disk->changed, c), text_size(disk->stored, d));
  }
  cli_say(cli, "restore point %s of %s", result->point->id,
          result->point->vm_name);
  if (result->disk_count)
    table_print(&t, "  ", cli->report);
  cli_say(cli, "read %s, stored %s in %s (%s/s)", text_size(result->read, a),
          text_size(result->stored, b), text_elapsed(result->seconds, took),
          text_size((uint64_t)((double)result->read / seconds), c));
}

static int
run_backup(struct cli *cli, const void *opaque, char **operands, int count)
{
  const struct backup_args *args = opaque;
  struct vdk_backup_options backup = VDK_BACKUP_OPTIONS_INIT;
  const struct vdk_backup_result *result;
  const struct vdk_vm *vm;
  struct vdk_vm_options look = VDK_VM_OPTIONS_INIT;
  struct vdk_repo *repo = NULL;
  int status;

  (void)count;
  if (args->full && args->compare)
    return cli_usage_error(cli->verb,
                           "--full and --compare exclude each other");
  /* A mistyped VM must not leave a new repository. */
  look.flags = cli_open_flags(cli);
  if (vdk_vm_open(operands[0], &look, &vm, &cli->err))
    return cli_fail(cli);
  vdk_vm_free(vm);
  backup.full = args->full;
  backup.compare = args->compare;
  backup.on_lost = args->on_lost;
  backup.level = args->level;
  backup.snapshot = (unsigned)args->snapshot;
  backup.flags = cli_open_flags(cli);
  backup.progress = cli->progress;
  backup.log = &cli->log;
  if (open_or_make(cli, args, &repo) ||
      vdk_backup(operands[0], repo, &backup, &result, &cli->err)) {
    status = cli_fail(cli);
    vdk_repo_close(repo);
    return status;
  }
  progress_end();
  status = backup_status(result);
  if (cli->common.json)
    status = backup_json(cli, result);
  else
    backup_text(cli, result);
  vdk_backup_result_free(result);
  vdk_repo_close(repo);
  return status;
}

const struct cli_verb cli_verb_init = {
    .name = "init",
    .operands = "",
    .summary = "make an empty backup repository",
    .about = "Makes an empty repository. 'vdkit backup' makes one too when "
             "there is none; this is for other chunk sizes and levels.",
    .examples = "  vdkit init --repo /backup --level 3\n",
    .groups = GROUP_REPO,
    .options = init_options,
    .writes = true,
    .args_size = sizeof(struct init_args),
    .run = run_init,
};

const struct cli_verb cli_verb_backup = {
    .name = "backup",
    .operands = "VM",
    .min = 1,
    .max = 1,
    .summary = "back up a virtual machine",
    .about = "Backs up the virtual machine VM, a .vmx file or the folder of "
             "one: the first time in full, then what changed. A repository "
             "that is not there is made. Exit status 4: the changes were not "
             "known and all was read; 3: done, with warnings.",
    .examples = "  vdkit backup /vms/mail --repo /backup\n"
                "  vdkit backup /vms/mail/mail.vmx --repo /backup --json\n",
    .groups = GROUP_REPO | GROUP_DISK | GROUP_PROGRESS,
    .options = backup_options,
    .args_size = sizeof(struct backup_args),
    .complete = {COMPLETE_FILE},
    .run = run_backup,
};
