/* SPDX-License-Identifier: BSD-3-Clause */
/* A small VM in the test's folder: a .vmx, an .nvram and two disks. */
#ifndef TESTS_UNIT_SURFACE_VM_SUPPORT_H
#define TESTS_UNIT_SURFACE_VM_SUPPORT_H

#include "support.h"

#define VM_DISK_SIZE (6 * MIB)
#define VM_UUID      "564d1234-5678-9abc-def0-112233445566"

static const char vm_vmx[] =
    ".encoding = \"UTF-8\"\n"
    "config.version = \"8\"\n"
    "virtualHW.version = \"19\"\n"
    "displayName = \"small vm\"\n"
    "guestOS = \"debian11-64\"\n"
    "uuid.bios = \"56 4d 12 34 56 78 9a bc-de f0 11 22 33 44 55 66\"\n"
    "nvram = \"small.nvram\"\n"
    "scsi0.present = \"TRUE\"\n"
    "scsi0.virtualDev = \"lsilogic\"\n"
    "scsi0:0.present = \"TRUE\"\n"
    "scsi0:0.fileName = \"small.vmdk\"\n"
    "scsi0:1.present = \"TRUE\"\n"
    "scsi0:1.fileName = \"second.vmdk\"\n";

static inline void
make_vm(void)
{
  struct vdk_handle *h;

  assert_int_equal(mkdir(path_of("vm"), 0700), 0);
  make_file("vm/small.vmx", vm_vmx, strlen(vm_vmx));
  make_file("vm/small.nvram", "nvram!", 6);
  make_disk("vm/small.vmdk", "monolithicSparse", VM_DISK_SIZE);
  make_disk("vm/second.vmdk", "monolithicFlat", 1 * MIB);
  h = open_disk("vm/small.vmdk", VDK_OPEN_WRITE);
  fill_disk(h, 0, 700000);
  fill_disk(h, 4 * MIB, 1 * MIB);
  close_disk(h);
}

#endif
