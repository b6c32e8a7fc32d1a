/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Repositories: make, open, list, find, verify.
 *
 * A struct vdk_repo is the repository and its log, which the layers below
 * keep a pointer to.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "surface/vdkit/surface.h"

#define LEVEL_MAX 19

static int
check_init_options(const struct vdk_repo_init_options *o, struct vdk_error *err)
{
  if (o->chunk_size != 0 && (o->chunk_size < REPO_CHUNK_SIZE_MIN ||
                             o->chunk_size > REPO_CHUNK_SIZE_MAX ||
                             (o->chunk_size & (o->chunk_size - 1)) != 0))
    return error_set(err, VDK_E_INVAL,
                     "a chunk size of %u is no power of two between %u and %u",
                     o->chunk_size, REPO_CHUNK_SIZE_MIN, REPO_CHUNK_SIZE_MAX);
  if (o->level < 0 || o->level > LEVEL_MAX)
    return error_set(err, VDK_E_INVAL, "compression level %d is not in 1 .. %d",
                     o->level, LEVEL_MAX);
  return 0;
}

int
vdk_repo_init(const char *path, const struct vdk_repo_init_options *options,
              struct vdk_error *err)
{
  struct vdk_repo_init_options o = VDK_REPO_INIT_OPTIONS_INIT;
  _cleanup_store_ struct vdk_store *store = NULL;
  struct repo_create create = {0};
  int rc;

  if (!path)
    return options_null("the path of the repository", err);
  rc = OPTIONS_LOAD(&o, options, level, "vdk_repo_init_options", err);
  if (rc == 0)
    rc = check_init_options(&o, err);
  if (rc == 0)
    rc = store_open(path, true, &store, err);
  if (rc < 0)
    return rc;
  create.chunk_size = o.chunk_size;
  create.level = o.level;
  return repo_create(store, &create, err);
}

/* A folder that is not there is no repository either. */
static int
not_a_repo(int rc, const char *path, struct vdk_error *err)
{
  if (rc != -VDK_E_NOT_FOUND)
    return rc;
  return error_set(err, VDK_E_NOT_A_REPO,
                   "there is no repository at %s: no such folder; make one "
                   "first, or check the path",
                   path);
}

int
vdk_repo_open(const char *path, const struct vdk_repo_options *options,
              struct vdk_repo **ret, struct vdk_error *err)
{
  struct vdk_repo_options o = VDK_REPO_OPTIONS_INIT;
  _cleanup_free_ struct vdk_repo *r = NULL;
  struct vdk_store *store;
  int rc;

  if (!path || !ret)
    return options_null(
        path ? "ret of vdk_repo_open" : "the path of the repository", err);
  rc = OPTIONS_LOAD(&o, options, log, "vdk_repo_options", err);
  if (rc < 0)
    return rc;
  r = calloc(1, sizeof *r);
  if (!r)
    return error_nomem(err, "opening a repository");
  if (o.log)
    r->log = *o.log;
  rc = store_open(path, false, &store, err);
  if (rc < 0)
    return not_a_repo(rc, path, err);
  rc = repo_open(store, &r->log, &r->repo, err);
  if (rc < 0)
    return rc;
  *ret = TAKE_PTR(r);
  return 0;
}

void
vdk_repo_close(struct vdk_repo *repo)
{
  if (!repo)
    return;
  repo_close(repo->repo);
  free(repo);
}

int
vdk_repo_get_info(struct vdk_repo *repo, struct vdk_repo_info *ret,
                  struct vdk_error *err)
{
  struct vdk_repo_info info = VDK_REPO_INFO_INIT;

  if (!repo)
    return options_null("the repository", err);
  info.chunk_size = repo_chunk_size(repo->repo);
  info.uuid = repo_uuid(repo->repo);
  info.name = repo_name(repo->repo);
  return OPTIONS_STORE(ret, &info, name, "vdk_repo_info", err);
}

/* --- Points --------------------------------------------------------------- */

struct list_box {
  struct vdk_point_list list; /* first */
  const struct vdk_point **points;
};

void
vdk_point_list_free(const struct vdk_point_list *list)
{
  struct list_box *box = (struct list_box *)list;

  if (!box)
    return;
  for (size_t i = 0; i < box->list.count; i++)
    vdk_point_free(box->points[i]);
  free(box->points);
  free(box);
}

/* The box of POINTS, whose elements are taken over (and become NULL). */
static int
list_box(struct repo_point **points, size_t count, size_t damaged,
         const struct vdk_point_list **ret, struct vdk_error *err)
{
  struct list_box *box = calloc(1, sizeof *box);

  if (box)
    box->points = mem_array(count + 1, sizeof *box->points);
  if (!box || !box->points) {
    free(box);
    return error_nomem(err, "listing restore points");
  }
  box->list.points = box->points;
  box->list.damaged = damaged;
  for (size_t i = 0; i < count; i++) {
    int rc = point_box(TAKE_PTR(points[i]), &box->points[i], err);

    if (rc < 0) {
      vdk_point_list_free(&box->list);
      return rc;
    }
    box->list.count++;
  }
  *ret = &box->list;
  return 0;
}

int
vdk_repo_list(struct vdk_repo *repo, const struct vdk_point_list **ret,
              struct vdk_error *err)
{
  struct repo_point **points;
  size_t count, damaged = 0;
  int rc;

  if (!repo || !ret)
    return options_null(repo ? "ret of vdk_repo_list" : "the repository", err);
  rc = repo_list(repo->repo, &points, &count, &damaged, err);
  if (rc < 0)
    return rc;
  rc = list_box(points, count, damaged, ret, err);
  repo_list_free(points, count);
  return rc;
}

int
vdk_repo_find(struct vdk_repo *repo, const char *which,
              const struct vdk_point **ret, struct vdk_error *err)
{
  struct repo_point *point;
  int rc;

  if (!repo || !which || !ret)
    return options_null(!repo    ? "the repository"
                        : !which ? "the name of the restore point"
                                 : "ret of vdk_repo_find",
                        err);
  rc = repo_find(repo->repo, which, &point, err);
  if (rc < 0)
    return rc;
  return point_box(point, ret, err);
}

/* --- Verify --------------------------------------------------------------- */

static void
ignore_found(void *opaque, const char *object, const char *text)
{
}

int
vdk_repo_verify(struct vdk_repo *repo, const struct vdk_verify_options *options,
                struct vdk_verify_stats *stats, struct vdk_error *err)
{
  static const enum repo_verify_level levels[] = {
      [VDK_VERIFY_QUICK] = REPO_VERIFY_QUICK,
      [VDK_VERIFY_PACKS] = REPO_VERIFY_PACKS,
      [VDK_VERIFY_DEEP] = REPO_VERIFY_DEEP,
  };
  struct vdk_verify_options o = VDK_VERIFY_OPTIONS_INIT;
  struct vdk_verify_stats s = VDK_VERIFY_STATS_INIT;
  struct repo_verify_stats inner = {0};
  int rc;

  if (!repo)
    return options_null("the repository", err);
  rc = OPTIONS_LOAD(&o, options, found_opaque, "vdk_verify_options", err);
  if (rc == 0 && stats)
    rc = OPTIONS_STORE(stats, &s, unreferenced_packs, "vdk_verify_stats", err);
  if (rc < 0)
    return rc;
  if (o.level < VDK_VERIFY_QUICK || o.level > VDK_VERIFY_DEEP)
    return error_set(err, VDK_E_INVAL, "there is no verify level %d", o.level);
  rc = repo_verify(repo->repo, levels[o.level], &o.progress,
                   o.found ? o.found : ignore_found, o.found_opaque, &inner,
                   err);
  s.points = inner.points;
  s.disks = inner.disks;
  s.packs = inner.packs;
  s.chunks = inner.chunks;
  s.bytes = inner.bytes;
  s.damaged = inner.damaged;
  s.unreferenced_packs = inner.unreferenced_packs;
  if (stats)
    OPTIONS_STORE(stats, &s, unreferenced_packs, "vdk_verify_stats", NULL);
  return rc;
}
