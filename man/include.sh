#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# include.sh POD2MAN INPUT OUTPUT NAME SECTION VERSION: one manual page. A
# line "=include FILE" in the source stands for a file beside it, so that what
# verbs share is written once.
set -eu
folder=$(dirname "$2")
awk -v folder="$folder" '
  /^=include / {
    file = folder "/" $2
    while ((got = (getline line < file)) > 0) print line
    if (got < 0) { print "cannot read " file > "/dev/stderr"; exit 1 }
    close(file)
    next
  }
  { print }' "$2" >"$3.pod"
# The date is that of the source, so that builds can be repeated.
date=$(date -u -d "@${SOURCE_DATE_EPOCH:-1795305600}" +%Y-%m-%d)
"$1" --utf8 --errors=die --name="$4" --section="$5" --date="$date" \
  --release="vdkit $6" --center="vdkit" "$3.pod" "$3"
rm "$3.pod"
