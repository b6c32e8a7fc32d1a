/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filling a struct vdk_error (include/vdkit/error.h).
 *
 * Every function here returns the negated code, so that a failure is one
 * line:  return error_set(err, VDK_E_CORRUPT, "...");
 * ERR may be NULL everywhere. The text starts lower-case, has no final full
 * stop, names the object, and tells the remedy where there is one.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <vdkit/error.h>

/* A failure with a code of ours. */
int error_set(struct vdk_error *err, int code, const char *fmt, ...)
    VDK_PRINTF(3, 4);

/* A failure of a system call: the code is made from OS_ERRNO, and ": " and
 * the system's text are appended. */
int error_errno(struct vdk_error *err, int os_errno, const char *fmt, ...)
    VDK_PRINTF(3, 4);

/* Out of memory while WHAT ("reading the grain directory"). */
int error_nomem(struct vdk_error *err, const char *what);

/* Puts "CONTEXT: " before the text that is there. Returns -err->code. */
int error_prefix(struct vdk_error *err, const char *fmt, ...) VDK_PRINTF(2, 3);

/* Marks which end of a copy the failure is of, if not yet marked. */
void error_side(struct vdk_error *err, enum vdk_error_side side);

/* The code that fits a system errno; VDK_E_IO where none does. */
int error_code_from_errno(int os_errno);

/* DST becomes SRC; either may be NULL. Returns -src->code. */
int error_copy(struct vdk_error *dst, const struct vdk_error *src);

void error_clear(struct vdk_error *err);

#endif
