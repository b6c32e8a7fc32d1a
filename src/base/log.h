/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages to the caller's callback. LOG may be NULL: then nothing happens. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <vdkit/types.h>

void log_message(const struct vdk_log *log, enum vdk_log_level level,
                 const char *fmt, ...) VDK_PRINTF(3, 4);

#define log_warning(log, ...) log_message(log, VDK_LOG_WARNING, __VA_ARGS__)
#define log_info(log, ...)    log_message(log, VDK_LOG_INFO, __VA_ARGS__)
#define log_debug(log, ...)   log_message(log, VDK_LOG_DEBUG, __VA_ARGS__)

#endif
