#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# streamOptimized through pipes, in both directions, at every level, against
# qemu-img's reader and writer.
. "$TOP_SRCDIR/tests/interop/lib.sh"
requires qemu-img

make_raw a.raw 20 8
for how in --fast --level=1 --level=6 --level=9; do
  "$VDKIT" convert -q a.raw - --type streamOptimized "$how" >pipe.vmdk
  qemu_equal a.raw pipe.vmdk
  # Our reader, from a pipe and from the file, in order and at random.
  "$VDKIT" convert -q - pipe.raw --type raw <pipe.vmdk
  same a.raw pipe.raw
  rm pipe.raw
  we_equal a.raw pipe.vmdk
  "$VDKIT" convert -q pipe.vmdk - --type raw | cmp - a.raw ||
    fail "raw to a pipe differs"
done

# Standard input that cannot seek, stream and raw, into any type.
for source in pipe.vmdk a.raw; do
  for target in sparse.vmdk flat.raw; do
    # shellcheck disable=SC2002
    cat $source | "$VDKIT" convert -q -f - $target
    expect 0 "$VDKIT" compare a.raw $target
  done
  qemu_equal a.raw sparse.vmdk
  same a.raw flat.raw
done

qemu-img convert -f raw -O vmdk -o subformat=streamOptimized a.raw qemu.vmdk
# shellcheck disable=SC2002
cat qemu.vmdk | "$VDKIT" convert -q - from-qemu.raw --type raw
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
