/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Arithmetic on numbers from outside. Each returns true when the result did
 * not fit; the result is then not to be used.
 */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define add_overflows(a, b, ret) __builtin_add_overflow(a, b, ret)
#define sub_overflows(a, b, ret) __builtin_sub_overflow(a, b, ret)
#define mul_overflows(a, b, ret) __builtin_mul_overflow(a, b, ret)

#define MIN(a, b)                                                              \
  ({                                                                           \
    __typeof__((a) + (b)) _a = (a), _b = (b);                                  \
    _a < _b ? _a : _b;                                                         \
  })
#define MAX(a, b)                                                              \
  ({                                                                           \
    __typeof__((a) + (b)) _a = (a), _b = (b);                                  \
    _a > _b ? _a : _b;                                                         \
  })
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline bool
is_power_of_2(uint64_t v)
{
  return v != 0 && (v & (v - 1)) == 0;
}

/* For trusted operands: the caller has bounded V. UNIT is any number > 0. */
static inline uint64_t
div_round_up(uint64_t v, uint64_t unit)
{
  return v / unit + (v % unit != 0);
}

/* UNIT must be a power of two. */
static inline uint64_t
round_down(uint64_t v, uint64_t unit)
{
  return v & ~(unit - 1);
}

/* UNIT must be a power of two; V + UNIT must fit (the caller has bounded V). */
static inline uint64_t
round_up(uint64_t v, uint64_t unit)
{
  return (v + unit - 1) & ~(unit - 1);
}

/* True when [offset, offset + length) does not lie inside [0, size). */
static inline bool
range_outside(uint64_t offset, uint64_t length, uint64_t size)
{
  return length > size || offset > size - length;
}

#endif
