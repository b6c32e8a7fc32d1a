/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The drivers that the suite for struct vdk_file and struct vdk_dir runs over.
 * A new driver adds its line to the table in file_drivers.c.
 */
#ifndef TESTS_CONFORMANCE_FILE_DRIVERS_H
#define TESTS_CONFORMANCE_FILE_DRIVERS_H

#include "file/file.h"

struct file_driver {
  const char *name;
  /* A fresh, empty directory; TMP is a local one for who needs it. */
  int (*new_dir)(const char *tmp, struct vdk_dir **ret, struct vdk_error *err);
  bool has_holes; /* zeroed and never written ranges are seen as ZERO */
};

extern const struct file_driver file_drivers[];
extern const unsigned file_driver_count;

#endif
