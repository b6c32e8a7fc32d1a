#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Chains of links, made by both sides over each other's bases and written by
# both: everybody sees the same disk.
. "$TOP_SRCDIR/tests/interop/lib.sh"
requires qemu-img qemu-io

# same_chain DISK: we and qemu read the same from the chain that DISK ends.
same_chain () {
  rm -f theirs.raw
  qemu-img convert -f vmdk -O raw "$1" theirs.raw
  we_equal theirs.raw "$1"
}

make_raw base.raw 16 6

# 1. Our children over our base, written by qemu-io.
expect 0 "$VDKIT" convert base.raw ours.vmdk --type monolithicSparse
expect 0 "$VDKIT" create ours-1.vmdk --parent ours.vmdk
qemu_equal base.raw ours-1.vmdk
qemu_io ours-1.vmdk -c 'write -P 1 100k 3k' -c 'write -P 2 5M 200k'
same_chain ours-1.vmdk
expect 0 "$VDKIT" create ours-2.vmdk --parent ours-1.vmdk
qemu_io ours-2.vmdk -c 'write -P 3 101k 512' -c 'write -P 4 9M 1M'
same_chain ours-2.vmdk
cmp -s theirs.raw base.raw && fail "nothing was written"
# The base is as it was.
we_equal base.raw ours.vmdk

# 2. Our child over qemu's base.
qemu-img convert -f raw -O vmdk base.raw theirs.vmdk
expect 0 "$VDKIT" create over-theirs.vmdk --parent theirs.vmdk
qemu_io over-theirs.vmdk -c 'write -P 5 1M 70144' -c 'write -P 6 0 512'
same_chain over-theirs.vmdk

# 3. qemu's child over our base, and over our child.
qemu-img create -q -f vmdk -F vmdk -b ours.vmdk theirs-1.vmdk
qemu_io theirs-1.vmdk -c 'write -P 7 2M 64k' -c 'write -P 8 7000k 9k'
same_chain theirs-1.vmdk
qemu-img create -q -f vmdk -F vmdk -b ours-2.vmdk theirs-3.vmdk
qemu_io theirs-3.vmdk -c 'write -P 9 15M 1M'
same_chain theirs-3.vmdk
expect 0 "$VDKIT" info theirs-3.vmdk --json
equal "$(json 'len(d["links"])')" 4

# 4. A parent that was changed behind its child's back: both sides refuse.
cp ours.vmdk changed.vmdk
expect 0 "$VDKIT" create child.vmdk --parent changed.vmdk
qemu_io changed.vmdk -c 'write -P 1 0 512'
if qemu-img convert -f vmdk -O raw child.vmdk x.raw 2>/dev/null; then
  fail "qemu-img reads a child whose parent was changed"
fi
expect 1 "$VDKIT" convert child.vmdk y.raw
has err child.vmdk changed.vmdk
absent y.raw
