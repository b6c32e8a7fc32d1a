/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/unit.h"

#include "base/utf8.h"

static void
conversions(void **state)
{
  static const struct {
    const char *in, *out;
  } cases[] = {
      {"", ""},
      {"plain", "plain"},
      {"M\xc3\xbcller \xe2\x82\xac \xf0\x9f\x98\x80",
       "M\xc3\xbcller \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"M\xfcller", "M\xc3\xbcller"},
      {"\x80", "\xe2\x82\xac"},
      {"a\x93z\x94", "a\xe2\x80\x9cz\xe2\x80\x9d"},
      {"\x81", "\xef\xbf\xbd"},
      {"\xc0\xaf", "\xc3\x80\xc2\xaf"},                 /* overlong */
      {"\xed\xa0\x80", "\xc3\xad\xc2\xa0\xe2\x82\xac"}, /* surrogate */
      {"\xe2\x82", "\xc3\xa2\xe2\x80\x9a"},             /* cut */
      {"\xf5\x80\x80\x80", "\xc3\xb5\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"},
  };

  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    _cleanup_free_ char *out = utf8_from(cases[i].in);

    assert_string_equal(out, cases[i].out);
    assert_true(utf8_valid(out));
    assert_int_equal(utf8_valid(cases[i].in), strcmp(out, cases[i].in) == 0);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(conversions),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
