/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One disk becomes another: names and options are made a source and a sink
 * for the copy engine, and the result a file that appears complete.
 *
 *   source   a name: a disk; "-": the stream reader of the format that the
 *            first bytes show
 *   sink     a disk of the type, new and empty; for stream types and pipes
 *            the type's stream writer
 *
 * A raw image from a pipe has no size before its end, and every type but raw
 * needs it at the start. Such a source is first spooled, sparse, beside the
 * new disk.
 */
#include <string.h>

#include "base/error.h"
#include "base/str.h"
#include "base/sys.h"
#include "copy/copy.h"
#include "format/format.h"
#include "surface/vdkit/surface.h"

#define PIPE       "-"
#define LEVEL_MAX  12u
#define LEVEL_FAST 1u

struct convert {
  const char *source, *target;
  struct vdk_convert_options o;

  const char *type;
  const struct format *format; /* of the target */
  struct format_create create;

  /* The source: a handle, or standard input. */
  struct vdk_handle *handle;
  struct vdk_file *in;
  struct copy_source *from;
  bool size_known;
  struct vdk_disk *spooled; /* what FROM reads when its size was not known */

  struct copy_stats stats;
};

static void
convert_end(struct convert *c)
{
  copy_source_close(c->from);
  if (c->spooled)
    disk_close(c->spooled, NULL);
  file_close(c->in);
  vdk_close(c->handle, NULL);
}

static bool
is_pipe_name(const char *name)
{
  return strcmp(name, PIPE) == 0;
}

/* --- The target's type ---------------------------------------------------- */

static int
choose_type(struct convert *c, struct vdk_error *err)
{
  const char *type = c->o.type;

  if (!type)
    type = is_pipe_name(c->target) ? "raw" : format_type_by_suffix(c->target);
  if (!type)
    return error_set(err, VDK_E_INVAL,
                     "the name %s does not tell what type of disk to make; "
                     "give the type",
                     c->target);
  c->format = format_by_type(type);
  if (!c->format)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "cannot make %s: disks of type \"%s\" cannot be made",
                     c->target, type);
  for (const char *const *n = vdk_type_names(); *n; n++)
    if (str_equal_nocase(*n, type))
      type = *n;
  c->type = type;
  return 0;
}

static bool
is_raw(const struct convert *c)
{
  return strcmp(c->format->name, "raw") == 0;
}

static bool
is_stream(const struct convert *c)
{
  return c->format->is_stream && c->format->is_stream(c->type);
}

/* --- The source ----------------------------------------------------------- */

static int
open_pipe_source(struct convert *c, struct vdk_error *err)
{
  _cleanup_free_ uint8_t *head = malloc(FORMAT_PROBE_SIZE);
  const struct format *format;
  size_t len;
  int rc;

  if (!head)
    return error_nomem(err, "reading standard input");
  rc = file_fd_open(0, "standard input", false, &c->in, err);
  if (rc == 0)
    rc = file_read_upto(c->in, 0, head, FORMAT_PROBE_SIZE, &len, err);
  if (rc < 0)
    return rc;
  if (len == 0)
    return error_set(err, VDK_E_NOT_A_DISK, "standard input is empty");
  format = c->o.source_format ? format_by_name(c->o.source_format)
                              : format_probe(head, len, 0);
  if (!format)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "standard input cannot be read as format \"%s\"",
                     text_or_empty(c->o.source_format));
  /* The copy engine has the stream reader of what is no format. */
  rc = format->stream_source
           ? format->stream_source(c->in, head, len, c->o.log, &c->from, err)
           : copy_source_raw_stream(c->in, head, len, &c->from, err);
  if (rc < 0)
    return rc;
  c->size_known = c->from->size > 0;
  return 0;
}

static int
open_disk_source(struct convert *c, struct vdk_error *err)
{
  struct vdk_open_options open = VDK_OPEN_OPTIONS_INIT;
  int rc;

  open.flags = c->o.source_flags;
  open.format = c->o.source_format;
  open.log = c->o.log;
  rc = vdk_open(c->source, &open, &c->handle, err);
  if (rc < 0)
    return rc;
  c->size_known = true;
  return copy_source_disk(c->handle->disk, &c->from, err);
}

/* --- The target must be no part of the source ----------------------------- */

struct same_file {
  const char *folder, *target;
};

static int
same_file_check(void *opaque, const char *name, uint64_t bytes)
{
  const struct same_file *s = opaque;
  _cleanup_free_ char *path = path_join(s->folder, name);

  return path && target_is_same_file(path, s->target);
}

static int
check_not_source(const struct convert *c, struct vdk_error *err)
{
  unsigned links = c->handle ? disk_link_count(c->handle->disk) : 0;

  for (unsigned i = 0; i < links; i++) {
    const char *name = disk_link_name(c->handle->disk, i);
    _cleanup_free_ char *folder = path_dirname(name);
    struct same_file s = {folder, c->target};

    if (!folder)
      return error_nomem(err, "comparing source and target");
    if (target_is_same_file(name, c->target) ||
        vdk_link_files(c->handle, i, same_file_check, &s, NULL) == 1)
      return error_set(err, VDK_E_INVAL,
                       "the target %s is a part of the source %s", c->target,
                       c->source);
  }
  return 0;
}

/* --- The copy ------------------------------------------------------------- */

/* What the new disk takes over from the source. */
static void
describe(struct convert *c)
{
  uint64_t hw;
  _cleanup_free_ char *hw_text = NULL;

  c->create = (struct format_create){
      .size = c->from->size,
      .type = c->type,
      .grain_size = c->o.grain_size,
      .extent_size = c->o.extent_size,
      .adapter = c->o.adapter,
      .level = c->o.level,
  };
  if (c->o.level == 0 && c->o.fast)
    c->create.level = LEVEL_FAST;
  if (!c->handle)
    return;
  if (!c->create.adapter && c->handle->adapter[0])
    c->create.adapter = c->handle->adapter;
  if (disk_meta_get(c->handle->disk, "virtualHWVersion", &hw_text, NULL) == 0 &&
      str_to_u64(hw_text, &hw) && hw > 0 && hw < 1000)
    c->create.hw_version = hw;
}

static int
run(struct convert *c, struct copy_sink *sink, struct vdk_error *err)
{
  struct copy_options options = {
      .workers = c->o.workers,
      .progress = c->o.progress,
  };

  return copy_run(c->from, sink, &options, &c->stats, err);
}

/* Into FILE, in order. */
static int
convert_to_stream(struct convert *c, struct vdk_file *file,
                  struct vdk_error *err)
{
  _cleanup_(copy_sink_closep) struct copy_sink *sink = NULL;
  int rc;

  if (is_raw(c))
    rc = copy_sink_raw_stream(file, c->from->size, &sink, err);
  else
    rc = c->format->stream_sink(file, &c->create, &sink, err);
  if (rc < 0)
    return handle_side(rc, VDK_SIDE_TARGET, err);
  return run(c, sink, err);
}

/* Into a new disk NAME in DIR. */
static int
convert_to_disk(struct convert *c, struct vdk_dir *dir, const char *name,
                struct vdk_error *err)
{
  struct disk_open_options options = {.flags = DISK_WRITE, .log = c->o.log};
  _cleanup_disk_ struct vdk_disk *disk = NULL;
  _cleanup_(copy_sink_closep) struct copy_sink *sink = NULL;
  int rc;

  options.format = c->format->name;
  rc = c->format->create(dir, name, &c->create, err);
  if (rc == 0)
    rc = disk_open(dir, name, &options, &disk, err);
  if (rc == 0)
    rc = copy_sink_disk(disk, true, &sink, err);
  if (rc < 0)
    return handle_side(rc, VDK_SIDE_TARGET, err);
  rc = run(c, sink, err);
  if (rc < 0)
    return rc;
  copy_sink_close(TAKE_PTR(sink));
  return handle_side(disk_close(TAKE_PTR(disk), err), VDK_SIDE_TARGET, err);
}

static int
convert_to_pipe(struct convert *c, struct vdk_error *err)
{
  _cleanup_file_ struct vdk_file *out = NULL;
  int rc;

  if (!is_raw(c) && !is_stream(c))
    return error_set(err, VDK_E_UNSUPPORTED,
                     "a disk of type %s cannot be written to standard output; "
                     "raw and streamOptimized can",
                     c->type);
  rc = file_fd_open(1, "standard output", true, &out, err);
  if (rc < 0)
    return handle_side(rc, VDK_SIDE_TARGET, err);
  return convert_to_stream(c, out, err);
}

static int
convert_in_stage(struct convert *c, struct target *t, struct vdk_error *err)
{
  _cleanup_file_ struct vdk_file *file = NULL;
  int rc;

  if (!is_stream(c) && c->from->size > 0)
    return convert_to_disk(c, t->stage, t->name, err);
  rc = dir_open_file(t->stage, t->name, FILE_CREATE | FILE_SEQUENTIAL, &file,
                     err);
  if (rc < 0)
    return handle_side(rc, VDK_SIDE_TARGET, err);
  return convert_to_stream(c, file, err);
}

/* The stream FROM becomes the raw disk NAME in STAGE, and FROM reads that. */
static int
spool(struct convert *c, struct vdk_dir *stage, const char *name,
      struct vdk_error *err)
{
  struct disk_open_options options = {.format = "raw", .log = c->o.log};
  _cleanup_(copy_sink_closep) struct copy_sink *sink = NULL;
  _cleanup_file_ struct vdk_file *file = NULL;
  int rc;

  rc = dir_open_file(stage, name, FILE_CREATE | FILE_SEQUENTIAL, &file, err);
  if (rc == 0)
    rc = copy_sink_raw_stream(file, 0, &sink, err);
  if (rc < 0)
    return handle_side(rc, VDK_SIDE_TARGET, err);
  rc = run(c, sink, err);
  if (rc < 0)
    return rc;
  copy_source_close(TAKE_PTR(c->from));
  rc = disk_open(stage, name, &options, &c->spooled, err);
  if (rc == 0)
    rc = copy_source_disk(c->spooled, &c->from, err);
  if (rc < 0)
    return rc;
  describe(c);
  return 0;
}

static int
convert_spooled(struct convert *c, struct target *t, struct vdk_error *err)
{
  _cleanup_free_ char *name = str_printf("%s.spool", t->name);
  int rc;

  if (!name)
    return error_nomem(err, "preparing a new disk");
  rc = spool(c, t->stage, name, err);
  if (rc == 0)
    rc = convert_in_stage(c, t, err);
  if (rc < 0)
    return rc;
  copy_source_close(TAKE_PTR(c->from));
  rc = disk_close(TAKE_PTR(c->spooled), err);
  if (rc == 0)
    rc = dir_remove(t->stage, name, err);
  return handle_side(rc, VDK_SIDE_TARGET, err);
}

static int
convert_to_file(struct convert *c, struct vdk_error *err)
{
  _cleanup_target_ struct target t = {0};
  int rc;

  rc = target_begin(c->target, c->o.overwrite != 0, &t, err);
  if (rc < 0)
    return handle_side(rc, VDK_SIDE_TARGET, err);
  if (!c->size_known && !is_raw(c))
    rc = convert_spooled(c, &t, err);
  else
    rc = convert_in_stage(c, &t, err);
  if (rc < 0)
    return rc;
  return handle_side(target_commit(&t, err), VDK_SIDE_TARGET, err);
}

static int
convert_run(struct convert *c, struct vdk_error *err)
{
  int rc;

  rc = choose_type(c, err);
  if (rc < 0)
    return rc;
  rc = is_pipe_name(c->source) ? open_pipe_source(c, err)
                               : open_disk_source(c, err);
  if (rc < 0)
    return handle_side(rc, VDK_SIDE_SOURCE, err);
  if (!c->size_known && !is_raw(c) && is_pipe_name(c->target))
    return error_set(err, VDK_E_UNSUPPORTED,
                     "the size of a raw image from a pipe is not known before "
                     "its end, and %s needs it at the start; convert to a "
                     "file, or to raw",
                     c->type);
  describe(c);
  if (is_pipe_name(c->target))
    return convert_to_pipe(c, err);
  rc = check_not_source(c, err);
  if (rc < 0)
    return rc;
  return convert_to_file(c, err);
}

static int
check_options(const struct vdk_convert_options *o, struct vdk_error *err)
{
  if (o->level > LEVEL_MAX)
    return error_set(err, VDK_E_INVAL, "compression level %u is not in 1 .. %u",
                     o->level, LEVEL_MAX);
  return options_check_flags(o->source_flags, OPTIONS_READ_FLAGS,
                             "the source of a conversion", err);
}

int
vdk_convert(const char *source, const char *target,
            const struct vdk_convert_options *options,
            struct vdk_convert_stats *stats, struct vdk_error *err)
{
  _cleanup_(convert_end) struct convert c = {
      .source = source, .target = target, .o = VDK_CONVERT_OPTIONS_INIT};
  struct vdk_convert_stats s = VDK_CONVERT_STATS_INIT;
  uint64_t start = sys_monotonic_ns();
  int rc;

  if (!source || !target)
    return options_null(source ? "the target" : "the source", err);
  rc = OPTIONS_LOAD(&c.o, options, log, "vdk_convert_options", err);
  if (rc == 0)
    rc = check_options(&c.o, err);
  if (rc == 0 && stats)
    rc = OPTIONS_STORE(stats, &s, type, "vdk_convert_stats", err);
  if (rc < 0)
    return rc;
  rc = convert_run(&c, err);
  s.passed = c.stats.passed;
  s.read = c.stats.read;
  s.zero = c.stats.zero;
  s.written = c.stats.written;
  s.seconds = (sys_monotonic_ns() - start) / 1e9;
  s.type = c.type;
  if (stats)
    OPTIONS_STORE(stats, &s, type, "vdk_convert_stats", NULL);
  return rc;
}
