/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes of the stored descriptor: the content id at the first write, and
 * the metadata.
 *
 * An edit is made on a copy of the descriptor and becomes the link's when it
 * is stored. When the text keeps its length, as with a new content id, only
 * the sectors that differ are written in place. Else a descriptor of its own
 * file is replaced in one step, and an embedded one is written anew within
 * the area that its header reserves, padded with zeroes, or refused when it
 * does not fit.
 */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "format/drivers.h"
#include "format/vmdk/vmdk_link.h"

bool
vmdk_cid_parse(const char *text, uint32_t *ret)
{
  char *end;
  unsigned long long v = strtoull(text, &end, 16);

  if (end == text)
    return false;
  *ret = (uint32_t)v;
  return true;
}

/* --- Storing -------------------------------------------------------------- */

/* The first and the last byte that differ, as whole sectors of the area. */
static int
write_difference(struct vmdk_link *v, const char *text, size_t len,
                 struct vdk_error *err)
{
  size_t first = 0, end = len;

  while (first < end && text[first] == v->text[first])
    first++;
  while (end > first && text[end - 1] == v->text[end - 1])
    end--;
  if (first == end)
    return 0;
  first = round_down(first, 512);
  end = MIN(round_up(end, 512), len);
  return file_write(vmdk_text_file(v), v->area_offset + first, text + first,
                    end - first, err);
}

static int
write_embedded(struct vmdk_link *v, const char *text, size_t len,
               struct vdk_error *err)
{
  size_t size = round_up(MAX(len, v->text_len), 512);
  _cleanup_free_ char *buf = NULL;

  if (len > v->area_size)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s: the descriptor would have %zu bytes, but only %llu "
                     "are reserved for it in the file",
                     v->link.name, len, (unsigned long long)v->area_size);
  buf = calloc(1, size);
  if (!buf)
    return error_nomem(err, "writing a descriptor");
  memcpy(buf, text, len);
  return file_write(vmdk_text_file(v), v->area_offset, buf,
                    MIN(size, v->area_size), err);
}

/* The new file is opened and locked before the old one is let go. */
static int
replace_file(struct vmdk_link *v, const char *text, size_t len,
             struct vdk_error *err)
{
  _cleanup_file_ struct vdk_file *file = NULL;
  int r;

  r = dir_put(v->dir, v->name, text, len, true, err);
  if (r == 0)
    r = dir_open_file(v->dir, v->name, format_file_flags(v->flags), &file, err);
  if (r == 0)
    r = format_lock(file, v->flags, err);
  if (r != 0)
    return r;
  file_close(v->file);
  v->file = TAKE_PTR(file);
  return 0;
}

/* D, a changed copy, becomes the descriptor; taken over on success. */
static int
store(struct vmdk_link *v, struct vmdk_descriptor *d, struct vdk_error *err)
{
  char *text;
  size_t len;
  int r;

  r = vmdk_descriptor_print(d, &text, &len, err);
  if (r != 0)
    return r;
  if (len == v->text_len)
    r = write_difference(v, text, len, err);
  else if (v->embedded)
    r = write_embedded(v, text, len, err);
  else
    r = replace_file(v, text, len, err);
  if (r == 0)
    r = file_flush(vmdk_text_file(v), err);
  if (r != 0) {
    free(text);
    return error_prefix(err, "changing the descriptor of %s", v->link.name);
  }
  free(v->text);
  v->text = text;
  v->text_len = len;
  vmdk_descriptor_free(v->descriptor);
  v->descriptor = d;
  return 0;
}

/* --- Identity ------------------------------------------------------------- */

static int
set_cid(struct vmdk_descriptor *d, uint32_t cid, struct vdk_error *err)
{
  const char *long_id = vmdk_descriptor_ddb_get(d, "ddb.longContentID");
  char text[33];
  int r;

  snprintf(text, sizeof text, "%08x", cid);
  r = vmdk_descriptor_set(d, "CID", text, false, err);
  if (r != 0 || !long_id || strlen(long_id) != 32)
    return r;
  snprintf(text, sizeof text, "%.24s%08x", long_id, cid);
  return vmdk_descriptor_ddb_set(d, "ddb.longContentID", text, err);
}

/* Whoever tracks changes does not see ours: a tracking file left in place
 * would later be believed. */
static int
drop_change_tracking(struct vmdk_link *v, struct vmdk_descriptor *d,
                     struct vdk_error *err)
{
  const char *version = vmdk_descriptor_get(d, "version");
  int r;

  if (vmdk_descriptor_get(d, "changeTrackPath"))
    log_warning(v->log,
                "%s: changed block tracking ends here: this write is not in "
                "%s",
                v->link.name, vmdk_descriptor_get(d, "changeTrackPath"));
  r = vmdk_descriptor_set(d, "changeTrackPath", NULL, true, err);
  if (r == 0 && version && strcmp(version, "3") == 0)
    r = vmdk_descriptor_set(d, "version", "1", false, err);
  return r;
}

int
vmdk_begin(struct vmdk_link *v, struct vdk_error *err)
{
  struct vmdk_descriptor *d = NULL;
  uint32_t cid;
  int r;

  if (__atomic_load_n(&v->began, __ATOMIC_ACQUIRE))
    return 0;
  LOCK_SCOPE(&v->mutex);
  if (v->began)
    return 0;
  r = vmdk_new_cid(&cid, err);
  if (r == 0)
    r = vmdk_descriptor_parse(v->text, v->text_len, v->link.name, &d, err);
  if (r != 0)
    return r;
  r = set_cid(d, cid, err);
  if (r == 0)
    r = drop_change_tracking(v, d, err);
  if (r == 0)
    r = store(v, d, err);
  if (r != 0) {
    vmdk_descriptor_free(d);
    return r;
  }
  v->cid = cid;
  v->has_cid = true;
  __atomic_store_n(&v->began, true, __ATOMIC_RELEASE);
  return 0;
}

/* --- Metadata ------------------------------------------------------------- */

/* KEY with its "ddb." prefix, which callers may leave out. */
static char *
full_key(const char *key)
{
  return strncasecmp(key, "ddb.", 4) == 0 ? str_dup(key)
                                          : str_printf("ddb.%s", key);
}

int
vmdk_text_get(struct vmdk_link *v, const char *key, char **ret,
              struct vdk_error *err)
{
  _cleanup_free_ char *full = full_key(key);
  const char *value;
  char *copy;

  if (!full)
    return error_nomem(err, "reading metadata");
  LOCK_SCOPE(&v->mutex);
  value = vmdk_descriptor_ddb_get(v->descriptor, full);
  if (!value)
    return error_set(err, VDK_E_NO_KEY, "%s has no metadata key %s",
                     v->link.name, full);
  copy = str_dup(value);
  if (!copy)
    return error_nomem(err, "reading metadata");
  *ret = copy;
  return 0;
}

int
vmdk_text_set(struct vmdk_link *v, const char *key, const char *value,
              struct vdk_error *err)
{
  _cleanup_free_ char *full = full_key(key);
  struct vmdk_descriptor *d = NULL;
  int r;

  if (!full)
    return error_nomem(err, "writing metadata");
  LOCK_SCOPE(&v->mutex);
  r = vmdk_descriptor_parse(v->text, v->text_len, v->link.name, &d, err);
  if (r != 0)
    return r;
  r = vmdk_descriptor_ddb_set(d, full, value, err);
  if (r == 0)
    r = store(v, d, err);
  if (r != 0)
    vmdk_descriptor_free(d);
  return r;
}

struct pair {
  char *key, *value;
};

struct pair_list {
  struct pair *pairs;
  size_t count, capacity;
};

static void
pair_list_free(struct pair_list *list)
{
  for (size_t i = 0; i < list->count; i++) {
    free(list->pairs[i].key);
    free(list->pairs[i].value);
  }
  free(list->pairs);
}

static int
pair_list_add(void *opaque, const char *key, const char *value)
{
  struct pair_list *list = opaque;
  struct pair pair;

  if (!mem_grow(&list->pairs, &list->capacity, list->count + 1,
                sizeof *list->pairs))
    return -VDK_E_NOMEM;
  pair = (struct pair){str_dup(key), str_dup(value)};
  list->pairs[list->count++] = pair;
  return pair.key && pair.value ? 0 : -VDK_E_NOMEM;
}

/* The caller's function runs without our lock: it may call back. */
int
vmdk_text_list(struct vmdk_link *v,
               int (*fn)(void *opaque, const char *key, const char *value),
               void *opaque, struct vdk_error *err)
{
  _cleanup_(pair_list_free) struct pair_list list = {0};
  int r;

  pthread_mutex_lock(&v->mutex);
  r = vmdk_descriptor_ddb_list(v->descriptor, pair_list_add, &list);
  pthread_mutex_unlock(&v->mutex);
  if (r != 0)
    return error_nomem(err, "listing metadata");
  for (size_t i = 0; r == 0 && i < list.count; i++)
    r = fn(opaque, list.pairs[i].key, list.pairs[i].value);
  return r;
}
