# SPDX-License-Identifier: BSD-3-Clause
#
# What the interop tests share beside functions.sh.

. "$TOP_SRCDIR/tests/functional/functions.sh"

# The types that vdkit writes, and those that qemu-img does.
our_types='monolithicSparse monolithicFlat twoGbMaxExtentSparse
  twoGbMaxExtentFlat streamOptimized'
qemu_types=$our_types

# qemu_equal RAW DISK: qemu-img sees in our DISK just what RAW holds.
qemu_equal () {
  expect 0 qemu-img compare -f raw -F vmdk "$1" "$2"
}

# we_equal RAW DISK: what vdkit reads from DISK is just what RAW holds.
we_equal () {
  rm -f ours.raw
  expect 0 "$VDKIT" convert "$2" ours.raw --type raw
  same "$1" ours.raw
}

# qemu_io DISK COMMAND...: one qemu-io over DISK; it must say no word of error.
qemu_io () {
  _disk=$1
  shift
  set -- "$@" -c 'flush'
  expect 0 qemu-io -f vmdk "$@" "$_disk"
  lacks out 'failed' 'error'
}

# The Python that has Debian's pyvmdk, which a Python of the user's has not.
libvmdk_python () {
  for _p in /usr/bin/python3 python3; do
    if "$_p" -c 'import pyvmdk' 2>/dev/null; then
      echo "$_p"
      return
    fi
  done
}

# libvmdk_read DISK FILE: the whole guest disk as libvmdk reads it.
libvmdk_read () {
  "$(libvmdk_python)" - "$1" "$2" <<'PYTHON'
import sys
import pyvmdk
disk = pyvmdk.handle()
disk.open(sys.argv[1])
disk.open_extent_data_files()
with open(sys.argv[2], "wb") as f:
    left = disk.get_media_size()
    while left:
        data = disk.read(min(left, 1 << 20))
        if not data:
            sys.exit("libvmdk: short read, %d bytes are left" % left)
        f.write(data)
        left -= len(data)
PYTHON
}
