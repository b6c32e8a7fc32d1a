/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one table of errors.
 *
 *   X (name, number, errno, vix, exit status, text)
 *
 * name    the constant is VDK_E_<name>
 * number  permanent: a number is never given to another meaning
 * errno   the nearest system error, for callers that speak errno
 * vix     the nearest VixError, for libvixDiskLib
 * exit    the exit status of the command line; a failed read of a source or
 *         write of a target becomes 31 or 40 instead (see vdk_error.side)
 * text    what a person reads when there is no better message
 *
 * Every mapping of vdkit is made from this file, and a test proves that each
 * is complete. Exit statuses are those of docs/guide/exit-status.md.
 */
/* clang-format off */
#define VDK_ERROR_TABLE(X) \
  X(NOMEM,         1, ENOMEM,       2,  1, "out of memory") \
  X(INVAL,         2, EINVAL,       3,  2, "invalid argument") \
  X(CANCELLED,     3, ECANCELED,   10, 130, "cancelled") \
  X(INTERNAL,      4, EIO,          1,  1, "internal error of vdkit") \
  X(UNSUPPORTED,   5, ENOTSUP,      6,  1, "not supported") \
  X(NOT_FOUND,     6, ENOENT,       4,  1, "not found") \
  X(EXISTS,        7, EEXIST,      12,  1, "already exists") \
  X(ACCESS,        8, EACCES,      13,  1, "permission denied") \
  X(READ_ONLY,     9, EROFS,       11,  1, "read-only") \
  X(LOCKED,       10, EBUSY,       15, 11, "in use by another program") \
  X(IO,           11, EIO,          7,  1, "input/output error") \
  X(NO_SPACE,     12, ENOSPC,       8, 40, "no space left") \
  X(TOO_BIG,      13, EFBIG,       21,  1, "too large") \
  X(RANGE,        14, ERANGE,   16007,  1, "beyond the end of the disk") \
  X(TIMEOUT,      15, ETIMEDOUT, 14010, 30, "timed out") \
  X(UNSAFE_PATH,  16, EPERM,       22,  1, "unsafe path refused") \
  X(NOT_A_DISK,   20, EINVAL,   16063,  1, "not a virtual disk") \
  X(CORRUPT,      21, EUCLEAN,  16006,  1, "damaged") \
  X(TRUNCATED,    22, EUCLEAN,  14005,  1, "truncated") \
  X(VERSION,      23, ENOTSUP,  16011,  1, "made by a newer version") \
  X(ENCRYPTED,    24, ENOKEY,      30,  1, "encrypted") \
  X(CID_MISMATCH, 25, ESTALE,   16008,  1, \
    "the parent disk was changed after the child was made") \
  X(PARENT,       26, ENOENT,   16012,  1, "the parent cannot be opened") \
  X(CHAIN,        27, ELOOP,    16003,  1, "broken disk chain") \
  X(HAS_CHILDREN, 28, EBUSY,       11,  1, "the disk has children") \
  X(NO_KEY,       29, ENODATA,  16052,  1, "no such metadata key") \
  X(NOT_A_REPO,   40, ENOENT,       4, 10, "not a repository") \
  X(WRONG_KEY,    41, EKEYREJECTED, 35, 12, "wrong key") \
  X(DAMAGED,      42, EUCLEAN,   16006, 20, "the repository is damaged") \
  X(NO_POINT,     43, ENOENT,      25,  1, "no such restore point") \
  X(LOST_RANGES,  44, ESTALE,       1,  4, "changed ranges are not known") \
  X(NET,          60, ECONNABORTED, 14010, 30, "network error") \
  X(AUTH,         61, EACCES,    3014, 30, "authentication failed")
/* clang-format on */
