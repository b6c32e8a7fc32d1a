/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Virtual machines as they lie in a folder: .vmx, .vmsd, .nvram, disks.
 *
 * What is found is given as plain read-only structs. Lists are arrays of
 * pointers, so that the structs can grow. Strings are never NULL, unless it
 * says so. Everything of a struct vdk_vm is freed with it.
 *
 * Threads: a struct vdk_vm does not change and may be read by any thread.
 */
#ifndef VDKIT_VM_H
#define VDKIT_VM_H

#include <vdkit/disk.h>
#include <vdkit/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vdk_vm_disk {
  const char *key;     /* where it is attached: "scsi0:0" */
  const char *file;    /* as the VM's configuration names it */
  const char *mode;    /* "persistent", "independent-persistent", ... */
  uint64_t capacity;   /* bytes; 0 when it cannot be opened */
  const char *type;    /* createType of the front link; "" when not known */
  unsigned links;      /* in its chain */
  const char *problem; /* why it cannot be opened; NULL when it can */
};

struct vdk_vm_snapshot {
  unsigned uid;
  unsigned parent; /* uid; 0: none */
  const char *name;
  const char *description;
  int64_t created_us; /* microseconds since 1970 (UTC); 0: not known */
  int current;        /* the present state descends from it */
  /* The disks as it froze them: key, file, key, file, ..., NULL. */
  const char *const *disks;
};

struct vdk_vm_file {
  const char *name; /* base name */
  const char *role; /* "vmx", "vmsd", "nvram", "vmxf", "other" */
};

struct vdk_vm {
  const char *id;    /* path of its .vmx: what vdk_vm_open takes */
  const char *name;  /* displayName */
  const char *uuid;  /* 8-4-4-4-12, lower case */
  const char *guest; /* guestOS */
  unsigned hw_version;
  int powered_on; /* a lock shows that a hypervisor runs it */
  int suspended;
  const struct vdk_vm_disk *const *disks; /* in the order of their keys */
  size_t disk_count;
  const struct vdk_vm_snapshot *const *snapshots;
  size_t snapshot_count;
  const struct vdk_vm_file *const *files;
  size_t file_count;
};

struct vdk_vm_options {
  size_t size;               /* of this struct; set by the _INIT */
  unsigned flags;            /* enum vdk_open_flags: only the _ALLOW_* ones */
  const struct vdk_log *log; /* VMs that cannot be read are told here */
};
#define VDK_VM_OPTIONS_INIT                                                    \
  {                                                                            \
    sizeof(struct vdk_vm_options), 0, NULL                                     \
  }

/*
 * Calls FN for each VM in the folder DIR and the folders in it. A VM that
 * cannot be read goes to the log and is passed over. VM dies with the call of
 * FN. A result of FN other than 0 ends the walk and is returned; ERR is then
 * untouched. OPTIONS may be NULL.
 *
 * Errors: VDK_E_NOT_FOUND, VDK_E_ACCESS, VDK_E_IO.
 */
VDK_API int vdk_vm_list(const char *dir, const struct vdk_vm_options *options,
                        int (*fn)(void *opaque, const struct vdk_vm *vm),
                        void *opaque, struct vdk_error *err);

/*
 * The VM at PATH: a .vmx file, or a folder with exactly one in it. A disk that
 * cannot be opened is no error: its "problem" says why. OPTIONS may be NULL.
 * *RET is freed with vdk_vm_free().
 *
 * Errors: VDK_E_NOT_FOUND, VDK_E_INVAL (a folder with several VMs; the text
 * names them), VDK_E_ACCESS, VDK_E_CORRUPT, VDK_E_TOO_BIG, VDK_E_IO.
 */
VDK_API int vdk_vm_open(const char *path, const struct vdk_vm_options *options,
                        const struct vdk_vm **ret, struct vdk_error *err);

/* NULL is fine. */
VDK_API void vdk_vm_free(const struct vdk_vm *vm);

/*
 * Opens disk DISK (a key, or an index "0", "1", ...) of the VM at PATH, as it
 * is now (SNAPSHOT 0) or as the snapshot with that uid froze it (read-only).
 * OPTIONS as for vdk_open; "format" is not used.
 *
 * Errors: those of vdk_vm_open and vdk_open; VDK_E_NOT_FOUND when there is no
 * such disk or snapshot; VDK_E_READ_ONLY for writing to a snapshot.
 */
VDK_API int vdk_vm_open_disk(const char *path, const char *disk,
                             unsigned snapshot,
                             const struct vdk_open_options *options,
                             struct vdk_handle **ret, struct vdk_error *err);

#ifdef __cplusplus
}
#endif
#endif
