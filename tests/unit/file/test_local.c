/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What only the local driver has: symbolic links, kinds of files, pipes,
 * descriptors, direct I/O. (What every driver has: tests/conformance.)
 */
#include "tests/unit/unit.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "file/local.h"

struct fixture {
  char tmp[64], inside[80], outside[80];
  struct vdk_dir *dir; /* of "inside" */
};

static int
set_up(void **state)
{
  struct fixture *f = calloc(1, sizeof *f);
  struct vdk_error err;

  *state = f;
  strcpy(f->tmp, "/tmp/vdk-local-XXXXXX");
  if (!mkdtemp(f->tmp))
    return -1;
  snprintf(f->inside, sizeof f->inside, "%s/inside", f->tmp);
  snprintf(f->outside, sizeof f->outside, "%s/outside", f->tmp);
  local_beneath_walk_only(false);
  return mkdir(f->inside, 0777) || mkdir(f->outside, 0777) ||
         dir_local_open(f->inside, 0, &f->dir, &err);
}

static int
tear_down(void **state)
{
  struct fixture *f = *state;
  char command[128];
  int r;

  dir_unref(f->dir);
  snprintf(command, sizeof command, "rm -rf '%s'", f->tmp);
  r = system(command);
  free(f);
  return r;
}

#define SCENE                                                                  \
  struct fixture *fix = *state;                                                \
  __attribute__((unused)) struct vdk_dir *d = fix->dir;                        \
  struct vdk_file *f = NULL;                                                   \
  struct vdk_error err = VDK_ERROR_INIT

static void
make_link(struct fixture *fix, const char *target, const char *name)
{
  char *path = path_join(fix->inside, name);

  assert_int_equal(symlink(target, path), 0);
  free(path);
}

static int
count_entry(void *opaque, const struct dir_entry *entry)
{
  ++*(unsigned *)opaque;
  return 0;
}

/* Every call, by every link that leads out, both with the kernel's help and
 * without: refused, and nothing outside is touched. */
static void
links_out_are_refused(void **state)
{
  SCENE;
  static const char *const names[] = {"abs/secret", "rel/secret", "file",
                                      "absfile", "in/../../x"};
  struct stat before, after;
  char secret[128];
  unsigned entries = 0;

  snprintf(secret, sizeof secret, "%s/secret", fix->outside);
  close(open(secret, O_CREAT | O_WRONLY, 0600));
  assert_int_equal(stat(fix->outside, &before), 0);
  make_link(fix, fix->outside, "abs");
  make_link(fix, "../outside", "rel");
  make_link(fix, "../outside/secret", "file");
  make_link(fix, secret, "absfile");
  for (int walk = 0; walk < 2; walk++) {
    local_beneath_walk_only(walk);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
      assert_fails(dir_open_file(d, names[i], 0, &f, &err), VDK_E_UNSAFE_PATH);
      assert_fails(dir_open_file(d, names[i], FILE_WRITE, &f, &err),
                   VDK_E_UNSAFE_PATH);
      assert_fails(
          dir_open_file(d, names[i], FILE_CREATE | FILE_REPLACE, &f, &err),
          VDK_E_UNSAFE_PATH);
      assert_true(dir_open_file(d, names[i], FILE_CREATE, &f, &err) < 0);
    }
    assert_fails(dir_open_file(d, "abs/new", FILE_CREATE, &f, &err),
                 VDK_E_UNSAFE_PATH);
    assert_fails(dir_make(d, "rel/new", &err), VDK_E_UNSAFE_PATH);
    assert_fails(dir_remove(d, "rel/secret", &err), VDK_E_UNSAFE_PATH);
    assert_fails(dir_rename(d, "rel/secret", "x", true, &err),
                 VDK_E_UNSAFE_PATH);
    assert_fails(dir_list(d, "rel", count_entry, &entries, &err),
                 VDK_E_UNSAFE_PATH);
    assert_fails(dir_sync(d, "abs", &err), VDK_E_UNSAFE_PATH);
    assert_fails(dir_put(d, "rel/p", "x", 1, true, &err), VDK_E_UNSAFE_PATH);
  }
  assert_int_equal(stat(fix->outside, &after), 0);
  assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
  assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
  /* A link is replaced and removed as the name that it is. */
  assert_ok(dir_put(d, "file", "x", 1, true, &err));
  assert_ok(dir_remove(d, "abs", &err));
  assert_int_equal(access(secret, F_OK), 0);
}

static void
links_inside_are_followed(void **state)
{
  SCENE;
  unsigned entries = 0;

  assert_ok(dir_make(d, "real/deep", &err));
  assert_ok(dir_put(d, "real/deep/f", "text", 4, false, &err));
  make_link(fix, "real/deep", "short");
  make_link(fix, "short/f", "f");
  make_link(fix, "../real", "real/up");
  assert_ok(dir_open_file(d, "f", 0, &f, &err));
  file_close(f);
  assert_ok(dir_open_file(d, "real/up/deep/f", 0, &f, &err));
  file_close(f);
  assert_ok(dir_list(d, "short", count_entry, &entries, &err));
  assert_int_equal(entries, 1);
  local_beneath_walk_only(true);
  assert_fails(dir_open_file(d, "f", 0, &f, &err), VDK_E_UNSAFE_PATH);
  assert_ok(dir_open_file(d, "real//./deep/f", 0, &f, &err));
  file_close(f);
}

static void
outside_when_allowed(void **state)
{
  SCENE;
  _cleanup_dir_ struct vdk_dir *open_dir = NULL;

  assert_ok(dir_local_open(fix->inside, DIR_ALLOW_OUTSIDE, &open_dir, &err));
  assert_ok(dir_put(open_dir, "../outside/x", "1", 1, false, &err));
  make_link(fix, "../outside/x", "x");
  assert_ok(dir_open_file(open_dir, "x", 0, &f, &err));
  file_close(f);
  assert_ok(
      dir_open_file(open_dir, fix->tmp, 0, &f, &err) == -VDK_E_INVAL ? 0 : -1);
  assert_fails(dir_open_file(d, "x", 0, &f, &err), VDK_E_UNSAFE_PATH);
}

/* Neither opened nor waited for. */
static void
only_regular_files(void **state)
{
  SCENE;
  _cleanup_dir_ struct vdk_dir *root = NULL;
  char *path = path_join(fix->inside, "fifo");

  assert_int_equal(mkfifo(path, 0666), 0);
  assert_fails(dir_open_file(d, "fifo", 0, &f, &err), VDK_E_UNSAFE_PATH);
  assert_fails(dir_open_file(d, "fifo", FILE_WRITE, &f, &err),
               VDK_E_UNSAFE_PATH);
  assert_fails(dir_open_file(d, "fifo", FILE_CREATE | FILE_REPLACE, &f, &err),
               VDK_E_UNSAFE_PATH);
  assert_fails(file_local_open(path, FILE_READ, &f, &err), VDK_E_UNSAFE_PATH);
  free(path);
  assert_ok(dir_local_open("/dev", 0, &root, &err));
  assert_fails(dir_open_file(root, "null", 0, &f, &err), VDK_E_UNSAFE_PATH);
  dir_unref(TAKE_PTR(root));
  assert_ok(dir_local_open("/dev", DIR_ALLOW_DEVICES, &root, &err));
  assert_fails(dir_open_file(root, "null", 0, &f, &err), VDK_E_UNSAFE_PATH);
}

/* A real block device, where there is one that may be read. */
static void
block_device(void **state)
{
  SCENE;
  static const char *const devices[] = {"vda", "sda", "nvme0n1", "loop0"};
  _cleanup_dir_ struct vdk_dir *closed = NULL, *open_dir = NULL;
  uint64_t size;
  uint8_t *buf = mem_buffer(8192);

  assert_ok(dir_local_open("/dev", 0, &closed, &err));
  assert_ok(dir_local_open("/dev", DIR_ALLOW_DEVICES, &open_dir, &err));
  for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
    char path[64];
    struct stat st;

    snprintf(path, sizeof path, "/dev/%s", devices[i]);
    if (stat(path, &st) < 0 || !S_ISBLK(st.st_mode))
      continue;
    assert_fails(dir_open_file(closed, devices[i], 0, &f, &err),
                 VDK_E_UNSAFE_PATH);
    if (access(path, R_OK) < 0 ||
        dir_open_file(open_dir, devices[i], FILE_DIRECT, &f, &err) < 0)
      continue;
    assert_ok(file_size(f, &size, &err));
    if (size >= 8192) {
      uint64_t n;
      int ext;

      assert_ok(file_read(f, 4096, buf, 4096, &err));
      assert_ok(file_read(f, 1, buf + 1, 100, &err));
      assert_ok(file_extent(f, 0, size, &n, &ext, &err));
      assert_int_equal(n, size);
      assert_int_equal(ext, VDK_EXTENT_DATA);
    }
    file_close(f);
  }
  free(buf);
}

struct pipe_writer {
  int fd;
  size_t total;
};

static void *
write_slowly(void *arg)
{
  struct pipe_writer *w = arg;
  uint8_t buf[1000];

  for (size_t at = 0; at < w->total;) {
    size_t n = MIN(sizeof buf, w->total - at);

    for (size_t i = 0; i < n; i++)
      buf[i] = (uint8_t)((at + i) * 31);
    assert(write(w->fd, buf, n) == (ssize_t)n);
    at += n;
  }
  close(w->fd);
  return NULL;
}

static void
pipes_are_read_in_order(void **state)
{
  SCENE;
  struct pipe_writer w = {.total = 300000};
  _cleanup_free_ uint8_t *buf = malloc(400000);
  pthread_t thread;
  uint64_t size;
  size_t got;
  int fds[2];

  assert_int_equal(pipe(fds), 0);
  w.fd = fds[1];
  pthread_create(&thread, NULL, write_slowly, &w);
  assert_ok(file_fd_open(fds[0], "<pipe>", false, &f, &err));
  assert_true(f->is_pipe);
  assert_fails(file_size(f, &size, &err), VDK_E_UNSUPPORTED);
  assert_ok(file_read(f, 0, buf, 100000, &err));
  assert_fails(file_read(f, 5, buf, 1, &err), VDK_E_UNSUPPORTED);
  assert_non_null(strstr(err.text, "<pipe>"));
  assert_ok(file_read_upto(f, 100000, buf + 100000, 300000, &got, &err));
  assert_int_equal(got, 200000);
  for (size_t i = 0; i < 300000; i++)
    assert_int_equal(buf[i], (uint8_t)(i * 31));
  assert_ok(file_read_upto(f, 300000, buf, 10, &got, &err));
  assert_int_equal(got, 0);
  assert_ok(file_lock(f, FILE_LOCK_SHARED, &err));
  file_close(f);
  pthread_join(thread, NULL);
  assert_int_equal(close(fds[0]), 0);
}

static void
whole_pipe(void **state)
{
  SCENE;
  char *text;
  size_t len;
  int fds[2];

  for (int limit = 4; limit < 6; limit++) {
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "abcde", 5), 5);
    close(fds[1]);
    assert_ok(file_fd_open(fds[0], "<pipe>", false, &f, &err));
    if (limit == 4) {
      assert_fails(file_read_all(f, 4, &text, &len, &err), VDK_E_TOO_BIG);
    } else {
      assert_ok(file_read_all(f, 5, &text, &len, &err));
      assert_string_equal(text, "abcde");
      free(text);
    }
    file_close(f);
    close(fds[0]);
  }
}

/* A reader that went away is an error, not the end of the program. */
static void
broken_pipe(void **state)
{
  SCENE;
  sigset_t pending;
  int fds[2];

  assert_int_equal(pipe(fds), 0);
  assert_ok(file_fd_open(fds[1], "<pipe>", true, &f, &err));
  assert_ok(file_write(f, 0, "ab", 2, &err));
  assert_ok(file_zero(f, 2, 3, &err));
  assert_fails(file_write(f, 1, "x", 1, &err), VDK_E_UNSUPPORTED);
  assert_fails(file_truncate(f, 1, &err), VDK_E_UNSUPPORTED);
  assert_ok(file_flush(f, &err));
  close(fds[0]);
  assert_true(file_write(f, 5, "x", 1, &err) < 0);
  assert_int_equal(err.os_errno, EPIPE);
  sigpending(&pending);
  assert_int_equal(sigismember(&pending, SIGPIPE), 0);
  file_close(f);
  close(fds[1]);
}

/* "> file" can be written anywhere; ">> file" only at its end. */
static void
descriptors_of_files(void **state)
{
  SCENE;
  char *path = path_join(fix->inside, "out"), buf[10];
  int fd = open(path, O_CREAT | O_RDWR, 0666);

  assert_ok(file_fd_open(fd, "<output>", true, &f, &err));
  assert_false(f->is_pipe);
  assert_ok(file_write(f, 5, "world", 5, &err));
  assert_ok(file_write(f, 0, "hello", 5, &err));
  file_close(f);
  close(fd);
  fd = open(path, O_RDWR | O_APPEND);
  assert_ok(file_fd_open(fd, "<output>", true, &f, &err));
  assert_true(f->is_pipe);
  assert_ok(file_write(f, 0, "!", 1, &err));
  file_close(f);
  close(fd);
  /* Who starts in the middle reads from there. */
  fd = open(path, O_RDONLY);
  assert_int_equal(lseek(fd, 6, SEEK_SET), 6);
  assert_ok(file_fd_open(fd, "<input>", false, &f, &err));
  assert_ok(file_read(f, 0, buf, 5, &err));
  assert_memory_equal(buf, "orld!", 5);
  file_close(f);
  close(fd);
  free(path);
}

static void
long_names(void **state)
{
  SCENE;
  char name[1100];

  memset(name, 'n', sizeof name);
  name[255] = 0;
  assert_ok(dir_put(d, name, "x", 1, false, &err));
  name[255] = 'n';
  name[256] = 0;
  assert_true(dir_put(d, name, "x", 1, false, &err) < 0);
  name[256] = 'n';
  name[1025] = 0;
  assert_fails(dir_open_file(d, name, 0, &f, &err), VDK_E_UNSAFE_PATH);
  local_beneath_walk_only(true);
  name[300] = 0;
  assert_fails(dir_open_file(d, name, 0, &f, &err), VDK_E_INVAL);
}

static void
safe_names(void **state)
{
  static const char *const good[] = {"a",   "a/b",   ".",    "./a", "..a",
                                     "a..", "a/...", "a//b", "a/"};
  static const char *const bad[] = {"",     "/",    "/a",     "..",
                                    "../a", "a/..", "a/../b", ".//.."};

  for (size_t i = 0; i < ARRAY_SIZE(good); i++)
    assert_true(dir_name_is_safe(good[i]));
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
    assert_false(dir_name_is_safe(bad[i]));
  assert_false(dir_name_is_safe(NULL));
}

/* Space is really given back and really reserved. */
static void
space_of_files(void **state)
{
  SCENE;
  char *path = path_join(fix->inside, "f");
  static uint8_t buf[1 << 20];
  struct stat st;

  memset(buf, 1, sizeof buf);
  assert_ok(dir_open_file(d, "f", FILE_CREATE, &f, &err));
  assert_ok(file_write(f, 0, buf, sizeof buf, &err));
  assert_ok(file_flush(f, &err));
  assert_int_equal(stat(path, &st), 0);
  assert_true(st.st_blocks * 512 >= 1 << 20);
  assert_ok(file_zero(f, 0, sizeof buf, &err));
  assert_int_equal(stat(path, &st), 0);
  assert_true(st.st_blocks * 512 < 1 << 17);
  assert_ok(file_allocate(f, 0, 1 << 20, &err));
  assert_int_equal(stat(path, &st), 0);
  assert_true(st.st_blocks * 512 >= 1 << 20);
  file_close(f);
  free(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(links_out_are_refused),
      TEST(links_inside_are_followed),
      TEST(outside_when_allowed),
      TEST(only_regular_files),
      TEST(block_device),
      TEST(pipes_are_read_in_order),
      TEST(whole_pipe),
      TEST(broken_pipe),
      TEST(descriptors_of_files),
      TEST(long_names),
      TEST(space_of_files),
      cmocka_unit_test(safe_names),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
