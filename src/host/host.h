/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * struct vdk_host: a place where VMs live.
 *
 * Drivers: local (a folder of VMs; here), vsphere, scp (later). The backup
 * engine sees VMs, their configuration and disks, and changed ranges, and
 * always how those were found; it never sees a driver.
 */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdkit/types.h>

#include "base/cleanup.h"
#include "disk/disk.h"

struct vdk_host;

struct host_disk {
  char *key;      /* "scsi0:0" */
  char *file;     /* name as the VM's configuration has it */
  char *mode;     /* "persistent", "independent-persistent", ... */
  uint64_t size;  /* bytes; 0 when it cannot be opened */
  char *type;     /* createType of the disk's written link */
  char *problem;  /* why it cannot be opened; NULL when it can */
  unsigned links; /* in its chain */
};

struct host_snapshot {
  unsigned uid;
  unsigned parent; /* uid; 0: none */
  char *name, *description;
  int64_t created_us; /* microseconds since 1970; 0 unknown */
  bool current;       /* the live disks descend from it */
  char **disks;       /* key, file, ..., NULL: the files it froze */
};

struct host_file {
  char *name; /* base name */
  char *role; /* "vmx", "vmsd", "nvram", "vmxf", "other" */
};

struct host_vm {
  char *id;      /* what host_vm_open takes: for local the .vmx path */
  char *name;    /* displayName */
  char uuid[40]; /* 8-4-4-4-12, from uuid.bios, else made of the path */
  char *guest;   /* guestOS */
  unsigned hw_version;
  bool powered_on; /* a lock shows that a hypervisor holds it */
  bool suspended;
  struct host_disk *disks;
  size_t disk_count;
  struct host_snapshot *snapshots;
  size_t snapshot_count;
  struct host_file *files;
  size_t file_count;
};

void host_vm_free(struct host_vm *vm); /* NULL is fine */
DEFINE_CLEANUP(struct host_vm, host_vm_free);

struct host_ops {
  const char *name;
  /* Calls FN for each VM; the VM object is FN's to free. A VM that cannot be
   * read goes to the log. */
  int (*list)(struct vdk_host *h, int (*fn)(void *opaque, struct host_vm *vm),
              void *opaque, struct vdk_error *err);
  int (*open_vm)(struct vdk_host *h, const char *id, struct host_vm **ret,
                 struct vdk_error *err);
  /* Bytes of a configuration file. */
  int (*read_file)(struct vdk_host *h, const struct host_vm *vm,
                   const struct host_file *file, char **ret, size_t *ret_len,
                   struct vdk_error *err);
  /* The disk as it is now (SNAPSHOT 0) or as that snapshot froze it; FLAGS
   * are enum disk_open_flags. */
  int (*open_disk)(struct vdk_host *h, const struct host_vm *vm,
                   const struct host_disk *disk, unsigned snapshot,
                   unsigned flags, struct vdk_disk **ret,
                   struct vdk_error *err);
  /* Names the state of DISK (opened by open_disk) so that changes since it
   * can be asked for later; VDK_E_UNSUPPORTED when that cannot be. */
  int (*change_id)(struct vdk_host *h, const struct host_vm *vm,
                   const struct host_disk *disk, struct vdk_disk *opened,
                   char **ret, struct vdk_error *err);
  /* Ranges of OPENED that may differ from the state that CHANGE_ID names:
   * too much is allowed, too little never. VDK_E_LOST_RANGES when it cannot
   * be known; the text says why. */
  int (*changed)(struct vdk_host *h, const struct host_vm *vm,
                 const struct host_disk *disk, struct vdk_disk *opened,
                 const char *change_id, struct vdk_extent **ret,
                 size_t *ret_count, struct vdk_error *err);
  void (*close)(struct vdk_host *h);
};

struct vdk_host {
  const struct host_ops *ops;
  char *name; /* for messages */
  const struct vdk_log *log;
};

void host_close(struct vdk_host *h); /* NULL is fine */
DEFINE_CLEANUP(struct vdk_host, host_close);

/* A folder (searched for .vmx files, DEPTH levels down), or a .vmx file.
 * DIR_FLAGS as for disk_open_path. */
int host_local_open(const char *path, unsigned dir_flags,
                    const struct vdk_log *log, struct vdk_host **ret,
                    struct vdk_error *err);

#endif
