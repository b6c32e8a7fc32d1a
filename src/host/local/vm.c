/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A .vmx file becomes a struct host_vm.
 *
 * The VM's directory is that of the .vmx; all other names come out of the
 * text and are opened within it. Companions (.vmsd, .nvram, .vmxf) bear the
 * name of the .vmx where the text does not say otherwise. A disk that cannot
 * be opened does not make the VM unreadable: it says what its problem is, and
 * a backup fails on it with that text.
 */
#include "host/local/local.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "host/local/identity.h"

struct vm_reader {
  struct local_host *host;
  struct vdk_dir *dir;
  const char *path; /* of the .vmx */
  char *stem;       /* its base name without ".vmx" */
  struct vmx_dict *dict;
  struct host_vm *vm;
};

static int
read_dict(struct vdk_dir *dir, const char *name, struct vmx_dict **ret,
          struct vdk_error *err)
{
  _cleanup_free_ char *text = NULL;
  size_t len;
  int r = dir_get(dir, name, VMX_DICT_MAX, &text, &len, err);

  return r < 0 ? r : vmx_dict_parse(text, len, name, ret, err);
}

/* --- Identity ------------------------------------------------------------ */

static int
read_identity(struct vm_reader *r, struct vdk_error *err)
{
  const char *name = vmx_dict_text(r->dict, "displayName");
  uint64_t version;

  r->vm->id = str_dup(r->path);
  r->vm->name = utf8_from(*name ? name : r->stem);
  r->vm->guest = utf8_from(vmx_dict_text(r->dict, "guestOS"));
  if (!r->vm->id || !r->vm->name || !r->vm->guest)
    return error_nomem(err, "reading a VM");
  if (vmx_dict_u64(r->dict, "virtualHW.version", &version) && version < 1000)
    r->vm->hw_version = version;
  r->vm->suspended = *vmx_dict_text(r->dict, "checkpoint.vmState") != 0;
  if (!identity_from_bios(vmx_dict_text(r->dict, "uuid.bios"), r->vm->uuid)) {
    _cleanup_free_ char *real = realpath(r->path, NULL);

    identity_from_path(real ? real : r->path, r->vm->uuid);
  }
  return 0;
}

/* --- Disks --------------------------------------------------------------- */

static int
probe_disk(struct vm_reader *r, struct host_disk *disk, struct vdk_error *err)
{
  struct disk_open_options options = {
      .flags = DISK_NO_LOCK, .format = "vmdk", .log = r->host->base.log};
  struct vdk_error problem = VDK_ERROR_INIT;
  struct vdk_disk *opened;
  struct link_info info;
  int result;

  result = disk_open(r->dir, disk->file, &options, &opened, &problem);
  if (result == -VDK_E_NOMEM)
    return error_copy(err, &problem);
  if (result < 0) {
    disk->problem = str_dup(vdk_error_message(&problem));
    return disk->problem ? 0 : error_nomem(err, "reading a VM");
  }
  disk_link_info(opened, 0, &info);
  disk->size = disk_size(opened);
  disk->links = disk_link_count(opened);
  disk->type = str_dup(info.type);
  disk_close(opened, NULL);
  return disk->type ? 0 : error_nomem(err, "reading a VM");
}

static int
read_disks(struct vm_reader *r, struct vdk_error *err)
{
  int result = vmx_disks_find(r->dict, &r->vm->disks, &r->vm->disk_count, err);

  if (result == 0 && r->vm->disk_count == 0 &&
      vmx_dict_get(r->dict, "encryption.data"))
    return error_set(err, VDK_E_ENCRYPTED,
                     "the configuration is encrypted; take the encryption off "
                     "in the product that made it");
  for (size_t i = 0; result == 0 && i < r->vm->disk_count; i++)
    result = probe_disk(r, &r->vm->disks[i], err);
  return result;
}

/* --- Snapshots and companions -------------------------------------------- */

static bool
exists(struct vdk_dir *dir, const char *name)
{
  struct vdk_file *f;

  if (dir_open_file(dir, name, FILE_READ, &f, NULL) < 0)
    return false;
  file_close(f);
  return true;
}

/* Only names without a directory: a configuration file stands beside the
 * .vmx, and "nvram = /etc/shadow" is not one. */
static int
add_file(struct vm_reader *r, const char *name, const char *role,
         struct vdk_error *err)
{
  struct host_file *f = &r->vm->files[r->vm->file_count];

  if (strchr(name, '/') || !dir_name_is_safe(name)) {
    log_warning(r->host->base.log,
                "%s: the file '%.100s' is not in the VM's folder; left out",
                r->path, name);
    return 0;
  }
  if (!exists(r->dir, name))
    return 0;
  r->vm->file_count++;
  f->name = str_dup(name);
  f->role = str_dup(role);
  return f->name && f->role ? 0 : error_nomem(err, "reading a VM");
}

static int
read_files(struct vm_reader *r, struct vdk_error *err)
{
  static const struct {
    const char *role, *key;
  } kinds[] = {
      {"vmx", NULL},
      {"vmsd", NULL},
      {"nvram", "nvram"},
      {"vmxf", "extendedConfigFile"},
  };

  r->vm->files = mem_array(ARRAY_SIZE(kinds), sizeof *r->vm->files);
  if (!r->vm->files)
    return error_nomem(err, "reading a VM");
  for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
    const char *key = kinds[i].key;
    const char *said = key ? vmx_dict_text(r->dict, key) : "";
    _cleanup_free_ char *name =
        *said    ? str_dup(said)
        : i == 0 ? str_dup(path_basename(r->path))
                 : str_printf("%s.%s", r->stem, kinds[i].role);
    int result;

    if (!name)
      return error_nomem(err, "reading a VM");
    result = add_file(r, name, kinds[i].role, err);
    if (result < 0)
      return result;
  }
  return 0;
}

static int
read_snapshots(struct vm_reader *r, struct vdk_error *err)
{
  _cleanup_free_ char *name = str_printf("%s.vmsd", r->stem);
  _cleanup_dict_ struct vmx_dict *dict = NULL;
  struct vdk_error problem = VDK_ERROR_INIT;
  int result;

  if (!name)
    return error_nomem(err, "reading a VM");
  result = read_dict(r->dir, name, &dict, &problem);
  if (result == -VDK_E_NOT_FOUND)
    return 0;
  if (result < 0)
    return error_copy(err, &problem);
  return vmsd_read(dict, name, r->host->base.log, &r->vm->snapshots,
                   &r->vm->snapshot_count, err);
}

/* --- Is it running? ------------------------------------------------------ */

static int
any_entry(void *opaque, const struct dir_entry *entry)
{
  return entry->name[0] != '.';
}

/* Hosted products keep a folder NAME.lck with a file for each holder, ESXi a
 * file of that name. */
static bool
has_lock(struct vdk_dir *dir, const char *file)
{
  _cleanup_free_ char *name = str_printf("%s.lck", file);

  return name &&
         (dir_list(dir, name, any_entry, NULL, NULL) > 0 || exists(dir, name));
}

static void
read_locks(struct vm_reader *r)
{
  r->vm->powered_on = has_lock(r->dir, path_basename(r->path));
  for (size_t i = 0; !r->vm->powered_on && i < r->vm->disk_count; i++)
    r->vm->powered_on = has_lock(r->dir, r->vm->disks[i].file);
}

/* ------------------------------------------------------------------------- */

static int
read_vm(struct vm_reader *r, struct vdk_error *err)
{
  int result = read_identity(r, err);

  if (result == 0)
    result = read_disks(r, err);
  if (result == 0)
    result = read_snapshots(r, err);
  if (result == 0)
    result = read_files(r, err);
  if (result == 0)
    read_locks(r);
  return result;
}

int
local_vm_open(struct local_host *h, const char *path, struct host_vm **ret,
              struct vdk_error *err)
{
  const char *base = path_basename(path);
  size_t stem = strlen(base);
  _cleanup_free_ char *dir_path = path_dirname(path);
  _cleanup_free_ char *stem_text = NULL;
  _cleanup_dir_ struct vdk_dir *dir = NULL;
  _cleanup_dict_ struct vmx_dict *dict = NULL;
  _cleanup_(host_vm_freep) struct host_vm *vm = mem_array(1, sizeof *vm);
  struct vm_reader reader;
  int r;

  if (str_ends_with_nocase(base, ".vmx"))
    stem -= strlen(".vmx");
  stem_text = str_ndup(base, stem);
  if (!dir_path || !stem_text || !vm)
    return error_nomem(err, "reading a VM");
  r = dir_local_open(dir_path, h->dir_flags, &dir, err);
  if (r == 0)
    r = read_dict(dir, base, &dict, err);
  if (r < 0)
    return r;
  reader = (struct vm_reader){h, dir, path, stem_text, dict, vm};
  r = read_vm(&reader, err);
  if (r < 0) {
    error_prefix(err, "cannot read the VM %s", path);
    return r;
  }
  *ret = TAKE_PTR(vm);
  return 0;
}
