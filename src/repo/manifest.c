/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Manifests, docs/formats/vmbk.md section 8.
 *
 * What a manifest says is used to allocate, to name files and to walk maps,
 * so that every field is bounded here, once, for all that reads points.
 */
#include "repo/manifest.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "repo/id.h"
#include "repo/seal.h"

enum { TEXT_MAX = 4096, LONG_TEXT_MAX = 65536 };

static const char *const method_names[] = {
    [REPO_FULL] = "full",
    [REPO_RANGES] = "ranges",
    [REPO_COMPARE] = "compare",
};

/* --- Names --------------------------------------------------------------- */

/* PATTERN: x a hex digit, 9 a digit, anything else itself. */
static bool
fits_pattern(const char *s, const char *pattern)
{
  if (strlen(s) != strlen(pattern))
    return false;
  for (; *s; s++, pattern++)
    if (*pattern == 'x'   ? !strchr("0123456789abcdef", *s)
        : *pattern == '9' ? *s < '0' || *s > '9'
                          : *s != *pattern)
      return false;
  return true;
}

bool
uuid_is_valid(const char *uuid)
{
  return fits_pattern(uuid, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
}

bool
point_id_is_valid(const char *id)
{
  return fits_pattern(id, "99999999t999999z-xxxxxxxx");
}

const char *
point_key(const char *vm_uuid, const char *id, char *buf)
{
  snprintf(buf, POINT_KEY_SIZE, "vm/%s/%s.json", vm_uuid, id);
  return buf;
}

bool
repo_disk_key_is_valid(const char *key)
{
  size_t len = strlen(key);

  return len >= 1 && len <= VMBK_KEY_MAX &&
         strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                     "0123456789:._-") == len;
}

bool
repo_file_name_is_valid(const char *name)
{
  size_t len = strlen(name);

  return len >= 1 && len <= VMBK_NAME_MAX && !strchr(name, '/') &&
         strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* --- Encoding ------------------------------------------------------------ */

static bool
put(json_t *o, const char *key, json_t *value)
{
  return json_object_set_new(o, key, value) == 0;
}

static bool
put_text(json_t *o, const char *key, const char *s)
{
  return put(o, key, seal_string(s));
}

static bool
put_u64(json_t *o, const char *key, uint64_t v)
{
  return put(o, key, json_integer((json_int_t)v));
}

static bool
put_id(json_t *o, const char *key, const struct repo_id *id)
{
  char hex[ID_HEX_SIZE];

  return put(o, key, json_string(id_hex(id, hex)));
}

static json_t *
encode_meta(char **meta)
{
  _cleanup_json_ json_t *o = json_object();

  for (size_t i = 0; o && meta && meta[i] && meta[i + 1]; i += 2) {
    _cleanup_json_ json_t *key = seal_string(meta[i]);

    if (!key || !put(o, json_string_value(key), seal_string(meta[i + 1])))
      return NULL;
  }
  return TAKE_PTR(o);
}

static json_t *
encode_disk(const struct repo_point_disk *d)
{
  _cleanup_json_ json_t *o = json_object();

  if (!o || !put_text(o, "key", d->key) || !put_text(o, "file", d->file) ||
      !put_u64(o, "size", d->size) || !put_text(o, "format", d->format) ||
      !put_id(o, "root", &d->root) ||
      (d->change_id && !put_text(o, "change_id", d->change_id)) ||
      !put_text(o, "method", method_names[d->method]) ||
      !put_u64(o, "bytes_read", d->bytes_read) ||
      !put_u64(o, "bytes_stored", d->bytes_stored) ||
      !put_u64(o, "bytes_data", d->bytes_data) ||
      !put(o, "meta", encode_meta(d->meta)))
    return NULL;
  return TAKE_PTR(o);
}

static json_t *
encode_file(const struct repo_point_file *f)
{
  _cleanup_json_ json_t *o = json_object(), *chunks = json_array();
  char hex[ID_HEX_SIZE];

  if (!o || !chunks)
    return NULL;
  for (size_t i = 0; i < f->chunk_count; i++)
    if (json_array_append_new(chunks,
                              json_string(id_hex(&f->chunks[i], hex))) != 0)
      return NULL;
  if (!put_text(o, "name", f->name) || !put_text(o, "role", f->role) ||
      !put_u64(o, "size", f->size) || !put_id(o, "sha256", &f->sha256) ||
      !put(o, "chunks", TAKE_PTR(chunks)))
    return NULL;
  return TAKE_PTR(o);
}

static json_t *
encode_point(const struct repo_point *p, const char *repo_uuid)
{
  _cleanup_json_ json_t *o = json_object(), *disks = json_array(),
                        *files = json_array(), *warnings = json_array();

  if (!o || !disks || !files || !warnings)
    return NULL;
  for (size_t i = 0; i < p->disk_count; i++)
    if (json_array_append_new(disks, encode_disk(&p->disks[i])) != 0)
      return NULL;
  for (size_t i = 0; i < p->file_count; i++)
    if (json_array_append_new(files, encode_file(&p->files[i])) != 0)
      return NULL;
  for (size_t i = 0; p->warnings && p->warnings[i]; i++)
    if (json_array_append_new(warnings, seal_string(p->warnings[i])) != 0)
      return NULL;
  if (!put_text(o, "format", "vmbk-point") ||
      !put_u64(o, "version", VMBK_VERSION) || !put_text(o, "repo", repo_uuid) ||
      !put_text(o, "id", p->id) || !put_text(o, "vm_uuid", p->vm_uuid) ||
      !put_text(o, "vm_name", p->vm_name) ||
      !put_text(o, "parent", p->parent) ||
      !put_text(o, "created", p->created) ||
      !put_text(o, "source", p->source) ||
      !put_text(o, "consistency", p->consistency) ||
      !put_text(o, "tool", p->tool) || !put_text(o, "host", p->host) ||
      !put(o, "ranges_lost", json_boolean(p->ranges_lost)) ||
      !put_u64(o, "seconds", p->seconds) || !put(o, "disks", TAKE_PTR(disks)) ||
      !put(o, "files", TAKE_PTR(files)) ||
      !put(o, "warnings", TAKE_PTR(warnings)))
    return NULL;
  return TAKE_PTR(o);
}

int
manifest_make(const struct repo_point *p, const char *repo_uuid,
              uint32_t chunk_size, char **ret, size_t *ret_len,
              struct vdk_error *err)
{
  _cleanup_json_ json_t *object = encode_point(p, repo_uuid);
  _cleanup_point_ struct repo_point *again = NULL;
  _cleanup_free_ char *text = NULL;
  char key[POINT_KEY_SIZE];
  struct vdk_error why = VDK_ERROR_INIT;
  size_t len;
  int r;

  if (!object)
    return error_nomem(err, "writing a restore point");
  r = seal_make(object, &text, &len, err);
  if (r)
    return r;
  r = manifest_read(text, len, point_key(p->vm_uuid, p->id, key), repo_uuid,
                    chunk_size, &again, &why);
  if (r == -VDK_E_DAMAGED)
    return error_set(err, VDK_E_INVAL,
                     "the restore point cannot be written, for no reader "
                     "would take it: %s",
                     vdk_error_message(&why));
  if (r)
    return error_copy(err, &why);
  *ret = TAKE_PTR(text);
  *ret_len = len;
  return 0;
}

/* --- Decoding ------------------------------------------------------------ */

/* What was wrong: the first word counts. */
struct decoder {
  const char *problem;
  bool nomem;
};

static bool
bad(struct decoder *d, const char *what)
{
  if (!d->problem)
    d->problem = what;
  return false;
}

static bool
get_text(struct decoder *d, const json_t *o, const char *key, char **ret)
{
  return seal_get_string(o, key, TEXT_MAX, ret, &d->nomem) || bad(d, key);
}

static bool
get_u64(struct decoder *d, const json_t *o, const char *key, uint64_t max,
        uint64_t *ret)
{
  return seal_get_u64(o, key, max, ret) || bad(d, key);
}

static bool
decode_meta(struct decoder *d, const json_t *disk, char ***ret)
{
  json_t *o = json_object_get(disk, "meta"), *value;
  const char *key;
  size_t n = 0;
  char **meta;

  if (!o)
    return true;
  if (!json_is_object(o) || json_object_size(o) > VMBK_META_MAX)
    return bad(d, "meta");
  *ret = meta = mem_array(2 * json_object_size(o) + 1, sizeof *meta);
  if (!meta)
    return !(d->nomem = true);
  json_object_foreach(o, key, value)
  {
    if (strlen(key) > TEXT_MAX)
      return bad(d, "meta");
    if (!(meta[n++] = str_dup(key)))
      return !(d->nomem = true);
    if (!seal_get_string(o, key, LONG_TEXT_MAX, &meta[n++], &d->nomem))
      return bad(d, "meta");
  }
  return true;
}

static bool
decode_method(struct decoder *d, const json_t *o, int *ret)
{
  char name[16];

  if (seal_get_text(o, "method", name, sizeof name))
    for (size_t i = 0; i < ARRAY_SIZE(method_names); i++)
      if (strcmp(name, method_names[i]) == 0) {
        *ret = (int)i;
        return true;
      }
  return bad(d, "method");
}

static bool
decode_disk(struct decoder *d, const json_t *o, struct repo_point_disk *disk)
{
  if (!get_text(d, o, "key", &disk->key) ||
      !get_text(d, o, "file", &disk->file) ||
      !get_u64(d, o, "size", VMBK_DISK_MAX, &disk->size) ||
      !get_text(d, o, "format", &disk->format) ||
      !decode_method(d, o, &disk->method) ||
      !get_u64(d, o, "bytes_read", INT64_MAX, &disk->bytes_read) ||
      !get_u64(d, o, "bytes_stored", INT64_MAX, &disk->bytes_stored) ||
      !get_u64(d, o, "bytes_data", INT64_MAX, &disk->bytes_data) ||
      !decode_meta(d, o, &disk->meta))
    return false;
  if (!repo_disk_key_is_valid(disk->key))
    return bad(d, "key");
  if (!seal_get_id(o, "root", &disk->root) ||
      (disk->size == 0 && !id_is_zero(&disk->root)))
    return bad(d, "root");
  if (json_object_get(o, "change_id") &&
      !seal_get_string(o, "change_id", LONG_TEXT_MAX, &disk->change_id,
                       &d->nomem))
    return bad(d, "change_id");
  return true;
}

static bool
decode_file(struct decoder *d, const json_t *o, uint32_t chunk_size,
            struct repo_point_file *f)
{
  const json_t *chunks;

  if (!get_text(d, o, "name", &f->name) || !get_text(d, o, "role", &f->role) ||
      !get_u64(d, o, "size", VMBK_FILE_MAX, &f->size))
    return false;
  if (!repo_file_name_is_valid(f->name))
    return bad(d, "name");
  if (!seal_get_id(o, "sha256", &f->sha256))
    return bad(d, "sha256");
  f->chunk_count = div_round_up(f->size, chunk_size);
  if (!seal_get_array(o, "chunks", f->chunk_count, &chunks) ||
      json_array_size(chunks) != f->chunk_count)
    return bad(d, "chunks");
  f->chunks = mem_array(f->chunk_count, sizeof *f->chunks);
  if (!f->chunks)
    return !(d->nomem = true);
  for (size_t i = 0; i < f->chunk_count; i++) {
    const char *hex = json_string_value(json_array_get(chunks, i));

    if (!hex || !id_parse(hex, &f->chunks[i]))
      return bad(d, "chunks");
  }
  return true;
}

static bool
disks_are_unique(const struct repo_point *p)
{
  for (size_t i = 0; i < p->disk_count; i++)
    for (size_t k = 0; k < i; k++)
      if (strcmp(p->disks[i].key, p->disks[k].key) == 0)
        return false;
  return true;
}

static bool
files_are_unique(const struct repo_point *p)
{
  for (size_t i = 0; i < p->file_count; i++)
    for (size_t k = 0; k < i; k++)
      if (strcmp(p->files[i].name, p->files[k].name) == 0)
        return false;
  return true;
}

static bool
decode_lists(struct decoder *d, const json_t *o, uint32_t chunk_size,
             struct repo_point *p)
{
  const json_t *disks, *files;

  if (!seal_get_array(o, "disks", VMBK_DISKS_MAX, &disks))
    return bad(d, "disks");
  if (!seal_get_array(o, "files", VMBK_FILES_MAX, &files))
    return bad(d, "files");
  p->disks = mem_array(json_array_size(disks), sizeof *p->disks);
  p->files = mem_array(json_array_size(files), sizeof *p->files);
  if (!p->disks || !p->files)
    return !(d->nomem = true);
  for (size_t i = 0; i < json_array_size(disks); i++) {
    p->disk_count++;
    if (!decode_disk(d, json_array_get(disks, i), &p->disks[i]))
      return false;
  }
  for (size_t i = 0; i < json_array_size(files); i++) {
    p->file_count++;
    if (!decode_file(d, json_array_get(files, i), chunk_size, &p->files[i]))
      return false;
  }
  return (disks_are_unique(p) || bad(d, "disks")) &&
         (files_are_unique(p) || bad(d, "files"));
}

static bool
decode_warnings(struct decoder *d, const json_t *o, struct repo_point *p)
{
  const json_t *list;

  if (!seal_get_array(o, "warnings", VMBK_WARNINGS_MAX, &list))
    return bad(d, "warnings");
  p->warnings = mem_array(json_array_size(list) + 1, sizeof *p->warnings);
  if (!p->warnings)
    return !(d->nomem = true);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const char *text = json_string_value(json_array_get(list, i));

    if (!text || strlen(text) > LONG_TEXT_MAX)
      return bad(d, "warnings");
    if (!(p->warnings[i] = str_dup(text)))
      return !(d->nomem = true);
  }
  return true;
}

/* The manifest stands where it says, in the repository it says. */
static bool
decode_place(struct decoder *d, const json_t *o, const char *key,
             const char *repo_uuid, struct repo_point *p)
{
  char text[POINT_KEY_SIZE];
  uint64_t version;

  if (!seal_get_text(o, "format", text, sizeof text) ||
      strcmp(text, "vmbk-point") != 0)
    return bad(d, "format");
  if (!seal_get_u64(o, "version", UINT32_MAX, &version) ||
      version != VMBK_VERSION)
    return bad(d, "version");
  if (!seal_get_text(o, "repo", text, sizeof text) ||
      strcmp(text, repo_uuid) != 0)
    return bad(d, "repo");
  if (!seal_get_text(o, "vm_uuid", p->vm_uuid, sizeof p->vm_uuid) ||
      !uuid_is_valid(p->vm_uuid))
    return bad(d, "vm_uuid");
  if (!seal_get_text(o, "id", p->id, sizeof p->id) ||
      !point_id_is_valid(p->id) ||
      strcmp(point_key(p->vm_uuid, p->id, text), key) != 0)
    return bad(d, "id");
  if (!seal_get_text(o, "parent", p->parent, sizeof p->parent) ||
      (p->parent[0] && !point_id_is_valid(p->parent)))
    return bad(d, "parent");
  return true;
}

static bool
decode_point(struct decoder *d, const json_t *o, const char *key,
             const char *repo_uuid, uint32_t chunk_size, struct repo_point *p)
{
  if (!decode_place(d, o, key, repo_uuid, p) ||
      !get_text(d, o, "vm_name", &p->vm_name) ||
      !get_text(d, o, "source", &p->source) ||
      !get_text(d, o, "consistency", &p->consistency) ||
      !get_text(d, o, "tool", &p->tool) || !get_text(d, o, "host", &p->host) ||
      !get_u64(d, o, "seconds", INT64_MAX, &p->seconds))
    return false;
  if (!seal_get_text(o, "created", p->created, sizeof p->created))
    return bad(d, "created");
  if (!seal_get_bool(o, "ranges_lost", &p->ranges_lost))
    return bad(d, "ranges_lost");
  return decode_lists(d, o, chunk_size, p) && decode_warnings(d, o, p);
}

int
manifest_read(const char *text, size_t len, const char *key,
              const char *repo_uuid, uint32_t chunk_size,
              struct repo_point **ret, struct vdk_error *err)
{
  _cleanup_json_ json_t *object = NULL;
  _cleanup_point_ struct repo_point *p = mem_array(1, sizeof *p);
  struct decoder d = {0};
  int r;

  if (!p)
    return error_nomem(err, "reading a restore point");
  r = seal_open(text, len, key, &object, err);
  if (r)
    return r;
  if (!decode_point(&d, object, key, repo_uuid, chunk_size, p))
    return d.nomem ? error_nomem(err, "reading a restore point")
                   : error_set(err, VDK_E_DAMAGED,
                               "%s is damaged: its \"%s\" is missing or wrong",
                               key, d.problem ? d.problem : "contents");
  *ret = TAKE_PTR(p);
  return 0;
}
