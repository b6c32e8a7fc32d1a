/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The VMDK link: a row of extents, each a range of the disk, in order and
 * without gaps. A request goes to the extent that holds its first byte, found
 * by bisection, and on to the next ones where it is a write.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/str.h"
#include "format/drivers.h"
#include "format/vmdk/vmdk_link.h"

static struct vmdk_link *
link_of(struct vdk_link *l)
{
  return (struct vmdk_link *)l;
}

static size_t
extent_at(const struct vmdk_link *v, uint64_t offset)
{
  size_t low = 0, high = v->extent_count;

  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;

    if (v->extents[middle]->start <= offset)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* --- Requests ------------------------------------------------------------- */

static int
vmdk_read(struct vdk_link *l, uint64_t offset, void *buf, size_t len,
          size_t *ret_len, int *ret_state, struct vdk_error *err)
{
  struct vmdk_link *v = link_of(l);
  struct vmdk_extent *e = v->extents[extent_at(v, offset)];

  offset -= e->start;
  return e->ops->read(e, offset, buf, (size_t)MIN(len, e->size - offset),
                      ret_len, ret_state, err);
}

static int
vmdk_map(struct vdk_link *l, uint64_t offset, uint64_t len, uint64_t *ret_len,
         int *ret_state, struct vdk_error *err)
{
  struct vmdk_link *v = link_of(l);
  struct vmdk_extent *e = v->extents[extent_at(v, offset)];

  offset -= e->start;
  return e->ops->map(e, offset, MIN(len, e->size - offset), ret_len, ret_state,
                     err);
}

/* Nothing is changed unless every extent of the range can be. */
static int
check_writable(struct vmdk_link *v, uint64_t offset, uint64_t len, bool zero,
               struct vdk_error *err)
{
  for (size_t i = extent_at(v, offset);
       i < v->extent_count && v->extents[i]->start < offset + len; i++) {
    const struct vmdk_extent_ops *ops = v->extents[i]->ops;

    if (v->access[i] != VMDK_RW ||
        !(zero ? ops->zero != NULL : ops->write != NULL))
      return error_set(
          err, VDK_E_READ_ONLY, "%s: extent %zu cannot be written: it is %s",
          v->link.name, i + 1,
          v->access[i] != VMDK_RW ? "marked read-only" : ops->name);
  }
  return 0;
}

static int
vmdk_write(struct vdk_link *l, uint64_t offset, const void *buf, size_t len,
           struct vdk_error *err)
{
  struct vmdk_link *v = link_of(l);
  const uint8_t *data = buf;
  int r;

  r = check_writable(v, offset, len, false, err);
  if (r == 0)
    r = vmdk_begin(v, err);
  for (size_t i = extent_at(v, offset); r == 0 && len != 0; i++) {
    struct vmdk_extent *e = v->extents[i];
    uint64_t at = offset - e->start;
    size_t part = (size_t)MIN(len, e->size - at);

    r = e->ops->write(e, at, data, part, err);
    offset += part;
    data += part;
    len -= part;
  }
  return r;
}

static int
vmdk_zero(struct vdk_link *l, uint64_t offset, uint64_t len,
          struct vdk_error *err)
{
  struct vmdk_link *v = link_of(l);
  int r;

  r = check_writable(v, offset, len, true, err);
  if (r == 0)
    r = vmdk_begin(v, err);
  for (size_t i = extent_at(v, offset); r == 0 && len != 0; i++) {
    struct vmdk_extent *e = v->extents[i];
    uint64_t at = offset - e->start, part = MIN(len, e->size - at);

    r = e->ops->zero(e, at, part, err);
    offset += part;
    len -= part;
  }
  return r;
}

static int
vmdk_flush(struct vdk_link *l, struct vdk_error *err)
{
  struct vmdk_link *v = link_of(l);

  if (!__atomic_load_n(&v->began, __ATOMIC_ACQUIRE))
    return 0;
  for (size_t i = 0; i < v->extent_count; i++) {
    int r = v->extents[i]->ops->flush(v->extents[i], err);

    if (r != 0)
      return r;
  }
  return 0;
}

/* --- What the link tells of itself ---------------------------------------- */

static void
vmdk_info(struct vdk_link *l, struct link_info *ret)
{
  struct vmdk_link *v = link_of(l);
  uint64_t allocated = 0;
  unsigned files = 0;

  if (v->file) {
    allocated += format_allocated(v->file);
    files++;
  }
  for (size_t i = 0; i < v->extent_count; i++)
    if (v->extents[i]->file) {
      allocated += format_allocated(v->extents[i]->file);
      files++;
    }
  LOCK_SCOPE(&v->mutex);
  *ret = (struct link_info){
      .size = v->size,
      .granularity = v->granularity,
      .format = "vmdk",
      .type = v->type->name,
      .writable = (v->flags & FORMAT_WRITE) != 0,
      .has_parent = v->parent_hint != NULL,
      .cid = v->cid,
      .parent_cid = v->parent_cid,
      .has_cid = v->has_cid,
      .allocated = allocated,
      .file_count = files,
  };
}

static const char *
vmdk_parent_hint(struct vdk_link *l)
{
  return link_of(l)->parent_hint;
}

static int
vmdk_files(struct vdk_link *l,
           int (*fn)(void *opaque, const char *name, uint64_t size),
           void *opaque, struct vdk_error *err)
{
  struct vmdk_link *v = link_of(l);
  uint64_t size = 0;
  int r = 0;

  if (v->file) {
    r = file_size(v->file, &size, err);
    if (r == 0)
      r = fn(opaque, v->name, size);
  }
  for (size_t i = 0; r == 0 && i < v->extent_count; i++) {
    struct vmdk_extent *e = v->extents[i];

    if (!e->file)
      continue;
    r = file_size(e->file, &size, err);
    if (r == 0)
      r = fn(opaque, e->file_name, size);
  }
  return r;
}

static int
vmdk_meta_get(struct vdk_link *l, const char *key, char **ret,
              struct vdk_error *err)
{
  return vmdk_text_get(link_of(l), key, ret, err);
}

static int
vmdk_meta_set(struct vdk_link *l, const char *key, const char *value,
              struct vdk_error *err)
{
  return vmdk_text_set(link_of(l), key, value, err);
}

static int
vmdk_meta_list(struct vdk_link *l,
               int (*fn)(void *opaque, const char *key, const char *value),
               void *opaque, struct vdk_error *err)
{
  return vmdk_text_list(link_of(l), fn, opaque, err);
}

/* --- The end -------------------------------------------------------------- */

void
vmdk_link_free(struct vmdk_link *v)
{
  free(v->extents);
  free(v->access);
  file_close(v->file);
  vmdk_descriptor_free(v->descriptor);
  free(v->text);
  free(v->parent_hint);
  free(v->name);
  free(v->link.name);
  dir_unref(v->dir);
  pthread_mutex_destroy(&v->mutex);
  free(v);
}

/* Every extent is closed; the first error is the result. */
static int
vmdk_close(struct vdk_link *l, struct vdk_error *err)
{
  struct vmdk_link *v = link_of(l);
  int first = 0;

  for (size_t i = 0; i < v->extent_count; i++) {
    struct vmdk_extent *e = v->extents[i];
    int r = e->ops->close(e, first ? NULL : err);

    if (first == 0)
      first = r;
  }
  vmdk_link_free(v);
  return first;
}

const struct link_ops vmdk_link_ops = {
    .name = "vmdk",
    .info = vmdk_info,
    .read = vmdk_read,
    .map = vmdk_map,
    .write = vmdk_write,
    .zero = vmdk_zero,
    .flush = vmdk_flush,
    .parent_hint = vmdk_parent_hint,
    .meta_get = vmdk_meta_get,
    .meta_set = vmdk_meta_set,
    .meta_list = vmdk_meta_list,
    .files = vmdk_files,
    .close = vmdk_close,
};

/* --- The format ----------------------------------------------------------- */

static const struct {
  const char *magic;
  size_t len;
} magics[] = {
    {"KDMV", 4},
    {"kdmv", 4},
    {"COWD", 4},
    {"\xbe\xba\xfe\xca\0\0\0\0", 8},
};

/* True when LINE, of a text, starts with KEY and an '=' (any case, blanks). */
static bool
text_has_key(const char *text, size_t len, const char *key)
{
  size_t key_len = strlen(key);

  for (size_t i = 0; i + key_len < len; i++) {
    size_t at = i + key_len;

    if (i != 0 && text[i - 1] != '\n' && text[i - 1] != ' ' &&
        text[i - 1] != '\t')
      continue;
    if (strncasecmp(text + i, key, key_len) != 0)
      continue;
    while (at < len && (text[at] == ' ' || text[at] == '\t'))
      at++;
    if (at < len && text[at] == '=')
      return true;
  }
  return false;
}

static int
vmdk_probe(const uint8_t *head, size_t len, uint64_t file_size)
{
  const char *text = (const char *)head;
  size_t text_len = strnlen(text, len);

  for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
    if (len >= magics[i].len &&
        memcmp(head, magics[i].magic, magics[i].len) == 0)
      return 100;
  if (file_size > VMDK_DESCRIPTOR_MAX)
    return 0;
  if (text_has_key(text, text_len, "createType"))
    return 90;
  return text_has_key(text, text_len, "version") &&
                 text_has_key(text, text_len, "CID")
             ? 80
             : 0;
}

static bool
vmdk_knows_type(const char *type)
{
  const struct vmdk_type *t = vmdk_type_find(type);

  return t && t->layout != LAYOUT_UNSUPPORTED;
}

static bool
vmdk_is_stream(const char *type)
{
  const struct vmdk_type *t = vmdk_type_find(type);

  return t && t->layout == LAYOUT_STREAM;
}

const struct format format_vmdk = {
    .name = "vmdk",
    .probe = vmdk_probe,
    .open = vmdk_open,
    .knows_type = vmdk_knows_type,
    .create = vmdk_create,
    .is_stream = vmdk_is_stream,
    .stream_sink = vmdk_stream_sink,
    .stream_source = vmdk_stream_source,
};
