/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Index runs, page checksums made to fit: read whole under their own name,
 * and looked up by the page, as a store holds them.
 */
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "file/file.h"
#include "repo/index.h"

static int
see(void *opaque, const struct index_entry *e, const struct index_pack *pack)
{
  if ((uint64_t)e->offset + RECORD_SIZE + e->stored_len > pack->size)
    abort();
  return 0;
}

static void
look_up(struct vdk_store *store, const uint8_t *data, size_t size, size_t max)
{
  struct chunk_place place;
  struct index *x;

  if (index_new(store, NULL, &x, NULL) != 0)
    abort();
  index_set_resident_max(x, max);
  for (size_t at = 0; at + 32 <= size && at < 65536; at += 44) {
    struct repo_id id;

    memcpy(id.bytes, data + at, sizeof id);
    index_find(x, &id, NULL, &place, NULL);
  }
  index_free(x);
}

static void
check(struct vdk_dir *dir, const uint8_t *data, size_t size)
{
  struct vdk_store *store;
  char key[INDEX_KEY_SIZE];
  struct repo_id name;

  if (store_dir_new(dir, &store, NULL) != 0 ||
      id_of(data, size, &name, NULL) != 0 ||
      store_put(store, index_key(&name, key), data, size, NULL) != 0)
    abort();
  index_run_read(store, key, size, see, NULL, NULL);
  look_up(store, data, size, INDEX_RESIDENT_MAX);
  look_up(store, data, size, 0);
  store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  uint8_t *copy = malloc(size ? size : 1);
  struct vdk_dir *dir;

  if (!copy || dir_memory_new("/fuzz", &dir, NULL) != 0)
    abort();
  if (size > 0)
    memcpy(copy, data, size);
  for (size_t at = 0; size - at >= INDEX_PAGE_SIZE; at += INDEX_PAGE_SIZE)
    le32_store(copy + at + INDEX_PAGE_BYTES,
               libdeflate_crc32(0, copy + at, INDEX_PAGE_BYTES));
  check(dir, copy, size);
  dir_unref(dir);
  free(copy);
  return 0;
}
