/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/unit.h"

#include "base/str.h"
#include "host/vmx_dict.h"

static struct vmx_dict *
parse(const char *text)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmx_dict *d;

  assert_ok(vmx_dict_parse(text, strlen(text), "t.vmx", &d, &err));
  return d;
}

static char *
print(const struct vmx_dict *d)
{
  struct vdk_error err = VDK_ERROR_INIT;
  char *text;
  size_t len;

  assert_ok(vmx_dict_print(d, &text, &len, &err));
  assert_int_equal(strlen(text), len);
  return text;
}

/* Every way of writing a line that is known, and what it means. */
static void
values(void **state)
{
  static const struct {
    const char *line, *key, *value;
  } cases[] = {
      {"a = \"b\"", "a", "b"},
      {"A.b=\"c\"", "a.B", "c"},
      {"  a  =  \"b\"  ", "a", "b"},
      {"\ta\t=\t\"b\"\t", "a", "b"},
      {"a = b c", "a", "b c"},
      {"a = ", "a", ""},
      {"a =", "a", ""},
      {"a = \"\"", "a", ""},
      {"a = \" b \"", "a", " b "},
      {"a = \"b\" # c", "a", "b"},
      {"a = \"b\"c\"", "a", "b\"c"},
      {"a = \"unclosed", "a", "unclosed"},
      {"a = \"x = y\"", "a", "x = y"},
      {".encoding = \"UTF-8\"", ".encoding", "UTF-8"},
      {"a = \"q |22 b |7C n |0A\"", "a", "q \" b | n \n"},
      {"a = \"|7c22\"", "a", "|22"},
      {"a = \"|2\"", "a", "|2"},
      {"a = \"|\"", "a", "|"},
      {"a = \"|zz|00\"", "a", "|zz|00"},
      {"a = \"\xe4\xf6\"", "a", "\xe4\xf6"},
      {"a = \"b\"\r", "a", "b"},
      {"\xef\xbb\xbf"
       "a = \"b\"",
       "a", "b"},
      {"# a = \"b\"", "a", NULL},
      {"  # a = \"b\"", "# a", NULL},
      {"= \"b\"", "", NULL},
      {"a", "a", NULL},
      {"", "a", NULL},
  };

  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    _cleanup_dict_ struct vmx_dict *d = parse(cases[i].line);
    _cleanup_free_ char *again = print(d);
    const char *value = vmx_dict_get(d, cases[i].key);

    if (cases[i].value)
      assert_string_equal(value, cases[i].value);
    else
      assert_null(value);
    assert_string_equal(again, cases[i].line);
  }
}

static void
types(void **state)
{
  _cleanup_dict_ struct vmx_dict *d =
      parse("t = \"TRUE\"\nT2=true\nf = \"FALSE\"\nn = \"17\"\nm = \"x17\"\n"
            "big = \"99999999999999999999\"\nneg=-1\n");
  uint64_t v = 5;

  assert_true(vmx_dict_bool(d, "T"));
  assert_true(vmx_dict_bool(d, "t2"));
  assert_false(vmx_dict_bool(d, "f"));
  assert_false(vmx_dict_bool(d, "absent"));
  assert_true(vmx_dict_u64(d, "N", &v));
  assert_int_equal(v, 17);
  assert_false(vmx_dict_u64(d, "m", &v));
  assert_false(vmx_dict_u64(d, "big", &v));
  assert_false(vmx_dict_u64(d, "neg", &v));
  assert_false(vmx_dict_u64(d, "absent", &v));
  assert_int_equal(v, 17);
  assert_string_equal(vmx_dict_text(d, "absent"), "");
}

static void
last_counts(void **state)
{
  _cleanup_dict_ struct vmx_dict *d = parse("a = 1\nb = 2\nA = 3\nab = 4\n");
  struct vdk_error err = VDK_ERROR_INIT;
  _cleanup_free_ char *set = NULL, *removed = NULL;

  assert_string_equal(vmx_dict_get(d, "a"), "3");
  assert_ok(vmx_dict_set(d, "a", "5", &err));
  assert_string_equal(vmx_dict_get(d, "A"), "5");
  set = print(d);
  assert_string_equal(set, "a = 1\nb = 2\na = \"5\"\nab = 4\n");
  vmx_dict_remove(d, "A");
  assert_null(vmx_dict_get(d, "a"));
  assert_string_equal(vmx_dict_get(d, "ab"), "4");
  removed = print(d);
  assert_string_equal(removed, "b = 2\nab = 4\n");
}

struct seen {
  struct strbuf text;
  size_t stop;
};

static int
note(void *opaque, const char *key, const char *value)
{
  struct seen *s = opaque;

  strbuf_printf(&s->text, "%s:%s;", key, value);
  return s->stop && --s->stop == 0 ? 7 : 0;
}

static void
prefixes(void **state)
{
  _cleanup_dict_ struct vmx_dict *d =
      parse("scsi0:1.x = 1\nSCSI0:0.X = 2\nsata = 3\nscsi = 4\nscsi0:1.x = "
            "5\nscsj = 6\n");
  struct seen s = {0};

  assert_int_equal(vmx_dict_each(d, "Scsi", note, &s), 0);
  assert_string_equal(s.text.text, "scsi:4;scsi0:0.x:2;scsi0:1.x:5;");
  s.text.len = 0;
  s.stop = 2;
  assert_int_equal(vmx_dict_each(d, "", note, &s), 7);
  assert_string_equal(s.text.text, "sata:3;scsi:4;");
  s.text.len = 0;
  assert_int_equal(vmx_dict_each(d, "zz", note, &s), 0);
  assert_int_equal(s.text.len, 0);
  strbuf_free(&s.text);
}

/* What is not touched stays byte for byte, in any style. */
static void
edits(void **state)
{
  static const char text[] = "\xef\xbb\xbf#!/usr/bin/vmware\r\n"
                             ".encoding = \"windows-1252\"\r\n"
                             "\r\n"
                             "  weird   line\r\n"
                             "one LF = \"x\"\n"
                             "scsi0:0.fileName = \"old.vmdk\"\r\n"
                             "name = \"M\xfcller\"\r\n"
                             "last = 1";
  static const char want[] = "\xef\xbb\xbf#!/usr/bin/vmware\r\n"
                             ".encoding = \"windows-1252\"\r\n"
                             "\r\n"
                             "  weird   line\r\n"
                             "one LF = \"x\"\n"
                             "scsi0:0.filename = \"ne|22w|7C.vmdk\"\r\n"
                             "name = \"M\xfcller\"\r\n"
                             "last = 1\n"
                             "new.key = \"line|0Abreak\"\r";
  _cleanup_dict_ struct vmx_dict *d = parse(text), *again = NULL;
  _cleanup_free_ char *same = print(d), *changed = NULL;
  struct vdk_error err = VDK_ERROR_INIT;

  assert_string_equal(same, text);
  assert_ok(vmx_dict_set(d, "scsi0:0.filename", "ne\"w|.vmdk", &err));
  assert_ok(vmx_dict_set(d, "new.key", "line\nbreak", &err));
  changed = print(d);
  assert_string_equal(changed, want);
  again = parse(changed);
  assert_string_equal(vmx_dict_get(again, "scsi0:0.fileName"), "ne\"w|.vmdk");
  assert_string_equal(vmx_dict_get(again, "new.key"), "line\nbreak");
}

/* Set and get of many keys in any order agree with a plain list. */
static void
many_keys(void **state)
{
  _cleanup_dict_ struct vmx_dict *d = parse("");
  struct vdk_error err = VDK_ERROR_INIT;
  char key[32], value[32];

  for (unsigned i = 0; i < 3000; i++) {
    snprintf(key, sizeof key, "Key%u", i * 7919 % 3000);
    snprintf(value, sizeof value, "%u", i * 7919 % 3000 + 1);
    assert_ok(vmx_dict_set(d, key, value, &err));
  }
  for (unsigned i = 0; i < 3000; i += 3) {
    snprintf(key, sizeof key, "key%u", i);
    vmx_dict_remove(d, key);
  }
  for (unsigned i = 0; i < 3000; i++) {
    snprintf(key, sizeof key, "kEY%u", i);
    snprintf(value, sizeof value, "%u", i + 1);
    if (i % 3 == 0)
      assert_null(vmx_dict_get(d, key));
    else
      assert_string_equal(vmx_dict_get(d, key), value);
  }
}

static void
refused(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmx_dict *d = NULL;
  size_t len = VMX_DICT_MAX + 1;
  _cleanup_free_ char *huge = malloc(len);

  memset(huge, '\n', len);
  assert_fails(vmx_dict_parse(huge, len, "t", &d, &err), VDK_E_TOO_BIG);
  assert_fails(vmx_dict_parse(huge, VMX_DICT_LINES_MAX + 1, "t", &d, &err),
               VDK_E_TOO_BIG);
  assert_fails(vmx_dict_parse("a = \"b\0c\"", 9, "t", &d, &err), VDK_E_CORRUPT);
  assert_non_null(strstr(err.text, "at 6"));
  assert_null(d);
  vmx_dict_free(NULL);
}

/* The largest text, all of it one key, is read in no time. */
static void
largest(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  _cleanup_dict_ struct vmx_dict *d = NULL;
  _cleanup_strbuf_ struct strbuf b = {0};

  for (unsigned i = 0; i < VMX_DICT_LINES_MAX; i++)
    strbuf_printf(&b, "k=%u\n", i);
  assert_ok(vmx_dict_parse(b.text, b.len, "t", &d, &err));
  assert_string_equal(vmx_dict_get(d, "K"), "65535");
  assert_int_equal(vmx_dict_set(d, "other", "x", &err), -VDK_E_TOO_BIG);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values),   cmocka_unit_test(types),
      cmocka_unit_test(prefixes), cmocka_unit_test(last_counts),
      cmocka_unit_test(edits),    cmocka_unit_test(many_keys),
      cmocka_unit_test(refused),  cmocka_unit_test(largest),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
