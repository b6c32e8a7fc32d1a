/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vmbk reader: disks and configuration of one restore point.
 *
 * A disk is opened when it is first asked for and stays open: opening reads
 * the root of its map. The lock guards the table of open disks only; reads run
 * without it.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "surface/vdkit/surface.h"

struct vdk_vmbk_reader {
  struct repo *repo;
  const struct vdk_log *log;
  const struct vdk_point *point;
  const struct repo_point *inner; /* the same */
  pthread_mutex_t lock;           /* of disks */
  struct vdk_disk **disks;        /* as in the point; NULL: not open yet */
};

void
vdk_vmbk_reader_close(struct vdk_vmbk_reader *r)
{
  if (!r)
    return;
  for (size_t i = 0; i < r->inner->disk_count; i++)
    if (r->disks[i])
      disk_close(r->disks[i], NULL);
  pthread_mutex_destroy(&r->lock);
  free(r->disks);
  vdk_point_free(r->point);
  free(r);
}

int
vdk_vmbk_reader_open(struct vdk_repo *repo, const char *which,
                     struct vdk_vmbk_reader **ret, struct vdk_error *err)
{
  _cleanup_free_ struct vdk_vmbk_reader *r = NULL;
  int rc;

  if (!repo || !which || !ret)
    return options_null(!repo    ? "the repository"
                        : !which ? "the name of the restore point"
                                 : "ret of vdk_vmbk_reader_open",
                        err);
  r = calloc(1, sizeof *r);
  if (!r)
    return error_nomem(err, "opening a restore point");
  rc = vdk_repo_find(repo, which, &r->point, err);
  if (rc < 0)
    return rc;
  r->inner = point_inner(r->point);
  r->disks = mem_array(r->inner->disk_count + 1, sizeof *r->disks);
  if (!r->disks) {
    vdk_point_free(r->point);
    return error_nomem(err, "opening a restore point");
  }
  r->repo = repo->repo;
  r->log = &repo->log;
  pthread_mutex_init(&r->lock, NULL);
  *ret = TAKE_PTR(r);
  return 0;
}

const struct vdk_point *
vdk_vmbk_reader_point(const struct vdk_vmbk_reader *r)
{
  return r ? r->point : NULL;
}

static int
find_entry(struct vdk_vmbk_reader *r, const char *disk,
           const struct repo_point_disk **ret, struct vdk_error *err)
{
  if (!r || !disk)
    return options_null(r ? "the disk" : "the reader", err);
  return name_find_disk(r->inner, disk, ret, err);
}

static int
open_disk(struct vdk_vmbk_reader *r, const struct repo_point_disk *entry,
          struct vdk_disk **ret, struct vdk_error *err)
{
  struct vdk_disk **slot = &r->disks[entry - r->inner->disks];
  struct vdk_link *link;
  int rc = 0;

  LOCK_SCOPE(&r->lock);
  if (!*slot) {
    rc = repo_disk_open(r->repo, r->inner, entry, &link, err);
    if (rc == 0)
      rc = disk_from_link(link, r->log, slot, err);
  }
  if (rc < 0)
    return rc;
  *ret = *slot;
  return 0;
}

static int
find_disk(struct vdk_vmbk_reader *r, const char *disk, struct vdk_disk **ret,
          struct vdk_error *err)
{
  const struct repo_point_disk *entry;
  int rc = find_entry(r, disk, &entry, err);

  return rc < 0 ? rc : open_disk(r, entry, ret, err);
}

int
vdk_vmbk_reader_disk_size(struct vdk_vmbk_reader *r, const char *disk,
                          uint64_t *ret_size, struct vdk_error *err)
{
  const struct repo_point_disk *entry;
  int rc = find_entry(r, disk, &entry, err);

  if (rc < 0)
    return rc;
  if (!ret_size)
    return options_null("ret_size", err);
  *ret_size = entry->size;
  return 0;
}

int
vdk_vmbk_reader_pread(struct vdk_vmbk_reader *r, const char *disk,
                      uint64_t offset, void *buf, size_t len, size_t *ret_done,
                      struct vdk_error *err)
{
  struct vdk_disk *d;
  uint64_t size;
  size_t done;
  int rc = find_disk(r, disk, &d, err);

  if (rc < 0)
    return rc;
  if (!buf && len > 0)
    return options_null("the buffer", err);
  size = disk_size(d);
  done = offset >= size ? 0 : (size_t)MIN(len, size - offset);
  if (done > 0) {
    rc = disk_read(d, offset, buf, done, err);
    if (rc < 0)
      return rc;
  }
  if (ret_done)
    *ret_done = done;
  return 0;
}

int
vdk_vmbk_reader_extents(struct vdk_vmbk_reader *r, const char *disk,
                        uint64_t offset, uint64_t length,
                        int (*fn)(void *opaque, const struct vdk_extent *e),
                        void *opaque, struct vdk_error *err)
{
  struct vdk_disk *d;
  int rc = find_disk(r, disk, &d, err);

  if (rc < 0)
    return rc;
  if (!fn)
    return options_null("the callback", err);
  rc = extents_clip(d, offset, &length, err);
  if (rc < 0)
    return rc;
  return extents_walk(d, offset, length, 0, fn, opaque, err);
}

/* --- Differences ---------------------------------------------------------- */

struct data_only {
  int (*fn)(void *opaque, const struct vdk_extent *e);
  void *opaque;
};

static int
pass_data(void *opaque, const struct vdk_extent *e)
{
  struct data_only *call = opaque;

  return e->state == VDK_EXTENT_DATA ? call->fn(call->opaque, e) : 0;
}

/* The ranges, neighbours as one, with the states that DISK has there. */
static int
walk_ranges(struct vdk_disk *disk, const struct vdk_extent *ranges,
            size_t count, int (*fn)(void *opaque, const struct vdk_extent *e),
            void *opaque, struct vdk_error *err)
{
  uint64_t size = disk_size(disk);

  for (size_t i = 0; i < count;) {
    uint64_t start = ranges[i].offset;
    uint64_t end = start + ranges[i].length;
    int rc;

    for (i++; i < count && ranges[i].offset == end; i++)
      end += ranges[i].length;
    end = MIN(end, size);
    if (start >= end)
      continue;
    rc = extents_walk(disk, start, end - start, 0, fn, opaque, err);
    if (rc != 0)
      return rc;
  }
  return 0;
}

static int
diff_entries(struct vdk_vmbk_reader *r, const struct repo_point_disk *older,
             const struct repo_point_disk *newer,
             int (*fn)(void *opaque, const struct vdk_extent *e), void *opaque,
             struct vdk_error *err)
{
  _cleanup_free_ struct vdk_extent *ranges = NULL;
  struct vdk_disk *disk;
  size_t count;
  int rc;

  rc = open_disk(r, newer, &disk, err);
  if (rc == 0)
    rc = repo_diff(r->repo, older, newer, &ranges, &count, err);
  if (rc < 0)
    return rc;
  return walk_ranges(disk, ranges, count, fn, opaque, err);
}

int
vdk_vmbk_reader_diff(struct vdk_vmbk_reader *older,
                     struct vdk_vmbk_reader *newer, const char *disk,
                     int (*fn)(void *opaque, const struct vdk_extent *e),
                     void *opaque, struct vdk_error *err)
{
  const struct repo_point_disk *a, *b;
  int rc = find_entry(newer, disk, &b, err);

  if (rc < 0)
    return rc;
  if (!fn)
    return options_null("the callback", err);
  if (!older) {
    struct data_only call = {fn, opaque};

    return vdk_vmbk_reader_extents(newer, disk, 0, VDK_TO_END, pass_data, &call,
                                   err);
  }
  if (strcmp(repo_uuid(older->repo), repo_uuid(newer->repo)) != 0)
    return error_set(err, VDK_E_INVAL,
                     "cannot compare points of two repositories, %s and %s",
                     repo_name(older->repo), repo_name(newer->repo));
  rc = name_find_disk(older->inner, b->key, &a, err);
  if (rc < 0)
    return rc;
  return diff_entries(newer, a, b, fn, opaque, err);
}

/* --- Configuration -------------------------------------------------------- */

int
vdk_vmbk_reader_config(struct vdk_vmbk_reader *r, const char *name, char **ret,
                       size_t *ret_len, struct vdk_error *err)
{
  size_t len;
  int rc;

  if (!r || !name || !ret)
    return options_null(!r      ? "the reader"
                        : !name ? "the file's name"
                                : "ret",
                        err);
  for (size_t i = 0; i < r->inner->file_count; i++) {
    const struct repo_point_file *f = &r->inner->files[i];

    if (strcmp(f->name, name) != 0)
      continue;
    rc = repo_file_read(r->repo, f, ret, &len, err);
    if (rc == 0 && ret_len)
      *ret_len = len;
    return rc;
  }
  return error_set(err, VDK_E_NOT_FOUND, "restore point %s has no file \"%s\"",
                   r->point->id, name);
}
