/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errors of vdkit.
 *
 * A function that can fail returns 0, or the negated code of the failure
 * (-VDK_E_LOCKED), and fills the caller's struct vdk_error: what was being
 * done, to what, what went wrong, what to do about it. The object belongs to
 * the caller, is plain memory, needs no freeing, and may be NULL where the
 * return code is enough. Nothing is kept per thread, so that the text of an
 * asynchronous request survives its completion thread.
 */
#ifndef VDKIT_ERROR_H
#define VDKIT_ERROR_H

#include <vdkit/error_codes.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define VDK_API          __attribute__((visibility("default")))
#define VDK_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define VDK_API
#define VDK_PRINTF(f, a)
#endif

enum vdk_code {
  VDK_OK = 0,
#define X(name, number, err, vix, exit_status, text) VDK_E_##name = number,
  VDK_ERROR_TABLE(X)
#undef X
};

/* Which end of a copy failed; decides between exit status 31 and 40. */
enum vdk_error_side {
  VDK_SIDE_NONE = 0,
  VDK_SIDE_SOURCE,
  VDK_SIDE_TARGET,
};

#define VDK_ERROR_TEXT_SIZE 1000

struct vdk_error {
  int code;     /* enum vdk_code, 0 when nothing failed */
  int os_errno; /* the system's errno, 0 when it had no part in it */
  int side;     /* enum vdk_error_side */
  char text[VDK_ERROR_TEXT_SIZE];
};

#define VDK_ERROR_INIT                                                         \
  {                                                                            \
    0, 0, 0,                                                                   \
    {                                                                          \
      0                                                                        \
    }                                                                          \
  }

/* The message of ERR for people: its text, or the text of its code.
 * Never NULL; lives as long as ERR. */
VDK_API const char *vdk_error_message(const struct vdk_error *err);

/* The constant's name without its prefix ("LOCKED"), "OK" for 0, or NULL for
 * a number that is no code. CODE may be given negated. */
VDK_API const char *vdk_error_name(int code);

/* The general text of a code; NULL for a number that is no code. */
VDK_API const char *vdk_error_code_text(int code);

/* The errno and the VixError nearest to CODE (0 for 0). */
VDK_API int vdk_error_to_errno(int code);
VDK_API unsigned vdk_error_to_vix(int code);

/* The exit status that the command line gives for ERR (0 when code is 0). */
VDK_API int vdk_error_exit_status(const struct vdk_error *err);

#ifdef __cplusplus
}
#endif
#endif
