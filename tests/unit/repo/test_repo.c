/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/repo/repo_fixture.h"

#include "base/mem.h"

#define CHUNK (64u * 1024)
#define SIZE  (37u * CHUNK + 1536)

static void
what_was_put_is_read(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint8_t *model = mem_array(SIZE, 1), *read = malloc(SIZE);
  struct repo_point *p, *found;
  struct repo_writer *w;
  struct repo_disk *d;
  struct fixture f;
  uint64_t seed = 1;
  size_t len;
  char *text;

  fixture_open(&f, CHUNK);
  w = fixture_writer(&f, NULL);
  d = fixture_disk(w, "scsi0:0", SIZE, NULL);
  fixture_fill(model + 3 * CHUNK - 100, 5 * CHUNK + 300, &seed);
  assert_ok(repo_disk_put(d, 3 * CHUNK - 100, model + 3 * CHUNK - 100,
                          5 * CHUNK + 300, &err));
  fixture_fill(model + SIZE - 700, 700, &seed);
  assert_ok(repo_disk_put(d, SIZE - 700, model + SIZE - 700, 700, &err));
  assert_ok(repo_disk_end(d, &err));
  assert_ok(repo_writer_file(w, "one.vmx", "vmx", "hello = \"x\"\n", 12, &err));
  assert_ok(repo_writer_warning(w, "beware", &err));
  assert_ok(repo_writer_commit(w, &p, &err));
  repo_writer_close(w);
  fixture_reopen(&f);
  assert_ok(repo_find(f.repo, "latest", &found, &err));
  assert_string_equal(found->id, p->id);
  assert_string_equal(found->warnings[0], "beware");
  assert_int_equal(found->disk_count, 1);
  assert_int_equal(found->disks[0].bytes_data, 7 * CHUNK + 1536);
  assert_ok(
      fixture_read(f.repo, found, &found->disks[0], 0, read, SIZE, SIZE, &err));
  assert_memory_equal(read, model, SIZE);
  assert_ok(
      fixture_read(f.repo, found, &found->disks[0], 0, read, SIZE, 999, &err));
  assert_memory_equal(read, model, SIZE);
  assert_ok(repo_file_read(f.repo, &found->files[0], &text, &len, &err));
  assert_int_equal(len, 12);
  assert_string_equal(text, "hello = \"x\"\n");
  free(text);
  repo_point_free(found);
  repo_point_free(p);
  fixture_close(&f);
  free(model);
  free(read);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_was_put_is_read),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
