/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Example 2: convert a disk, show how far it is, stop cleanly at Ctrl-C; then
 * write to the new disk.
 *
 *   2-convert SOURCE TARGET [TYPE]
 *
 * The target appears when it is complete. Whatever ends the program before,
 * there is no half-written disk under its name.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <vdkit/vdkit.h>

static volatile sig_atomic_t interrupted;

static void
on_interrupt(int number)
{
  (void)number;
  interrupted = 1;
}

/* Called about ten times a second, and at the end. Not 0: cancel. */
static int
show_progress(void *opaque, const struct vdk_progress_info *info)
{
  (void)opaque;
  if (info->total > 0)
    fprintf(stderr, "\r%3u %%  %" PRIu64 " MiB read, %" PRIu64 " written",
            (unsigned)(info->done * 100 / info->total), info->read >> 20,
            info->written >> 20);
  return interrupted;
}

static int
convert(const char *source, const char *target, const char *type,
        struct vdk_error *err)
{
  struct vdk_convert_options options = VDK_CONVERT_OPTIONS_INIT;
  struct vdk_convert_stats stats = VDK_CONVERT_STATS_INIT;

  options.type = type; /* NULL: by the target's suffix */
  options.progress.fn = show_progress;
  if (vdk_convert(source, target, &options, &stats, err) < 0)
    return -1;
  fprintf(stderr, "\r%s: %s, %" PRIu64 " bytes in %.2f s\n", target, stats.type,
          stats.passed, stats.seconds);
  return 0;
}

/* Leaves a mark in the disk's metadata, where its type has any. */
static int
leave_mark(const char *target, struct vdk_error *err)
{
  struct vdk_open_options options = VDK_OPEN_OPTIONS_INIT;
  struct vdk_handle *disk;
  int rc;

  options.flags = VDK_OPEN_WRITE;
  if (vdk_open(target, &options, &disk, err) < 0)
    return -1;
  rc = vdk_meta_set(disk, "comment.example", "converted by example 2", err);
  if (rc == -VDK_E_UNSUPPORTED)
    rc = 0;
  /* The close reports the last writes: its result counts. */
  if (vdk_close(disk, rc < 0 ? NULL : err) < 0)
    rc = -1;
  return rc;
}

int
main(int argc, char **argv)
{
  struct vdk_error err = VDK_ERROR_INIT;
  const char *type = argc > 3 ? argv[3] : NULL;

  if (argc < 3) {
    fprintf(stderr, "usage: %s SOURCE TARGET [TYPE]; types:", argv[0]);
    for (const char *const *name = vdk_type_names(); *name; name++)
      fprintf(stderr, " %s", *name);
    fprintf(stderr, "\n");
    return 2;
  }
  signal(SIGINT, on_interrupt);
  if (convert(argv[1], argv[2], type, &err) < 0 ||
      ((!type || strcmp(type, "streamOptimized") != 0) &&
       leave_mark(argv[2], &err) < 0)) {
    fprintf(stderr, "\n%s\n", vdk_error_message(&err));
    return vdk_error_exit_status(&err);
  }
  return 0;
}
