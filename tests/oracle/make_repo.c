/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * make_repo DIR POINTS SEED
 *
 * Makes the repository DIR/repo with random restore points of two disks, and
 * beside it what each disk holds: DIR/<point id>.<disk key>.raw, and
 * DIR/<point id>.one.vmx. The oracle then reads the one and compares with the
 * other. Every way to write is used: whole chunks, parts, holes, inheritance,
 * growth and shrinking.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/mem.h"
#include "repo/repo.h"

#define CHUNK    65536u
#define DISK_MAX (700u * CHUNK)

struct disk {
  const char *key;
  uint8_t *bytes, *before;
  uint64_t size;
};

static uint64_t seed;

static uint32_t
random_below(uint64_t n)
{
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((seed >> 24) % n);
}

static void
check(int r, const struct vdk_error *err)
{
  if (r == 0)
    return;
  fprintf(stderr, "make_repo: %s\n", vdk_error_message(err));
  exit(1);
}

static void
write_file(const char *dir, const char *point, const char *name,
           const void *data, size_t len)
{
  char path[1000];
  FILE *f;

  snprintf(path, sizeof path, "%s/%s.%s", dir, point, name);
  f = fopen(path, "wb");
  if (!f || fwrite(data, 1, len, f) != len || fclose(f) != 0) {
    perror(path);
    exit(1);
  }
}

static void
change(struct repo_disk *d, struct disk *m, uint64_t before_size)
{
  struct vdk_error err = VDK_ERROR_INIT;
  uint64_t offset = random_below(m->size);
  uint64_t len = 1 + random_below(random_below(4) ? 2 * CHUNK : 200 * CHUNK);

  len = MIN(len, m->size - offset);
  if (random_below(3) == 0) { /* whole chunks */
    offset = round_down(offset, CHUNK);
    len = MIN(round_up(len, CHUNK), m->size - offset);
  }
  switch (random_below(4)) {
  case 0:
    memset(m->bytes + offset, 0, len);
    check(repo_disk_hole(d, offset, len, &err), &err);
    break;
  case 1:
    memset(m->bytes + offset, 0, len);
    if (offset < before_size)
      memcpy(m->bytes + offset, m->before + offset,
             MIN(len, before_size - offset));
    check(repo_disk_inherit(d, offset, len, &err), &err);
    break;
  default:
    len = MIN(len, (uint64_t)6 * CHUNK);
    for (uint64_t i = 0; i < len; i++)
      m->bytes[offset + i] =
          random_below(8) ? (uint8_t)(i / 64) : (uint8_t)random_below(256);
    check(repo_disk_put(d, offset, m->bytes + offset, len, &err), &err);
  }
}

static void
back_up_disk(struct repo_writer *w, struct disk *m,
             const struct repo_point *parent)
{
  struct vdk_error err = VDK_ERROR_INIT;
  const char *const meta[] = {"adapterType", "lsilogic", "uuid", "60 00", NULL};
  uint64_t before_size = parent ? m->size : 0;
  struct repo_disk_options o = {.key = m->key,
                                .file = "one.vmdk",
                                .format = "monolithicSparse",
                                .method = parent ? REPO_RANGES : REPO_FULL,
                                .change_id = "52 de/17",
                                .meta = meta};
  struct repo_disk *d;

  memcpy(m->before, m->bytes, DISK_MAX);
  if (!parent || random_below(2) == 0)
    m->size = 512 * (1 + (uint64_t)random_below(DISK_MAX / 512));
  memset(m->bytes + m->size, 0, DISK_MAX - m->size);
  o.size = m->size;
  o.inherit = parent ? repo_point_find_disk(parent, m->key) : NULL;
  check(repo_disk_begin(w, &o, &d, &err), &err);
  for (unsigned i = 0; i < 12; i++)
    change(d, m, before_size);
  check(repo_disk_end(d, &err), &err);
}

static struct repo_point *
back_up(struct repo *r, const char *dir, struct disk *disks,
        const struct repo_point *parent)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct repo_writer_options o = {.vm_uuid =
                                      "564d0000-1111-2222-3333-444455556666",
                                  .vm_name = "eins \xc3\xa4 \xff bad",
                                  .parent = parent,
                                  .checkpoint = 1 << 20};
  size_t len = random_below(3 * CHUNK);
  _cleanup_free_ uint8_t *vmx = mem_array(len, 1);
  struct repo_writer *w;
  struct repo_point *p;

  if (!vmx)
    exit(1);
  for (size_t i = 0; i < len; i++)
    vmx[i] = (uint8_t)random_below(256);
  check(repo_writer_open(r, &o, &w, &err), &err);
  for (unsigned i = 0; i < 2; i++)
    back_up_disk(w, &disks[i], parent);
  check(repo_writer_file(w, "one.vmx", "vmx", vmx, len, &err), &err);
  check(repo_writer_commit(w, &p, &err), &err);
  repo_writer_close(w);
  for (unsigned i = 0; i < 2; i++) {
    char name[100];

    snprintf(name, sizeof name, "%s.raw", disks[i].key);
    write_file(dir, p->id, name, disks[i].bytes, disks[i].size);
  }
  write_file(dir, p->id, "one.vmx", vmx, len);
  return p;
}

int
main(int argc, char **argv)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct repo_create create = {.chunk_size = CHUNK};
  struct disk disks[2] = {{.key = "scsi0:0"}, {.key = "sata0:1"}};
  struct repo_point *parent = NULL;
  struct vdk_store *store;
  struct repo *r;
  char path[1000];

  if (argc != 4)
    return 2;
  seed = strtoull(argv[3], NULL, 10);
  for (unsigned i = 0; i < 2; i++) {
    disks[i].bytes = mem_array(DISK_MAX, 1);
    disks[i].before = mem_array(DISK_MAX, 1);
    if (!disks[i].bytes || !disks[i].before)
      return 1;
  }
  snprintf(path, sizeof path, "%s/repo", argv[1]);
  check(store_open(path, true, &store, &err), &err);
  check(repo_create(store, &create, &err), &err);
  check(repo_open(store, NULL, &r, &err), &err);
  for (int i = 0; i < atoi(argv[2]); i++) {
    struct repo_point *p = back_up(r, argv[1], disks, parent);

    repo_point_free(parent);
    parent = p;
  }
  repo_point_free(parent);
  repo_close(r);
  for (unsigned i = 0; i < 2; i++) {
    free(disks[i].bytes);
    free(disks[i].before);
  }
  return 0;
}
