/* SPDX-License-Identifier: BSD-3-Clause */
/* What all hosts share: giving back the objects of host.h. */
#include "host/host.h"

#include <stdlib.h>

#include "host/host_free.h"

void
host_disks_free(struct host_disk *disks, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    free(disks[i].key);
    free(disks[i].file);
    free(disks[i].mode);
    free(disks[i].type);
    free(disks[i].problem);
  }
  free(disks);
}

void
host_snapshots_free(struct host_snapshot *snapshots, size_t count)
{
  for (size_t i = 0; i < count; i++)
    host_snapshot_clear(&snapshots[i]);
  free(snapshots);
}

void
host_snapshot_clear(struct host_snapshot *s)
{
  free(s->name);
  free(s->description);
  for (char **p = s->disks; p && *p; p++)
    free(*p);
  free(s->disks);
}

void
host_vm_free(struct host_vm *vm)
{
  if (!vm)
    return;
  free(vm->id);
  free(vm->name);
  free(vm->guest);
  host_disks_free(vm->disks, vm->disk_count);
  host_snapshots_free(vm->snapshots, vm->snapshot_count);
  for (size_t i = 0; i < vm->file_count; i++) {
    free(vm->files[i].name);
    free(vm->files[i].role);
  }
  free(vm->files);
  free(vm);
}

void
host_close(struct vdk_host *h)
{
  if (h)
    h->ops->close(h);
}
