/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text of a new disk's descriptor, as VMware's products write it: the
 * order of sections, quoting and blanks below are those of their files, since
 * several readers accept nothing else.
 *
 * What the caller carries over from another disk (format_create.meta) takes
 * the place of our defaults, except where it speaks of the other disk's form
 * and not of the guest's: identity of the content, thinness, grain, charset.
 */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/str.h"
#include "base/sys.h"
#include "format/vmdk/vmdk.h"

#define CID_NO_PARENT     0xffffffffu
#define CID_NEVER_WRITTEN 0xfffffffeu
#define DEFAULT_ADAPTER   "lsilogic"
#define DEFAULT_HW        10u

#define GIB_SECTORS (1ull << 21)

/* Keys that describe the file, not the guest's disk; compared in lower
 * case. */
static const char *const not_carried[] = {
    "ddb.longContentID",   "ddb.thinProvisioned", "ddb.grain",
    "ddb.encoding",        "ddb.iofilters",       "ddb.sidecars",
    "ddb.nativeParentCID",
};

static const char *const access_names[] = {
    [VMDK_RW] = "RW",
    [VMDK_RDONLY] = "RDONLY",
    [VMDK_NOACCESS] = "NOACCESS",
};

static const char *const extent_type_names[] = {
    [VMDK_FLAT] = "FLAT",
    [VMDK_SPARSE] = "SPARSE",
    [VMDK_ZERO] = "ZERO",
    [VMDK_VMFS] = "VMFS",
    [VMDK_VMFSSPARSE] = "VMFSSPARSE",
    [VMDK_VMFSRDM] = "VMFSRDM",
    [VMDK_VMFSRAW] = "VMFSRAW",
    [VMDK_SESPARSE] = "SESPARSE",
    [VMDK_VSANSPARSE] = "VSANSPARSE",
};

struct geometry {
  uint64_t cylinders;
  unsigned heads, sectors;
};

/* The geometry that VMware's tools give: advisory, nothing is computed from
 * it, but guests of the DOS age look at it. */
static struct geometry
geometry_for(uint64_t sectors, const char *adapter)
{
  struct geometry g;
  uint64_t max = 65535;

  if (str_equal_nocase(adapter, "ide")) {
    g = (struct geometry){.heads = 16, .sectors = 63};
    max = 16383;
  } else if (sectors < GIB_SECTORS) {
    g = (struct geometry){.heads = 64, .sectors = 32};
  } else if (sectors < 2 * GIB_SECTORS) {
    g = (struct geometry){.heads = 128, .sectors = 32};
  } else {
    g = (struct geometry){.heads = 255, .sectors = 63};
  }
  g.cylinders = MIN(sectors / (g.heads * g.sectors), max);
  return g;
}

/* KEY with or without "ddb."; always compared with. */
static bool
key_is(const char *key, const char *full)
{
  if (strncasecmp(key, "ddb.", 4) == 0)
    key += 4;
  return str_equal_nocase(key, full + 4);
}

static const char *
meta_find(const struct format_create *c, const char *full)
{
  for (const char *const *m = c->meta; m && m[0] && m[1]; m += 2)
    if (key_is(m[0], full))
      return m[1];
  return NULL;
}

static bool
meta_is_carried(const char *key)
{
  for (size_t i = 0; i < ARRAY_SIZE(not_carried); i++)
    if (key_is(key, not_carried[i]))
      return false;
  return true;
}

static int
meta_check(const struct format_create *c, struct vdk_error *err)
{
  for (const char *const *m = c->meta; m && m[0] && m[1]; m += 2)
    if (m[0][0] == 0 || strpbrk(m[0], "=\"#\r\n \t") || strpbrk(m[1], "\r\n") ||
        strlen(m[0]) + strlen(m[1]) > 65536)
      return error_set(err, VDK_E_INVAL,
                       "metadata key \"%.80s\" or its value cannot stand in a "
                       "disk descriptor",
                       m[0]);
  return 0;
}

static void
append_ddb(struct strbuf *b, const struct format_create *c, const char *key,
           const char *value)
{
  const char *carried = meta_find(c, key);

  if (carried && meta_is_carried(key))
    value = carried;
  strbuf_printf(b, "%s = \"%s\"\n", key, value);
}

/* 60 00 C2 9x: the prefix of the identities that VMware gives to disks. */
static void
print_uuid(const uint8_t random[16], char ret[48])
{
  uint8_t id[16];
  size_t at = 0;

  memcpy(id, random, 16);
  id[0] = 0x60;
  id[1] = 0x00;
  id[2] = 0xc2;
  id[3] = 0x90 | (id[3] & 0x0f);
  for (int i = 0; i < 16; i++)
    at += (size_t)snprintf(ret + at, 48 - at, "%02x%s", id[i],
                           i == 7 ? "-" : (i == 15 ? "" : " "));
}

/* The keys that every disk has; returns what append_ddb wrote by default. */
static const char *const standard_keys[] = {
    "ddb.adapterType",      "ddb.geometry.cylinders", "ddb.geometry.heads",
    "ddb.geometry.sectors", "ddb.longContentID",      "ddb.uuid",
    "ddb.virtualHWVersion", "ddb.thinProvisioned",
};

static bool
is_standard(const char *key)
{
  for (size_t i = 0; i < ARRAY_SIZE(standard_keys); i++)
    if (key_is(key, standard_keys[i]))
      return true;
  return false;
}

static void
append_database(struct strbuf *b, const struct vmdk_new_descriptor *n,
                const uint8_t random[28], bool thin)
{
  const struct format_create *c = n->create;
  const char *adapter = c->adapter, *carried;
  struct geometry g;
  char number[24], hex[33], uuid[48];

  carried = meta_find(c, "ddb.adapterType");
  if (!adapter)
    adapter = carried ? carried : DEFAULT_ADAPTER;
  g = geometry_for(c->size / 512, adapter);

  strbuf_append(b, "\n# The Disk Data Base \n#DDB\n\n");
  strbuf_printf(b, "ddb.adapterType = \"%s\"\n", adapter);
  snprintf(number, sizeof number, "%llu", (unsigned long long)g.cylinders);
  append_ddb(b, c, "ddb.geometry.cylinders", number);
  snprintf(number, sizeof number, "%u", g.heads);
  append_ddb(b, c, "ddb.geometry.heads", number);
  snprintf(number, sizeof number, "%u", g.sectors);
  append_ddb(b, c, "ddb.geometry.sectors", number);
  hex_encode(random + 16, 12, hex);
  snprintf(hex + 24, sizeof hex - 24, "%08x", n->cid);
  strbuf_printf(b, "ddb.longContentID = \"%s\"\n", hex);
  if (thin)
    strbuf_append(b, "ddb.thinProvisioned = \"1\"\n");
  print_uuid(random, uuid);
  append_ddb(b, c, "ddb.uuid", uuid);
  snprintf(number, sizeof number, "%u",
           c->hw_version ? c->hw_version : DEFAULT_HW);
  if (c->hw_version)
    strbuf_printf(b, "ddb.virtualHWVersion = \"%s\"\n", number);
  else
    append_ddb(b, c, "ddb.virtualHWVersion", number);
  for (const char *const *m = c->meta; m && m[0] && m[1]; m += 2)
    if (!is_standard(m[0]) && meta_is_carried(m[0]))
      strbuf_printf(b, "%s%s = \"%s\"\n",
                    strncasecmp(m[0], "ddb.", 4) == 0 ? "" : "ddb.", m[0],
                    m[1]);
}

static void
append_extents(struct strbuf *b, const struct vmdk_new_descriptor *n)
{
  strbuf_append(b, "\n# Extent description\n");
  for (size_t i = 0; i < n->extent_count; i++) {
    const struct vmdk_extent_line *e = &n->extents[i];

    strbuf_printf(b, "%s %llu %s", access_names[e->access],
                  (unsigned long long)e->sectors, extent_type_names[e->type]);
    if (e->file)
      strbuf_printf(b, " \"%s\"", e->file);
    if (e->type == VMDK_FLAT)
      strbuf_printf(b, " %llu", (unsigned long long)e->offset);
    strbuf_append(b, "\n");
  }
}

static int
check_names(const struct vmdk_new_descriptor *n, struct vdk_error *err)
{
  const char *hint = n->create->has_parent ? n->create->parent_hint : NULL;

  if (n->create->has_parent && (!hint || hint[0] == 0))
    return error_set(err, VDK_E_INVAL, "a child disk needs its parent's name");
  if (hint && strpbrk(hint, "\r\n"))
    return error_set(err, VDK_E_INVAL,
                     "the parent's name has a line break, which a disk "
                     "descriptor cannot hold");
  for (size_t i = 0; i < n->extent_count; i++)
    if (n->extents[i].file && strpbrk(n->extents[i].file, "\r\n"))
      return error_set(err, VDK_E_INVAL,
                       "the disk's name has a line break, which a disk "
                       "descriptor cannot hold");
  if (n->create->adapter && strpbrk(n->create->adapter, "\"\r\n"))
    return error_set(err, VDK_E_INVAL, "\"%.40s\" is no adapter type",
                     n->create->adapter);
  return meta_check(n->create, err);
}

int
vmdk_descriptor_new(const struct vmdk_new_descriptor *n, char **ret,
                    size_t *ret_len, struct vdk_error *err)
{
  const struct format_create *c = n->create;
  _cleanup_strbuf_ struct strbuf b = {0};
  uint8_t random[28];
  size_t len;
  char *text;
  int r;

  r = check_names(n, err);
  if (r != 0)
    return r;
  r = sys_random(random, sizeof random, err);
  if (r != 0)
    return r;
  strbuf_printf(&b,
                "# Disk DescriptorFile\n"
                "version=1\n"
                "encoding=\"UTF-8\"\n"
                "CID=%08x\n"
                "parentCID=%08x\n"
                "isNativeSnapshot=\"no\"\n"
                "createType=\"%s\"\n",
                n->cid, c->has_parent ? c->parent_cid : CID_NO_PARENT, n->type);
  if (c->has_parent)
    strbuf_printf(&b, "parentFileNameHint=\"%s\"\n", c->parent_hint);
  append_extents(&b, n);
  append_database(&b, n, random,
                  c->type && str_equal_nocase(c->type, "vmfsThin"));
  len = b.len;
  text = strbuf_take(&b);
  if (!text)
    return error_nomem(err, "making a descriptor");
  *ret = text;
  *ret_len = len;
  return 0;
}

int
vmdk_new_cid(uint32_t *ret, struct vdk_error *err)
{
  uint32_t cid;

  do {
    int r = sys_random(&cid, sizeof cid, err);

    if (r != 0)
      return r;
  } while (cid == CID_NO_PARENT || cid == CID_NEVER_WRITTEN || cid == 0);
  *ret = cid;
  return 0;
}
