/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * System calls that do less than asked: short transfers, interruptions, file
 * systems without holes, locks or exclusive renames, a flush that fails. The
 * linker sends the calls of the local driver here (-Wl,--wrap).
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "file/local.h"

ssize_t __real_pread64(int fd, void *buf, size_t len, off_t offset);
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t offset);
int __real_fallocate64(int fd, int mode, off_t offset, off_t len);
off_t __real_lseek64(int fd, off_t offset, int whence);
int __real_fdatasync(int fd);
int __real_renameat2(int a, const char *from, int b, const char *to,
                     unsigned flags);
int __real_fcntl64(int fd, int cmd, void *arg);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len);
off_t __wrap_lseek64(int fd, off_t offset, int whence);
int __wrap_fdatasync(int fd);
int __wrap_renameat2(int a, const char *from, int b, const char *to,
                     unsigned flags);
int __wrap_fcntl64(int fd, int cmd, void *arg);
int __real_linkat(int a, const char *from, int b, const char *to, int flags);
int __wrap_linkat(int a, const char *from, int b, const char *to, int flags);

/* What goes wrong now; calls counts all of them. */
static struct {
  bool interrupt, shorten; /* every second call; every call */
  int no_fallocate, no_seek, no_rename, no_link, no_locks, bad_flush, bad_write;
  unsigned calls;
} wrong;

static bool
interrupted(void)
{
  if (!wrong.interrupt || ++wrong.calls % 2 == 0)
    return false;
  errno = EINTR;
  return true;
}

ssize_t
__wrap_pread64(int fd, void *buf, size_t len, off_t offset)
{
  if (interrupted())
    return -1;
  return __real_pread64(fd, buf, wrong.shorten ? MIN(len, 1000u) : len, offset);
}

ssize_t
__wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
  if (interrupted())
    return -1;
  if (wrong.bad_write) {
    errno = wrong.bad_write;
    return -1;
  }
  return __real_pwrite64(fd, buf, wrong.shorten ? MIN(len, 1000u) : len,
                         offset);
}

int
__wrap_fallocate64(int fd, int mode, off_t offset, off_t len)
{
  if (interrupted())
    return -1;
  if (!wrong.no_fallocate)
    return __real_fallocate64(fd, mode, offset, len);
  errno = wrong.no_fallocate;
  return -1;
}

off_t
__wrap_lseek64(int fd, off_t offset, int whence)
{
  if (!wrong.no_seek || (whence != SEEK_DATA && whence != SEEK_HOLE))
    return __real_lseek64(fd, offset, whence);
  errno = wrong.no_seek;
  return -1;
}

int
__wrap_fdatasync(int fd)
{
  if (interrupted())
    return -1;
  if (!wrong.bad_flush)
    return __real_fdatasync(fd);
  errno = wrong.bad_flush;
  return -1;
}

int
__wrap_renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
  if (!wrong.no_rename)
    return __real_renameat2(a, from, b, to, flags);
  errno = wrong.no_rename;
  return -1;
}

int
__wrap_linkat(int a, const char *from, int b, const char *to, int flags)
{
  if (!wrong.no_link)
    return __real_linkat(a, from, b, to, flags);
  errno = wrong.no_link;
  return -1;
}

int
__wrap_fcntl64(int fd, int cmd, void *arg)
{
  if (cmd != F_OFD_SETLK && cmd != F_OFD_GETLK)
    return __real_fcntl64(fd, cmd, arg);
  if (interrupted())
    return -1;
  if (!wrong.no_locks)
    return __real_fcntl64(fd, cmd, arg);
  errno = wrong.no_locks;
  return -1;
}

/* --- Scene ---------------------------------------------------------------- */

static char tmp[64];

static int
set_up(void **state)
{
  struct vdk_error err;

  memset(&wrong, 0, sizeof wrong);
  strcpy(tmp, "/tmp/vdk-system-XXXXXX");
  return mkdtemp(tmp) ? dir_local_open(tmp, 0, (struct vdk_dir **)state, &err)
                      : -1;
}

static int
tear_down(void **state)
{
  char command[128];

  dir_unref(*state);
  snprintf(command, sizeof command, "rm -rf '%s'", tmp);
  return system(command);
}

#define SCENE                                                                  \
  struct vdk_dir *d = *state;                                                  \
  struct vdk_file *f = NULL;                                                   \
  struct vdk_error err = VDK_ERROR_INIT

static void
short_and_interrupted(void **state)
{
  SCENE;
  static uint8_t out[100000], in[100000];

  for (size_t i = 0; i < sizeof out; i++)
    out[i] = (uint8_t)(i * 13 + i / 999);
  wrong.interrupt = wrong.shorten = true;
  assert_ok(dir_open_file(d, "f", FILE_CREATE, &f, &err));
  assert_ok(file_lock(f, FILE_LOCK_EXCLUSIVE, &err));
  assert_ok(file_write(f, 3, out, sizeof out, &err));
  assert_ok(file_read(f, 3, in, sizeof in, &err));
  assert_memory_equal(in, out, sizeof out);
  assert_ok(file_zero(f, 0, 50003, &err));
  assert_ok(file_allocate(f, 0, 200000, &err));
  assert_ok(file_flush(f, &err));
  assert_ok(file_read(f, 0, in, sizeof in, &err));
  assert_true(mem_is_zero(in, 50003));
  assert_memory_equal(in + 50003, out + 50000, sizeof in - 50003);
  file_close(f);
  assert_true(wrong.calls > 100);
}

/* Without hole punching zeroes are written; the size stays. */
static void
no_holes(void **state)
{
  static const int codes[] = {EOPNOTSUPP, ENOSYS, EINVAL};
  SCENE;
  static uint8_t buf[200000];
  struct stat st;
  char path[128];

  snprintf(path, sizeof path, "%s/f", tmp);
  for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
    wrong.no_fallocate = codes[i];
    memset(buf, 1, sizeof buf);
    assert_ok(dir_open_file(d, "f", FILE_CREATE | FILE_REPLACE, &f, &err));
    assert_ok(file_write(f, 0, buf, sizeof buf, &err));
    for (unsigned again = 0; again < 2; again++)
      assert_ok(file_zero(f, 10, 1000000, &err));
    assert_ok(file_read(f, 0, buf, sizeof buf, &err));
    assert_int_equal(buf[9], 1);
    assert_true(mem_is_zero(buf + 10, sizeof buf - 10));
    /* Reserving fills the holes and keeps the data. */
    assert_ok(file_truncate(f, 1 << 20, &err));
    assert_ok(file_allocate(f, 0, 2 << 20, &err));
    assert_ok(file_flush(f, &err));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 2 << 20);
    assert_true(st.st_blocks * 512 >= 2 << 20);
    assert_ok(file_read(f, 0, buf, 10, &err));
    assert_int_equal(buf[9], 1);
    file_close(f);
  }
}

static void
no_room(void **state)
{
  SCENE;

  assert_ok(dir_open_file(d, "f", FILE_CREATE, &f, &err));
  wrong.no_fallocate = ENOSPC;
  assert_fails(file_allocate(f, 0, 1000, &err), VDK_E_NO_SPACE);
  wrong.no_fallocate = EIO;
  assert_ok(file_write(f, 0, "x", 1, &err));
  assert_fails(file_zero(f, 0, 1, &err), VDK_E_IO);
  wrong.bad_write = ENOSPC;
  assert_fails(file_write(f, 0, "x", 1, &err), VDK_E_NO_SPACE);
  assert_non_null(strstr(err.text, tmp));
  assert_int_equal(err.os_errno, ENOSPC);
  assert_fails(dir_put(d, "g", "x", 1, true, &err), VDK_E_NO_SPACE);
  file_close(f);
  assert_fails(dir_open_file(d, "g", 0, &f, &err), VDK_E_NOT_FOUND);
}

/* Without SEEK_DATA all is data. */
static void
no_seek(void **state)
{
  SCENE;
  uint64_t n;
  int ext;

  assert_ok(dir_open_file(d, "f", FILE_CREATE, &f, &err));
  assert_ok(file_truncate(f, 1 << 20, &err));
  wrong.no_seek = EINVAL;
  assert_ok(file_extent(f, 0, UINT64_MAX, &n, &ext, &err));
  assert_int_equal(ext, VDK_EXTENT_DATA);
  assert_int_equal(n, 1 << 20);
  wrong.no_seek = 0;
  assert_ok(file_extent(f, 0, UINT64_MAX, &n, &ext, &err));
  assert_int_equal(ext, VDK_EXTENT_ZERO);
  file_close(f);
}

static void
no_exclusive_rename(void **state)
{
  static const int codes[] = {EINVAL, ENOSYS, EINVAL, EINVAL};
  uint64_t size;
  static const int links[] = {0, 0, EPERM, EOPNOTSUPP};
  SCENE;

  for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
    wrong.no_rename = codes[i];
    wrong.no_link = links[i];
    assert_ok(dir_put(d, "a", "A", 1, true, &err));
    assert_ok(dir_put(d, "b", "B", 1, true, &err));
    assert_fails(dir_rename(d, "a", "b", false, &err), VDK_E_EXISTS);
    assert_fails(dir_rename(d, "none", "c", false, &err), VDK_E_NOT_FOUND);
    assert_ok(dir_rename(d, "a", "c", false, &err));
    assert_ok(dir_open_file(d, "c", 0, &f, &err));
    assert_ok(file_size(f, &size, &err));
    assert_int_equal(size, 1);
    file_close(f);
    assert_fails(dir_open_file(d, "a", 0, &f, &err), VDK_E_NOT_FOUND);
    assert_fails(dir_put(d, "b", "x", 1, false, &err), VDK_E_EXISTS);
    assert_ok(dir_make(d, "folder/in", &err));
    assert_fails(dir_rename(d, "folder", "b", false, &err), VDK_E_EXISTS);
    assert_ok(dir_rename(d, "folder", "moved", false, &err));
    assert_ok(dir_remove(d, "moved/in", &err));
    assert_ok(dir_remove(d, "moved", &err));
    assert_ok(dir_remove(d, "c", &err));
  }
}

static void
no_locks(void **state)
{
  static const int codes[] = {ENOLCK, EOPNOTSUPP, ENOSYS, EINVAL};
  SCENE;

  assert_ok(dir_open_file(d, "f", FILE_CREATE, &f, &err));
  for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
    wrong.no_locks = codes[i];
    assert_ok(file_lock(f, FILE_LOCK_EXCLUSIVE, &err));
  }
  wrong.no_locks = EIO;
  assert_fails(file_lock(f, FILE_LOCK_SHARED, &err), VDK_E_IO);
  file_close(f);
}

/* The kernel tells of a lost write once. We do not forget. */
static void
failed_flush_stays_failed(void **state)
{
  SCENE;

  assert_ok(dir_open_file(d, "f", FILE_CREATE, &f, &err));
  assert_ok(file_flush(f, &err));
  wrong.bad_flush = EIO;
  assert_fails(file_flush(f, &err), VDK_E_IO);
  wrong.bad_flush = 0;
  assert_fails(file_flush(f, &err), VDK_E_IO);
  file_close(f);
  wrong.bad_flush = EIO;
  assert_fails(dir_put(d, "g", "x", 1, true, &err), VDK_E_IO);
  assert_fails(dir_open_file(d, "g", 0, &f, &err), VDK_E_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(short_and_interrupted),
      TEST(no_holes),
      TEST(no_room),
      TEST(no_seek),
      TEST(no_exclusive_rename),
      TEST(no_locks),
      TEST(failed_flush_stays_failed),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
