/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of disks in repositories: "vmbk:REPO#VM@POINT/DISK".
 *
 * The text is cut at its separators first, outermost first, and each part is
 * decoded afterwards, so that an encoded separator never separates: REPO ends
 * at the first '#', DISK begins after the last '/' behind that, POINT after
 * the last '@' between them. A '%' must be followed by two hexadecimal
 * digits that are not 00.
 */
#include <string.h>

#include "base/error.h"
#include "base/str.h"
#include "surface/vdkit/surface.h"

#define NAME_FORM "vmbk:REPO#VM@POINT/DISK"

bool
name_is_vmbk(const char *name)
{
  return str_starts_with(name, NAME_VMBK_PREFIX);
}

void
name_free(struct vmbk_name *n)
{
  free(n->repo);
  free(n->vm);
  free(n->point);
  free(n->disk);
}

/* TEXT[0..LEN) without its percent signs. */
static int
decode(const char *name, const char *text, size_t len, char **ret,
       struct vdk_error *err)
{
  _cleanup_free_ char *out = malloc(len + 1);
  size_t n = 0;

  if (!out)
    return error_nomem(err, "reading the name of a disk");
  for (size_t i = 0; i < len; i++) {
    char c = text[i];

    if (c == '%') {
      char hex[3] = {0};

      memcpy(hex, text + i + 1, len - i > 2 ? 2 : 0);
      if (!hex_decode(hex, &c, 1) || c == '\0')
        return error_set(err, VDK_E_INVAL,
                         "\"%s\": a %% must be followed by two hexadecimal "
                         "digits; a plain %% is written %%25",
                         name);
      i += 2;
    }
    out[n++] = c;
  }
  out[n] = '\0';
  *ret = TAKE_PTR(out);
  return 0;
}

/* A part that may not be empty. */
static int
decode_part(const char *name, const char *start, const char *end,
            const char *what, char **ret, struct vdk_error *err)
{
  if (start == end)
    return error_set(err, VDK_E_INVAL,
                     "\"%s\" names no %s; the form is " NAME_FORM, name, what);
  return decode(name, start, end - start, ret, err);
}

/* The last C in [start, end); NULL when there is none. */
static const char *
last_char(const char *start, const char *end, char c)
{
  return memrchr(start, c, end - start);
}

int
name_parse_vmbk(const char *name, struct vmbk_name *ret, struct vdk_error *err)
{
  _cleanup_(name_free) struct vmbk_name n = {0};
  const char *repo = name + strlen(NAME_VMBK_PREFIX);
  const char *end = name + strlen(name);
  const char *hash = strchr(repo, '#');
  const char *slash = hash ? last_char(hash, end, '/') : NULL;
  const char *at;
  int rc;

  if (!slash)
    return error_set(err, VDK_E_INVAL,
                     "\"%s\" is no name of a disk in a repository; the form "
                     "is " NAME_FORM,
                     name);
  at = last_char(hash, slash, '@');
  rc = decode_part(name, repo, hash, "repository", &n.repo, err);
  if (rc == 0)
    rc = decode_part(name, hash + 1, at ? at : slash, "VM", &n.vm, err);
  if (rc == 0 && at)
    rc = decode_part(name, at + 1, slash, "restore point", &n.point, err);
  if (rc == 0)
    rc = decode_part(name, slash + 1, end, "disk", &n.disk, err);
  if (rc < 0)
    return rc;
  *ret = n;
  n = (struct vmbk_name){0};
  return 0;
}

/* --- Points --------------------------------------------------------------- */

int
name_find_point(struct repo *repo, const char *vm, const char *point,
                struct repo_point **ret, struct vdk_error *err)
{
  _cleanup_free_ char *both = NULL;

  if (!point)
    return repo_find(repo, vm, ret, err);
  both = str_printf("%s@%s", vm, point);
  if (!both)
    return error_nomem(err, "looking for a restore point");
  return repo_find(repo, both, ret, err);
}

/* --- Disks of a point ----------------------------------------------------- */

bool
name_is_index(const char *text, size_t *ret)
{
  uint64_t value;

  if (text[0] == '0' && text[1] != '\0')
    return false;
  if (!str_to_u64(text, &value) || value > UINT32_MAX)
    return false;
  *ret = value;
  return true;
}

static int
no_such_disk(const struct repo_point *point, const char *disk,
             struct vdk_error *err)
{
  _cleanup_strbuf_ struct strbuf keys = {0};

  for (size_t i = 0; i < point->disk_count; i++)
    strbuf_printf(&keys, "%s%s", i > 0 ? ", " : "", point->disks[i].key);
  return error_set(err, VDK_E_NOT_FOUND,
                   "restore point %s has no disk \"%s\"; it has: %s", point->id,
                   disk, keys.len > 0 && !keys.failed ? keys.text : "none");
}

int
name_find_disk(const struct repo_point *point, const char *disk,
               const struct repo_point_disk **ret, struct vdk_error *err)
{
  const struct repo_point_disk *found = repo_point_find_disk(point, disk);
  size_t index;

  if (!found && name_is_index(disk, &index) && index < point->disk_count)
    found = &point->disks[index];
  if (!found)
    return no_such_disk(point, disk, err);
  *ret = found;
  return 0;
}
