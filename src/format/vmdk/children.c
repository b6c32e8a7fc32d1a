/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Others that have to do with a disk: products that hold it, and children
 * that show its content.
 *
 * A child is a disk in the same directory whose parentFileNameHint ends in
 * our name: a hint is looked for beside the child first, so that whatever
 * directory it names, this file is what it would find. Children elsewhere
 * cannot be found; the content id tells them later.
 */
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/str.h"
#include "format/vmdk/vmdk_link.h"

/* --- Locks of VMware's hosted products ------------------------------------ */

struct lck_search {
  char *found; /* the first lock, or NULL */
};

/* Failures after which the answer is not known, unlike those that say that
 * there is nothing, or nothing of ours. */
static bool
is_unknown(int r)
{
  return r == -VDK_E_NOMEM || r == -VDK_E_IO;
}

static int
see_lock(void *opaque, const struct dir_entry *entry)
{
  struct lck_search *s = opaque;

  if (entry->name[0] != 'M' || !str_ends_with_nocase(entry->name, ".lck"))
    return 0;
  s->found = str_dup(entry->name);
  return 1;
}

int
vmdk_check_lck(struct vdk_dir *dir, const char *name, struct vdk_error *err)
{
  _cleanup_free_ char *lck = str_printf("%s.lck", name);
  struct vdk_error why = VDK_ERROR_INIT;
  struct lck_search s = {0};
  int r;

  if (!lck)
    return error_nomem(err, "looking for locks");
  /* No such directory, or none that can be seen: no lock. */
  r = dir_list(dir, lck, see_lock, &s, &why);
  if (is_unknown(r))
    return error_copy(err, &why);
  if (r != 1)
    return 0;
  r = error_set(err, VDK_E_LOCKED,
                "%s/%s is in use by a VMware product, which left the lock "
                "%s/%s. When nothing uses the disk any more, remove that "
                "directory",
                dir->path, name, lck, s.found ? s.found : "M*.lck");
  free(s.found);
  return r;
}

/* --- Children ------------------------------------------------------------- */

/* Descriptors of children are small: what is larger is an extent. */
#define CHILD_TEXT_MAX 65536u

struct child_search {
  struct vdk_dir *dir;
  const char *parent;   /* "." or the directory of the disk */
  const char *self;     /* its name therein */
  char *found;          /* a child, or NULL */
  struct vdk_error why; /* a failure that leaves it open */
};

/* The text of a possible descriptor: the file's, or that inside it. *RET is
 * NULL for what can be none. */
static int
read_text(struct vdk_file *f, char **ret, size_t *ret_len,
          struct vdk_error *err)
{
  uint8_t head[VMDK_HEADER_SIZE];
  struct vmdk_header h;
  uint64_t offset = 0, size;
  size_t len;
  int r;

  r = file_size(f, &size, err);
  if (r == 0)
    r = file_read_upto(f, 0, head, sizeof head, &len, err);
  if (r != 0)
    return r;
  if (len == sizeof head && memcmp(head, "KDMV", 4) == 0) {
    if (vmdk_header_parse(head, f->name, size, true, &h, NULL) != 0 ||
        h.descriptor_offset == 0)
      return 0;
    offset = h.descriptor_offset * 512;
    size = h.descriptor_sectors * 512;
  }
  if (size == 0 || size > CHILD_TEXT_MAX)
    return 0;
  *ret = malloc(size);
  return *ret ? file_read_upto(f, offset, *ret, size, ret_len, err)
              : error_nomem(err, "reading a descriptor");
}

/* The last part of a path that may be a Windows one. */
static const char *
hint_basename(const char *hint)
{
  const char *name = path_basename(hint), *back = strrchr(name, '\\');

  return back ? back + 1 : name;
}

/* Whether the file at PATH is a child: 1 or 0, or an error. */
static int
is_child(struct child_search *s, const char *path)
{
  _cleanup_file_ struct vdk_file *f = NULL;
  _cleanup_free_ char *text = NULL;
  struct vmdk_descriptor *d = NULL;
  const char *hint, *cid;
  uint32_t parent_cid;
  size_t len;
  int r;

  r = dir_open_file(s->dir, path, FILE_READ, &f, &s->why);
  if (r == 0)
    r = read_text(f, &text, &len, &s->why);
  if (r == 0 && text)
    r = vmdk_descriptor_parse(text, len, path, &d, &s->why);
  if (r != 0 || !d)
    return is_unknown(r) ? r : 0;
  hint = vmdk_descriptor_get(d, "parentFileNameHint");
  cid = vmdk_descriptor_get(d, "parentCID");
  r = hint && strcmp(hint_basename(hint), s->self) == 0 && cid &&
      vmdk_cid_parse(cid, &parent_cid) && parent_cid != LINK_NO_PARENT_CID;
  vmdk_descriptor_free(d);
  return r;
}

static int
see_file(void *opaque, const struct dir_entry *entry)
{
  struct child_search *s = opaque;
  char *path;
  int r;

  if (entry->is_dir || strcmp(entry->name, s->self) == 0 ||
      !str_ends_with_nocase(entry->name, ".vmdk"))
    return 0;
  path = path_join(s->parent, entry->name);
  if (!path)
    return error_nomem(&s->why, "looking for children");
  r = is_child(s, path);
  if (r == 1)
    s->found = path;
  else
    free(path);
  return r;
}

int
vmdk_check_children(struct vdk_dir *dir, const char *name,
                    const struct vdk_log *log, struct vdk_error *err)
{
  _cleanup_free_ char *parent = path_dirname(name);
  struct child_search s = {
      .dir = dir, .parent = parent, .self = path_basename(name)};
  int r;

  if (!parent)
    return error_nomem(err, "looking for children");
  r = dir_list(dir, parent, see_file, &s, &s.why);
  if (is_unknown(r))
    return error_copy(err, &s.why);
  if (s.found) {
    r = error_set(err, VDK_E_HAS_CHILDREN,
                  "%s/%s is the parent of %s, which would be lost by a change; "
                  "write to the child, or delete it first",
                  dir->path, name, s.found);
    free(s.found);
    return r;
  }
  if (r != 0)
    log_warning(log, "cannot look for children of %s: %s", name,
                vdk_error_message(&s.why));
  return 0;
}
