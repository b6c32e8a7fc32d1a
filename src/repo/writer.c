/* SPDX-License-Identifier: BSD-3-Clause */
/* A restore point in the making: its disks, its files, its commit. */
#include "repo/writer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "repo/manifest.h"

enum { STAMP_LEN = 16, FUTURE_MAX = 366 * 24 * 3600 };

/* --- The id -------------------------------------------------------------- */

struct newest {
  char stamp[STAMP_LEN + 1];
};

static int
see_point(void *opaque, const struct store_entry *e)
{
  struct newest *n = opaque;
  const char *name = path_basename(e->key);
  char id[REPO_POINT_ID_MAX];

  if (strlen(name) > sizeof id || !str_ends_with_nocase(name, ".json"))
    return 0;
  snprintf(id, sizeof id, "%.*s", (int)(strlen(name) - 5), name);
  if (point_id_is_valid(id) && strncmp(id, n->stamp, STAMP_LEN) > 0)
    memcpy(n->stamp, id, STAMP_LEN);
  return 0;
}

static void
make_stamp(time_t t, char *ret)
{
  struct tm tm;

  gmtime_r(&t, &tm);
  strftime(ret, STAMP_LEN + 1, "%Y%m%dt%H%M%Sz", &tm);
}

/* The order of ids is the order of the points of a VM, also when two are made
 * within a second, or the clock was set back (but not by years: a wild stamp
 * should not govern all that follow). */
static int
choose_id(struct repo *r, struct repo_point *p, struct vdk_error *err)
{
  char prefix[64], stamp[STAMP_LEN + 1];
  struct newest newest = {""};
  time_t now = time(NULL);
  struct tm tm = {0};
  uint8_t random[4];
  char hex[9];
  int n;

  gmtime_r(&now, &tm);
  strftime(p->created, sizeof p->created, "%Y-%m-%dT%H:%M:%SZ", &tm);
  snprintf(prefix, sizeof prefix, "vm/%s/", p->vm_uuid);
  n = store_list(r->store, prefix, see_point, &newest, err);
  if (n == 0)
    n = sys_random(random, sizeof random, err);
  if (n)
    return n;
  make_stamp(now, stamp);
  if (strcmp(newest.stamp, stamp) >= 0) {
    memset(&tm, 0, sizeof tm);
    if (strptime(newest.stamp, "%Y%m%dt%H%M%Sz", &tm)) {
      time_t last = timegm(&tm);

      if (last >= now && last - now < FUTURE_MAX)
        make_stamp(last + 1, stamp);
    }
  }
  hex_encode(random, sizeof random, hex);
  snprintf(p->id, sizeof p->id, "%s-%s", stamp, hex);
  return 0;
}

/* --- Opening ------------------------------------------------------------- */

static char *
host_name(void)
{
  char name[256];

  if (gethostname(name, sizeof name) != 0)
    return str_dup("");
  name[sizeof name - 1] = 0;
  return str_dup(name);
}

static int
fill_point(struct repo_point *p, const struct repo_writer_options *o,
           struct vdk_error *err)
{
  snprintf(p->vm_uuid, sizeof p->vm_uuid, "%s", o->vm_uuid);
  if (o->parent)
    snprintf(p->parent, sizeof p->parent, "%s", o->parent->id);
  p->vm_name = str_dup(o->vm_name);
  p->source = str_dup(o->source ? o->source : "");
  p->consistency = str_dup(o->consistency ? o->consistency : "crash");
  p->tool = str_dup("vdkit");
  p->host = host_name();
  p->warnings = mem_array(1, sizeof *p->warnings);
  if (!p->vm_name || !p->source || !p->consistency || !p->tool || !p->host ||
      !p->warnings)
    return error_nomem(err, "beginning a backup");
  return 0;
}

static int
check_options(struct repo *r, const struct repo_writer_options *o,
              struct vdk_error *err)
{
  if (r->read_only)
    return error_set(err, VDK_E_VERSION,
                     "repository %s uses a feature that this program does not "
                     "know, and can only be read with it: use a newer one",
                     r->store->name);
  if (!uuid_is_valid(o->vm_uuid))
    return error_set(err, VDK_E_INVAL,
                     "\"%.60s\" is no UUID of a VM: 8-4-4-4-12 lower-case hex "
                     "digits are wanted",
                     o->vm_uuid);
  return 0;
}

int
repo_writer_open(struct repo *r, const struct repo_writer_options *o,
                 struct repo_writer **ret, struct vdk_error *err)
{
  struct repo_writer *w;
  int n = check_options(r, o, err);

  if (n)
    return n;
  w = mem_array(1, sizeof *w);
  if (!w)
    return error_nomem(err, "beginning a backup");
  w->r = r;
  w->last_disk = &w->disks;
  w->began_ns = sys_monotonic_ns();
  pthread_mutex_init(&w->mutex, NULL);
  w->point = mem_array(1, sizeof *w->point);
  n = w->point ? fill_point(w->point, o, err)
               : error_nomem(err, "beginning a backup");
  if (n == 0)
    n = choose_id(r, w->point, err);
  if (n == 0)
    n = index_refresh(r->index, err);
  if (n == 0)
    n = packer_new(r, o->level ? o->level : r->level, o->checkpoint, &w->packer,
                   err);
  if (n) {
    repo_writer_close(w);
    return n;
  }
  *ret = w;
  return 0;
}

void
repo_writer_close(struct repo_writer *w)
{
  if (!w)
    return;
  packer_free(w->packer);
  while (w->disks) {
    struct repo_disk *next = w->disks->next;

    disk_write_free(w->disks);
    w->disks = next;
  }
  repo_point_free(w->point);
  pthread_mutex_destroy(&w->mutex);
  free(w);
}

uint64_t
repo_writer_stored(const struct repo_writer *w)
{
  return packer_stored(w->packer);
}

/* --- Files and warnings -------------------------------------------------- */

static int
store_file(struct repo_writer *w, struct repo_point_file *f, const uint8_t *p,
           struct vdk_error *err)
{
  _cleanup_codec_ struct codec *c = NULL;
  int r = id_of(p, f->size, &f->sha256, err);

  if (r == 0)
    r = codec_get(w->r->codecs, &c, err);
  for (size_t i = 0; i < f->chunk_count && r == 0; i++) {
    uint64_t at = i * (uint64_t)w->r->chunk_size, stored;
    uint32_t len = (uint32_t)MIN(f->size - at, (uint64_t)w->r->chunk_size);

    if (mem_is_zero(p + at, len))
      continue;
    r = id_of(p + at, len, &f->chunks[i], err);
    if (r == 0)
      r = packer_put(w->packer, c, RECORD_FILE, &f->chunks[i], p + at, len,
                     &stored, err);
  }
  return r;
}

static bool
has_file(const struct repo_point *p, const char *name)
{
  for (size_t i = 0; i < p->file_count; i++)
    if (strcmp(p->files[i].name, name) == 0)
      return true;
  return false;
}

/* One more place in the list, zeroed. */
static struct repo_point_file *
new_file(struct repo_point *p)
{
  struct repo_point_file *grown =
      realloc(p->files, (p->file_count + 1) * sizeof *grown);

  if (!grown)
    return NULL;
  p->files = grown;
  grown += p->file_count++;
  *grown = (struct repo_point_file){0};
  return grown;
}

static int
fill_file(struct repo_writer *w, struct repo_point_file *f, const char *name,
          const char *role, const void *data, struct vdk_error *err)
{
  f->chunk_count = div_round_up(f->size, w->r->chunk_size);
  f->chunks = mem_array(f->chunk_count, sizeof *f->chunks);
  f->name = str_dup(name);
  f->role = str_dup(role ? role : "other");
  if (!f->chunks || !f->name || !f->role)
    return error_nomem(err, "storing a configuration file");
  return store_file(w, f, data, err);
}

int
repo_writer_file(struct repo_writer *w, const char *name, const char *role,
                 const void *data, size_t len, struct vdk_error *err)
{
  struct repo_point_file *f;
  int r;

  if (!repo_file_name_is_valid(name))
    return error_set(err, VDK_E_INVAL,
                     "\"%.80s\" cannot be the name of a file in a backup",
                     name);
  if (len > VMBK_FILE_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s has %zu bytes; configuration files may have %u", name,
                     len, VMBK_FILE_MAX);
  LOCK_SCOPE(&w->mutex);
  if (has_file(w->point, name))
    return error_set(err, VDK_E_EXISTS, "%s is already in this backup", name);
  f = new_file(w->point);
  if (!f)
    return error_nomem(err, "storing a configuration file");
  f->size = len;
  r = fill_file(w, f, name, role, data, err);
  if (r) { /* as if it had never been */
    free(f->name);
    free(f->role);
    free(f->chunks);
    w->point->file_count--;
  }
  return r;
}

int
repo_writer_warning(struct repo_writer *w, const char *text,
                    struct vdk_error *err)
{
  char **list;
  size_t n = 0;

  LOCK_SCOPE(&w->mutex);
  while (w->point->warnings[n])
    n++;
  if (n >= VMBK_WARNINGS_MAX)
    return 0;
  list = realloc(w->point->warnings, (n + 2) * sizeof *list);
  if (!list)
    return error_nomem(err, "noting a warning");
  w->point->warnings = list;
  list[n + 1] = NULL;
  list[n] = str_dup(text);
  return list[n] ? 0 : error_nomem(err, "noting a warning");
}

/* --- Commit -------------------------------------------------------------- */

/* The disks' descriptions move into the point. */
static int
gather_disks(struct repo_writer *w, struct vdk_error *err)
{
  struct repo_point *p = w->point;
  size_t count = 0;

  for (struct repo_disk *d = w->disks; d; d = d->next, count++)
    if (!d->ended)
      return error_set(err, VDK_E_INVAL,
                       "disk %s was not ended before the commit", d->point.key);
  p->disks = mem_array(count, sizeof *p->disks);
  if (!p->disks)
    return error_nomem(err, "committing a backup");
  for (struct repo_disk *d = w->disks; d; d = d->next) {
    p->disks[p->disk_count++] = d->point;
    p->ranges_lost |= d->ranges_lost;
    d->point = (struct repo_point_disk){0};
  }
  return 0;
}

static int
put_manifest(struct repo_writer *w, struct repo_point **ret_point,
             struct vdk_error *err)
{
  struct repo *r = w->r;
  _cleanup_point_ struct repo_point *copy = NULL;
  _cleanup_free_ char *text = NULL;
  char key[POINT_KEY_SIZE];
  size_t len;
  int n = manifest_make(w->point, r->uuid, r->chunk_size, &text, &len, err);

  if (n)
    return n;
  if (len > VMBK_MANIFEST_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "the restore point's description has %zu bytes; at most "
                     "%u are allowed",
                     len, VMBK_MANIFEST_MAX);
  point_key(w->point->vm_uuid, w->point->id, key);
  n = manifest_read(text, len, key, r->uuid, r->chunk_size, &copy, err);
  if (n)
    return n;
  n = store_put_new(r->store, key, text, len, err);
  if (n)
    return n;
  if (ret_point)
    *ret_point = TAKE_PTR(copy);
  return 0;
}

int
repo_writer_commit(struct repo_writer *w, struct repo_point **ret_point,
                   struct vdk_error *err)
{
  int r;

  LOCK_SCOPE(&w->mutex);
  if (w->committed)
    return error_set(err, VDK_E_INVAL, "this backup was already committed");
  w->committed = true;
  r = gather_disks(w, err);
  if (r == 0)
    r = packer_finish(w->packer, err);
  if (r)
    return r;
  w->point->seconds = (sys_monotonic_ns() - w->began_ns) / 1000000000u;
  return put_manifest(w, ret_point, err);
}
