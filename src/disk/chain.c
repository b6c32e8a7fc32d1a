/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a disk with its parents, whatever their formats.
 *
 * Each link says by a text, written by whoever made it and perhaps on another
 * machine, what its parent is called. Three readings of that text are tried in
 * turn (vmdk-formats section 3): the base name beside the child; the text
 * itself, from the child's folder; the base name in a folder beside the
 * child's. Backslashes are slashes. A file that is found but has another
 * content id than the child expects is passed over while there are other
 * readings, since base names like disk-000001.vmdk are everywhere.
 *
 * The directory refuses names that lead out of it unless that was allowed, so
 * that a descriptor cannot make us read /etc/passwd; such a reading is passed
 * over too, and named if no other helps.
 *
 * A loop shows as a name that is in the chain already. Hard and symbolic links
 * can give one file many names: the limit of the chain's length ends that.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "disk/private.h"
#include "format/format.h"

#define CANDIDATES_MAX 3

struct chain {
  struct vdk_dir *dir;
  const struct disk_open_options *options;
  struct vdk_link *links[DISK_CHAIN_MAX];
  char *names[DISK_CHAIN_MAX]; /* in DIR, normal */
  unsigned count;
};

static void
chain_free(struct chain *c)
{
  for (unsigned i = 0; i < c->count; i++) {
    if (c->links[i])
      c->links[i]->ops->close(c->links[i], NULL);
    free(c->names[i]);
  }
}

/* --- Names ---------------------------------------------------------------- */

/* NAME as seen from FOLDER: one text for one file, as far as text can tell.
 * "a/../b" is "b"; a leading ".." stays, for the directory to judge. */
static char *
normal_name(const char *folder, const char *name)
{
  _cleanup_free_ char *joined = path_join(folder, name);
  char *out = joined ? malloc(strlen(joined) + 1) : NULL;
  size_t len = 0, floor = 0; /* what ".." cannot take back */

  if (!out)
    return NULL;
  if (joined[0] == '/') {
    out[0] = '/';
    len = floor = 1;
  }
  for (const char *p = joined; *p;) {
    size_t n = strcspn(p, "/");
    bool up = n == 2 && p[0] == '.' && p[1] == '.';

    if (up && len > floor) {
      while (len > floor && out[len - 1] != '/')
        len--;
      len -= len > floor;
    } else if (n > 0 && !(n == 1 && p[0] == '.') && !(up && joined[0] == '/')) {
      if (len > 0 && out[len - 1] != '/')
        out[len++] = '/';
      memcpy(out + len, p, n);
      len += n;
      floor = up ? len : floor;
    }
    p += n + (p[n] == '/');
  }
  out[len] = 0;
  return out;
}

/* The last two parts of PATH, one folder up: "/x/base/d.vmdk" gives
 * "../base/d.vmdk". NULL and no failure when there is only one part. */
static char *
beside_name(const char *path, bool *ret_failed)
{
  const char *base = path_basename(path), *folder = base;
  char *name;

  if (base == path)
    return NULL;
  for (folder = base - 1; folder > path && folder[-1] != '/';)
    folder--;
  if (folder[0] == '/')
    return NULL;
  name = str_printf("../%s", folder);
  *ret_failed |= !name;
  return name;
}

struct candidates {
  char *names[CANDIDATES_MAX];
  unsigned count;
  unsigned guessed; /* from here on: nobody wrote these, so that one which
                       leads out of the directory is just not there */
};

static void
candidates_free(struct candidates *c)
{
  for (unsigned i = 0; i < c->count; i++)
    free(c->names[i]);
}

static bool
candidates_add(struct candidates *c, const char *folder, const char *name)
{
  char *normal = normal_name(folder, name);

  bool known;

  if (!normal)
    return false;
  known = normal[0] == 0; /* the folder itself */
  for (unsigned i = 0; i < c->count; i++)
    known = known || strcmp(c->names[i], normal) == 0;
  if (known)
    free(normal);
  else
    c->names[c->count++] = normal;
  return true;
}

static int
candidates_make(const char *child, const char *hint, struct candidates *ret,
                struct vdk_error *err)
{
  _cleanup_free_ char *folder = path_dirname(child), *text = str_dup(hint);
  _cleanup_free_ char *beside = NULL;
  bool failed = !folder || !text;

  if (!failed) {
    for (char *p = text; (p = strchr(p, '\\'));)
      *p = '/';
    beside = beside_name(text, &failed);
    failed = failed || !candidates_add(ret, folder, path_basename(text)) ||
             !candidates_add(ret, folder, text);
    ret->guessed = ret->count;
    failed = failed || (beside && !candidates_add(ret, folder, beside));
  }
  return failed ? error_nomem(err, "looking for a parent disk") : 0;
}

/* --- One link ------------------------------------------------------------- */

/* What kind of disk NAME is. */
static int
probe(struct chain *c, const char *name, const struct format **ret,
      struct vdk_error *err)
{
  _cleanup_file_ struct vdk_file *f = NULL;
  uint8_t head[FORMAT_PROBE_SIZE];
  uint64_t size;
  size_t len;
  int r = dir_open_file(c->dir, name, FILE_READ, &f, err);

  if (r == 0)
    r = file_size(f, &size, err);
  if (r == 0)
    r = file_read_upto(f, 0, head, sizeof head, &len, err);
  if (r < 0)
    return r;
  if (c->count == 0 && c->options->format) {
    *ret = format_by_name(c->options->format);
    return *ret ? 0
                : error_set(err, VDK_E_INVAL, "there is no disk format \"%s\"",
                            c->options->format);
  }
  *ret = len ? format_probe(head, len, size) : NULL;
  return *ret ? 0
              : error_set(err, VDK_E_NOT_A_DISK, "%s is empty: no virtual disk",
                          f->name);
}

static unsigned
format_flags(const struct chain *c)
{
  static const struct {
    unsigned disk, format;
    bool parents_too;
  } table[] = {
      {DISK_WRITE, FORMAT_WRITE, false},
      {DISK_NO_LOCK, FORMAT_NO_LOCK, true},
      {DISK_UNBUFFERED, FORMAT_UNBUFFERED, true},
      {DISK_SALVAGE, FORMAT_SALVAGE, true},
      {DISK_IGNORE_CHILDREN, FORMAT_IGNORE_CHILDREN, false},
  };
  unsigned flags = c->count > 0 ? FORMAT_AS_PARENT : 0;

  for (size_t i = 0; i < ARRAY_SIZE(table); i++)
    if ((c->options->flags & table[i].disk) &&
        (c->count == 0 || table[i].parents_too))
      flags |= table[i].format;
  return flags;
}

/* Opens NAME (taken over on success) as the next link. */
static int
add_link(struct chain *c, char *name, const struct format *format,
         struct vdk_error *err)
{
  const struct format_open o = {
      .dir = c->dir,
      .name = name,
      .flags = format_flags(c),
      .log = c->options->log,
  };
  int r = format->open(&o, &c->links[c->count], err);

  if (r == 0)
    c->names[c->count++] = name;
  return r;
}

static void
drop_last_link(struct chain *c)
{
  c->count--;
  c->links[c->count]->ops->close(c->links[c->count], NULL);
  c->links[c->count] = NULL;
  free(c->names[c->count]);
  c->names[c->count] = NULL;
}

/* --- The parent ----------------------------------------------------------- */

/* Does the last link fit the one before it? */
static int
check_cid(struct chain *c, struct vdk_error *err)
{
  struct vdk_link *child = c->links[c->count - 2];
  struct vdk_link *parent = c->links[c->count - 1];
  struct link_info child_info, parent_info;
  struct vdk_error why;

  child->ops->info(child, &child_info);
  parent->ops->info(parent, &parent_info);
  if (!child_info.has_cid ||
      (parent_info.has_cid && parent_info.cid == child_info.parent_cid))
    return 0;
  if (!parent_info.has_cid)
    error_set(&why, VDK_E_CID_MISMATCH,
              "%s cannot be the parent of %s: it is a %s file, which has no "
              "content id, and %08" PRIx32 " is expected",
              parent->name, child->name, parent_info.format,
              child_info.parent_cid);
  else
    error_set(&why, VDK_E_CID_MISMATCH,
              "%s was changed after its child %s was made: its content id is "
              "%08" PRIx32 ", and %08" PRIx32 " is expected; restore the "
              "parent, or set parentCID in the child if the change is known "
              "to be harmless",
              parent->name, child->name, parent_info.cid,
              child_info.parent_cid);
  if (c->options->flags & DISK_SALVAGE) {
    log_warning(c->options->log, "%s", why.text);
    return 0;
  }
  return error_copy(err, &why);
}

static bool
in_chain(const struct chain *c, const char *name)
{
  for (unsigned i = 0; i < c->count; i++)
    if (strcmp(c->names[i], name) == 0)
      return true;
  return false;
}

/* Tries one reading. 1: that is it. 0: not there or not it, with the reason in
 * WHY. Else an error that ends the search. */
static int
try_parent(struct chain *c, char **name, struct vdk_error *why,
           struct vdk_error *err)
{
  struct vdk_link *child = c->links[c->count - 1];
  const struct format *format;
  int r;

  if (in_chain(c, *name)) {
    error_set(why, VDK_E_CHAIN,
              "the chain of %s is a loop: %s names %s as its parent, which is "
              "in the chain already",
              c->links[0]->name, child->name, *name);
    return 0;
  }
  r = probe(c, *name, &format, why);
  if (r == -VDK_E_NOT_FOUND || r == -VDK_E_UNSAFE_PATH)
    return 0;
  if (r == 0)
    r = add_link(c, *name, format, why);
  if (r < 0) {
    error_prefix(why, "cannot open the parent of %s", child->name);
    return error_copy(err, why);
  }
  *name = NULL; /* the chain's now */
  if (check_cid(c, why) == 0)
    return 1;
  drop_last_link(c);
  return 0;
}

/* Of several reasons why no reading helped, the one that says most. */
static int
reason_rank(int code)
{
  switch (code) {
  case VDK_E_CID_MISMATCH:
    return 3;
  case VDK_E_UNSAFE_PATH: /* a clone may have its parent's base name */
    return 2;
  case VDK_E_CHAIN:
    return 1;
  default:
    return 0;
  }
}

static int
report_missing(struct chain *c, const char *hint, const struct vdk_error *why,
               struct vdk_error *err)
{
  struct vdk_link *child = c->links[c->count - 1];

  switch (why->code) {
  case VDK_E_CID_MISMATCH:
  case VDK_E_CHAIN:
    return error_copy(err, why);
  case VDK_E_UNSAFE_PATH:
    return error_set(err, VDK_E_UNSAFE_PATH,
                     "the parent of %s, \"%s\", was not found beside it, and "
                     "that name leads out of %s; move the parent there, or "
                     "allow files outside the disk's folder",
                     child->name, hint, c->dir->path);
  default:
    return error_set(err, VDK_E_PARENT,
                     "the parent of %s, \"%s\", was not found: put it into the "
                     "same folder, or correct parentFileNameHint in the child",
                     child->name, hint);
  }
}

static int
open_parent(struct chain *c, struct vdk_error *err)
{
  _cleanup_(candidates_free) struct candidates names = {.count = 0};
  struct vdk_link *child = c->links[c->count - 1];
  const char *hint =
      child->ops->parent_hint ? child->ops->parent_hint(child) : NULL;
  struct vdk_error best = VDK_ERROR_INIT, why = VDK_ERROR_INIT;
  int r;

  if (!hint || !hint[0])
    return error_set(err, VDK_E_PARENT, "%s does not name its parent",
                     child->name);
  if (c->count == DISK_CHAIN_MAX)
    return error_set(err, VDK_E_CHAIN,
                     "the chain of %s has more than %d links, or is a loop",
                     c->links[0]->name, DISK_CHAIN_MAX);
  r = candidates_make(c->names[c->count - 1], hint, &names, err);
  for (unsigned i = 0; r == 0 && i < names.count; i++) {
    r = try_parent(c, &names.names[i], &why, err);
    if (why.code == VDK_E_UNSAFE_PATH && i >= names.guessed)
      why.code = VDK_E_NOT_FOUND;
    if (r == 0 &&
        (best.code == 0 || reason_rank(why.code) > reason_rank(best.code)))
      best = why;
  }
  if (r == 0)
    return report_missing(c, hint, &best, err);
  return r < 0 ? r : 0;
}

/* --- The whole ------------------------------------------------------------ */

static int
open_links(struct chain *c, const char *name, struct vdk_error *err)
{
  _cleanup_free_ char *normal = normal_name(".", name);
  const struct format *format;
  struct link_info info;
  int r;

  if (!normal)
    return error_nomem(err, "opening a disk");
  r = probe(c, name, &format, err);
  if (r == 0)
    r = add_link(c, normal, format, err);
  if (r < 0)
    return r;
  TAKE_PTR(normal);
  while (!(c->options->flags & DISK_SINGLE_LINK)) {
    struct vdk_link *last = c->links[c->count - 1];

    last->ops->info(last, &info);
    if (!info.has_parent)
      break;
    r = open_parent(c, err);
    if (r < 0)
      return r;
  }
  return 0;
}

static const struct disk_open_options default_options;

int
disk_open(struct vdk_dir *dir, const char *name,
          const struct disk_open_options *options, struct vdk_disk **ret,
          struct vdk_error *err)
{
  _cleanup_(chain_free) struct chain c = {
      .dir = dir, .options = options ? options : &default_options};
  int r;

  if ((c.options->flags & DISK_WRITE) && (c.options->flags & DISK_NO_LOCK))
    return error_set(err, VDK_E_INVAL,
                     "cannot open %s for writing without a lock", name);
  r = open_links(&c, name, err);
  if (r == 0)
    r = disk_assemble(c.links, c.count, c.options->flags & DISK_SINGLE_LINK,
                      c.options->log, ret, err);
  if (r == 0)
    memset(c.links, 0, sizeof c.links); /* the disk's now */
  return r;
}

/* A symbolic link that the user named himself is followed: the disk's other
 * files are beside the file that it leads to. */
static char *
user_path(const char *path)
{
  struct stat st;

  if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
    return realpath(path, NULL);
  return str_dup(path);
}

int
disk_open_path(const char *path, unsigned dir_flags,
               const struct disk_open_options *options, struct vdk_disk **ret,
               struct vdk_error *err)
{
  _cleanup_free_ char *real = user_path(path), *folder = NULL;
  _cleanup_dir_ struct vdk_dir *dir = NULL;
  int r;

  if (!real)
    return error_errno(err, errno, "cannot open %s", path);
  folder = path_dirname(real);
  if (!folder)
    return error_nomem(err, "opening a disk");
  r = dir_local_open(folder, dir_flags, &dir, err);
  return r < 0 ? r : disk_open(dir, path_basename(real), options, ret, err);
}
