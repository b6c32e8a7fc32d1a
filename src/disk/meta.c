/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Metadata through the chain: the nearest link that has a key wins.
 *
 * A list is gathered first and reported after, so that the caller's function
 * runs with no lock held and may itself ask for metadata. Sorting finds what a
 * nearer link hides: a hostile descriptor can hold a hundred thousand keys.
 */
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "disk/private.h"

/* Of one chain. A descriptor is at most 1 MiB. */
#define META_ENTRIES_MAX (1u << 20)

int
disk_meta_get(struct vdk_disk *d, const char *key, char **ret,
              struct vdk_error *err)
{
  LOCK_SCOPE(&d->meta_mutex);
  for (unsigned i = 0; i < d->link_count; i++) {
    struct vdk_link *l = d->links[i].link;
    int r;

    if (!l->ops->meta_get)
      continue;
    r = l->ops->meta_get(l, key, ret, err);
    if (r != -VDK_E_NO_KEY)
      return r;
  }
  return error_set(err, VDK_E_NO_KEY, "%s has no metadata key %s", disk_name(d),
                   key);
}

int
disk_meta_set(struct vdk_disk *d, const char *key, const char *value,
              struct vdk_error *err)
{
  struct vdk_link *l = d->links[0].link;

  if (!l->ops->meta_set)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "%s is of a format that holds no metadata", l->name);
  if (!d->writable)
    return error_set(err, VDK_E_READ_ONLY,
                     "cannot change metadata of %s: the disk was opened for "
                     "reading only",
                     l->name);
  LOCK_SCOPE(&d->meta_mutex);
  return l->ops->meta_set(l, key, value, err);
}

struct meta_entry {
  char *key, *value;
  size_t order; /* of arrival: nearer links first */
  bool hidden;
};

struct meta_list {
  struct meta_entry *entries;
  size_t count, capacity;
  bool failed;
};

static void
meta_list_free(struct meta_list *m)
{
  for (size_t i = 0; i < m->count; i++) {
    free(m->entries[i].key);
    free(m->entries[i].value);
  }
  free(m->entries);
}

static int
gather(void *opaque, const char *key, const char *value)
{
  struct meta_list *m = opaque;
  struct meta_entry *e;

  if (m->count >= META_ENTRIES_MAX ||
      !mem_grow(&m->entries, &m->capacity, m->count + 1, sizeof *m->entries)) {
    m->failed = true;
    return 1;
  }
  e = &m->entries[m->count];
  *e = (struct meta_entry){str_dup(key), str_dup(value), m->count, false};
  m->count++;
  m->failed = !e->key || !e->value;
  return m->failed;
}

static int
by_key(const void *a, const void *b)
{
  const struct meta_entry *x = a, *y = b;
  int c = strcasecmp(x->key, y->key);

  return c ? c : (x->order > y->order) - (x->order < y->order);
}

static int
by_order(const void *a, const void *b)
{
  const struct meta_entry *x = a, *y = b;

  return (x->order > y->order) - (x->order < y->order);
}

static void
hide_doubles(struct meta_list *m)
{
  if (m->count < 2)
    return;
  qsort(m->entries, m->count, sizeof *m->entries, by_key);
  for (size_t i = 1; i < m->count; i++)
    m->entries[i].hidden =
        strcasecmp(m->entries[i - 1].key, m->entries[i].key) == 0;
  qsort(m->entries, m->count, sizeof *m->entries, by_order);
}

static int
gather_chain(struct vdk_disk *d, struct meta_list *m, struct vdk_error *err)
{
  LOCK_SCOPE(&d->meta_mutex);
  for (unsigned i = 0; i < d->link_count; i++) {
    struct vdk_link *l = d->links[i].link;
    int r = l->ops->meta_list ? l->ops->meta_list(l, gather, m, err) : 0;

    if (m->failed)
      return error_nomem(err, "listing the metadata of a disk");
    if (r < 0)
      return r;
  }
  return 0;
}

int
disk_meta_list(struct vdk_disk *d,
               int (*fn)(void *opaque, const char *key, const char *value),
               void *opaque, struct vdk_error *err)
{
  _cleanup_(meta_list_free) struct meta_list m = {0};
  int r = gather_chain(d, &m, err);

  if (r < 0)
    return r;
  hide_doubles(&m);
  for (size_t i = 0; i < m.count && r == 0; i++)
    if (!m.entries[i].hidden)
      r = fn(opaque, m.entries[i].key, m.entries[i].value);
  return r;
}
