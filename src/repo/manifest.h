/* SPDX-License-Identifier: BSD-3-Clause */
/* Manifests: struct repo_point to sealed JSON and back, nothing else. */
#ifndef REPO_MANIFEST_H
#define REPO_MANIFEST_H

#include "repo/vmbk.h"

/* Encodes P, and decodes it again to be sure that readers accept it
 * (VDK_E_INVAL names what they would not). */
int manifest_make(const struct repo_point *p, const char *repo_uuid,
                  uint32_t chunk_size, char **ret, size_t *ret_len,
                  struct vdk_error *err);
/* KEY: where it stands, "vm/<uuid>/<id>.json". */
int manifest_read(const char *text, size_t len, const char *key,
                  const char *repo_uuid, uint32_t chunk_size,
                  struct repo_point **ret, struct vdk_error *err);

/* 8-4-4-4-12 lower-case hex digits. */
bool uuid_is_valid(const char *uuid);
/* yyyymmddthhmmssz-rrrrrrrr */
bool point_id_is_valid(const char *id);
bool repo_disk_key_is_valid(const char *key);
bool repo_file_name_is_valid(const char *name);

#define POINT_KEY_SIZE (3 + 40 + 1 + REPO_POINT_ID_MAX + 5)
const char *point_key(const char *vm_uuid, const char *id, char *buf);

#endif
