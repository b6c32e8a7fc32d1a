/* SPDX-License-Identifier: BSD-3-Clause */
/* Who a VM is. */
#ifndef HOST_LOCAL_IDENTITY_H
#define HOST_LOCAL_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UUID_TEXT_SIZE 40

/* "56 4d 38 13 eb c0 80 93-85 6b f8 f9 59 ef 9b 9b" and other spellings of 32
 * hex digits, as 8-4-4-4-12 in lower case. False when it is no such text, or
 * all zeroes. */
bool identity_from_bios(const char *text, char ret[UUID_TEXT_SIZE]);

/* A UUID for a VM without one, always the same for the same PATH. */
void identity_from_path(const char *path, char ret[UUID_TEXT_SIZE]);

/* A 128-bit FNV-1a sum: quick and good against accidents, not against
 * enemies. Start with FNV_INIT. */
typedef unsigned __int128 fnv_sum;
#define FNV_INIT                                                               \
  ((fnv_sum)0x6c62272e07bb0142ull << 64 | (fnv_sum)0x62b821756295c58dull)
fnv_sum fnv_add(fnv_sum sum, const void *bytes, size_t len);

#endif
