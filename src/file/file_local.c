/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of the local system: opening, bytes in and out.
 *
 * A file has one descriptor, which goes through the page cache and holds the
 * locks. With FILE_DIRECT there is a second one around the cache, for requests
 * whose offset, length and memory are aligned as the device wants; all others
 * take the first. The kernel keeps the two coherent (direct I/O writes back
 * and drops the pages that it passes).
 *
 * A pipe (or a terminal, or a descriptor that somebody has already read from)
 * has a position instead of a size; an offset that is not the position is an
 * error, since it would mean that bytes were lost or sent twice.
 *
 * Holes, sizes and space are in local_space.c, locks in local_lock.c.
 */
#include "file/local.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "file/local_space.h"

/* read(2) and write(2) move at most this much at once. */
#define IO_MAX ((size_t)0x7ffff000)

/* Good for every device that there is; devices with less are rare and only
 * lose the fast way for odd requests. */
#define DIRECT_ALIGNMENT 4096u

/* A copy writes mostly in pieces at least this large, a guest in smaller. */
#define BULK_MIN ((size_t)32 * 1024)
/* How much of a copy may wait in the page cache before it is sent on. */
#define BULK_STEP ((uint64_t)32 << 20)

static int
check_position(struct local_file *f, const char *verb, uint64_t offset,
               struct vdk_error *err)
{
  if (offset == f->position)
    return 0;
  return error_set(err, VDK_E_UNSUPPORTED,
                   "cannot %s at offset %" PRIu64
                   " of %s: it is a pipe, which stands at %" PRIu64,
                   verb, offset, f->base.name, f->position);
}

static int
choose_fd(const struct local_file *f, uint64_t offset, const void *buf,
          size_t len)
{
  uint64_t bits = offset | (uintptr_t)buf | len;

  if (f->direct_fd < 0 || (bits & (f->alignment - 1)))
    return f->fd;
  return f->direct_fd;
}

static int
local_read(struct vdk_file *file, uint64_t offset, void *buf, size_t len,
           size_t *ret, struct vdk_error *err)
{
  struct local_file *f = (struct local_file *)file;
  uint8_t *p = buf;
  size_t done = 0;

  if (file->is_pipe && check_position(f, "read", offset, err) < 0)
    return -VDK_E_UNSUPPORTED;
  while (done < len) {
    size_t want = MIN(len - done, IO_MAX);
    uint64_t at = offset + done;
    ssize_t n = file->is_pipe ? read(f->fd, p + done, want)
                              : pread(choose_fd(f, at, p + done, want),
                                      p + done, want, (off_t)at);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return error_errno(err, errno,
                         "cannot read %zu bytes at offset %" PRIu64 " of %s",
                         want, at, file->name);
    if (n == 0)
      break;
    done += (size_t)n;
    if (file->is_pipe)
      f->position += (size_t)n;
  }
  *ret = done;
  return 0;
}

/* A reader that has gone away raises SIGPIPE, which would end the program that
 * we are a library of: it is held back in this thread, and taken away if it
 * was ours. */
static ssize_t
write_pipe(int fd, const void *buf, size_t len)
{
  const struct timespec now = {0, 0};
  sigset_t pipe_set, old, pending;
  bool was_pending;
  ssize_t n;
  int saved;

  sigemptyset(&pipe_set);
  sigaddset(&pipe_set, SIGPIPE);
  sigpending(&pending);
  was_pending = sigismember(&pending, SIGPIPE) == 1;
  pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
  n = write(fd, buf, len);
  saved = errno;
  if (n < 0 && saved == EPIPE && !was_pending)
    while (sigtimedwait(&pipe_set, NULL, &now) < 0 && errno == EINTR)
      ;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = saved;
  return n;
}

/* The kernel would keep a copy in memory until the flush at its end and then
 * write all of it while nobody computes. Told early, the disk works beside us.
 * It is only a hint: errors come up at the flush. */
static void
send_bulk(struct local_file *f, size_t len)
{
  uint64_t before;

  if (len < BULK_MIN || f->base.is_pipe)
    return;
  before = __atomic_fetch_add(&f->bulk, len, __ATOMIC_RELAXED);
  if (before / BULK_STEP != (before + len) / BULK_STEP)
    sync_file_range(f->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int
local_write(struct vdk_file *file, uint64_t offset, const void *buf, size_t len,
            struct vdk_error *err)
{
  struct local_file *f = (struct local_file *)file;
  const size_t bulk = len;
  const uint8_t *p = buf;

  if (file->is_pipe && check_position(f, "write", offset, err) < 0)
    return -VDK_E_UNSUPPORTED;
  while (len > 0) {
    size_t want = MIN(len, IO_MAX);
    ssize_t n = file->is_pipe ? write_pipe(f->fd, p, want)
                              : pwrite(choose_fd(f, offset, p, want), p, want,
                                       (off_t)offset);

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return error_errno(err, n < 0 ? errno : EIO,
                         "cannot write %zu bytes at offset %" PRIu64 " of %s",
                         want, offset, file->name);
    p += n;
    offset += (size_t)n;
    len -= (size_t)n;
    if (file->is_pipe)
      f->position += (size_t)n;
  }
  send_bulk(f, bulk);
  return 0;
}

/* The kernel reports a lost write once and then forgets it: the next flush
 * would say that all is well. It is not, so we remember. */
static int
local_flush(struct vdk_file *file, struct vdk_error *err)
{
  struct local_file *f = (struct local_file *)file;
  int e = __atomic_load_n(&f->flush_errno, __ATOMIC_ACQUIRE);

  if (e == 0 && file->writable) {
    while (fdatasync(f->fd) < 0) {
      if (errno == EINTR)
        continue;
      if (errno == EINVAL || errno == EROFS)
        break; /* a pipe or a special file: nothing to flush */
      e = errno;
      __atomic_store_n(&f->flush_errno, e, __ATOMIC_RELEASE);
      break;
    }
  }
  if (e)
    return error_errno(err, e, "cannot flush %s to stable storage", file->name);
  return 0;
}

static int
local_fd(struct vdk_file *file)
{
  return ((struct local_file *)file)->fd;
}

static void
local_close(struct vdk_file *file)
{
  struct local_file *f = (struct local_file *)file;

  if (f->direct_fd >= 0)
    close(f->direct_fd);
  if (f->owned)
    close(f->fd);
  free(file->name);
  free(f);
}

static const struct file_ops local_ops = {
    .name = "local",
    .size = local_size,
    .read = local_read,
    .write = local_write,
    .zero = local_zero,
    .extent = local_extent,
    .truncate = local_truncate,
    .allocate = local_allocate,
    .flush = local_flush,
    .lock = local_file_lock,
    .fd = local_fd,
    .close = local_close,
};

/* The same file once more, around the page cache; -1 when that cannot be,
 * which is no error: FILE_DIRECT is a wish. */
static int
open_direct(int fd, bool writable)
{
  char path[64];

  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return open(path, (writable ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
}

/* What has no size, or is not at its start, or appends whatever the offset. */
static bool
is_stream(int fd, const struct stat *st)
{
  if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
    return true;
  return lseek(fd, 0, SEEK_CUR) != 0 || (fcntl(fd, F_GETFL) & O_APPEND);
}

int
local_file_new(int fd, bool owned, const char *name, unsigned file_flags,
               struct vdk_file **ret, struct vdk_error *err)
{
  _cleanup_free_ struct local_file *f = mem_array(1, sizeof *f);
  struct stat st;

  if (!f)
    return error_nomem(err, "opening a file");
  if (fstat(fd, &st) < 0)
    return error_errno(err, errno, "cannot look at %s", name);
  f->base.name = str_dup(name);
  if (!f->base.name)
    return error_nomem(err, "opening a file");
  f->base.ops = &local_ops;
  f->base.writable = file_flags & FILE_WRITE;
  f->base.is_pipe = is_stream(fd, &st);
  f->fd = fd;
  f->owned = owned;
  f->is_device = S_ISBLK(st.st_mode);
  f->alignment = DIRECT_ALIGNMENT;
  f->direct_fd = -1;
  if ((file_flags & FILE_DIRECT) && !f->base.is_pipe)
    f->direct_fd = open_direct(fd, f->base.writable);
  if ((file_flags & FILE_SEQUENTIAL) && !f->base.is_pipe)
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  *ret = &TAKE_PTR(f)->base;
  return 0;
}

int
local_open_flags(unsigned file_flags)
{
  /* O_NONBLOCK: opening a named pipe must not wait for its other end. It
   * means nothing to regular files. O_TRUNC is not used: what there is has
   * to be looked at before it is emptied. */
  int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

  flags |= file_flags & FILE_WRITE ? O_RDWR : O_RDONLY;
  if (file_flags & FILE_CREATE)
    flags |= O_CREAT | (file_flags & FILE_REPLACE ? 0 : O_EXCL);
  return flags;
}

int
local_check_kind(int fd, const char *name, unsigned dir_flags,
                 struct vdk_error *err)
{
  struct stat st;

  if (fstat(fd, &st) < 0)
    return error_errno(err, errno, "cannot look at %s", name);
  if (S_ISREG(st.st_mode))
    return 0;
  if (S_ISDIR(st.st_mode))
    return error_set(err, VDK_E_INVAL, "%s is a directory", name);
  if (S_ISBLK(st.st_mode) && (dir_flags & DIR_ALLOW_DEVICES))
    return 0;
  return error_set(err, VDK_E_UNSAFE_PATH, "refused %s: it is %s", name,
                   S_ISBLK(st.st_mode)
                       ? "a device, which must be allowed explicitly"
                       : "not a regular file");
}

int
file_local_open(const char *path, unsigned file_flags, struct vdk_file **ret,
                struct vdk_error *err)
{
  _cleanup_close_ int fd = -1;
  int r;

  if (file_flags & FILE_CREATE)
    file_flags |= FILE_WRITE;
  fd = open(path, local_open_flags(file_flags), 0666);
  if (fd < 0)
    return error_errno(err, errno, "cannot %s %s",
                       file_flags & FILE_CREATE ? "create" : "open", path);
  r = local_check_kind(fd, path, DIR_ALLOW_DEVICES, err);
  if (r < 0)
    return r;
  r = local_empty(fd, path, file_flags, err);
  if (r < 0)
    return r;
  r = local_file_new(fd, true, path, file_flags, ret, err);
  if (r == 0)
    TAKE_FD(fd);
  return r;
}

int
file_fd_open(int fd, const char *name, bool writable, struct vdk_file **ret,
             struct vdk_error *err)
{
  return local_file_new(fd, false, name, writable ? FILE_WRITE : FILE_READ, ret,
                        err);
}
