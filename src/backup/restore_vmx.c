/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration of a restored VM.
 *
 * The .vmx keeps every line but those that would now be wrong: the disks'
 * file names, redo logs and a suspended state that were not restored, and the
 * name when another was asked for. A disk of the .vmx that the point does not
 * hold is taken out, since a file of that name is not there. The .vmsd is not
 * restored: the disks have no snapshots any more. All other files are put
 * back byte for byte.
 *
 * The names come from a repository that a stranger may have written: they are
 * plain names, and none may be one that is there already.
 */
#include "backup/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/log.h"
#include "base/str.h"
#include "host/host_free.h"
#include "host/vmx.h"

#define FILES_MAX 64u

static bool
is_role(const struct repo_point_file *f, const char *role)
{
  return f->role && strcmp(f->role, role) == 0;
}

static int
check_name(const struct repo_point_file *f, struct vdk_error *err)
{
  if (f->name && !strchr(f->name, '/') && f->name[0] != '.' &&
      dir_name_is_safe(f->name))
    return 0;
  return error_set(err, VDK_E_UNSAFE_PATH,
                   "the restore point holds a file with the unsafe name '%s'",
                   f->name ? f->name : "");
}

/* A verbatim copy. */
static int
restore_file(struct restore_job *job, const struct repo_point_file *f,
             struct vdk_error *err)
{
  _cleanup_free_ char *data = NULL;
  size_t len;
  int r = check_name(f, err);

  if (r == 0) {
    r = repo_file_read(job->repo, f, &data, &len, err);
    if (r < 0)
      error_side(err, VDK_SIDE_SOURCE);
  }
  return r < 0 ? r : dir_put(job->dir, f->name, data, len, false, err);
}

/* --- The .vmx ------------------------------------------------------------ */

static int
set_disk_key(struct vmx_dict *d, const char *device, const char *what,
             const char *value, struct vdk_error *err)
{
  char key[64];

  snprintf(key, sizeof key, "%.40s.%s", device, what);
  return vmx_dict_set(d, key, value, err);
}

static bool
has_disk_key(const struct vmx_dict *d, const char *device, const char *what)
{
  char key[64];

  snprintf(key, sizeof key, "%.40s.%s", device, what);
  return vmx_dict_get(d, key) != NULL;
}

static int
point_disks(struct restore_job *job, struct vmx_dict *d, struct vdk_error *err)
{
  for (size_t i = 0; i < job->point->disk_count; i++) {
    const char *device = job->point->disks[i].key;
    int r = set_disk_key(d, device, "fileName", job->files[i], err);

    if (r == 0)
      r = set_disk_key(d, device, "present", "TRUE", err);
    if (r == 0 && has_disk_key(d, device, "redo"))
      r = set_disk_key(d, device, "redo", "", err);
    if (r < 0)
      return r;
  }
  return 0;
}

/* Disks of the .vmx that the point does not hold are no longer present. */
static int
drop_missing(struct restore_job *job, struct vmx_dict *d, struct vdk_error *err)
{
  struct host_disk *disks;
  size_t count;
  int r = vmx_disks_find(d, &disks, &count, err);

  if (r < 0)
    return r;
  for (size_t i = 0; r == 0 && i < count; i++)
    if (!repo_point_find_disk(job->point, disks[i].key)) {
      log_warning(job->options->log,
                  "disk %s is not in the restore point; the new VM is without "
                  "it",
                  disks[i].key);
      r = set_disk_key(d, disks[i].key, "present", "FALSE", err);
    }
  host_disks_free(disks, count);
  return r;
}

/* nvram and .vmxf stand under the names that the point has for them. */
static int
set_companions(struct restore_job *job, struct vmx_dict *d,
               struct vdk_error *err)
{
  static const struct {
    const char *role, *key;
  } kinds[] = {{"nvram", "nvram"}, {"vmxf", "extendedConfigFile"}};
  int r = 0;

  for (size_t i = 0; i < job->point->file_count; i++)
    for (size_t k = 0; r == 0 && k < ARRAY_SIZE(kinds); k++)
      if (is_role(&job->point->files[i], kinds[k].role))
        r = vmx_dict_set(d, kinds[k].key, job->point->files[i].name, err);
  return r;
}

static int
edit_vmx(struct restore_job *job, struct vmx_dict *d, struct vdk_error *err)
{
  int r = drop_missing(job, d, err);

  if (r == 0)
    r = point_disks(job, d, err);
  if (r == 0)
    r = set_companions(job, d, err);
  if (r == 0 && *vmx_dict_text(d, "checkpoint.vmState"))
    r = vmx_dict_set(d, "checkpoint.vmState", "", err);
  if (r == 0 && job->options->name)
    r = vmx_dict_set(d, "displayName", job->options->name, err);
  return r;
}

static int
restore_vmx(struct restore_job *job, const struct repo_point_file *f,
            char **ret_name, struct vdk_error *err)
{
  _cleanup_free_ char *data = NULL, *text = NULL;
  _cleanup_free_ char *name = str_printf("%s.vmx", job->stem);
  _cleanup_dict_ struct vmx_dict *d = NULL;
  size_t len;
  int r;

  if (!name)
    return error_nomem(err, "restoring the configuration");
  r = repo_file_read(job->repo, f, &data, &len, err);
  if (r == 0)
    r = vmx_dict_parse(data, len, f->name, &d, err);
  if (r < 0) {
    error_side(err, VDK_SIDE_SOURCE);
    return r;
  }
  r = edit_vmx(job, d, err);
  if (r == 0)
    r = vmx_dict_print(d, &text, &len, err);
  if (r == 0)
    r = dir_put(job->dir, name, text, len, false, err);
  if (r < 0)
    return r;
  *ret_name = TAKE_PTR(name);
  return 0;
}

/* ------------------------------------------------------------------------- */

/* How many snapshots the VM had; 0 when its .vmsd cannot be read. */
static size_t
count_snapshots(struct restore_job *job, const struct repo_point_file *f)
{
  _cleanup_free_ char *data = NULL;
  _cleanup_dict_ struct vmx_dict *d = NULL;
  struct host_snapshot *snapshots;
  size_t len, count;

  if (repo_file_read(job->repo, f, &data, &len, NULL) < 0 ||
      vmx_dict_parse(data, len, "vmsd", &d, NULL) < 0 ||
      vmsd_read(d, "vmsd", NULL, &snapshots, &count, NULL) < 0)
    return 0;
  host_snapshots_free(snapshots, count);
  return count;
}

/* What is not put back, said once. */
static void
tell(struct restore_job *job, const struct repo_point_file *vmsd, bool has_vmx)
{
  size_t snapshots = vmsd ? count_snapshots(job, vmsd) : 0;

  if (snapshots)
    log_info(job->options->log,
             "the VM had %zu snapshots; it is restored without them",
             snapshots);
  if (!has_vmx)
    log_warning(job->options->log,
                "the restore point has no .vmx: only disks were restored");
  if (job->options->type && str_equal_nocase(job->options->type, "raw"))
    log_warning(job->options->log,
                "the disks are raw; VMware products start only from .vmdk");
}

int
restore_files(struct restore_job *job, char **ret_vmx, struct vdk_error *err)
{
  const struct repo_point_file *vmx = NULL, *vmsd = NULL;
  char *name = NULL;
  int r = 0;

  if (job->point->file_count > FILES_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "the restore point holds more than %u files", FILES_MAX);
  for (size_t i = 0; r == 0 && i < job->point->file_count; i++) {
    const struct repo_point_file *f = &job->point->files[i];

    if (is_role(f, "vmx"))
      vmx = f;
    else if (is_role(f, "vmsd"))
      vmsd = f;
    else
      r = restore_file(job, f, err);
  }
  if (r == 0 && vmx)
    r = restore_vmx(job, vmx, &name, err);
  if (r < 0) {
    error_prefix(err, "restoring the configuration");
    return r;
  }
  tell(job, vmsd, vmx != NULL);
  *ret_vmx = name;
  return 0;
}
