#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What others write, we read byte for byte; and our map agrees with theirs.
. "$TOP_SRCDIR/tests/interop/lib.sh"
requires qemu-img qemu-io

# data_of MAP-JSON KEY: "start length" of the data of a map, neighbours merged.
data_of () {
  python3 - "$1" <<'PYTHON'
import json, sys
d = json.load(open(sys.argv[1]))
runs = []
for e in d["extents"] if isinstance(d, dict) else d:
    if isinstance(d, dict):
        start, length, data = e["offset"], e["length"], e["state"] == "data"
    else:
        start, length, data = e["start"], e["length"], e["data"]
    if not data:
        continue
    if runs and runs[-1][0] + runs[-1][1] == start:
        runs[-1][1] += length
    else:
        runs.append([start, length])
for run in runs:
    print(*run)
PYTHON
}

one_disk () {
  for type in $qemu_types; do
    disk=$1-$type.vmdk
    qemu-img convert -f raw -O vmdk -o "subformat=$type$2" "$1.raw" "$disk"
    we_equal "$1.raw" "$disk"
    expect 0 "$VDKIT" compare "$1.raw" "$disk"
    expect 0 "$VDKIT" info "$disk" --json
    # Flat extents: we ask the file for its holes, qemu does so too, but may
    # round elsewhere.
    case $type in *Flat) continue ;; esac
    expect 0 "$VDKIT" map "$disk" --json
    mv out ours.json
    qemu-img map -f vmdk --output=json "$disk" >theirs.json
    data_of ours.json >ours.map
    data_of theirs.json >theirs.map
    [ -s ours.map ] || fail "an empty map of $disk"
    same ours.map theirs.map
  done
}

make_raw even.raw 24 3
one_disk even ''
make_raw odd.raw 40 4
truncate -s $((40 * 1048576 + 512 * 3)) odd.raw
one_disk odd ',compat6=on'

# Zeroed grains (header version 2) are zeroes, not the bytes of sector 1.
qemu-img create -q -f vmdk -o zeroed_grain=on zero.vmdk 8M
qemu_io zero.vmdk -c 'write -P 7 0 1M' -c 'write -z 64k 128k' \
  -c 'write -P 9 4M 64k'
qemu-img convert -f vmdk -O raw zero.vmdk zero.raw
we_equal zero.raw zero.vmdk

# Written at random places after it was made.
qemu-img create -q -f vmdk random.vmdk 64M
python3 - >commands <<'PYTHON'
import random
r = random.Random(5)
for i in range(200):
    length = r.randrange(1, 300) * 512
    offset = r.randrange(((64 << 20) - length) // 512) * 512
    print("write -P", r.randrange(1, 255), offset, length)
PYTHON
qemu-io -f vmdk random.vmdk <commands >qemu.out
lacks qemu.out 'failed' 'Invalid'
qemu-img convert -f vmdk -O raw random.vmdk random.raw
we_equal random.raw random.vmdk
