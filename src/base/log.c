/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void
log_message(const struct vdk_log *log, enum vdk_log_level level,
            const char *fmt, ...)
{
  char text[VDK_ERROR_TEXT_SIZE];
  va_list args;

  if (!log || !log->fn)
    return;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  log->fn(log->opaque, level, text);
}
