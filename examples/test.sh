#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs the four examples, whose programs are the arguments, and checks what
# they make with cmp and, where it is there, qemu-img.
set -eu

read_disk=$(realpath "$1") convert=$(realpath "$2")
async=$(realpath "$3") backup=$(realpath "$4")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

fail ()
{
  echo "examples: $*" >&2
  exit 1
}

# A disk with text, data that does not compress, and a hole between them.
yes 'vdkit example' | head -c 1000000 >disk.raw
head -c 3000000 /dev/urandom | dd of=disk.raw bs=4096 seek=2000 2>/dev/null
truncate -s 32M disk.raw

# 1: the first bytes, bytes at the end, and nothing behind it.
"$read_disk" disk.raw 0 16 >out
grep -q '^disk.raw: raw .* 33554432 bytes' out || grep -q 33554432 out ||
  fail "1-read does not tell the size"
grep -q '^000000000000 76 64 6b 69 74 20' out || fail "1-read: wrong bytes"
test "$("$read_disk" disk.raw 33554430 100 | sed 1d)" = '000001fffffe 00 00' ||
  fail "1-read: wrong bytes at the end"
if "$read_disk" missing.raw 2>out; then
  fail "1-read reads what is not there"
fi
grep -q 'missing.raw' out || fail "1-read does not name what is missing"

# 2: there and back.
"$convert" disk.raw sparse.vmdk 2>progress
grep -q '100 %' progress || fail "2-convert shows no progress"
"$convert" sparse.vmdk stream.vmdk streamOptimized 2>progress
"$convert" stream.vmdk back.raw 2>progress
cmp disk.raw back.raw || fail "2-convert loses data"
if "$convert" disk.raw back.raw 2>out; then
  fail "2-convert overwrites"
fi
if command -v qemu-img >/dev/null; then
  qemu-img compare -q disk.raw sparse.vmdk || fail "2-convert, says qemu-img"
fi

# 3: a sparse copy.
"$async" sparse.vmdk async.raw
cmp disk.raw async.raw || fail "3-async loses data"
test "$(du -k async.raw | cut -f 1)" -lt 6000 || fail "3-async fills holes"

# 4: full, incremental, difference, and both points restored.
"$backup" init repo
"$backup" save repo 'my vm' disk.raw >first
grep -q ' full ' first || fail "4-backup: the first is not full"
cp disk.raw old.raw
printf 'changed' | dd of=disk.raw bs=1 seek=9000000 conv=notrunc 2>/dev/null
"$backup" save repo 'my vm' disk.raw >second
grep -q ' incremental 262144$' second || fail "4-backup: $(cat second)"
a=$(cut -d ' ' -f 1 first) b=$(cut -d ' ' -f 1 second)
test "$("$backup" diff repo "$a" "$b")" = '8912896 262144 data' ||
  fail "4-backup: wrong difference"
"$backup" restore repo "$a" restored-a.raw
"$backup" restore repo 'my vm' restored-b.raw
cmp old.raw restored-a.raw || fail "4-backup: the first point is not as it was"
cmp disk.raw restored-b.raw || fail "4-backup: the second point is not right"
"$read_disk" "vmbk:repo#my vm@$a/scsi0:0" 0 16 | grep -q '76 64 6b 69 74' ||
  fail "a restore point cannot be opened as a disk"
