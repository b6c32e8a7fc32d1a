/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The error model: one caller-owned object, codes from one table.
 *
 * The text lives in a fixed buffer inside the object, because an error must
 * be reportable when there is no memory left; a text that does not fit is cut
 * at its end, where the least specific words stand.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct error_row {
  int code;
  int os_errno;
  unsigned vix;
  int exit_status;
  const char *name;
  const char *text;
};

static const struct error_row error_rows[] = {
#define X(name, number, err, vix, exit_status, text)                           \
  {number, err, vix, exit_status, #name, text},
    VDK_ERROR_TABLE(X)
#undef X
};

#define N_ROWS (sizeof error_rows / sizeof error_rows[0])

enum { EXIT_SOURCE_IO = 31, EXIT_TARGET_IO = 40 };

static const struct error_row *
find_row(int code)
{
  if (code < 0)
    code = -code;
  for (size_t i = 0; i < N_ROWS; i++)
    if (error_rows[i].code == code)
      return &error_rows[i];
  return NULL;
}

const char *
vdk_error_name(int code)
{
  const struct error_row *row = find_row(code);

  if (code == 0)
    return "OK";
  return row ? row->name : NULL;
}

const char *
vdk_error_code_text(int code)
{
  const struct error_row *row = find_row(code);

  if (code == 0)
    return "no error";
  return row ? row->text : NULL;
}

const char *
vdk_error_message(const struct vdk_error *err)
{
  const char *text;

  if (err->text[0])
    return err->text;
  text = vdk_error_code_text(err->code);
  return text ? text : "unknown error";
}

int
vdk_error_to_errno(int code)
{
  const struct error_row *row = find_row(code);

  return code == 0 ? 0 : row ? row->os_errno : EIO;
}

unsigned
vdk_error_to_vix(int code)
{
  const struct error_row *row = find_row(code);

  return code == 0 ? 0 : row ? row->vix : 1;
}

/* True for the codes that say that bytes could not be moved, for which the
 * side of the copy is the better exit status. */
static int
is_io_code(int code)
{
  switch (code) {
  case VDK_E_IO:
  case VDK_E_NO_SPACE:
  case VDK_E_TRUNCATED:
  case VDK_E_CORRUPT:
  case VDK_E_TOO_BIG:
    return 1;
  default:
    return 0;
  }
}

int
vdk_error_exit_status(const struct vdk_error *err)
{
  const struct error_row *row = find_row(err->code);

  if (err->code == 0)
    return 0;
  if (is_io_code(err->code)) {
    if (err->side == VDK_SIDE_SOURCE)
      return EXIT_SOURCE_IO;
    if (err->side == VDK_SIDE_TARGET)
      return EXIT_TARGET_IO;
  }
  return row ? row->exit_status : 1;
}

int
error_code_from_errno(int os_errno)
{
  switch (os_errno) {
  case ENOMEM:
    return VDK_E_NOMEM;
  case ENOENT:
  case ENOTDIR:
  case ENODEV:
  case ENXIO:
    return VDK_E_NOT_FOUND;
  case EEXIST:
    return VDK_E_EXISTS;
  case EACCES:
  case EPERM:
    return VDK_E_ACCESS;
  case EROFS:
    return VDK_E_READ_ONLY;
  case EBUSY:
  case EAGAIN:
  case ETXTBSY:
    return VDK_E_LOCKED;
  case ENOSPC:
  case EDQUOT:
    return VDK_E_NO_SPACE;
  case EFBIG:
  case EOVERFLOW:
    return VDK_E_TOO_BIG;
  case EINVAL:
  case ENAMETOOLONG:
  case EISDIR:
    return VDK_E_INVAL;
  case ENOTSUP:
  case ENOSYS:
    return VDK_E_UNSUPPORTED;
  case ELOOP:
  case EXDEV:
    return VDK_E_UNSAFE_PATH;
  case ECANCELED:
    return VDK_E_CANCELLED;
  case ETIMEDOUT:
    return VDK_E_TIMEOUT;
  default:
    return VDK_E_IO;
  }
}

static void
fill(struct vdk_error *err, int code, int os_errno, const char *fmt,
     va_list args)
{
  err->code = code < 0 ? -code : code;
  err->os_errno = os_errno;
  err->side = VDK_SIDE_NONE;
  vsnprintf(err->text, sizeof err->text, fmt, args);
}

int
error_set(struct vdk_error *err, int code, const char *fmt, ...)
{
  va_list args;

  if (err) {
    va_start(args, fmt);
    fill(err, code, 0, fmt, args);
    va_end(args);
  }
  return code < 0 ? code : -code;
}

int
error_errno(struct vdk_error *err, int os_errno, const char *fmt, ...)
{
  int code = error_code_from_errno(os_errno);
  va_list args;
  char reason[128];
  size_t used;

  if (!err)
    return -code;
  va_start(args, fmt);
  fill(err, code, os_errno, fmt, args);
  va_end(args);
  used = strlen(err->text);
  snprintf(err->text + used, sizeof err->text - used, ": %s",
           strerror_r(os_errno, reason, sizeof reason));
  return -code;
}

int
error_nomem(struct vdk_error *err, const char *what)
{
  return error_set(err, VDK_E_NOMEM, "out of memory while %s", what);
}

int
error_prefix(struct vdk_error *err, const char *fmt, ...)
{
  char text[VDK_ERROR_TEXT_SIZE];
  va_list args;
  size_t used;

  if (!err)
    return -VDK_E_INTERNAL;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  used = strlen(text);
  snprintf(text + used, sizeof text - used, ": %s", vdk_error_message(err));
  memcpy(err->text, text, sizeof text);
  return -err->code;
}

void
error_side(struct vdk_error *err, enum vdk_error_side side)
{
  if (err && err->side == VDK_SIDE_NONE)
    err->side = side;
}

int
error_copy(struct vdk_error *dst, const struct vdk_error *src)
{
  if (dst && src)
    *dst = *src;
  return src ? -src->code : 0;
}

void
error_clear(struct vdk_error *err)
{
  if (err) {
    err->code = err->os_errno = err->side = 0;
    err->text[0] = 0;
  }
}
