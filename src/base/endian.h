/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Integers as they stand on disks and wires. The types have no alignment and
 * cannot be used by mistake as numbers: le32_get and le32_put are the way in
 * and out, also on big-endian machines.
 */
#ifndef BASE_ENDIAN_H
#define BASE_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define DEFINE_ENDIAN(order, bits, conv_get, conv_put)                         \
  typedef struct {                                                             \
    uint8_t bytes[bits / 8];                                                   \
  } order##bits##_t;                                                           \
  static inline uint##bits##_t order##bits##_get(order##bits##_t v)            \
  {                                                                            \
    uint##bits##_t raw;                                                        \
    memcpy(&raw, v.bytes, sizeof raw);                                         \
    return conv_get(raw);                                                      \
  }                                                                            \
  static inline order##bits##_t order##bits##_put(uint##bits##_t v)            \
  {                                                                            \
    order##bits##_t ret;                                                       \
    uint##bits##_t raw = conv_put(v);                                          \
    memcpy(ret.bytes, &raw, sizeof raw);                                       \
    return ret;                                                                \
  }                                                                            \
  static inline uint##bits##_t order##bits##_load(const void *p)               \
  {                                                                            \
    uint##bits##_t raw;                                                        \
    memcpy(&raw, p, sizeof raw);                                               \
    return conv_get(raw);                                                      \
  }                                                                            \
  static inline void order##bits##_store(void *p, uint##bits##_t v)            \
  {                                                                            \
    uint##bits##_t raw = conv_put(v);                                          \
    memcpy(p, &raw, sizeof raw);                                               \
  }                                                                            \
  struct endian_needs_semicolon

DEFINE_ENDIAN(le, 16, le16toh, htole16);
DEFINE_ENDIAN(le, 32, le32toh, htole32);
DEFINE_ENDIAN(le, 64, le64toh, htole64);
DEFINE_ENDIAN(be, 16, be16toh, htobe16);
DEFINE_ENDIAN(be, 32, be32toh, htobe32);
DEFINE_ENDIAN(be, 64, be64toh, htobe64);

#endif
