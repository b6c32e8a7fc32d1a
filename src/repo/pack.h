/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of a pack: making and reading headers, records, the table of
 * contents. Nothing here knows a store or a thread.
 */
#ifndef REPO_PACK_H
#define REPO_PACK_H

#include "repo/id.h"
#include "repo/vmbk.h"

/* A record's header, decoded. */
struct pack_record {
  struct repo_id id;
  uint32_t offset; /* of the header in the pack */
  uint32_t raw_len, stored_len, crc;
  uint8_t type, codec;
};

/* P holds PACK_HEADER_SIZE bytes. */
void pack_header_put(uint8_t *p);
/* P holds RECORD_SIZE bytes. */
void pack_record_put(uint8_t *p, const struct pack_record *r);
/* False when the header is none, or breaks a limit of the format. OFFSET is
 * for the result only. */
bool pack_record_get(const uint8_t *p, uint32_t offset, struct pack_record *r);

/* Bytes that a pack of RECORDS records needs behind its last record. */
static inline size_t
pack_tail_size(size_t records)
{
  return records * TOC_ENTRY_SIZE + PACK_FOOTER_SIZE;
}

/* Appends table of contents and footer to BUF, which holds header and COUNT
 * good records in LEN bytes and has room for pack_tail_size(COUNT) more.
 * Returns the pack's size. */
size_t pack_finish(uint8_t *buf, size_t len, uint32_t count);

/* Calls FN for each record that a whole pack BUF holds, STORED pointing to
 * its stored bytes (their crc32 not yet checked). With STRICT everything that
 * the format demands is checked, and the first breach is VDK_E_DAMAGED (after
 * FN saw what was before it). Without, records are walked as far as they can
 * be recognised. A result other than 0 of FN ends the walk. NAME is for
 * messages. */
int pack_walk(const uint8_t *buf, size_t len, const char *name, bool strict,
              int (*fn)(void *opaque, const struct pack_record *r,
                        const uint8_t *stored),
              void *opaque, struct vdk_error *err);

/* "pack/xx/<hex>" into BUF of PACK_KEY_SIZE. */
#define PACK_KEY_SIZE (8 + ID_HEX_SIZE)
const char *pack_key(const struct repo_id *id, char *buf);
/* False unless KEY is such a key. */
bool pack_key_parse(const char *key, struct repo_id *ret);

#endif
