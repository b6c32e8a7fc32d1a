/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * struct vdk_store: a place where a repository's objects live.
 *
 * Objects are immutable bytes under flat keys of [a-z0-9/_.-], at most 200
 * characters; '/' only groups them. Drivers: dir (a folder; here), s3 (later).
 * All calls may be made from several threads.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdkit/types.h>

#include "base/cleanup.h"

struct vdk_store;
struct vdk_dir;

enum store_caps {
  STORE_CREATE_ONLY = 1 << 0, /* put_new is atomic against other writers */
  STORE_LOCAL = 1 << 1,       /* ranges are cheap: no round trip */
};

struct store_entry {
  const char *key;
  uint64_t size;
};

struct store_ops {
  const char *name;

  /* Stores SIZE bytes under KEY, replacing what is there. Durable after the
   * next sync(), and never seen half-written. */
  int (*put)(struct vdk_store *s, const char *key, const void *data,
             size_t size, struct vdk_error *err);

  /* The same, durable on return, and only if KEY does not exist: of several
   * writers exactly one succeeds, the others get VDK_E_EXISTS. */
  int (*put_new)(struct vdk_store *s, const char *key, const void *data,
                 size_t size, struct vdk_error *err);

  /* Reads [offset, offset+len) of KEY: all of it, or an error:
   * VDK_E_NOT_FOUND, VDK_E_TRUNCATED. */
  int (*get)(struct vdk_store *s, const char *key, uint64_t offset, void *buf,
             size_t len, struct vdk_error *err);

  int (*head)(struct vdk_store *s, const char *key, uint64_t *ret_size,
              struct vdk_error *err);

  /* Each object whose key starts with PREFIX (which ends with '/' or is ""),
   * in no order; a result other than 0 of FN ends it and is returned. Objects
   * that are being written are not listed. */
  int (*list)(struct vdk_store *s, const char *prefix,
              int (*fn)(void *opaque, const struct store_entry *e),
              void *opaque, struct vdk_error *err);

  /* No error when it is not there. */
  int (*remove)(struct vdk_store *s, const char *key, struct vdk_error *err);

  /* All that was put before is on stable storage. */
  int (*sync)(struct vdk_store *s, struct vdk_error *err);

  unsigned (*caps)(struct vdk_store *s);
  void (*close)(struct vdk_store *s);
};

struct vdk_store {
  const struct store_ops *ops;
  char *name; /* for messages: path or URL; owned by the driver */
};

int store_put(struct vdk_store *s, const char *key, const void *data,
              size_t size, struct vdk_error *err);
int store_put_new(struct vdk_store *s, const char *key, const void *data,
                  size_t size, struct vdk_error *err);
int store_get(struct vdk_store *s, const char *key, uint64_t offset, void *buf,
              size_t len, struct vdk_error *err);
/* The whole object, NUL-terminated (not counted); VDK_E_TOO_BIG over MAX. */
int store_get_all(struct vdk_store *s, const char *key, size_t max, char **ret,
                  size_t *ret_len, struct vdk_error *err);
int store_head(struct vdk_store *s, const char *key, uint64_t *ret_size,
               struct vdk_error *err);
int store_list(struct vdk_store *s, const char *prefix,
               int (*fn)(void *opaque, const struct store_entry *e),
               void *opaque, struct vdk_error *err);
int store_remove(struct vdk_store *s, const char *key, struct vdk_error *err);
int store_sync(struct vdk_store *s, struct vdk_error *err);
unsigned store_caps(struct vdk_store *s);
void store_close(struct vdk_store *s); /* NULL is fine */
DEFINE_CLEANUP(struct vdk_store, store_close);
#define _cleanup_store_ _cleanup_(store_closep)

bool store_key_is_valid(const char *key);

/* Objects as files below DIR (a reference is taken). */
int store_dir_new(struct vdk_dir *dir, struct vdk_store **ret,
                  struct vdk_error *err);
/* A store named by a user: a local path (made when CREATE). Later
 * "s3://bucket/prefix". */
int store_open(const char *where, bool create, struct vdk_store **ret,
               struct vdk_error *err);

#endif
