/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The disks that a .vmx names.
 *
 * A device is BUSn:m with a bus of scsi, sata, ide or nvme and any numbers
 * (sata has 30 ports, vSphere has 4 controllers, a text editor has no limit).
 * It is a disk when it is present, has a file name, and is no CD-ROM: the
 * device type, which may be absent, says that, or else the name does.
 *
 * The order is that of the buses as below, then controller, then unit, by
 * number: scsi0:2 comes before scsi0:10.
 */
#include "host/vmx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/host_free.h"

static const char *const buses[] = {"scsi", "sata", "ide", "nvme"};

struct device {
  unsigned bus, controller, unit;
};

struct device_list {
  struct device *devices;
  size_t count, capacity;
  unsigned bus;
  bool failed, too_many;
};

/* Reads a number as VMware writes it (no sign, no leading zero) and moves *S
 * behind it. */
static bool
read_number(const char **s, unsigned *ret)
{
  unsigned v = 0;
  const char *p = *s;

  if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
    return false;
  for (; *p >= '0' && *p <= '9'; p++) {
    v = v * 10 + (*p - '0');
    if (v > VMX_CONTROLLER_MAX)
      return false;
  }
  *s = p;
  *ret = v;
  return true;
}

/* Remembers KEY when it is BUSn:m.filename. */
static int
note_device(void *opaque, const char *key, const char *value)
{
  struct device_list *list = opaque;
  struct device device = {.bus = list->bus};
  const char *s = key + strlen(buses[list->bus]);

  if (!read_number(&s, &device.controller) || *s++ != ':' ||
      !read_number(&s, &device.unit) || strcmp(s, ".filename") != 0)
    return 0;
  if (list->count == VMX_DISKS_MAX) {
    list->too_many = true;
    return 1;
  }
  if (!mem_grow(&list->devices, &list->capacity, list->count + 1,
                sizeof device)) {
    list->failed = true;
    return 1;
  }
  list->devices[list->count++] = device;
  return 0;
}

static int
device_compare(const void *a, const void *b)
{
  const struct device *l = a, *r = b;

  if (l->bus != r->bus)
    return l->bus < r->bus ? -1 : 1;
  if (l->controller != r->controller)
    return l->controller < r->controller ? -1 : 1;
  return l->unit < r->unit ? -1 : l->unit > r->unit;
}

static const char *
device_text(const struct vmx_dict *dict, const char *device, const char *what)
{
  char key[64];

  snprintf(key, sizeof key, "%s.%s", device, what);
  return vmx_dict_text(dict, key);
}

/* True when the device named DEVICE ("scsi0:0") is a disk of the VM. */
static bool
is_disk(const struct vmx_dict *dict, const char *device)
{
  static const char *const no_disks[] = {"cdrom", "passthru", "floppy"};
  static const char *const no_files[] = {"auto detect", "emptybackingstring"};
  const char *type = device_text(dict, device, "deviceType");
  const char *file = device_text(dict, device, "fileName");
  char key[64];

  snprintf(key, sizeof key, "%s.present", device);
  if (!vmx_dict_bool(dict, key) || !*file)
    return false;
  for (size_t i = 0; i < ARRAY_SIZE(no_disks); i++)
    if (strcasestr(type, no_disks[i]))
      return false;
  if (*type)
    return true;
  for (size_t i = 0; i < ARRAY_SIZE(no_files); i++)
    if (str_equal_nocase(file, no_files[i]))
      return false;
  return !str_ends_with_nocase(file, ".iso");
}

static bool
fill_disk(const struct vmx_dict *dict, const char *device,
          struct host_disk *disk)
{
  const char *mode = device_text(dict, device, "mode");

  disk->key = str_dup(device);
  disk->file = str_dup(device_text(dict, device, "fileName"));
  disk->mode = str_dup(*mode ? mode : "persistent");
  return disk->key && disk->file && disk->mode;
}

int
vmx_disks_find(const struct vmx_dict *dict, struct host_disk **ret,
               size_t *ret_count, struct vdk_error *err)
{
  struct device_list list = {0};
  _cleanup_free_ struct device *devices = NULL;
  struct host_disk *disks;
  size_t count = 0;

  for (; list.bus < ARRAY_SIZE(buses); list.bus++)
    vmx_dict_each(dict, buses[list.bus], note_device, &list);
  devices = list.devices;
  if (list.too_many)
    return error_set(err, VDK_E_TOO_BIG, "the VM has more than %u disks",
                     VMX_DISKS_MAX);
  disks = list.failed ? NULL : mem_array(list.count + 1, sizeof *disks);
  if (!disks)
    return error_nomem(err, "looking for the disks of a VM");
  if (list.count)
    qsort(devices, list.count, sizeof *devices, device_compare);
  for (size_t i = 0; i < list.count; i++) {
    char device[32];

    snprintf(device, sizeof device, "%s%u:%u", buses[devices[i].bus],
             devices[i].controller, devices[i].unit);
    if (!is_disk(dict, device))
      continue;
    if (!fill_disk(dict, device, &disks[count++])) {
      host_disks_free(disks, count);
      return error_nomem(err, "looking for the disks of a VM");
    }
  }
  *ret = disks;
  *ret_count = count;
  return 0;
}
