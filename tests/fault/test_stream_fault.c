/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory, I/O and space that fail under copies and streams. */
#include "tests/unit/unit.h"

#include <libdeflate.h>

#include "base/mem.h"
#include "copy/copy.h"
#include "disk/disk.h"
#include "format/format.h"
#include "format/vmdk/vmdk.h"
#include "tests/fault/alloc_fault.h"
#include "tests/fault/io_fault.h"
#include "tests/unit/format/stream_fixture.h"

#define DISK_SIZE ((1u << 20) + 512)

static uint8_t *guest;
/* One worker: runs must be the same, one like the other. */
static const struct copy_options options = {.workers = 1};

static int
group_setup(void **state)
{
  guest = guest_bytes(DISK_SIZE, 11);
  memset(guest, 'x', 100000);
  libdeflate_set_memory_allocator(malloc, free);
  return 0;
}

static int
group_teardown(void **state)
{
  free(guest);
  return 0;
}

/* --- What is broken ------------------------------------------------------- */

/* The guest's bytes as streams.vmdk in DIR. */
static int
write_stream(struct vdk_dir *dir, struct vdk_error *err)
{
  const struct format_create c = {.size = DISK_SIZE, .level = 1};
  _cleanup_(copy_source_closep) struct copy_source *source = NULL;
  _cleanup_(copy_sink_closep) struct copy_sink *sink = NULL;
  _cleanup_file_ struct vdk_file *f = NULL;
  int r;

  r = dir_open_file(dir, "stream.vmdk", FILE_CREATE, &f, err);
  if (r == 0)
    r = vmdk_stream_sink(f, &c, &sink, err);
  if (r != 0)
    return r;
  alloc_fault_pause();
  bytes_source(guest, DISK_SIZE, &source);
  alloc_fault_resume();
  return copy_run(source, sink, &options, NULL, err);
}

/* A source takes what a sink of memory checks. */
static int
stream_in_order(struct vdk_file *f, uint8_t *back, struct vdk_error *err)
{
  _cleanup_(copy_source_closep) struct copy_source *source = NULL;
  _cleanup_(copy_sink_closep) struct copy_sink *sink = NULL;
  uint8_t head[FORMAT_PROBE_SIZE];
  size_t got;
  int r;

  r = file_read_upto(f, 0, head, sizeof head, &got, err);
  if (r == 0)
    r = vmdk_stream_source(f, head, got, NULL, &source, err);
  if (r != 0)
    return r;
  alloc_fault_pause();
  bytes_sink(back, DISK_SIZE, &sink);
  alloc_fault_resume();
  return copy_run(source, sink, &options, NULL, err);
}

static int
read_stream(struct vdk_dir *dir, bool in_order, struct vdk_error *err)
{
  _cleanup_file_ struct vdk_file *f = NULL;
  struct vmdk_extent *e;
  uint8_t *back;
  int r;

  r = dir_open_file(dir, "stream.vmdk", FILE_READ, &f, err);
  if (r != 0)
    return r;
  alloc_fault_pause();
  back = malloc(DISK_SIZE);
  alloc_fault_resume();
  if (in_order) {
    r = stream_in_order(f, back, err);
  } else {
    r = open_at_random(TAKE_PTR(f), false, &e, err);
    if (r == 0) {
      r = read_at_random(e, back, DISK_SIZE, 1 << 20, err);
      if (r == 0)
        r = read_at_random(e, back, 20000, 5000, err);
      e->ops->close(e, NULL);
    }
  }
  if (r == 0)
    assert_memory_equal(back, guest, DISK_SIZE);
  alloc_fault_pause();
  free(back);
  alloc_fault_resume();
  return r;
}

static int
salvage_stream(struct vdk_dir *dir, struct vdk_error *err)
{
  struct vdk_file *f;
  struct vmdk_extent *e;
  int r = dir_open_file(dir, "cut.vmdk", FILE_READ, &f, err);

  if (r == 0)
    r = open_at_random(f, true, &e, err);
  if (r == 0)
    e->ops->close(e, NULL);
  return r;
}

/* source.raw, or the stream, as a disk of TYPE, and that compared with it. */
static int
copy_disk(struct vdk_dir *dir, const char *from_name, const char *type,
          struct vdk_error *err)
{
  const struct format_create c = {.size = DISK_SIZE, .type = type};
  const struct disk_open_options write = {.flags = DISK_WRITE};
  _cleanup_(copy_source_closep) struct copy_source *source = NULL;
  _cleanup_(copy_sink_closep) struct copy_sink *sink = NULL;
  _cleanup_disk_ struct vdk_disk *from = NULL, *to = NULL;
  uint64_t difference;
  int r;

  r = format_by_type(c.type)->create(dir, "copy.vmdk", &c, err);
  if (r == 0)
    r = disk_open(dir, from_name, NULL, &from, err);
  if (r == 0)
    r = disk_open(dir, "copy.vmdk", &write, &to, err);
  if (r == 0)
    r = copy_source_disk(from, &source, err);
  if (r == 0)
    r = copy_sink_disk(to, true, &sink, err);
  if (r == 0)
    r = copy_run(source, sink, &options, NULL, err);
  if (r == 0)
    r = copy_compare(from, to, &options, &difference, err);
  if (r == 0)
    assert_true(difference == UINT64_MAX);
  /* The written disk's close writes too. */
  if (r == 0)
    r = disk_close(TAKE_PTR(to), err);
  return r;
}

static int
setup_dir(struct vdk_dir *dir, void *opaque, struct vdk_error *err)
{
  struct vdk_file *f;
  int r = dir_open_file(dir, "source.raw", FILE_CREATE, &f, err);

  if (r != 0)
    return r;
  r = file_write(f, 0, guest, DISK_SIZE, err);
  file_close(f);
  return r;
}

static int
setup_stream(struct vdk_dir *dir, void *opaque, struct vdk_error *err)
{
  struct vdk_file *f;
  uint8_t *bytes;
  size_t len;
  int r = write_stream(dir, err);

  if (r != 0)
    return r;
  r = dir_open_file(dir, "stream.vmdk", FILE_READ, &f, err);
  if (r != 0)
    return r;
  bytes = file_bytes(f, &len);
  file_close(f);
  r = dir_open_file(dir, "cut.vmdk", FILE_CREATE, &f, err);
  if (r == 0) {
    r = file_write(f, 0, bytes, len - 600, err);
    file_close(f);
  }
  free(bytes);
  return r;
}

/* --- Memory --------------------------------------------------------------- */

enum what { WRITE, IN_ORDER, AT_RANDOM, SALVAGE, COPY, COPY_STREAM };

static int
run_in_memory(void *opaque, struct vdk_error *err)
{
  const enum what what = *(enum what *)opaque;
  struct vdk_dir *dir;
  int r;

  alloc_fault_pause();
  assert_int_equal(dir_memory_new("mem", &dir, NULL), 0);
  if (what == COPY)
    assert_int_equal(setup_dir(dir, NULL, NULL), 0);
  else if (what != WRITE)
    assert_int_equal(setup_stream(dir, NULL, NULL), 0);
  alloc_fault_resume();
  r = what == WRITE       ? write_stream(dir, err)
      : what == IN_ORDER  ? read_stream(dir, true, err)
      : what == AT_RANDOM ? read_stream(dir, false, err)
      : what == SALVAGE   ? salvage_stream(dir, err)
      : what == COPY ? copy_disk(dir, "source.raw", "monolithicSparse", err)
                     : copy_disk(dir, "stream.vmdk", "monolithicSparse", err);
  alloc_fault_pause();
  dir_unref(dir);
  alloc_fault_resume();
  return r;
}

static void
no_memory(void **state)
{
  static const char *const names[] = {
      [WRITE] = "write a stream", [IN_ORDER] = "read it in order",
      [AT_RANDOM] = "at random",  [SALVAGE] = "salvage it",
      [COPY] = "copy a disk",     [COPY_STREAM] = "copy a stream",
  };

  for (enum what what = WRITE; what <= COPY_STREAM; what++) {
    const struct alloc_scenario s = {
        .name = names[what],
        .run = run_in_memory,
        .opaque = &what,
        /* A grain table that cannot be kept is read again. */
        .may_succeed = what >= AT_RANDOM,
    };

    alloc_fault_run(&s);
  }
}

/* --- I/O and space -------------------------------------------------------- */

static int
run_write(struct vdk_dir *dir, void *opaque, struct vdk_error *err)
{
  return write_stream(dir, err);
}

/* What is not whole is never taken for whole. */
static void
check_write(struct vdk_dir *dir, const struct io_fault_break *broken,
            void *opaque)
{
  struct vdk_error err = VDK_ERROR_INIT;
  int r = read_stream(dir, false, &err);

  /* All was written when only the flush failed. */
  if (r != 0)
    assert_true(err.code == VDK_E_NOT_FOUND || err.code == VDK_E_TRUNCATED);
  r = read_stream(dir, true, &err);
  if (r != 0)
    assert_true(err.code == VDK_E_NOT_FOUND || err.code == VDK_E_TRUNCATED);
}

static int
run_read(struct vdk_dir *dir, void *opaque, struct vdk_error *err)
{
  int r = read_stream(dir, true, err);

  return r ? r : read_stream(dir, false, err);
}

/* To a raw disk: a sparse one tries to grow ahead, and does without. */
static int
run_copy(struct vdk_dir *dir, void *opaque, struct vdk_error *err)
{
  return copy_disk(dir, "source.raw", "raw", err);
}

static void
calls_fail(void **state)
{
  const struct io_scenario writing = {
      .name = "write a stream", .run = run_write, .check = check_write};
  const struct io_scenario reading = {
      .name = "read a stream", .setup = setup_stream, .run = run_read};
  const struct io_scenario copying = {
      .name = "copy a disk", .setup = setup_dir, .run = run_copy};

  io_fault_each_call(&writing, FAULT_WRITE | FAULT_FLUSH);
  io_fault_each_call(&reading, FAULT_READ);
  io_fault_each_call(&copying, FAULT_READ | FAULT_WRITE);
}

static void
disk_full(void **state)
{
  const struct io_scenario writing = {
      .name = "write a stream", .run = run_write, .check = check_write};
  const struct io_scenario copying = {
      .name = "copy a disk", .setup = setup_dir, .run = run_copy};

  io_fault_disk_full(&writing, 20011);
  io_fault_disk_full(&copying, 100003);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_memory),
      cmocka_unit_test(calls_fail),
      cmocka_unit_test(disk_full),
  };

  return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
