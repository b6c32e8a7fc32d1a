/* SPDX-License-Identifier: BSD-3-Clause */
/* What is the same for every store: keys, whole objects, the way in. */
#include "store/store.h"

#include <string.h>

#include "base/error.h"
#include "base/str.h"
#include "file/file.h"

enum { STORE_KEY_MAX = 200 };

bool
store_key_is_valid(const char *key)
{
  size_t len = strlen(key);

  if (len == 0 || len > STORE_KEY_MAX || key[len - 1] == '/' ||
      strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789/_.-") != len)
    return false;
  /* No part is empty or starts with a dot. */
  for (const char *part = key; part; part = strchr(part, '/')) {
    part += part != key;
    if (*part == '/' || *part == '.')
      return false;
  }
  return true;
}

static int
check_key(struct vdk_store *s, const char *key, struct vdk_error *err)
{
  if (store_key_is_valid(key))
    return 0;
  return error_set(err, VDK_E_INVAL, "%s: \"%.200s\" is no object key", s->name,
                   key);
}

int
store_put(struct vdk_store *s, const char *key, const void *data, size_t size,
          struct vdk_error *err)
{
  int ret = check_key(s, key, err);

  return ret ? ret : s->ops->put(s, key, data, size, err);
}

int
store_put_new(struct vdk_store *s, const char *key, const void *data,
              size_t size, struct vdk_error *err)
{
  int ret = check_key(s, key, err);

  return ret ? ret : s->ops->put_new(s, key, data, size, err);
}

int
store_get(struct vdk_store *s, const char *key, uint64_t offset, void *buf,
          size_t len, struct vdk_error *err)
{
  int ret = check_key(s, key, err);

  return ret ? ret : s->ops->get(s, key, offset, buf, len, err);
}

int
store_get_all(struct vdk_store *s, const char *key, size_t max, char **ret,
              size_t *ret_len, struct vdk_error *err)
{
  _cleanup_free_ char *text = NULL;
  uint64_t size;
  int r = store_head(s, key, &size, err);

  if (r)
    return r;
  if (size > max)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s/%s has %llu bytes; at most %zu are allowed", s->name,
                     key, (unsigned long long)size, max);
  text = malloc(size + 1);
  if (!text)
    return error_nomem(err, "reading an object");
  r = size ? s->ops->get(s, key, 0, text, size, err) : 0;
  if (r)
    return r;
  text[size] = 0;
  *ret = TAKE_PTR(text);
  *ret_len = size;
  return 0;
}

int
store_head(struct vdk_store *s, const char *key, uint64_t *ret_size,
           struct vdk_error *err)
{
  int ret = check_key(s, key, err);

  return ret ? ret : s->ops->head(s, key, ret_size, err);
}

int
store_list(struct vdk_store *s, const char *prefix,
           int (*fn)(void *opaque, const struct store_entry *e), void *opaque,
           struct vdk_error *err)
{
  return s->ops->list(s, prefix, fn, opaque, err);
}

int
store_remove(struct vdk_store *s, const char *key, struct vdk_error *err)
{
  int ret = check_key(s, key, err);

  return ret ? ret : s->ops->remove(s, key, err);
}

int
store_sync(struct vdk_store *s, struct vdk_error *err)
{
  return s->ops->sync(s, err);
}

unsigned
store_caps(struct vdk_store *s)
{
  return s->ops->caps(s);
}

void
store_close(struct vdk_store *s)
{
  if (s)
    s->ops->close(s);
}

/* The folder WHERE, without the slashes that shells append. */
static char *
without_slashes(const char *where)
{
  size_t len = strlen(where);

  while (len > 1 && where[len - 1] == '/')
    len--;
  return str_ndup(where, len);
}

static int
make_folder(const char *path, struct vdk_error *err)
{
  _cleanup_dir_ struct vdk_dir *above = NULL;
  _cleanup_free_ char *parent = path_dirname(path);
  int r;

  if (!parent)
    return error_nomem(err, "making a repository");
  r = dir_local_open(parent, 0, &above, err);
  if (r)
    return r;
  r = dir_make(above, path_basename(path), err);
  return r ? r : dir_sync(above, ".", err);
}

int
store_open(const char *where, bool create, struct vdk_store **ret,
           struct vdk_error *err)
{
  _cleanup_dir_ struct vdk_dir *dir = NULL;
  _cleanup_free_ char *path = without_slashes(where);
  int r;

  if (!path)
    return error_nomem(err, "opening a repository");
  if (strstr(where, "://"))
    return error_set(err, VDK_E_UNSUPPORTED,
                     "cannot open repository %s: only a local folder can hold "
                     "one in this version",
                     where);
  if (create && strcmp(path, "/") != 0 && strcmp(path, ".") != 0) {
    r = make_folder(path, err);
    if (r)
      return r;
  }
  r = dir_local_open(path, 0, &dir, err);
  if (r == -VDK_E_NOT_FOUND && !create)
    return error_set(err, VDK_E_NOT_A_REPO,
                     "there is no repository at %s: no such folder", where);
  return r ? r : store_dir_new(dir, ret, err);
}
