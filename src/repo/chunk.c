/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading one chunk: find it, fetch its record, decode, check its id. */
#include "base/error.h"
#include "base/log.h"
#include "repo/internal.h"

static int
not_there(struct repo *r, const struct repo_id *id, struct vdk_error *err)
{
  char hex[ID_HEX_SIZE];

  return error_set(err, VDK_E_DAMAGED,
                   "chunk %.16s... is not in the index of %s: a pack or an "
                   "index run is missing or damaged; run vdkit verify to see "
                   "what it touches",
                   id_hex(id, hex), r->store->name);
}

int
repo_chunk_find(struct repo *r, const struct repo_id *id,
                struct chunk_place *ret, struct vdk_error *err)
{
  int n = index_find(r->index, id, NULL, ret, err);

  if (n != -VDK_E_NOT_FOUND)
    return n;
  n = index_refresh(r->index, err);
  if (n)
    return n;
  n = index_find(r->index, id, NULL, ret, err);
  return n == -VDK_E_NOT_FOUND ? not_there(r, id, err) : n;
}

int
repo_chunk_read_at(struct repo *r, struct codec *c, const struct repo_id *id,
                   const struct chunk_place *place, void *dst, uint32_t raw_len,
                   struct vdk_error *err)
{
  size_t len = RECORD_SIZE + (size_t)place->stored_len;
  uint8_t *record = codec_buffer(c, len);
  char key[PACK_KEY_SIZE], hex[ID_HEX_SIZE];
  uint32_t got;
  int n;

  if (!record)
    return error_nomem(err, "reading a chunk");
  pack_key(&place->pack, key);
  n = store_get(r->store, key, place->offset, record, len, err);
  if (n == -VDK_E_NOT_FOUND || n == -VDK_E_TRUNCATED)
    return error_set(err, VDK_E_DAMAGED,
                     "chunk %.16s... cannot be read: %s of %s is %s; run "
                     "vdkit verify to see what it touches",
                     id_hex(id, hex), key, r->store->name,
                     n == -VDK_E_NOT_FOUND ? "missing" : "too short");
  if (n)
    return n;
  n = codec_decode(c, id, record, len, key, place->offset, dst, raw_len, &got,
                   err);
  if (n == 0 && got != raw_len)
    return error_set(err, VDK_E_DAMAGED,
                     "chunk %.16s... in %s has %u bytes where %u must be",
                     id_hex(id, hex), key, got, raw_len);
  return n;
}

int
repo_chunk_read(struct repo *r, struct codec *c, const struct repo_id *id,
                void *dst, uint32_t raw_len, struct vdk_error *err)
{
  struct chunk_place place, other;
  struct vdk_error why = VDK_ERROR_INIT;
  int n;

  if (id_is_zero(id)) {
    memset(dst, 0, raw_len);
    return 0;
  }
  n = repo_chunk_find(r, id, &place, err);
  if (n)
    return n;
  n = repo_chunk_read_at(r, c, id, &place, dst, raw_len, &why);
  if (n != -VDK_E_DAMAGED)
    return n ? error_copy(err, &why) : 0;
  if (index_find(r->index, id, &place.pack, &other, NULL) == 0 &&
      repo_chunk_read_at(r, c, id, &other, dst, raw_len, NULL) == 0) {
    log_warning(r->log, "%s: %s; another copy was used", r->store->name,
                vdk_error_message(&why));
    return 0;
  }
  return error_copy(err, &why);
}
