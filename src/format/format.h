/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The formats that can be disks, and what each can do besides being a link:
 * recognise itself, open, create.
 */
#ifndef FORMAT_FORMAT_H
#define FORMAT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdkit/types.h>

#include "disk/link.h"
#include "file/file.h"

struct copy_sink;
struct copy_source;

/* The bytes of a file's start that recognition may look at. */
#define FORMAT_PROBE_SIZE 4096u

enum format_open_flags {
  FORMAT_WRITE = 1 << 0,
  FORMAT_NO_LOCK = 1 << 1,
  FORMAT_UNBUFFERED = 1 << 2,
  FORMAT_SALVAGE = 1 << 3,
  /* The link is a parent: the children's writer keeps it unchanged. */
  FORMAT_AS_PARENT = 1 << 4,
  /* Open for writing even though the directory has children of this link. */
  FORMAT_IGNORE_CHILDREN = 1 << 5,
};

struct format_open {
  struct vdk_dir *dir; /* the driver takes its own reference */
  const char *name;    /* in DIR */
  unsigned flags;      /* enum format_open_flags */
  const struct vdk_log *log;
};

/* What a new disk is to be. Zero means "the format's default". */
struct format_create {
  uint64_t size;        /* bytes, a multiple of 512 */
  const char *type;     /* "raw" or a createType, any letter case */
  uint64_t grain_size;  /* bytes */
  uint64_t extent_size; /* bytes of each file of a split disk */
  const char *adapter;  /* "lsilogic", "ide", "buslogic" */
  unsigned hw_version;  /* virtual hardware version */
  bool preallocate;     /* flat: reserve the space */
  unsigned level;       /* stream: deflate level 1..12 */
  /* A child: the text by which it names its parent and that one's CID. */
  const char *parent_hint;
  uint32_t parent_cid;
  bool has_parent;
  /* Metadata (ddb) entries to carry over; key, value pairs, NULL-ended. */
  const char *const *meta;
};

struct format {
  const char *name; /* "raw", "vmdk" */

  /* How sure the format is that NAME, which starts with HEAD, is its own:
   * 0 no, 100 certain. */
  int (*probe)(const uint8_t *head, size_t len, uint64_t file_size);

  int (*open)(const struct format_open *o, struct vdk_link **ret,
              struct vdk_error *err);

  /* True when TYPE is one that create and create_sink make. */
  bool (*knows_type)(const char *type);

  /* Makes NAME in DIR. Nothing is left behind by a failure, and nothing that
   * was there is touched. The result is closed and durable. Types that can
   * only be streamed (streamOptimized) are made empty. */
  int (*create)(struct vdk_dir *dir, const char *name,
                const struct format_create *c, struct vdk_error *err);

  /* True when TYPE is written only in order, by a sink. */
  bool (*is_stream)(const char *type);

  /* A sink that writes a new disk of a stream type in order into FILE, which
   * may be a pipe and stays the caller's. */
  int (*stream_sink)(struct vdk_file *file, const struct format_create *c,
                     struct copy_sink **ret, struct vdk_error *err);

  /* A source that reads a disk from a file that cannot seek. HEAD is what
   * was read already (FORMAT_PROBE_SIZE bytes or the whole file). */
  int (*stream_source)(struct vdk_file *file, const uint8_t *head, size_t len,
                       const struct vdk_log *log, struct copy_source **ret,
                       struct vdk_error *err);
};

/* NULL-terminated. */
extern const struct format *const formats[];

const struct format *format_by_name(const char *name);
/* The format that makes TYPE ("raw", a createType); NULL when none does. */
const struct format *format_by_type(const char *type);
/* The default type for a target of this name: ".raw", ".img", ".vmdk";
 * NULL when the suffix says nothing. */
const char *format_type_by_suffix(const char *path);
/* The surest format for these first bytes; never NULL for a file that is not
 * empty, since raw takes anything. */
const struct format *format_probe(const uint8_t *head, size_t len,
                                  uint64_t file_size);

#endif
