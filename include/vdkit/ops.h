/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole disks: create, convert, compare.
 *
 * Types. The type of a disk is "raw" or a createType of the VMDK family, in
 * any letter case; vdk_type_names() lists those that can be made.
 *
 * Threads: these functions share nothing and may run side by side. Each uses
 * several threads of its own and a bounded amount of memory, whatever the size
 * of the disks.
 */
#ifndef VDKIT_OPS_H
#define VDKIT_OPS_H

#include <vdkit/disk.h>
#include <vdkit/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The types that vdk_create and vdk_convert make, NULL-ended. A constant. */
VDK_API const char *const *vdk_type_names(void);

/* What a type is, in a few words for help texts; NULL for no type. */
VDK_API const char *vdk_type_text(const char *type);

/* The type for a file of this name, by its suffix (".raw", ".img", ".vmdk");
 * NULL when that says nothing. */
VDK_API const char *vdk_type_by_suffix(const char *path);

/* --- Create -------------------------------------------------------------- */

struct vdk_create_options {
  size_t size;          /* of this struct; set by the _INIT */
  uint64_t capacity;    /* bytes, a multiple of 512; 0 with PARENT: its size */
  const char *type;     /* NULL: by the suffix of the path */
  uint64_t grain_size;  /* bytes, a power of two; 0: the type's default */
  uint64_t extent_size; /* bytes of each file of a split type; 0: default */
  const char *adapter;  /* "lsilogic", "buslogic", "ide"; NULL: lsilogic */
  unsigned hw_version;  /* virtual hardware version; 0: default */
  int preallocate;      /* flat types: reserve all space now */
  /* enum vdk_open_flags for opening PARENT: _ALLOW_*, _UNBUFFERED */
  unsigned parent_flags;
  /* Makes a child of the disk at this path (its snapshot link): the child
   * holds only what is written to it, and PARENT must not change from then
   * on. PARENT is named relative to the child where it stands beside it. The
   * type defaults to monolithicSparse. */
  const char *parent;
};
#define VDK_CREATE_OPTIONS_INIT                                                \
  {                                                                            \
    sizeof(struct vdk_create_options), 0, NULL, 0, 0, NULL, 0, 0, 0, NULL      \
  }

/*
 * Makes the empty disk PATH, closed and durable. Nothing that exists is
 * touched: VDK_E_EXISTS when PATH, or a file that would be one of its extents,
 * is there. A failure leaves nothing behind.
 *
 * Errors: VDK_E_EXISTS, VDK_E_INVAL (capacity 0 or no multiple of 512, unknown
 * adapter), VDK_E_UNSUPPORTED (unknown type), VDK_E_TOO_BIG (for the type),
 * VDK_E_NO_SPACE, VDK_E_ACCESS, VDK_E_IO; those of vdk_open for PARENT, and
 * VDK_E_UNSUPPORTED when that is no VMDK (it has no content id).
 */
VDK_API int vdk_create(const char *path,
                       const struct vdk_create_options *options,
                       struct vdk_error *err);

/* --- Convert ------------------------------------------------------------- */

struct vdk_convert_options {
  size_t size;      /* of this struct; set by the _INIT */
  const char *type; /* of the target; NULL: by its suffix, raw for "-" */
  unsigned level;   /* streamOptimized: deflate 1 (fast) .. 12; 0: default */
  int fast;         /* streamOptimized: the fastest level; LEVEL wins */
  int overwrite;    /* replace the target when it exists */
  unsigned workers; /* threads; 0: as many as processors */
  const char *source_format; /* "vmdk", "raw"; NULL: recognised by content */
  unsigned source_flags;     /* enum vdk_open_flags; not _WRITE */
  uint64_t grain_size;       /* as in vdk_create_options */
  uint64_t extent_size;
  const char *adapter; /* NULL: the source's */
  struct vdk_progress progress;
  const struct vdk_log *log;
};
#define VDK_CONVERT_OPTIONS_INIT                                               \
  {                                                                            \
    sizeof(struct vdk_convert_options), NULL, 0, 0, 0, 0, NULL, 0, 0, 0, NULL, \
        {NULL, NULL}, NULL                                                     \
  }

/* Filled also when the copy fails half-way: how far it came. */
struct vdk_convert_stats {
  size_t size;      /* of this struct; set by the _INIT */
  uint64_t passed;  /* bytes of the guest disk */
  uint64_t read;    /* bytes of those that were read; the rest was known zero */
  uint64_t zero;    /* bytes that were read and turned out zero */
  uint64_t written; /* bytes written to the target */
  double seconds;
  const char *type; /* of the target; a constant */
};
#define VDK_CONVERT_STATS_INIT                                                 \
  {                                                                            \
    sizeof(struct vdk_convert_stats), 0, 0, 0, 0, 0, NULL                      \
  }

/*
 * Copies the disk SOURCE to a new disk TARGET, complete and durable on return.
 *
 * SOURCE is any name that vdk_open takes, or "-": standard input, a raw image
 * or a streamOptimized VMDK, recognised by its first bytes.
 * TARGET is a path, or "-": standard output, as raw or streamOptimized. The
 * descriptors 0 and 1 are not closed.
 *
 * A target that exists is VDK_E_EXISTS and untouched, unless OPTIONS say
 * overwrite: then it is replaced when the copy is complete. A failed or
 * cancelled copy leaves no target behind, and one that existed as it was.
 * STATS and OPTIONS may be NULL.
 *
 * Errors: err->side tells the source's from the target's. Those of vdk_open
 * and vdk_read_at; VDK_E_EXISTS, VDK_E_UNSUPPORTED (no such type; a type that
 * a pipe cannot take), VDK_E_NO_SPACE, VDK_E_CANCELLED, VDK_E_IO; VDK_E_INVAL
 * also when source and target are the same file or a level is out of range.
 */
VDK_API int vdk_convert(const char *source, const char *target,
                        const struct vdk_convert_options *options,
                        struct vdk_convert_stats *stats, struct vdk_error *err);

/* --- Compare ------------------------------------------------------------- */

struct vdk_compare_options {
  size_t size;          /* of this struct; set by the _INIT */
  const char *format_a; /* NULL: by content */
  const char *format_b;
  unsigned flags;   /* enum vdk_open_flags for both; not _WRITE */
  unsigned workers; /* 0: as many as processors */
  struct vdk_progress progress;
  const struct vdk_log *log;
};
#define VDK_COMPARE_OPTIONS_INIT                                               \
  {                                                                            \
    sizeof(struct vdk_compare_options), NULL, NULL, 0, 0, {NULL, NULL}, NULL   \
  }

/* What *ret_offset is when there is no difference. */
#define VDK_NO_DIFFERENCE UINT64_MAX

/*
 * Reads both disks (any names that vdk_open takes) and compares what a guest
 * would see. Returns 0 when both could be compared: *RET_OFFSET is the first
 * byte that differs, or VDK_NO_DIFFERENCE. Disks of unequal size differ at the
 * end of the shorter one, if not before. OPTIONS may be NULL.
 *
 * Errors: those of vdk_open and vdk_read_at; VDK_E_CANCELLED.
 */
VDK_API int vdk_compare(const char *a, const char *b,
                        const struct vdk_compare_options *options,
                        uint64_t *ret_offset, struct vdk_error *err);

#ifdef __cplusplus
}
#endif
#endif
