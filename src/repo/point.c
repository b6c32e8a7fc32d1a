/* SPDX-License-Identifier: BSD-3-Clause */
/* Restore points: listing, finding by what people type, freeing. */
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "repo/internal.h"
#include "repo/manifest.h"

static void
free_list(char **list)
{
  for (size_t i = 0; list && list[i]; i++)
    free(list[i]);
  free(list);
}

void
repo_point_free(struct repo_point *p)
{
  if (!p)
    return;
  for (size_t i = 0; p->disks && i < p->disk_count; i++) {
    free(p->disks[i].key);
    free(p->disks[i].file);
    free(p->disks[i].format);
    free(p->disks[i].change_id);
    free_list(p->disks[i].meta);
  }
  for (size_t i = 0; p->files && i < p->file_count; i++) {
    free(p->files[i].name);
    free(p->files[i].role);
    free(p->files[i].chunks);
  }
  free(p->disks);
  free(p->files);
  free_list(p->warnings);
  free(p->vm_name);
  free(p->source);
  free(p->consistency);
  free(p->tool);
  free(p->host);
  free(p);
}

void
repo_list_free(struct repo_point **points, size_t count)
{
  for (size_t i = 0; points && i < count; i++)
    repo_point_free(points[i]);
  free(points);
}

const struct repo_point_disk *
repo_point_find_disk(const struct repo_point *p, const char *key)
{
  for (size_t i = 0; i < p->disk_count; i++)
    if (strcmp(p->disks[i].key, key) == 0)
      return &p->disks[i];
  return NULL;
}

int
repo_point_load(struct repo *r, const char *key, struct repo_point **ret,
                struct vdk_error *err)
{
  _cleanup_free_ char *text = NULL;
  size_t len;
  int n = store_get_all(r->store, key, VMBK_MANIFEST_MAX, &text, &len, err);

  if (n == -VDK_E_TOO_BIG)
    return error_set(err, VDK_E_DAMAGED, "%s is damaged: it is too large", key);
  return n ? n
           : manifest_read(text, len, key, r->uuid, r->chunk_size, ret, err);
}

/* --- Listing ------------------------------------------------------------- */

static int
collect_key(void *opaque, const struct store_entry *e)
{
  struct point_keys *keys = opaque;

  if (!str_ends_with_nocase(e->key, ".json"))
    return 0;
  if (!mem_grow(&keys->keys, &keys->capacity, keys->count + 1,
                sizeof *keys->keys))
    return -VDK_E_NOMEM;
  keys->keys[keys->count] = str_dup(e->key);
  return keys->keys[keys->count] ? (keys->count++, 0) : -VDK_E_NOMEM;
}

void
point_keys_free(struct point_keys *keys)
{
  for (size_t i = 0; i < keys->count; i++)
    free(keys->keys[i]);
  free(keys->keys);
  *keys = (struct point_keys){0};
}

/* Ids begin with the time, whatever folder they are in. */
static int
compare_keys(const void *a, const void *b)
{
  const char *x = *(char *const *)a, *y = *(char *const *)b;
  int order = strcmp(path_basename(x), path_basename(y));

  return order ? order : strcmp(x, y);
}

int
repo_point_keys(struct repo *r, struct point_keys *ret, struct vdk_error *err)
{
  struct point_keys keys = {0};
  int n = store_list(r->store, "vm/", collect_key, &keys, err);

  if (n) {
    point_keys_free(&keys);
    return n == -VDK_E_NOMEM ? error_nomem(err, "listing restore points") : n;
  }
  if (keys.count > 1)
    qsort(keys.keys, keys.count, sizeof *keys.keys, compare_keys);
  *ret = keys;
  return 0;
}

int
repo_list(struct repo *r, struct repo_point ***ret, size_t *ret_count,
          size_t *ret_damaged, struct vdk_error *err)
{
  struct point_keys keys _cleanup_(point_keys_free) = {0};
  struct repo_point **points;
  size_t count = 0, damaged = 0;
  int n = repo_point_keys(r, &keys, err);

  if (n)
    return n;
  points = mem_array(keys.count, sizeof(struct repo_point *));
  if (!points)
    return error_nomem(err, "listing restore points");
  for (size_t i = 0; i < keys.count; i++) {
    struct vdk_error why = VDK_ERROR_INIT;

    n = repo_point_load(r, keys.keys[i], &points[count], &why);
    if (n == 0) {
      count++;
    } else if (n == -VDK_E_DAMAGED || n == -VDK_E_TRUNCATED) {
      damaged++;
      log_warning(r->log, "%s: %s", r->store->name, vdk_error_message(&why));
    } else if (n != -VDK_E_NOT_FOUND) {
      repo_list_free(points, count);
      return error_copy(err, &why);
    }
  }
  *ret = points;
  *ret_count = count;
  if (ret_damaged)
    *ret_damaged = damaged;
  return 0;
}

/* --- Finding ------------------------------------------------------------- */

/* The words of a name: how well a point fits. Of the best kind that fits at
 * all the newest is meant, but a short id must be unique. */
enum match { MATCH_NONE, MATCH_PREFIX, MATCH_LATEST, MATCH_NAME, MATCH_ID };

static bool
is_name(const struct repo_point *p, const char *name, size_t len)
{
  return (strlen(p->vm_name) == len && memcmp(p->vm_name, name, len) == 0) ||
         (strlen(p->vm_uuid) == len && memcmp(p->vm_uuid, name, len) == 0);
}

static enum match
match(const struct repo_point *p, const char *which)
{
  const char *at = strrchr(which, '@');

  if (strcmp(p->id, which) == 0)
    return MATCH_ID;
  if (is_name(p, which, strlen(which)))
    return MATCH_NAME;
  if (at && is_name(p, which, at - which)) {
    if (strcmp(at + 1, p->id) == 0)
      return MATCH_ID;
    if (strcmp(at + 1, "latest") == 0)
      return MATCH_NAME;
    if (at[1] && str_starts_with(p->id, at + 1))
      return MATCH_PREFIX;
  }
  if (strcmp(which, "latest") == 0)
    return MATCH_LATEST;
  return which[0] && str_starts_with(p->id, which) ? MATCH_PREFIX : MATCH_NONE;
}

static int
no_point(struct repo *r, const char *which, struct repo_point **points,
         size_t count, struct vdk_error *err)
{
  _cleanup_strbuf_ struct strbuf there = {0};
  size_t first = count > 5 ? count - 5 : 0;

  if (count == 0)
    return error_set(err, VDK_E_NO_POINT,
                     "no restore point \"%.200s\" in %s: there is none at all",
                     which, r->store->name);
  for (size_t i = first; i < count; i++)
    strbuf_printf(&there, "%s%.60s@%s", i > first ? ", " : "",
                  points[i]->vm_name, points[i]->id);
  return error_set(err, VDK_E_NO_POINT,
                   "no restore point \"%.200s\" in %s; there %s %zu, the last "
                   "%s: %s",
                   which, r->store->name, count == 1 ? "is" : "are", count,
                   count == 1 ? "one" : "ones",
                   there.text && !there.failed ? there.text : "");
}

int
repo_find(struct repo *r, const char *which, struct repo_point **ret,
          struct vdk_error *err)
{
  struct repo_point **points;
  size_t count, found = 0, ties = 0;
  enum match best = MATCH_NONE;
  int n = repo_list(r, &points, &count, NULL, err);

  if (n)
    return n;
  for (size_t i = 0; i < count; i++) {
    enum match m = match(points[i], which);

    if (m == MATCH_NONE || m < best)
      continue;
    ties = m == best ? ties + 1 : 1;
    best = m;
    found = i;
  }
  if (best == MATCH_NONE) {
    n = no_point(r, which, points, count, err);
  } else if (best == MATCH_PREFIX && ties > 1) {
    n = error_set(err, VDK_E_NO_POINT,
                  "%zu restore points in %s begin with \"%.200s\"; give more "
                  "of the id",
                  ties, r->store->name, which);
  } else {
    *ret = points[found];
    points[found] = NULL;
  }
  repo_list_free(points, count);
  return n;
}
