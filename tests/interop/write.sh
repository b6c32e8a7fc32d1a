#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What we write, others read byte for byte: every type, sizes that fill no
# grain, no table, no extent.
. "$TOP_SRCDIR/tests/interop/lib.sh"
requires qemu-img vmdkinfo
[ -n "$(libvmdk_python)" ] || skip "python3-libvmdk is not installed"

one_disk () {
  for type in $our_types; do
    disk=$1-$type.vmdk
    expect 0 "$VDKIT" convert "$1.raw" "$disk" --type "$type" "$2" "$3"
    expect 0 qemu-img info --output=json "$disk"
    equal "$(json 'd["virtual-size"]')" "$(stat -c %s "$1.raw")" "$disk"
    equal "$(json 'd["format-specific"]["data"]["create-type"]')" "$type"
    qemu_equal "$1.raw" "$disk"
    case $type in
    *Sparse) expect 0 qemu-img check -f vmdk "$disk" && has out 'No errors' ;;
    esac
    # libvmdk looks for the extent by the name in the descriptor, which for a
    # stream is that of the export, not of the file.
    [ "$type" = streamOptimized ] && continue
    expect 0 vmdkinfo "$disk"
    libvmdk_read "$disk" theirs.raw
    same "$1.raw" theirs.raw
  done
}

make_raw even.raw 24 1
one_disk even --adapter lsilogic
# An end in the middle of a grain, and beyond the last full grain table.
make_raw odd.raw 33 2
truncate -s $((33 * 1048576 + 512 * 37)) odd.raw
one_disk odd --adapter ide
# Split over several extents.
rm -f even-*.vmdk
one_disk even --extent-size 5M
# Nothing but zeroes, and nothing but data.
truncate -s 1M empty.raw
one_disk empty --adapter lsilogic
head -c 3145728 /dev/urandom >full.raw
one_disk full --adapter lsilogic
