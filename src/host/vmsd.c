/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The snapshot tree of a VM, from its .vmsd.
 *
 *   snapshot.current = "4"              a uid
 *   snapshot7.uid = "4"                 7 is a place in the file, no more
 *   snapshot7.parent = "2"              a uid; not there: a root
 *   snapshot7.disk0.node = "scsi0:0"
 *   snapshot7.disk0.fileName = "x.vmdk" the file that this snapshot froze
 *
 * Places need not follow one another, snapshot.numSnapshots may be wrong, and
 * a stranger may have written a tree that bites its tail. So: places are found
 * by looking for their uid keys; of two with one uid only one counts; a
 * parent that does not exist, or that would close a loop, is no parent. Each
 * of these is told to the log, since the file names themselves are still
 * good.
 */
#include "host/vmx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "host/host_free.h"

struct reader {
  const struct vmx_dict *dict;
  const char *name;
  const struct vdk_log *log;
  struct host_snapshot *snapshots;
  size_t count, capacity;
  bool failed, too_many;
};

struct disk_reader {
  const struct vmx_dict *dict;
  char **disks; /* node, file, ..., NULL */
  size_t count, capacity;
  bool failed;
};

static const char *
snapshot_text(const struct vmx_dict *dict, const char *place, const char *what)
{
  char key[128];

  snprintf(key, sizeof key, "%s.%s", place, what);
  return vmx_dict_text(dict, key);
}

static bool
snapshot_number(const struct vmx_dict *dict, const char *place,
                const char *what, int64_t *ret)
{
  const char *text = snapshot_text(dict, place, what);
  char *end;

  errno = 0;
  *ret = strtoll(text, &end, 10);
  return end != text && *end == 0 && errno == 0;
}

/* createTimeHigh is signed, createTimeLow 32 bits that may be printed as a
 * negative number. */
static int64_t
created(const struct vmx_dict *dict, const char *place)
{
  int64_t high, low;

  if (!snapshot_number(dict, place, "createTimeHigh", &high) ||
      !snapshot_number(dict, place, "createTimeLow", &low) || high < 0 ||
      high > INT32_MAX || low < INT32_MIN || low > UINT32_MAX)
    return 0;
  return high << 32 | (uint32_t)low;
}

/* KEY is snapshotI.diskJ.filename: notes the pair. */
static int
note_disk(void *opaque, const char *key, const char *value)
{
  struct disk_reader *r = opaque;
  size_t stem = strlen(key) - strlen("filename");
  char node_key[128];
  const char *node;

  if (!str_ends_with_nocase(key, ".filename") || stem > 100 || !*value)
    return 0;
  snprintf(node_key, sizeof node_key, "%.*snode", (int)stem, key);
  node = vmx_dict_get(r->dict, node_key);
  if (!node || r->count >= 2 * VMX_DISKS_MAX)
    return 0;
  r->failed = !mem_grow(&r->disks, &r->capacity, r->count + 3, sizeof(char *));
  if (r->failed)
    return 1;
  r->disks[r->count] = str_dup(node);
  r->disks[r->count + 1] = str_dup(value);
  r->disks[r->count + 2] = NULL;
  r->failed = !r->disks[r->count] || !r->disks[r->count + 1];
  r->count += 2;
  return r->failed;
}

/* False when out of memory; *RET_DISKS is set in every case. */
static bool
read_disks(const struct vmx_dict *dict, const char *place, char ***ret_disks)
{
  struct disk_reader r = {.dict = dict};
  char prefix[64];

  snprintf(prefix, sizeof prefix, "%s.disk", place);
  r.failed = !mem_grow(&r.disks, &r.capacity, 1, sizeof(char *));
  if (!r.failed) {
    r.disks[0] = NULL;
    vmx_dict_each(dict, prefix, note_disk, &r);
  }
  /* A pair of which one half failed must still be found by the free. */
  if (r.failed && r.count && !r.disks[r.count - 2])
    r.disks[r.count - 2] = TAKE_PTR(r.disks[r.count - 1]);
  *ret_disks = r.disks;
  return !r.failed;
}

static bool
read_snapshot(struct reader *r, const char *place, unsigned uid)
{
  struct host_snapshot *s = &r->snapshots[r->count++];
  int64_t parent, current;

  *s = (struct host_snapshot){.uid = uid};
  s->name = utf8_from(snapshot_text(r->dict, place, "displayName"));
  s->description = utf8_from(snapshot_text(r->dict, place, "description"));
  s->created_us = created(r->dict, place);
  if (snapshot_number(r->dict, place, "parent", &parent) && parent > 0 &&
      parent <= UINT32_MAX)
    s->parent = parent;
  if (snapshot_number(r->dict, "snapshot", "current", &current))
    s->current = current == uid;
  return read_disks(r->dict, place, &s->disks) && s->name && s->description;
}

/* Any key below "snapshot": those of the form snapshotI.uid matter. */
static int
note_snapshot(void *opaque, const char *key, const char *value)
{
  struct reader *r = opaque;
  size_t digits = strspn(key + strlen("snapshot"), "0123456789");
  char place[32];
  uint64_t uid;

  if (digits == 0 || digits > 10 ||
      strcmp(key + strlen("snapshot") + digits, ".uid") != 0)
    return 0;
  snprintf(place, sizeof place, "%.*s", (int)(strlen("snapshot") + digits),
           key);
  if (!str_to_u64(value, &uid) || uid == 0 || uid > UINT32_MAX) {
    log_warning(r->log, "%s: %s has no usable uid (%.20s); left out", r->name,
                place, value);
    return 0;
  }
  r->too_many = r->count == VMSD_SNAPSHOTS_MAX;
  r->failed = r->too_many ||
              !mem_grow(&r->snapshots, &r->capacity, r->count + 1,
                        sizeof *r->snapshots) ||
              !read_snapshot(r, place, uid);
  return r->failed;
}

static int
uid_compare(const void *a, const void *b)
{
  const struct host_snapshot *l = a, *r = b;

  return l->uid < r->uid ? -1 : l->uid > r->uid;
}

static struct host_snapshot *
find_uid(struct host_snapshot *s, size_t count, unsigned uid)
{
  struct host_snapshot key = {.uid = uid};

  return count ? bsearch(&key, s, count, sizeof *s, uid_compare) : NULL;
}

/* Of equal uids one stays. The array is sorted. */
static void
drop_duplicates(struct reader *r)
{
  size_t out = 0;

  for (size_t i = 0; i < r->count; i++) {
    if (out && r->snapshots[out - 1].uid == r->snapshots[i].uid) {
      log_warning(r->log, "%s: two snapshots have the uid %u; one is left out",
                  r->name, r->snapshots[i].uid);
      host_snapshot_clear(&r->snapshots[i]);
    } else
      r->snapshots[out++] = r->snapshots[i];
  }
  r->count = out;
}

/* True when the parents of S lead back to S. */
static bool
descends_from_itself(struct reader *r, const struct host_snapshot *s)
{
  const struct host_snapshot *p = s;

  for (size_t steps = 0; p && p->parent && steps < r->count; steps++) {
    p = find_uid(r->snapshots, r->count, p->parent);
    if (p == s)
      return true;
  }
  return false;
}

static void
cut_parents(struct reader *r)
{
  for (size_t i = 0; i < r->count; i++) {
    struct host_snapshot *s = &r->snapshots[i];

    if (s->parent && !find_uid(r->snapshots, r->count, s->parent)) {
      log_warning(r->log, "%s: snapshot %u has no parent %u", r->name, s->uid,
                  s->parent);
      s->parent = 0;
    }
    if (descends_from_itself(r, s)) {
      log_warning(r->log, "%s: snapshot %u descends from itself", r->name,
                  s->uid);
      s->parent = 0;
    }
  }
}

int
vmsd_read(const struct vmx_dict *dict, const char *name,
          const struct vdk_log *log, struct host_snapshot **ret,
          size_t *ret_count, struct vdk_error *err)
{
  struct reader r = {.dict = dict, .name = name, .log = log};

  vmx_dict_each(dict, "snapshot", note_snapshot, &r);
  if (r.failed) {
    host_snapshots_free(r.snapshots, r.count);
    if (r.too_many)
      return error_set(err, VDK_E_TOO_BIG, "%s has more than %u snapshots",
                       name, VMSD_SNAPSHOTS_MAX);
    return error_nomem(err, "reading the snapshots of a VM");
  }
  if (r.count)
    qsort(r.snapshots, r.count, sizeof *r.snapshots, uid_compare);
  drop_duplicates(&r);
  cut_parents(&r);
  *ret = r.snapshots;
  *ret_count = r.count;
  return 0;
}
