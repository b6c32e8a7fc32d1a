/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One backup: plan, configuration files, disks, commit.
 *
 * Until the commit nothing is seen in the repository; an error or a cancel
 * leaves packs that the next run finds and uses, which is how it resumes.
 * After a disk was read its state is named again: when it is another than
 * before, something wrote it meanwhile, and the point says so. It is still
 * right to inherit from: the next backup starts from the state that was named
 * before the reading.
 */
#include "backup/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "base/utf8.h"

static int warn(struct backup_job *job, struct vdk_error *err, const char *fmt,
                ...) VDK_PRINTF(3, 4);

/* A warning for the log and for the point. */
static int
warn(struct backup_job *job, struct vdk_error *err, const char *fmt, ...)
{
  char text[1024];
  va_list args;

  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  job->warnings++;
  log_warning(job->options->log, "%s", text);
  return repo_writer_warning(job->writer, text, err);
}

/* --- Progress over all disks --------------------------------------------- */

static int
report(void *opaque, const struct vdk_progress_info *info)
{
  struct backup_job *job = opaque;
  struct vdk_progress_info sum = job->progress;

  sum.done += info->done;
  sum.read += info->read;
  sum.written += info->written;
  return job->options->progress.fn(job->options->progress.opaque, &sum);
}

/* --- Configuration ------------------------------------------------------- */

static int
store_files(struct backup_job *job, struct vdk_error *err)
{
  for (size_t i = 0; i < job->vm->file_count; i++) {
    const struct host_file *f = &job->vm->files[i];
    _cleanup_free_ char *data = NULL, *name = NULL;
    struct vdk_error problem = VDK_ERROR_INIT;
    size_t len;
    int r =
        job->host->ops->read_file(job->host, job->vm, f, &data, &len, &problem);

    if (r == -VDK_E_NOMEM || (r < 0 && strcmp(f->role, "vmx") == 0)) {
      error_side(&problem, VDK_SIDE_SOURCE);
      return error_copy(err, &problem);
    }
    name = utf8_from(f->name);
    if (!name)
      return error_nomem(err, "storing the configuration");
    /* The others can be made anew by the hypervisor. */
    if (r < 0)
      r = warn(job, err, "%s is left out: %s", name,
               vdk_error_message(&problem));
    else
      r = repo_writer_file(job->writer, name, f->role, data, len, err);
    if (r < 0)
      return r;
  }
  return 0;
}

/* --- One disk ------------------------------------------------------------ */

static int
make_source(const struct backup_disk *d, struct copy_source **ret,
            struct vdk_error *err)
{
  if (d->method == REPO_RANGES)
    return copy_source_ranges(d->opened, d->ranges, d->range_count, ret, err);
  return copy_source_disk(d->opened, ret, err);
}

static int
move_disk(struct backup_job *job, struct backup_disk *d, struct repo_disk *to,
          struct vdk_error *err)
{
  _cleanup_(copy_source_closep) struct copy_source *source = NULL;
  _cleanup_(copy_sink_closep) struct copy_sink *sink = NULL;
  struct copy_options options = {0};
  int r;

  if (d->method == REPO_RANGES && d->range_count == 0)
    return 0;
  if (job->options->progress.fn)
    options.progress = (struct vdk_progress){report, job};
  job->progress.item = d->disk->key;
  r = make_source(d, &source, err);
  if (r == 0)
    r = repo_disk_sink(to, &sink, err);
  if (r == 0)
    r = copy_run(source, sink, &options, &d->stats, err);
  job->progress.done += d->to_pass;
  job->progress.read += d->stats.read;
  job->progress.written += d->stats.written;
  return r;
}

/* Warns when D was written while it was read. */
static int
check_still(struct backup_job *job, struct backup_disk *d,
            struct vdk_error *err)
{
  struct vdk_error id_err = VDK_ERROR_INIT;
  _cleanup_free_ char *now = NULL;
  int r;

  if (!d->change_id)
    return 0;
  r = job->host->ops->change_id(job->host, job->vm, d->disk, d->opened, &now,
                                &id_err);
  if (r == -VDK_E_NOMEM)
    return error_copy(err, &id_err);
  if (r == 0 && strcmp(now, d->change_id) == 0)
    return 0;
  return warn(job, err,
              "disk %s was written while it was read: this point holds it as "
              "at no one time; shut the VM down, or back up a snapshot of it",
              d->disk->key);
}

static int
store_disk(struct backup_job *job, struct backup_disk *d, struct vdk_error *err)
{
  _cleanup_free_ char *file = utf8_from(d->disk->file);
  const struct repo_disk_options options = {
      .key = d->disk->key,
      .file = file,
      .format = d->format,
      .change_id = d->change_id,
      .size = disk_size(d->opened),
      .method = d->method,
      .inherit = d->parent,
      .meta = (const char *const *)d->meta,
      .ranges_lost = d->lost != NULL,
  };
  uint64_t before = repo_writer_stored(job->writer);
  struct repo_disk *to;
  int r = file ? 0 : error_nomem(err, "storing a disk");

  if (r == 0 && d->lost)
    r = warn(job, err, "disk %s was read and compared as a whole: %s",
             d->disk->key, d->lost);
  if (r == 0)
    r = repo_disk_begin(job->writer, &options, &to, err);
  if (r == 0)
    r = move_disk(job, d, to, err);
  if (r == 0)
    r = repo_disk_end(to, err);
  if (r < 0)
    return r;
  d->stored = repo_writer_stored(job->writer) - before;
  d->changed = repo_disk_changed(to);
  return check_still(job, d, err);
}

/* --- All of it ----------------------------------------------------------- */

/* What the guest finds when it starts from this point. */
static const char *
consistency(const struct backup_job *job)
{
  if (job->options->snapshot)
    return "crash";
  return job->vm->powered_on ? "none" : "powered-off";
}

static int
open_writer(struct backup_job *job, const char *skipped, struct vdk_error *err)
{
  _cleanup_free_ char *source = utf8_from(job->vm->id);
  const struct repo_writer_options options = {
      .vm_uuid = job->vm->uuid,
      .vm_name = job->vm->name,
      .source = source,
      .consistency = consistency(job),
      .parent = job->parent,
      .level = job->options->level,
  };
  int r = source ? 0 : error_nomem(err, "starting a backup");

  if (r == 0)
    r = repo_writer_open(job->repo, &options, &job->writer, err);
  if (r == 0 && skipped)
    r = warn(job, err, "snapshot %u does not hold these disks, left out: %s",
             job->options->snapshot, skipped);
  if (r == 0 && job->vm->powered_on && !job->options->snapshot)
    r = warn(job, err,
             "the VM is running: its disks may change while they are read");
  return r;
}

/* All disks are done: says so once, also where nothing was to be read. */
static int
report_end(struct backup_job *job, struct vdk_error *err)
{
  static const struct vdk_progress_info nothing;

  if (!job->options->progress.fn || report(job, &nothing) == 0)
    return 0;
  return error_set(err, VDK_E_CANCELLED, "cancelled");
}

static int
run_job(struct backup_job *job, struct backup_result *ret,
        struct vdk_error *err)
{
  _cleanup_free_ char *skipped = NULL;
  _cleanup_(backup_result_free) struct backup_result result = {0};
  int r = backup_plan(job, &skipped, err);

  if (r == 0)
    r = open_writer(job, skipped, err);
  if (r == 0)
    r = store_files(job, err);
  for (size_t i = 0; r == 0 && i < job->disk_count; i++)
    r = store_disk(job, &job->disks[i], err);
  if (r == 0)
    r = report_end(job, err);
  if (r == 0)
    r = backup_result_prepare(job, &result, err);
  if (r == 0)
    r = repo_writer_commit(job->writer, &result.point, err);
  if (r < 0) {
    /* What failed at the source has been marked so. */
    error_side(err, VDK_SIDE_TARGET);
    return r;
  }
  result.stored = repo_writer_stored(job->writer);
  result.seconds = (sys_monotonic_ns() - job->started) / 1e9;
  *ret = result;
  result = (struct backup_result){0};
  return 0;
}

int
backup_run(struct vdk_host *host, const struct host_vm *vm, struct repo *repo,
           const struct backup_options *options, struct backup_result *ret,
           struct vdk_error *err)
{
  static const struct backup_options defaults;
  struct backup_job job = {
      .host = host,
      .vm = vm,
      .repo = repo,
      .options = options ? options : &defaults,
      .progress.item = "",
      .started = sys_monotonic_ns(),
  };
  int r = run_job(&job, ret, err);

  backup_job_clear(&job);
  return r;
}
