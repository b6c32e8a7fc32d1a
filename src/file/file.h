/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * struct vdk_file: a file of bytes. struct vdk_dir: the names around it.
 *
 * Everything that vdkit stores goes through these two: a disk is a few files
 * in a directory (descriptor, extents, parents), a repository is a tree of
 * them. Drivers: local (POSIX), memory (tests, and small things), fault (wraps
 * any: errors, full disk, recorded writes). Later: https (read only).
 *
 * Names. A vdk_dir hands out files by a name relative to it, with '/' between
 * parts. Names come out of descriptors that strangers wrote, so that a
 * directory refuses (VDK_E_UNSAFE_PATH), before it touches anything, absolute
 * names, "..", and anything that a symbolic link leads out of it, unless it
 * was opened with DIR_ALLOW_OUTSIDE; and whatever is not a regular file unless
 * opened with DIR_ALLOW_DEVICES.
 *
 * Threads: read, write, zero, extents and flush of one file may be called by
 * several threads at once. Overlapping writes have no defined order here; the
 * disk layer orders requests. Everything else: one thread at a time.
 *
 * Durability: what was written, truncated or zeroed before a file_flush() is
 * on stable storage when that returns 0. A name (created, renamed, removed)
 * is durable after dir_sync() of its directory.
 */
#ifndef FILE_FILE_H
#define FILE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdkit/types.h>

#include "base/cleanup.h"

struct vdk_file;
struct vdk_dir;

enum file_flags {
  FILE_READ = 0,
  FILE_WRITE = 1 << 0,   /* and read */
  FILE_CREATE = 1 << 1,  /* make it; implies FILE_WRITE; fails with EXISTS when
                            there is one, whatever it is */
  FILE_REPLACE = 1 << 2, /* with CREATE: empty what is there instead */
  FILE_DIRECT = 1 << 3,  /* around the page cache, where that can be had */
  FILE_SEQUENTIAL = 1 << 4, /* hint: will be read or written once, in order */
};

enum file_lock_mode {
  FILE_UNLOCK,
  FILE_LOCK_SHARED,    /* others may read, nobody may write */
  FILE_LOCK_EXCLUSIVE, /* nobody else may read or write */
};

struct file_ops {
  const char *name;

  /* Size in bytes now. A pipe has none: VDK_E_UNSUPPORTED. */
  int (*size)(struct vdk_file *f, uint64_t *ret, struct vdk_error *err);

  /* Reads up to LEN bytes; *RET < LEN only at the end of the file. */
  int (*read)(struct vdk_file *f, uint64_t offset, void *buf, size_t len,
              size_t *ret, struct vdk_error *err);

  /* Writes all of BUF, growing the file where needed. */
  int (*write)(struct vdk_file *f, uint64_t offset, const void *buf, size_t len,
               struct vdk_error *err);

  /* Makes the range read as zeroes, giving its space back where that can be.
   * Does not change the size: what lies beyond the end is ignored.
   * Default: writes zeroes. */
  int (*zero)(struct vdk_file *f, uint64_t offset, uint64_t len,
              struct vdk_error *err);

  /* State (DATA or ZERO) at OFFSET and how far it reaches, at most LEN bytes,
   * clipped to the size. Default: all DATA. */
  int (*extent)(struct vdk_file *f, uint64_t offset, uint64_t len,
                uint64_t *ret_len, int *ret_state, struct vdk_error *err);

  int (*truncate)(struct vdk_file *f, uint64_t size, struct vdk_error *err);

  /* Reserves space for [offset, offset + len) so that later writes cannot
   * fail for lack of it; grows the file; contents zero. Default: nothing. */
  int (*allocate)(struct vdk_file *f, uint64_t offset, uint64_t len,
                  struct vdk_error *err);

  int (*flush)(struct vdk_file *f, struct vdk_error *err);

  /* Never waits: VDK_E_LOCKED when another program holds the file. A second
   * call replaces the mode. Gone with the close. Default: always granted. */
  int (*lock)(struct vdk_file *f, enum file_lock_mode mode,
              struct vdk_error *err);

  /* A descriptor for the kernel's copying calls, or -1. Default: -1. */
  int (*fd)(struct vdk_file *f);

  /* Frees F. Data not flushed may be lost by a power cut, not by this. */
  void (*close)(struct vdk_file *f);
};

/* The head of every driver's own struct. */
struct vdk_file {
  const struct file_ops *ops;
  char *name; /* for messages: the whole path; owned, freed by driver */
  bool writable;
  bool is_pipe; /* no size, no seeking: offsets must follow one another */
};

enum dir_flags {
  DIR_ALLOW_OUTSIDE = 1 << 0, /* absolute names, "..", symbolic links out */
  DIR_ALLOW_DEVICES = 1 << 1, /* block devices as files */
};

struct dir_entry {
  const char *name; /* without the directory */
  bool is_dir;
  uint64_t size; /* of a regular file */
};

struct dir_ops {
  const char *name;
  int (*open)(struct vdk_dir *d, const char *name, unsigned file_flags,
              struct vdk_file **ret, struct vdk_error *err);
  /* FROM becomes TO in one step. With REPLACE what was there is gone, else
   * the call fails with VDK_E_EXISTS and nothing has changed. */
  int (*rename)(struct vdk_dir *d, const char *from, const char *to,
                bool replace, struct vdk_error *err);
  int (*remove)(struct vdk_dir *d, const char *name, struct vdk_error *err);
  /* Makes NAME and the directories above it; no error when it is there. */
  int (*make)(struct vdk_dir *d, const char *name, struct vdk_error *err);
  /* Calls FN for each entry of directory NAME ("." is D itself), in no
   * order; a result other than 0 of FN ends the walk and is returned. */
  int (*list)(struct vdk_dir *d, const char *name,
              int (*fn)(void *opaque, const struct dir_entry *entry),
              void *opaque, struct vdk_error *err);
  /* Names made, renamed and removed in directory NAME become durable. */
  int (*sync)(struct vdk_dir *d, const char *name, struct vdk_error *err);
  void (*free)(struct vdk_dir *d);
};

struct vdk_dir {
  const struct dir_ops *ops;
  char *path;     /* for messages; owned, freed by driver */
  unsigned flags; /* enum dir_flags */
  unsigned refs;  /* atomic */
};

/* --- What the layers above call: checks, defaults, exact transfers. ------- */

int file_size(struct vdk_file *f, uint64_t *ret, struct vdk_error *err);

/* All LEN bytes, or VDK_E_TRUNCATED that names file and offset. */
int file_read(struct vdk_file *f, uint64_t offset, void *buf, size_t len,
              struct vdk_error *err);
/* Up to LEN bytes: *RET < LEN only at the end of the file. */
int file_read_upto(struct vdk_file *f, uint64_t offset, void *buf, size_t len,
                   size_t *ret, struct vdk_error *err);
int file_write(struct vdk_file *f, uint64_t offset, const void *buf, size_t len,
               struct vdk_error *err);
int file_zero(struct vdk_file *f, uint64_t offset, uint64_t len,
              struct vdk_error *err);
int file_extent(struct vdk_file *f, uint64_t offset, uint64_t len,
                uint64_t *ret_len, int *ret_state, struct vdk_error *err);
int file_truncate(struct vdk_file *f, uint64_t size, struct vdk_error *err);
int file_allocate(struct vdk_file *f, uint64_t offset, uint64_t len,
                  struct vdk_error *err);
int file_flush(struct vdk_file *f, struct vdk_error *err);
int file_lock(struct vdk_file *f, enum file_lock_mode mode,
              struct vdk_error *err);
int file_fd(struct vdk_file *f);
void file_close(struct vdk_file *f); /* NULL is fine */
DEFINE_CLEANUP(struct vdk_file, file_close);
#define _cleanup_file_ _cleanup_(file_closep)

/* The whole file, NUL-terminated (the NUL is not counted), refused with
 * VDK_E_TOO_BIG above MAX bytes. */
int file_read_all(struct vdk_file *f, size_t max, char **ret, size_t *ret_len,
                  struct vdk_error *err);

int dir_open_file(struct vdk_dir *d, const char *name, unsigned file_flags,
                  struct vdk_file **ret, struct vdk_error *err);
int dir_rename(struct vdk_dir *d, const char *from, const char *to,
               bool replace, struct vdk_error *err);
int dir_remove(struct vdk_dir *d, const char *name, struct vdk_error *err);
int dir_make(struct vdk_dir *d, const char *name, struct vdk_error *err);
int dir_list(struct vdk_dir *d, const char *name,
             int (*fn)(void *opaque, const struct dir_entry *entry),
             void *opaque, struct vdk_error *err);
int dir_sync(struct vdk_dir *d, const char *name, struct vdk_error *err);
struct vdk_dir *dir_ref(struct vdk_dir *d);
void dir_unref(struct vdk_dir *d); /* NULL is fine */
DEFINE_CLEANUP(struct vdk_dir, dir_unref);
#define _cleanup_dir_ _cleanup_(dir_unrefp)

/* NAME becomes DATA in one step and durably: temporary file, flush, rename,
 * sync. With REPLACE false, an existing NAME is VDK_E_EXISTS. */
int dir_put(struct vdk_dir *d, const char *name, const void *data, size_t len,
            bool replace, struct vdk_error *err);
/* The bytes of NAME as file_read_all gives them. */
int dir_get(struct vdk_dir *d, const char *name, size_t max, char **ret,
            size_t *ret_len, struct vdk_error *err);

/* True for a name that stays below a directory by its text alone: relative,
 * not empty, no "..", no NUL, at most 1,024 bytes. */
bool dir_name_is_safe(const char *name);

/* --- Drivers ------------------------------------------------------------- */

/* The local directory PATH. */
int dir_local_open(const char *path, unsigned dir_flags, struct vdk_dir **ret,
                   struct vdk_error *err);
/* The file PATH itself, trusted because the user named it (outside any
 * vdk_dir rule; block devices allowed). */
int file_local_open(const char *path, unsigned file_flags,
                    struct vdk_file **ret, struct vdk_error *err);
/* An open descriptor, e.g. 0 or 1. NAME is for messages. A pipe or socket
 * gives is_pipe. The descriptor is not closed. */
int file_fd_open(int fd, const char *name, bool writable, struct vdk_file **ret,
                 struct vdk_error *err);

/* A directory in memory, empty. */
int dir_memory_new(const char *path, struct vdk_dir **ret,
                   struct vdk_error *err);
/* The folder FOLDER of INNER (a reference is taken), which need not exist yet,
 * as a directory of its own. */
int dir_below_new(struct vdk_dir *inner, const char *folder,
                  struct vdk_dir **ret, struct vdk_error *err);
/* A file in memory holding a copy of DATA (may be NULL). Sparse: a huge
 * truncate costs nothing. */
int file_memory_new(const char *name, const void *data, size_t len,
                    struct vdk_file **ret, struct vdk_error *err);

#endif
