#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# `make stage` gives a tree that runs wherever it is moved, and that programs
# are built against; `make install` puts the same under DESTDIR and PREFIX.
. "$TOP_SRCDIR/tests/functional/functions.sh"
requires make meson ninja cc pkg-config

unset MAKEFLAGS MAKELEVEL CFLAGS LDFLAGS LD_LIBRARY_PATH || :
expect 0 make -C "$TOP_SRCDIR" stage BUILD="$tmp/build"
mv build/stage 'moved here'
here="$tmp/moved here"

runs () {
  expect 0 "$1/bin/vdkit" --version
  expect 0 "$1/bin/vdkit" create "$tmp/a.vmdk" --size 1M
  rm a.vmdk
}
runs "$here"
# Its own library, not one that happens to be installed.
ldd "$here/bin/vdkit" >ldd
has ldd "$here"
for file in include/vdkit/vdkit.h share/man/man1/vdkit.1 \
  share/bash-completion/completions/vdkit; do
  [ -s "$here/$file" ] || [ -s "$here/$file.gz" ] || fail "no $file"
done

# A program of a user's, compiled against the moved tree.
cat >user.c <<'C'
#include <stdio.h>
#include <vdkit/vdkit.h>
int main(void) { puts(vdk_version()); return 0; }
C
PKG_CONFIG_PATH="$here/lib/pkgconfig"
export PKG_CONFIG_PATH
version=$(pkg-config --modversion vdkit)
cc user.c -o user -I"$here/include" -L"$here/lib" -lvdkit
equal "$(LD_LIBRARY_PATH="$here/lib" ./user)" "$version"

expect 0 make -C "$TOP_SRCDIR" install BUILD="$tmp/build" \
  DESTDIR="$tmp/system" PREFIX=/opt/vdkit
runs "$tmp/system/opt/vdkit"
