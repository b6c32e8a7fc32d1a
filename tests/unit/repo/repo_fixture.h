/* SPDX-License-Identifier: BSD-3-Clause */
/* A repository in memory, and disks of which a model in memory is kept. */
#ifndef TESTS_UNIT_REPO_FIXTURE_H
#define TESTS_UNIT_REPO_FIXTURE_H

#include "tests/unit/unit.h"

#include "file/file.h"
#include "repo/repo.h"

#define FIXTURE_UUID "564d0000-1111-2222-3333-444455556666"

struct fixture {
  struct vdk_dir *dir;
  struct repo *repo;
};

static inline uint32_t
fixture_random(uint64_t *seed)
{
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*seed >> 33);
}

/* Bytes of which about half can be compressed away. */
static inline void
fixture_fill(uint8_t *p, size_t len, uint64_t *seed)
{
  for (size_t i = 0; i < len; i++)
    p[i] = i % 16 < 8 ? (uint8_t)fixture_random(seed) : (uint8_t)(i / 16);
}

static inline void
fixture_reopen(struct fixture *f)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_store *store;

  repo_close(f->repo);
  f->repo = NULL;
  assert_ok(store_dir_new(f->dir, &store, &err));
  assert_ok(repo_open(store, NULL, &f->repo, &err));
}

static inline void
fixture_open(struct fixture *f, uint32_t chunk_size)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct repo_create create = {.chunk_size = chunk_size};
  struct vdk_store *store;

  f->repo = NULL;
  assert_ok(dir_memory_new("/memory", &f->dir, &err));
  assert_ok(store_dir_new(f->dir, &store, &err));
  assert_ok(repo_create(store, &create, &err));
  store_close(store);
  fixture_reopen(f);
}

static inline void
fixture_close(struct fixture *f)
{
  repo_close(f->repo);
  dir_unref(f->dir);
}

static inline struct repo_writer *
fixture_writer(struct fixture *f, const struct repo_point *parent)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct repo_writer_options o = {.vm_uuid = FIXTURE_UUID,
                                  .vm_name = "vm one",
                                  .source = "/vms/one/one.vmx",
                                  .parent = parent};
  struct repo_writer *w;

  assert_ok(repo_writer_open(f->repo, &o, &w, &err));
  return w;
}

static inline struct repo_disk *
fixture_disk(struct repo_writer *w, const char *key, uint64_t size,
             const struct repo_point_disk *inherit)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct repo_disk_options o = {.key = key,
                                .file = "one.vmdk",
                                .format = "monolithicSparse",
                                .size = size,
                                .inherit = inherit};
  struct repo_disk *d;

  assert_ok(repo_disk_begin(w, &o, &d, &err));
  return d;
}

/* Reads all of a disk through the link's calls, as odd pieces. */
static inline int
fixture_read(struct repo *r, const struct repo_point *p,
             const struct repo_point_disk *disk, uint64_t offset, uint8_t *buf,
             uint64_t len, size_t piece, struct vdk_error *err)
{
  struct vdk_link *l;
  int ret = repo_disk_open(r, p, disk, &l, err);

  if (ret)
    return ret;
  while (ret == 0 && len > 0) {
    size_t want = MIN((uint64_t)piece, len), got = 0;
    int state;

    ret = l->ops->read(l, offset, buf, want, &got, &state, err);
    if (ret)
      break;
    assert_in_range(got, 1, want);
    if (state == VDK_EXTENT_ZERO)
      memset(buf, 0, got);
    offset += got;
    buf += got;
    len -= got;
  }
  l->ops->close(l, NULL);
  return ret;
}

#endif
