/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VMs in folders of this machine: what the files of the driver share.
 *
 *   local.c      the driver table: open, list, disks, files
 *   find.c       .vmx files below a folder
 *   vm.c         a .vmx becomes a struct host_vm
 *   identity.c   UUIDs
 *   chain_state.c, chain_text.c
 *                the state of a chain of links in one line of text
 *   changed.c    what changed since such a state
 *   ranges.c     ascending lists of ranges
 *
 * Every file name in a .vmx or .vmsd is a stranger's: it is only ever opened
 * through a struct vdk_dir of the VM's directory, which refuses what leads
 * out of it unless the host was opened to allow that.
 */
#ifndef HOST_LOCAL_LOCAL_H
#define HOST_LOCAL_LOCAL_H

#include "file/file.h"
#include "host/host.h"
#include "host/vmx.h"

#define LOCAL_DEPTH_MAX 4u     /* folders below the one that was named */
#define LOCAL_VMS_MAX   10000u /* .vmx files below it */
#define LOCAL_FILE_MAX  (16u * 1024 * 1024) /* a configuration file */

struct local_host {
  struct vdk_host base;
  char *path;         /* what the user named */
  bool is_vmx;        /* PATH is the .vmx itself */
  unsigned dir_flags; /* enum dir_flags */
};

/* Paths (PATH joined) of all .vmx files below HOST's folder, sorted; NULL-
 * ended. Folders that cannot be read go to the log. */
int local_find(struct local_host *h, char ***ret, struct vdk_error *err);
void local_find_free(char **paths);
static inline void
local_find_freep(char ***paths)
{
  local_find_free(*paths);
}

/* The VM of the .vmx file PATH, its disks opened once to know them. */
int local_vm_open(struct local_host *h, const char *path, struct host_vm **ret,
                  struct vdk_error *err);

/* The name of the disk file that SNAPSHOT (a uid; 0: the present) has for
 * DISK: lives as long as VM. */
int local_disk_file(const struct host_vm *vm, const struct host_disk *disk,
                    unsigned snapshot, const char **ret, struct vdk_error *err);

/* host_ops.change_id and host_ops.changed. */
int local_change_id(struct vdk_host *h, const struct host_vm *vm,
                    const struct host_disk *disk, struct vdk_disk *opened,
                    char **ret, struct vdk_error *err);
int local_changed(struct vdk_host *h, const struct host_vm *vm,
                  const struct host_disk *disk, struct vdk_disk *opened,
                  const char *change_id, struct vdk_extent **ret,
                  size_t *ret_count, struct vdk_error *err);

#endif
