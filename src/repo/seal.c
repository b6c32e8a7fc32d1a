/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seal is taken over text, not over values, so that it needs no canonical
 * form: the closing brace of the object is cut off, and the digest of what is
 * left follows as one more key.
 */
#include "repo/seal.h"

#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "repo/id.h"

#define SEAL_HEAD ",\"sha256\":\""
#define SEAL_TAIL "\"}\n"

enum { HEAD_LEN = sizeof SEAL_HEAD - 1, HEX_LEN = 2 * REPO_ID_SIZE };

int
seal_make(const json_t *object, char **ret, size_t *ret_len,
          struct vdk_error *err)
{
  _cleanup_strbuf_ struct strbuf text = {0};
  _cleanup_free_ char *body = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
  struct repo_id id;
  char hex[ID_HEX_SIZE];
  size_t len;
  int r;

  if (!body)
    return error_nomem(err, "writing JSON");
  len = strlen(body) - 1;
  r = id_of(body, len, &id, err);
  if (r)
    return r;
  strbuf_append_bytes(&text, body, len);
  strbuf_printf(&text, SEAL_HEAD "%s" SEAL_TAIL, id_hex(&id, hex));
  len = text.len;
  *ret = strbuf_take(&text);
  if (!*ret)
    return error_nomem(err, "writing JSON");
  *ret_len = len;
  return 0;
}

static int
damaged(struct vdk_error *err, const char *name, const char *problem)
{
  return error_set(err, VDK_E_DAMAGED, "%s is damaged: %s", name, problem);
}

int
seal_open(const char *text, size_t len, const char *name, json_t **ret,
          struct vdk_error *err)
{
  struct repo_id want, got;
  char hex[ID_HEX_SIZE];
  const char *seal;
  json_error_t why;
  json_t *object;
  int r;

  if (len <= SEAL_SIZE)
    return damaged(err, name, "it is too short");
  seal = text + len - SEAL_SIZE;
  memcpy(hex, seal + HEAD_LEN, HEX_LEN);
  hex[HEX_LEN] = 0;
  if (memcmp(seal, SEAL_HEAD, HEAD_LEN) != 0 ||
      memcmp(seal + HEAD_LEN + HEX_LEN, SEAL_TAIL, sizeof SEAL_TAIL - 1) != 0 ||
      !id_parse(hex, &want))
    return damaged(err, name, "it does not end with its checksum");
  r = id_of(text, len - SEAL_SIZE, &got, err);
  if (r)
    return r;
  if (!id_equal(&want, &got))
    return damaged(err, name, "its checksum is wrong");
  object = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
  if (!object && json_error_code(&why) == json_error_out_of_memory)
    return error_nomem(err, "reading JSON");
  if (!object)
    return damaged(err, name, why.text);
  if (!json_is_object(object)) {
    json_decref(object);
    return damaged(err, name, "it is no JSON object");
  }
  *ret = object;
  return 0;
}

/* Length of the UTF-8 character at S, 0 when there is none. */
static size_t
utf8_len(const unsigned char *s)
{
  static const struct {
    unsigned char mask, lead;
    uint32_t min;
  } forms[] = {{0x80, 0, 0},
               {0xe0, 0xc0, 0x80},
               {0xf0, 0xe0, 0x800},
               {0xf8, 0xf0, 0x10000}};

  for (size_t n = 0; n < ARRAY_SIZE(forms); n++) {
    uint32_t code = s[0] & (unsigned char)~forms[n].mask;

    if ((s[0] & forms[n].mask) != forms[n].lead)
      continue;
    for (size_t i = 1; i <= n; i++) {
      if ((s[i] & 0xc0) != 0x80)
        return 0;
      code = code << 6 | (s[i] & 0x3f);
    }
    if (code < forms[n].min || code > 0x10ffff ||
        (code >= 0xd800 && code <= 0xdfff))
      return 0;
    return n + 1;
  }
  return 0;
}

/* What bounded_text refuses must not be written either. */
static bool
is_control(unsigned char c)
{
  return (c < 0x20 && c != '\t') || c == 0x7f;
}

static bool
is_clean(const char *s)
{
  for (; *s; s++)
    if (is_control((unsigned char)*s))
      return false;
  return true;
}

json_t *
seal_string(const char *s)
{
  _cleanup_strbuf_ struct strbuf text = {0};
  json_t *plain;

  if (!s || is_clean(s)) {
    plain = json_string(s ? s : "");
    if (plain || !s)
      return plain;
  }
  while (*s) {
    size_t n = utf8_len((const unsigned char *)s);

    if (n && !is_control((unsigned char)*s))
      strbuf_append_bytes(&text, s, n);
    else
      strbuf_append(&text, "\xef\xbf\xbd");
    s += n ? n : 1;
  }
  return text.failed ? NULL : json_string(text.text ? text.text : "");
}

bool
seal_get_u64(const json_t *o, const char *key, uint64_t max, uint64_t *ret)
{
  const json_t *v = json_object_get(o, key);

  if (!json_is_integer(v) || json_integer_value(v) < 0 ||
      (uint64_t)json_integer_value(v) > max)
    return false;
  *ret = (uint64_t)json_integer_value(v);
  return true;
}

bool
seal_get_bool(const json_t *o, const char *key, bool *ret)
{
  const json_t *v = json_object_get(o, key);

  if (!json_is_boolean(v))
    return false;
  *ret = json_is_true(v);
  return true;
}

static const char *
bounded_text(const json_t *o, const char *key, size_t max)
{
  const json_t *v = json_object_get(o, key);
  const char *s = json_string_value(v);

  if (!s || json_string_length(v) > max || strlen(s) > max)
    return NULL;
  return is_clean(s) ? s : NULL;
}

bool
seal_get_string(const json_t *o, const char *key, size_t max, char **ret,
                bool *ret_nomem)
{
  const char *s = bounded_text(o, key, max);
  char *copy;

  if (!s)
    return false;
  copy = str_dup(s);
  if (!copy) {
    *ret_nomem = true;
    return false;
  }
  *ret = copy;
  return true;
}

bool
seal_get_text(const json_t *o, const char *key, char *ret, size_t size)
{
  const char *s = bounded_text(o, key, size - 1);

  if (!s)
    return false;
  memcpy(ret, s, strlen(s) + 1);
  return true;
}

bool
seal_get_id(const json_t *o, const char *key, struct repo_id *ret)
{
  const char *s = json_string_value(json_object_get(o, key));

  return s && id_parse(s, ret);
}

bool
seal_get_array(const json_t *o, const char *key, size_t max, const json_t **ret)
{
  const json_t *v = json_object_get(o, key);

  if (!json_is_array(v) || json_array_size(v) > max)
    return false;
  *ret = v;
  return true;
}
