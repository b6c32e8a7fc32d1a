/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of formats, and the questions that are asked of all of them.
 *
 * Recognition asks each format how sure it is and takes the surest. Raw says
 * 1 to everything, so that it is the answer when nothing else fits.
 */
#include "base/checked.h"
#include "base/error.h"
#include "base/str.h"
#include "format/drivers.h"

#define HOLES_MAX 65536

const struct format *const formats[] = {&format_vmdk, &format_raw, NULL};

static const struct {
  const char *suffix, *type;
} suffix_types[] = {
    {".vmdk", "monolithicSparse"},
    {".raw", "raw"},
    {".img", "raw"},
};

const struct format *
format_by_name(const char *name)
{
  for (size_t i = 0; formats[i]; i++)
    if (str_equal_nocase(formats[i]->name, name))
      return formats[i];
  return NULL;
}

const struct format *
format_by_type(const char *type)
{
  for (size_t i = 0; formats[i]; i++)
    if (formats[i]->knows_type(type))
      return formats[i];
  return NULL;
}

const char *
format_type_by_suffix(const char *path)
{
  for (size_t i = 0; i < ARRAY_SIZE(suffix_types); i++)
    if (str_ends_with_nocase(path, suffix_types[i].suffix))
      return suffix_types[i].type;
  return NULL;
}

const struct format *
format_probe(const uint8_t *head, size_t len, uint64_t file_size)
{
  const struct format *best = &format_raw;
  int best_score = 0;

  for (size_t i = 0; formats[i]; i++) {
    int score = formats[i]->probe(head, len, file_size);

    if (score > best_score) {
      best = formats[i];
      best_score = score;
    }
  }
  return best;
}

uint64_t
format_allocated(struct vdk_file *f)
{
  uint64_t size, offset = 0, sum = 0;

  if (file_size(f, &size, NULL) != 0)
    return 0;
  for (int i = 0; offset < size && i < HOLES_MAX; i++) {
    uint64_t len;
    int state;

    if (file_extent(f, offset, size - offset, &len, &state, NULL) != 0 ||
        len == 0)
      break;
    if (state == VDK_EXTENT_DATA)
      sum += len;
    offset += len;
  }
  return sum + (size - MIN(offset, size));
}

unsigned
format_file_flags(unsigned open_flags)
{
  return (open_flags & FORMAT_WRITE ? FILE_WRITE : FILE_READ) |
         (open_flags & FORMAT_UNBUFFERED ? FILE_DIRECT : 0);
}

int
format_lock(struct vdk_file *f, unsigned open_flags, struct vdk_error *err)
{
  if (open_flags & FORMAT_NO_LOCK)
    return 0;
  return file_lock(
      f, open_flags & FORMAT_WRITE ? FILE_LOCK_EXCLUSIVE : FILE_LOCK_SHARED,
      err);
}
