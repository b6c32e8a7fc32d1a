/* SPDX-License-Identifier: BSD-3-Clause */
/* What the formats share among themselves; users of formats need format.h. */
#ifndef FORMAT_DRIVERS_H
#define FORMAT_DRIVERS_H

#include "format/format.h"

extern const struct format format_raw;
extern const struct format format_vmdk;

/* Bytes of F that hold data: its size where holes cannot be seen. Looks at no
 * more than a bounded number of holes and counts the rest as data. */
uint64_t format_allocated(struct vdk_file *f);

/* The lock that fits how a link is opened; none with FORMAT_NO_LOCK. */
int format_lock(struct vdk_file *f, unsigned open_flags, struct vdk_error *err);

/* The flags with which the files of a link are opened. */
unsigned format_file_flags(unsigned open_flags);

#endif
