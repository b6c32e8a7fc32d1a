/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The .vmx files below a folder.
 *
 * Depth and number are bounded, symbolic links that lead out of the folder
 * are not followed (the directory driver refuses them), and folders whose
 * name starts with a dot are passed over: file servers keep their own
 * snapshots there, with copies of every VM.
 */
#include "host/local/local.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#define FOLDERS_MAX 100000u

struct names {
  char **list;
  size_t count, capacity;
};

struct finder {
  struct local_host *host;
  struct vdk_dir *dir;
  struct names found;
  size_t folders;
};

struct listing {
  const char *folder;
  struct names *vmx, *folders;
  bool failed;
};

static void
names_free(struct names *n)
{
  for (size_t i = 0; i < n->count; i++)
    free(n->list[i]);
  free(n->list);
}
#define _cleanup_names_ _cleanup_(names_free)

/* Takes NAME over. One element more than count is always there. */
static bool
names_add(struct names *n, char *name)
{
  if (!name ||
      !mem_grow(&n->list, &n->capacity, n->count + 2, sizeof *n->list)) {
    free(name);
    return false;
  }
  n->list[n->count++] = name;
  n->list[n->count] = NULL;
  return true;
}

static int
note_entry(void *opaque, const struct dir_entry *entry)
{
  struct listing *l = opaque;
  bool is_vmx = !entry->is_dir && str_ends_with_nocase(entry->name, ".vmx");

  if (entry->name[0] == '.' || (!is_vmx && !entry->is_dir) ||
      (entry->is_dir && str_ends_with_nocase(entry->name, ".lck")))
    return 0;
  l->failed = !names_add(is_vmx ? l->vmx : l->folders,
                         strcmp(l->folder, ".") == 0
                             ? str_dup(entry->name)
                             : path_join(l->folder, entry->name));
  return l->failed || l->vmx->count > LOCAL_VMS_MAX ||
         l->folders->count > FOLDERS_MAX;
}

static int
find_below(struct finder *f, const char *folder, unsigned depth,
           struct vdk_error *err)
{
  _cleanup_names_ struct names folders = {0};
  struct listing l = {folder, &f->found, &folders, false};
  struct vdk_error list_err = VDK_ERROR_INIT;
  int r = dir_list(f->dir, folder, note_entry, &l, &list_err);

  f->folders += folders.count;
  if (l.failed)
    return error_nomem(err, "looking for VMs");
  if (f->found.count > LOCAL_VMS_MAX || f->folders > FOLDERS_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s holds too many folders or VMs; name a smaller one",
                     f->host->path);
  if (r < 0 && depth == 0)
    return error_copy(err, &list_err);
  if (r < 0)
    log_warning(f->host->base.log, "%s", vdk_error_message(&list_err));
  for (size_t i = 0; depth < LOCAL_DEPTH_MAX && i < folders.count; i++) {
    r = find_below(f, folders.list[i], depth + 1, err);
    if (r < 0)
      return r;
  }
  return 0;
}

struct vmx_path {
  char *path, *real;
};

/* By the real file; among names of one file the shortest first. */
static int
real_compare(const void *a, const void *b)
{
  const struct vmx_path *l = a, *r = b;
  size_t left = strlen(l->path), right = strlen(r->path);
  int order = strcmp(l->real, r->real);

  return order ? order : left < right ? -1 : left > right;
}

static int
path_compare(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
vmx_paths_free(struct vmx_path *paths, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    free(paths[i].path);
    free(paths[i].real);
  }
  free(paths);
}

/* The whole paths of FOUND, sorted, each VM once: a symbolic link inside the
 * folder gives it more names than one. */
static int
whole_paths(struct local_host *h, const struct names *found, struct names *ret,
            struct vdk_error *err)
{
  struct vmx_path *paths = mem_array(found->count + 1, sizeof *paths);
  bool ok = paths != NULL;

  for (size_t i = 0; ok && i < found->count; i++) {
    struct vmx_path *p = &paths[i];

    p->path = path_join(h->path, found->list[i]);
    p->real = p->path ? realpath(p->path, NULL) : NULL;
    if (p->path && !p->real)
      p->real = str_dup(p->path);
    ok = p->real != NULL;
  }
  if (ok && found->count)
    qsort(paths, found->count, sizeof *paths, real_compare);
  for (size_t i = 0; ok && i < found->count; i++)
    if (i == 0 || strcmp(paths[i - 1].real, paths[i].real) != 0)
      ok = names_add(ret, TAKE_PTR(paths[i].path));
  if (paths)
    vmx_paths_free(paths, found->count);
  if (!ok)
    return error_nomem(err, "looking for VMs");
  if (ret->count)
    qsort(ret->list, ret->count, sizeof(char *), path_compare);
  return 0;
}

void
local_find_free(char **paths)
{
  for (char **p = paths; p && *p; p++)
    free(*p);
  free(paths);
}

int
local_find(struct local_host *h, char ***ret, struct vdk_error *err)
{
  _cleanup_dir_ struct vdk_dir *dir = NULL;
  _cleanup_names_ struct names paths = {0};
  struct finder f = {.host = h};
  int r;

  r = dir_local_open(h->path, 0, &dir, err);
  if (r < 0)
    return r;
  f.dir = dir;
  r = find_below(&f, ".", 0, err);
  if (r == 0)
    r = whole_paths(h, &f.found, &paths, err);
  names_free(&f.found);
  if (r == 0 && !paths.list && !(paths.list = mem_array(1, sizeof(char *))))
    r = error_nomem(err, "looking for VMs");
  if (r < 0)
    return r;
  *ret = paths.list;
  paths = (struct names){0};
  return 0;
}
