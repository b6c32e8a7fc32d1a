/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/unit.h"

#include <errno.h>

#include "base/error.h"

/* Every row of the table has every mapping, and no number stands twice. */
static void
table_is_complete(void **state)
{
  bool seen[1000] = {false};

#define X(name, number, err, vix, exit_status, text)                           \
  assert_in_range(number, 1, 999);                                             \
  assert_false(seen[number]);                                                  \
  seen[number] = true;                                                         \
  assert_string_equal(vdk_error_name(number), #name);                          \
  assert_string_equal(vdk_error_name(-number), #name);                         \
  assert_true(strlen(vdk_error_code_text(number)) > 0);                        \
  assert_true(vdk_error_to_errno(number) != 0);                                \
  assert_true(vdk_error_to_vix(number) != 0);                                  \
  assert_true((exit_status) > 0 && (exit_status) < 256);
  VDK_ERROR_TABLE(X)
#undef X
  assert_null(vdk_error_name(999));
  assert_string_equal(vdk_error_name(0), "OK");
}

static void
sides_decide_the_exit_status(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;

  assert_int_equal(vdk_error_exit_status(&err), 0);
  error_set(&err, VDK_E_IO, "x");
  assert_int_equal(vdk_error_exit_status(&err), 1);
  error_side(&err, VDK_SIDE_SOURCE);
  assert_int_equal(vdk_error_exit_status(&err), 31);
  error_side(&err, VDK_SIDE_TARGET); /* the first mark stays */
  assert_int_equal(vdk_error_exit_status(&err), 31);
  error_set(&err, VDK_E_NO_SPACE, "x");
  assert_int_equal(vdk_error_exit_status(&err), 40);
}

static void
texts_nest_and_are_cut(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  char longer[2 * VDK_ERROR_TEXT_SIZE];

  assert_int_equal(error_errno(&err, ENOENT, "cannot open %s", "a.vmdk"),
                   -VDK_E_NOT_FOUND);
  assert_string_equal(err.text,
                      "cannot open a.vmdk: No such file or directory");
  assert_int_equal(error_prefix(&err, "extent %d", 2), -VDK_E_NOT_FOUND);
  assert_string_equal(
      err.text, "extent 2: cannot open a.vmdk: No such file or directory");
  assert_int_equal(err.os_errno, ENOENT);
  memset(longer, 'x', sizeof longer - 1);
  longer[sizeof longer - 1] = 0;
  error_prefix(&err, "%s", longer);
  assert_int_equal(strlen(err.text), VDK_ERROR_TEXT_SIZE - 1);
}

static void
null_is_allowed(void **state)
{
  assert_int_equal(error_set(NULL, VDK_E_LOCKED, "x"), -VDK_E_LOCKED);
  assert_int_equal(error_errno(NULL, ENOSPC, "x"), -VDK_E_NO_SPACE);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(table_is_complete),
      cmocka_unit_test(sides_decide_the_exit_status),
      cmocka_unit_test(texts_nest_and_are_cut),
      cmocka_unit_test(null_is_allowed),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
