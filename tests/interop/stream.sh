#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# streamOptimized through pipes, in both directions, at every level, against
# qemu-img's reader and writer.
. "$TOP_SRCDIR/tests/interop/lib.sh"
requires qemu-img

make_raw a.raw 20 8
for how in --fast --level=1 --level=6 --level=9; do
  "$VDKIT" convert a.raw - --type streamOptimized "$how" >pipe.vmdk
  qemu_equal a.raw pipe.vmdk
  # Our reader, from a pipe and from the file, in order and at random.
  "$VDKIT" convert - pipe.raw --type raw <pipe.vmdk
  same a.raw pipe.raw
  rm pipe.raw
  we_equal a.raw pipe.vmdk
  "$VDKIT" convert pipe.vmdk - --type raw | cmp - a.raw ||
    fail "raw to a pipe differs"
done

# Standard input that cannot seek, and raw in: both recognised.
# shellcheck disable=SC2002
cat a.raw | "$VDKIT" convert - from-pipe.vmdk --type monolithicSparse
qemu_equal a.raw from-pipe.vmdk

qemu-img convert -f raw -O vmdk -o subformat=streamOptimized a.raw qemu.vmdk
# shellcheck disable=SC2002
cat qemu.vmdk | "$VDKIT" convert - from-qemu.raw --type raw
same a.raw from-qemu.raw

# Cut anywhere, a stream is an error on both ways in, never a short disk.
size=$(stat -c %s pipe.vmdk)
for cut in 300 70000 $((size / 2)) $((size - 512)); do
  head -c "$cut" pipe.vmdk >cut.vmdk
  status=0
  "$VDKIT" convert - cut.raw --type raw <cut.vmdk 2>err || status=$?
  [ $status -ne 0 ] || fail "cut at $cut and taken for whole"
  absent cut.raw
done
