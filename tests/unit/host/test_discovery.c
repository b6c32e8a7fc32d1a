/* SPDX-License-Identifier: BSD-3-Clause */
/* Which disks and snapshots texts name: real ones, and what could be. */
#include "tests/unit/unit.h"

#include "base/str.h"
#include "host/host_free.h"
#include "host/local/local.h"

#define CORPUS "../shared/data/corpus/"

static struct vmx_dict *
parse(const char *text)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmx_dict *d;

  assert_ok(vmx_dict_parse(text, strlen(text), "t", &d, &err));
  return d;
}

/* "key=file(mode) ..." */
static char *
disks_text(const struct vmx_dict *d)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct strbuf b = {0};
  struct host_disk *disks;
  size_t count;

  assert_ok(vmx_disks_find(d, &disks, &count, &err));
  for (size_t i = 0; i < count; i++)
    strbuf_printf(&b, "%s%s=%s(%s)", i ? " " : "", disks[i].key, disks[i].file,
                  disks[i].mode);
  host_disks_free(disks, count);
  return strbuf_take(&b);
}

static void
check_disks(const char *text, const char *want)
{
  _cleanup_dict_ struct vmx_dict *d = parse(text);
  _cleanup_free_ char *have = disks_text(d);

  assert_string_equal(have, want);
}

static void
disk_rules(void **state)
{
  check_disks("", "");
  check_disks("scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a.vmdk\"\n",
              "scsi0:0=a.vmdk(persistent)");
  /* absent, not present, without a name */
  check_disks("scsi0:0.fileName = \"a.vmdk\"\n"
              "scsi0:1.present = FALSE\nscsi0:1.fileName = b.vmdk\n"
              "scsi0:2.present = TRUE\nscsi0:2.fileName = \"\"\n"
              "scsi0:3.present = TRUE\n",
              "");
  /* the last of a key counts */
  check_disks("scsi0:0.present = TRUE\nscsi0:0.fileName = a\n"
              "SCSI0:0.FILENAME = b\nscsi0:0.mode = independent-persistent\n",
              "scsi0:0=b(independent-persistent)");
}

static void
device_types(void **state)
{
  static const struct {
    const char *type, *file;
    bool is_disk;
  } cases[] = {
      {"scsi-hardDisk", "a.vmdk", true},
      {"disk", "a.vmdk", true},
      {"ata-hardDisk", "a.vmdk", true},
      {"rawDisk", "a.vmdk", true},
      {"", "a.vmdk", true},
      {"", "no-suffix", true},
      {"cdrom-image", "a.iso", false},
      {"cdrom-raw", "/dev/sr0", false},
      {"atapi-cdrom", "x.vmdk", false},
      {"CDROM-RAW", "x", false},
      {"scsi-passthru", "x", false},
      {"", "a.ISO", false},
      {"disk", "a.iso", true},
      {"", "auto detect", false},
      {"", "emptyBackingString", false},
  };

  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    _cleanup_free_ char *text = str_printf(
        "ide0:0.present=TRUE\nide0:0.fileName=%s\n%s%s\n", cases[i].file,
        *cases[i].type ? "ide0:0.deviceType=" : "#", cases[i].type);
    _cleanup_free_ char *want =
        cases[i].is_disk ? str_printf("ide0:0=%s(persistent)", cases[i].file)
                         : str_dup("");

    check_disks(text, want);
  }
}

/* By bus, then by number and not by text. Odd numbers are no devices. */
static void
disk_order(void **state)
{
  static const char *const devices[] = {
      "nvme0:0",  "ide1:0",   "scsi0:10",    "scsi0:2",   "sata2:29",
      "scsi15:0", "sata2:3",  "ide0:1",      "scsi2:63",  "nvme3:14",
      "scsi00:1", "scsi0:01", "scsi:0",      "scsi0:",    "scsi0:0x",
      "scsi-1:0", "usb0:0",   "scsi99999:0", "scsi0:0:0",
  };
  _cleanup_strbuf_ struct strbuf b = {0};

  for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
    strbuf_printf(&b, "%s.present = \"TRUE\"\n%s.fileName = \"f\"\n",
                  devices[i], devices[i]);
  check_disks(b.text, "scsi0:2=f(persistent) scsi0:10=f(persistent) "
                      "scsi2:63=f(persistent) scsi15:0=f(persistent) "
                      "sata2:3=f(persistent) sata2:29=f(persistent) "
                      "ide0:1=f(persistent) ide1:0=f(persistent) "
                      "nvme0:0=f(persistent) nvme3:14=f(persistent)");
}

static void
too_many_disks(void **state)
{
  _cleanup_strbuf_ struct strbuf b = {0};
  _cleanup_dict_ struct vmx_dict *d = NULL;
  struct vdk_error err = VDK_ERROR_INIT;
  struct host_disk *disks;
  size_t count;

  for (unsigned i = 0; i <= VMX_DISKS_MAX; i++)
    strbuf_printf(&b, "scsi%u:0.fileName = x\n", i);
  d = parse(b.text);
  assert_fails(vmx_disks_find(d, &disks, &count, &err), VDK_E_TOO_BIG);
}

/* --- Snapshots ----------------------------------------------------------- */

struct messages {
  unsigned count;
  char last[200];
};

static void
note_message(void *opaque, int level, const char *message)
{
  struct messages *m = opaque;

  m->count++;
  snprintf(m->last, sizeof m->last, "%s", message);
}

/* "uid<parent[*] name {key=file,...} ..." */
static char *
snapshots_text(const struct vmx_dict *d, struct messages *m)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_log log = {note_message, m};
  struct strbuf b = {0};
  struct host_snapshot *s;
  size_t count;

  assert_ok(vmsd_read(d, "t.vmsd", &log, &s, &count, &err));
  for (size_t i = 0; i < count; i++) {
    strbuf_printf(&b, "%s%u<%u%s %s {", i ? " " : "", s[i].uid, s[i].parent,
                  s[i].current ? "*" : "", s[i].name);
    for (char **p = s[i].disks; *p; p += 2)
      strbuf_printf(&b, "%s%s=%s", p == s[i].disks ? "" : ",", p[0], p[1]);
    strbuf_append(&b, "}");
  }
  host_snapshots_free(s, count);
  return strbuf_take(&b);
}

static void
check_snapshots(const char *text, const char *want, unsigned messages)
{
  _cleanup_dict_ struct vmx_dict *d = parse(text);
  struct messages m = {0};
  _cleanup_free_ char *have = snapshots_text(d, &m);

  assert_string_equal(have, want);
  assert_int_equal(m.count, messages);
}

static void
snapshot_tree(void **state)
{
  check_snapshots("", "", 0);
  check_snapshots(".encoding = \"UTF-8\"\nsnapshot.lastUID = \"0\"\n", "", 0);
  /* places with holes and above 9, order of the uids, two children */
  check_snapshots("snapshot17.uid = \"3\"\nsnapshot17.parent = \"1\"\n"
                  "snapshot17.displayName = \"three\"\n"
                  "snapshot17.disk0.fileName = \"d-2.vmdk\"\n"
                  "snapshot17.disk0.node = \"scsi0:0\"\n"
                  "snapshot17.disk7.fileName = \"e.vmdk\"\n"
                  "snapshot17.disk7.node = \"sata0:1\"\n"
                  "snapshot17.disk8.fileName = \"nodeless.vmdk\"\n"
                  "snapshot0.uid = \"1\"\nsnapshot0.displayName = \"one\"\n"
                  "snapshot4.uid = \"2\"\nsnapshot4.parent = \"1\"\n"
                  "snapshot.current = \"3\"\nsnapshot.mru0.uid = \"1\"\n"
                  "snapshot.numSnapshots = \"99\"\n",
                  "1<0 one {} 2<1  {} "
                  "3<1* three {scsi0:0=d-2.vmdk,sata0:1=e.vmdk}",
                  0);
}

static void
hostile_trees(void **state)
{
  check_snapshots("snapshot0.uid = 1\nsnapshot0.parent = 1\n", "1<0  {}", 1);
  check_snapshots("snapshot0.uid = 1\nsnapshot0.parent = 2\n"
                  "snapshot1.uid = 2\nsnapshot1.parent = 3\n"
                  "snapshot2.uid = 3\nsnapshot2.parent = 1\n"
                  "snapshot3.uid = 4\nsnapshot3.parent = 3\n",
                  "1<0  {} 2<3  {} 3<1  {} 4<3  {}", 1);
  check_snapshots("snapshot0.uid = 1\nsnapshot0.parent = 77\n", "1<0  {}", 1);
  check_snapshots("snapshot0.uid = 1\nsnapshot1.uid = 1\n", "1<0  {}", 1);
  check_snapshots("snapshot0.uid = 0\nsnapshot1.uid = x\nsnapshot2.uid = "
                  "99999999999\nsnapshot3.uid = -1\n",
                  "", 4);
  check_snapshots("snapshot.uid = 1\nsnapshotx.uid = 1\n"
                  "snapshot0.uidx = 1\nsnapshot12345678901.uid = 1\n",
                  "", 0);
}

static void
too_many_snapshots(void **state)
{
  _cleanup_strbuf_ struct strbuf b = {0}, chain = {0};
  _cleanup_dict_ struct vmx_dict *d = NULL, *deep = NULL;
  struct vdk_error err = VDK_ERROR_INIT;
  struct host_snapshot *s;
  size_t count;

  for (unsigned i = 0; i <= VMSD_SNAPSHOTS_MAX; i++)
    strbuf_printf(&b, "snapshot%u.uid = %u\n", i, i + 1);
  d = parse(b.text);
  assert_fails(vmsd_read(d, "t", NULL, &s, &count, &err), VDK_E_TOO_BIG);
  for (unsigned i = 0; i < VMSD_SNAPSHOTS_MAX; i++)
    strbuf_printf(&chain, "snapshot%u.uid = %u\nsnapshot%u.parent = %u\n", i,
                  i + 1, i, i);
  deep = parse(chain.text);
  assert_ok(vmsd_read(deep, "t", NULL, &s, &count, &err));
  assert_int_equal(count, VMSD_SNAPSHOTS_MAX);
  assert_int_equal(s[count - 1].parent, count - 1);
  host_snapshots_free(s, count);
}

static void
times(void **state)
{
  static const struct {
    const char *high, *low;
    int64_t want;
  } cases[] = {
      {"388745", "1991180826", 388745ll << 32 | 1991180826},
      {"388801", "-814770620", 388801ll << 32 | 3480196676},
      {"0", "4294967295", 4294967295ll},
      {"0", "4294967296", 0},
      {"-1", "0", 0},
      {"x", "0", 0},
      {"1", "", 0},
      {"99999999999999999999", "1", 0},
  };

  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    _cleanup_free_ char *text =
        str_printf("snapshot0.uid = 1\nsnapshot0.createTimeHigh = \"%s\"\n"
                   "snapshot0.createTimeLow = \"%s\"\n",
                   cases[i].high, cases[i].low);
    _cleanup_dict_ struct vmx_dict *d = parse(text);
    struct vdk_error err = VDK_ERROR_INIT;
    struct host_snapshot *s;
    size_t count;

    assert_ok(vmsd_read(d, "t", NULL, &s, &count, &err));
    assert_int_equal(s[0].created_us, cases[i].want);
    host_snapshots_free(s, count);
  }
}

/* --- Texts that real products wrote -------------------------------------- */

static struct vmx_dict *
corpus(const char *name)
{
  _cleanup_free_ char *path = str_printf(CORPUS "%s", name);
  struct vdk_error err = VDK_ERROR_INIT;
  char text[65536];
  struct vmx_dict *d;
  FILE *f = fopen(path, "r");
  size_t len;

  if (!f)
    skip();
  len = fread(text, 1, sizeof text, f);
  fclose(f);
  assert_ok(vmx_dict_parse(text, len, name, &d, &err));
  return d;
}

static void
real_esxi(void **state)
{
  _cleanup_dict_ struct vmx_dict *d =
      corpus("descriptors/esxi-4snapshots.vmsd");
  struct messages m = {0};
  _cleanup_free_ char *have = snapshots_text(d, &m);

  assert_string_equal(have,
                      "1<0 SNAPSHOT POST INSTALL {scsi0:0=test flo_0.vmdk} "
                      "2<1 SECOND {scsi0:0=test flo_0-000001.vmdk} "
                      "3<2 third {scsi0:0=test flo_0-000002.vmdk} "
                      "4<3* from cli {scsi0:0=test flo_0-000003.vmdk}");
  assert_int_equal(m.count, 0);
}

static void
real_workstation(void **state)
{
  _cleanup_dict_ struct vmx_dict *d =
      corpus("descriptors/workstation-1snapshot.vmsd");
  struct messages m = {0};
  _cleanup_free_ char *have = snapshots_text(d, &m);

  assert_string_equal(have, "1<0* Baseline {nvme0:0=LAB.vmdk}");
}

static void
real_vmx(void **state)
{
  _cleanup_dict_ struct vmx_dict *d =
      corpus("ManageIQ__manageiq-smartstate/test_vmware_config.vmx");
  _cleanup_free_ char *have = disks_text(d);

  assert_string_equal(have, "scsi0:0=ManageIQ.vmdk(persistent) "
                            "scsi0:1=ManageIQ (2).vmdk(persistent) "
                            "scsi0:2=ManageIQ (3).vmdk(persistent) "
                            "scsi0:3=ManageIQ (4).vmdk(persistent)");
  assert_string_equal(vmx_dict_get(d, "displayname"), "ManageIQ");
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(disk_rules),         cmocka_unit_test(device_types),
      cmocka_unit_test(disk_order),         cmocka_unit_test(too_many_disks),
      cmocka_unit_test(snapshot_tree),      cmocka_unit_test(hostile_trees),
      cmocka_unit_test(too_many_snapshots), cmocka_unit_test(times),
      cmocka_unit_test(real_esxi),          cmocka_unit_test(real_workstation),
      cmocka_unit_test(real_vmx),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
