#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Repositories that the C code makes, read by the oracle: every disk and file
# of every restore point must be what was backed up; a flipped bit must be
# noticed; the index must be no more than what the packs say.
set -eu
make_repo=$1
oracle=$2
python=
for p in /usr/bin/python3 python3; do
  "$p" -c 'import zstandard' 2>/dev/null && { python=$p; break; }
done
[ "$python" ] || { echo "SKIP: no python3-zstandard"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() { echo "FAIL: $*" >&2; exit 1; }

for seed in 1 2 3; do
  top=$dir/$seed
  mkdir "$top"
  "$make_repo" "$top" 4 $seed
  "$python" "$oracle" check "$top/repo" || fail "check, seed $seed"
  "$python" "$oracle" rebuild "$top/repo" >/dev/null ||
    fail "rebuild, seed $seed"
  points=$("$python" "$oracle" list "$top/repo" |
    sed -n 's/^\(2[^ ]*z-[^ ]*\) .*/\1/p')
  [ "$(echo "$points" | wc -l)" = 4 ] || fail "4 points are listed"
  for point in $points; do
    for disk in scsi0:0 sata0:1; do
      "$python" "$oracle" disk "$top/repo" "$point" $disk "$top/out" >"$top/sum"
      cmp "$top/out" "$top/$point.$disk.raw" || fail "$point $disk"
      [ "$(cat "$top/sum")" = "$(sha256sum <"$top/out" | cut -d' ' -f1)" ] ||
        fail "sum of $point $disk"
    done
    "$python" "$oracle" file "$top/repo" "$point" one.vmx "$top/out"
    cmp "$top/out" "$top/$point.one.vmx" || fail "$point one.vmx"
  done
done

# Packs and index runs are named by their SHA-256.
find "$dir/1/repo/pack" "$dir/1/repo/index" -type f | while read -r f; do
  [ "$(sha256sum <"$f" | cut -d' ' -f1)" = "$(basename "$f")" ] || fail "$f"
done
[ -z "$(ls "$dir/1/repo/tmp")" ] || fail "temporary files are left"

# One bit in each object.
find "$dir/1/repo" -type f | while read -r f; do
  cp "$f" "$dir/saved"
  "$python" - "$f" <<'PY'
import sys
with open(sys.argv[1], 'r+b') as f:
    data = f.read()
    at = len(data) * 2 // 3
    f.seek(at)
    f.write(bytes([data[at] ^ 4]))
PY
  if "$python" "$oracle" check "$dir/1/repo" >/dev/null 2>&1; then
    fail "a flipped bit in $f was not noticed"
  fi
  cp "$dir/saved" "$f"
done
echo ok
