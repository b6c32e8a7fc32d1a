/* SPDX-License-Identifier: BSD-3-Clause */
/* What the machine gives: time, random bytes, processors. */
#ifndef BASE_SYS_H
#define BASE_SYS_H

#include <stddef.h>
#include <stdint.h>

#include <vdkit/error.h>

/* Nanoseconds of a clock that never steps; for durations and deadlines. */
uint64_t sys_monotonic_ns(void);

/* Random bytes that nobody can foretell. */
int sys_random(void *buf, size_t len, struct vdk_error *err);

/* Processors that this process may use, at least 1. */
unsigned sys_cpu_count(void);

#endif
