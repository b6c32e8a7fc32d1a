/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text for people and for JSON is UTF-8. What comes out of old configuration
 * files and file systems may be anything.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>

/* True for well-formed UTF-8 (RFC 3629: nothing overlong, no surrogates). */
bool utf8_valid(const char *text);

/* TEXT in UTF-8: as it is where it is that already, else taken for
 * windows-1252, the charset of most old .vmx files. New memory; NULL when
 * there is none. */
char *utf8_from(const char *text);

#endif
