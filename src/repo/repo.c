/* SPDX-License-Identifier: BSD-3-Clause */
/* The repository: its configuration, making and opening it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "repo/internal.h"
#include "repo/manifest.h"
#include "repo/seal.h"

#define CONFIG_KEY "vmbk.json"

enum { LEVEL_DEFAULT = 1, LEVEL_MAX = 19, FEATURES_MAX = 64 };

/* --- Making -------------------------------------------------------------- */

static int
make_uuid(char *ret, size_t size, struct vdk_error *err)
{
  uint8_t b[16];
  char hex[33];
  int r = sys_random(b, sizeof b, err);

  if (r)
    return r;
  b[6] = (b[6] & 0x0f) | 0x40; /* version 4: random */
  b[8] = (b[8] & 0x3f) | 0x80;
  hex_encode(b, sizeof b, hex);
  snprintf(ret, size, "%.8s-%.4s-%.4s-%.4s-%s", hex, hex + 8, hex + 12,
           hex + 16, hex + 20);
  return 0;
}

static json_t *
encode_config(const char *uuid, uint32_t chunk_size, int level)
{
  char created[32];
  time_t now = time(NULL);
  struct tm tm;

  gmtime_r(&now, &tm);
  strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &tm);
  return json_pack("{s:s, s:i, s:s, s:s, s:s, s:I, s:s, s:i, s:[], s:[], s:[]}",
                   "format", "vmbk", "version", (int)VMBK_VERSION, "uuid", uuid,
                   "created", created, "tool", "vdkit", "chunk_size",
                   (json_int_t)chunk_size, "hash", "sha256", "level", level,
                   "incompat", "ro_compat", "keys");
}

static bool
chunk_size_is_valid(uint64_t size)
{
  return is_power_of_2(size) && size >= REPO_CHUNK_SIZE_MIN &&
         size <= REPO_CHUNK_SIZE_MAX;
}

int
repo_create(struct vdk_store *store, const struct repo_create *options,
            struct vdk_error *err)
{
  static const struct repo_create none;
  const struct repo_create *o = options ? options : &none;
  uint32_t chunk_size = o->chunk_size ? o->chunk_size : REPO_CHUNK_SIZE_DEFAULT;
  int level = o->level ? o->level : LEVEL_DEFAULT, r;
  _cleanup_json_ json_t *config = NULL;
  _cleanup_free_ char *text = NULL;
  char uuid[40];
  size_t len;

  if (!chunk_size_is_valid(chunk_size))
    return error_set(err, VDK_E_INVAL,
                     "a chunk size of %u bytes is not possible: take a power "
                     "of two from %u to %u",
                     chunk_size, REPO_CHUNK_SIZE_MIN, REPO_CHUNK_SIZE_MAX);
  if (level < 1 || level > LEVEL_MAX)
    return error_set(err, VDK_E_INVAL,
                     "a compression level of %d is not possible: take 1 to %d",
                     level, LEVEL_MAX);
  r = make_uuid(uuid, sizeof uuid, err);
  if (r)
    return r;
  config = encode_config(uuid, chunk_size, level);
  if (!config)
    return error_nomem(err, "making a repository");
  r = seal_make(config, &text, &len, err);
  if (r)
    return r;
  r = store_put_new(store, CONFIG_KEY, text, len, err);
  if (r == -VDK_E_EXISTS)
    return error_set(err, VDK_E_EXISTS, "there is already a repository at %s",
                     store->name);
  return r;
}

/* --- Opening ------------------------------------------------------------- */

static int
bad_config(struct repo *r, const char *what, struct vdk_error *err)
{
  return error_set(err, VDK_E_DAMAGED,
                   "%s/" CONFIG_KEY " is damaged: its \"%s\" is missing or "
                   "wrong",
                   r->store->name, what);
}

/* The first feature of a list, none of which version 1 knows. */
static int
first_feature(struct repo *r, const json_t *config, const char *key,
              const char **ret, struct vdk_error *err)
{
  const json_t *list;

  *ret = NULL;
  if (!seal_get_array(config, key, FEATURES_MAX, &list))
    return bad_config(r, key, err);
  if (json_array_size(list) > 0) {
    *ret = json_string_value(json_array_get(list, 0));
    if (!*ret)
      return bad_config(r, key, err);
  }
  return 0;
}

static int
check_version(struct repo *r, const json_t *config, struct vdk_error *err)
{
  const char *feature;
  char text[32];
  uint64_t version;
  int n;

  if (!seal_get_text(config, "format", text, sizeof text) ||
      strcmp(text, "vmbk") != 0)
    return error_set(err, VDK_E_NOT_A_REPO,
                     "%s/" CONFIG_KEY " is not that of a vmbk repository",
                     r->store->name);
  if (!seal_get_u64(config, "version", UINT32_MAX, &version))
    return bad_config(r, "version", err);
  if (version != VMBK_VERSION)
    return error_set(err, VDK_E_VERSION,
                     "repository %s has version %llu; this program reads "
                     "version %u: use a newer one",
                     r->store->name, (unsigned long long)version, VMBK_VERSION);
  n = first_feature(r, config, "incompat", &feature, err);
  if (n)
    return n;
  if (feature)
    return error_set(err, VDK_E_VERSION,
                     "repository %s uses \"%.60s\", which this program does "
                     "not know: use a newer one",
                     r->store->name, feature);
  n = first_feature(r, config, "ro_compat", &feature, err);
  r->read_only = feature != NULL;
  return n;
}

int
repo_config_check(struct repo *r, const char *text, size_t len,
                  struct vdk_error *err)
{
  _cleanup_json_ json_t *config = NULL;
  uint64_t chunk_size, level;
  char hash[16];
  int n = seal_open(text, len, CONFIG_KEY, &config, err);

  if (n == -VDK_E_DAMAGED)
    error_prefix(err, "%s", r->store->name);
  if (n)
    return n;
  n = check_version(r, config, err);
  if (n)
    return n;
  if (!seal_get_text(config, "hash", hash, sizeof hash) ||
      strcmp(hash, "sha256") != 0)
    return bad_config(r, "hash", err);
  if (!seal_get_u64(config, "chunk_size", REPO_CHUNK_SIZE_MAX, &chunk_size) ||
      !chunk_size_is_valid(chunk_size))
    return bad_config(r, "chunk_size", err);
  if (!seal_get_u64(config, "level", LEVEL_MAX, &level) || level < 1)
    return bad_config(r, "level", err);
  if (!seal_get_text(config, "uuid", r->uuid, sizeof r->uuid) ||
      !uuid_is_valid(r->uuid))
    return bad_config(r, "uuid", err);
  r->chunk_size = (uint32_t)chunk_size;
  r->level = (int)level;
  return 0;
}

static int
load_config(struct repo *r, struct vdk_error *err)
{
  _cleanup_free_ char *text = NULL;
  struct vdk_error why = VDK_ERROR_INIT;
  size_t len;
  int n =
      store_get_all(r->store, CONFIG_KEY, VMBK_CONFIG_MAX, &text, &len, &why);

  if (n == -VDK_E_NOT_FOUND)
    return error_set(err, VDK_E_NOT_A_REPO,
                     "there is no repository at %s: it has no " CONFIG_KEY,
                     r->store->name);
  if (n)
    return error_copy(err, &why);
  return repo_config_check(r, text, len, err);
}

int
repo_open(struct vdk_store *store, const struct vdk_log *log, struct repo **ret,
          struct vdk_error *err)
{
  struct repo *r = mem_array(1, sizeof *r);
  int n;

  if (!r) {
    store_close(store);
    return error_nomem(err, "opening a repository");
  }
  r->store = store;
  r->log = log;
  n = load_config(r, err);
  if (n == 0)
    n = index_new(store, log, &r->index, err);
  if (n == 0)
    n = codec_cache_new(&r->codecs, err);
  if (n) {
    repo_close(r);
    return n;
  }
  *ret = r;
  return 0;
}

void
repo_close(struct repo *r)
{
  if (!r)
    return;
  index_free(r->index);
  codec_cache_free(r->codecs);
  store_close(r->store);
  free(r);
}

const char *
repo_uuid(const struct repo *r)
{
  return r->uuid;
}

uint32_t
repo_chunk_size(const struct repo *r)
{
  return r->chunk_size;
}

const char *
repo_name(const struct repo *r)
{
  return r->store->name;
}
