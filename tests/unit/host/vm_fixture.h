/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VM in a temporary folder, with a model: what its disk holds now and held
 * at each snapshot, byte for byte.
 */
#ifndef TESTS_UNIT_HOST_VM_FIXTURE_H
#define TESTS_UNIT_HOST_VM_FIXTURE_H

#include "tests/unit/unit.h"

#include "disk/disk.h"

#define VMFX_SNAPSHOTS_MAX 64

struct vmfx_snapshot {
  char file[64]; /* that it froze */
  uint8_t *image;
  unsigned parent; /* uid; 0: none */
};

struct vmfx {
  char dir[128]; /* the VM's folder */
  char vmx[160];
  char top[64]; /* the written file */
  size_t size;
  uint8_t *live;
  struct vmfx_snapshot snapshots[VMFX_SNAPSHOTS_MAX + 1]; /* by uid, from 1 */
  unsigned snapshot_count, current, next_file;
};

/* A folder of its own; gone with fx_remove. */
void fx_make_dir(char *ret, size_t size);
void fx_remove(const char *dir);
/* A shell command that has to succeed. */
void fx_run(const char *fmt, ...) VDK_PRINTF(1, 2);
bool fx_has(const char *program);
void fx_write(const char *dir, const char *name, const char *text);
/* The size of a file, or -1. */
long long fx_size(const char *dir, const char *name);

/* A VM with one disk scsi0:0 of createType TYPE, empty. With QEMU, qemu-img
 * makes all links. */
void vmfx_new(struct vmfx *fx, const char *type, size_t size);
void vmfx_free(struct vmfx *fx);
/* Random bytes, or zeroes, at a random place, by our own writer. */
void vmfx_write(struct vmfx *fx, unsigned writes);
/* The same, written by qemu-io. */
void vmfx_write_qemu(struct vmfx *fx, unsigned writes);
void vmfx_zero(struct vmfx *fx);
void vmfx_snapshot(struct vmfx *fx);
/* The live disk becomes that of snapshot UID again, by a new link. */
void vmfx_revert(struct vmfx *fx, unsigned uid);
/* Long enough that every file counts as settled. */
void vmfx_settle(void);

struct vdk_disk *vmfx_open(struct vmfx *fx, unsigned flags);
/* DISK reads as IMAGE. */
void vmfx_check(struct vdk_disk *disk, const uint8_t *image, size_t size);

#endif
