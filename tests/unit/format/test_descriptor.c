/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors: what real writers produce, what edits do, what is refused. */
#include "tests/unit/unit.h"

#include "base/str.h"
#include "format/vmdk/vmdk.h"

static struct vmdk_descriptor *
parse(const char *text)
{
  struct vmdk_descriptor *d = NULL;
  struct vdk_error err = VDK_ERROR_INIT;

  assert_ok(vmdk_descriptor_parse(text, strlen(text), "x.vmdk", &d, &err));
  return d;
}

static void
assert_prints(struct vmdk_descriptor *d, const char *want)
{
  struct vdk_error err = VDK_ERROR_INIT;
  _cleanup_free_ char *text = NULL;
  size_t len;

  assert_ok(vmdk_descriptor_print(d, &text, &len, &err));
  assert_string_equal(text, want);
  assert_int_equal(len, strlen(want));
}

static const char plain[] = "# Disk DescriptorFile\n"
                            "version=1 \n"
                            "CID=a454774a \n"
                            "parentCID=ffffffff\n"
                            "createType=\"monolithicFlat\"\n"
                            "\n"
                            "# Extent description\n"
                            "RW 2048 FLAT \"a b-flat.vmdk\" 7\n"
                            "# The Disk Data Base \n"
                            "#DDB\n"
                            "ddb.adapterType = \"ide\"\n"
                            "ddb.strange=\"kept \"\n";

static void
reads_plain(void **state)
{
  const struct vmdk_extent_line *e;
  struct vmdk_descriptor *d = parse(plain);

  assert_string_equal(vmdk_descriptor_get(d, "version"), "1");
  assert_string_equal(vmdk_descriptor_get(d, "cid"), "a454774a");
  assert_string_equal(vmdk_descriptor_get(d, "CREATETYPE"), "monolithicFlat");
  assert_null(vmdk_descriptor_get(d, "parentFileNameHint"));
  assert_string_equal(vmdk_descriptor_ddb_get(d, "ddb.ADAPTERTYPE"), "ide");
  assert_string_equal(vmdk_descriptor_ddb_get(d, "ddb.strange"), "kept ");
  assert_int_equal(vmdk_descriptor_extents(d, &e), 1);
  assert_int_equal(e[0].access, VMDK_RW);
  assert_int_equal(e[0].type, VMDK_FLAT);
  assert_int_equal(e[0].sectors, 2048);
  assert_int_equal(e[0].offset, 7);
  assert_string_equal(e[0].file, "a b-flat.vmdk");
  assert_prints(d, plain);
  vmdk_descriptor_free(d);
}

/* Letter case, blanks, CRLF, byte order mark, order, quotes in names, no
 * newline at the end: all at once. */
static void
reads_liberally(void **state)
{
  static const char text[] =
      "\xef\xbb\xbf# Description file created by something else\r\n"
      "  rdonly\t4096   sparse   \"a\"b\".vmdk\"\r\n"
      "   # createType=\"commented\"\r\n"
      "CREATEtype = monolithicSparse  \r\n"
      "nowhere 8 FLAT \"not an extent\"\r\n"
      "Rw 8 vmfs \"x\" 5 deadbeef dev\r\n"
      "NoAccess 0 ZERO\r\n"
      "RW 9 ZERO \"ignored\" x\r\n"
      "RW 10 FLAT bare 3\r\n"
      "version=1";
  const struct vmdk_extent_line *e;
  struct vmdk_descriptor *d = parse(text);

  assert_string_equal(vmdk_descriptor_get(d, "createType"), "monolithicSparse");
  assert_int_equal(vmdk_descriptor_extents(d, &e), 5);
  assert_int_equal(e[0].access, VMDK_RDONLY);
  assert_int_equal(e[0].type, VMDK_SPARSE);
  assert_string_equal(e[0].file, "a\"b\".vmdk");
  assert_int_equal(e[1].type, VMDK_VMFS);
  assert_int_equal(e[1].offset, 5);
  assert_int_equal(e[2].access, VMDK_NOACCESS);
  assert_int_equal(e[2].sectors, 0);
  assert_null(e[3].file);
  assert_string_equal(e[4].file, "bare");
  assert_int_equal(e[4].offset, 3);
  assert_prints(d, text);
  vmdk_descriptor_free(d);
}

static void
nul_ends_the_text(void **state)
{
  static const char text[] = "createType=\"vmfs\"\nCID=1\n\0RW 8 BOGUS\n";
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmdk_descriptor *d;

  assert_ok(vmdk_descriptor_parse(text, sizeof text - 1, "x", &d, &err));
  assert_string_equal(vmdk_descriptor_get(d, "CID"), "1");
  assert_prints(d, text);
  vmdk_descriptor_free(d);
}

static void
edits(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmdk_descriptor *d = parse(plain);

  assert_ok(vmdk_descriptor_set(d, "cid", "00000007", false, &err));
  assert_ok(vmdk_descriptor_ddb_set(d, "ddb.new", "va\"lue", &err));
  assert_ok(vmdk_descriptor_ddb_set(d, "DDB.strange", NULL, &err));
  assert_ok(vmdk_descriptor_ddb_set(d, "ddb.absent", NULL, &err));
  assert_ok(vmdk_descriptor_set(d, "createType", "vmfs", true, &err));
  assert_ok(vmdk_descriptor_set(d, "parentFileNameHint", "p.vmdk", true, &err));
  assert_string_equal(vmdk_descriptor_get(d, "CID"), "00000007");
  assert_string_equal(vmdk_descriptor_ddb_get(d, "ddb.new"), "va\"lue");
  assert_null(vmdk_descriptor_ddb_get(d, "ddb.strange"));
  assert_prints(d, "# Disk DescriptorFile\n"
                   "version=1 \n"
                   "CID=00000007\n"
                   "parentCID=ffffffff\n"
                   "createType=\"vmfs\"\n"
                   "parentFileNameHint=\"p.vmdk\"\n"
                   "\n"
                   "# Extent description\n"
                   "RW 2048 FLAT \"a b-flat.vmdk\" 7\n"
                   "# The Disk Data Base \n"
                   "#DDB\n"
                   "ddb.adapterType = \"ide\"\n"
                   "ddb.new = \"va\"lue\"\n");
  assert_fails(vmdk_descriptor_ddb_set(d, "ddb.x", "a\nb", &err), VDK_E_INVAL);
  assert_fails(vmdk_descriptor_ddb_set(d, "ddb.x y", "a", &err), VDK_E_INVAL);
  assert_fails(vmdk_descriptor_ddb_set(d, "x", "a", &err), VDK_E_INVAL);
  assert_fails(vmdk_descriptor_set(d, "ddb.x", "a", true, &err), VDK_E_INVAL);
  vmdk_descriptor_free(d);
}

static void
edits_crlf_and_change_tracking(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmdk_descriptor *d = parse("# Disk DescriptorFile\r\n"
                                    "version=3\r\n"
                                    "createType=\"vmfs\"\r\n"
                                    "\r\n"
                                    "# Change Tracking File\r\n"
                                    "changeTrackPath=\"a-ctk.vmdk\"\r\n"
                                    "#DDB");

  assert_ok(vmdk_descriptor_set(d, "changeTrackPath", NULL, true, &err));
  assert_ok(vmdk_descriptor_set(d, "version", "1", false, &err));
  assert_ok(vmdk_descriptor_ddb_set(d, "ddb.a", "b", &err));
  assert_prints(d, "# Disk DescriptorFile\r\n"
                   "version=1\r\n"
                   "createType=\"vmfs\"\r\n"
                   "\r\n"
                   "#DDB\n"
                   "ddb.a = \"b\"\r\n");
  vmdk_descriptor_free(d);
}

static void
refuses(void **state)
{
  static const struct {
    const char *text;
    int code;
  } bad[] = {
      {"", VDK_E_NOT_A_DISK},
      {"hello\nworld\n", VDK_E_NOT_A_DISK},
      {"version=1\n", VDK_E_NOT_A_DISK},
      {"RW 8 FLAT \"x\" 0\n", VDK_E_NOT_A_DISK},
      {"createType=\"x\"\nRW x FLAT \"x\" 0\n", VDK_E_CORRUPT},
      {"createType=\"x\"\nRW -8 FLAT \"x\" 0\n", VDK_E_CORRUPT},
      {"createType=\"x\"\nRW 18446744073709551615 FLAT \"x\" 0\n",
       VDK_E_CORRUPT},
      {"createType=\"x\"\nRW 18014398509481984 FLAT \"x\" 0\n", VDK_E_CORRUPT},
      {"createType=\"x\"\nRW 8 FLAT \"x\" 18014398509481980\n", VDK_E_CORRUPT},
      {"createType=\"x\"\nRW 8 FLAT \"x\" y\n", VDK_E_CORRUPT},
      {"createType=\"x\"\nRW 8 FLAT\n", VDK_E_CORRUPT},
      {"createType=\"x\"\nRW 8 FLAT \"\"\n", VDK_E_CORRUPT},
      {"createType=\"x\"\nRW 8 FLAT \"x\n", VDK_E_CORRUPT},
      {"createType=\"x\"\nRW 8\n", VDK_E_CORRUPT},
      {"createType=\"x\"\nRW 8 NEWTYPE \"x\"\n", VDK_E_UNSUPPORTED},
  };
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmdk_descriptor *d = NULL;
  char *huge;

  for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
    assert_fails(
        vmdk_descriptor_parse(bad[i].text, strlen(bad[i].text), "x", &d, &err),
        bad[i].code);
  huge = malloc(VMDK_DESCRIPTOR_MAX + 1);
  assert_non_null(huge);
  memset(huge, '\n', VMDK_DESCRIPTOR_MAX + 1);
  assert_fails(
      vmdk_descriptor_parse(huge, VMDK_DESCRIPTOR_MAX + 1, "x", &d, &err),
      VDK_E_TOO_BIG);
  assert_fails(vmdk_descriptor_parse(huge, VMDK_DESCRIPTOR_MAX, "x", &d, &err),
               VDK_E_TOO_BIG);
  free(huge);
  assert_null(d);
}

static void
makes_new(void **state)
{
  static const char *const meta[] = {"ddb.uuid",
                                     "60 00 C2 91 00 00 00 00-00",
                                     "toolsVersion",
                                     "10249",
                                     "ddb.longContentID",
                                     "00000000000000000000000000000000",
                                     NULL};
  static const struct {
    uint64_t size;
    const char *adapter, *cylinders, *heads, *sectors;
  } t[] = {
      {30ull << 20, "lsilogic", "30", "64", "32"},
      {60ull << 30, "lsilogic", "7832", "255", "63"},
      {1ull << 30, "buslogic", "512", "128", "32"},
      {10ull << 20, "ide", "20", "16", "63"},
      {60ull << 40, "ide", "16383", "16", "63"},
      {60ull << 40, "pvscsi", "65535", "255", "63"},
  };
  struct vmdk_extent_line extent = {.type = VMDK_SPARSE, .sectors = 20480};
  struct vdk_error err = VDK_ERROR_INIT;

  extent.file = (char *)(uintptr_t) "new.vmdk";
  for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
    struct format_create c = {.size = t[i].size,
                              .adapter = t[i].adapter,
                              .meta = meta,
                              .has_parent = i == 1,
                              .parent_hint = "p.vmdk",
                              .parent_cid = 0x12};
    struct vmdk_new_descriptor n = {.type = "monolithicSparse",
                                    .cid = 0xa,
                                    .create = &c,
                                    .extents = &extent,
                                    .extent_count = 1};
    _cleanup_free_ char *text = NULL;
    struct vmdk_descriptor *d;
    size_t len;

    assert_ok(vmdk_descriptor_new(&n, &text, &len, &err));
    assert_int_equal(len, strlen(text));
    d = parse(text);
    assert_string_equal(vmdk_descriptor_get(d, "CID"), "0000000a");
    assert_string_equal(vmdk_descriptor_get(d, "parentCID"),
                        i == 1 ? "00000012" : "ffffffff");
    if (i == 1)
      assert_string_equal(vmdk_descriptor_get(d, "parentFileNameHint"),
                          "p.vmdk");
    assert_string_equal(vmdk_descriptor_ddb_get(d, "ddb.geometry.cylinders"),
                        t[i].cylinders);
    assert_string_equal(vmdk_descriptor_ddb_get(d, "ddb.geometry.heads"),
                        t[i].heads);
    assert_string_equal(vmdk_descriptor_ddb_get(d, "ddb.geometry.sectors"),
                        t[i].sectors);
    assert_string_equal(vmdk_descriptor_ddb_get(d, "ddb.adapterType"),
                        t[i].adapter);
    assert_string_equal(vmdk_descriptor_ddb_get(d, "ddb.uuid"), meta[1]);
    assert_string_equal(vmdk_descriptor_ddb_get(d, "ddb.toolsVersion"),
                        "10249");
    assert_string_equal(vmdk_descriptor_ddb_get(d, "ddb.longContentID") + 24,
                        "0000000a");
    vmdk_descriptor_free(d);
  }
}

static void
new_refuses_line_breaks(void **state)
{
  static const char *const meta[] = {"a", "b\nRW 8 FLAT \"/etc/passwd\" 0",
                                     NULL};
  struct format_create c = {.size = 512, .meta = meta};
  struct vmdk_new_descriptor n = {.type = "vmfs", .create = &c};
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmdk_extent_line extent = {.type = VMDK_VMFS, .sectors = 1};
  char *text = NULL;
  size_t len;

  assert_fails(vmdk_descriptor_new(&n, &text, &len, &err), VDK_E_INVAL);
  c.meta = NULL;
  c.has_parent = true;
  assert_fails(vmdk_descriptor_new(&n, &text, &len, &err), VDK_E_INVAL);
  c.parent_hint = "a\nb";
  assert_fails(vmdk_descriptor_new(&n, &text, &len, &err), VDK_E_INVAL);
  c.has_parent = false;
  n.extents = &extent;
  n.extent_count = 1;
  extent.file = (char *)(uintptr_t) "a\nb";
  assert_fails(vmdk_descriptor_new(&n, &text, &len, &err), VDK_E_INVAL);
  assert_null(text);
}

static void
cids_differ(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint32_t a, b;

  assert_ok(vmdk_new_cid(&a, &err));
  assert_ok(vmdk_new_cid(&b, &err));
  assert_true(a != b);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_plain),
      cmocka_unit_test(reads_liberally),
      cmocka_unit_test(nul_ends_the_text),
      cmocka_unit_test(edits),
      cmocka_unit_test(edits_crlf_and_change_tracking),
      cmocka_unit_test(refuses),
      cmocka_unit_test(makes_new),
      cmocka_unit_test(new_refuses_line_breaks),
      cmocka_unit_test(cids_differ),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
