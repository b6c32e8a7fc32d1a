/* SPDX-License-Identifier: BSD-3-Clause */
/* vdkit list: the restore points of a repository. */
#include "cli/cli.h"

#include <string.h>
#include <strings.h>

static uint64_t
sum_disks(const struct vdk_point *p, size_t field)
{
  uint64_t sum = 0;

  for (size_t i = 0; i < p->disk_count; i++)
    sum += *(const uint64_t *)((const char *)p->disks[i] + field);
  return sum;
}
#define SUM(p, field) sum_disks(p, offsetof(struct vdk_point_disk, field))

/* "full", "ranges", or "mixed" when the disks differ. */
static const char *
point_method(const struct vdk_point *p)
{
  for (size_t i = 1; i < p->disk_count; i++)
    if (p->disks[i]->method != p->disks[0]->method)
      return "mixed";
  return p->disk_count ? vdk_method_name(p->disks[0]->method) : "-";
}

static json_t *
disks_json(const struct vdk_point *p)
{
  json_t *disks = json_array();

  for (size_t i = 0; i < p->disk_count; i++) {
    const struct vdk_point_disk *d = p->disks[i];
    json_t *disk = json_object();

    json_put_text(disk, "key", d->key);
    json_put_text(disk, "file", d->file);
    json_put_text(disk, "type", d->type);
    json_put_u64(disk, "capacity", d->capacity);
    json_put_text(disk, "method", vdk_method_name(d->method));
    json_put_u64(disk, "read", d->bytes_read);
    json_put_u64(disk, "stored", d->bytes_stored);
    json_put_u64(disk, "data", d->bytes_data);
    json_add(disks, disk);
  }
  return disks;
}

static json_t *
point_json(const struct vdk_point *p)
{
  json_t *point = json_object(), *files = json_array();
  json_t *warnings = json_array();

  json_put_text(point, "id", p->id);
  json_put_text(point, "vm", p->vm_name);
  json_put_text(point, "vm_uuid", p->vm_uuid);
  json_put_text(point, "parent", *p->parent ? p->parent : NULL);
  json_put_text(point, "created", p->created);
  json_put_text(point, "source", p->source);
  json_put_text(point, "consistency", p->consistency);
  json_put_text(point, "tool", p->tool);
  json_put_text(point, "host", p->host);
  json_put_bool(point, "ranges_lost", p->ranges_lost);
  json_put_u64(point, "seconds", p->seconds);
  json_put(point, "disks", disks_json(p));
  for (size_t i = 0; i < p->file_count; i++) {
    json_t *file = json_object();

    json_put_text(file, "name", p->files[i]->name);
    json_put_text(file, "role", p->files[i]->role);
    json_put_u64(file, "bytes", p->files[i]->bytes);
    json_add(files, file);
  }
  json_put(point, "files", files);
  for (const char *const *w = p->warnings; w && *w; w++)
    json_add(warnings, json_text(*w));
  json_put(point, "warnings", warnings);
  return point;
}

static bool
wanted(const struct vdk_point *p, const char *vm)
{
  return !vm || strcmp(p->vm_name, vm) == 0 || strcasecmp(p->vm_uuid, vm) == 0;
}

static int
report_json(struct cli *cli, const struct vdk_point_list *list, const char *vm,
            int status)
{
  json_t *document = cli_document("vdkit.list/1"), *points = json_array();

  json_put_text(document, "repository", cli->common.repo);
  json_put(document, "points", points);
  json_put_u64(document, "damaged", list->damaged);
  for (size_t i = 0; i < list->count; i++)
    if (wanted(list->points[i], vm))
      json_add(points, point_json(list->points[i]));
  return cli_report(cli, document, status);
}

static void
report_text(struct cli *cli, const struct vdk_point_list *list, const char *vm)
{
  _cleanup_table_ struct table t = {0};
  char capacity[SIZE_TEXT], read[SIZE_TEXT], stored[SIZE_TEXT];
  char created[TIME_TEXT], disks[16];
  size_t count = 0;

  table_add(&t, "Restore point", "VM", "Created", ">Disks", ">Capacity",
            "Method", ">Read", ">Stored");
  for (size_t i = 0; i < list->count; i++) {
    const struct vdk_point *p = list->points[i];

    if (!wanted(p, vm))
      continue;
    count++;
    snprintf(disks, sizeof disks, "%zu", p->disk_count);
    table_add(&t, p->id, p->vm_name, text_time(time_parse(p->created), created),
              disks, text_size(SUM(p, capacity), capacity), point_method(p),
              text_size(SUM(p, bytes_read), read),
              text_size(SUM(p, bytes_stored), stored));
  }
  if (count)
    table_print(&t, "", cli->report);
  else if (vm)
    cli_say(cli, "no restore points of %s in %s", vm, cli->common.repo);
  else
    cli_say(cli, "no restore points in %s", cli->common.repo);
}

static int
run(struct cli *cli, const void *args, char **operands, int count)
{
  struct vdk_repo_options open = VDK_REPO_OPTIONS_INIT;
  const struct vdk_point_list *list;
  struct vdk_repo *repo = NULL;
  int status;

  (void)args;
  (void)count;
  open.log = &cli->log;
  if (vdk_repo_open(cli->common.repo, &open, &repo, &cli->err) ||
      vdk_repo_list(repo, &list, &cli->err)) {
    status = cli_fail(cli);
    vdk_repo_close(repo);
    return status;
  }
  status = list->damaged ? STATUS_DAMAGED : STATUS_OK;
  if (cli->common.json)
    status = report_json(cli, list, operands[0], status);
  else
    report_text(cli, list, operands[0]);
  if (list->damaged)
    cli_warn("%zu restore point%s cannot be read; 'vdkit verify' tells more",
             list->damaged, list->damaged == 1 ? "" : "s");
  vdk_point_list_free(list);
  vdk_repo_close(repo);
  return status;
}

const struct cli_verb cli_verb_list = {
    .name = "list",
    .operands = "[VM]",
    .max = 1,
    .summary = "list the restore points of a repository",
    .about = "Lists the restore points of a repository, oldest first: all, or "
             "those of VM (its name or UUID).",
    .examples = "  vdkit list --repo /backup\n"
                "  vdkit list mail --repo /backup --json\n",
    .groups = GROUP_REPO,
    .complete = {COMPLETE_POINT},
    .run = run,
};

/* --- The completion's helper ---------------------------------------------- */

/* Words that restore takes for POINT, one a line; silent about errors, since
 * nobody asked. */
static int
run_points(struct cli *cli, const void *args, char **operands, int count)
{
  const struct vdk_point_list *list;
  struct vdk_repo *repo = NULL;

  (void)args;
  (void)operands;
  (void)count;
  if (vdk_repo_open(cli->common.repo, NULL, &repo, NULL) == 0 &&
      vdk_repo_list(repo, &list, NULL) == 0) {
    fputs("latest\n", cli->report);
    for (size_t i = 0; i < list->count; i++) {
      print_escaped(cli->report, list->points[i]->vm_name);
      fputc('\n', cli->report);
      print_escaped(cli->report, list->points[i]->id);
      fputc('\n', cli->report);
    }
    vdk_point_list_free(list);
  }
  vdk_repo_close(repo);
  return STATUS_OK;
}

const struct cli_verb cli_verb_points = {
    .name = "__points",
    .operands = "",
    .summary = "list what names a restore point, for the shell's completion",
    .groups = GROUP_REPO,
    .hidden = true,
    .run = run_points,
};
