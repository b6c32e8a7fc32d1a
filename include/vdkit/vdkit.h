/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vdkit: virtual disks and their backups. This is the whole native API.
 *
 *   vdkit/error.h   what went wrong, and its codes
 *   vdkit/types.h   extents, progress, log
 *   vdkit/disk.h    one open disk: read, write, seek, extents, asynchronous
 *   vdkit/ops.h     whole disks: create, convert, compare
 *   vdkit/vm.h      virtual machines in a folder
 *   vdkit/vmbk.h    backup repositories: back up, list, verify, restore; and
 *                   the writer and reader for backup programs of one's own
 *
 * Rules that hold everywhere
 *
 * Errors. A function that can fail returns 0, or the negated code of its
 * failure (-VDK_E_LOCKED), and then fills ERR (the last parameter; may be
 * NULL). Any function can fail with VDK_E_NOMEM, and with VDK_E_INVAL when a
 * pointer that it needs is NULL; only other codes are listed at a function.
 *
 * Results go to ret_* parameters: set on success, untouched on failure.
 *
 * Option structs start with "size_t size" and have an _INIT; start from it and
 * set what you need. Fields are only ever appended, a field of 0 or NULL is
 * its default, and a program compiled against an older header goes on working
 * with a newer library. A program compiled against a newer header than the
 * library is told so with VDK_E_UNSUPPORTED if it sets what the library does
 * not know. Where an options pointer may be NULL, that means all defaults.
 * Structs that a function fills work the same way: start from the _INIT.
 *
 * Text is UTF-8; paths are bytes as the system has them. Text that the caller
 * gives is copied when it is needed for longer than the call.
 *
 * Memory that the library gives is freed with the function named there, or
 * with vdk_free(). Every free and close takes NULL.
 *
 * Threads. There is no global state and nothing to initialise. What may be
 * shared between threads is said at each type; different objects never
 * disturb each other. Callbacks run with none of vdkit's locks held. After a
 * fork() the child may only exec: the threads of the library are not in it.
 */
#ifndef VDKIT_VDKIT_H
#define VDKIT_VDKIT_H

#include <vdkit/error.h>
#include <vdkit/types.h>
#include <vdkit/disk.h>
#include <vdkit/ops.h>
#include <vdkit/vm.h>
#include <vdkit/vmbk.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that runs: "0.1.0". A constant. Never fails. */
VDK_API const char *vdk_version(void);

#ifdef __cplusplus
}
#endif
#endif
