/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files in memory: an open file is a reference to contents (memory_node.c),
 * so that a file lives on while it is open, like one whose name was removed
 * on disk.
 */
#include <inttypes.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "file/memory.h"

struct memory_file {
  struct vdk_file base;
  struct memory_node *node;
  enum file_lock_mode lock;
};

static struct memory_node *
node_of(struct vdk_file *file)
{
  return ((struct memory_file *)file)->node;
}

static int
memory_size(struct vdk_file *file, uint64_t *ret, struct vdk_error *err)
{
  *ret = memory_node_size(node_of(file));
  return 0;
}

static int
memory_read(struct vdk_file *file, uint64_t offset, void *buf, size_t len,
            size_t *ret, struct vdk_error *err)
{
  *ret = memory_node_read(node_of(file), offset, buf, len);
  return 0;
}

static int
out_of_memory(struct vdk_file *file, struct vdk_error *err)
{
  return error_set(err, VDK_E_NOMEM, "out of memory while writing to %s",
                   file->name);
}

static int
memory_write(struct vdk_file *file, uint64_t offset, const void *buf,
             size_t len, struct vdk_error *err)
{
  if (!memory_node_write(node_of(file), offset, buf, len))
    return out_of_memory(file, err);
  return 0;
}

static int
memory_zero(struct vdk_file *file, uint64_t offset, uint64_t len,
            struct vdk_error *err)
{
  if (!memory_node_zero(node_of(file), offset, len))
    return out_of_memory(file, err);
  return 0;
}

static int
memory_extent(struct vdk_file *file, uint64_t offset, uint64_t len,
              uint64_t *ret_len, int *ret_state, struct vdk_error *err)
{
  memory_node_extent(node_of(file), offset, len, ret_len, ret_state);
  return 0;
}

static int
memory_truncate(struct vdk_file *file, uint64_t size, struct vdk_error *err)
{
  if (!memory_node_truncate(node_of(file), size))
    return out_of_memory(file, err);
  return 0;
}

/* Memory cannot be promised; only the size is what the contract says. */
static int
memory_allocate(struct vdk_file *file, uint64_t offset, uint64_t len,
                struct vdk_error *err)
{
  if (memory_node_size(node_of(file)) < offset + len)
    return memory_truncate(file, offset + len, err);
  return 0;
}

static int
memory_lock(struct vdk_file *file, enum file_lock_mode mode,
            struct vdk_error *err)
{
  struct memory_file *f = (struct memory_file *)file;
  bool ok = memory_node_lock(f->node, f->lock, mode);

  f->lock = ok ? mode : FILE_UNLOCK;
  if (!ok)
    return error_set(err, VDK_E_LOCKED, "cannot lock %s: it is in use",
                     file->name);
  return 0;
}

static void
memory_close(struct vdk_file *file)
{
  struct memory_file *f = (struct memory_file *)file;

  memory_node_lock(f->node, f->lock, FILE_UNLOCK);
  memory_node_unref(f->node);
  free(file->name);
  free(f);
}

static const struct file_ops memory_ops = {
    .name = "memory",
    .size = memory_size,
    .read = memory_read,
    .write = memory_write,
    .zero = memory_zero,
    .extent = memory_extent,
    .truncate = memory_truncate,
    .allocate = memory_allocate,
    .lock = memory_lock,
    .close = memory_close,
};

int
memory_file_new(struct memory_node *node, const char *name, bool writable,
                struct vdk_file **ret, struct vdk_error *err)
{
  _cleanup_free_ struct memory_file *f = mem_array(1, sizeof *f);

  if (!f)
    return error_nomem(err, "opening a file in memory");
  f->base.name = str_dup(name);
  if (!f->base.name)
    return error_nomem(err, "opening a file in memory");
  f->base.ops = &memory_ops;
  f->base.writable = writable;
  f->node = memory_node_ref(node);
  *ret = &TAKE_PTR(f)->base;
  return 0;
}

int
file_memory_new(const char *name, const void *data, size_t len,
                struct vdk_file **ret, struct vdk_error *err)
{
  struct memory_node *node = memory_node_new();
  int r = -VDK_E_NOMEM;

  if (node && (!data || memory_node_write(node, 0, data, len)))
    r = memory_file_new(node, name, true, ret, err);
  else
    error_nomem(err, "making a file in memory");
  memory_node_unref(node);
  return r;
}
