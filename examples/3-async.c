/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Example 3: read a disk with many requests in flight, and only what it holds.
 *
 *   3-async DISK TARGET
 *
 * TARGET becomes a raw image with holes where the disk has none of its own
 * data. The extents say what to read; a fixed number of slots, each with a
 * buffer, bounds the memory. A slot goes
 *
 *   free -> reading (vdk_read_async) -> written to TARGET in the callback
 *        -> free
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdkit/vdkit.h>

#define SLOTS 16
#define PIECE (1024u * 1024)

struct copy;

struct slot {
  struct copy *copy;
  struct slot *next; /* in the list of free slots */
  uint64_t offset;
  unsigned char *buf;
};

struct copy {
  struct vdk_handle *disk;
  int out;
  struct slot slots[SLOTS];

  pthread_mutex_t lock; /* of what follows */
  pthread_cond_t freed;
  struct slot *free_slots;
  struct vdk_error err; /* the first failure */
};

static void
fail(struct copy *c, const struct vdk_error *err)
{
  pthread_mutex_lock(&c->lock);
  if (c->err.code == 0)
    c->err = *err;
  pthread_mutex_unlock(&c->lock);
}

static void
fail_errno(struct copy *c, const char *what)
{
  struct vdk_error err = VDK_ERROR_INIT;

  err.code = VDK_E_IO;
  err.os_errno = errno;
  snprintf(err.text, sizeof err.text, "%s: %s", what, strerror(errno));
  fail(c, &err);
}

static struct slot *
take_slot(struct copy *c)
{
  struct slot *s;

  pthread_mutex_lock(&c->lock);
  while (!c->free_slots)
    pthread_cond_wait(&c->freed, &c->lock);
  s = c->free_slots;
  c->free_slots = s->next;
  pthread_mutex_unlock(&c->lock);
  return s;
}

static void
give_slot(struct slot *s)
{
  struct copy *c = s->copy;

  pthread_mutex_lock(&c->lock);
  s->next = c->free_slots;
  c->free_slots = s;
  pthread_cond_signal(&c->freed);
  pthread_mutex_unlock(&c->lock);
}

/* Called from any thread, once for each request. */
static void
piece_read(void *opaque, int result, size_t done, const struct vdk_error *err)
{
  struct slot *s = opaque;

  if (result < 0)
    fail(s->copy, err);
  else if (pwrite(s->copy->out, s->buf, done, (off_t)s->offset) !=
           (ssize_t)done)
    fail_errno(s->copy, "writing the target");
  give_slot(s);
}

/* Called for each extent of the disk, neighbours already merged. */
static int
read_extent(void *opaque, const struct vdk_extent *e)
{
  struct copy *c = opaque;
  uint64_t offset = e->offset, end = e->offset + e->length;

  if (e->state != VDK_EXTENT_DATA)
    return 0; /* a hole in the target too */
  while (offset < end) {
    struct vdk_error err = VDK_ERROR_INIT;
    size_t len = end - offset < PIECE ? (size_t)(end - offset) : PIECE;
    struct slot *s = take_slot(c);

    s->offset = offset;
    if (vdk_read_async(c->disk, offset, s->buf, len, piece_read, s, &err) < 0) {
      fail(c, &err);
      give_slot(s);
      return -1;
    }
    offset += len;
  }
  return 0;
}

static int
copy_disk(struct copy *c)
{
  struct vdk_error err = VDK_ERROR_INIT;

  if (ftruncate(c->out, (off_t)vdk_capacity(c->disk)) < 0)
    fail_errno(c, "sizing the target");
  else if (vdk_extents(c->disk, 0, VDK_TO_END, 0, read_extent, c, &err) < 0 &&
           err.code != 0)
    fail(c, &err);
  vdk_wait(c->disk, NULL); /* after it no callback runs any more */
  return c->err.code ? -1 : 0;
}

static int
make_slots(struct copy *c)
{
  for (int i = 0; i < SLOTS; i++) {
    struct slot *s = &c->slots[i];

    s->copy = c;
    s->buf = malloc(PIECE);
    if (!s->buf)
      return -1;
    s->next = c->free_slots;
    c->free_slots = s;
  }
  return 0;
}

int
main(int argc, char **argv)
{
  static struct copy c = {.lock = PTHREAD_MUTEX_INITIALIZER,
                          .freed = PTHREAD_COND_INITIALIZER};
  int rc;

  if (argc != 3) {
    fprintf(stderr, "usage: %s DISK TARGET\n", argv[0]);
    return 2;
  }
  if (make_slots(&c) < 0) {
    fprintf(stderr, "out of memory\n");
    return 1;
  }
  if (vdk_open(argv[1], NULL, &c.disk, &c.err) < 0) {
    fprintf(stderr, "%s\n", vdk_error_message(&c.err));
    return 1;
  }
  c.out = open(argv[2], O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (c.out < 0) {
    perror(argv[2]);
    rc = -1;
  } else {
    rc = copy_disk(&c);
    if (rc < 0)
      fprintf(stderr, "%s\n", vdk_error_message(&c.err));
    if (close(c.out) < 0)
      rc = -1;
  }
  vdk_close(c.disk, NULL);
  for (int i = 0; i < SLOTS; i++)
    free(c.slots[i].buf);
  return rc < 0 ? 1 : 0;
}
