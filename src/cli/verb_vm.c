/* SPDX-License-Identifier: BSD-3-Clause */
/* vdkit vm list, vdkit vm show: virtual machines as they lie in folders. */
#include "cli/cli.h"

#include <string.h>

static const char *
vm_state(const struct vdk_vm *vm)
{
  return vm->powered_on ? "on" : vm->suspended ? "suspended" : "off";
}

static uint64_t
vm_capacity(const struct vdk_vm *vm)
{
  uint64_t sum = 0;

  for (size_t i = 0; i < vm->disk_count; i++)
    sum += vm->disks[i]->capacity;
  return sum;
}

static size_t
vm_problems(const struct vdk_vm *vm)
{
  size_t n = 0;

  for (size_t i = 0; i < vm->disk_count; i++)
    n += vm->disks[i]->problem != NULL;
  return n;
}

/* --- JSON ----------------------------------------------------------------- */

static json_t *
disks_json(const struct vdk_vm *vm)
{
  json_t *disks = json_array();

  for (size_t i = 0; i < vm->disk_count; i++) {
    const struct vdk_vm_disk *d = vm->disks[i];
    json_t *disk = json_object();

    json_put_text(disk, "key", d->key);
    json_put_text(disk, "file", d->file);
    json_put_text(disk, "mode", d->mode);
    json_put_text(disk, "type", *d->type ? d->type : NULL);
    json_put_u64(disk, "capacity", d->capacity);
    json_put_u64(disk, "links", d->links);
    json_put_text(disk, "problem", d->problem);
    json_add(disks, disk);
  }
  return disks;
}

static json_t *
snapshots_json(const struct vdk_vm *vm)
{
  json_t *snapshots = json_array();

  for (size_t i = 0; i < vm->snapshot_count; i++) {
    const struct vdk_vm_snapshot *s = vm->snapshots[i];
    json_t *snapshot = json_object(), *disks = json_object();

    json_put_u64(snapshot, "uid", s->uid);
    json_put(snapshot, "parent",
             s->parent ? json_integer(s->parent) : json_null());
    json_put_text(snapshot, "name", s->name);
    json_put_text(snapshot, "description", s->description);
    json_put_time(snapshot, "created", s->created_us);
    json_put_bool(snapshot, "current", s->current);
    for (const char *const *d = s->disks; d && d[0] && d[1]; d += 2)
      json_put_text(disks, d[0], d[1]);
    json_put(snapshot, "disks", disks);
    json_add(snapshots, snapshot);
  }
  return snapshots;
}

static void
vm_json(json_t *object, const struct vdk_vm *vm)
{
  json_t *files = json_array();

  json_put_text(object, "vmx", vm->id);
  json_put_text(object, "name", vm->name);
  json_put_text(object, "uuid", vm->uuid);
  json_put_text(object, "guest", *vm->guest ? vm->guest : NULL);
  json_put_u64(object, "hw_version", vm->hw_version);
  json_put_text(object, "state", vm_state(vm));
  json_put(object, "disks", disks_json(vm));
  json_put(object, "snapshots", snapshots_json(vm));
  for (size_t i = 0; i < vm->file_count; i++) {
    json_t *file = json_object();

    json_put_text(file, "name", vm->files[i]->name);
    json_put_text(file, "role", vm->files[i]->role);
    json_add(files, file);
  }
  json_put(object, "files", files);
}

/* --- list ----------------------------------------------------------------- */

struct list {
  struct table *table;
  json_t *array;
  size_t count;
};

static int
add_vm(void *opaque, const struct vdk_vm *vm)
{
  struct list *list = opaque;
  char disks[16], size[SIZE_TEXT], snapshots[16];

  list->count++;
  if (list->array) {
    json_t *object = json_object();

    vm_json(object, vm);
    json_add(list->array, object);
    return 0;
  }
  snprintf(disks, sizeof disks, "%zu%s", vm->disk_count,
           vm_problems(vm) ? "!" : "");
  snprintf(snapshots, sizeof snapshots, "%zu", vm->snapshot_count);
  table_add(list->table, vm->name, vm_state(vm), *vm->guest ? vm->guest : "-",
            disks, text_size(vm_capacity(vm), size), snapshots, vm->id);
  return 0;
}

static int
run_list(struct cli *cli, const void *args, char **operands, int count)
{
  struct vdk_vm_options options = VDK_VM_OPTIONS_INIT;
  _cleanup_table_ struct table table = {0};
  struct list list = {.table = &table};
  json_t *document = NULL;

  (void)args;
  (void)count;
  options.flags = cli_open_flags(cli);
  options.log = &cli->log;
  if (cli->common.json) {
    list.array = json_array();
    document = cli_document("vdkit.vm-list/1");
    json_put_text(document, "dir", operands[0]);
    json_put(document, "vms", list.array);
  }
  table_add(&table, "Name", "State", "Guest", ">Disks", ">Capacity",
            ">Snapshots", "File");
  if (vdk_vm_list(operands[0], &options, add_vm, &list, &cli->err)) {
    json_decref(document);
    return cli_fail(cli);
  }
  if (document)
    return cli_report(cli, document, STATUS_OK);
  if (list.count == 0)
    cli_say(cli, "no virtual machine (a .vmx file) in %s", operands[0]);
  else
    table_print(&table, "", cli->report);
  return STATUS_OK;
}

/* --- show ----------------------------------------------------------------- */

static void
print_disks(struct cli *cli, const struct vdk_vm *vm)
{
  _cleanup_table_ struct table t = {0};

  table_add(&t, "Disk", "Type", ">Capacity", ">Links", "Mode", "File");
  for (size_t i = 0; i < vm->disk_count; i++) {
    const struct vdk_vm_disk *d = vm->disks[i];
    char size[SIZE_TEXT], links[16];

    snprintf(links, sizeof links, "%u", d->links);
    table_add(&t, d->key, *d->type ? d->type : "-",
              d->problem ? "-" : text_size(d->capacity, size),
              d->problem ? "-" : links, d->mode, d->file);
  }
  fputc('\n', cli->report);
  if (vm->disk_count)
    table_print(&t, "", cli->report);
  else
    fputs("No disks.\n", cli->report);
  for (size_t i = 0; i < vm->disk_count; i++)
    if (vm->disks[i]->problem)
      cli_warn("%s: %s", vm->disks[i]->key, vm->disks[i]->problem);
}

/* How deep a snapshot is in the tree. A .vmsd that is not a tree cannot hold
 * more generations than snapshots. */
static unsigned
snapshot_depth(const struct vdk_vm *vm, const struct vdk_vm_snapshot *s)
{
  unsigned depth = 0;

  for (bool found = true; s->parent && found && depth < vm->snapshot_count;) {
    found = false;
    for (size_t i = 0; i < vm->snapshot_count && !found; i++)
      if (vm->snapshots[i]->uid == s->parent) {
        s = vm->snapshots[i];
        found = true;
        depth++;
      }
  }
  return depth;
}

static void
print_snapshots(struct cli *cli, const struct vdk_vm *vm)
{
  _cleanup_table_ struct table t = {0};

  if (!vm->snapshot_count)
    return;
  table_add(&t, ">Snapshot", "Created", "Name");
  for (size_t i = 0; i < vm->snapshot_count; i++) {
    const struct vdk_vm_snapshot *s = vm->snapshots[i];
    unsigned depth = snapshot_depth(vm, s);
    _cleanup_free_ char *name =
        text_printf("%*s%s%s", (int)(2 * (depth > 30 ? 30 : depth)), "",
                    s->name, s->current ? "  (current)" : "");
    char uid[16], created[TIME_TEXT];

    snprintf(uid, sizeof uid, "%u", s->uid);
    table_add(&t, uid, text_time(s->created_us, created), name);
  }
  fputc('\n', cli->report);
  table_print(&t, "", cli->report);
}

/* "a.vmx, a.nvram"; NULL when there is no memory. */
static char *
file_names(const struct vdk_vm *vm)
{
  char *all = text_printf("%s", vm->file_count ? vm->files[0]->name : "-");

  for (size_t i = 1; all && i < vm->file_count; i++) {
    char *longer = text_printf("%s, %s", all, vm->files[i]->name);

    free(all);
    all = longer;
  }
  return all;
}

static void
print_vm(struct cli *cli, const struct vdk_vm *vm)
{
  _cleanup_table_ struct table t = {0};
  _cleanup_free_ char *hw = text_printf("%u", vm->hw_version);
  _cleanup_free_ char *files = NULL;

  table_add(&t, "Name", vm->name);
  table_add(&t, "File", vm->id);
  table_add(&t, "UUID", vm->uuid);
  if (*vm->guest)
    table_add(&t, "Guest", vm->guest);
  if (vm->hw_version)
    table_add(&t, "Hardware version", hw);
  table_add(&t, "State", vm_state(vm));
  files = file_names(vm);
  table_add(&t, "Files", files);
  table_print_fields(&t, cli->report);
  print_disks(cli, vm);
  print_snapshots(cli, vm);
}

static int
run_show(struct cli *cli, const void *args, char **operands, int count)
{
  struct vdk_vm_options options = VDK_VM_OPTIONS_INIT;
  const struct vdk_vm *vm;
  int status;

  (void)args;
  (void)count;
  options.flags = cli_open_flags(cli);
  options.log = &cli->log;
  if (vdk_vm_open(operands[0], &options, &vm, &cli->err))
    return cli_fail(cli);
  status = vm_problems(vm) ? STATUS_WARNINGS : STATUS_OK;
  if (cli->common.json) {
    json_t *document = cli_document("vdkit.vm-show/1");

    vm_json(document, vm);
    status = cli_report(cli, document, status);
  } else {
    print_vm(cli, vm);
  }
  vdk_vm_free(vm);
  return status;
}

const struct cli_verb cli_verb_vm_list = {
    .name = "vm list",
    .operands = "DIR",
    .min = 1,
    .max = 1,
    .summary = "list the virtual machines in a folder",
    .examples = "  vdkit vm list /vms\n",
    .groups = GROUP_DISK,
    .complete = {COMPLETE_DIR},
    .run = run_list,
};

const struct cli_verb cli_verb_vm_show = {
    .name = "vm show",
    .operands = "VM",
    .min = 1,
    .max = 1,
    .summary = "show a virtual machine: its disks and snapshots",
    .about = "Shows the virtual machine VM: a .vmx file, or the folder of "
             "one. Exit status 3 when one of its disks cannot be opened.",
    .examples = "  vdkit vm show /vms/mail\n"
                "  vdkit vm show /vms/mail/mail.vmx --json\n",
    .groups = GROUP_DISK,
    .complete = {COMPLETE_FILE},
    .run = run_show,
};
