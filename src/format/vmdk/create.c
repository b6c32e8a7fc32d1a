/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * New disks.
 *
 * The layout of a sparse extent is that of VMware's products, so that theirs
 * and every other program take it for one of theirs:
 *
 *   sector 0              header
 *   1 .. 20               descriptor (not in the extents of a split disk)
 *   21 (or 1)             redundant grain directory
 *   then                  its grain tables, 4 sectors each
 *   then                  grain directory, grain tables
 *   rounded to a grain    the first grain ("overhead")
 *
 * All grain tables exist from the start, but only as a hole of the file: the
 * tables of 62 TiB take no storage until they are used.
 *
 * Order: extents first, under their own names and only where nothing was;
 * the descriptor last and in one step, since it is what makes the files a
 * disk. A monolithic sparse disk is made under another name and renamed. What
 * was made is removed when a later step fails.
 */
#include <string.h>

#include "base/checked.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "copy/copy.h"
#include "format/vmdk/vmdk_link.h"

#define DESCRIPTOR_SECTORS 20u
#define GTES               512u
#define DEFAULT_GRAIN      65536u
#define GRAIN_MIN          4096u
#define GRAIN_MAX          (1u << 20)

/* Extents of split disks, by default: 127 grain tables, as Workstation 12 and
 * later write them; 2 GiB for flat ones. */
#define SPLIT_SPARSE_SIZE (8323072ull * 512)
#define SPLIT_FLAT_SIZE   (4194304ull * 512)

#define FILES_MAX 65536u

/* A creation under way: what has been made so far. */
struct creation {
  struct vdk_dir *dir;
  const char *name;
  const struct format_create *c;
  const struct vmdk_type *type;
  char *parent; /* directory of NAME */
  char *stem;   /* NAME without directory and suffix */
  uint64_t grain;
  struct vmdk_extent_line *lines;
  size_t count; /* lines whose files exist */
  uint32_t cid;
};

static void
creation_free(struct creation *x)
{
  for (size_t i = 0; x->lines && i < x->count; i++)
    free(x->lines[i].file);
  free(x->lines);
  free(x->parent);
  free(x->stem);
}

/* Removes the files of what did not become a disk. */
static void
creation_undo(struct creation *x)
{
  for (size_t i = 0; i < x->count; i++) {
    _cleanup_free_ char *path = path_join(x->parent, x->lines[i].file);

    if (path)
      dir_remove(x->dir, path, NULL);
  }
}

/* --- Sparse extents ------------------------------------------------------- */

static int
layout_header(const struct creation *x, uint64_t size, bool with_descriptor,
              struct vmdk_header *ret, struct vdk_error *err)
{
  uint64_t sectors = size / 512, grain = x->grain / 512;
  uint64_t tables = div_round_up(sectors, grain * GTES);
  uint64_t directory = div_round_up(tables * 4, 512);
  struct vmdk_header h = {
      .version = 1,
      .flags = VMDK_FLAG_NEWLINE_TEST | VMDK_FLAG_REDUNDANT_GD,
      .capacity = sectors,
      .grain_sectors = grain,
      .descriptor_offset = with_descriptor ? 1 : 0,
      .descriptor_sectors = with_descriptor ? DESCRIPTOR_SECTORS : 0,
      .gtes_per_gt = GTES,
      .rgd_offset = with_descriptor ? 1 + DESCRIPTOR_SECTORS : 1,
      .gt_count = tables,
  };

  h.gd_offset = h.rgd_offset + directory + tables * (GTES * 4 / 512);
  h.overhead =
      round_up(h.gd_offset + directory + tables * (GTES * 4 / 512), grain);
  if (h.overhead > UINT32_MAX)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s: a sparse extent of %llu bytes needs more tables than "
                     "fit; use a larger grain or split the disk",
                     x->name, (unsigned long long)size);
  *ret = h;
  return 0;
}

/* Tables stand in order behind their directory. */
static int
write_directory(struct vdk_file *f, const struct vmdk_header *h, uint64_t at,
                struct vdk_error *err)
{
  uint8_t buf[4096];
  uint64_t first = at + div_round_up(h->gt_count * 4, 512);
  uint64_t done = 0;

  while (done < h->gt_count) {
    size_t n = (size_t)MIN(h->gt_count - done, sizeof buf / 4);
    int r;

    for (size_t i = 0; i < n; i++)
      le32_store(buf + i * 4,
                 (uint32_t)(first + (done + i) * (GTES * 4 / 512)));
    r = file_write(f, at * 512 + done * 4, buf, n * 4, err);
    if (r != 0)
      return r;
    done += n;
  }
  return 0;
}

static int
fill_sparse(struct vdk_file *f, const struct vmdk_header *h, const char *text,
            size_t len, struct vdk_error *err)
{
  uint8_t buf[VMDK_HEADER_SIZE];
  int r;

  vmdk_header_print(h, buf);
  r = file_truncate(f, h->overhead * 512, err);
  if (r == 0)
    r = write_directory(f, h, h->rgd_offset, err);
  if (r == 0)
    r = write_directory(f, h, h->gd_offset, err);
  if (r == 0 && len != 0)
    r = file_write(f, 512, text, len, err);
  if (r == 0)
    r = file_write(f, 0, buf, sizeof buf, err);
  return r == 0 ? file_flush(f, err) : r;
}

/* --- Extents of their own files ------------------------------------------- */

static char *
extent_name(const struct creation *x, size_t index)
{
  switch (x->type->layout) {
  case LAYOUT_SPLIT_SPARSE:
    return str_printf("%s-s%03zu.vmdk", x->stem, index + 1);
  case LAYOUT_SPLIT_FLAT:
    return str_printf("%s-f%03zu.vmdk", x->stem, index + 1);
  default:
    return str_printf("%s-flat.vmdk", x->stem);
  }
}

static int
fill_extent(struct creation *x, struct vdk_file *f, uint64_t size,
            struct vdk_error *err)
{
  struct vmdk_header h;
  int r;

  if (x->type->layout == LAYOUT_SPLIT_SPARSE) {
    r = layout_header(x, size, false, &h, err);
    return r != 0 ? r : fill_sparse(f, &h, NULL, 0, err);
  }
  r = file_truncate(f, size, err);
  if (r == 0 && size != 0 && (x->c->preallocate || x->type->preallocate))
    r = file_allocate(f, 0, size, err);
  return r == 0 ? file_flush(f, err) : r;
}

static int
make_extent(struct creation *x, size_t index, uint64_t size,
            struct vdk_error *err)
{
  static const enum vmdk_extent_type kinds[] = {
      [LAYOUT_SPLIT_SPARSE] = VMDK_SPARSE,
      [LAYOUT_FLAT] = VMDK_FLAT,
      [LAYOUT_SPLIT_FLAT] = VMDK_FLAT,
      [LAYOUT_VMFS] = VMDK_VMFS,
  };
  _cleanup_file_ struct vdk_file *f = NULL;
  _cleanup_free_ char *path = NULL, *name = extent_name(x, index);
  int r;

  if (name)
    path = path_join(x->parent, name);
  if (!path)
    return error_nomem(err, "creating a disk");
  r = dir_open_file(x->dir, path, FILE_CREATE, &f, err);
  if (r != 0)
    return r;
  x->lines[index] = (struct vmdk_extent_line){
      .access = VMDK_RW,
      .type = kinds[x->type->layout],
      .sectors = size / 512,
      .file = TAKE_PTR(name),
  };
  x->count = index + 1;
  return fill_extent(x, f, size, err);
}

static int
make_extents(struct creation *x, struct vdk_error *err)
{
  bool split = x->type->layout == LAYOUT_SPLIT_SPARSE ||
               x->type->layout == LAYOUT_SPLIT_FLAT;
  uint64_t size = x->c->size, piece = MAX(size, 1u), count;

  if (split && x->c->extent_size != 0)
    piece = x->c->extent_size;
  else if (split)
    piece = x->type->layout == LAYOUT_SPLIT_SPARSE ? SPLIT_SPARSE_SIZE
                                                   : SPLIT_FLAT_SIZE;
  if (piece % x->grain != 0 && split)
    return error_set(
        err, VDK_E_INVAL,
        "%s: an extent size of %llu bytes is not a multiple of %llu", x->name,
        (unsigned long long)piece, (unsigned long long)x->grain);
  count = MAX(div_round_up(size, piece), 1u);
  if (count > FILES_MAX)
    return error_set(err, VDK_E_INVAL,
                     "%s: the disk would have %llu files; use larger extents",
                     x->name, (unsigned long long)count);
  x->lines = mem_array(count, sizeof *x->lines);
  if (!x->lines)
    return error_nomem(err, "creating a disk");
  for (size_t i = 0; i < count; i++) {
    int r = make_extent(x, i, MIN(piece, size - i * piece), err);

    if (r != 0)
      return r;
  }
  return 0;
}

/* --- The kinds ------------------------------------------------------------ */

static int
make_text(const struct creation *x, const struct vmdk_extent_line *lines,
          size_t count, char **ret, size_t *ret_len, struct vdk_error *err)
{
  struct vmdk_new_descriptor n = {
      .type = x->type->written,
      .cid = x->cid,
      .create = x->c,
      .extents = lines,
      .extent_count = count,
  };

  return vmdk_descriptor_new(&n, ret, ret_len, err);
}

/* The descriptor may stand although putting it failed, when only its name did
 * not become durable. It is removed if it is ours: its identity is random. */
static void
undo_descriptor(struct creation *x, const char *text, size_t len)
{
  _cleanup_free_ char *found = NULL;
  size_t found_len;

  if (dir_get(x->dir, x->name, VMDK_DESCRIPTOR_MAX, &found, &found_len, NULL) ==
          0 &&
      found_len == len && memcmp(found, text, len) == 0)
    dir_remove(x->dir, x->name, NULL);
}

static int
create_separate(struct creation *x, struct vdk_error *err)
{
  _cleanup_free_ char *text = NULL;
  size_t len;
  int r;

  r = make_extents(x, err);
  if (r == 0)
    r = make_text(x, x->lines, x->count, &text, &len, err);
  if (r == 0 && len > VMDK_DESCRIPTOR_MAX)
    r = error_set(err, VDK_E_TOO_BIG,
                  "%s: the descriptor of a disk of %zu files would be larger "
                  "than %u bytes; use larger extents",
                  x->name, x->count, VMDK_DESCRIPTOR_MAX);
  if (r == 0)
    r = dir_sync(x->dir, x->parent, err);
  if (r == 0) {
    r = dir_put(x->dir, x->name, text, len, false, err);
    if (r != 0)
      undo_descriptor(x, text, len);
  }
  if (r != 0)
    creation_undo(x);
  return r;
}

/* The name under which a file is made that is renamed at its end. */
static char *
temporary_name(const struct creation *x)
{
  _cleanup_free_ char *name =
      str_printf(".%s.%08x.tmp", path_basename(x->name), x->cid);

  return name ? path_join(x->parent, name) : NULL;
}

typedef int fill_fn(struct creation *x, struct vdk_file *f,
                    struct vdk_error *err);

/* Makes NAME from what FILL writes; all or nothing. */
static int
create_whole(struct creation *x, fill_fn *fill, struct vdk_error *err)
{
  _cleanup_free_ char *temporary = temporary_name(x);
  struct vdk_file *f;
  int r;

  if (!temporary)
    return error_nomem(err, "creating a disk");
  r = dir_open_file(x->dir, temporary, FILE_CREATE, &f, err);
  if (r != 0)
    return r;
  r = fill(x, f, err);
  if (r == 0)
    r = file_flush(f, err);
  file_close(f);
  if (r == 0)
    r = dir_rename(x->dir, temporary, x->name, false, err);
  if (r != 0) {
    dir_remove(x->dir, temporary, NULL);
    return r;
  }
  r = dir_sync(x->dir, x->parent, err);
  if (r != 0)
    dir_remove(x->dir, x->name, NULL);
  return r;
}

static int
fill_monolithic(struct creation *x, struct vdk_file *f, struct vdk_error *err)
{
  _cleanup_free_ char *text = NULL, *name = str_dup(path_basename(x->name));
  struct vmdk_extent_line line = {
      .access = VMDK_RW,
      .type = VMDK_SPARSE,
      .sectors = x->c->size / 512,
      .file = name,
  };
  struct vmdk_header h;
  size_t len;
  int r;

  if (!name)
    return error_nomem(err, "creating a disk");
  r = layout_header(x, x->c->size, true, &h, err);
  if (r == 0)
    r = make_text(x, &line, 1, &text, &len, err);
  if (r != 0)
    return r;
  if (len > DESCRIPTOR_SECTORS * 512)
    return error_set(err, VDK_E_TOO_BIG,
                     "%s: the descriptor of %zu bytes does not fit into the %u "
                     "that a sparse disk has for it; carry over less metadata",
                     x->name, len, DESCRIPTOR_SECTORS * 512);
  return fill_sparse(f, &h, text, len, err);
}

/* A stream cannot be written later: what is created is an empty disk. */
static int
fill_stream(struct creation *x, struct vdk_file *f, struct vdk_error *err)
{
  __attribute__((cleanup(copy_sink_closep))) struct copy_sink *sink = NULL;
  int r = vmdk_stream_sink(f, x->c, &sink, err);

  return r == 0 ? sink->ops->finish(sink, err) : r;
}

/* --- The way in ----------------------------------------------------------- */

static int
check_request(const struct creation *x, struct vdk_error *err)
{
  const struct format_create *c = x->c;
  bool sparse = x->type->layout == LAYOUT_SPARSE ||
                x->type->layout == LAYOUT_SPLIT_SPARSE;

  if (c->size == 0 || c->size % VDK_SECTOR_SIZE != 0 ||
      c->size > (uint64_t)INT64_MAX)
    return error_set(err, VDK_E_INVAL,
                     "%s: a disk of %llu bytes: not a number of sectors",
                     x->name, (unsigned long long)c->size);
  if (c->has_parent && !sparse)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "%s: a disk of type %s cannot have a parent; use "
                     "monolithicSparse or twoGbMaxExtentSparse",
                     x->name, x->type->name);
  if (sparse && (!is_power_of_2(x->grain) || x->grain < GRAIN_MIN ||
                 x->grain > GRAIN_MAX))
    return error_set(err, VDK_E_INVAL,
                     "%s: a grain of %llu bytes is not a power of two between "
                     "%u and %u",
                     x->name, (unsigned long long)x->grain, GRAIN_MIN,
                     GRAIN_MAX);
  return 0;
}

static int
check_absent(const struct creation *x, struct vdk_error *err)
{
  _cleanup_file_ struct vdk_file *f = NULL;

  if (dir_open_file(x->dir, x->name, FILE_READ, &f, NULL) == 0)
    return error_set(err, VDK_E_EXISTS, "%s/%s already exists", x->dir->path,
                     x->name);
  return 0;
}

static int
prepare(struct creation *x, struct vdk_error *err)
{
  const char *base = path_basename(x->name);
  size_t len = strlen(base);
  int r;

  x->type = vmdk_type_find(x->c->type ? x->c->type : "monolithicSparse");
  if (!x->type || x->type->layout == LAYOUT_UNSUPPORTED)
    return error_set(err, VDK_E_UNSUPPORTED,
                     "%s: disks of type \"%.80s\" are %s", x->name, x->c->type,
                     x->type ? "not supported yet" : "not known");
  if (str_ends_with_nocase(base, ".vmdk"))
    len -= 5;
  x->parent = path_dirname(x->name);
  x->stem = str_ndup(base, len);
  if (!x->parent || !x->stem)
    return error_nomem(err, "creating a disk");
  x->grain = x->c->grain_size ? x->c->grain_size : DEFAULT_GRAIN;
  if (x->type->layout == LAYOUT_SPLIT_FLAT)
    x->grain = VDK_SECTOR_SIZE;
  r = vmdk_new_cid(&x->cid, err);
  if (r == 0)
    r = check_request(x, err);
  return r == 0 ? check_absent(x, err) : r;
}

int
vmdk_create(struct vdk_dir *dir, const char *name,
            const struct format_create *c, struct vdk_error *err)
{
  _cleanup_(creation_free) struct creation x = {
      .dir = dir, .name = name, .c = c};
  int r = prepare(&x, err);

  if (r != 0)
    return r;
  /* A child is its parent's content until it is first written. */
  if (c->has_parent)
    x.cid = c->parent_cid;
  switch (x.type->layout) {
  case LAYOUT_SPARSE:
    return create_whole(&x, fill_monolithic, err);
  case LAYOUT_STREAM:
    return create_whole(&x, fill_stream, err);
  default:
    return create_separate(&x, err);
  }
}
