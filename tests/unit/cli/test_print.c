/* SPDX-License-Identifier: BSD-3-Clause */
/* The command's own helpers: what terminals and scripts rely on. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "cli/cli.h"

#include <cmocka.h>

/* What stands in files of the command that are not linked here. */
bool
cli_interrupted(void)
{
  return false;
}

void
help_usage_line(const struct cli_verb *v, FILE *f)
{
}

static void
escapes(const char *text, const char *expected)
{
  char *got = text_escape(text);

  assert_string_equal(got, expected);
  free(got);
}

static void
test_escape(void **state)
{
  escapes("", "");
  escapes("disk 1.vmdk", "disk 1.vmdk");
  escapes("a\nb\tc", "a\\nb\\tc");
  escapes("\033[31mred\033[0m", "\\x1b[31mred\\x1b[0m");
  escapes("\x7f", "\\x7f");
  escapes("caf\303\251", "caf\303\251");
  escapes("\346\227\245\346\234\254", "\346\227\245\346\234\254");
  /* Latin 1, a cut character, an overlong one, a C1 control. */
  escapes("caf\351", "caf\\xe9");
  escapes("\346\227", "\\xe6\\x97");
  escapes("\300\257", "\\xc0\\xaf");
  escapes("\302\233", "\\xc2\\x9b");
}

static void
test_width(void **state)
{
  assert_int_equal(text_width(""), 0);
  assert_int_equal(text_width("abc"), 3);
  assert_int_equal(text_width("caf\303\251"), 4);
  assert_int_equal(text_width("\346\227\245\346\234\254"), 4);
}

static void
test_size(void **state)
{
  char buf[SIZE_TEXT];

  assert_string_equal(text_size(0, buf), "0 B");
  assert_string_equal(text_size(1023, buf), "1023 B");
  assert_string_equal(text_size(1024, buf), "1.0 KiB");
  assert_string_equal(text_size(1536, buf), "1.5 KiB");
  assert_string_equal(text_size(1048575, buf), "1.0 MiB");
  assert_string_equal(text_size(10ull << 30, buf), "10.0 GiB");
  assert_string_equal(text_size(62ull << 40, buf), "62.0 TiB");
  assert_string_equal(text_size(UINT64_MAX, buf), "16.0 EiB");
}

static void
test_duration(void **state)
{
  char buf[TIME_TEXT];

  assert_string_equal(text_duration(0, buf), "0:00");
  assert_string_equal(text_duration(59.6, buf), "1:00");
  assert_string_equal(text_duration(754, buf), "12:34");
  assert_string_equal(text_duration(3723, buf), "1:02:03");
  assert_string_equal(text_duration(1e12, buf), "-:--");
  assert_string_equal(text_duration(-1, buf), "-:--");
  assert_string_equal(text_duration(0.0 / 0.0, buf), "-:--");
}

static void
test_time(void **state)
{
  char buf[TIME_TEXT];

  assert_int_equal(time_parse("1970-01-01T00:00:01Z"), 1000000);
  assert_true(time_parse("2026-11-21T22:34:55Z") == 1795300495000000);
  assert_int_equal(time_parse("yesterday"), 0);
  assert_int_equal(time_parse(NULL), 0);
  assert_string_equal(text_time(0, buf), "-");
  assert_string_equal(text_time(1795300495000000, buf), "2026-11-21 22:34:55");
}

static void
sizes_to(const char *text, uint64_t expected)
{
  uint64_t got;

  assert_true(options_size(text, &got));
  assert_true(got == expected);
}

static void
test_size_option(void **state)
{
  static const char *const bad[] = {"",
                                    "G",
                                    "-1",
                                    "+1",
                                    " 1",
                                    "1 ",
                                    "10X",
                                    "1GG",
                                    "1iB",
                                    "0x10",
                                    "1..5",
                                    "1e10",
                                    "99999999999999999999",
                                    "16384P",
                                    "1Gi B",
                                    NULL};
  uint64_t got = 7;

  sizes_to("0", 0);
  sizes_to("512", 512);
  sizes_to("512b", 512);
  sizes_to("64K", 65536);
  sizes_to("64k", 65536);
  sizes_to("64KiB", 65536);
  sizes_to("64kb", 65536);
  sizes_to("10G", 10ull << 30);
  sizes_to("1.5T", 3ull << 39);
  sizes_to("0.5M", 1u << 19);
  sizes_to(".5M", 1u << 19);
  sizes_to("62T", 62ull << 40);
  sizes_to("16383P", 16383ull << 50);
  for (size_t i = 0; bad[i]; i++)
    if (options_size(bad[i], &got))
      fail_msg("'%s' was taken for %llu", bad[i], (unsigned long long)got);
  assert_int_equal(got, 7);
}

static void
suggests(const char *word, const char *expected)
{
  static const char *const words[] = {"info",   "map",  "create",  "convert",
                                      "backup", "list", "restore", NULL};
  const char *got = suggest(word, words);

  if (expected)
    assert_string_equal(got ? got : "nothing", expected);
  else
    assert_null(got);
}

static void
test_suggest(void **state)
{
  suggests("ifno", "info");
  suggests("convrt", "convert");
  suggests("conv", "convert");
  suggests("CREATE", "create");
  suggests("lst", "list");
  suggests("restroe", "restore");
  suggests("bakcup", "backup");
  suggests("xyzzy", NULL);
  suggests("delete-everything", NULL);
  suggests("", NULL);
  suggests("a-word-that-is-much-longer-than-any-word-could-ever-be", NULL);
}

static void
test_table(void **state)
{
  _cleanup_table_ struct table t = {0};
  char *text = NULL;
  size_t len;
  FILE *f = open_memstream(&text, &len);

  table_add(&t, "Name", ">Size", "File");
  table_add(&t, "a", "1.0 GiB", "a.vmdk");
  table_add(&t, "caf\303\251\n", "12 B", NULL);
  table_print(&t, "  ", f);
  fclose(f);
  assert_string_equal(text, "  Name       Size  File\n"
                            "  a       1.0 GiB  a.vmdk\n"
                            "  caf\303\251\\n     12 B  -\n");
  free(text);
}

static void
test_fields(void **state)
{
  _cleanup_table_ struct table t = {0};
  char *text = NULL;
  size_t len;
  FILE *f = open_memstream(&text, &len);

  table_add(&t, "Disk", "a.vmdk");
  table_add(&t, "Capacity", "1 MiB");
  table_print_fields(&t, f);
  fclose(f);
  assert_string_equal(text, "Disk:     a.vmdk\nCapacity: 1 MiB\n");
  free(text);
}

static void
test_json_text(void **state)
{
  json_t *object = json_object();

  json_put_text(object, "plain", "caf\303\251");
  json_put_text(object, "latin", "caf\351");
  json_put_text(object, "none", NULL);
  json_put_time(object, "time", 1795300495000000);
  json_put_time(object, "never", 0);
  assert_string_equal(json_string_value(json_object_get(object, "plain")),
                      "caf\303\251");
  assert_string_equal(json_string_value(json_object_get(object, "latin")),
                      "caf\\xe9");
  assert_true(json_is_null(json_object_get(object, "none")));
  assert_string_equal(json_string_value(json_object_get(object, "time")),
                      "2026-11-21T22:34:55Z");
  assert_true(json_is_null(json_object_get(object, "never")));
  json_decref(object);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_escape),  cmocka_unit_test(test_width),
      cmocka_unit_test(test_size),    cmocka_unit_test(test_duration),
      cmocka_unit_test(test_time),    cmocka_unit_test(test_size_option),
      cmocka_unit_test(test_suggest), cmocka_unit_test(test_table),
      cmocka_unit_test(test_fields),  cmocka_unit_test(test_json_text),
  };

  setenv("TZ", "UTC", 1);
  if (!setlocale(LC_CTYPE, "C.UTF-8"))
    return 77;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
