/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks that QEMU and we both respect.
 *
 * QEMU's file driver marks what it does with an image by read-locks on single
 * bytes of it (public, in its block/file-posix.c; seen in /proc/locks):
 * byte 100 + b says "I use permission b", byte 200 + b says "nobody else may".
 * b is 0 for a consistent read, 1 for write, 3 for resize. Read-locks never
 * exclude one another: who comes takes his own, then asks the kernel whether
 * somebody else holds a byte that contradicts, and gives up if so. Two that
 * come at the same instant may both give up; never do both get in.
 *
 * The locks are of the open file description (F_OFD_*), so that two handles of
 * one process exclude each other too, and closing another descriptor of the
 * file loses nothing.
 */
#include "file/local.h"

#include <errno.h>
#include <fcntl.h>

#include "base/error.h"

enum { USED = 100, DENIED = 200 };
enum { READING = 0, WRITING = 1, RESIZING = 3 };

#define LOCK_BYTES_MAX 6

struct lock_rules {
  short take[LOCK_BYTES_MAX];    /* 0 ends */
  short exclude[LOCK_BYTES_MAX]; /* nobody else may hold these */
};

static const struct lock_rules lock_rules[] = {
    [FILE_UNLOCK] = {{0}, {0}},
    [FILE_LOCK_SHARED] = {{USED + READING, DENIED + WRITING, DENIED + RESIZING},
                          {DENIED + READING, USED + WRITING, USED + RESIZING}},
    [FILE_LOCK_EXCLUSIVE] = {{USED + READING, USED + WRITING, USED + RESIZING,
                              DENIED + READING, DENIED + WRITING,
                              DENIED + RESIZING},
                             {USED + READING, USED + WRITING, USED + RESIZING,
                              DENIED + READING, DENIED + WRITING,
                              DENIED + RESIZING}},
};

static int
lock_byte(int fd, int cmd, short type, short byte, struct flock *ret)
{
  int r;

  *ret = (struct flock){
      .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
  do
    r = fcntl(fd, cmd, ret);
  while (r < 0 && errno == EINTR);
  return r < 0 ? errno : 0;
}

static void
unlock_all(int fd)
{
  struct flock fl = {.l_type = F_UNLCK,
                     .l_whence = SEEK_SET,
                     .l_start = USED,
                     .l_len = DENIED + 100 - USED};

  fcntl(fd, F_OFD_SETLK, &fl);
}

/* 0, an errno, or EBUSY when somebody else is in the way. */
static int
acquire(int fd, const struct lock_rules *rules)
{
  struct flock fl;
  int e;

  for (int i = 0; i < LOCK_BYTES_MAX && rules->take[i]; i++) {
    e = lock_byte(fd, F_OFD_SETLK, F_RDLCK, rules->take[i], &fl);
    if (e == EAGAIN || e == EACCES)
      return EBUSY;
    if (e)
      return e;
  }
  for (int i = 0; i < LOCK_BYTES_MAX && rules->exclude[i]; i++) {
    e = lock_byte(fd, F_OFD_GETLK, F_WRLCK, rules->exclude[i], &fl);
    if (e)
      return e;
    if (fl.l_type != F_UNLCK)
      return EBUSY;
  }
  return 0;
}

int
local_file_lock(struct vdk_file *file, enum file_lock_mode mode,
                struct vdk_error *err)
{
  struct local_file *f = (struct local_file *)file;
  int e;

  if (file->is_pipe)
    return 0;
  unlock_all(f->fd);
  e = acquire(f->fd, &lock_rules[mode]);
  if (e == 0)
    return 0;
  unlock_all(f->fd);
  switch (e) {
  case EBUSY:
    return error_set(err, VDK_E_LOCKED,
                     "cannot lock %s for %s: another program has it open; "
                     "close the virtual machine or tool that uses it",
                     file->name,
                     mode == FILE_LOCK_SHARED ? "reading" : "writing");
  case ENOLCK:
  case EOPNOTSUPP:
  case ENOSYS:
  case EINVAL:
    return 0; /* a file system without locks */
  default:
    return error_errno(err, e, "cannot lock %s", file->name);
  }
}
