/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the native library share.
 *
 * The library is a thin translation: it checks what the caller gives (NULL,
 * sizes of structs, ranges), resolves names, and calls the layers below. The
 * structs that it hands out are "boxes": the public struct in front, what it
 * points into behind it, so that one free takes both.
 *
 *   handle.c    an open disk: open, close, information
 *   io.c        read, write, seek, zero, flush
 *   extents.c   extents and metadata
 *   async.c     requests and their callbacks
 *   name.c      "vmbk:..." names, points, disks by key or index
 *   options.c   structs that grow
 *   types.c     the types of disks, the version
 *   create.c    a new disk or child
 *   convert.c   source to target, with target.c: appear complete or not
 *   compare.c   two disks
 *   vm.c        VMs in folders
 *   repo.c      repositories: init, open, list, find, verify
 *   point.c     restore points as public structs
 *   backup.c    back up and restore VMs
 *   writer.c, reader.c   vmbk for programs that move data themselves
 */
#ifndef SURFACE_VDKIT_SURFACE_H
#define SURFACE_VDKIT_SURFACE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdkit/vdkit.h>

#include "base/cleanup.h"
#include "disk/disk.h"
#include "repo/repo.h"

/* --- options.c: structs that grow ----------------------------------------- */

/* Lays the caller's struct SRC over the defaults in DST. SRC may be NULL, be
 * older (shorter, but not than FIRST_SIZE) or newer (then what is beyond ours
 * must be zero). WHAT names the struct in messages. */
int options_load(void *dst, size_t dst_size, size_t first_size, const void *src,
                 const char *what, struct vdk_error *err);

/* Gives the caller as much of FULL as its struct RET holds; RET->size stays. */
int options_store(void *ret, size_t first_size, const void *full,
                  size_t full_size, const char *what, struct vdk_error *err);

/* LAST is the last field of the struct's first version: it never changes. */
#define OPTIONS_FIRST(p, last)                                                 \
  (offsetof(__typeof__(*(p)), last) + sizeof((p)->last))
#define OPTIONS_LOAD(dst, src, last, what, err)                                \
  options_load((dst), sizeof *(dst), OPTIONS_FIRST(dst, last), (src), (what),  \
               (err))
#define OPTIONS_STORE(ret, full, last, what, err)                              \
  options_store((ret), OPTIONS_FIRST(full, last), (full), sizeof *(full),      \
                (what), (err))

/* "WHAT is NULL" as VDK_E_INVAL. */
int options_null(const char *what, struct vdk_error *err);

/* disk_open_flags and dir_flags of enum vdk_open_flags. */
unsigned options_disk_flags(unsigned open_flags);
unsigned options_dir_flags(unsigned open_flags);
/* Refuses bits outside ALLOWED, naming the FUNCTION's way to say it. */
int options_check_flags(unsigned flags, unsigned allowed, const char *what,
                        struct vdk_error *err);
#define OPTIONS_ALLOW_FLAGS (VDK_OPEN_ALLOW_OUTSIDE | VDK_OPEN_ALLOW_DEVICES)
/* What makes sense for a disk that is only read. */
#define OPTIONS_READ_FLAGS                                                     \
  (OPTIONS_ALLOW_FLAGS | VDK_OPEN_SINGLE_LINK | VDK_OPEN_UNBUFFERED |          \
   VDK_OPEN_SALVAGE | VDK_OPEN_NO_LOCK)

/* --- handle.c ------------------------------------------------------------- */

struct vdk_handle {
  struct vdk_disk *disk;
  uint64_t size; /* bytes */
  bool writable;
  char *adapter;       /* never NULL */
  struct vdk_log *log; /* the disk points to it; may be NULL */

  /* Disks in a repository keep it, and the point, alive. */
  struct vdk_repo *repo;
  struct repo_point *point;

  pthread_mutex_t position_lock; /* held during vdk_read and vdk_write */
  uint64_t position;

  pthread_mutex_t async_lock; /* of under_way */
  pthread_cond_t async_idle;
  uint64_t under_way; /* requests accepted whose callback has not returned */
};

/* A handle around DISK, which is taken over on success, as is LOG. */
int handle_new(struct vdk_disk *disk, struct vdk_log *log, bool writable,
               struct vdk_handle **ret, struct vdk_error *err);
/* A copy that lives as long as its handle; NULL stays NULL. */
int handle_copy_log(const struct vdk_log *log, struct vdk_log **ret,
                    struct vdk_error *err);
static inline void
handle_closep(struct vdk_handle **h)
{
  vdk_close(*h, NULL);
}
#define _cleanup_handle_ _cleanup_(handle_closep)

/* Adds CODE-dependent context: which end of a copy ERR is of. Returns RC. */
int handle_side(int rc, enum vdk_error_side side, struct vdk_error *err);

/* --- io.c ----------------------------------------------------------------- */

/* Checks of a write or zero: handle, writable, range, buffer. */
int io_check_write(struct vdk_handle *h, uint64_t offset, uint64_t len,
                   const void *buf, struct vdk_error *err);
/* Checks of a read; *RET_LEN is LEN cut at the end of the disk. */
int io_check_read(struct vdk_handle *h, uint64_t offset, const void *buf,
                  size_t len, size_t *ret_len, struct vdk_error *err);

/* --- extents.c ------------------------------------------------------------ */

/* Cuts LENGTH (or VDK_TO_END) at the end of the disk; VDK_E_RANGE. */
int extents_clip(struct vdk_disk *disk, uint64_t offset, uint64_t *length,
                 struct vdk_error *err);
/* The walk of vdk_extents over any disk; the range lies inside it. */
int extents_walk(struct vdk_disk *disk, uint64_t offset, uint64_t length,
                 unsigned flags,
                 int (*fn)(void *opaque, const struct vdk_extent *e),
                 void *opaque, struct vdk_error *err);

/* --- name.c --------------------------------------------------------------- */

#define NAME_VMBK_PREFIX "vmbk:"

/* The parts of "vmbk:REPO#VM@POINT/DISK", decoded. */
struct vmbk_name {
  char *repo;
  char *vm;    /* or an id, or "latest" */
  char *point; /* NULL when there is no '@' */
  char *disk;
};
bool name_is_vmbk(const char *name);
int name_parse_vmbk(const char *name, struct vmbk_name *ret,
                    struct vdk_error *err);
void name_free(struct vmbk_name *n);

/* What repo_find makes of "VM@POINT", or of VM alone when POINT is NULL. */
int name_find_point(struct repo *repo, const char *vm, const char *point,
                    struct repo_point **ret, struct vdk_error *err);
/* A disk of POINT by key or index. */
int name_find_disk(const struct repo_point *point, const char *disk,
                   const struct repo_point_disk **ret, struct vdk_error *err);
/* True when TEXT is a decimal index. */
bool name_is_index(const char *text, size_t *ret);

/* --- point.c -------------------------------------------------------------- */

/* POINT as a public struct; taken over, also on failure. */
int point_box(struct repo_point *point, const struct vdk_point **ret,
              struct vdk_error *err);

/* What a public point was made of. */
const struct repo_point *point_inner(const struct vdk_point *point);

/* TEXT, or "" for NULL. */
static inline const char *
text_or_empty(const char *text)
{
  return text ? text : "";
}

/* --- vm.c ----------------------------------------------------------------- */

struct vdk_host;
struct host_vm;

/* The host for PATH, and the one VM there. */
int vm_find(const char *path, unsigned flags, const struct vdk_log *log,
            struct vdk_host **ret_host, struct host_vm **ret_vm,
            struct vdk_error *err);

/* --- repo.c --------------------------------------------------------------- */

struct vdk_repo {
  struct repo *repo;
  struct vdk_log log;
};

/* --- target.c ------------------------------------------------------------- */

/*
 * A new disk that appears under its name complete or not at all. It is made
 * in a folder of its own beside its place, since a disk can be several files
 * that name each other, and moved when it is done, the descriptor last.
 */
struct target {
  struct vdk_dir *dir;   /* where it will be */
  struct vdk_dir *stage; /* where it is made, under the same name */
  char *name;            /* in both */
  char *part;            /* the stage's name in DIR */
  char *folder;          /* its path; NULL: not made yet */
  DIR *entries;          /* of the stage, for cleaning up */
  bool overwrite;
};
int target_begin(const char *path, bool overwrite, struct target *ret,
                 struct vdk_error *err);
/* Moves all files into place and makes that durable. */
int target_commit(struct target *t, struct vdk_error *err);
/* Removes what was not committed, and frees what T holds. */
void target_end(struct target *t);
#define _cleanup_target_ _cleanup_(target_end)

/* True when both paths lead to the same file. */
bool target_is_same_file(const char *a, const char *b);

#endif
