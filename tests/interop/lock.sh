#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A disk that QEMU has open for writing is not ours to write, nor to read as
# if it stood still; and the other way round.
. "$TOP_SRCDIR/tests/interop/lib.sh"
requires qemu-img qemu-io

expect 0 "$VDKIT" create a.vmdk --size 8M --type monolithicSparse
mkfifo commands
qemu-io -f vmdk a.vmdk <commands >qemu.out 2>&1 &
qemu=$!
at_exit "kill $qemu 2>/dev/null; wait $qemu 2>/dev/null"
exec 3>commands
echo 'write -P 1 0 64k' >&3
i=0
while ! grep -q 'wrote 65536' qemu.out; do
  i=$((i + 1))
  [ $i -lt 100 ] || fail "qemu-io does not write"
  sleep 0.1
done
expect 11 "$VDKIT" convert a.vmdk b.raw
has err a.vmdk
absent b.raw
exec 3>&-
wait "$qemu" || fail "qemu-io ended with $?"
expect 0 "$VDKIT" convert a.vmdk b.raw
