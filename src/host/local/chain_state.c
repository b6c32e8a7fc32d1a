/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Watching the files of a chain.
 *
 * A link is known again by the times, inode, size and name of each of its
 * files and by its content id. A time can lie: two writes within one tick of
 * the file system's clock leave the same one. So a state is only taken of
 * files whose last change is older than a tick; for one that is younger we
 * wait once, and if it is still being written it is called busy, which later
 * counts as changed. A tick is 10 ms at most (Linux) or 16 ms (Windows servers)
 * where times have fractions of a second, and up to 2 s where they have none
 * (FAT, ext3, old NFS servers). The change time is watched too: it moves when a
 * file's content, name or other times are set, and no program can set it
 * back, so that a file put in another's place is seen.
 */
#include "host/local/chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/checked.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#define NS_PER_S    1000000000ll
#define TICK_FINE   (NS_PER_S / 25)
#define TICK_COARSE (NS_PER_S * 5 / 2)

/* Ranges remembered of what a link holds. The newest link is the one that
 * will change; the others only by a revert to an older snapshot. */
#define HELD_NEWEST 1024u
#define HELD_OLDER  64u

void
chain_state_clear(struct chain_state *s)
{
  for (size_t i = 0; i < s->count; i++) {
    free(s->links[i].name);
    ranges_free(&s->links[i].held);
  }
  free(s->links);
  *s = (struct chain_state){0};
}

bool
chain_link_same(const struct chain_link *then, const struct chain_link *now)
{
  return !then->busy && strcmp(then->name, now->name) == 0 &&
         then->has_cid == now->has_cid && then->cid == now->cid &&
         then->files == now->files && then->bytes == now->bytes &&
         then->sum == now->sum;
}

/* --- The files of a link ------------------------------------------------- */

struct watcher {
  struct chain_link *link;
  const char *dir;
  int64_t wait; /* nanoseconds until the youngest file is old enough */
  struct vdk_error *err;
};

/* A time beyond the year 2262 or before 1677 is as good as that year. */
static int64_t
time_ns(struct timespec t)
{
  const int64_t most = INT64_MAX / NS_PER_S / 2;
  int64_t s = MIN((int64_t)t.tv_sec, most);

  return MAX(s, -most) * NS_PER_S + t.tv_nsec;
}

/* How long until the file is older than a tick; 0 when it is. */
static int64_t
age_missing(const struct stat *st)
{
  bool coarse = st->st_mtim.tv_nsec == 0 && st->st_ctim.tv_nsec == 0;
  int64_t tick = coarse ? TICK_COARSE : TICK_FINE;
  int64_t last = MAX(time_ns(st->st_mtim), time_ns(st->st_ctim));
  struct timespec now;
  int64_t missing;

  clock_gettime(CLOCK_REALTIME, &now);
  missing = MAX(last + tick - time_ns(now), (int64_t)0);
  /* A clock that runs ahead of ours (a file server's) is waited for no
   * longer than one that does not. */
  return MIN(missing, tick);
}

static int
watch_file(void *opaque, const char *name, uint64_t size)
{
  struct watcher *w = opaque;
  struct chain_link *link = w->link;
  _cleanup_free_ char *path = path_join(w->dir, name);
  uint8_t facts[6 * 8];
  struct stat st;

  if (!path)
    return error_nomem(w->err, "looking at the files of a disk");
  if (stat(path, &st) < 0)
    return error_errno(w->err, errno, "cannot look at %s", path);
  if (!S_ISREG(st.st_mode))
    return error_set(w->err, VDK_E_UNSUPPORTED,
                     "%s is no regular file: changes of it cannot be told",
                     path);
  le64_store(facts, st.st_size);
  le64_store(facts + 8, st.st_ino);
  le64_store(facts + 16, st.st_mtim.tv_sec);
  le64_store(facts + 24, st.st_mtim.tv_nsec);
  le64_store(facts + 32, st.st_ctim.tv_sec);
  le64_store(facts + 40, st.st_ctim.tv_nsec);
  /* Not its folder: a parent is named from its child's, wherever that is. */
  link->sum =
      fnv_add(link->sum, path_basename(name), strlen(path_basename(name)) + 1);
  link->sum = fnv_add(link->sum, facts, sizeof facts);
  link->files++;
  link->bytes += st.st_size;
  w->wait = MAX(w->wait, age_missing(&st));
  return 0;
}

static int
watch_link(struct vdk_disk *d, unsigned index, struct chain_link *ret,
           int64_t *ret_wait, struct vdk_error *err)
{
  struct vdk_link *l = disk_link(d, index);
  const char *name = disk_link_name(d, index);
  _cleanup_free_ char *dir = path_dirname(name);
  struct watcher w = {.link = ret, .dir = dir, .err = err};
  struct link_info info;
  int r;

  if (!dir)
    return error_nomem(err, "looking at the files of a disk");
  if (!l->ops->files)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "%s is no file: changes of it cannot be told", name);
  disk_link_info(d, index, &info);
  ret->has_cid = info.has_cid;
  ret->cid = info.has_cid ? info.cid : 0;
  ret->files = ret->bytes = 0;
  ret->sum = FNV_INIT;
  r = l->ops->files(l, watch_file, &w, err);
  if (r < 0)
    return r;
  *ret_wait = w.wait;
  ret->busy = w.wait > 0;
  return 0;
}

static void
sleep_ns(int64_t ns)
{
  struct timespec t = {ns / NS_PER_S, ns % NS_PER_S};

  while (nanosleep(&t, &t) < 0 && errno == EINTR)
    ;
}

/* --- What links hold ----------------------------------------------------- */

int
chain_held(struct vdk_disk *d, unsigned first, unsigned count,
           struct ranges *ret, struct vdk_error *err)
{
  uint64_t size = disk_size(d);

  for (uint64_t offset = 0; offset < size;) {
    uint64_t len;
    int state;
    int r = disk_extent_links(d, first, count, offset, size - offset, &len,
                              &state, err);

    if (r < 0)
      return r;
    if (state != VDK_EXTENT_ABSENT && !ranges_add(ret, offset, len))
      return error_nomem(err, "listing changed ranges");
    offset += len;
  }
  return 0;
}

static int
take_held(struct vdk_disk *d, struct chain_state *s, struct vdk_error *err)
{
  for (size_t i = 1; i < s->count; i++) {
    unsigned index = s->count - 1 - i;
    struct ranges *held = &s->links[i].held;
    int r;

    held->limit = index == 0 ? HELD_NEWEST : HELD_OLDER;
    r = chain_held(d, index, 1, held, err);
    if (r < 0)
      return r;
  }
  return 0;
}

/* --- All links ----------------------------------------------------------- */

static int
take_links(struct vdk_disk *d, bool settle, struct chain_state *s,
           struct vdk_error *err)
{
  s->size = disk_size(d);
  s->links = mem_array(disk_link_count(d), sizeof *s->links);
  if (!s->links)
    return error_nomem(err, "looking at the files of a disk");
  s->count = disk_link_count(d);
  for (size_t i = 0; i < s->count; i++) {
    struct chain_link *link = &s->links[i];
    unsigned index = s->count - 1 - i;
    int64_t wait;
    int r;

    link->name = str_dup(path_basename(disk_link_name(d, index)));
    if (!link->name)
      return error_nomem(err, "looking at the files of a disk");
    r = watch_link(d, index, link, &wait, err);
    if (r == 0 && settle && wait > 0) {
      sleep_ns(wait);
      r = watch_link(d, index, link, &wait, err);
    }
    if (r < 0)
      return r;
  }
  return 0;
}

int
chain_state_take(struct vdk_disk *d, bool for_later, struct chain_state *ret,
                 struct vdk_error *err)
{
  _cleanup_chain_ struct chain_state s = {0};
  int r;

  r = take_links(d, for_later, &s, err);
  if (r == 0 && for_later)
    r = take_held(d, &s, err);
  if (r < 0)
    return r;
  *ret = s;
  s = (struct chain_state){0};
  return 0;
}
