/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of a chain as text: there and back, and what is no such text. */
#include "tests/unit/unit.h"

#include "base/str.h"
#include "host/local/chain.h"

#define UNIT 65536ull

static void
check_equal(const struct chain_state *a, const struct chain_state *b)
{
  assert_int_equal(a->size, b->size);
  assert_int_equal(a->count, b->count);
  for (size_t i = 0; i < a->count; i++) {
    const struct chain_link *l = &a->links[i], *r = &b->links[i];

    assert_string_equal(l->name, r->name);
    assert_int_equal(l->has_cid, r->has_cid);
    assert_int_equal(l->cid, r->cid);
    assert_int_equal(l->files, r->files);
    assert_int_equal(l->bytes, r->bytes);
    assert_true(l->sum == r->sum);
    assert_int_equal(l->busy, r->busy);
    assert_int_equal(l->held.count, r->held.count);
    for (size_t k = 0; k < l->held.count; k++) {
      assert_int_equal(l->held.list[k].offset, r->held.list[k].offset);
      assert_int_equal(l->held.list[k].length, r->held.list[k].length);
    }
  }
}

static void
there_and_back(void **state)
{
  struct chain_link links[3] = {
      {.name = (char *)(uintptr_t) "base disk.vmdk",
       .has_cid = true,
       .cid = 0x00c0ffee,
       .files = 3,
       .bytes = 1ull << 40,
       .sum = FNV_INIT,
       .held.limit = 8},
      {.name = (char *)(uintptr_t) "b;%\n\xc3\xbc=.vmdk",
       .files = 1,
       .busy = true,
       .held.limit = 8},
      {.name = (char *)(uintptr_t) "c", .has_cid = true, .held.limit = 8},
  };
  struct chain_state s = {1ull << 42, links, 3};
  _cleanup_chain_ struct chain_state back = {0};
  struct vdk_error err = VDK_ERROR_INIT;
  _cleanup_free_ char *text = NULL, *again = NULL;

  assert_true(ranges_add(&links[1].held, 0, UNIT));
  assert_true(ranges_add(&links[1].held, 3 * UNIT, 5 * UNIT));
  assert_true(ranges_add(&links[1].held, s.size - UNIT, UNIT));
  assert_true(ranges_add(&links[2].held, 0x123456 * UNIT, 0x10 * UNIT));
  text = chain_state_print(&s);
  assert_null(strchr(text, '\n'));
  assert_ok(chain_state_parse(text, &back, &err));
  check_equal(&s, &back);
  again = chain_state_print(&back);
  assert_string_equal(text, again);
  ranges_free(&links[1].held);
  ranges_free(&links[2].held);
}

/* Ranges that are no whole units grow to them, and never shrink. */
static void
rounded_outwards(void **state)
{
  struct chain_link link = {.name = (char *)(uintptr_t) "a", .held.limit = 100};
  struct chain_state s = {20 * UNIT + 512, &link, 1};
  _cleanup_chain_ struct chain_state back = {0};
  struct vdk_error err = VDK_ERROR_INIT;
  _cleanup_free_ char *text = NULL;
  const struct vdk_extent *have;

  assert_true(ranges_add(&link.held, 100, 10));
  assert_true(ranges_add(&link.held, 200, 10));     /* the same unit */
  assert_true(ranges_add(&link.held, UNIT + 1, 1)); /* touches it */
  assert_true(ranges_add(&link.held, 5 * UNIT - 1, 2));
  assert_true(ranges_add(&link.held, 20 * UNIT, 512));
  text = chain_state_print(&s);
  assert_non_null(strstr(text, "held=0+2,2+2,e+1"));
  assert_ok(chain_state_parse(text, &back, &err));
  assert_int_equal(back.links[0].held.count, 3);
  have = back.links[0].held.list;
  assert_int_equal(have[0].length, 2 * UNIT);
  assert_int_equal(have[1].offset, 4 * UNIT);
  assert_int_equal(have[1].length, 2 * UNIT);
  assert_int_equal(have[2].offset, 20 * UNIT);
  ranges_free(&link.held);
}

#define SUM  " sum=00000000000000000000000000000000"
#define LINK ";a cid=none files=1 bytes=2" SUM " still held="

static void
refused(void **state)
{
  static const char *const bad[] = {
      "",
      "vdkit-chain-1",
      "vdkit-chain-1 size=",
      "vdkit-chain-1 size=65536",
      "vdkit-chain-2 size=65536" LINK,
      "vdkit-chain-1 size=x" LINK,
      "vdkit-chain-1 size=18446744073709551616" LINK,
      "vdkit-chain-1 size=9223372036854775808" LINK,
      "vdkit-chain-1 size=65536" LINK "x",
      "vdkit-chain-1 size=65536" LINK "0+2",
      "vdkit-chain-1 size=65536" LINK "1+1",
      "vdkit-chain-1 size=65536" LINK "0+0",
      "vdkit-chain-1 size=65536" LINK "0+1,",
      "vdkit-chain-1 size=65536" LINK "ffffffffffffffff+1",
      "vdkit-chain-1 size=65536" LINK "0+ffffffffffffffff",
      "vdkit-chain-1 size=65536" LINK "0+10000000000000000",
      "vdkit-chain-1 size=65536; cid=none files=1 bytes=2" SUM " still held=",
      "vdkit-chain-1 size=65536;a%00 cid=none files=1 bytes=2" SUM
      " still held=",
      "vdkit-chain-1 size=65536;a%4 cid=none files=1 bytes=2" SUM
      " still held=",
      "vdkit-chain-1 size=65536;a% cid=none files=1 bytes=2" SUM " still held=",
      "vdkit-chain-1 size=65536;a cid=123456789 files=1 bytes=2" SUM
      " still held=",
      "vdkit-chain-1 size=65536;a cid=none files=1 bytes=2 sum=0 still held=",
      "vdkit-chain-1 size=65536;a cid=none files=1 bytes=2" SUM " maybe held=",
      "vdkit-chain-1 size=65536;a cid=none files=1 bytes=2" SUM " still",
  };
  _cleanup_strbuf_ struct strbuf many = {0}, ranges = {0};
  struct vdk_error err = VDK_ERROR_INIT;
  struct chain_state s;

  for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
    assert_fails(chain_state_parse(bad[i], &s, &err), VDK_E_CORRUPT);
  strbuf_append(&many, "vdkit-chain-1 size=65536");
  for (unsigned i = 0; i <= DISK_CHAIN_MAX; i++)
    strbuf_append(&many, LINK);
  assert_fails(chain_state_parse(many.text, &s, &err), VDK_E_CORRUPT);
  strbuf_append(&ranges, "vdkit-chain-1 size=9223372036854775807" LINK "0+1");
  for (unsigned i = 0; i < 5000; i++)
    strbuf_append(&ranges, ",1+1");
  assert_fails(chain_state_parse(ranges.text, &s, &err), VDK_E_CORRUPT);
}

/* Random damage is refused or read, and never more than that. */
static void
damaged(void **state)
{
  static const char good[] =
      "vdkit-chain-1 size=6553600;a%20b cid=0badcafe files=1 bytes=2" SUM
      " still held=;c cid=none files=2 bytes=300" SUM " busy held=0+2,3+4";
  struct vdk_error err = VDK_ERROR_INIT;
  unsigned read = 0;

  srand(7);
  for (unsigned round = 0; round < 20000; round++) {
    _cleanup_chain_ struct chain_state s = {0};
    char text[sizeof good];

    memcpy(text, good, sizeof good);
    for (int n = rand() % 3; n >= 0; n--)
      text[rand() % (sizeof good - 1)] = rand();
    if (chain_state_parse(text, &s, &err) == 0) {
      _cleanup_free_ char *again = chain_state_print(&s);

      assert_non_null(again);
      read++;
    }
  }
  assert_true(read > 0 && read < 20000);
}

static void
sameness(void **state)
{
  const struct chain_link base = {.name = (char *)(uintptr_t) "a",
                                  .has_cid = true,
                                  .cid = 1,
                                  .files = 1,
                                  .bytes = 10,
                                  .sum = 5};
  struct chain_link other = base;

  assert_true(chain_link_same(&base, &other));
  /* Whether it is being written now is the next backup's concern. */
  other.busy = true;
  assert_true(chain_link_same(&base, &other));
  assert_false(chain_link_same(&other, &base));
#define DIFFERS(field, value)                                                  \
  other = base;                                                                \
  other.field = value;                                                         \
  assert_false(chain_link_same(&base, &other))
  DIFFERS(name, (char *)(uintptr_t) "b");
  DIFFERS(cid, 2);
  DIFFERS(has_cid, false);
  DIFFERS(files, 2);
  DIFFERS(bytes, 11);
  DIFFERS(sum, (fnv_sum)5 << 64);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(there_and_back), cmocka_unit_test(rounded_outwards),
      cmocka_unit_test(refused),        cmocka_unit_test(damaged),
      cmocka_unit_test(sameness),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
