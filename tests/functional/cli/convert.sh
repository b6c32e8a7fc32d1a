#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# convert, create, info, map and compare as a user has them: types, pipes,
# targets that exist, statuses.
. "$TOP_SRCDIR/tests/functional/functions.sh"
requires qemu-img python3

make_raw a.raw 12

# By the suffix, and by --type in any letter case.
expect 0 "$VDKIT" convert a.raw a.vmdk
has out monolithicSparse
is_empty err
expect 0 qemu-img compare -f raw -F vmdk a.raw a.vmdk
expect 0 "$VDKIT" convert a.vmdk back.raw
same a.raw back.raw
expect 0 "$VDKIT" convert a.raw s.vmdk --type STREAMoptimized --quiet
is_empty out
is_empty err
expect 0 qemu-img compare -f raw -F vmdk a.raw s.vmdk

# What exists is left alone, until it is said.
cp a.vmdk kept.vmdk
expect 1 "$VDKIT" convert s.vmdk a.vmdk
has err a.vmdk
same a.vmdk kept.vmdk
expect 0 "$VDKIT" convert s.vmdk a.vmdk --overwrite
expect 0 "$VDKIT" compare a.vmdk a.raw
expect 1 "$VDKIT" create a.vmdk --size 1M
expect 2 "$VDKIT" convert a.raw a.raw

# Pipes: streamOptimized and raw, both ways.
"$VDKIT" convert a.vmdk - --type streamOptimized 2>err |
  "$VDKIT" convert - through.raw --quiet 2>>err
same a.raw through.raw
"$VDKIT" convert s.vmdk - --quiet | cmp - a.raw || fail "raw to a pipe"
# shellcheck disable=SC2002
cat a.raw | "$VDKIT" convert - piped.raw --quiet
same a.raw piped.raw
# ... also to types that need the size at the start, which a pipe has not.
for type in monolithicSparse streamOptimized vmfs; do
  # shellcheck disable=SC2002
  cat a.raw | "$VDKIT" convert - piped.vmdk -f --type $type --quiet
  expect 0 "$VDKIT" compare a.raw piped.vmdk
done
rm piped*
# The report of a disk that goes to stdout goes to stderr.
"$VDKIT" convert s.vmdk - --json 2>report >piped.raw
same a.raw piped.raw
equal "$(json 'd["schema"]' report)" vdkit.convert/1
equal "$(json 'd["capacity"]' report)" 12582912
# A type that a pipe cannot take, a size that is not known.
expect 1 "$VDKIT" convert a.raw - --type monolithicSparse
is_empty out
status=0
# shellcheck disable=SC2002
cat a.raw | "$VDKIT" convert - - --type streamOptimized >out 2>err || status=$?
equal $status 1 "raw pipe to a stream pipe"
is_empty out
has err "convert to a file"
# A reader that goes away is a failure of the target.
status=0
{ "$VDKIT" convert a.raw - 2>err || echo $? >status; } | head -c 10 >/dev/null
equal "$(cat status)" 40 "broken pipe"
has err "standard output"

# A pipe that is cut, or empty: no target is left.
expect 0 "$VDKIT" convert a.raw s.vmdk --type streamOptimized -f
for cut in 0 100 5000 300000; do
  head -c $cut s.vmdk >cut
  status=0
  "$VDKIT" convert - cut.raw <cut 2>err || status=$?
  [ $status != 0 ] || fail "a stream cut at $cut was taken for whole"
  has err "standard input"
  absent cut.raw
done

# compare tells equal from different from broken.
expect 0 "$VDKIT" compare a.vmdk a.raw
cp a.raw other.raw
printf X | dd of=other.raw bs=1 seek=7000001 conv=notrunc 2>/dev/null
expect 6 "$VDKIT" compare a.vmdk other.raw
has out 7000001
expect 6 "$VDKIT" compare a.vmdk other.raw --json
equal "$(json 'd["first_difference"]')" 7000001
expect 1 "$VDKIT" compare a.vmdk nothing.raw
has err nothing.raw

# create, with a child; the chain in info and map.
expect 0 "$VDKIT" create base.vmdk --size 10M --type monolithicSparse
has out "10.0 MiB"
expect 0 "$VDKIT" create child.vmdk --parent base.vmdk
expect 0 "$VDKIT" info child.vmdk --json
equal "$(json 'len(d["links"])')" 2
equal "$(json 'd["capacity"]')" 10485760
equal "$(json 'd["links"][0]["parent_cid"] == d["links"][1]["cid"]')" true
expect 0 "$VDKIT" map child.vmdk
has out zero
expect 0 "$VDKIT" map --single-link child.vmdk
has out absent
expect 0 qemu-img info child.vmdk
expect 0 "$VDKIT" info a.vmdk
has out "12.0 MiB (12582912 bytes)" vmdk monolithicSparse

# map agrees with what is there.
expect 0 "$VDKIT" map a.raw --json
python3 - <<'PYTHON'
import json
d = json.load(open("out"))
data = open("a.raw", "rb").read()
at = 0
for e in d["extents"]:
    assert e["offset"] == at and e["length"] > 0, e
    if e["state"] == "zero":
        assert not any(data[at:at + e["length"]]), e
    at += e["length"]
assert at == len(data) == d["capacity"] == sum(d["totals"].values())
assert d["complete"] is True
PYTHON

# A raw disk whose guest wrote a VMDK descriptor into it: --format tells.
printf '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n' >g.raw
truncate -s 1M g.raw
expect 0 "$VDKIT" info --format raw g.raw
has out raw
expect 0 "$VDKIT" convert --source-format raw g.raw g2.raw
same g.raw g2.raw
