/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/unit.h"

#include "base/str.h"

static void
sizes(void **state)
{
  static const struct {
    const char *text;
    uint64_t bytes;
  } good[] = {
      {"0", 0},
      {"512", 512},
      {"1K", 1024},
      {"10G", 10ull << 30},
      {"1.5T", 3ull << 39},
      {"64KiB", 65536},
      {"64kb", 65536},
      {"3b", 3},
      {".5M", 1 << 19},
      {"18446744073709551615", UINT64_MAX},
  };
  static const char *const bad[] = {
      "", "G", "-1", "1 G", "10X", "1KiBB", "18446744073709551616", "99999999P",
  };
  uint64_t v;

  for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
    assert_true(str_to_size(good[i].text, &v));
    assert_int_equal(v, good[i].bytes);
  }
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
    assert_false(str_to_size(bad[i], &v));
}

static void
numbers(void **state)
{
  uint64_t v;

  assert_true(str_to_u64("0x1F", &v));
  assert_int_equal(v, 31);
  assert_true(str_to_u64("18446744073709551615", &v));
  assert_false(str_to_u64("18446744073709551616", &v));
  assert_false(str_to_u64("", &v));
  assert_false(str_to_u64("0x", &v));
  assert_false(str_to_u64(" 1", &v));
  assert_false(str_to_u64("1f", &v));
}

static void
hex(void **state)
{
  uint8_t bytes[3] = {0x00, 0xab, 0xff};
  char text[7];

  hex_encode(bytes, 3, text);
  assert_string_equal(text, "00abff");
  memset(bytes, 0, 3);
  assert_true(hex_decode("00ABff", bytes, 3));
  assert_int_equal(bytes[1], 0xab);
  assert_false(hex_decode("00ABf", bytes, 3));
  assert_false(hex_decode("00ABfff", bytes, 3));
  assert_false(hex_decode("00ABfg", bytes, 3));
}

static void
buffers(void **state)
{
  struct strbuf b = {0};
  char *text;

  strbuf_append(&b, "a");
  for (int i = 0; i < 1000; i++)
    strbuf_printf(&b, "%d,", i);
  text = strbuf_take(&b);
  assert_non_null(text);
  assert_int_equal(strlen(text), 1 + 10 * 2 + 90 * 3 + 900 * 4);
  free(text);
  text = strbuf_take(&b);
  assert_string_equal(text, "");
  free(text);
}

static void
paths(void **state)
{
  static const struct {
    const char *path, *dir, *base;
  } t[] = {
      {"a", ".", "a"},
      {"/a", "/", "a"},
      {"a/b/c", "a/b", "c"},
      {"a/", "a", ""},
  };

  for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
    _cleanup_free_ char *dir = path_dirname(t[i].path);

    assert_string_equal(dir, t[i].dir);
    assert_string_equal(path_basename(t[i].path), t[i].base);
  }
  assert_true(str_ends_with_nocase("X.VMDK", ".vmdk"));
  assert_false(str_ends_with_nocase("vmdk", ".vmdk"));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes), cmocka_unit_test(numbers),
      cmocka_unit_test(hex),   cmocka_unit_test(buffers),
      cmocka_unit_test(paths),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
