/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a file's name to a link.
 *
 * The file is either a sparse extent with the descriptor inside, or the text.
 * Inside, the one extent IS the file that holds the descriptor, whatever name
 * the text gives it: every export of ESXi and vCenter names a file there that
 * does not exist. A separate text names its extents relative to its own
 * directory, and the directory object decides what it lets out of that.
 *
 * A link is refused that cannot be read rightly: encrypted, of a type that is
 * not supported, or with an extent that is missing, short, or not what the
 * line says. Nothing is dropped silently.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "format/drivers.h"
#include "format/vmdk/vmdk_link.h"

static void
link_abandon(struct vmdk_link *v)
{
  for (size_t i = 0; i < v->extent_count; i++)
    v->extents[i]->ops->close(v->extents[i], NULL);
  vmdk_link_free(v);
}
DEFINE_CLEANUP(struct vmdk_link, link_abandon);

/* --- Extents -------------------------------------------------------------- */

/* Reads the header of a sparse file and opens it as what it is. */
static int
open_sparse(struct vmdk_extent_open *x, struct vmdk_extent **ret,
            struct vdk_error *err)
{
  struct vmdk_header h;
  uint8_t buf[VMDK_HEADER_SIZE];
  int r;

  r = file_read(x->file, 0, buf, sizeof buf, err);
  if (r == 0)
    r = vmdk_header_parse(buf, x->file->name, x->file_size, x->salvage, &h,
                          err);
  if (r != 0)
    return r;
  if (h.newline_damaged)
    log_warning(x->log, "%s: damaged by a transfer in text mode",
                x->file->name);
  x->header = &h;
  return h.flags & VMDK_FLAG_COMPRESSED ? vmdk_extent_stream_open(x, ret, err)
                                        : vmdk_extent_sparse_open(x, ret, err);
}

static int
open_kind(struct vmdk_extent_open *x, struct vmdk_extent **ret,
          struct vdk_error *err)
{
  switch (x->line->type) {
  case VMDK_FLAT:
  case VMDK_VMFS:
    return vmdk_extent_flat_open(x, ret, err);
  case VMDK_SPARSE:
    return open_sparse(x, ret, err);
  case VMDK_ZERO:
    return vmdk_extent_zero_open(x, ret, err);
  default:
    return error_set(err, VDK_E_UNSUPPORTED,
                     "extents of this type are not supported yet");
  }
}

/* Room for all extents, so that adding one cannot fail. */
static int
extents_alloc(struct vmdk_link *v, size_t count, struct vdk_error *err)
{
  v->extents = mem_array(MAX(count, 1u), sizeof *v->extents);
  v->access = mem_array(MAX(count, 1u), sizeof *v->access);
  return v->extents && v->access ? 0 : error_nomem(err, "opening a disk");
}

static int
extent_add(struct vmdk_link *v, struct vmdk_extent *e, enum vmdk_access access,
           struct vdk_error *err)
{
  e->start = v->size;
  v->extents[v->extent_count] = e;
  v->access[v->extent_count++] = access;
  if (v->flags & FORMAT_WRITE && e->start % e->granularity != 0)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "%s: extent %zu does not start at a multiple of its grain "
                     "size; such a disk can only be read",
                     v->link.name, v->extent_count);
  v->granularity = MAX(v->granularity, e->granularity);
  if (e->size > (uint64_t)INT64_MAX - v->size)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the extents together are larger than any disk",
                     v->link.name);
  v->size += e->size;
  return 0;
}

static struct vmdk_extent_open
extent_options(const struct vmdk_link *v, const struct vmdk_extent_line *line)
{
  return (struct vmdk_extent_open){
      .line = line,
      .writable = (v->flags & FORMAT_WRITE) != 0 && line->access == VMDK_RW,
      .has_parent = v->parent_hint != NULL,
      .salvage = (v->flags & FORMAT_SALVAGE) != 0,
      .log = v->log,
  };
}

/* The file of extent LINE, checked, locked, and its size. */
static int
extent_file(struct vmdk_link *v, const char *path,
            const struct vmdk_extent_line *line, struct vmdk_extent_open *x,
            struct vdk_error *err)
{
  unsigned flags = v->flags;
  int r;

  if (strcmp(path, v->name) == 0)
    return error_set(err, VDK_E_CORRUPT,
                     "the descriptor names itself as an extent");
  if (line->access != VMDK_RW)
    flags &= ~(unsigned)FORMAT_WRITE;
  r = dir_open_file(v->dir, path, format_file_flags(flags), &x->file, err);
  if (r == 0)
    r = format_lock(x->file, flags, err);
  if (r == 0)
    r = file_size(x->file, &x->file_size, err);
  return r;
}

static int
extent_open(struct vmdk_link *v, const struct vmdk_extent_line *line,
            const char *dir, struct vdk_error *err)
{
  struct vmdk_extent_open x = extent_options(v, line);
  _cleanup_free_ char *path = NULL;
  struct vmdk_extent *e = NULL;
  int r = 0;

  if (line->type == VMDK_FLAT || line->type == VMDK_VMFS ||
      line->type == VMDK_SPARSE) {
    path = path_join(dir, line->file);
    if (!path)
      return error_nomem(err, "opening an extent");
    r = extent_file(v, path, line, &x, err);
  }
  if (r == 0)
    r = open_kind(&x, &e, err);
  if (r != 0) {
    file_close(x.file);
    return error_prefix(err, "extent %zu (%.200s) of %s", v->extent_count + 1,
                        line->file ? line->file : "no file", v->link.name);
  }
  e->file_name = TAKE_PTR(path);
  if (e->size < line->sectors * 512) {
    e->ops->close(e, NULL);
    return error_set(err, VDK_E_CORRUPT,
                     "extent %zu (%.200s) of %s is smaller than its %llu "
                     "sectors in the descriptor",
                     v->extent_count + 1, line->file, v->link.name,
                     (unsigned long long)line->sectors);
  }
  e->size = line->sectors * 512;
  return extent_add(v, e, line->access, err);
}

static int
open_separate(struct vmdk_link *v, struct vdk_error *err)
{
  _cleanup_free_ char *dir = path_dirname(v->name);
  const struct vmdk_extent_line *lines;
  size_t count = vmdk_descriptor_extents(v->descriptor, &lines);
  int r;

  if (!dir)
    return error_nomem(err, "opening a disk");
  r = extents_alloc(v, count, err);
  for (size_t i = 0; r == 0 && i < count; i++)
    if (lines[i].sectors != 0)
      r = extent_open(v, &lines[i], dir, err);
  if (r == 0 && v->extent_count == 0)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: the descriptor names no extent that holds anything",
                     v->link.name);
  return r;
}

static int
open_embedded(struct vmdk_link *v, struct vdk_file **file, uint64_t size,
              struct vdk_error *err)
{
  const struct vmdk_extent_line *lines;
  size_t count = vmdk_descriptor_extents(v->descriptor, &lines);
  struct vmdk_extent_open x;
  struct vmdk_extent *e;
  char *name;
  int r;

  if (count != 1 || lines[0].type != VMDK_SPARSE)
    return error_set(err, VDK_E_CORRUPT,
                     "%s: a descriptor inside an extent must name that one "
                     "extent; this one names %zu",
                     v->link.name, count);
  r = extents_alloc(v, 1, err);
  if (r != 0)
    return r;
  name = str_dup(v->name);
  if (!name)
    return error_nomem(err, "opening a disk");
  x = extent_options(v, &lines[0]);
  x.file = *file;
  x.file_size = size;
  r = open_sparse(&x, &e, err);
  if (r != 0) {
    free(name);
    return r;
  }
  *file = NULL;
  e->file_name = name;
  if (e->size != lines[0].sectors * 512)
    log_warning(v->log,
                "%s: the descriptor says %llu sectors, the extent has %llu; "
                "the latter count",
                v->link.name, (unsigned long long)lines[0].sectors,
                (unsigned long long)(e->size / 512));
  return extent_add(v, e, lines[0].access, err);
}

/* --- The descriptor ------------------------------------------------------- */

static int
check_encryption(const struct vmdk_link *v, struct vdk_error *err)
{
  const char *filters = vmdk_descriptor_ddb_get(v->descriptor, "ddb.iofilters");

  if (!vmdk_descriptor_get(v->descriptor, "encryptionKeys") &&
      !vmdk_descriptor_get(v->descriptor, "keyID") &&
      !(filters && strcasestr(filters, "vmwarevmcrypt")))
    return 0;
  return error_set(err, VDK_E_ENCRYPTED,
                   "%s is encrypted: its key is with a key server, and only "
                   "the host that wrote it can read it",
                   v->link.name);
}

/* Types that a text without createType can only be. */
static const char *
guess_type(const struct vmdk_descriptor *d)
{
  const struct vmdk_extent_line *lines;
  size_t count = vmdk_descriptor_extents(d, &lines);

  if (count == 0)
    return "";
  switch (lines[0].type) {
  case VMDK_SPARSE:
    return count == 1 ? "monolithicSparse" : "twoGbMaxExtentSparse";
  case VMDK_FLAT:
    return count == 1 ? "monolithicFlat" : "twoGbMaxExtentFlat";
  case VMDK_VMFS:
    return "vmfs";
  default:
    return "custom";
  }
}

static int
find_type(struct vmdk_link *v, struct vdk_error *err)
{
  const char *name = vmdk_descriptor_get(v->descriptor, "createType");

  if (!name || name[0] == 0)
    name = guess_type(v->descriptor);
  v->type = vmdk_type_find(name);
  if (!v->type || v->type->layout == LAYOUT_UNSUPPORTED)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "%s: disks of type \"%.80s\" are %s", v->link.name, name,
                     v->type ? "not supported yet" : "not known");
  if (v->type->layout == LAYOUT_STREAM && v->flags & FORMAT_WRITE)
    return error_set(err, VDK_E_READ_ONLY,
                     "%s is streamOptimized and can only be written as a "
                     "whole; convert it to write to it",
                     v->link.name);
  return 0;
}

static int
find_parent(struct vmdk_link *v, struct vdk_error *err)
{
  const char *cid = vmdk_descriptor_get(v->descriptor, "parentCID");
  const char *hint = vmdk_descriptor_get(v->descriptor, "parentFileNameHint");

  v->parent_cid = LINK_NO_PARENT_CID;
  if (cid && !vmdk_cid_parse(cid, &v->parent_cid))
    return error_set(err, VDK_E_CORRUPT, "%s: its parentCID %.20s is no number",
                     v->link.name, cid);
  if (v->parent_cid == LINK_NO_PARENT_CID)
    return 0;
  if (hint && hint[0]) {
    v->parent_hint = str_dup(hint);
    return v->parent_hint ? 0 : error_nomem(err, "opening a disk");
  }
  if (v->parent_cid == 0 || v->flags & FORMAT_SALVAGE) {
    v->parent_cid = LINK_NO_PARENT_CID;
    return 0;
  }
  return error_set(err, VDK_E_CHAIN,
                   "%s has a parent (its CID is %08x) but does not name its "
                   "file",
                   v->link.name, v->parent_cid);
}

/* TEXT is taken over. */
static int
use_text(struct vmdk_link *v, char *text, size_t len, struct vdk_error *err)
{
  const char *cid;
  int r;

  v->text = text;
  v->text_len = strnlen(text, len);
  r = vmdk_descriptor_parse(v->text, v->text_len, v->link.name, &v->descriptor,
                            err);
  if (r == 0)
    r = check_encryption(v, err);
  if (r == 0)
    r = find_type(v, err);
  if (r == 0)
    r = find_parent(v, err);
  if (r != 0)
    return r;
  cid = vmdk_descriptor_get(v->descriptor, "CID");
  v->has_cid = cid && vmdk_cid_parse(cid, &v->cid);
  return 0;
}

/* The descriptor inside a sparse extent. */
static int
read_embedded(struct vmdk_link *v, struct vdk_file *f, const uint8_t *head,
              uint64_t size, struct vdk_error *err)
{
  struct vmdk_header h;
  char *text;
  size_t len;
  int r;

  r = vmdk_header_parse(head, v->link.name, size,
                        (v->flags & FORMAT_SALVAGE) != 0, &h, err);
  if (r != 0)
    return r;
  if (h.descriptor_offset == 0 || h.descriptor_sectors == 0)
    return error_set(err, VDK_E_NOT_A_DISK,
                     "%s is an extent of a disk and has no descriptor; open "
                     "the disk by its descriptor file",
                     v->link.name);
  len = h.descriptor_sectors * 512;
  text = calloc(1, len + 1);
  if (!text)
    return error_nomem(err, "reading a descriptor");
  v->embedded = true;
  v->area_offset = h.descriptor_offset * 512;
  v->area_size = len;
  r = file_read(f, v->area_offset, text, len, err);
  if (r != 0) {
    free(text);
    return r;
  }
  if (text[0] == 0) {
    free(text);
    return error_set(err, VDK_E_NOT_A_DISK,
                     "%s has an empty descriptor: it is an extent of a disk; "
                     "open the disk by its descriptor file",
                     v->link.name);
  }
  return use_text(v, text, len, err);
}

static int
open_text(struct vmdk_link *v, struct vdk_file **file, struct vdk_error *err)
{
  char *text;
  size_t len;
  int r;

  r = file_read_all(*file, VMDK_DESCRIPTOR_MAX, &text, &len, err);
  if (r != 0)
    return r;
  r = use_text(v, text, len, err);
  if (r != 0)
    return r;
  v->file = TAKE_PTR(*file);
  return open_separate(v, err);
}

/* --- Open ----------------------------------------------------------------- */

static int
open_file(struct vmdk_link *v, struct vdk_file **file, struct vdk_error *err)
{
  uint8_t head[VMDK_HEADER_SIZE] = {0};
  uint64_t size;
  size_t got;
  int r;

  r = file_size(*file, &size, err);
  if (r == 0)
    r = file_read_upto(*file, 0, head, sizeof head, &got, err);
  if (r != 0)
    return r;
  if (memcmp(head, "COWD", 4) == 0)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "%s is a COWD extent (vmfsSparse), which is not supported "
                     "yet",
                     v->link.name);
  if (memcmp(head, "KDMV", 4) != 0 && memcmp(head, "kdmv", 4) != 0) {
    if (size > VMDK_DESCRIPTOR_MAX)
      return error_set(err, VDK_E_NOT_A_DISK,
                       "%s is neither a sparse extent nor a descriptor",
                       v->link.name);
    return open_text(v, file, err);
  }
  if (got < sizeof head)
    return error_set(err, VDK_E_TRUNCATED,
                     "%s ends inside its own header, at byte %zu", v->link.name,
                     got);
  r = read_embedded(v, *file, head, size, err);
  return r != 0 ? r : open_embedded(v, file, size, err);
}

/* Others that have to do with this disk: whoever uses it, whoever needs it
 * unchanged. */
static int
check_others(const struct format_open *o, struct vdk_error *err)
{
  int r = 0;

  if (!(o->flags & (FORMAT_NO_LOCK | FORMAT_AS_PARENT)))
    r = vmdk_check_lck(o->dir, o->name, err);
  if (r == 0 && (o->flags & FORMAT_WRITE) &&
      !(o->flags & (FORMAT_IGNORE_CHILDREN | FORMAT_AS_PARENT)))
    r = vmdk_check_children(o->dir, o->name, o->log, err);
  return r;
}

int
vmdk_open(const struct format_open *o, struct vdk_link **ret,
          struct vdk_error *err)
{
  _cleanup_(link_abandonp) struct vmdk_link *v = NULL;
  _cleanup_file_ struct vdk_file *file = NULL;
  int r;

  if (o->flags & FORMAT_WRITE && o->flags & FORMAT_SALVAGE)
    return error_set(err, VDK_E_INVAL,
                     "%s: a disk that is opened for salvage is not written",
                     o->name);
  r = check_others(o, err);
  if (r == 0)
    r = dir_open_file(o->dir, o->name, format_file_flags(o->flags), &file, err);
  if (r == 0)
    r = format_lock(file, o->flags, err);
  if (r != 0)
    return r;
  v = calloc(1, sizeof *v);
  if (!v)
    return error_nomem(err, "opening a disk");
  pthread_mutex_init(&v->mutex, NULL);
  v->link.ops = &vmdk_link_ops;
  v->link.name = str_dup(file->name);
  v->name = str_dup(o->name);
  v->dir = dir_ref(o->dir);
  v->flags = o->flags;
  v->log = o->log;
  v->granularity = VDK_SECTOR_SIZE;
  if (!v->link.name || !v->name)
    return error_nomem(err, "opening a disk");
  r = open_file(v, &file, err);
  if (r != 0)
    return r;
  *ret = &TAKE_PTR(v)->link;
  return 0;
}
