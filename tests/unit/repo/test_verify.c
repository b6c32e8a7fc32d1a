/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bit is flipped in every object of a repository, at many offsets: verify
 * must find it, name the object and the points that it touches, and no read
 * may ever give other bytes than were stored.
 */
#include "tests/unit/repo/repo_fixture.h"

#include "base/mem.h"
#include "base/str.h"

#define CHUNK (64u * 1024)
#define SIZE  (600u * CHUNK + 5000) /* more than one leaf of the map */

struct world {
  struct fixture f;
  uint8_t *first, *second; /* the disk at two points */
  struct repo_point *points[2];
};

struct seen {
  unsigned count;
  char object[300];
  char text[1200];
  char all[4000];
};

static void
see(void *opaque, const char *object, const char *text)
{
  struct seen *s = opaque;

  s->count++;
  snprintf(s->object, sizeof s->object, "%s", object);
  snprintf(s->text, sizeof s->text, "%s", text);
  snprintf(s->all + strlen(s->all), sizeof s->all - strlen(s->all), "%s: %s\n",
           object, text);
}

static struct repo_point *
back_up(struct world *w, const uint8_t *bytes, const struct repo_point *parent,
        uint64_t from, uint64_t len)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct repo_writer *writer = fixture_writer(&w->f, parent);
  struct repo_disk *d =
      fixture_disk(writer, "scsi0:0", SIZE, parent ? &parent->disks[0] : NULL);
  struct repo_point *p;

  assert_ok(repo_disk_put(d, from, bytes + from, len, &err));
  assert_ok(repo_disk_end(d, &err));
  assert_ok(repo_writer_file(writer, "one.vmx", "vmx", "a = \"b\"\n", 8, &err));
  assert_ok(repo_writer_commit(writer, &p, &err));
  repo_writer_close(writer);
  return p;
}

static void
world_open(struct world *w)
{
  uint64_t seed = 7;

  fixture_open(&w->f, CHUNK);
  w->first = mem_array(SIZE, 1);
  w->second = malloc(SIZE);
  fixture_fill(w->first + 10 * CHUNK, 20 * CHUNK, &seed);
  fixture_fill(w->first + SIZE - 2 * CHUNK, 2 * CHUNK, &seed);
  memcpy(w->second, w->first, SIZE);
  fixture_fill(w->second + 15 * CHUNK, 3 * CHUNK, &seed);
  w->points[0] = back_up(w, w->first, NULL, 0, SIZE);
  w->points[1] = back_up(w, w->second, w->points[0], 15 * CHUNK, 3 * CHUNK);
}

static void
world_close(struct world *w)
{
  repo_point_free(w->points[0]);
  repo_point_free(w->points[1]);
  fixture_close(&w->f);
  free(w->first);
  free(w->second);
}

static void
a_good_repository_is_good(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct repo_verify_stats stats;
  struct seen seen = {0};
  struct world w;

  world_open(&w);
  for (int level = REPO_VERIFY_QUICK; level <= REPO_VERIFY_DEEP; level++) {
    fixture_reopen(&w.f);
    if (repo_verify(w.f.repo, level, NULL, see, &seen, &stats, &err) != 0)
      fail_msg("%s\n%s", vdk_error_message(&err), seen.all);
    assert_int_equal(stats.points, 2);
    assert_int_equal(stats.disks, 2);
    assert_int_equal(stats.packs, 2);
    assert_int_equal(stats.unreferenced_packs, 0);
  }
  /* 22 + 3 data chunks, 2 x 3 map nodes of which one leaf is shared, 1 file */
  assert_int_equal(stats.chunks, 22 + 3 + 5 + 1 + 1);
  world_close(&w);
}

/* --- Flipping ------------------------------------------------------------ */

struct objects {
  char keys[64][200];
  uint64_t sizes[64];
  size_t count;
};

static int
collect(void *opaque, const struct store_entry *e)
{
  struct objects *o = opaque;

  assert_in_range(o->count, 0, 63);
  snprintf(o->keys[o->count], sizeof o->keys[0], "%s", e->key);
  o->sizes[o->count++] = e->size;
  return 0;
}

static void
list_objects(struct fixture *f, struct objects *o)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_store *store;

  o->count = 0;
  assert_ok(store_dir_new(f->dir, &store, &err));
  assert_ok(store_list(store, "", collect, o, &err));
  store_close(store);
}

static void
flip(struct fixture *f, const char *key, uint64_t offset, uint8_t mask)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_file *file;
  uint8_t byte;

  assert_ok(dir_open_file(f->dir, key, FILE_WRITE, &file, &err));
  assert_ok(file_read(file, offset, &byte, 1, &err));
  byte ^= mask;
  assert_ok(file_write(file, offset, &byte, 1, &err));
  file_close(file);
}

/* The repository opens or says that it is damaged; a point that can be found
 * reads as it was, or fails as damaged. */
static void
never_wrong(struct world *w, uint8_t *buf)
{
  const uint8_t *models[] = {w->first, w->second};
  struct vdk_error err = VDK_ERROR_INIT;

  for (unsigned i = 0; i < 2; i++) {
    struct repo_point *p;
    int r = repo_find(w->f.repo, w->points[i]->id, &p, &err);

    if (r) {
      assert_int_equal(r, -VDK_E_NO_POINT);
      continue;
    }
    for (unsigned part = 0; part < 2; part++) {
      uint64_t at = part ? SIZE - 3 * CHUNK : 0;
      uint64_t len = part ? 3 * CHUNK : 40 * CHUNK;

      r = fixture_read(w->f.repo, p, &p->disks[0], at, buf, len, 3 * CHUNK,
                       &err);
      if (r == 0)
        assert_memory_equal(buf, models[i] + at, len);
      else
        assert_int_equal(r, -VDK_E_DAMAGED);
    }
    repo_point_free(p);
  }
}

static bool
reopen(struct fixture *f)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_store *store;
  int r;

  repo_close(f->repo);
  f->repo = NULL;
  assert_ok(store_dir_new(f->dir, &store, &err));
  r = repo_open(store, NULL, &f->repo, &err);
  if (r && r != -VDK_E_DAMAGED)
    fail_msg("%s", vdk_error_message(&err));
  return r == 0;
}

static void
check_flip(struct world *w, const char *key, uint64_t offset, uint8_t *buf)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct seen seen = {0};

  flip(&w->f, key, offset, (uint8_t)(1u << offset % 8));
  if (!reopen(&w->f)) {
    assert_string_equal(key, "vmbk.json");
  } else {
    if (repo_verify(w->f.repo, REPO_VERIFY_DEEP, NULL, see, &seen, NULL,
                    &err) != -VDK_E_DAMAGED)
      fail_msg("%s at %llu: not found", key, (unsigned long long)offset);
    if (!strstr(seen.all, key))
      fail_msg("%s at %llu: not named: %s", key, (unsigned long long)offset,
               seen.all);
    never_wrong(w, buf);
  }
  flip(&w->f, key, offset, (uint8_t)(1u << offset % 8));
}

static void
every_flipped_bit_is_found(void **state)
{
  uint8_t *buf = malloc(SIZE);
  uint64_t seed = 3;
  struct objects o;
  struct world w;

  world_open(&w);
  list_objects(&w.f, &o);
  assert_int_equal(o.count, 1 + 2 + 2 + 2);
  for (size_t i = 0; i < o.count; i++) {
    uint64_t step = o.sizes[i] / 12 + 1;

    for (uint64_t at = 0; at < o.sizes[i];
         at += 1 + fixture_random(&seed) % (2 * step))
      check_flip(&w, o.keys[i], at, buf);
    check_flip(&w, o.keys[i], o.sizes[i] - 1, buf);
  }
  reopen(&w.f);
  world_close(&w);
  free(buf);
}

/* Damage in the second pack touches the second point only, that in the first
 * touches both, and is told so. */
static void
findings_name_the_points(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct objects o;
  struct world w;

  world_open(&w);
  list_objects(&w.f, &o);
  for (size_t i = 0; i < o.count; i++) {
    struct seen seen = {0};
    bool large = o.sizes[i] > 8 * CHUNK;

    if (!str_starts_with(o.keys[i], "pack/"))
      continue;
    flip(&w.f, o.keys[i], 64 + 64 + 100, 1); /* in the first chunk */
    assert_true(reopen(&w.f));
    assert_fails(
        repo_verify(w.f.repo, REPO_VERIFY_DEEP, NULL, see, &seen, NULL, &err),
        VDK_E_DAMAGED);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.object, o.keys[i]);
    assert_non_null(strstr(seen.text, w.points[1]->id));
    if (large)
      assert_non_null(strstr(seen.text, w.points[0]->id));
    else
      assert_null(strstr(seen.text, w.points[0]->id));
    flip(&w.f, o.keys[i], 64 + 64 + 100, 1);
  }
  reopen(&w.f);
  world_close(&w);
}

static void
a_missing_pack_is_found_quickly(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct objects o;
  struct world w;
  struct seen seen = {0};

  world_open(&w);
  list_objects(&w.f, &o);
  for (size_t i = 0; i < o.count; i++)
    if (str_starts_with(o.keys[i], "pack/") && o.sizes[i] > 8 * CHUNK)
      assert_ok(dir_remove(w.f.dir, o.keys[i], &err));
  assert_true(reopen(&w.f));
  assert_fails(
      repo_verify(w.f.repo, REPO_VERIFY_QUICK, NULL, see, &seen, NULL, &err),
      VDK_E_DAMAGED);
  assert_non_null(strstr(seen.all, "it is missing"));
  assert_non_null(strstr(seen.all, w.points[0]->id));
  assert_non_null(strstr(seen.all, w.points[1]->id));
  world_close(&w);
}

static int
no_more(void *opaque, const struct vdk_progress_info *info)
{
  return 1;
}

static void
verify_can_be_cancelled(void **state)
{
  const struct vdk_progress progress = {no_more, NULL};
  struct vdk_error err = VDK_ERROR_INIT;
  struct world w;

  world_open(&w);
  assert_fails(
      repo_verify(w.f.repo, REPO_VERIFY_DEEP, &progress, see, NULL, NULL, &err),
      VDK_E_CANCELLED);
  world_close(&w);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_good_repository_is_good),
      cmocka_unit_test(every_flipped_bit_is_found),
      cmocka_unit_test(findings_name_the_points),
      cmocka_unit_test(a_missing_pack_is_found_quickly),
      cmocka_unit_test(verify_can_be_cancelled),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
