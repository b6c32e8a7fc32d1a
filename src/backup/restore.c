/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A restore point becomes the folder of a VM.
 *
 * All is made in a sibling of the folder, ".NAME.vdkit-RANDOM", and renamed
 * into place as the last step, so that the folder is there complete or not at
 * all. The rename also replaces an empty folder that was there, and nothing
 * else: the system refuses to put a folder in place of one that holds
 * something. What a failure leaves is removed; what a power cut leaves has a
 * name that says what it is.
 */
#include "backup/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"

#define STEM_MAX 180u /* bytes; "-s00001.vmdk" and more must still fit */

static void
job_clear(struct restore_job *job)
{
  for (size_t i = 0; job->files && i < job->point->disk_count; i++)
    free(job->files[i]);
  free(job->files);
  free(job->stem);
  dir_unref(job->dir);
}

/* --- Names --------------------------------------------------------------- */

/* A file name's stem made of a VM's name: no directories, no hidden files,
 * no control characters, not longer than leaves room for suffixes. */
static char *
make_stem(const char *name)
{
  size_t len = strlen(name);
  char *stem;

  if (len > STEM_MAX) {
    len = STEM_MAX;
    while (len > 0 && (name[len] & 0xc0) == 0x80)
      len--;
  }
  stem = len ? str_ndup(name, len) : str_dup("vm");
  for (char *p = stem; p && *p; p++)
    if (*p == '/' || *p == '\\' || *p == '"' || *p == '|' || *p == ':' ||
        (unsigned char)*p < 0x20 || *p == 0x7f)
      *p = '_';
  if (stem && (stem[0] == '.' || stem[0] == '-'))
    stem[0] = '_';
  return stem;
}

/* The stem of the new files: that of the new name, or of the .vmx that was
 * backed up, or of the VM's name. */
static char *
choose_stem(const struct restore_job *job)
{
  const struct repo_point *p = job->point;

  if (job->options->name)
    return make_stem(job->options->name);
  for (size_t i = 0; i < p->file_count; i++) {
    const char *name = p->files[i].name;

    if (strcmp(p->files[i].role, "vmx") == 0 &&
        str_ends_with_nocase(name, ".vmx") && strlen(name) > 4) {
      _cleanup_free_ char *base = str_ndup(name, strlen(name) - 4);

      return base ? make_stem(base) : NULL;
    }
  }
  return make_stem(p->vm_name ? p->vm_name : "");
}

/* A key becomes part of a line of the .vmx: nothing that could end one. */
static bool
key_is_safe(const char *key)
{
  size_t len = key ? strspn(key, "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:._-")
                   : 0;

  return len > 0 && len <= 31 && key[len] == 0;
}

/* "STEM.vmdk", "STEM_1.vmdk", ... by the disks' order in the point. */
static int
name_disks(struct restore_job *job, struct vdk_error *err)
{
  const struct repo_point *p = job->point;
  const char *only = job->options->disk;

  job->files = mem_array(p->disk_count + 1, sizeof *job->files);
  if (!job->files)
    return error_nomem(err, "planning a restore");
  for (size_t i = 0; i < p->disk_count; i++) {
    const char *suffix =
        str_equal_nocase(restore_disk_type(job, i), "raw") ? "raw" : "vmdk";

    if (!key_is_safe(p->disks[i].key))
      return error_set(err, VDK_E_DAMAGED,
                       "restore point %s has a disk with a key that is none",
                       p->id);
    if (only && !str_equal_nocase(only, p->disks[i].key))
      continue;
    job->files[i] = i ? str_printf("%s_%zu.%s", job->stem, i, suffix)
                      : str_printf("%s.%s", job->stem, suffix);
    if (!job->files[i])
      return error_nomem(err, "planning a restore");
    job->disk_count++;
    job->progress.total += p->disks[i].size;
  }
  if (only && job->disk_count == 0)
    return error_set(err, VDK_E_NOT_FOUND,
                     "restore point %s of %s has no disk %s", p->id, p->vm_name,
                     only);
  return 0;
}

/* --- The temporary folder ------------------------------------------------ */

static int
note_any(void *opaque, const struct dir_entry *entry)
{
  return 1;
}

/* The target is not there or is an empty folder. */
static int
check_target(struct vdk_dir *parent, const char *name, struct vdk_error *err)
{
  struct vdk_error why = VDK_ERROR_INIT;
  int r = dir_list(parent, name, note_any, NULL, &why);

  if (r == 0 || r == -VDK_E_NOT_FOUND)
    return 0;
  if (r > 0)
    return error_set(err, VDK_E_EXISTS,
                     "%s/%s is not empty; give a folder that does not exist",
                     parent->path, name);
  return error_copy(err, &why);
}

static int
temporary_name(const char *name, char **ret, struct vdk_error *err)
{
  uint8_t random[6];
  char hex[2 * sizeof random + 1];
  int r = sys_random(random, sizeof random, err);

  if (r < 0)
    return r;
  hex_encode(random, sizeof random, hex);
  *ret = str_printf(".%.200s.vdkit-%s", name, hex);
  return *ret ? 0 : error_nomem(err, "planning a restore");
}

struct leftovers {
  struct vdk_dir *parent;
  const char *folder;
  char *name; /* one of its files */
};

static int
note_leftover(void *opaque, const struct dir_entry *entry)
{
  struct leftovers *l = opaque;

  l->name = path_join(l->folder, entry->name);
  return 1;
}

/* Removes the folder with the files in it (it has no folders). One at a time,
 * since a directory should not change while it is listed. */
static void
remove_folder(struct vdk_dir *parent, const char *folder,
              const struct vdk_log *log)
{
  struct vdk_error err = VDK_ERROR_INIT;
  int r;

  for (;;) {
    struct leftovers l = {parent, folder, NULL};

    r = dir_list(parent, folder, note_leftover, &l, &err);
    if (r <= 0 || !l.name)
      break;
    r = dir_remove(parent, l.name, &err);
    free(l.name);
    if (r < 0)
      break;
  }
  if (r == 0)
    r = dir_remove(parent, folder, &err);
  if (r < 0)
    log_warning(log, "left behind: %s/%s: %s", parent->path, folder,
                vdk_error_message(&err));
}

/* --- The restore --------------------------------------------------------- */

static int
fill_folder(struct restore_job *job, char **ret_vmx, struct vdk_error *err)
{
  *ret_vmx = NULL;
  for (size_t i = 0; i < job->point->disk_count; i++)
    if (job->files[i]) {
      int r = restore_disk(job, i, err);

      if (r < 0)
        return r;
    }
  if (job->options->disk)
    return 0;
  return restore_files(job, ret_vmx, err);
}

static int
make_folder(struct restore_job *job, struct vdk_dir *parent,
            const char *temporary, const char *name, char **ret_vmx,
            struct vdk_error *err)
{
  int r = dir_make(parent, temporary, err);

  if (r == 0)
    r = dir_below_new(parent, temporary, &job->dir, err);
  if (r == 0)
    r = fill_folder(job, ret_vmx, err);
  if (r == 0)
    r = dir_sync(parent, temporary, err);
  /* Replacing serves the empty folder that may be there. */
  if (r == 0)
    r = dir_rename(parent, temporary, name, true, err);
  return r;
}

static int
run_job(struct restore_job *job, struct vdk_dir *parent, const char *name,
        char **ret_vmx, struct vdk_error *err)
{
  _cleanup_free_ char *temporary = NULL, *vmx = NULL;
  int r = check_target(parent, name, err);

  job->stem = choose_stem(job);
  if (r == 0 && !job->stem)
    r = error_nomem(err, "planning a restore");
  if (r == 0)
    r = name_disks(job, err);
  if (r == 0)
    r = temporary_name(name, &temporary, err);
  if (r < 0)
    return r;
  r = make_folder(job, parent, temporary, name, &vmx, err);
  if (r < 0) {
    remove_folder(parent, temporary, job->options->log);
    return r;
  }
  if (vmx) {
    _cleanup_free_ char *below = path_join(name, vmx);

    *ret_vmx = below ? path_join(parent->path, below) : NULL;
    if (!*ret_vmx)
      return error_nomem(err, "telling the result of a restore");
  }
  return dir_sync(parent, ".", err);
}

int
restore_in(struct repo *repo, const struct repo_point *point,
           struct vdk_dir *parent, const char *name,
           const struct restore_options *options, struct restore_result *ret,
           struct vdk_error *err)
{
  static const struct restore_options defaults;
  struct restore_job job = {
      .repo = repo,
      .point = point,
      .options = options ? options : &defaults,
      .progress.item = "",
  };
  uint64_t started = sys_monotonic_ns();
  _cleanup_free_ char *vmx = NULL;
  int r = run_job(&job, parent, name, &vmx, err);

  /* What failed in the repository has been marked so. */
  if (r < 0)
    error_side(err, VDK_SIDE_TARGET);
  else
    *ret = (struct restore_result){
        .vmx = TAKE_PTR(vmx),
        .bytes = job.bytes,
        .written = job.written,
        .seconds = (sys_monotonic_ns() - started) / 1e9,
        .disk_count = job.disk_count,
    };
  job_clear(&job);
  return r;
}

int
restore_run(struct repo *repo, const struct repo_point *point,
            const char *target_dir, const struct restore_options *options,
            struct restore_result *ret, struct vdk_error *err)
{
  _cleanup_free_ char *path = str_dup(target_dir), *above = NULL;
  _cleanup_dir_ struct vdk_dir *parent = NULL;
  const char *name;
  size_t len;
  int r;

  if (!path)
    return error_nomem(err, "planning a restore");
  for (len = strlen(path); len > 1 && path[len - 1] == '/';)
    path[--len] = 0;
  name = path_basename(path);
  above = path_dirname(path);
  if (!above)
    return error_nomem(err, "planning a restore");
  if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
    return error_set(err, VDK_E_INVAL,
                     "'%s' names no folder that could be made", target_dir);
  r = dir_local_open(above, 0, &parent, err);
  if (r < 0) {
    error_side(err, VDK_SIDE_TARGET);
    return r;
  }
  return restore_in(repo, point, parent, name, options, ret, err);
}
