/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/unit.h"

#include "host/local/identity.h"
#include "host/local/ranges.h"

static void
bios(void **state)
{
  static const char *const bad[] = {
      "",
      "56 4d",
      "56 4d 38 13 eb c0 80 93-85 6b f8 f9 59 ef 9b 9b 00",
      "56 4d 38 13 eb c0 80 93-85 6b f8 f9 59 ef 9b 9",
      "zz 4d 38 13 eb c0 80 93-85 6b f8 f9 59 ef 9b 9b",
      "00 00 00 00 00 00 00 00-00 00 00 00 00 00 00 00",
  };
  static const char *const same[] = {
      "56 4d 38 13 eb c0 80 93-85 6b f8 f9 59 ef 9b 9b",
      "564D3813-EBC0-8093-856B-F8F959EF9B9B",
      "564d3813ebc08093856bf8f959ef9b9b",
  };
  char uuid[UUID_TEXT_SIZE];

  for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
    assert_true(identity_from_bios(same[i], uuid));
    assert_string_equal(uuid, "564d3813-ebc0-8093-856b-f8f959ef9b9b");
  }
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
    assert_false(identity_from_bios(bad[i], uuid));
}

/* The published test vectors of 128-bit FNV-1a. */
static void
fnv(void **state)
{
  fnv_sum a = fnv_add(FNV_INIT, "a", 1);
  fnv_sum foobar = fnv_add(FNV_INIT, "foobar", 6);

  assert_true((uint64_t)(a >> 64) == 0xd228cb696f1a8cafull);
  assert_true((uint64_t)a == 0x78912b704e4a8964ull);
  assert_true((uint64_t)(foobar >> 64) == 0x343e1662793c64bfull);
  assert_true((uint64_t)foobar == 0x6f0d3597ba446f18ull);
  assert_true(fnv_add(fnv_add(FNV_INIT, "foo", 3), "bar", 3) == foobar);
}

static void
from_path(void **state)
{
  char a[UUID_TEXT_SIZE], b[UUID_TEXT_SIZE];

  identity_from_path("/vms/one/one.vmx", a);
  identity_from_path("/vms/one/one.vmx", b);
  assert_string_equal(a, b);
  /* The rule is for ever: a change would make every VM without a UUID a new
   * one. */
  assert_string_equal(a, "6c61b09e-bfda-8132-9df4-0a4e1b688aab");
  identity_from_path("/vms/one/two.vmx", b);
  assert_string_not_equal(a, b);
  assert_int_equal(strlen(a), 36);
  assert_int_equal(a[14], '8');
  assert_non_null(strchr("89ab", a[19]));
}

static void
ranges_join(void **state)
{
  struct ranges r = {.limit = 100};

  assert_true(ranges_add(&r, 0, 10));
  assert_true(ranges_add(&r, 10, 5));
  assert_true(ranges_add(&r, 12, 2));
  assert_true(ranges_add(&r, 20, 0));
  assert_true(ranges_add(&r, 30, 10));
  assert_int_equal(r.count, 2);
  assert_int_equal(r.list[0].length, 15);
  assert_int_equal(ranges_total(&r), 25);
  ranges_clip(&r, 35);
  assert_int_equal(ranges_total(&r), 20);
  ranges_clip(&r, 30);
  assert_int_equal(r.count, 1);
  ranges_clip(&r, 0);
  assert_int_equal(r.count, 0);
  ranges_free(&r);
}

/* However many are added, the list stays short and covers all of them; two
 * lists in one cover both. A bitmap is the model. */
static void
ranges_random(void **state)
{
  enum { UNITS = 4096, UNIT = 65536 };
  static uint8_t model[UNITS];

  srand(3);
  for (unsigned round = 0; round < 200; round++) {
    struct ranges r[2] = {{.limit = 2 + rand() % 60},
                          {.limit = 2 + rand() % 60}};
    size_t covered = 0;

    memset(model, 0, sizeof model);
    for (unsigned k = 0; k < 2; k++)
      for (unsigned u = rand() % 50; u < UNITS;) {
        unsigned len = 1 + rand() % 4;

        len = MIN(len, UNITS - u);
        assert_true(
            ranges_add(&r[k], (uint64_t)u * UNIT, (uint64_t)len * UNIT));
        memset(model + u, 1, len);
        u += len + rand() % (round % 2 ? 100 : 1000);
      }
    assert_true(ranges_merge(&r[0], &r[1]));
    assert_true(r[0].count <= r[0].limit);
    for (size_t i = 0; i < r[0].count; i++) {
      const struct vdk_extent *e = &r[0].list[i];

      assert_true(e->length > 0);
      assert_true(i == 0 || e->offset > e[-1].offset + e[-1].length);
      for (uint64_t u = e->offset / UNIT; u < (e->offset + e->length) / UNIT;
           u++)
        covered += model[u];
    }
    for (size_t u = 0; u < UNITS; u++)
      covered -= model[u];
    assert_int_equal(covered, 0);
    ranges_free(&r[0]);
    ranges_free(&r[1]);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bios),          cmocka_unit_test(fnv),
      cmocka_unit_test(from_path),     cmocka_unit_test(ranges_join),
      cmocka_unit_test(ranges_random),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
