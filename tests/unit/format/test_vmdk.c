/* SPDX-License-Identifier: BSD-3-Clause */
/* The VMDK link around the data: layout, identity, metadata, locks, children,
 * refusals. */
#include "tests/unit/unit.h"

#include "base/endian.h"
#include "base/error.h"
#include "base/str.h"
#include "file/file.h"
#include "format/vmdk/vmdk.h"

#define MIB (1ull << 20)

static struct vdk_dir *dir;
static struct vdk_error err;

static int
setup(void **state)
{
  error_clear(&err);
  return dir_memory_new("/mem", &dir, &err);
}

static int
teardown(void **state)
{
  dir_unref(dir);
  return 0;
}

static const struct format *
vmdk(void)
{
  return format_by_name("vmdk");
}

static void
create(const char *name, const char *type, uint64_t size)
{
  struct format_create c = {.size = size, .type = type};

  assert_ok(vmdk()->create(dir, name, &c, &err));
}

static int
try_open(const char *name, unsigned flags, struct vdk_link **ret)
{
  struct format_open o = {.dir = dir, .name = name, .flags = flags};

  return vmdk()->open(&o, ret, &err);
}

static struct vdk_link *
open_link(const char *name, unsigned flags)
{
  struct vdk_link *l = NULL;

  assert_ok(try_open(name, flags, &l));
  return l;
}

static void
close_link(struct vdk_link *l)
{
  assert_ok(l->ops->close(l, &err));
}

static void
write_at(struct vdk_link *l, uint64_t offset, int byte, size_t len)
{
  uint8_t *data = malloc(len);

  assert_non_null(data);
  memset(data, byte, len);
  assert_ok(l->ops->write(l, offset, data, len, &err));
  free(data);
}

static void
assert_reads(struct vdk_link *l, uint64_t offset, int byte)
{
  uint8_t b = 0;
  size_t len;
  int state;

  assert_ok(l->ops->read(l, offset, &b, 1, &len, &state, &err));
  assert_int_equal(state == VDK_EXTENT_DATA ? b : 0, byte);
}

static char *
get(const char *name)
{
  char *text;
  size_t len;

  assert_ok(dir_get(dir, name, 64u << 20, &text, &len, &err));
  return text;
}

static void
put(const char *name, const char *text)
{
  assert_ok(dir_put(dir, name, text, strlen(text), true, &err));
}

/* Changes bytes of a file. */
static void
poke(const char *name, uint64_t at, const void *bytes, size_t len)
{
  _cleanup_file_ struct vdk_file *f = NULL;

  assert_ok(dir_open_file(dir, name, FILE_WRITE, &f, &err));
  assert_ok(file_write(f, at, bytes, len, &err));
}

static void
peek(const char *name, uint64_t at, void *bytes, size_t len)
{
  _cleanup_file_ struct vdk_file *f = NULL;

  assert_ok(dir_open_file(dir, name, FILE_READ, &f, &err));
  assert_ok(file_read(f, at, bytes, len, &err));
}

static uint32_t
peek32(const char *name, uint64_t at)
{
  uint8_t b[4];

  peek(name, at, b, 4);
  return le32_load(b);
}

static void
poke32(const char *name, uint64_t at, uint32_t v)
{
  uint8_t b[4];

  le32_store(b, v);
  poke(name, at, b, 4);
}

/* --- Layout --------------------------------------------------------------- */

static void
layout_is_vmwares(void **state)
{
  static const struct {
    const char *name, *type, *extent;
    uint64_t size, rgd, gd, overhead;
  } t[] = {
      {"a.vmdk", "monolithicSparse", "a.vmdk", 10 * MIB, 21, 26, 128},
      {"b.vmdk", "twoGbMaxExtentSparse", "b-s001.vmdk", 10 * MIB, 1, 6, 128},
      {"c.vmdk", "2GbMaxExtentSparse", "c-s001.vmdk", 8323072ull * 512, 1, 510,
       1024 + 128},
      {"d.vmdk", "monolithicSparse", "d.vmdk", 40ull << 30, 21, 5151, 10368},
  };

  for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
    struct vmdk_header h;
    uint8_t buf[VMDK_HEADER_SIZE];

    create(t[i].name, t[i].type, t[i].size);
    peek(t[i].extent, 0, buf, sizeof buf);
    assert_ok(vmdk_header_parse(buf, "x", 0, false, &h, &err));
    assert_int_equal(h.version, 1);
    assert_int_equal(h.flags, 3);
    assert_int_equal(h.capacity, t[i].size / 512);
    assert_int_equal(h.rgd_offset, t[i].rgd);
    assert_int_equal(h.gd_offset, t[i].gd);
    assert_true(h.overhead % 128 == 0);
    if (h.gt_count < 2)
      assert_int_equal(h.overhead, t[i].overhead);
    assert_int_equal(peek32(t[i].extent, h.gd_offset * 512),
                     h.gd_offset + div_round_up(h.gt_count, 128));
    assert_false(h.unclean);
  }
}

static void
splits_by_default_as_products_do(void **state)
{
  const struct vmdk_extent_line *lines;
  struct vmdk_descriptor *d;
  char *text;

  create("a.vmdk", "twoGbMaxExtentSparse", 5ull << 30);
  text = get("a.vmdk");
  assert_ok(vmdk_descriptor_parse(text, strlen(text), "a", &d, &err));
  assert_int_equal(vmdk_descriptor_extents(d, &lines), 2);
  assert_int_equal(lines[0].sectors, 8323072);
  assert_string_equal(lines[1].file, "a-s002.vmdk");
  vmdk_descriptor_free(d);
  free(text);
  create("b.vmdk", "twoGbMaxExtentFlat", 5ull << 30);
  text = get("b.vmdk");
  assert_ok(vmdk_descriptor_parse(text, strlen(text), "b", &d, &err));
  assert_int_equal(vmdk_descriptor_extents(d, &lines), 3);
  assert_int_equal(lines[0].sectors, 4194304);
  assert_string_equal(lines[2].file, "b-f003.vmdk");
  vmdk_descriptor_free(d);
  free(text);
}

static int
count_entry(void *opaque, const struct dir_entry *entry)
{
  ++*(int *)opaque;
  return 0;
}

static int
files(void)
{
  int n = 0;

  assert_ok(dir_list(dir, ".", count_entry, &n, &err));
  return n;
}

static void
create_touches_nothing(void **state)
{
  static const char *const types[] = {
      "monolithicSparse",   "monolithicFlat", "twoGbMaxExtentSparse",
      "twoGbMaxExtentFlat", "vmfs",           "streamOptimized"};
  struct format_create c = {.size = MIB};
  char *text;

  put("a.vmdk", "mine");
  for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
    c.type = types[i];
    assert_fails(vmdk()->create(dir, "a.vmdk", &c, &err), VDK_E_EXISTS);
    assert_int_equal(files(), 1);
  }
  /* An extent is in the way, the second of two. */
  put("b-f002.vmdk", "mine too");
  c.type = "twoGbMaxExtentFlat";
  c.extent_size = MIB / 2;
  assert_fails(vmdk()->create(dir, "b.vmdk", &c, &err), VDK_E_EXISTS);
  assert_int_equal(files(), 2);
  text = get("b-f002.vmdk");
  assert_string_equal(text, "mine too");
  free(text);
}

static void
create_refuses(void **state)
{
  static const struct {
    struct format_create c;
    int code;
  } t[] = {
      {{.size = 0, .type = "vmfs"}, VDK_E_INVAL},
      {{.size = 1000, .type = "vmfs"}, VDK_E_INVAL},
      {{.size = MIB, .type = "seSparse"}, VDK_E_UNSUPPORTED},
      {{.size = MIB, .type = "nonsense"}, VDK_E_UNSUPPORTED},
      {{.size = MIB, .grain_size = 3000}, VDK_E_INVAL},
      {{.size = MIB, .grain_size = 2048}, VDK_E_INVAL},
      {{.size = MIB, .type = "twoGbMaxExtentSparse", .extent_size = 1000},
       VDK_E_INVAL},
      {{.size = MIB, .type = "vmfs", .has_parent = true, .parent_hint = "x"},
       VDK_E_UNSUPPORTED},
      {{.size = 1ull << 62, .type = "monolithicSparse"}, VDK_E_TOO_BIG},
      {{.size = 1ull << 62, .type = "twoGbMaxExtentFlat"}, VDK_E_INVAL},
  };

  for (size_t i = 0; i < ARRAY_SIZE(t); i++)
    assert_fails(vmdk()->create(dir, "a.vmdk", &t[i].c, &err), t[i].code);
  assert_int_equal(files(), 0);
}

/* 62 TiB: created at once, written at both ends, little memory and time. */
static void
huge(void **state)
{
  uint64_t size = 62ull << 40, len;
  struct vdk_link *l;
  int extent;

  create("a.vmdk", "monolithicSparse", size);
  l = open_link("a.vmdk", FORMAT_WRITE);
  write_at(l, size - 512, 7, 512);
  write_at(l, 0, 8, 512);
  close_link(l);
  l = open_link("a.vmdk", 0);
  assert_reads(l, size - 1, 7);
  assert_reads(l, 511, 8);
  assert_ok(l->ops->map(l, 65536, size - 65536, &len, &extent, &err));
  assert_int_equal(extent, VDK_EXTENT_ABSENT);
  assert_int_equal(len, size - 2 * 65536);
  close_link(l);
}

/* --- Identity ------------------------------------------------------------- */

static uint32_t
cid_of(const char *name)
{
  struct vdk_link *l = open_link(name, 0);
  struct link_info info;

  l->ops->info(l, &info);
  close_link(l);
  assert_true(info.has_cid);
  return info.cid;
}

static void
cid_changes_with_the_first_write(void **state)
{
  static const char *const types[] = {"monolithicSparse", "vmfs"};

  for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
    char name[] = "a.vmdk";
    struct vdk_link *l;
    uint32_t before, after;
    char *long_id;

    name[0] = (char)('a' + i);
    create(name, types[i], MIB);
    before = cid_of(name);
    l = open_link(name, FORMAT_WRITE);
    assert_ok(l->ops->flush(l, &err));
    close_link(l);
    assert_int_equal(cid_of(name), before);
    l = open_link(name, FORMAT_WRITE);
    write_at(l, 0, 1, 1);
    write_at(l, 1, 1, 1);
    assert_ok(l->ops->meta_get(l, "longContentID", &long_id, &err));
    close_link(l);
    after = cid_of(name);
    assert_int_not_equal(after, before);
    assert_int_equal(strtoul(long_id + 24, NULL, 16), after);
    free(long_id);
  }
}

static void
odd_cids(void **state)
{
  struct vdk_link *l;
  char *text;

  create("x.vmdk", "monolithicFlat", MIB);
  put("a.vmdk", "# Disk DescriptorFile\nversion=1\nCID=7b\n"
                "parentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"
                "RW 2048 FLAT \"x-flat.vmdk\" 0\nfoo = bar\n");
  assert_int_equal(cid_of("a.vmdk"), 0x7b);
  l = open_link("a.vmdk", FORMAT_WRITE);
  write_at(l, 5, 1, 1);
  close_link(l);
  assert_int_not_equal(cid_of("a.vmdk"), 0x7b);
  text = get("a.vmdk");
  assert_non_null(strstr(text, "\nfoo = bar\n"));
  free(text);
}

static void
change_tracking_ends(void **state)
{
  struct vdk_link *l;
  char *text;

  create("x.vmdk", "vmfs", MIB);
  put("a.vmdk", "# Disk DescriptorFile\nversion=3\nCID=12345678\n"
                "parentCID=ffffffff\ncreateType=\"vmfs\"\n"
                "RW 2048 VMFS \"x-flat.vmdk\"\n\n# Change Tracking File\n"
                "changeTrackPath=\"a-ctk.vmdk\"\n\n#DDB\n");
  l = open_link("a.vmdk", FORMAT_WRITE);
  text = get("a.vmdk");
  assert_non_null(strstr(text, "changeTrackPath"));
  free(text);
  write_at(l, 0, 1, 1);
  close_link(l);
  text = get("a.vmdk");
  assert_null(strstr(text, "hange"));
  assert_non_null(strstr(text, "version=1\n"));
  free(text);
}

/* --- Metadata ------------------------------------------------------------- */

static int
count_key(void *opaque, const char *key, const char *value)
{
  assert_true(str_starts_with(key, "ddb."));
  ++*(int *)opaque;
  return 0;
}

static void
metadata(void **state)
{
  static const char *const types[] = {"monolithicSparse", "monolithicFlat"};

  for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
    char name[] = "a.vmdk", *value, *large;
    struct vdk_link *l;
    int before = 0, after = 0;

    name[0] = (char)('a' + i);
    create(name, types[i], MIB);
    l = open_link(name, FORMAT_WRITE);
    assert_ok(l->ops->meta_list(l, count_key, &before, &err));
    assert_true(before >= 6);
    assert_ok(l->ops->meta_set(l, "comment", "hello there", &err));
    assert_ok(l->ops->meta_set(l, "ddb.uuid", "u", &err));
    assert_fails(l->ops->meta_set(l, "a b", "u", &err), VDK_E_INVAL);
    assert_fails(l->ops->meta_get(l, "nothing", &value, &err), VDK_E_NO_KEY);
    write_at(l, 70000, 3, 100);
    large = calloc(1, 20001);
    assert_non_null(large);
    memset(large, 'x', 20000);
    if (i == 0)
      assert_fails(l->ops->meta_set(l, "large", large, &err), VDK_E_TOO_BIG);
    else
      assert_ok(l->ops->meta_set(l, "large", large, &err));
    free(large);
    close_link(l);
    l = open_link(name, 0);
    assert_ok(l->ops->meta_get(l, "ddb.COMMENT", &value, &err));
    assert_string_equal(value, "hello there");
    free(value);
    assert_ok(l->ops->meta_get(l, "uuid", &value, &err));
    assert_string_equal(value, "u");
    free(value);
    assert_ok(l->ops->meta_list(l, count_key, &after, &err));
    assert_int_equal(after, before + (i == 0 ? 1 : 2));
    assert_reads(l, 70001, 3);
    close_link(l);
    l = open_link(name, FORMAT_WRITE);
    assert_ok(l->ops->meta_set(l, "comment", NULL, &err));
    assert_fails(l->ops->meta_get(l, "comment", &value, &err), VDK_E_NO_KEY);
    close_link(l);
  }
}

/* --- Others --------------------------------------------------------------- */

static void
locks_of_products(void **state)
{
  struct vdk_link *l;

  create("a.vmdk", "monolithicSparse", MIB);
  assert_ok(dir_make(dir, "a.vmdk.lck", &err));
  l = open_link("a.vmdk", FORMAT_WRITE);
  close_link(l);
  put("a.vmdk.lck/M12345.lck", "");
  assert_fails(try_open("a.vmdk", FORMAT_WRITE, &l), VDK_E_LOCKED);
  assert_non_null(strstr(err.text, "a.vmdk.lck/M12345.lck"));
  assert_fails(try_open("a.vmdk", 0, &l), VDK_E_LOCKED);
  close_link(open_link("a.vmdk", FORMAT_AS_PARENT));
  close_link(open_link("a.vmdk", FORMAT_NO_LOCK));
}

static void
parents_are_not_written(void **state)
{
  static const char *const types[] = {"monolithicSparse",
                                      "twoGbMaxExtentSparse"};
  struct vdk_link *l;

  create("a.vmdk", "monolithicSparse", MIB);
  for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
    struct format_create c = {.size = MIB,
                              .type = types[i],
                              .has_parent = true,
                              .parent_hint = "C:\\vm\\a.vmdk",
                              .parent_cid = cid_of("a.vmdk")};

    assert_ok(vmdk()->create(dir, "c.vmdk", &c, &err));
    assert_fails(try_open("a.vmdk", FORMAT_WRITE, &l), VDK_E_HAS_CHILDREN);
    assert_non_null(strstr(err.text, "c.vmdk"));
    close_link(open_link("a.vmdk", 0));
    close_link(open_link("a.vmdk", FORMAT_WRITE | FORMAT_IGNORE_CHILDREN));
    l = open_link("c.vmdk", FORMAT_WRITE);
    assert_string_equal(l->ops->parent_hint(l), "C:\\vm\\a.vmdk");
    close_link(l);
    assert_int_equal(cid_of("c.vmdk"), cid_of("a.vmdk"));
    assert_ok(dir_remove(dir, "c.vmdk", &err));
    close_link(open_link("a.vmdk", FORMAT_WRITE));
  }
}

static void
open_refuses(void **state)
{
  static const struct {
    const char *text;
    int code;
    const char *says;
  } t[] = {
      {"createType=\"vmfs\"\nCID=1\nRW 2048 VMFS \"none.vmdk\"\n",
       VDK_E_NOT_FOUND, "none.vmdk"},
      {"createType=\"vmfs\"\nCID=1\nRW 4096 VMFS \"x-flat.vmdk\"\n",
       VDK_E_TRUNCATED, "x-flat.vmdk"},
      {"createType=\"vmfs\"\nCID=1\nRW 2048 VMFS \"../x-flat.vmdk\"\n",
       VDK_E_UNSAFE_PATH, "x-flat.vmdk"},
      {"createType=\"vmfs\"\nCID=1\nRW 2048 VMFS \"/x-flat.vmdk\"\n",
       VDK_E_UNSAFE_PATH, "x-flat.vmdk"},
      {"createType=\"vmfs\"\nCID=1\nRW 2048 VMFS \"a.vmdk\"\n", VDK_E_CORRUPT,
       "itself"},
      {"createType=\"monolithicSparse\"\nCID=1\nRW 2048 SPARSE "
       "\"x-flat.vmdk\"\n",
       VDK_E_NOT_A_DISK, "x-flat.vmdk"},
      {"createType=\"custom\"\nCID=1\nRW 2048 FLAT \"x-flat.vmdk\" 0\n",
       VDK_E_UNSUPPORTED, "custom"},
      {"createType=\"vmfs\"\nCID=1\nRW 2048 VMFSRDM \"x-flat.vmdk\"\n",
       VDK_E_UNSUPPORTED, "extent 1"},
      {"createType=\"vmfs\"\nCID=1\nparentCID=5\nRW 2048 VMFS \"x-flat.vmdk\"",
       VDK_E_CHAIN, "00000005"},
      {"createType=\"vmfs\"\nCID=1\nddb.iofilters = \"vmwarevmcrypt\"\n"
       "RW 2048 VMFS \"x-flat.vmdk\"",
       VDK_E_ENCRYPTED, "encrypted"},
      {"createType=\"vmfs\"\nCID=1\nRW 2048 VMFS \"x-flat.vmdk\"\n"
       "RW 18014398509481983 ZERO\nRW 18014398509481983 ZERO\n",
       VDK_E_CORRUPT, "larger than any disk"},
  };
  struct vdk_link *l;

  create("x.vmdk", "monolithicFlat", MIB);
  for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
    put("a.vmdk", t[i].text);
    assert_fails(try_open("a.vmdk", 0, &l), t[i].code);
    if (!strstr(err.text, t[i].says))
      fail_msg("%zu: %s", i, err.text);
  }
  create("s.vmdk", "twoGbMaxExtentSparse", MIB);
  assert_fails(try_open("s-s001.vmdk", 0, &l), VDK_E_NOT_A_DISK);
  assert_fails(try_open("s.vmdk", FORMAT_WRITE | FORMAT_SALVAGE, &l),
               VDK_E_INVAL);
  create("z.vmdk", "streamOptimized", MIB);
  assert_fails(try_open("z.vmdk", FORMAT_WRITE, &l), VDK_E_READ_ONLY);
}

static void
read_only_extents(void **state)
{
  static const char text[] = "createType=\"twoGbMaxExtentFlat\"\nCID=1\n"
                             "RW 2048 FLAT \"x-flat.vmdk\" 0\n"
                             "RDONLY 2048 FLAT \"y-flat.vmdk\" 0\n"
                             "RW 8 ZERO\n";
  struct vdk_link *l;
  uint64_t len;
  char *after;
  int extent;

  create("x.vmdk", "monolithicFlat", MIB);
  create("y.vmdk", "monolithicFlat", MIB);
  put("a.vmdk", text);
  l = open_link("a.vmdk", FORMAT_WRITE);
  assert_fails(l->ops->write(l, MIB - 1, "ab", 2, &err), VDK_E_READ_ONLY);
  assert_fails(l->ops->zero(l, MIB, 2, &err), VDK_E_READ_ONLY);
  assert_fails(l->ops->write(l, 2 * MIB, "ab", 2, &err), VDK_E_READ_ONLY);
  after = get("a.vmdk");
  assert_string_equal(after, text);
  free(after);
  assert_ok(l->ops->write(l, MIB - 2, "ab", 2, &err));
  assert_reads(l, MIB - 1, 'b');
  assert_ok(l->ops->map(l, 2 * MIB, 4096, &len, &extent, &err));
  assert_int_equal(extent, VDK_EXTENT_ZERO);
  assert_int_equal(len, 4096);
  close_link(l);
}

/* --- Tables --------------------------------------------------------------- */

/* Where the entries of the first table are: primary, redundant. */
#define GT  (27 * 512)
#define RGT (22 * 512)

static void
unclean_mark(void **state)
{
  struct vdk_link *l;
  uint8_t mark;

  create("a.vmdk", "monolithicSparse", 10 * MIB);
  l = open_link("a.vmdk", FORMAT_WRITE);
  peek("a.vmdk", 72, &mark, 1);
  assert_int_equal(mark, 0);
  write_at(l, 0, 1, 1);
  peek("a.vmdk", 72, &mark, 1);
  assert_int_equal(mark, 1);
  assert_int_equal(peek32("a.vmdk", GT), 0);
  assert_ok(l->ops->flush(l, &err));
  assert_int_equal(peek32("a.vmdk", GT), 128);
  assert_int_equal(peek32("a.vmdk", RGT), 128);
  close_link(l);
  peek("a.vmdk", 72, &mark, 1);
  assert_int_equal(mark, 0);
}

/* A cut flush left one copy behind the other: the entry with data counts, and
 * the next writer makes both equal. */
static void
cut_flush_is_repaired(void **state)
{
  struct vdk_link *l;

  for (int copy = 0; copy < 2; copy++) {
    char name[] = "a.vmdk";
    uint8_t b;
    size_t len;
    int extent;

    name[0] = (char)('a' + copy);
    create(name, "monolithicSparse", 10 * MIB);
    l = open_link(name, FORMAT_WRITE);
    write_at(l, 0, 1, 3 * 65536);
    close_link(l);
    poke32(name, (copy ? GT : RGT) + 4, 0);
    l = open_link(name, 0);
    assert_fails(l->ops->read(l, 65536, &b, 1, &len, &extent, &err),
                 VDK_E_CORRUPT);
    assert_reads(l, 0, 1);
    assert_reads(l, 2 * 65536, 1);
    close_link(l);
    poke(name, 72, "\1", 1);
    l = open_link(name, 0);
    assert_reads(l, 65536, 1);
    close_link(l);
    l = open_link(name, FORMAT_WRITE);
    write_at(l, 9 * MIB, 2, 1);
    close_link(l);
    assert_int_equal(peek32(name, GT + 4), 256);
    assert_int_equal(peek32(name, RGT + 4), 256);
    l = open_link(name, 0);
    assert_reads(l, 65536, 1);
    close_link(l);
  }
}

/* Where two good entries differ, nothing is written around them. */
static void
doubtful_tables_are_not_written(void **state)
{
  struct vdk_link *l;
  uint8_t mark;

  create("a.vmdk", "monolithicSparse", 10 * MIB);
  l = open_link("a.vmdk", FORMAT_WRITE);
  write_at(l, 0, 1, 3 * 65536);
  close_link(l);
  poke32("a.vmdk", RGT, 384);
  l = open_link("a.vmdk", FORMAT_WRITE);
  assert_fails(l->ops->write(l, 0, "a", 1, &err), VDK_E_CORRUPT);
  assert_non_null(strstr(err.text, "sector 128"));
  assert_non_null(strstr(err.text, "sector 384"));
  assert_fails(l->ops->write(l, 9 * MIB, "a", 1, &err), VDK_E_CORRUPT);
  assert_fails(l->ops->zero(l, 0, 65536, &err), VDK_E_CORRUPT);
  assert_ok(l->ops->write(l, 65536, "b", 1, &err));
  close_link(l);
  assert_int_equal(peek32("a.vmdk", GT), 128);
  assert_int_equal(peek32("a.vmdk", RGT), 384);
  peek("a.vmdk", 72, &mark, 1);
  assert_int_equal(mark, 1);
}

/* Absent tables are made in both directories, and the header survives. */
static void
absent_tables(void **state)
{
  struct vdk_link *l;
  uint32_t gt, rgt;

  create("a.vmdk", "monolithicSparse", 100 * MIB);
  /* 4 tables: rgd 21, gd 21 + 1 + 16. */
  poke32("a.vmdk", 21 * 512 + 4, 0);
  poke32("a.vmdk", 38 * 512 + 4, 0);
  l = open_link("a.vmdk", FORMAT_WRITE);
  assert_reads(l, 40 * MIB, 0);
  write_at(l, 31 * MIB, 5, 2 * MIB);
  assert_ok(l->ops->zero(l, 50 * MIB, MIB, &err));
  close_link(l);
  rgt = peek32("a.vmdk", 21 * 512 + 4);
  gt = peek32("a.vmdk", 38 * 512 + 4);
  assert_true(gt >= 128 && rgt >= 128 && gt != rgt);
  assert_int_equal(peek32("a.vmdk", gt * 512ull),
                   peek32("a.vmdk", rgt * 512ull));
  l = open_link("a.vmdk", 0);
  assert_reads(l, 31 * MIB, 5);
  assert_reads(l, 33 * MIB - 1, 5);
  assert_reads(l, 33 * MIB, 0);
  close_link(l);
}

static void
zeroes_in_a_child_hide_the_parent(void **state)
{
  struct format_create c = {.size = 10 * MIB,
                            .type = "monolithicSparse",
                            .has_parent = true,
                            .parent_hint = "p.vmdk",
                            .parent_cid = 5};
  struct vdk_link *l;
  uint64_t len;
  int extent;

  assert_ok(vmdk()->create(dir, "a.vmdk", &c, &err));
  l = open_link("a.vmdk", FORMAT_WRITE);
  assert_fails(l->ops->zero(l, 100, 65536, &err), VDK_E_UNSUPPORTED);
  assert_int_equal(peek32("a.vmdk", 4), 1);
  assert_ok(l->ops->zero(l, 65536, 2 * 65536, &err));
  assert_ok(l->ops->zero(l, 65536 + 100, 65536, &err));
  write_at(l, 4 * 65536, 9, 65536);
  assert_ok(l->ops->zero(l, 4 * 65536, 65536, &err));
  close_link(l);
  assert_int_equal(peek32("a.vmdk", 4), 2);
  assert_int_equal(peek32("a.vmdk", 8), 7);
  assert_int_equal(peek32("a.vmdk", GT), 0);
  assert_int_equal(peek32("a.vmdk", GT + 4), 1);
  assert_int_equal(peek32("a.vmdk", RGT + 8), 1);
  assert_int_equal(peek32("a.vmdk", RGT + 16), 1);
  l = open_link("a.vmdk", 0);
  assert_ok(l->ops->map(l, 65536, MIB, &len, &extent, &err));
  assert_int_equal(extent, VDK_EXTENT_ZERO);
  assert_int_equal(len, 2 * 65536);
  assert_ok(l->ops->map(l, 3 * 65536, MIB, &len, &extent, &err));
  assert_int_equal(extent, VDK_EXTENT_ABSENT);
  close_link(l);
}

/* Released grains are used again, but only after a flush. */
static void
released_grains_are_used_again(void **state)
{
  struct vdk_link *l;

  create("a.vmdk", "monolithicSparse", 10 * MIB);
  l = open_link("a.vmdk", FORMAT_WRITE);
  write_at(l, 0, 1, 65536);
  assert_ok(l->ops->flush(l, &err));
  assert_ok(l->ops->zero(l, 0, 65536, &err));
  write_at(l, MIB, 2, 10);
  assert_ok(l->ops->flush(l, &err));
  assert_int_equal(peek32("a.vmdk", GT), 0);
  assert_int_equal(peek32("a.vmdk", GT + 16 * 4), 256);
  write_at(l, 2 * MIB, 3, 10);
  close_link(l);
  assert_int_equal(peek32("a.vmdk", GT + 32 * 4), 128);
  l = open_link("a.vmdk", 0);
  assert_reads(l, 2 * MIB + 9, 3);
  assert_reads(l, 2 * MIB + 10, 0);
  close_link(l);
}

/* More pages than are held: a 300 GiB disk written all over, in an order that
 * evicts, and read again. */
static void
more_pages_than_memory(void **state)
{
  const uint64_t size = 400ull << 30, step = (512u << 20) - 65536;
  struct vdk_link *l;
  uint64_t n = size / step;

  create("a.vmdk", "monolithicSparse", size);
  l = open_link("a.vmdk", FORMAT_WRITE);
  for (uint64_t i = 0; i < n; i++)
    write_at(l, (i * 7 % n) * step, (int)(i * 7 % n % 255) + 1, 512);
  for (uint64_t i = 0; i < n; i++)
    assert_reads(l, i * step, (int)(i % 255) + 1);
  close_link(l);
  l = open_link("a.vmdk", 0);
  for (uint64_t i = 0; i < n; i++) {
    assert_reads(l, i * step, (int)(i % 255) + 1);
    assert_reads(l, i * step + 600, 0);
  }
  close_link(l);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      T(layout_is_vmwares),
      T(splits_by_default_as_products_do),
      T(create_touches_nothing),
      T(create_refuses),
      T(huge),
      T(cid_changes_with_the_first_write),
      T(odd_cids),
      T(change_tracking_ends),
      T(metadata),
      T(locks_of_products),
      T(parents_are_not_written),
      T(open_refuses),
      T(read_only_extents),
      T(unclean_mark),
      T(cut_flush_is_repaired),
      T(doubtful_tables_are_not_written),
      T(absent_tables),
      T(zeroes_in_a_child_hide_the_parent),
      T(released_grains_are_used_again),
      T(more_pages_than_memory),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
