/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Structs that grow. Each begins with the size that its user compiled in.
 *
 * A shorter struct than ours comes from a program older than the library: the
 * fields that it does not have keep their defaults, or are not given. A longer
 * one comes from a newer program: what we do not know must be zero, so that
 * nothing asked for is silently left undone.
 */
#include <stdint.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "file/file.h"
#include "surface/vdkit/surface.h"

/* Every such struct starts with this. */
struct sized {
  size_t size;
};

/* A size above this is no struct but memory that was never initialised. */
#define OPTIONS_SIZE_MAX 4096u

static int
check_size(size_t size, size_t first_size, const char *what,
           struct vdk_error *err)
{
  if (size < first_size || size > OPTIONS_SIZE_MAX)
    return error_set(err, VDK_E_INVAL,
                     "struct %s says that it has %zu bytes; start from its "
                     "_INIT",
                     what, size);
  return 0;
}

int
options_load(void *dst, size_t dst_size, size_t first_size, const void *src,
             const char *what, struct vdk_error *err)
{
  size_t size;
  int rc;

  if (!src)
    return 0;
  size = ((const struct sized *)src)->size;
  rc = check_size(size, first_size, what, err);
  if (rc < 0)
    return rc;
  if (size > dst_size &&
      !mem_is_zero((const uint8_t *)src + dst_size, size - dst_size))
    return error_set(err, VDK_E_UNSUPPORTED,
                     "struct %s sets fields that this version of vdkit does "
                     "not know; a newer one is needed",
                     what);
  memcpy(dst, src, MIN(size, dst_size));
  ((struct sized *)dst)->size = dst_size;
  return 0;
}

int
options_store(void *ret, size_t first_size, const void *full, size_t full_size,
              const char *what, struct vdk_error *err)
{
  size_t size;
  int rc;

  if (!ret)
    return options_null(what, err);
  size = ((const struct sized *)ret)->size;
  rc = check_size(size, first_size, what, err);
  if (rc < 0)
    return rc;
  memset((uint8_t *)ret + sizeof size, 0, size - sizeof size);
  memcpy((uint8_t *)ret + sizeof size, (const uint8_t *)full + sizeof size,
         MIN(size, full_size) - sizeof size);
  return 0;
}

int
options_null(const char *what, struct vdk_error *err)
{
  return error_set(err, VDK_E_INVAL, "%s is NULL", what);
}

unsigned
options_disk_flags(unsigned open_flags)
{
  static const struct {
    unsigned open_flag, disk_flag;
  } map[] = {
      {VDK_OPEN_WRITE, DISK_WRITE},
      {VDK_OPEN_SINGLE_LINK, DISK_SINGLE_LINK},
      {VDK_OPEN_UNBUFFERED, DISK_UNBUFFERED},
      {VDK_OPEN_SALVAGE, DISK_SALVAGE},
      {VDK_OPEN_NO_LOCK, DISK_NO_LOCK},
  };
  unsigned flags = 0;

  for (size_t i = 0; i < ARRAY_SIZE(map); i++)
    if (open_flags & map[i].open_flag)
      flags |= map[i].disk_flag;
  return flags;
}

unsigned
options_dir_flags(unsigned open_flags)
{
  unsigned flags = 0;

  if (open_flags & VDK_OPEN_ALLOW_OUTSIDE)
    flags |= DIR_ALLOW_OUTSIDE;
  if (open_flags & VDK_OPEN_ALLOW_DEVICES)
    flags |= DIR_ALLOW_DEVICES;
  return flags;
}

int
options_check_flags(unsigned flags, unsigned allowed, const char *what,
                    struct vdk_error *err)
{
  if (flags & ~allowed)
    return error_set(err, VDK_E_INVAL, "flags 0x%x cannot be used for %s",
                     flags & ~allowed, what);
  return 0;
}
