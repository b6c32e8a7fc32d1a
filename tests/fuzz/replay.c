/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a fuzz target without a fuzzer: over each file of the directories and
 * files given, then over cut and damaged copies of it. The damage comes from
 * a fixed seed, so that a failure repeats; libFuzzer (make fuzz) goes where
 * this does not. No input at all is a failure: such a test could not fail.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define INPUT_MAX (4u * 1024 * 1024)
#define CUTS      16
#define DAMAGES   48

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned inputs, runs;

/* A generator of our own, since rand() differs between systems. */
static uint32_t
random_next(uint32_t *state)
{
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

/* A copy of exactly SIZE bytes, so that a sanitizer sees the first byte read
 * beyond the end. */
static void
run_copy(const uint8_t *data, size_t size)
{
  _cleanup_free_ uint8_t *copy = malloc(size ? size : 1);

  if (!copy)
    abort();
  memcpy(copy, data, size);
  LLVMFuzzerTestOneInput(copy, size);
  runs++;
}

static void
run_damaged(uint8_t *data, size_t size, uint32_t *state)
{
  static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
  uint8_t old[4];
  size_t count = 1 + random_next(state) % sizeof old, at;

  /* Fields that matter stand at the start more often than not. */
  at = random_next(state) % (random_next(state) % 2 && size > 512 ? 512 : size);
  if (count > size - at)
    count = size - at;
  memcpy(old, data + at, count);
  for (size_t i = 0; i < count; i++)
    data[at + i] =
        random_next(state) % 2
            ? values[random_next(state) % sizeof values]
            : (uint8_t)(data[at + i] ^ (1u << random_next(state) % 8));
  run_copy(data, size);
  memcpy(data + at, old, count);
}

static int
run_file(const char *path)
{
  uint32_t state = 2463534242u;
  size_t size;
  _cleanup_free_ uint8_t *data = malloc(INPUT_MAX);
  FILE *f = fopen(path, "rb");

  if (!f || !data) {
    fprintf(stderr, "cannot read %s: %s\n", path, strerror(errno));
    if (f)
      fclose(f);
    return -1;
  }
  size = fread(data, 1, INPUT_MAX, f);
  fclose(f);
  inputs++;
  run_copy(data, size);
  for (unsigned i = 0; i < CUTS && size > 0; i++)
    run_copy(data,
             i < CUTS / 2 ? size * i / (CUTS / 2) : random_next(&state) % size);
  for (unsigned i = 0; i < DAMAGES && size > 0; i++)
    run_damaged(data, size, &state);
  return 0;
}

static int
run_directory(const char *path)
{
  _cleanup_closedir_ DIR *dir = opendir(path);
  struct dirent *entry;

  if (!dir) {
    fprintf(stderr, "cannot open %s: %s\n", path, strerror(errno));
    return -1;
  }
  while ((entry = readdir(dir))) {
    _cleanup_free_ char *name = NULL;

    if (entry->d_name[0] == '.')
      continue;
    if (asprintf(&name, "%s/%s", path, entry->d_name) < 0)
      abort();
    if (run_file(name) < 0)
      return -1;
  }
  return 0;
}

int
main(int argc, char **argv)
{
  for (int i = 1; i < argc; i++) {
    struct stat st;

    if (stat(argv[i], &st) < 0) {
      fprintf(stderr, "cannot find %s: %s\n", argv[i], strerror(errno));
      return 1;
    }
    if ((S_ISDIR(st.st_mode) ? run_directory : run_file)(argv[i]) < 0)
      return 1;
  }
  printf("%u inputs, %u runs\n", inputs, runs);
  return inputs > 0 ? 0 : 1;
}
