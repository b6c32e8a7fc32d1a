/* SPDX-License-Identifier: BSD-3-Clause */
/* Sealed JSON (docs/formats/vmbk.md section 3), and fields of bounded size. */
#ifndef REPO_SEAL_H
#define REPO_SEAL_H

#include <jansson.h>

#include "repo/repo.h"

#define SEAL_SIZE 78u

static inline void
json_cleanup(json_t **j)
{
  json_decref(*j);
}
#define _cleanup_json_ _cleanup_(json_cleanup)

/* OBJECT as sealed text, new memory. */
int seal_make(const json_t *object, char **ret, size_t *ret_len,
              struct vdk_error *err);
/* Checks the seal of TEXT (NUL-terminated) and parses it. What is wrong is
 * VDK_E_DAMAGED; NAME is for messages. */
int seal_open(const char *text, size_t len, const char *name, json_t **ret,
              struct vdk_error *err);

/* A JSON string of any C string: bytes that are no UTF-8, and control
 * characters, become U+FFFD. NULL gives "". New reference, or NULL without
 * memory. */
json_t *seal_string(const char *s);

/* Fields. Each returns false when the field is not there, or of another type,
 * or out of bounds; the result is then untouched. */
bool seal_get_u64(const json_t *o, const char *key, uint64_t max,
                  uint64_t *ret);
bool seal_get_bool(const json_t *o, const char *key, bool *ret);
/* At most MAX bytes, without control characters but tab; new memory. False
 * with *RET_NOMEM set when there is none. */
bool seal_get_string(const json_t *o, const char *key, size_t max, char **ret,
                     bool *ret_nomem);
/* Into a field of SIZE bytes. */
bool seal_get_text(const json_t *o, const char *key, char *ret, size_t size);
bool seal_get_id(const json_t *o, const char *key, struct repo_id *ret);
/* An array of at most MAX items; borrowed. */
bool seal_get_array(const json_t *o, const char *key, size_t max,
                    const json_t **ret);

#endif
