/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Backup repositories (vmbk).
 *
 * A repository holds restore points of VMs. Disks are cut into chunks, each
 * stored once, so that every restore point is complete by itself and costs
 * only what is new. A restore point is there from the moment of its commit,
 * and never half. Whatever is read back is checked against its SHA-256: damage
 * is VDK_E_DAMAGED, never wrong data.
 *
 *   whole VMs        vdk_repo_*, vdk_backup, vdk_restore
 *   own programs     vdk_vmbk_writer_*: store disks that you read yourself
 *                    vdk_vmbk_reader_*: read them back, and find differences
 *   one disk         vdk_open ("vmbk:REPO#VM@POINT/DISK")
 *
 * Threads: a struct vdk_repo may be used by several threads at once, also
 * while writers and readers of it are open; what is said at writer and reader
 * holds for those. A repository may be written by several programs at a time.
 * Close what was opened on a repository before the repository.
 */
#ifndef VDKIT_VMBK_H
#define VDKIT_VMBK_H

#include <vdkit/disk.h>
#include <vdkit/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vdk_repo;

/* --- The repository ------------------------------------------------------ */

struct vdk_repo_init_options {
  size_t size;         /* of this struct; set by the _INIT */
  uint32_t chunk_size; /* bytes, a power of two, 64 KiB .. 4 MiB; 0: 256 KiB */
  int level;           /* zstd level 1..19; 0: default */
};
#define VDK_REPO_INIT_OPTIONS_INIT                                             \
  {                                                                            \
    sizeof(struct vdk_repo_init_options), 0, 0                                 \
  }

/* Makes an empty repository in the folder PATH, which is made when it is not
 * there. OPTIONS may be NULL.
 * Errors: VDK_E_EXISTS (there is one), VDK_E_INVAL (options), VDK_E_ACCESS,
 * VDK_E_NO_SPACE, VDK_E_IO. */
VDK_API int vdk_repo_init(const char *path,
                          const struct vdk_repo_init_options *options,
                          struct vdk_error *err);

struct vdk_repo_options {
  size_t size;               /* of this struct; set by the _INIT */
  const struct vdk_log *log; /* copied; may be NULL */
};
#define VDK_REPO_OPTIONS_INIT                                                  \
  {                                                                            \
    sizeof(struct vdk_repo_options), NULL                                      \
  }

/* Opens the repository PATH. OPTIONS may be NULL.
 * Errors: VDK_E_NOT_A_REPO (also when PATH is not there), VDK_E_VERSION,
 * VDK_E_DAMAGED, VDK_E_ACCESS, VDK_E_IO. */
VDK_API int vdk_repo_open(const char *path,
                          const struct vdk_repo_options *options,
                          struct vdk_repo **ret, struct vdk_error *err);
/* NULL is fine. */
VDK_API void vdk_repo_close(struct vdk_repo *repo);

struct vdk_repo_info {
  size_t size; /* of this struct; set by the _INIT */
  uint32_t chunk_size;
  const char *uuid; /* the strings live as long as the repository */
  const char *name; /* for people: its path */
};
#define VDK_REPO_INFO_INIT                                                     \
  {                                                                            \
    sizeof(struct vdk_repo_info), 0, NULL, NULL                                \
  }

/* Fills RET, which was set to VDK_REPO_INFO_INIT. */
VDK_API int vdk_repo_get_info(struct vdk_repo *repo, struct vdk_repo_info *ret,
                              struct vdk_error *err);

/* --- Restore points ------------------------------------------------------ */

/* How the changes of a disk were found. */
enum vdk_backup_method {
  VDK_METHOD_FULL = 0,    /* everything was read */
  VDK_METHOD_RANGES = 1,  /* the changed ranges were known */
  VDK_METHOD_COMPARE = 2, /* everything was read, and compared by hash */
};

/* "full", "ranges", "compare"; "unknown" for another number. */
VDK_API const char *vdk_method_name(int method);

struct vdk_point_disk {
  const char *key;         /* "scsi0:0" */
  const char *file;        /* file name at the source, for people */
  const char *type;        /* createType at the source: what a restore makes */
  uint64_t capacity;       /* bytes */
  int method;              /* enum vdk_backup_method */
  uint64_t bytes_read;     /* from the source */
  uint64_t bytes_stored;   /* new bytes in the repository, for this disk */
  uint64_t bytes_data;     /* of the whole disk, not zero */
  const char *change_id;   /* of the source's state; NULL when not known */
  const char *const *meta; /* key, value, ..., NULL: metadata */
};

struct vdk_point_file {
  const char *name; /* "vm.vmx" */
  const char *role; /* "vmx", "vmsd", "nvram", "other" */
  uint64_t bytes;
};

/* One restore point. Lists are arrays of pointers, so that the structs can
 * grow. Strings are never NULL unless it says so. */
struct vdk_point {
  const char *id; /* "20261121t223455z-1f2e3d4c" */
  const char *vm_name;
  const char *vm_uuid;
  const char *parent;      /* id of the point it was based on; "" for none */
  const char *created;     /* ISO 8601, UTC */
  const char *source;      /* where it was taken from, for people */
  const char *consistency; /* "crash", "powered-off" */
  const char *tool;        /* what made it: "vdkit 0.1.0" */
  const char *host;        /* host name of the machine that made it */
  int ranges_lost;         /* an incremental that had to read everything */
  uint64_t seconds;        /* how long it took */
  const struct vdk_point_disk *const *disks;
  size_t disk_count;
  const struct vdk_point_file *const *files;
  size_t file_count;
  const char *const *warnings; /* NULL-ended */
};

struct vdk_point_list {
  const struct vdk_point *const *points; /* oldest first */
  size_t count;
  size_t damaged; /* further ones that cannot be read; they went to the log */
};

/* All restore points. *RET is freed with vdk_point_list_free(), and all the
 * points in it. Errors: VDK_E_IO, VDK_E_ACCESS. */
VDK_API int vdk_repo_list(struct vdk_repo *repo,
                          const struct vdk_point_list **ret,
                          struct vdk_error *err);
VDK_API void vdk_point_list_free(const struct vdk_point_list *list);

/*
 * One restore point. WHICH is "latest", a VM's name or UUID (its latest),
 * "VM@ID", "VM@latest", an id, or the start of an id that is unique. *RET is
 * freed with vdk_point_free(); it may outlive REPO.
 *
 * Errors: VDK_E_NO_POINT; the text names what there is.
 */
VDK_API int vdk_repo_find(struct vdk_repo *repo, const char *which,
                          const struct vdk_point **ret, struct vdk_error *err);
/* For points from vdk_repo_find, not those of a list. NULL is fine. */
VDK_API void vdk_point_free(const struct vdk_point *point);

/* --- Verify -------------------------------------------------------------- */

enum vdk_verify_level {
  VDK_VERIFY_QUICK = 0, /* all that restore points need is there */
  VDK_VERIFY_PACKS = 1, /* and each pack's SHA-256 and structure is right */
  VDK_VERIFY_DEEP = 2,  /* and every chunk decodes to what its id says */
};

struct vdk_verify_options {
  size_t size; /* of this struct; set by the _INIT */
  int level;   /* enum vdk_verify_level */
  struct vdk_progress progress;
  /* Called for each damage, from one thread at a time: which object, and what
   * is wrong with it and which restore points it touches. */
  void (*found)(void *opaque, const char *object, const char *text);
  void *found_opaque;
};
#define VDK_VERIFY_OPTIONS_INIT                                                \
  {                                                                            \
    sizeof(struct vdk_verify_options), 0, {NULL, NULL}, NULL, NULL             \
  }

/* Filled also when damage was found. */
struct vdk_verify_stats {
  size_t size; /* of this struct; set by the _INIT */
  uint64_t points, disks, packs, chunks, bytes; /* looked at */
  uint64_t damaged;                             /* findings */
  uint64_t unreferenced_packs; /* of interrupted backups; no damage */
};
#define VDK_VERIFY_STATS_INIT                                                  \
  {                                                                            \
    sizeof(struct vdk_verify_stats), 0, 0, 0, 0, 0, 0, 0                       \
  }

/* OPTIONS and STATS may be NULL. Errors: VDK_E_DAMAGED when there was any
 * finding, VDK_E_CANCELLED, VDK_E_IO. */
VDK_API int vdk_repo_verify(struct vdk_repo *repo,
                            const struct vdk_verify_options *options,
                            struct vdk_verify_stats *stats,
                            struct vdk_error *err);

/* --- Back up and restore a VM -------------------------------------------- */

enum vdk_on_lost {
  VDK_LOST_COMPARE = 0, /* read everything, store what differs */
  VDK_LOST_FAIL = 1,    /* fail with VDK_E_LOST_RANGES */
};

struct vdk_backup_options {
  size_t size;       /* of this struct; set by the _INIT */
  int full;          /* read everything, whatever is known */
  int compare;       /* read everything, even where changed ranges are known */
  int on_lost;       /* enum vdk_on_lost: ranges should be known and are not */
  int level;         /* zstd level; 0: the repository's */
  unsigned snapshot; /* uid of the VM's snapshot to take; 0: the present */
  unsigned flags;    /* enum vdk_open_flags for the VM: the _ALLOW_* ones */
  struct vdk_progress progress;
  const struct vdk_log *log;
};
#define VDK_BACKUP_OPTIONS_INIT                                                \
  {                                                                            \
    sizeof(struct vdk_backup_options), 0, 0, 0, 0, 0, 0, {NULL, NULL}, NULL    \
  }

struct vdk_backup_disk {
  const char *key;
  int method;          /* enum vdk_backup_method */
  uint64_t capacity;   /* bytes */
  uint64_t read;       /* from the source */
  uint64_t changed;    /* found to differ from the parent point */
  uint64_t stored;     /* new in the repository */
  const char *problem; /* why the changed ranges were lost; "" if not */
};

struct vdk_backup_result {
  const struct vdk_point *point; /* the new restore point */
  const struct vdk_backup_disk *const *disks;
  size_t disk_count;
  uint64_t read, stored; /* bytes */
  double seconds;
  unsigned warnings;
  int ranges_lost; /* at least one disk was read whole for want of ranges */
};

/*
 * Backs up the VM (a path as for vdk_vm_open) into REPO: the first time in
 * full, then what changed since its latest restore point. *RET (RET may be
 * NULL) is freed with vdk_backup_result_free(), the point in it too. A backup
 * that fails or is cancelled leaves no restore point; what it stored is used
 * by the next one.
 *
 * Errors: those of vdk_vm_open, vdk_open and vdk_read_at (err->side is
 * VDK_SIDE_SOURCE), VDK_E_NO_SPACE, VDK_E_LOST_RANGES, VDK_E_CANCELLED,
 * VDK_E_DAMAGED, VDK_E_IO.
 */
VDK_API int vdk_backup(const char *vm, struct vdk_repo *repo,
                       const struct vdk_backup_options *options,
                       const struct vdk_backup_result **ret,
                       struct vdk_error *err);
VDK_API void vdk_backup_result_free(const struct vdk_backup_result *result);

struct vdk_restore_options {
  size_t size;      /* of this struct; set by the _INIT */
  const char *type; /* of the disks; NULL: as at the source */
  const char *name; /* of the new VM; NULL: as it was */
  const char *disk; /* only the disk of this key; NULL: all */
  struct vdk_progress progress;
  const struct vdk_log *log;
};
#define VDK_RESTORE_OPTIONS_INIT                                               \
  {                                                                            \
    sizeof(struct vdk_restore_options), NULL, NULL, NULL, {NULL, NULL}, NULL   \
  }

struct vdk_restore_result {
  const char *vmx; /* path of the new .vmx; NULL when one disk was asked for */
  uint64_t bytes;  /* of the disks */
  uint64_t written;
  double seconds;
  size_t disk_count;
};

/*
 * Restores the point WHICH (as for vdk_repo_find) as a new VM in the folder
 * TARGET_DIR, which must not exist or be empty. It appears complete or not at
 * all. *RET (RET may be NULL) is freed with vdk_restore_result_free(). To
 * restore one disk to a file or a pipe, vdk_convert "vmbk:..." does it.
 *
 * Errors: VDK_E_NO_POINT, VDK_E_EXISTS (TARGET_DIR is not empty),
 * VDK_E_NOT_FOUND (no disk of that key), VDK_E_UNSUPPORTED (type),
 * VDK_E_DAMAGED, VDK_E_NO_SPACE, VDK_E_CANCELLED, VDK_E_IO.
 */
VDK_API int vdk_restore(struct vdk_repo *repo, const char *which,
                        const char *target_dir,
                        const struct vdk_restore_options *options,
                        const struct vdk_restore_result **ret,
                        struct vdk_error *err);
VDK_API void vdk_restore_result_free(const struct vdk_restore_result *result);

/* --- Writer -------------------------------------------------------------- */

/*
 * A restore point in the making, by a program that reads its disks itself:
 *
 *   vdk_vmbk_writer_open (repo, &options, &w, &err);
 *   vdk_vmbk_writer_config (w, "vm.vmx", "vmx", text, len, &err);
 *   vdk_vmbk_writer_disk (w, &disk_options, &d, &err);
 *   vdk_vmbk_writer_put (d, offset, buf, len, &err);   ... as often as needed
 *   vdk_vmbk_writer_commit (w, &point, &err);
 *   vdk_vmbk_writer_close (w);
 *
 * Threads: different disks of one writer may be written by different threads;
 * one disk by one thread at a time; _config, _warning, _disk and _commit by
 * one thread at a time.
 */
struct vdk_vmbk_writer;
struct vdk_vmbk_disk;

struct vdk_vmbk_writer_options {
  size_t size;             /* of this struct; set by the _INIT */
  const char *vm_uuid;     /* required: 8-4-4-4-12 hexadecimal digits */
  const char *vm_name;     /* required */
  const char *source;      /* where the data come from, for people */
  const char *consistency; /* "crash" when NULL; "powered-off", ... */
  const char *parent;      /* a restore point to inherit from, as for
                              vdk_repo_find; NULL: none */
  int level;               /* zstd level; 0: the repository's */
  /* Stored data are made durable and findable each time this many bytes have
   * come together, so that an interrupted run is not lost. 0: 64 MiB. */
  uint64_t checkpoint;
};
#define VDK_VMBK_WRITER_OPTIONS_INIT                                           \
  {                                                                            \
    sizeof(struct vdk_vmbk_writer_options), NULL, NULL, NULL, NULL, NULL, 0, 0 \
  }

/* Errors: VDK_E_INVAL (name or UUID), VDK_E_NO_POINT, VDK_E_IO. */
VDK_API int vdk_vmbk_writer_open(struct vdk_repo *repo,
                                 const struct vdk_vmbk_writer_options *options,
                                 struct vdk_vmbk_writer **ret,
                                 struct vdk_error *err);

/* A configuration file of the VM: a plain name, at most a few MiB of bytes.
 * ROLE is "vmx", "vmsd", "nvram" or "other".
 * Errors: VDK_E_INVAL, VDK_E_EXISTS, VDK_E_TOO_BIG, VDK_E_NO_SPACE, VDK_E_IO.
 */
VDK_API int vdk_vmbk_writer_config(struct vdk_vmbk_writer *w, const char *name,
                                   const char *role, const void *data,
                                   size_t len, struct vdk_error *err);

/* A text for people that stands in the restore point. */
VDK_API int vdk_vmbk_writer_warning(struct vdk_vmbk_writer *w, const char *text,
                                    struct vdk_error *err);

struct vdk_vmbk_disk_options {
  size_t size;           /* of this struct; set by the _INIT */
  const char *key;       /* required, unique in the point: "scsi0:0" */
  uint64_t capacity;     /* bytes, a multiple of 512; required */
  const char *file;      /* file name at the source, for people */
  const char *type;      /* createType that a restore makes; NULL: default */
  const char *change_id; /* what the source calls this state; may be NULL */
  int method;            /* enum vdk_backup_method */
  /* Start from the disk of this key in the parent point: all that is not put
   * stays as it was there, growth reads as zeroes. NULL: start from zeroes. */
  const char *inherit;
  const char *const *meta; /* key, value, ..., NULL: metadata; may be NULL */
};
#define VDK_VMBK_DISK_OPTIONS_INIT                                             \
  {                                                                            \
    sizeof(struct vdk_vmbk_disk_options), NULL, 0, NULL, NULL, NULL, 0, NULL,  \
        NULL                                                                   \
  }

/* *RET belongs to the writer and is gone with it, or with the commit.
 * Errors: VDK_E_EXISTS (the key), VDK_E_INVAL, VDK_E_NOT_FOUND (no such disk
 * to inherit from), VDK_E_DAMAGED (of the parent), VDK_E_IO. */
VDK_API int vdk_vmbk_writer_disk(struct vdk_vmbk_writer *w,
                                 const struct vdk_vmbk_disk_options *options,
                                 struct vdk_vmbk_disk **ret,
                                 struct vdk_error *err);

/*
 * Any offsets and lengths in any order, all inside the disk; the later call
 * wins. put: these bytes. hole: zeroes. inherit: again as in the disk that
 * was named by "inherit" (zeroes without one). Whole chunks in ascending
 * order are the fastest.
 *
 * Errors: VDK_E_RANGE, VDK_E_NO_SPACE, VDK_E_DAMAGED, VDK_E_IO.
 */
VDK_API int vdk_vmbk_writer_put(struct vdk_vmbk_disk *d, uint64_t offset,
                                const void *buf, size_t len,
                                struct vdk_error *err);
VDK_API int vdk_vmbk_writer_hole(struct vdk_vmbk_disk *d, uint64_t offset,
                                 uint64_t length, struct vdk_error *err);
VDK_API int vdk_vmbk_writer_inherit(struct vdk_vmbk_disk *d, uint64_t offset,
                                    uint64_t length, struct vdk_error *err);

/*
 * Ends all disks and makes the restore point: when this returns 0 it is there,
 * durable. When it fails there is none, and the writer can only be closed.
 * *RET (RET may be NULL) is freed with vdk_point_free(). After it only
 * vdk_vmbk_writer_close may be called.
 *
 * Errors: VDK_E_INVAL (committed before), VDK_E_NO_SPACE, VDK_E_IO.
 */
VDK_API int vdk_vmbk_writer_commit(struct vdk_vmbk_writer *w,
                                   const struct vdk_point **ret,
                                   struct vdk_error *err);

/* Frees the writer and its disks. Without a commit there is no restore point;
 * what was stored is used by the next run. NULL is fine. */
VDK_API void vdk_vmbk_writer_close(struct vdk_vmbk_writer *w);

/* Bytes stored by this writer so far; 0 for NULL. */
VDK_API uint64_t vdk_vmbk_writer_stored(const struct vdk_vmbk_writer *w);

/* --- Reader -------------------------------------------------------------- */

/*
 * The disks and configuration of one restore point. DISK is a key ("scsi0:0")
 * or an index ("0") everywhere.
 *
 * Threads: all functions but _close may be called from several threads at
 * once, and reads run in parallel.
 */
struct vdk_vmbk_reader;

/* WHICH as for vdk_repo_find. REPO must stay open as long as the reader.
 * Errors: VDK_E_NO_POINT, VDK_E_IO. */
VDK_API int vdk_vmbk_reader_open(struct vdk_repo *repo, const char *which,
                                 struct vdk_vmbk_reader **ret,
                                 struct vdk_error *err);
/* NULL is fine. */
VDK_API void vdk_vmbk_reader_close(struct vdk_vmbk_reader *r);

/* The point that R reads; it lives as long as R. NULL for NULL. */
VDK_API const struct vdk_point *
vdk_vmbk_reader_point(const struct vdk_vmbk_reader *r);

/* *RET_SIZE: bytes. Errors: VDK_E_NOT_FOUND (no such disk). */
VDK_API int vdk_vmbk_reader_disk_size(struct vdk_vmbk_reader *r,
                                      const char *disk, uint64_t *ret_size,
                                      struct vdk_error *err);

/* As vdk_read_at: *RET_DONE (may be NULL) is LEN, or less only because the
 * disk ends. Errors: VDK_E_NOT_FOUND (no such disk), VDK_E_DAMAGED, VDK_E_IO.
 */
VDK_API int vdk_vmbk_reader_pread(struct vdk_vmbk_reader *r, const char *disk,
                                  uint64_t offset, void *buf, size_t len,
                                  size_t *ret_done, struct vdk_error *err);

/* As vdk_extents: DATA and ZERO, without reading data. */
VDK_API int vdk_vmbk_reader_extents(struct vdk_vmbk_reader *r, const char *disk,
                                    uint64_t offset, uint64_t length,
                                    int (*fn)(void *opaque,
                                              const struct vdk_extent *e),
                                    void *opaque, struct vdk_error *err);

/*
 * Calls FN for each range, ascending, in which DISK may differ between the
 * points OLDER and NEWER of one repository: whole chunks, found by comparing
 * their ids, without reading data. The state of an extent is what NEWER has
 * there, DATA or ZERO. With OLDER NULL the other side is an empty disk. Where
 * one disk is longer, what is beyond the shorter differs; beyond the end of
 * NEWER nothing is told. A result of FN other than 0 ends the walk and is
 * returned; ERR is then untouched.
 *
 * Errors: VDK_E_NOT_FOUND (no such disk in one of them), VDK_E_INVAL (two
 * repositories), VDK_E_DAMAGED, VDK_E_IO.
 */
VDK_API int
vdk_vmbk_reader_diff(struct vdk_vmbk_reader *older,
                     struct vdk_vmbk_reader *newer, const char *disk,
                     int (*fn)(void *opaque, const struct vdk_extent *e),
                     void *opaque, struct vdk_error *err);

/* A configuration file, whole and checked. *RET is NUL-terminated (not
 * counted in *RET_LEN, which may be NULL) and freed with vdk_free().
 * Errors: VDK_E_NOT_FOUND, VDK_E_DAMAGED, VDK_E_IO. */
VDK_API int vdk_vmbk_reader_config(struct vdk_vmbk_reader *r, const char *name,
                                   char **ret, size_t *ret_len,
                                   struct vdk_error *err);

#ifdef __cplusplus
}
#endif
#endif
