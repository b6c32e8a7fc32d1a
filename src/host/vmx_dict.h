/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dictionary text of .vmx and .vmsd files, kept line by line so that it
 * can be edited and written back with everything else as it was.
 *
 * Keys are given and compared without regard to letter case. Of a key that
 * stands there twice the last one counts. Values are decoded (quotes and |XX
 * escapes taken away), bytes as they are: no charset conversion.
 *
 * Threads: a dictionary that nobody edits may be read by several.
 */
#ifndef HOST_VMX_DICT_H
#define HOST_VMX_DICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include <vdkit/error.h>

/* Real ones have a few kilobytes. */
#define VMX_DICT_MAX       (4u * 1024 * 1024)
#define VMX_DICT_LINES_MAX 65536u

struct vmx_dict;

/* NAME is for messages. VDK_E_TOO_BIG over the maxima, VDK_E_CORRUPT for
 * bytes that are no text. Lines that are no entries are kept and ignored. */
int vmx_dict_parse(const char *text, size_t len, const char *name,
                   struct vmx_dict **ret, struct vdk_error *err);
void vmx_dict_free(struct vmx_dict *d); /* NULL is fine */
DEFINE_CLEANUP(struct vmx_dict, vmx_dict_free);
#define _cleanup_dict_ _cleanup_(vmx_dict_freep)

/* NULL when it is not there. Lives until the key is changed. */
const char *vmx_dict_get(const struct vmx_dict *d, const char *key);
/* The same, "" instead of NULL. */
const char *vmx_dict_text(const struct vmx_dict *d, const char *key);
/* True for "TRUE" in any letter case, "1", "yes", "on". */
bool vmx_dict_bool(const struct vmx_dict *d, const char *key);
/* False when it is absent or no decimal number that fits. */
bool vmx_dict_u64(const struct vmx_dict *d, const char *key, uint64_t *ret);

/* Each key that starts with PREFIX, lower-cased, in the order of the bytes,
 * with the value that counts; a result other than 0 of FN ends it. */
int vmx_dict_each(const struct vmx_dict *d, const char *prefix,
                  int (*fn)(void *opaque, const char *key, const char *value),
                  void *opaque);

/* KEY = "VALUE", in the line where it stands, or in a new one at the end. */
int vmx_dict_set(struct vmx_dict *d, const char *key, const char *value,
                 struct vdk_error *err);
/* Removes all lines of KEY; nothing when there is none. */
void vmx_dict_remove(struct vmx_dict *d, const char *key);

/* The whole text, NUL-terminated. */
int vmx_dict_print(const struct vmx_dict *d, char **ret, size_t *ret_len,
                   struct vdk_error *err);

#endif
