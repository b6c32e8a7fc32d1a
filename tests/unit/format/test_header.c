/* SPDX-License-Identifier: BSD-3-Clause */
/* The sparse header: printed and parsed, and each bound tried. */
#include "tests/unit/unit.h"

#include "base/endian.h"
#include "format/vmdk/vmdk.h"

#define FILE_SIZE (1u << 20)

static const struct vmdk_header good = {
    .version = 1,
    .flags = VMDK_FLAG_NEWLINE_TEST | VMDK_FLAG_REDUNDANT_GD,
    .capacity = 20480,
    .grain_sectors = 128,
    .descriptor_offset = 1,
    .descriptor_sectors = 20,
    .gtes_per_gt = 512,
    .rgd_offset = 21,
    .gd_offset = 26,
    .overhead = 128,
};

static void
round_trip(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmdk_header h;
  uint8_t buf[VMDK_HEADER_SIZE], again[VMDK_HEADER_SIZE];

  vmdk_header_print(&good, buf);
  assert_memory_equal(buf, "KDMV", 4);
  assert_ok(vmdk_header_parse(buf, "x", FILE_SIZE, false, &h, &err));
  assert_int_equal(h.gt_count, 1);
  assert_int_equal(h.gd_offset, 26);
  vmdk_header_print(&h, again);
  assert_memory_equal(buf, again, sizeof buf);
}

static void
refuses(void **state)
{
  static const struct {
    unsigned at, size;
    uint64_t value;
    int code;
    int salvage; /* its code, 0 when that opens */
  } t[] = {
      {0, 4, 0x44574f43, VDK_E_NOT_A_DISK, VDK_E_NOT_A_DISK},
      {0, 4, 0x766d646b, VDK_E_TRUNCATED, VDK_E_TRUNCATED},
      {4, 4, 0, VDK_E_VERSION, VDK_E_VERSION},
      {4, 4, 4, VDK_E_VERSION, VDK_E_VERSION},
      {8, 4, 1u << 20, VDK_E_UNSUPPORTED, VDK_E_UNSUPPORTED},
      {8, 4, 1u << 17, VDK_E_CORRUPT, VDK_E_CORRUPT},
      {8, 4, 1u << 16, VDK_E_UNSUPPORTED, VDK_E_UNSUPPORTED},
      {12, 8, UINT64_MAX, VDK_E_CORRUPT, VDK_E_CORRUPT},
      {12, 8, 1ull << 40, VDK_E_CORRUPT, VDK_E_CORRUPT},
      {20, 8, 0, VDK_E_CORRUPT, VDK_E_CORRUPT},
      {20, 8, 100, VDK_E_CORRUPT, VDK_E_CORRUPT},
      {20, 8, 4096, VDK_E_CORRUPT, VDK_E_CORRUPT},
      {20, 8, 1ull << 63, VDK_E_CORRUPT, VDK_E_CORRUPT},
      {28, 8, UINT64_MAX, VDK_E_CORRUPT, VDK_E_CORRUPT},
      {36, 8, UINT64_MAX, VDK_E_CORRUPT, VDK_E_CORRUPT},
      {36, 8, 2048, VDK_E_CORRUPT, VDK_E_CORRUPT},
      {44, 4, 0, VDK_E_CORRUPT, VDK_E_CORRUPT},
      {44, 4, 4097, VDK_E_CORRUPT, VDK_E_CORRUPT},
      {64, 8, UINT64_MAX, VDK_E_TRUNCATED, 0},
      {64, 8, 4096, VDK_E_TRUNCATED, 0},
      {73, 4, 0x0a0a200a, VDK_E_CORRUPT, 0},
  };
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmdk_header h;

  for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
    uint8_t buf[VMDK_HEADER_SIZE], value[8];

    vmdk_header_print(&good, buf);
    le64_store(value, t[i].value);
    memcpy(buf + t[i].at, value, t[i].size);
    assert_fails(vmdk_header_parse(buf, "x", FILE_SIZE, false, &h, &err),
                 t[i].code);
    if (t[i].salvage)
      assert_fails(vmdk_header_parse(buf, "x", FILE_SIZE, true, &h, &err),
                   t[i].salvage);
    else
      assert_ok(vmdk_header_parse(buf, "x", FILE_SIZE, true, &h, &err));
  }
}

/* A primary directory outside the file passes only with a good second one. */
static void
directories(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmdk_header h = good, parsed;
  uint8_t buf[VMDK_HEADER_SIZE];

  h.gd_offset = 1ull << 40;
  vmdk_header_print(&h, buf);
  assert_ok(vmdk_header_parse(buf, "x", FILE_SIZE, false, &parsed, &err));
  h.rgd_offset = 1ull << 40;
  vmdk_header_print(&h, buf);
  assert_fails(vmdk_header_parse(buf, "x", FILE_SIZE, false, &parsed, &err),
               VDK_E_CORRUPT);
  h = good;
  h.gd_offset = UINT64_MAX;
  h.flags = VMDK_FLAG_NEWLINE_TEST;
  vmdk_header_print(&h, buf);
  assert_fails(vmdk_header_parse(buf, "x", FILE_SIZE, false, &parsed, &err),
               VDK_E_CORRUPT);
  h.flags |= VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS;
  h.compression = 1;
  vmdk_header_print(&h, buf);
  assert_ok(vmdk_header_parse(buf, "x", FILE_SIZE, false, &parsed, &err));
  /* A pipe has no size to compare with. */
  h.gd_offset = 1ull << 40;
  h.descriptor_offset = 1ull << 40;
  vmdk_header_print(&h, buf);
  assert_ok(vmdk_header_parse(buf, "x", 0, false, &parsed, &err));
}

static void
large(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vmdk_header h = good, parsed;
  uint8_t buf[VMDK_HEADER_SIZE];

  h.capacity = 62ull << 31; /* 62 TiB */
  vmdk_header_print(&h, buf);
  assert_ok(vmdk_header_parse(buf, "x", 16u << 20, false, &parsed, &err));
  assert_int_equal(parsed.gt_count, 62u << 15);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(round_trip),
      cmocka_unit_test(refuses),
      cmocka_unit_test(directories),
      cmocka_unit_test(large),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
