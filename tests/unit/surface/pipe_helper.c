/* SPDX-License-Identifier: BSD-3-Clause */
/* convert SOURCE TARGET [TYPE]: a program of its own, because the pipes of a
 * conversion are its standard input and output. */
#include <stdio.h>

#include <vdkit/vdkit.h>

int
main(int argc, char **argv)
{
  struct vdk_convert_options o = VDK_CONVERT_OPTIONS_INIT;
  struct vdk_error err = VDK_ERROR_INIT;

  if (argc < 3)
    return 2;
  o.type = argc > 3 ? argv[3] : NULL;
  if (vdk_convert(argv[1], argv[2], &o, NULL, &err) < 0) {
    fprintf(stderr, "%s\n", vdk_error_message(&err));
    return 1;
  }
  return 0;
}
