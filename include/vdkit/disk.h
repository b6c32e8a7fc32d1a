/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An open disk with a position.
 *
 *   struct vdk_handle *h;
 *   struct vdk_error err = VDK_ERROR_INIT;
 *   if (vdk_open ("vm/disk.vmdk", NULL, &h, &err) < 0)
 *     fprintf (stderr, "%s\n", vdk_error_message (&err));
 *
 * The disk is what the guest sees: its snapshot chain is opened and put
 * together, whatever the formats of the links.
 *
 * Names. A disk is named the same way everywhere in vdkit:
 *   PATH                       a disk on this machine; a name that starts
 *                              with "vmbk:" is written "./vmbk:..."
 *   vmbk:REPO#VM@POINT/DISK    a disk in a backup repository, read-only
 * REPO is the repository's path and ends at the first '#'. DISK is what
 * follows the last '/' after that: a key ("scsi0:0") or an index ("0" is the
 * first disk of the point). VM@POINT between them says which restore point:
 * the VM's name or UUID and the point's id or "latest", divided at the last
 * '@'; "VM" alone is its latest point, an id alone (or its unique start) that
 * point, "latest" the newest of all. A '#' in REPO is written %23, a '/' in
 * VM %2F, an '@' in VM that is not followed by a POINT %40, and a '%'
 * anywhere %25.
 *
 * Units: bytes. Any offset and length are good, nothing needs alignment, and
 * there is no limit of 2 or 4 GiB on either.
 *
 * Threads: every function of a handle may be called from several threads at
 * once, but for vdk_close(), which is the last call. The *_at and *_async
 * functions run in parallel. vdk_read, vdk_write and vdk_seek share the
 * handle's position: each is one step, and they wait for each other.
 *
 * Order: two requests that overlap, of which one writes, take effect in the
 * order in which they were made; two that are made at the same time by two
 * threads, one after the other in some order. Writers of neighbouring bytes
 * never lose each other's data, aligned or not.
 */
#ifndef VDKIT_DISK_H
#define VDKIT_DISK_H

#include <vdkit/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vdk_handle;

/* --- Open and close ------------------------------------------------------ */

enum vdk_open_flags {
  /* For reading and writing. The front link is locked against all others,
   * and refused (VDK_E_HAS_CHILDREN) when another disk has it as parent. */
  VDK_OPEN_WRITE = 1 << 0,
  /* Only the front link, without its parents: what it does not hold reads as
   * zeroes and is VDK_EXTENT_ABSENT. */
  VDK_OPEN_SINGLE_LINK = 1 << 1,
  /* Around the system's page cache, where the file system can. */
  VDK_OPEN_UNBUFFERED = 1 << 2,
  /* A damaged disk, as far as it can be read; damage goes to the log. Not
   * together with VDK_OPEN_WRITE. */
  VDK_OPEN_SALVAGE = 1 << 3,
  /* Extents and parents outside the disk's own directory, which are refused
   * (VDK_E_UNSAFE_PATH) otherwise: a disk from a stranger could name any
   * file of yours. */
  VDK_OPEN_ALLOW_OUTSIDE = 1 << 4,
  /* Extents that are block devices, refused likewise otherwise. */
  VDK_OPEN_ALLOW_DEVICES = 1 << 5,
  /* Take no lock; you know that nobody writes. Not with VDK_OPEN_WRITE. */
  VDK_OPEN_NO_LOCK = 1 << 6,
};

struct vdk_open_options {
  size_t size;               /* of this struct; set by the _INIT */
  unsigned flags;            /* enum vdk_open_flags, or'ed */
  const char *format;        /* "vmdk", "raw"; NULL: recognised by content */
  const struct vdk_log *log; /* copied; NULL: messages are dropped */
};
#define VDK_OPEN_OPTIONS_INIT                                                  \
  {                                                                            \
    sizeof(struct vdk_open_options), 0, NULL, NULL                             \
  }

/*
 * Opens the disk NAME (see above). OPTIONS may be NULL: read-only, format by
 * content. When a step fails, all steps before it are undone: nothing stays
 * open, locked or allocated.
 *
 * Errors: VDK_E_NOT_FOUND, VDK_E_ACCESS, VDK_E_LOCKED, VDK_E_NOT_A_DISK,
 * VDK_E_CORRUPT, VDK_E_TRUNCATED, VDK_E_VERSION, VDK_E_ENCRYPTED,
 * VDK_E_PARENT, VDK_E_CID_MISMATCH, VDK_E_CHAIN, VDK_E_HAS_CHILDREN,
 * VDK_E_UNSAFE_PATH, VDK_E_UNSUPPORTED, VDK_E_IO; for vmbk: names also
 * VDK_E_NOT_A_REPO, VDK_E_NO_POINT, VDK_E_DAMAGED, and VDK_E_READ_ONLY with
 * VDK_OPEN_WRITE.
 */
VDK_API int vdk_open(const char *name, const struct vdk_open_options *options,
                     struct vdk_handle **ret, struct vdk_error *err);

/*
 * Waits for what is under way (callbacks included), marks the disk cleanly
 * closed, and frees H, in every case: H is gone even when an error is
 * returned. The error is that of the last writes: what was written but not
 * flushed may then not have reached the disk. NULL is fine. Not from a
 * callback of the same handle.
 *
 * Errors: VDK_E_IO, VDK_E_NO_SPACE.
 */
VDK_API int vdk_close(struct vdk_handle *h, struct vdk_error *err);

/* The same, and *H becomes NULL, so that closing twice does nothing. */
static inline int
vdk_close_and_clear(struct vdk_handle **h, struct vdk_error *err)
{
  struct vdk_handle *closing = *h;

  *h = NULL;
  return vdk_close(closing, err);
}

/* --- Information --------------------------------------------------------- */

/* Strings live as long as the handle and are never NULL. */
struct vdk_info {
  size_t size;          /* of this struct; set by the _INIT */
  uint64_t capacity;    /* bytes, as the guest sees it */
  uint64_t allocated;   /* bytes of storage taken by the files of all links */
  uint32_t granularity; /* bytes: allocation unit of the front link */
  uint32_t links;       /* in the chain that is open, at least 1 */
  uint32_t cid;         /* content id; valid when has_cid */
  uint32_t parent_cid;  /* 0xffffffff: no parent; valid when has_cid */
  int has_cid;          /* formats without one: 0 */
  int writable;         /* this handle may write */
  const char *name;     /* as the disk names itself in messages */
  const char *format;   /* of the front link: "vmdk", "raw", "vmbk" */
  const char *type;     /* within the format: a createType; may be "" */
  const char *adapter;  /* "lsilogic", "ide", ...; "" when not known */
};
#define VDK_INFO_INIT                                                          \
  {                                                                            \
    sizeof(struct vdk_info), 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL    \
  }

/* Fills RET, which was set to VDK_INFO_INIT. */
VDK_API int vdk_get_info(struct vdk_handle *h, struct vdk_info *ret,
                         struct vdk_error *err);

/* The capacity in bytes alone; 0 for NULL. Never fails otherwise. */
VDK_API uint64_t vdk_capacity(const struct vdk_handle *h);

struct vdk_link_info {
  size_t size;          /* of this struct; set by the _INIT */
  uint64_t capacity;    /* bytes; a parent may be smaller than its child */
  uint64_t allocated;   /* bytes of storage taken by this link's files */
  uint32_t granularity; /* bytes */
  uint32_t cid, parent_cid;
  int has_cid;
  int has_parent;
  unsigned file_count; /* descriptor and extents */
  const char *name;    /* path, for people */
  const char *format;
  const char *type;
};
#define VDK_LINK_INFO_INIT                                                     \
  {                                                                            \
    sizeof(struct vdk_link_info), 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL     \
  }

/* Link INDEX of the chain; 0 is the front one, which is written, the last one
 * the base. VDK_E_NOT_FOUND when there is no such link. */
VDK_API int vdk_get_link_info(struct vdk_handle *h, unsigned index,
                              struct vdk_link_info *ret, struct vdk_error *err);

/* Calls FN for each file of link INDEX, the descriptor first: its name
 * relative to the link's directory, its size in bytes. A result of FN other
 * than 0 ends the walk and is returned; ERR is then untouched. */
VDK_API int vdk_link_files(struct vdk_handle *h, unsigned index,
                           int (*fn)(void *opaque, const char *name,
                                     uint64_t bytes),
                           void *opaque, struct vdk_error *err);

/* --- Reading and writing ------------------------------------------------- */

/*
 * Reads LEN bytes at OFFSET into BUF, without touching the position.
 * *RET_DONE is the number of bytes read: LEN, or less only because the disk
 * ends there, 0 at the end and beyond it. RET_DONE may be NULL. On failure
 * the content of BUF is undefined.
 *
 * Errors: VDK_E_IO, VDK_E_CORRUPT, VDK_E_TRUNCATED, VDK_E_DAMAGED.
 */
VDK_API int vdk_read_at(struct vdk_handle *h, uint64_t offset, void *buf,
                        size_t len, size_t *ret_done, struct vdk_error *err);

/*
 * Writes LEN bytes of BUF at OFFSET, without touching the position: all of
 * them, or it is an error. A disk does not grow: a range that is not wholly
 * inside it is VDK_E_RANGE, with nothing written (a write of 0 bytes at the
 * end is fine). After another failure the range holds old and new bytes in
 * some mixture; nothing outside the range has changed. *RET_DONE, which may be
 * NULL, becomes LEN.
 *
 * Errors: VDK_E_RANGE, VDK_E_READ_ONLY, VDK_E_NO_SPACE, VDK_E_IO,
 * VDK_E_UNSUPPORTED (a type that cannot be written in place).
 */
VDK_API int vdk_write_at(struct vdk_handle *h, uint64_t offset, const void *buf,
                         size_t len, size_t *ret_done, struct vdk_error *err);

/* The same at the position, which moves behind what was read or written, and
 * stays where it was when the call fails. */
VDK_API int vdk_read(struct vdk_handle *h, void *buf, size_t len,
                     size_t *ret_done, struct vdk_error *err);
VDK_API int vdk_write(struct vdk_handle *h, const void *buf, size_t len,
                      size_t *ret_done, struct vdk_error *err);

enum vdk_whence {
  VDK_SEEK_SET = 0,  /* OFFSET from the start */
  VDK_SEEK_CUR = 1,  /* from the position */
  VDK_SEEK_END = 2,  /* from the end of the disk */
  VDK_SEEK_DATA = 3, /* the first byte at or after OFFSET that is stored */
  VDK_SEEK_HOLE = 4, /* the first one that is known to be zero; the end of the
                        disk counts as one */
};

/*
 * Moves the position; *RET_POSITION (may be NULL) is the new one. A position
 * behind the end is fine, reading there gives nothing. On failure it stays.
 *
 * Errors: VDK_E_INVAL: the result would be negative or beyond 2^63-1, or no
 * such whence. VDK_E_NOT_FOUND: no data at or after OFFSET (SEEK_DATA).
 * VDK_E_RANGE: OFFSET is at or behind the end (SEEK_DATA, SEEK_HOLE; as
 * ENXIO in POSIX). SEEK_DATA and SEEK_HOLE may fail as reading may.
 */
VDK_API int vdk_seek(struct vdk_handle *h, int64_t offset, int whence,
                     uint64_t *ret_position, struct vdk_error *err);

/* Makes the range read as zeroes, giving storage back where the format can.
 * Range and errors as for vdk_write_at. */
VDK_API int vdk_zero_at(struct vdk_handle *h, uint64_t offset, uint64_t length,
                        struct vdk_error *err);

/* All that was written by calls which returned (or completed) before is on
 * stable storage when this returns 0. Nothing to do for a reader.
 * Errors: VDK_E_IO, VDK_E_NO_SPACE. */
VDK_API int vdk_flush(struct vdk_handle *h, struct vdk_error *err);

/* --- Extents ------------------------------------------------------------- */

/* As a length: up to the end of the disk. */
#define VDK_TO_END UINT64_MAX

enum vdk_extents_flags {
  /* What the front link alone holds: DATA, ZERO or ABSENT. */
  VDK_EXTENTS_SINGLE_LINK = 1 << 0,
};

/*
 * Calls FN for the extents of the range in ascending order, without gaps, the
 * first and last cut to the range. Neighbours of one state are merged, so that
 * states alternate. Cheap: tables are read, data is not. A result of FN other
 * than 0 ends the walk and is returned; ERR is then untouched. FN may call any
 * function of the handle but vdk_close.
 *
 * Errors: VDK_E_RANGE, VDK_E_IO, VDK_E_CORRUPT.
 */
VDK_API int vdk_extents(struct vdk_handle *h, uint64_t offset, uint64_t length,
                        unsigned flags,
                        int (*fn)(void *opaque, const struct vdk_extent *e),
                        void *opaque, struct vdk_error *err);

/* --- Asynchronous -------------------------------------------------------- */

/*
 * Called exactly once for each request that was accepted, from any thread,
 * perhaps before the call that made the request has returned. RESULT is 0 or
 * a negated code; then ERR tells more. DONE is the number of bytes, as
 * *ret_done of the blocking call (0 for flush and zero). ERR is never NULL and
 * dies with the call.
 *
 * It may make further asynchronous requests. It must not wait: no vdk_wait,
 * vdk_close or blocking call on the same handle.
 */
typedef void (*vdk_done_fn)(void *opaque, int result, size_t done,
                            const struct vdk_error *err);

/*
 * As vdk_read_at, vdk_write_at, vdk_zero_at and vdk_flush, but they return at
 * once. 0: DONE_FN will be called; an error: it will not, and nothing happens.
 * BUF must stay valid, and must not be touched, until then. Any number may be
 * under way; each costs about a kilobyte. A flush covers the requests that
 * completed before it was made. Range errors are found at once.
 */
VDK_API int vdk_read_async(struct vdk_handle *h, uint64_t offset, void *buf,
                           size_t len, vdk_done_fn done_fn, void *opaque,
                           struct vdk_error *err);
VDK_API int vdk_write_async(struct vdk_handle *h, uint64_t offset,
                            const void *buf, size_t len, vdk_done_fn done_fn,
                            void *opaque, struct vdk_error *err);
VDK_API int vdk_zero_async(struct vdk_handle *h, uint64_t offset,
                           uint64_t length, vdk_done_fn done_fn, void *opaque,
                           struct vdk_error *err);
VDK_API int vdk_flush_async(struct vdk_handle *h, vdk_done_fn done_fn,
                            void *opaque, struct vdk_error *err);

/* Waits until no asynchronous request of H is under way and all callbacks
 * have returned. Their results go to the callbacks alone. */
VDK_API int vdk_wait(struct vdk_handle *h, struct vdk_error *err);

/* --- Metadata ------------------------------------------------------------ */

/*
 * The disk database of VMDK: keys and values are text without newlines; keys
 * are without "ddb.", for example "adapterType" or "geometry.sectors".
 * get and list look through the chain, the front link first; set writes the
 * front link, and a VALUE of NULL removes the key there.
 *
 * Errors: VDK_E_NO_KEY (also a format without metadata), VDK_E_READ_ONLY,
 * VDK_E_UNSUPPORTED (set in a format without), VDK_E_IO.
 */
/* *RET is new memory: vdk_free() it. */
VDK_API int vdk_meta_get(struct vdk_handle *h, const char *key, char **ret,
                         struct vdk_error *err);
VDK_API int vdk_meta_set(struct vdk_handle *h, const char *key,
                         const char *value, struct vdk_error *err);
/* A result of FN other than 0 ends the walk and is returned; ERR is then
 * untouched. KEY and VALUE die with the call of FN. */
VDK_API int vdk_meta_list(struct vdk_handle *h,
                          int (*fn)(void *opaque, const char *key,
                                    const char *value),
                          void *opaque, struct vdk_error *err);

/* Frees memory that the library gave. NULL is fine. */
VDK_API void vdk_free(void *p);

#ifdef __cplusplus
}
#endif
#endif
