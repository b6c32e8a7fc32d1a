#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Things that are missing, forbidden, full or not what they should be: each is
# named, with the reason, and nothing half-made is left.
. "$TOP_SRCDIR/tests/functional/functions.sh"
requires python3

make_raw a.raw 8
before=$(ls)

# fails STATUS TEXT ARGUMENT...
fails () {
  _status=$1 _text=$2
  shift 2
  expect "$_status" "$VDKIT" "$@"
  has err "$_text"
  equal "$(grep -c '^vdkit: ' err)" "$(wc -l <err)" "lines that are messages"
  rm -f out err
  equal "$(ls)" "$before" "files"
}

# Missing.
fails 1 nothing.vmdk info nothing.vmdk
fails 1 nothing.vmdk map nothing.vmdk
fails 1 nothing.vmdk convert nothing.vmdk out.raw
fails 1 'nothing' convert a.raw nothing/out.vmdk
fails 1 'nothing' create nothing/out.vmdk --size 1M
fails 1 nothing.vmdk create child.vmdk --parent nothing.vmdk
fails 1 nothing vm list nothing
fails 1 nothing vm show nothing
fails 1 nothing.vmx vm show nothing.vmx
fails 1 nothing.vmx backup nothing.vmx --repo repo
fails 10 repo list --repo repo
fails 10 repo verify --repo repo
fails 10 repo restore --repo repo latest there

# A folder where a disk should be, an empty file, a file that is no VM.
mkdir folder
: >empty.vmdk
before=$(ls)
fails 2 folder info folder
fails 2 folder convert folder out.raw
fails 1 empty.vmdk info empty.vmdk
fails 1 folder vm show folder
fails 2 a.raw vm list a.raw
fails 1 folder backup folder --repo repo

# A folder with something in it is no place for a repository.
cp a.raw folder/a.raw
before=$(ls)
fails 10 folder list --repo folder
mkdir vm
printf 'config.version = "8"\nvirtualHW.version = "19"\n' >vm/vm.vmx
before=$(ls)
fails 10 folder backup vm --repo folder
equal "$(ls -A folder)" a.raw

# A descriptor that names what is outside, a device, or itself.
descriptor () {
  cat <<DESCRIPTOR
# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="monolithicFlat"
RW 2048 FLAT "$1" 0
DESCRIPTOR
}
mkdir in
descriptor ../a.raw >in/outside.vmdk
descriptor /etc/passwd >in/absolute.vmdk
descriptor /dev/zero >in/device.vmdk
descriptor self.vmdk >in/self.vmdk
before=$(ls)
for disk in outside absolute device; do
  fails 1 "in/$disk.vmdk" info in/$disk.vmdk
  fails 1 "in/$disk.vmdk" convert in/$disk.vmdk out.raw
done
expect 1 "$VDKIT" info in/self.vmdk
expect 0 "$VDKIT" info --allow-outside in/outside.vmdk
has out "1.0 MiB"
rm -f out err
before=$(ls)

# What an option could do about it is said, where the verb has that option.
expect 1 "$VDKIT" info in/outside.vmdk
has err --allow-outside
expect 1 "$VDKIT" convert a.raw folder/a.raw
has err --overwrite
expect 1 "$VDKIT" create folder/a.raw --size 1M
lacks err --overwrite
rm -f out err

# In use by another program: status 11, until one knows better.
if command -v qemu-io >/dev/null; then
  "$VDKIT" create used.vmdk --size 1M --quiet
  mkfifo hold
  qemu-io -f vmdk used.vmdk <hold >ready 2>&1 &
  exec 9>hold
  printf 'write 0 512\n' >&9
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    grep -q wrote ready || sleep 0.2
  done
  expect 11 "$VDKIT" info used.vmdk
  has err used.vmdk --no-lock
  expect 11 "$VDKIT" convert a.raw used.vmdk --overwrite
  lacks err --no-lock
  expect 0 "$VDKIT" info used.vmdk --no-lock
  exec 9>&-
  wait
  expect 0 "$VDKIT" info used.vmdk
  rm -f used.vmdk hold ready out err
fi

# More files than the usual limit of descriptors.
expect 0 "$VDKIT" create many.vmdk --size 300M --extent-size 1M \
  --type twoGbMaxExtentSparse
expect 0 sh -c 'ulimit -Sn 64; exec "$@"' sh "$VDKIT" info many.vmdk
rm -f many*.vmdk out err

# A missing extent is named.
descriptor gone-flat.vmdk >in/gone.vmdk
fails 1 gone-flat.vmdk info in/gone.vmdk

# No permission.
if [ "$(id -u)" != 0 ]; then
  mkdir closed
  cp a.raw secret.raw
  chmod 0 secret.raw closed
  before=$(ls)
  fails 1 secret.raw info secret.raw
  fails 1 closed convert a.raw closed/out.raw
  fails 1 closed create closed/out.vmdk --size 1M
  chmod 700 closed
fi

# A file that may not grow further: the error of the write, not a signal.
python3 -c 'import os; open("rnd.raw", "wb").write(os.urandom(3 << 20))'
before=$(ls)
for type in raw monolithicSparse streamOptimized; do
  status=0
  sh -c 'ulimit -f 1000; exec "$@"' sh "$VDKIT" convert rnd.raw out.img \
    --type $type 2>err || status=$?
  equal $status 40 "convert to $type beyond the limit of files"
  rm err
  equal "$(ls)" "$before" "files after a failed convert to $type"
done

# Full: a small file system, which only root can make.
if [ "$(id -u)" = 0 ] && mkdir small &&
  mount -t tmpfs -o size=2m none small 2>/dev/null; then
  at_exit "umount '$tmp/small'"
  before=$(ls)
  for type in raw monolithicSparse streamOptimized; do
    fails 40 "No space left" convert rnd.raw small/out.img --type $type
    equal "$(ls -A small)" "" "files on the full disk"
  done
  status=0
  "$VDKIT" convert rnd.raw - >small/out 2>err || status=$?
  equal $status 40 "convert to a full pipe"
  has err "No space left"
fi
