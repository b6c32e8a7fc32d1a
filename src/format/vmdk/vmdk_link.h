/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The VMDK link, inside.
 *
 *   vmdk.c        the driver table: requests over a row of extents
 *   vmdk_open.c   from a file's name to a link
 *   vmdk_text.c   changes of the stored descriptor: identity, metadata
 *   children.c    locks of other programs, children in the directory
 *   types.c       the createTypes
 */
#ifndef FORMAT_VMDK_VMDK_LINK_H
#define FORMAT_VMDK_VMDK_LINK_H

#include <pthread.h>

#include "disk/link.h"
#include "format/vmdk/vmdk.h"

enum vmdk_layout {
  LAYOUT_UNSUPPORTED, /* known by name only */
  LAYOUT_SPARSE,
  LAYOUT_SPLIT_SPARSE,
  LAYOUT_FLAT,
  LAYOUT_SPLIT_FLAT,
  LAYOUT_VMFS,
  LAYOUT_STREAM,
};

struct vmdk_type {
  const char *name;    /* as info and messages say it */
  const char *alias;   /* another spelling, or NULL */
  const char *written; /* in new descriptors */
  enum vmdk_layout layout;
  bool preallocate; /* storage is reserved at creation */
};

/* NULL for a name that no VMDK has. */
const struct vmdk_type *vmdk_type_find(const char *name);

struct vmdk_link {
  struct vdk_link link;
  struct vdk_dir *dir;
  char *name; /* in DIR */
  unsigned flags;
  const struct vdk_log *log;

  const struct vmdk_type *type;
  struct vdk_file *file; /* the descriptor's own; NULL when embedded */
  bool embedded;         /* in the first extent's file */
  uint64_t area_offset, area_size;

  struct vmdk_extent **extents;
  enum vmdk_access *access;
  size_t extent_count;
  uint64_t size;
  uint32_t granularity;
  char *parent_hint; /* NULL: no parent */
  uint32_t parent_cid;

  pthread_mutex_t mutex; /* guards what follows */
  struct vmdk_descriptor *descriptor;
  char *text; /* the descriptor as stored */
  size_t text_len;
  uint32_t cid;
  bool has_cid;
  bool began; /* atomic: the identity was changed, writes may go on */
};

/* The descriptor's file: its own or the first extent's. */
static inline struct vdk_file *
vmdk_text_file(const struct vmdk_link *v)
{
  return v->embedded ? v->extents[0]->file : v->file;
}

int vmdk_open(const struct format_open *o, struct vdk_link **ret,
              struct vdk_error *err);
extern const struct link_ops vmdk_link_ops;
void vmdk_link_free(struct vmdk_link *v);

/* Before the first write: a new content id, no change tracking. */
int vmdk_begin(struct vmdk_link *v, struct vdk_error *err);
int vmdk_text_get(struct vmdk_link *v, const char *key, char **ret,
                  struct vdk_error *err);
int vmdk_text_set(struct vmdk_link *v, const char *key, const char *value,
                  struct vdk_error *err);
int vmdk_text_list(struct vmdk_link *v,
                   int (*fn)(void *opaque, const char *key, const char *value),
                   void *opaque, struct vdk_error *err);
/* A content id as written: hex, of any length. */
bool vmdk_cid_parse(const char *text, uint32_t *ret);

/* VDK_E_LOCKED when a VMware product holds NAME ("NAME.lck/M*.lck"). */
int vmdk_check_lck(struct vdk_dir *dir, const char *name,
                   struct vdk_error *err);
/* VDK_E_HAS_CHILDREN when a disk beside NAME names it as its parent. */
int vmdk_check_children(struct vdk_dir *dir, const char *name,
                        const struct vdk_log *log, struct vdk_error *err);

int vmdk_create(struct vdk_dir *dir, const char *name,
                const struct format_create *c, struct vdk_error *err);

#endif
