/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VMs in folders, as public structs.
 *
 * A box holds the public struct, the host's object that its strings point
 * into, and the arrays of pointers. vdk_vm_free() gets the public struct, which
 * stands first.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/host.h"
#include "surface/vdkit/surface.h"

struct vm_box {
  struct vdk_vm vm; /* first */
  struct host_vm *inner;
  struct vdk_vm_disk *disks;
  struct vdk_vm_snapshot *snapshots;
  struct vdk_vm_file *files;
  const struct vdk_vm_disk **disk_list;
  const struct vdk_vm_snapshot **snapshot_list;
  const struct vdk_vm_file **file_list;
};

static void
vm_box_free(struct vm_box *b)
{
  if (!b)
    return;
  host_vm_free(b->inner);
  free(b->disks);
  free(b->snapshots);
  free(b->files);
  free(b->disk_list);
  free(b->snapshot_list);
  free(b->file_list);
  free(b);
}
DEFINE_CLEANUP(struct vm_box, vm_box_free);

/* One element more than needed, so that no array is empty. */
#define BOX_ARRAY(p, count) ((p) = mem_array((count) + 1, sizeof *(p)))

static bool
vm_box_allocate(struct vm_box *b, const struct host_vm *vm)
{
  return BOX_ARRAY(b->disks, vm->disk_count) &&
         BOX_ARRAY(b->disk_list, vm->disk_count) &&
         BOX_ARRAY(b->snapshots, vm->snapshot_count) &&
         BOX_ARRAY(b->snapshot_list, vm->snapshot_count) &&
         BOX_ARRAY(b->files, vm->file_count) &&
         BOX_ARRAY(b->file_list, vm->file_count);
}

static void
vm_box_fill_lists(struct vm_box *b, const struct host_vm *vm)
{
  static const char *const none[] = {NULL};

  for (size_t i = 0; i < vm->disk_count; i++) {
    const struct host_disk *d = &vm->disks[i];

    b->disk_list[i] = &b->disks[i];
    b->disks[i] = (struct vdk_vm_disk){
        .key = text_or_empty(d->key),
        .file = text_or_empty(d->file),
        .mode = text_or_empty(d->mode),
        .capacity = d->size,
        .type = text_or_empty(d->type),
        .links = d->links,
        .problem = d->problem,
    };
  }
  for (size_t i = 0; i < vm->snapshot_count; i++) {
    const struct host_snapshot *s = &vm->snapshots[i];

    b->snapshot_list[i] = &b->snapshots[i];
    b->snapshots[i] = (struct vdk_vm_snapshot){
        .uid = s->uid,
        .parent = s->parent,
        .name = text_or_empty(s->name),
        .description = text_or_empty(s->description),
        .created_us = s->created_us,
        .current = s->current,
        .disks = s->disks ? (const char *const *)s->disks : none,
    };
  }
  for (size_t i = 0; i < vm->file_count; i++) {
    b->file_list[i] = &b->files[i];
    b->files[i].name = text_or_empty(vm->files[i].name);
    b->files[i].role = text_or_empty(vm->files[i].role);
  }
}

/* VM is taken over, also on failure. */
static int
vm_box_new(struct host_vm *vm, struct vm_box **ret, struct vdk_error *err)
{
  _cleanup_(vm_box_freep) struct vm_box *b = calloc(1, sizeof *b);

  if (!b) {
    host_vm_free(vm);
    return error_nomem(err, "listing virtual machines");
  }
  b->inner = vm;
  if (!vm_box_allocate(b, vm))
    return error_nomem(err, "listing virtual machines");
  vm_box_fill_lists(b, vm);
  b->vm = (struct vdk_vm){
      .id = text_or_empty(vm->id),
      .name = text_or_empty(vm->name),
      .uuid = vm->uuid,
      .guest = text_or_empty(vm->guest),
      .hw_version = vm->hw_version,
      .powered_on = vm->powered_on,
      .suspended = vm->suspended,
      .disks = b->disk_list,
      .disk_count = vm->disk_count,
      .snapshots = b->snapshot_list,
      .snapshot_count = vm->snapshot_count,
      .files = b->file_list,
      .file_count = vm->file_count,
  };
  *ret = TAKE_PTR(b);
  return 0;
}

void
vdk_vm_free(const struct vdk_vm *vm)
{
  vm_box_free((struct vm_box *)vm);
}

/* --- Finding -------------------------------------------------------------- */

int
vm_find(const char *path, unsigned flags, const struct vdk_log *log,
        struct vdk_host **ret_host, struct host_vm **ret_vm,
        struct vdk_error *err)
{
  _cleanup_(host_closep) struct vdk_host *host = NULL;
  int rc;

  rc =
      options_check_flags(flags, OPTIONS_ALLOW_FLAGS, "a virtual machine", err);
  if (rc == 0)
    rc = host_local_open(path, options_dir_flags(flags), log, &host, err);
  if (rc < 0)
    return rc;
  rc = host->ops->open_vm(host, path, ret_vm, err);
  if (rc < 0)
    return rc;
  *ret_host = TAKE_PTR(host);
  return 0;
}

int
vdk_vm_open(const char *path, const struct vdk_vm_options *options,
            const struct vdk_vm **ret, struct vdk_error *err)
{
  struct vdk_vm_options o = VDK_VM_OPTIONS_INIT;
  _cleanup_(host_closep) struct vdk_host *host = NULL;
  struct host_vm *vm;
  struct vm_box *box = NULL;
  int rc;

  if (!path || !ret)
    return options_null(path ? "ret of vdk_vm_open" : "the path of the VM",
                        err);
  rc = OPTIONS_LOAD(&o, options, log, "vdk_vm_options", err);
  if (rc == 0)
    rc = vm_find(path, o.flags, o.log, &host, &vm, err);
  if (rc == 0)
    rc = vm_box_new(vm, &box, err);
  if (rc < 0)
    return rc;
  *ret = &box->vm;
  return 0;
}

/* --- Listing -------------------------------------------------------------- */

struct list_call {
  int (*fn)(void *opaque, const struct vdk_vm *vm);
  void *opaque;
  struct vdk_error *err;
};

static int
list_one(void *opaque, struct host_vm *vm)
{
  struct list_call *call = opaque;
  struct vm_box *box = NULL;
  int rc;

  rc = vm_box_new(vm, &box, call->err);
  if (rc < 0)
    return rc;
  rc = call->fn(call->opaque, &box->vm);
  vm_box_free(box);
  return rc;
}

int
vdk_vm_list(const char *dir, const struct vdk_vm_options *options,
            int (*fn)(void *opaque, const struct vdk_vm *vm), void *opaque,
            struct vdk_error *err)
{
  struct vdk_vm_options o = VDK_VM_OPTIONS_INIT;
  _cleanup_(host_closep) struct vdk_host *host = NULL;
  struct list_call call = {fn, opaque, err};
  int rc;

  if (!dir || !fn)
    return options_null(dir ? "the callback" : "the folder", err);
  rc = OPTIONS_LOAD(&o, options, log, "vdk_vm_options", err);
  if (rc == 0)
    rc = options_check_flags(o.flags, OPTIONS_ALLOW_FLAGS, "vdk_vm_list", err);
  if (rc == 0)
    rc = host_local_open(dir, options_dir_flags(o.flags), o.log, &host, err);
  if (rc < 0)
    return rc;
  return host->ops->list(host, list_one, &call, err);
}

/* --- A VM's disk ---------------------------------------------------------- */

static const struct host_disk *
find_disk(const struct host_vm *vm, const char *disk)
{
  size_t index;

  for (size_t i = 0; i < vm->disk_count; i++)
    if (str_equal_nocase(vm->disks[i].key, disk))
      return &vm->disks[i];
  if (name_is_index(disk, &index) && index < vm->disk_count)
    return &vm->disks[index];
  return NULL;
}

static bool
has_snapshot(const struct host_vm *vm, unsigned uid)
{
  for (size_t i = 0; i < vm->snapshot_count; i++)
    if (vm->snapshots[i].uid == uid)
      return true;
  return false;
}

static int
check_vm_disk(const struct host_vm *vm, const char *disk, unsigned snapshot,
              const struct vdk_open_options *o, const struct host_disk **ret,
              struct vdk_error *err)
{
  *ret = find_disk(vm, disk);
  if (!*ret)
    return error_set(err, VDK_E_NOT_FOUND, "%s has no disk \"%s\"",
                     text_or_empty(vm->id), disk);
  if (snapshot && !has_snapshot(vm, snapshot))
    return error_set(err, VDK_E_NOT_FOUND, "%s has no snapshot %u",
                     text_or_empty(vm->id), snapshot);
  if (snapshot && (o->flags & VDK_OPEN_WRITE))
    return error_set(err, VDK_E_READ_ONLY,
                     "cannot write to snapshot %u of %s: snapshots do not "
                     "change",
                     snapshot, text_or_empty(vm->id));
  return 0;
}

static int
open_vm_disk(const char *path, const char *disk, unsigned snapshot,
             const struct vdk_open_options *o, struct vdk_handle **ret,
             struct vdk_error *err)
{
  _cleanup_free_ struct vdk_log *log = NULL;
  _cleanup_(host_closep) struct vdk_host *host = NULL;
  _cleanup_(host_vm_freep) struct host_vm *vm = NULL;
  _cleanup_disk_ struct vdk_disk *opened = NULL;
  const struct host_disk *entry;
  int rc;

  rc = handle_copy_log(o->log, &log, err);
  if (rc == 0)
    rc = vm_find(path, o->flags & OPTIONS_ALLOW_FLAGS, log, &host, &vm, err);
  if (rc == 0)
    rc = check_vm_disk(vm, disk, snapshot, o, &entry, err);
  if (rc == 0)
    rc = host->ops->open_disk(host, vm, entry, snapshot,
                              options_disk_flags(o->flags), &opened, err);
  if (rc == 0)
    rc = handle_new(opened, log, (o->flags & VDK_OPEN_WRITE) != 0, ret, err);
  if (rc < 0)
    return rc;
  TAKE_PTR(opened);
  TAKE_PTR(log);
  return 0;
}

int
vdk_vm_open_disk(const char *path, const char *disk, unsigned snapshot,
                 const struct vdk_open_options *options,
                 struct vdk_handle **ret, struct vdk_error *err)
{
  struct vdk_open_options o = VDK_OPEN_OPTIONS_INIT;
  int rc;

  if (!path || !disk || !ret)
    return options_null(!path   ? "the path of the VM"
                        : !disk ? "the disk"
                                : "ret",
                        err);
  rc = OPTIONS_LOAD(&o, options, log, "vdk_open_options", err);
  if (rc == 0)
    rc = options_check_flags(o.flags, VDK_OPEN_WRITE | OPTIONS_READ_FLAGS,
                             "vdk_vm_open_disk", err);
  if (rc < 0)
    return rc;
  return open_vm_disk(path, disk, snapshot, &o, ret, err);
}
