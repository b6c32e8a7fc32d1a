/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One disk of a restore point becomes a new disk of one link.
 *
 * Types that can be written anywhere are created empty and filled by many
 * workers at once, zeroes skipped; stream types go through the format's own
 * sink. A type that the source had and that nothing makes (a child's format,
 * a device) becomes the nearest that can be made: flat for flat on VMFS,
 * else monolithicSparse, which every product reads.
 */
#include "backup/internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/log.h"
#include "base/str.h"
#include "disk/disk.h"
#include "format/format.h"

/* Where a hypervisor keeps what a restore point calls so. */
static const struct {
  const char *source, *made;
} nearest[] = {
    {"streamOptimized", "monolithicSparse"},
    {"vmfsSparse", "vmfs"},
    {"vmfsThin", "vmfs"},
    {"vmfsThick", "vmfs"},
    {"vmfsPreallocated", "vmfs"},
    {"vmfsEagerZeroedThick", "vmfs"},
    {"seSparse", "vmfs"},
    {"vmfsSeSparse", "vmfs"},
    {"vsanSparse", "vmfs"},
};

const char *
restore_disk_type(const struct restore_job *job, size_t index)
{
  const char *type = job->point->disks[index].format;

  if (job->options->type)
    return job->options->type;
  for (size_t i = 0; type && i < ARRAY_SIZE(nearest); i++)
    if (str_equal_nocase(type, nearest[i].source))
      type = nearest[i].made;
  return type && format_by_type(type) ? type : "monolithicSparse";
}

/* --- Progress ------------------------------------------------------------ */

static int
report(void *opaque, const struct vdk_progress_info *info)
{
  struct restore_job *job = opaque;
  struct vdk_progress_info sum = job->progress;

  sum.done += info->done;
  sum.read += info->read;
  sum.written += info->written;
  return job->options->progress.fn(job->options->progress.opaque, &sum);
}

static int
run_copy(struct restore_job *job, const struct repo_point_disk *disk,
         struct vdk_disk *from, struct copy_sink *sink, struct vdk_error *err)
{
  _cleanup_(copy_source_closep) struct copy_source *source = NULL;
  struct copy_options options = {0};
  struct copy_stats stats = {0};
  int r = copy_source_disk(from, &source, err);

  if (job->options->progress.fn)
    options.progress = (struct vdk_progress){report, job};
  job->progress.item = disk->key;
  if (r == 0)
    r = copy_run(source, sink, &options, &stats, err);
  job->progress.done += disk->size;
  job->progress.read += stats.read;
  job->progress.written += stats.written;
  job->bytes += disk->size;
  job->written += stats.written;
  return r;
}

/* --- The two ways -------------------------------------------------------- */

static int
fill_stream(struct restore_job *job, const struct format *format,
            const struct format_create *create, const char *name,
            const struct repo_point_disk *disk, struct vdk_disk *from,
            struct vdk_error *err)
{
  _cleanup_file_ struct vdk_file *file = NULL;
  _cleanup_(copy_sink_closep) struct copy_sink *sink = NULL;
  int r =
      dir_open_file(job->dir, name, FILE_CREATE | FILE_SEQUENTIAL, &file, err);

  if (r == 0)
    r = format->stream_sink(file, create, &sink, err);
  if (r == 0)
    r = run_copy(job, disk, from, sink, err);
  return r == 0 ? file_flush(file, err) : r;
}

static int
fill_disk(struct restore_job *job, const struct format *format,
          const struct format_create *create, const char *name,
          const struct repo_point_disk *disk, struct vdk_disk *from,
          struct vdk_error *err)
{
  const struct disk_open_options options = {
      .flags = DISK_WRITE, .format = format->name, .log = job->options->log};
  struct copy_sink *sink = NULL;
  struct vdk_disk *to;
  int r = format->create(job->dir, name, create, err);

  if (r == 0)
    r = disk_open(job->dir, name, &options, &to, err);
  if (r < 0)
    return r;
  r = copy_sink_disk(to, true, &sink, err);
  if (r == 0)
    r = run_copy(job, disk, from, sink, err);
  copy_sink_close(sink);
  if (r < 0) {
    disk_close(to, NULL);
    return r;
  }
  return disk_close(to, err);
}

/* --- What is made -------------------------------------------------------- */

static const char *
find_meta(const struct repo_point_disk *disk, const char *key)
{
  for (char **m = disk->meta; m && m[0] && m[1]; m += 2) {
    const char *name = m[0];

    if (strncasecmp(name, "ddb.", 4) == 0)
      name += 4;
    if (str_equal_nocase(name, key))
      return m[1];
  }
  return NULL;
}

static void
describe(const struct repo_point_disk *disk, const char *type,
         struct format_create *ret)
{
  const char *version = find_meta(disk, "virtualHWVersion");
  uint64_t number;

  *ret = (struct format_create){
      .size = disk->size,
      .type = type,
      .adapter = find_meta(disk, "adapterType"),
      .meta = (const char *const *)disk->meta,
  };
  if (version && str_to_u64(version, &number) && number < 1000)
    ret->hw_version = number;
}

int
restore_disk(struct restore_job *job, size_t index, struct vdk_error *err)
{
  const struct repo_point_disk *disk = &job->point->disks[index];
  const char *type = restore_disk_type(job, index);
  const struct format *format = format_by_type(type);
  const char *name = job->files[index];
  _cleanup_disk_ struct vdk_disk *from = NULL;
  struct format_create create;
  struct vdk_link *link;
  int r;

  if (!format)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "no disks of type '%s' can be made", type);
  if (disk->format && !job->options->type &&
      !str_equal_nocase(disk->format, type))
    log_info(job->options->log, "%s was %s and becomes %s", disk->key,
             disk->format, type);
  r = repo_disk_open(job->repo, job->point, disk, &link, err);
  if (r == 0)
    r = disk_from_link(link, job->options->log, &from, err);
  if (r < 0) {
    error_side(err, VDK_SIDE_SOURCE);
    return r;
  }
  describe(disk, type, &create);
  r = format->is_stream && format->is_stream(type)
          ? fill_stream(job, format, &create, name, disk, from, err)
          : fill_disk(job, format, &create, name, disk, from, err);
  if (r < 0)
    error_prefix(err, "restoring disk %s", disk->key);
  return r;
}
