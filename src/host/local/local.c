/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host driver for VMs in folders of this machine: a folder that is
 * searched for .vmx files, or one .vmx file.
 *
 * A VM's id is the path of its .vmx. Where an id is asked for, a folder with
 * one VM in it, a VM's name and its UUID are taken as well.
 */
#include "host/local/local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/log.h"
#include "base/str.h"

static struct local_host *
local_host(struct vdk_host *h)
{
  return (struct local_host *)h;
}

static void
local_close(struct vdk_host *host)
{
  struct local_host *h = local_host(host);

  free(h->base.name);
  free(h->path);
  free(h);
}

/* Paths of the VMs of H: the one, or those of its folder. */
static int
local_paths(struct local_host *h, char ***ret, struct vdk_error *err)
{
  char **one;

  if (!h->is_vmx)
    return local_find(h, ret, err);
  one = calloc(2, sizeof *one);
  if (!one || !(one[0] = str_dup(h->path))) {
    free(one);
    return error_nomem(err, "looking for VMs");
  }
  *ret = one;
  return 0;
}

static int
local_list(struct vdk_host *host, int (*fn)(void *opaque, struct host_vm *vm),
           void *opaque, struct vdk_error *err)
{
  struct local_host *h = local_host(host);
  _cleanup_(local_find_freep) char **paths = NULL;
  int r = local_paths(h, &paths, err);

  for (char **p = paths; r == 0 && *p; p++) {
    struct vdk_error problem = VDK_ERROR_INIT;
    struct host_vm *vm;

    r = local_vm_open(h, *p, &vm, &problem);
    if (r == 0)
      r = fn(opaque, vm);
    else if (r == -VDK_E_NOMEM || h->is_vmx)
      r = error_copy(err, &problem);
    else {
      log_message(host->log, VDK_LOG_WARNING, "%s",
                  vdk_error_message(&problem));
      r = 0;
    }
  }
  return r;
}

/* --- Finding one VM ------------------------------------------------------ */

/* The only .vmx of the folder PATH. */
static int
open_folder(struct local_host *h, const char *path, struct host_vm **ret,
            struct vdk_error *err)
{
  struct local_host folder = *h;
  _cleanup_(local_find_freep) char **paths = NULL;
  _cleanup_free_ char *copy = str_dup(path);
  int r;

  if (!copy)
    return error_nomem(err, "looking for VMs");
  folder.path = copy;
  folder.is_vmx = false;
  r = local_find(&folder, &paths, err);
  if (r < 0)
    return r;
  if (!paths[0])
    return error_set(err, VDK_E_NOT_FOUND, "there is no .vmx file below %s",
                     path);
  if (paths[1])
    return error_set(err, VDK_E_INVAL,
                     "%s holds several VMs (%s, %s%s); name one of them", path,
                     paths[0], paths[1], paths[2] ? ", ..." : "");
  return local_vm_open(h, paths[0], ret, err);
}

struct search {
  const char *wanted;
  struct host_vm *found;
  bool several;
};

static int
search_vm(void *opaque, struct host_vm *vm)
{
  struct search *s = opaque;
  bool match = strcmp(vm->id, s->wanted) == 0 ||
               strcmp(vm->name, s->wanted) == 0 ||
               str_equal_nocase(vm->uuid, s->wanted);

  if (match && s->found)
    s->several = true;
  if (match && !s->found)
    s->found = vm;
  else
    host_vm_free(vm);
  return 0;
}

static int
open_by_name(struct local_host *h, const char *id, struct host_vm **ret,
             struct vdk_error *err)
{
  struct search s = {.wanted = id};
  int r = local_list(&h->base, search_vm, &s, err);

  if (r == 0 && s.several)
    r = error_set(err, VDK_E_INVAL,
                  "%s has more than one VM that is called '%s' (%s is one); "
                  "give the path of its .vmx",
                  h->path, id, s.found->id);
  else if (r == 0 && !s.found)
    r = error_set(err, VDK_E_NOT_FOUND, "%s has no VM that is called '%s'",
                  h->path, id);
  if (r < 0) {
    host_vm_free(s.found);
    return r;
  }
  *ret = s.found;
  return 0;
}

static int
local_open_vm(struct vdk_host *host, const char *id, struct host_vm **ret,
              struct vdk_error *err)
{
  struct local_host *h = local_host(host);
  struct stat st;

  if (!id || !*id)
    return h->is_vmx ? local_vm_open(h, h->path, ret, err)
                     : open_folder(h, h->path, ret, err);
  if (stat(id, &st) < 0)
    return open_by_name(h, id, ret, err);
  if (S_ISDIR(st.st_mode))
    return open_folder(h, id, ret, err);
  return local_vm_open(h, id, ret, err);
}

/* --- Files and disks ----------------------------------------------------- */

static int
open_vm_dir(struct vdk_host *host, const struct host_vm *vm,
            struct vdk_dir **ret, struct vdk_error *err)
{
  _cleanup_free_ char *path = path_dirname(vm->id);

  if (!path)
    return error_nomem(err, "opening the folder of a VM");
  return dir_local_open(path, local_host(host)->dir_flags, ret, err);
}

static int
local_read_file(struct vdk_host *host, const struct host_vm *vm,
                const struct host_file *file, char **ret, size_t *ret_len,
                struct vdk_error *err)
{
  _cleanup_dir_ struct vdk_dir *dir = NULL;
  int r = open_vm_dir(host, vm, &dir, err);

  return r < 0 ? r
               : dir_get(dir, file->name, LOCAL_FILE_MAX, ret, ret_len, err);
}

int
local_disk_file(const struct host_vm *vm, const struct host_disk *disk,
                unsigned snapshot, const char **ret, struct vdk_error *err)
{
  if (snapshot == 0) {
    *ret = disk->file;
    return 0;
  }
  for (size_t i = 0; i < vm->snapshot_count; i++) {
    if (vm->snapshots[i].uid != snapshot)
      continue;
    for (char **p = vm->snapshots[i].disks; *p; p += 2)
      if (str_equal_nocase(p[0], disk->key)) {
        *ret = p[1];
        return 0;
      }
    return error_set(err, VDK_E_NOT_FOUND,
                     "snapshot %u of the VM %s does not hold the disk %s",
                     snapshot, vm->name, disk->key);
  }
  return error_set(err, VDK_E_NOT_FOUND, "the VM %s has no snapshot %u",
                   vm->name, snapshot);
}

static int
local_open_disk(struct vdk_host *host, const struct host_vm *vm,
                const struct host_disk *disk, unsigned snapshot, unsigned flags,
                struct vdk_disk **ret, struct vdk_error *err)
{
  struct disk_open_options options = {
      .flags = flags, .format = "vmdk", .log = host->log};
  _cleanup_dir_ struct vdk_dir *dir = NULL;
  const char *file;
  int r = local_disk_file(vm, disk, snapshot, &file, err);

  if (r == 0)
    r = open_vm_dir(host, vm, &dir, err);
  if (r < 0)
    return r;
  r = disk_open(dir, file, &options, ret, err);
  if (r < 0)
    error_prefix(err, "disk %s of the VM %s", disk->key, vm->name);
  return r;
}

static const struct host_ops local_ops = {
    .name = "local",
    .list = local_list,
    .open_vm = local_open_vm,
    .read_file = local_read_file,
    .open_disk = local_open_disk,
    .change_id = local_change_id,
    .changed = local_changed,
    .close = local_close,
};

int
host_local_open(const char *path, unsigned dir_flags, const struct vdk_log *log,
                struct vdk_host **ret, struct vdk_error *err)
{
  struct local_host *h;
  struct stat st;

  if (stat(path, &st) < 0)
    return error_errno(err, errno, "cannot open %s", path);
  if (!S_ISDIR(st.st_mode) && !str_ends_with_nocase(path, ".vmx"))
    return error_set(err, VDK_E_INVAL, "%s is neither a folder nor a .vmx file",
                     path);
  h = calloc(1, sizeof *h);
  if (!h)
    return error_nomem(err, "opening a folder of VMs");
  h->base = (struct vdk_host){.ops = &local_ops, .log = log};
  h->base.name = str_dup(path);
  h->path = str_dup(path);
  h->is_vmx = !S_ISDIR(st.st_mode);
  h->dir_flags = dir_flags;
  if (!h->base.name || !h->path) {
    local_close(&h->base);
    return error_nomem(err, "opening a folder of VMs");
  }
  *ret = &h->base;
  return 0;
}
