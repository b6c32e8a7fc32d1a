/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a name below a directory, whatever symbolic links stand on the way.
 *
 * openat2() with RESOLVE_BENEATH has the kernel do it in one step, and lets
 * links be followed that stay inside. Where it is missing (before Linux 5.6,
 * or forbidden by a sandbox) each part of the name is opened by itself without
 * following links, which refuses the inner ones too: stricter, never laxer.
 */
#include "file/local.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PART_MAX 255u

/* EAGAIN: a rename went on elsewhere while the kernel walked the name. */
#define BENEATH_RETRIES 32

static bool walk_only; /* for tests; set before anything is opened */

void
local_beneath_walk_only(bool on)
{
  walk_only = on;
}

static int
open_kernel(int dir_fd, const char *name, int flags, unsigned mode)
{
  struct open_how how = {
      .flags = (uint64_t)(unsigned)flags,
      .mode = flags & O_CREAT ? mode : 0,
      .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
  };
  int fd = -1;

  for (int i = 0; i < BENEATH_RETRIES; i++) {
    fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
      break;
  }
  return fd;
}

/* The kernel says ENOTDIR for a link where a directory was wanted; for us the
 * link is the news. */
static int
open_part(int dir_fd, const char *part, int flags, unsigned mode)
{
  int fd = openat(dir_fd, part, flags | O_NOFOLLOW | O_CLOEXEC, mode);
  int saved = errno;
  struct stat st;

  if (fd >= 0 || saved != ENOTDIR)
    return fd;
  if (fstatat(dir_fd, part, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISLNK(st.st_mode))
    saved = ELOOP;
  errno = saved;
  return -1;
}

static int
open_walk(int dir_fd, const char *name, int flags, unsigned mode)
{
  int at = dir_fd, fd, saved;
  char part[PART_MAX + 1];

  for (;;) {
    size_t n;

    name += strspn(name, "/");
    n = strcspn(name, "/");
    if (n > PART_MAX) {
      errno = ENAMETOOLONG;
      fd = -1;
      break;
    }
    memcpy(part, n ? name : ".", n ? n : 1);
    part[n ? n : 1] = 0;
    name += n;
    if (name[strspn(name, "/")] == 0) {
      fd = open_part(at, part, flags | (*name ? O_DIRECTORY : 0), mode);
      break;
    }
    fd = open_part(at, part, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
      break;
    if (at != dir_fd)
      close(at);
    at = fd;
  }
  saved = errno;
  if (at != dir_fd)
    close(at);
  errno = saved;
  return fd;
}

int
local_open_beneath(int dir_fd, const char *name, int flags, unsigned mode)
{
  if (!walk_only) {
    int fd = open_kernel(dir_fd, name, flags | O_CLOEXEC, mode);

    if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
      return fd;
  }
  return open_walk(dir_fd, name, flags, mode);
}
