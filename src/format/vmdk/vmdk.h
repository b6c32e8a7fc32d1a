/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The VMDK family, inside: what its files share. Layout facts and their
 * sources: docs/formats/vmdk.md.
 *
 *   vmdk.c        the link: a row of extents, one driver table
 *   descriptor.c  the text: parse, edit in place, print
 *   header.c      the 512-byte sparse header: parse with bounds, print
 *   extent_*.c    one kind of extent each: flat, zero, sparse, stream
 *   create.c      new disks
 *   stream_*.c    streamOptimized written and read in order
 *   children.c    who names this disk as parent
 */
#ifndef FORMAT_VMDK_VMDK_H
#define FORMAT_VMDK_VMDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "file/file.h"
#include "format/format.h"

/* --- The sparse header, in bytes and host order --------------------------- */

#define VMDK_HEADER_SIZE 512u
#define VMDK_GD_AT_END   UINT64_MAX

enum vmdk_header_flags {
  VMDK_FLAG_NEWLINE_TEST = 1u << 0,
  VMDK_FLAG_REDUNDANT_GD = 1u << 1,
  VMDK_FLAG_ZERO_GRAINS = 1u << 2,
  VMDK_FLAG_COMPRESSED = 1u << 16,
  VMDK_FLAG_MARKERS = 1u << 17,
};

/* As stored, except that offsets and sizes are checked to fit: sectors times
 * 512 fits a uint64_t, the grain is a power of two in 512 B .. 1 MiB (hosted
 * disks use 64 KiB), a grain table has 1 .. 4096 entries, the number of grain
 * tables is bounded. */
struct vmdk_header {
  uint32_t version;
  uint32_t flags;
  uint64_t capacity; /* sectors */
  uint64_t grain_sectors;
  uint64_t descriptor_offset; /* sectors; 0: none */
  uint64_t descriptor_sectors;
  uint32_t gtes_per_gt;
  uint64_t rgd_offset; /* sectors */
  uint64_t gd_offset;  /* sectors, or VMDK_GD_AT_END */
  uint64_t overhead;   /* sectors */
  bool unclean;
  bool newline_damaged;
  uint16_t compression; /* 0 none, 1 deflate */
  uint64_t gt_count;    /* computed: grain tables of this extent */
};

/* NAME is for messages. FILE_SIZE bounds the tables (0: not known, a pipe).
 * With SALVAGE, damaged newline bytes are only remembered. */
int vmdk_header_parse(const uint8_t buf[VMDK_HEADER_SIZE], const char *name,
                      uint64_t file_size, bool salvage, struct vmdk_header *ret,
                      struct vdk_error *err);
void vmdk_header_print(const struct vmdk_header *h,
                       uint8_t ret[VMDK_HEADER_SIZE]);

/* --- The descriptor --------------------------------------------------------
 */

#define VMDK_DESCRIPTOR_MAX (4u * 1024 * 1024) /* 62 TB in 2 GB files: 1.1 */
#define VMDK_EXTENTS_MAX    65536u

enum vmdk_access { VMDK_RW, VMDK_RDONLY, VMDK_NOACCESS };

enum vmdk_extent_type {
  VMDK_FLAT,
  VMDK_SPARSE,
  VMDK_ZERO,
  VMDK_VMFS,
  VMDK_VMFSSPARSE,
  VMDK_VMFSRDM,
  VMDK_VMFSRAW,
  VMDK_SESPARSE,
  VMDK_VSANSPARSE,
};

struct vmdk_extent_line {
  enum vmdk_access access;
  enum vmdk_extent_type type;
  uint64_t sectors;
  char *file;      /* NULL for ZERO */
  uint64_t offset; /* sectors */
};

/* The text, line by line, kept as it was; unknown lines and keys survive. */
struct vmdk_descriptor;

int vmdk_descriptor_parse(const char *text, size_t len, const char *name,
                          struct vmdk_descriptor **ret, struct vdk_error *err);
void vmdk_descriptor_free(struct vmdk_descriptor *d);
/* Header keys (any letter case), unquoted; NULL when absent. */
const char *vmdk_descriptor_get(const struct vmdk_descriptor *d,
                                const char *key);
int vmdk_descriptor_set(struct vmdk_descriptor *d, const char *key,
                        const char *value, bool quoted, struct vdk_error *err);
/* KEY with its "ddb." prefix. VALUE NULL removes the line. */
const char *vmdk_descriptor_ddb_get(const struct vmdk_descriptor *d,
                                    const char *key);
int vmdk_descriptor_ddb_set(struct vmdk_descriptor *d, const char *key,
                            const char *value, struct vdk_error *err);
int vmdk_descriptor_ddb_list(const struct vmdk_descriptor *d,
                             int (*fn)(void *opaque, const char *key,
                                       const char *value),
                             void *opaque);
size_t vmdk_descriptor_extents(const struct vmdk_descriptor *d,
                               const struct vmdk_extent_line **ret);
/* The text as it is to be written. */
int vmdk_descriptor_print(const struct vmdk_descriptor *d, char **ret,
                          size_t *ret_len, struct vdk_error *err);

/* A fresh descriptor's text for a new disk. TYPE is canonical. */
struct vmdk_new_descriptor {
  const char *type;
  uint32_t cid;
  const struct format_create *create; /* size, adapter, parent, meta */
  const struct vmdk_extent_line *extents;
  size_t extent_count;
};
int vmdk_descriptor_new(const struct vmdk_new_descriptor *n, char **ret,
                        size_t *ret_len, struct vdk_error *err);
/* Random, neither "no parent" nor "never written". */
int vmdk_new_cid(uint32_t *ret, struct vdk_error *err);

/* --- Extents ---------------------------------------------------------------
 */

struct vmdk_extent;

/* The contract of link_ops for the same calls, with offsets relative to the
 * extent. */
struct vmdk_extent_ops {
  const char *name;
  int (*read)(struct vmdk_extent *e, uint64_t offset, void *buf, size_t len,
              size_t *ret_len, int *ret_state, struct vdk_error *err);
  int (*map)(struct vmdk_extent *e, uint64_t offset, uint64_t len,
             uint64_t *ret_len, int *ret_state, struct vdk_error *err);
  int (*write)(struct vmdk_extent *e, uint64_t offset, const void *buf,
               size_t len, struct vdk_error *err); /* NULL: read-only */
  int (*zero)(struct vmdk_extent *e, uint64_t offset, uint64_t len,
              struct vdk_error *err); /* may be NULL */
  int (*flush)(struct vmdk_extent *e, struct vdk_error *err);
  int (*close)(struct vmdk_extent *e, struct vdk_error *err); /* frees */
};

struct vmdk_extent {
  const struct vmdk_extent_ops *ops;
  uint64_t start;        /* bytes from the start of the disk */
  uint64_t size;         /* bytes */
  uint32_t granularity;  /* bytes */
  struct vdk_file *file; /* NULL for ZERO; owned */
  char *file_name;       /* as opened, relative to the disk's directory */
};

/* What a kind of extent needs to be opened. FILE is taken over on success. */
struct vmdk_extent_open {
  struct vdk_file *file;
  const struct vmdk_extent_line *line;
  const struct vmdk_header *header; /* sparse kinds; already parsed */
  uint64_t file_size;
  bool writable, has_parent, salvage;
  const struct vdk_log *log;
};

int vmdk_extent_flat_open(const struct vmdk_extent_open *o,
                          struct vmdk_extent **ret, struct vdk_error *err);
int vmdk_extent_zero_open(const struct vmdk_extent_open *o,
                          struct vmdk_extent **ret, struct vdk_error *err);
int vmdk_extent_sparse_open(const struct vmdk_extent_open *o,
                            struct vmdk_extent **ret, struct vdk_error *err);
/* Compressed extents, read at random: layouts A and B, qemu's, with or without
 * markers; footer, trailing padding. */
int vmdk_extent_stream_open(const struct vmdk_extent_open *o,
                            struct vmdk_extent **ret, struct vdk_error *err);

/* --- Streams ---------------------------------------------------------------
 */

int vmdk_stream_sink(struct vdk_file *file, const struct format_create *c,
                     struct copy_sink **ret, struct vdk_error *err);
int vmdk_stream_source(struct vdk_file *file, const uint8_t *head, size_t len,
                       const struct vdk_log *log, struct copy_source **ret,
                       struct vdk_error *err);

#endif
