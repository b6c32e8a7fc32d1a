/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The disk object: assembled from links, asked about itself, closed; and the
 * blocking calls, which are one line each over request.c.
 */
#include <inttypes.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "disk/private.h"

/* Sizes are added to and rounded up everywhere above; this leaves room. */
#define DISK_SIZE_MAX ((uint64_t)1 << 62)

static int
check_info(struct vdk_link *l, const struct link_info *info,
           struct vdk_error *err)
{
  if (info->size > DISK_SIZE_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s claims a size of %" PRIu64 " bytes", l->name,
                     info->size);
  if (!is_power_of_2(info->granularity) ||
      info->granularity < VDK_SECTOR_SIZE ||
      info->granularity > DISK_GRANULARITY_MAX)
    return error_set(err, VDK_E_INTERNAL, "%s has blocks of %" PRIu32 " bytes",
                     l->name, info->granularity);
  return 0;
}

int
disk_assemble(struct vdk_link *const *links, unsigned count, bool single,
              const struct vdk_log *log, struct vdk_disk **ret,
              struct vdk_error *err)
{
  _cleanup_free_ struct vdk_disk *d = mem_array(1, sizeof *d);
  _cleanup_free_ struct disk_member *members =
      mem_array(count, sizeof *members);

  if (!d || !members)
    return error_nomem(err, "opening a disk");
  for (unsigned i = 0; i < count; i++) {
    int r;

    members[i].link = links[i];
    links[i]->ops->info(links[i], &members[i].info);
    r = check_info(links[i], &members[i].info, err);
    if (r < 0)
      return r;
  }
  d->link_count = count;
  d->size = members[0].info.size;
  d->granularity = members[0].info.granularity;
  d->writable = members[0].info.writable && links[0]->ops->write;
  d->single = single || (count == 1 && members[0].info.has_parent);
  d->async = count == 1 && links[0]->ops->submit;
  d->has_sync = links[0]->ops->read && links[0]->ops->map;
  if (d->async && members[0].info.writable)
    d->writable = true;
  d->log = log;
  d->ready_end = &d->ready;
  pthread_mutex_init(&d->mutex, NULL);
  pthread_cond_init(&d->cond, NULL);
  pthread_mutex_init(&d->meta_mutex, NULL);
  d->links = TAKE_PTR(members);
  *ret = TAKE_PTR(d);
  return 0;
}

int
disk_from_link(struct vdk_link *link, const struct vdk_log *log,
               struct vdk_disk **ret, struct vdk_error *err)
{
  int r = disk_assemble(&link, 1, false, log, ret, err);

  if (r < 0)
    link->ops->close(link, NULL);
  return r;
}

int
disk_close(struct vdk_disk *d, struct vdk_error *err)
{
  int r = 0;

  if (!d)
    return 0;
  disk_settle(d);
  pool_free(d->pool);
  for (unsigned i = 0; i < d->link_count; i++) {
    struct vdk_link *l = d->links[i].link;
    int closed = l->ops->close(l, i == 0 ? err : NULL);

    if (i == 0)
      r = closed;
  }
  pthread_mutex_destroy(&d->meta_mutex);
  pthread_cond_destroy(&d->cond);
  pthread_mutex_destroy(&d->mutex);
  free(d->links);
  free(d);
  return r;
}

uint64_t
disk_size(const struct vdk_disk *d)
{
  return d->size;
}

const char *
disk_name(const struct vdk_disk *d)
{
  return d->links[0].link->name;
}

unsigned
disk_link_count(const struct vdk_disk *d)
{
  return d->link_count;
}

/* Asked anew: a write may have changed the content id and the space taken. */
void
disk_link_info(struct vdk_disk *d, unsigned index, struct link_info *ret)
{
  struct vdk_link *l = d->links[index].link;

  l->ops->info(l, ret);
}

const char *
disk_link_name(const struct vdk_disk *d, unsigned index)
{
  return d->links[index].link->name;
}

struct vdk_link *
disk_link(struct vdk_disk *d, unsigned index)
{
  return d->links[index].link;
}

int
disk_read(struct vdk_disk *d, uint64_t offset, void *buf, size_t len,
          struct vdk_error *err)
{
  return disk_run(d, REQUEST_READ, offset, buf, len, err);
}

int
disk_write(struct vdk_disk *d, uint64_t offset, const void *buf, size_t len,
           struct vdk_error *err)
{
  /* A write never changes its buffer. */
  return disk_run(d, REQUEST_WRITE, offset, (void *)(uintptr_t)buf, len, err);
}

int
disk_zero(struct vdk_disk *d, uint64_t offset, uint64_t len,
          struct vdk_error *err)
{
  return disk_run(d, REQUEST_ZERO, offset, NULL, len, err);
}

int
disk_flush(struct vdk_disk *d, struct vdk_error *err)
{
  return disk_run(d, REQUEST_FLUSH, 0, NULL, 0, err);
}

/* A map is a read as far as order goes: it sees the tables that earlier
 * writes make. */
int
disk_extent_links(struct vdk_disk *d, unsigned first, unsigned count,
                  uint64_t offset, uint64_t len, uint64_t *ret_len,
                  int *ret_state, struct vdk_error *err)
{
  struct vdk_request req;
  int r;

  if (first >= d->link_count || count == 0 || count > d->link_count - first)
    return error_set(err, VDK_E_INVAL,
                     "%s has no links %u to %u: its chain has %u", disk_name(d),
                     first, first + count - 1, d->link_count);
  if (len == 0 || offset >= d->size)
    return error_set(err, VDK_E_RANGE,
                     "cannot map offset %" PRIu64 " of %s, which has %" PRIu64
                     " bytes",
                     offset, disk_name(d), d->size);
  len = MIN(len, d->size - offset);
  if (!d->has_sync && !d->links[first].link->ops->map) {
    *ret_len = len;
    *ret_state = VDK_EXTENT_DATA;
    return 0;
  }
  disk_enter(d, &req, REQUEST_READ, offset, len);
  r = disk_map(d, first, count, offset, len, ret_len, ret_state, err);
  disk_leave(d, &req);
  return r;
}

int
disk_extent(struct vdk_disk *d, uint64_t offset, uint64_t len,
            uint64_t *ret_len, int *ret_state, struct vdk_error *err)
{
  int r = disk_extent_links(d, 0, d->link_count, offset, len, ret_len,
                            ret_state, err);

  if (r == 0 && *ret_state == VDK_EXTENT_ABSENT && !d->single)
    *ret_state = VDK_EXTENT_ZERO;
  return r;
}
