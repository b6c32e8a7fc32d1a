/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks against a program that we did not write: qemu-io holds an image and we
 * are refused, we hold it and qemu-io is refused. (Among our own handles:
 * tests/conformance.)
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file/file.h"

static char image[64];

/* True when qemu-io, started with MODE ("-r" or ""), opens the image. */
static bool
qemu_opens(const char *format, const char *mode)
{
  char command[256];

  snprintf(command, sizeof command,
           "qemu-io %s -f %s -c 'read 0 512' '%s' >/dev/null 2>&1", mode,
           format, image);
  return system(command) == 0;
}

struct holder {
  pid_t pid;
  int in, out;
};

/* Starts qemu-io and returns when it has the image open: when it has answered
 * a command. */
static struct holder
qemu_hold(const char *format, const char *mode)
{
  struct holder h;
  int in[2], out[2];
  char c = 0, seen[64] = "";

  assert_int_equal(pipe(in), 0);
  assert_int_equal(pipe(out), 0);
  h.pid = fork();
  if (h.pid == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    close(in[1]);
    close(out[0]);
    execlp("qemu-io", "qemu-io", "-f", format, image, mode[0] ? mode : NULL,
           NULL);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  assert_int_equal(write(in[1], "length\n", 7), 7);
  while (!strstr(seen, "MiB") && read(out[0], &c, 1) == 1) {
    size_t n = strlen(seen);

    if (n == sizeof seen - 1)
      memmove(seen, seen + 1, n--);
    seen[n] = c;
    seen[n + 1] = 0;
  }
  assert_non_null(strstr(seen, "MiB"));
  h.in = in[1];
  h.out = out[0];
  return h;
}

static void
qemu_release(struct holder h)
{
  int status;

  close(h.in);
  waitpid(h.pid, &status, 0);
  close(h.out);
}

static struct vdk_file *
open_image(void)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_file *f = NULL;

  assert_ok(file_local_open(image, FILE_WRITE, &f, &err));
  return f;
}

static void
we_refuse_what_qemu_holds(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_file *f = open_image();
  struct holder h = qemu_hold(*state, "");

  assert_fails(file_lock(f, FILE_LOCK_EXCLUSIVE, &err), VDK_E_LOCKED);
  assert_fails(file_lock(f, FILE_LOCK_SHARED, &err), VDK_E_LOCKED);
  assert_non_null(strstr(err.text, image));
  qemu_release(h);
  assert_ok(file_lock(f, FILE_LOCK_EXCLUSIVE, &err));
  assert_ok(file_lock(f, FILE_UNLOCK, &err));
  /* Readers do not mind readers. */
  h = qemu_hold(*state, "-r");
  assert_ok(file_lock(f, FILE_LOCK_SHARED, &err));
  assert_fails(file_lock(f, FILE_LOCK_EXCLUSIVE, &err), VDK_E_LOCKED);
  qemu_release(h);
  file_close(f);
}

static void
qemu_refuses_what_we_hold(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_file *f = open_image();

  assert_true(qemu_opens(*state, ""));
  assert_ok(file_lock(f, FILE_LOCK_EXCLUSIVE, &err));
  assert_false(qemu_opens(*state, ""));
  assert_false(qemu_opens(*state, "-r"));
  assert_ok(file_lock(f, FILE_LOCK_SHARED, &err));
  assert_false(qemu_opens(*state, ""));
  assert_true(qemu_opens(*state, "-r"));
  assert_ok(file_lock(f, FILE_UNLOCK, &err));
  assert_true(qemu_opens(*state, ""));
  assert_ok(file_lock(f, FILE_LOCK_EXCLUSIVE, &err));
  file_close(f);
  assert_true(qemu_opens(*state, ""));
}

/* A second descriptor of the file, closed, must not drop the lock, as locks
 * of the classic kind would be. */
static void
other_descriptors_do_not_matter(void **state)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_file *f = open_image(), *g = open_image();

  assert_ok(file_lock(f, FILE_LOCK_EXCLUSIVE, &err));
  assert_fails(file_lock(g, FILE_LOCK_EXCLUSIVE, &err), VDK_E_LOCKED);
  file_close(g);
  assert_false(qemu_opens(*state, "-r"));
  file_close(f);
}

static int
make_image(void **state)
{
  char command[200];

  unlink(image);
  snprintf(command, sizeof command,
           "qemu-img create -q -f %s '%s' 64M >/dev/null 2>&1",
           (const char *)*state, image);
  return system(command);
}

#define TEST(name, format)                                                     \
  {                                                                            \
#name " (" format ")", name, make_image, NULL, (char[])                    \
    {                                                                          \
      format                                                                   \
    }                                                                          \
  }

int
main(void)
{
  char tmp[] = "/tmp/vdk-lock-XXXXXX";
  const struct CMUnitTest tests[] = {
      TEST(we_refuse_what_qemu_holds, "raw"),
      TEST(we_refuse_what_qemu_holds, "vmdk"),
      TEST(qemu_refuses_what_we_hold, "raw"),
      TEST(qemu_refuses_what_we_hold, "vmdk"),
      TEST(other_descriptors_do_not_matter, "raw"),
      TEST(other_descriptors_do_not_matter, "vmdk"),
  };
  int r;

  if (system("command -v qemu-io >/dev/null") != 0)
    return 77;
  if (!mkdtemp(tmp))
    return 1;
  signal(SIGPIPE, SIG_IGN);
  snprintf(image, sizeof image, "%s/image", tmp);
  r = cmocka_run_group_tests(tests, NULL, NULL);
  unlink(image);
  rmdir(tmp);
  return r;
}
