/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/unit.h"

#include "base/endian.h"
#include "base/mem.h"

static void
zero_detection_sees_every_byte(void **state)
{
  uint8_t buf[100] = {0};

  assert_true(mem_is_zero(buf, 0));
  for (size_t len = 1; len <= sizeof buf; len++) {
    assert_true(mem_is_zero(buf, len));
    for (size_t i = 0; i < len; i++) {
      buf[i] = 1;
      assert_false(mem_is_zero(buf, len));
      buf[i] = 0;
    }
  }
}

static void
growing_is_checked(void **state)
{
  uint32_t *p = NULL;
  size_t capacity = 0;

  assert_true(mem_grow(&p, &capacity, 3, sizeof *p));
  assert_in_range(capacity, 3, 100);
  assert_false(mem_grow(&p, &capacity, SIZE_MAX / 2, sizeof *p));
  assert_non_null(p);
  free(p);
}

static void
integers_have_an_order(void **state)
{
  uint8_t raw[8] = {1, 2, 3, 4, 5, 6, 7, 8};

  assert_int_equal(le32_load(raw), 0x04030201);
  assert_int_equal(be32_load(raw), 0x01020304);
  assert_int_equal(le64_load(raw), 0x0807060504030201);
  assert_int_equal(le16_get(le16_put(0xabcd)), 0xabcd);
  assert_int_equal(sizeof(le64_t), 8);
}

static void
ranges(void **state)
{
  assert_false(range_outside(0, 10, 10));
  assert_true(range_outside(1, 10, 10));
  assert_true(range_outside(UINT64_MAX, 2, 10));
  assert_true(range_outside(2, UINT64_MAX, 10));
  assert_int_equal(round_up(1, 512), 512);
  assert_int_equal(div_round_up(UINT64_MAX, 2), UINT64_MAX / 2 + 1);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(zero_detection_sees_every_byte),
      cmocka_unit_test(growing_is_checked),
      cmocka_unit_test(integers_have_an_order),
      cmocka_unit_test(ranges),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
