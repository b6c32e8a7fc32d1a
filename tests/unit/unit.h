/* SPDX-License-Identifier: BSD-3-Clause */
/* What every cmocka test starts with. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include <vdkit/types.h>

/* The call succeeds; else its error's text is the failure. */
#define assert_ok(call)                                                        \
  do {                                                                         \
    if ((call) != 0)                                                           \
      fail_msg("%s: %s", #call, vdk_error_message(&err));                      \
  } while (0)

/* The call fails with this code, its result and its error agree, and the
 * error has a text. */
#define assert_fails(call, want)                                               \
  do {                                                                         \
    int _r = (call);                                                           \
    if (_r == 0)                                                               \
      fail_msg("%s: succeeded", #call);                                        \
    if (_r != -(want) || err.code != (want))                                   \
      fail_msg("%s: %d, code %d: %s", #call, _r, err.code,                     \
               vdk_error_message(&err));                                       \
    assert_true(err.text[0] != 0);                                             \
  } while (0)

#endif
