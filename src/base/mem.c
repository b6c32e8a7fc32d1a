/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

void *
mem_buffer(size_t size)
{
  size_t rounded;

  if (add_overflows(size, (size_t)MEM_BUFFER_ALIGN - 1, &rounded))
    return NULL;
  rounded &= ~(size_t)(MEM_BUFFER_ALIGN - 1);
  return aligned_alloc(MEM_BUFFER_ALIGN, rounded ? rounded : MEM_BUFFER_ALIGN);
}

void *
mem_array(size_t count, size_t size)
{
  return calloc(count ? count : 1, size ? size : 1);
}

bool
mem_grow(void *p_to_pointer, size_t *capacity, size_t count, size_t size)
{
  void **pp = p_to_pointer;
  size_t want, bytes;
  void *grown;

  if (count <= *capacity)
    return true;
  if (mul_overflows(*capacity, (size_t)2, &want) || want < count)
    want = count;
  if (want < 8)
    want = 8;
  if (mul_overflows(want, size, &bytes))
    return false;
  grown = realloc(*pp, bytes);
  if (!grown)
    return false;
  *pp = grown;
  *capacity = want;
  return true;
}

bool
mem_is_zero(const void *p, size_t len)
{
  const unsigned char *bytes = p;
  size_t head = MIN(len, (size_t)16);

  for (size_t i = 0; i < head; i++)
    if (bytes[i])
      return false;
  /* The first 16 bytes are zero: if the block equals itself 16 bytes on, it
   * is zero throughout. memcmp is the fastest loop that libc has. */
  return len <= 16 || memcmp(bytes, bytes + 16, len - 16) == 0;
}

void *
mem_dup(const void *p, size_t len)
{
  void *copy = malloc(len ? len : 1);

  if (copy && len)
    memcpy(copy, p, len);
  return copy;
}
