/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The words that every part of vdkit shares: extents, progress, log.
 *
 * Offsets and lengths are bytes unless a name says "sectors"; a sector is
 * always 512 bytes, as in the VMDK family and in VDDK.
 */
#ifndef VDKIT_TYPES_H
#define VDKIT_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include <vdkit/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VDK_SECTOR_SIZE 512u

/* What a disk knows of a range without reading it. */
enum vdk_extent_state {
  VDK_EXTENT_DATA = 0, /* stored: must be read to know what it holds */
  VDK_EXTENT_ZERO = 1, /* reads as zeroes */
  /* Not in this link: the parent's bytes show through, or zeroes where there
   * is no parent. Seen only when a single link is asked. */
  VDK_EXTENT_ABSENT = 2,
};

struct vdk_extent {
  uint64_t offset; /* bytes from the start of the disk */
  uint64_t length; /* bytes, never 0 */
  int state;       /* enum vdk_extent_state */
};

/*
 * Called now and then (at most about ten times a second, and once at the end)
 * while a long operation runs, from one thread at a time, with none of
 * vdkit's locks held. A result other than 0 cancels the operation, which then
 * fails with VDK_E_CANCELLED and leaves things as an error would.
 */
struct vdk_progress_info {
  uint64_t done;    /* bytes of the guest disks passed, zeroes included */
  uint64_t total;   /* bytes in all; 0 when not known */
  uint64_t read;    /* bytes really read from the source */
  uint64_t written; /* bytes really written to the target */
  const char *item; /* what is worked on, for people; never NULL */
};

struct vdk_progress {
  int (*fn)(void *opaque, const struct vdk_progress_info *info);
  void *opaque;
};

enum vdk_log_level {
  VDK_LOG_ERROR = 0,
  VDK_LOG_WARNING = 1,
  VDK_LOG_INFO = 2,
  VDK_LOG_DEBUG = 3,
};

/* Where messages go that are no errors: a repaired table, an unclean
 * shutdown. The library itself never prints. May be called from any thread;
 * MESSAGE has no newline and dies with the call. */
struct vdk_log {
  void (*fn)(void *opaque, int level, const char *message);
  void *opaque;
};

#ifdef __cplusplus
}
#endif
#endif
