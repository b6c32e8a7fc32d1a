/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asynchronous requests: one allocation each, given to the disk as it is.
 *
 * The handle counts what is under way until the callback has returned, which
 * is later than the disk's own count: after vdk_wait() the caller may free
 * what its callbacks use.
 *
 * A request of no bytes takes the way of all others through the callback; it
 * only skips the disk.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "surface/vdkit/surface.h"

struct async {
  struct vdk_request req;
  struct vdk_handle *handle;
  size_t done; /* what the callback is told on success */
  vdk_done_fn fn;
  void *opaque;
};

static void
count(struct vdk_handle *h, int by)
{
  LOCK_SCOPE(&h->async_lock);
  h->under_way += by;
  if (h->under_way == 0)
    pthread_cond_broadcast(&h->async_idle);
}

static void
async_done(struct vdk_request *req, int result)
{
  struct async *a = req->opaque;
  struct vdk_handle *h = a->handle;

  a->fn(a->opaque, result, result < 0 ? 0 : a->done, &req->err);
  free(a);
  count(h, -1);
}

static bool
nothing_to_do(const struct vdk_handle *h, const struct vdk_request *req)
{
  return req->type == REQUEST_FLUSH ? !h->writable : req->length == 0;
}

static int
async_submit(struct vdk_handle *h, const struct vdk_request *what, size_t done,
             vdk_done_fn fn, void *opaque, struct vdk_error *err)
{
  struct async *a;
  int rc;

  if (!fn)
    return options_null("the callback", err);
  a = calloc(1, sizeof *a);
  if (!a)
    return error_nomem(err, "making an asynchronous request");
  a->req = *what;
  a->req.done = async_done;
  a->req.opaque = a;
  a->handle = h;
  a->done = done;
  a->fn = fn;
  a->opaque = opaque;

  count(h, 1);
  if (nothing_to_do(h, what)) {
    async_done(&a->req, 0);
    return 0;
  }
  rc = disk_submit(h->disk, &a->req, err);
  if (rc < 0) {
    free(a);
    count(h, -1);
  }
  return rc;
}

int
vdk_read_async(struct vdk_handle *h, uint64_t offset, void *buf, size_t len,
               vdk_done_fn done_fn, void *opaque, struct vdk_error *err)
{
  struct vdk_request req = {.type = REQUEST_READ, .offset = offset, .buf = buf};
  size_t done = 0;
  int rc;

  rc = io_check_read(h, offset, buf, len, &done, err);
  if (rc < 0)
    return rc;
  req.length = done;
  return async_submit(h, &req, done, done_fn, opaque, err);
}

int
vdk_write_async(struct vdk_handle *h, uint64_t offset, const void *buf,
                size_t len, vdk_done_fn done_fn, void *opaque,
                struct vdk_error *err)
{
  struct vdk_request req = {
      .type = REQUEST_WRITE,
      .offset = offset,
      .length = len,
      .buf = (void *)buf,
  };
  int rc;

  rc = io_check_write(h, offset, len, buf, err);
  if (rc < 0)
    return rc;
  return async_submit(h, &req, len, done_fn, opaque, err);
}

int
vdk_zero_async(struct vdk_handle *h, uint64_t offset, uint64_t length,
               vdk_done_fn done_fn, void *opaque, struct vdk_error *err)
{
  struct vdk_request req = {
      .type = REQUEST_ZERO, .offset = offset, .length = length};
  int rc;

  rc = io_check_write(h, offset, length, "", err);
  if (rc < 0)
    return rc;
  return async_submit(h, &req, 0, done_fn, opaque, err);
}

int
vdk_flush_async(struct vdk_handle *h, vdk_done_fn done_fn, void *opaque,
                struct vdk_error *err)
{
  struct vdk_request req = {.type = REQUEST_FLUSH};

  if (!h)
    return options_null("the handle", err);
  return async_submit(h, &req, 0, done_fn, opaque, err);
}

int
vdk_wait(struct vdk_handle *h, struct vdk_error *err)
{
  if (!h)
    return options_null("the handle", err);
  LOCK_SCOPE(&h->async_lock);
  while (h->under_way > 0)
    pthread_cond_wait(&h->async_idle, &h->async_lock);
  return 0;
}
