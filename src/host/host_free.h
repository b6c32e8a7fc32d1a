/* SPDX-License-Identifier: BSD-3-Clause */
/* Parts of a struct host_vm, for the drivers that put it together. NULL and
 * half-filled ones are fine. */
#ifndef HOST_HOST_FREE_H
#define HOST_HOST_FREE_H

#include "host/host.h"

void host_disks_free(struct host_disk *disks, size_t count);
void host_snapshot_clear(struct host_snapshot *s);
void host_snapshots_free(struct host_snapshot *snapshots, size_t count);

#endif
