#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# init, backup, list, verify and restore as a user has them.
. "$TOP_SRCDIR/tests/functional/functions.sh"
requires qemu-img python3

make_vm mail 8
expect 0 "$VDKIT" vm list .
has out mail debian12-64 "8.0 MiB"
expect 0 "$VDKIT" vm show mail
has out scsi0:0 disk.vmdk monolithicSparse 564d0a1b-2c3d-4e5f-6071-8293a4b5c6d7

# A repository is made when there is none, and that is said; not with
# --no-init, and not by a VM that is none.
expect 10 "$VDKIT" backup mail --repo repo --no-init
absent repo
expect 1 "$VDKIT" backup nobody --repo repo
absent repo
expect 0 "$VDKIT" backup mail --repo repo
has out "made the repository repo" "restore point" scsi0:0 full
is_empty err
cp mail/disk.vmdk first.vmdk

# A change; the second point.
qemu-img convert -f vmdk -O raw mail/disk.vmdk now.raw
printf 'changed' | dd of=now.raw bs=1 seek=4000000 conv=notrunc 2>/dev/null
qemu-img convert -f raw -O vmdk now.raw mail/disk.vmdk
status=0
"$VDKIT" backup mail --repo repo --json >out 2>err || status=$?
case $status in 0 | 3 | 4) ;; *) cat err; fail "status $status" ;; esac
second=$(json 'd["point"]')
first=$(json 'd["parent"]')
equal "$(json 'd["stored"] < 2 << 20')" true "little is stored"

expect 0 "$VDKIT" list --repo repo
has out mail "$first" "$second"
equal "$(wc -l <out)" 3
expect 0 "$VDKIT" list mail --repo repo --json
equal "$(json '[p["id"] for p in d["points"]]')" "[\"$first\", \"$second\"]"
expect 0 "$VDKIT" list nobody --repo repo
has out "no restore points of nobody"
VDKIT_REPO=repo expect 0 "$VDKIT" list
has out "$second"
VDKIT_REPO=nothing expect 0 "$VDKIT" list -r repo

for level in '' --quick --packs --deep; do
  # shellcheck disable=SC2086
  expect 0 "$VDKIT" verify --repo repo $level
  has out "0 damaged"
done

# What changed: the chunk with the change.
expect 0 "$VDKIT" diff "$first" latest --repo repo --json
equal "$(json '[e["state"] for e in d["disks"][0]["extents"]
  if e["offset"] <= 4000000 < e["offset"] + e["length"]]')" '["data"]'
equal "$(json 'd["disks"][0]["totals"]["data"] <= 524288')" true
expect 0 "$VDKIT" diff latest latest --repo repo
has out nothing
expect 2 "$VDKIT" diff latest latest --repo repo --disk ide0:0

# disk_of VM: the file of its first disk.
disk_of () {
  "$VDKIT" vm show "$1" --json >show.json
  printf '%s/%s' "$1" "$(json 'd["disks"][0]["file"]' show.json)"
}

# Restore: by every name of a point, and to every type.
expect 0 "$VDKIT" restore --repo repo latest r1
qemu-img compare -f raw -F vmdk now.raw "$(disk_of r1)" >/dev/null ||
  fail "latest is not the present"
expect 0 "$VDKIT" vm show r1
expect 0 "$VDKIT" restore --repo repo "$first" r2
qemu-img compare -f vmdk -F vmdk first.vmdk "$(disk_of r2)" >/dev/null ||
  fail "the first point is not what the disk was"
expect 0 "$VDKIT" restore --repo repo mail r3 --type vmfs --name again
expect 0 "$VDKIT" vm show r3 --json
equal "$(json 'd["name"]')" again
equal "$(json 'd["disks"][0]["type"].lower()')" vmfs
expect 0 "$VDKIT" convert "vmbk:repo#mail@$first/scsi0:0" disk.raw
expect 0 "$VDKIT" compare disk.raw first.vmdk
expect 0 "$VDKIT" info "vmbk:repo#mail@latest/0"
expect 0 "$VDKIT" map "vmbk:repo#mail@latest/0"
"$VDKIT" convert "vmbk:repo#$first/0" - --quiet | cmp - disk.raw ||
  fail "a disk of a repository to a pipe"

# What is wrong is named, and what was there stays.
expect 1 "$VDKIT" restore --repo repo latest r1
has err r1
expect 1 "$VDKIT" restore --repo repo 20010101 r4
has err 20010101
absent r4
expect 1 "$VDKIT" restore --repo repo latest r4 --disk ide1:1
has err ide1:1
absent r4
expect 1 "$VDKIT" init --repo repo
has err repo
expect 0 "$VDKIT" list --repo repo
has out "$first" "$second"

# The completion's helper.
expect 0 "$VDKIT" __points --repo repo
has out latest mail "$first" "$second"

# A flipped bit in a pack: found by verify and by a restore, never restored.
pack=$(find repo/pack -type f -printf '%s %p\n' | sort -n | tail -n 1 |
  cut -d ' ' -f 2)
chmod u+w "$pack"
python3 - "$pack" <<'PYTHON'
import os, sys
with open(sys.argv[1], "r+b") as f:
    f.seek(os.path.getsize(sys.argv[1]) // 2)
    byte = f.read(1)[0] ^ 4
    f.seek(-1, 1)
    f.write(bytes([byte]))
PYTHON
expect 20 "$VDKIT" verify --repo repo
has out damaged "$(basename "$pack")"
expect 20 "$VDKIT" verify --repo repo --deep --json
equal "$(json 'd["damaged"] >= 1 and len(d["findings"]) >= 1')" true
expect 20 "$VDKIT" restore --repo repo "$first" r5
absent r5

# An empty repository made by hand; a damaged restore point.
expect 0 "$VDKIT" init --repo other --chunk-size 64K --level 3
has out 64.0
expect 0 "$VDKIT" list --repo other
has out "no restore points in other"
expect 1 "$VDKIT" restore --repo other latest r6
expect 0 "$VDKIT" backup mail --repo other --quiet
is_empty out
point=$(find other/vm -name '*.json' | head -n 1)
chmod u+w "$point"
echo '{' >"$point"
expect 20 "$VDKIT" list --repo other
has err "1 restore point cannot be read"
expect 20 "$VDKIT" verify --repo other --quick
