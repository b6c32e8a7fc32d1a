#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The demo, small: on the VM that it makes, then on that VM as if it were a
# user's, which must stay as it is.
. "$TOP_SRCDIR/tests/functional/functions.sh"
requires mke2fs e2fsck debugfs sfdisk qemu-img python3
requires_space 1500

export VDKIT GUEST_WRITE
demo () { sh "$TOP_SRCDIR/demo/demo.sh" --size 268435456 --data 30000000 "$@"; }

expect 0 demo --dir own
has out 'Images are identical.' 'only the ranges that changed were read' \
  'full backup' 'incremental'
equal "$(grep -c 'Images are identical' out)" 2
# An incremental reads what was written, not the disk.
[ "$(json 'd["read"]' own/backup-2.json)" -lt 30000000 ] ||
  fail "the incremental read too much"

# Again over the first one: its folder is known and emptied.
mv own/vm user
mkdir other && echo mine >other/file
expect 1 demo --dir other
has err 'is not a folder of this demo'
has other/file mine

(cd user && sha256sum -- *) >before
expect 0 demo --dir own --vm user/demo.vmx
has out 'debugfs: the new files are in it' 'only the ranges that changed'
equal "$(grep -c 'Images are identical' out)" 2
(cd user && sha256sum -- *) >after
same before after
