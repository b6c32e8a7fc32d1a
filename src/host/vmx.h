/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What .vmx and .vmsd texts say, for whoever holds such a text: the local
 * driver, and a restore, which writes them anew.
 *
 *   vmx_dict.c   the text of both
 *   vmx_disks.c  which disks a .vmx names
 *   vmsd.c       the snapshot tree
 */
#ifndef HOST_VMX_H
#define HOST_VMX_H

#include "host/host.h"
#include "host/vmx_dict.h"

#define VMX_CONTROLLER_MAX 9999u /* the N of scsiN:M, and the M */
#define VMX_DISKS_MAX      1024u /* of one VM; vSphere allows 256 */
#define VMSD_SNAPSHOTS_MAX 1024u /* of one VM; vSphere allows 32 */

/* Disks that DICT names, in the order of their controllers; only key, file
 * and mode are filled. */
int vmx_disks_find(const struct vmx_dict *dict, struct host_disk **ret,
                   size_t *ret_count, struct vdk_error *err);

/* The snapshot tree of the .vmsd DICT, by ascending uid. What is odd in it
 * goes to LOG. NAME is for messages. */
int vmsd_read(const struct vmx_dict *dict, const char *name,
              const struct vdk_log *log, struct host_snapshot **ret,
              size_t *ret_count, struct vdk_error *err);

#endif
