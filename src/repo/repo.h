/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vmbk: a repository of VM backups. Format: docs/formats/vmbk.md.
 *
 * Disks are cut into fixed chunks, each stored once under the SHA-256 of its
 * bytes, compressed, in packs. A disk at a point in time is a tree of chunk
 * ids (map nodes, themselves chunks) whose root stands in the restore point's
 * manifest; the manifest's creation is the commit. Every restore point is
 * complete by itself. Nothing is ever rewritten.
 *
 * Threads: one struct repo may be used by several threads, also while a
 * writer is open. repo_disk_* of one disk may be called from several threads.
 */
#ifndef REPO_REPO_H
#define REPO_REPO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdkit/types.h>

#include "base/cleanup.h"
#include "disk/link.h"
#include "store/store.h"

#define REPO_ID_SIZE            32u /* SHA-256 */
#define REPO_CHUNK_SIZE_DEFAULT (256u * 1024)
#define REPO_CHUNK_SIZE_MIN     (64u * 1024)
#define REPO_CHUNK_SIZE_MAX     (4u * 1024 * 1024)
#define REPO_POINT_ID_MAX       64

struct repo_id {
  uint8_t bytes[REPO_ID_SIZE];
};

struct repo;
struct repo_writer;
struct repo_disk;

struct repo_create {
  uint32_t chunk_size; /* power of two in the range above; 0: default */
  int level;           /* zstd level; 0: default (1) */
};

/* Makes an empty repository; VDK_E_EXISTS when there is one. */
int repo_create(struct vdk_store *store, const struct repo_create *options,
                struct vdk_error *err);
/* STORE is taken over, also on failure. VDK_E_NOT_A_REPO, VDK_E_VERSION. */
int repo_open(struct vdk_store *store, const struct vdk_log *log,
              struct repo **ret, struct vdk_error *err);
void repo_close(struct repo *r); /* NULL is fine */
DEFINE_CLEANUP(struct repo, repo_close);
#define _cleanup_repo_ _cleanup_(repo_closep)

const char *repo_uuid(const struct repo *r);
uint32_t repo_chunk_size(const struct repo *r);
const char *repo_name(const struct repo *r); /* for messages */

/* --- Restore points ------------------------------------------------------ */

/* How the ranges of a disk's backup were found. */
enum repo_method {
  REPO_FULL,    /* everything was read */
  REPO_RANGES,  /* the host knew the changed ranges */
  REPO_COMPARE, /* everything was read and compared by hash */
};

struct repo_point_disk {
  char *key;           /* "scsi0:0": unique within the VM */
  char *file;          /* the disk's file name at the source, for people */
  uint64_t size;       /* bytes */
  char *format;        /* createType at the source: what a restore makes */
  struct repo_id root; /* map root; all zero: the disk is empty */
  char *change_id; /* what the host needs to tell changes since; may be NULL */
  int method;      /* enum repo_method */
  uint64_t bytes_read;   /* from the source */
  uint64_t bytes_stored; /* new bytes in packs, for this disk */
  uint64_t bytes_data;   /* not zero, of the whole disk */
  char **meta;           /* key, value, ..., NULL: metadata to restore */
};

struct repo_point_file {
  char *name; /* "vm.vmx" */
  char *role; /* "vmx", "vmsd", "nvram", "other" */
  uint64_t size;
  struct repo_id *chunks; /* of file chunks of repo_chunk_size each */
  size_t chunk_count;
  struct repo_id sha256; /* of the whole file */
};

struct repo_point {
  char id[REPO_POINT_ID_MAX]; /* "20261121t223455z-1f2e3d4c" */
  char vm_uuid[40];           /* 8-4-4-4-12, lower case */
  char *vm_name;
  char parent[REPO_POINT_ID_MAX]; /* "" for a first one */
  char created[32];               /* ISO 8601, UTC */
  char *source;                   /* where it was taken from, for people */
  char *consistency;              /* "crash", "powered-off" */
  char *tool;                     /* "vdkit 0.1.0" */
  char *host;                     /* host name of the machine that took it */
  bool ranges_lost;               /* an incremental that had to read all */
  uint64_t seconds;               /* duration */
  struct repo_point_disk *disks;
  size_t disk_count;
  struct repo_point_file *files;
  size_t file_count;
  char **warnings; /* NULL-ended */
};

void repo_point_free(struct repo_point *p); /* NULL is fine */
DEFINE_CLEANUP(struct repo_point, repo_point_free);
#define _cleanup_point_ _cleanup_(repo_point_freep)

/* All restore points, oldest first. A manifest that cannot be read is passed
 * to the log and counted in *RET_DAMAGED (may be NULL), not an error. */
int repo_list(struct repo *r, struct repo_point ***ret, size_t *ret_count,
              size_t *ret_damaged, struct vdk_error *err);
void repo_list_free(struct repo_point **points, size_t count);
/* WHICH: "latest", a VM's name or UUID (its latest), "NAME@ID" or an id, or a
 * prefix of an id that is unique. VDK_E_NO_POINT names what there is. */
int repo_find(struct repo *r, const char *which, struct repo_point **ret,
              struct vdk_error *err);
const struct repo_point_disk *repo_point_find_disk(const struct repo_point *p,
                                                   const char *key);

/* --- Reading ------------------------------------------------------------- */

/* One disk of a point as a link: read it through disk_from_link. The repo
 * must outlive it. Chunks are checked against their ids: damage is
 * VDK_E_DAMAGED, never wrong data. */
int repo_disk_open(struct repo *r, const struct repo_point *p,
                   const struct repo_point_disk *disk, struct vdk_link **ret,
                   struct vdk_error *err);
/* A configuration file, whole; checked against its SHA-256. */
int repo_file_read(struct repo *r, const struct repo_point_file *f, char **ret,
                   size_t *ret_len, struct vdk_error *err);
/* The ranges in which two maps differ, ascending, in whole chunks, without
 * reading data. Disks of unequal size: what is beyond the shorter differs. */
int repo_diff(struct repo *r, const struct repo_point_disk *a,
              const struct repo_point_disk *b, struct vdk_extent **ret,
              size_t *ret_count, struct vdk_error *err);

/* --- Writing ------------------------------------------------------------- */

struct repo_writer_options {
  const char *vm_uuid;             /* required */
  const char *vm_name;             /* required */
  const char *source;              /* may be NULL */
  const char *consistency;         /* may be NULL: "crash" */
  const struct repo_point *parent; /* for inherit; may be NULL; copied */
  int level;                       /* zstd level; 0: the repository's */
  /* Packs are published, with an index of them, each time this many bytes
   * were stored, so that an interrupted run is resumed. 0: 64 MiB. */
  uint64_t checkpoint;
};

int repo_writer_open(struct repo *r, const struct repo_writer_options *o,
                     struct repo_writer **ret, struct vdk_error *err);
/* Frees; without a commit what was stored stays unreferenced, and is used by
 * the next run. */
void repo_writer_close(struct repo_writer *w); /* NULL is fine */

struct repo_disk_options {
  const char *key;                       /* required, unique */
  const char *file, *format, *change_id; /* may be NULL */
  uint64_t size;                         /* bytes */
  int method;                            /* enum repo_method */
  /* Start from this disk of the parent point: all that is not put stays as it
   * was there. NULL: start from zeroes. Growth reads as zeroes. */
  const struct repo_point_disk *inherit;
  const char *const *meta; /* key, value, ..., NULL; may be NULL */
  /* The changed ranges should have been known and were not: noted in the
   * restore point. */
  bool ranges_lost;
};

int repo_disk_begin(struct repo_writer *w, const struct repo_disk_options *o,
                    struct repo_disk **ret, struct vdk_error *err);
/* Bytes at any offset, any length; what a put covers of a chunk replaces what
 * was there, the rest stays (read back where needed). */
int repo_disk_put(struct repo_disk *d, uint64_t offset, const void *buf,
                  size_t len, struct vdk_error *err);
int repo_disk_hole(struct repo_disk *d, uint64_t offset, uint64_t len,
                   struct vdk_error *err);
/* The range becomes what it is in INHERIT again. */
int repo_disk_inherit(struct repo_disk *d, uint64_t offset, uint64_t len,
                      struct vdk_error *err);
/* The map is complete. The disk object is freed with the writer. */
int repo_disk_end(struct repo_disk *d, struct vdk_error *err);
/* After repo_disk_end: bytes in chunks that are not as in INHERIT (without
 * one: that are not zero). */
uint64_t repo_disk_changed(const struct repo_disk *d);

/* The pipeline's way in: whole aligned chunks; prepare() hashes, looks up and
 * compresses on the pipeline's workers. */
struct copy_sink;
int repo_disk_sink(struct repo_disk *d, struct copy_sink **ret,
                   struct vdk_error *err);

int repo_writer_file(struct repo_writer *w, const char *name, const char *role,
                     const void *data, size_t len, struct vdk_error *err);
int repo_writer_warning(struct repo_writer *w, const char *text,
                        struct vdk_error *err);

/* Packs, index, sync, manifest: in that order. After it the point exists,
 * whatever happens; before it, it does not. RET_POINT may be NULL. */
int repo_writer_commit(struct repo_writer *w, struct repo_point **ret_point,
                       struct vdk_error *err);
/* Bytes in packs so far. */
uint64_t repo_writer_stored(const struct repo_writer *w);

/* --- Verify -------------------------------------------------------------- */

enum repo_verify_level {
  REPO_VERIFY_QUICK, /* manifests, maps, packs there and of their size */
  REPO_VERIFY_PACKS, /* and each pack's SHA-256, contents and index */
  REPO_VERIFY_DEEP,  /* and every chunk decoded and compared with its id */
};

struct repo_verify_stats {
  uint64_t points, disks, packs, chunks, bytes; /* looked at */
  uint64_t damaged;                             /* findings */
  uint64_t unreferenced_packs;
};

/* FOUND is called for each damage: which object, what is wrong, which restore
 * points it touches. Returns VDK_E_DAMAGED when there was any. */
int repo_verify(struct repo *r, enum repo_verify_level level,
                const struct vdk_progress *progress,
                void (*found)(void *opaque, const char *object,
                              const char *text),
                void *opaque, struct repo_verify_stats *stats,
                struct vdk_error *err);

#endif
