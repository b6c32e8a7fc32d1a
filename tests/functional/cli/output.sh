#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Closed, full and broken standard output; names that a terminal would obey.
. "$TOP_SRCDIR/tests/functional/functions.sh"
requires bash python3

# Closed: said on stderr, not written into what got its descriptor.
status=0
"$VDKIT" help >&- 2>err || status=$?
equal $status 40 "stdout closed"
has err "cannot write to standard output: Bad file descriptor"
status=0
"$VDKIT" info nothing.vmdk 2>&- >out || status=$?
equal $status 1 "stderr closed"
is_empty out

if [ -e /dev/full ]; then
  status=0
  "$VDKIT" help >/dev/full 2>err || status=$?
  equal $status 40 "stdout full"
  has err "cannot write to standard output: No space left on device"
fi

# A reader that goes away ends us quietly, by the signal, as any filter.
bash -c "\"$VDKIT\" help 2>err | true; echo \${PIPESTATUS[0]}" >status
case $(cat status) in
0 | 141) ;;
*) fail "status $(cat status) after the reader went away" ;;
esac
is_empty err

# A disk never gets descriptor 0, 1 or 2.
"$VDKIT" create a.vmdk --size 8M --type monolithicSparse <&- >&- 2>&- || :
if [ -e a.vmdk ]; then
  expect 0 "$VDKIT" info a.vmdk
  has out monolithicSparse
fi

# Names that a terminal would obey, and names that are no text.
name=$(printf 'no\033[31m\nsuch\377.vmdk')
expect 1 "$VDKIT" info "$name"
has err 'no\x1b[31m\nsuch\xff.vmdk'
equal "$(wc -l <err)" 1 "lines of the message"
expect 1 "$VDKIT" info --json "$name"
json 'd["message"]' >message
has message 'no\x1b[31m\nsuch\xff.vmdk'

# ... also those that are text in the locale, and are none in another.
expect 1 "$VDKIT" info 'café.vmdk'
has err 'café.vmdk'
expect 1 env LC_ALL=C "$VDKIT" info 'café.vmdk'
has err 'caf\xc3\xa9.vmdk'
expect 1 env LC_ALL=C "$VDKIT" info --json 'café.vmdk'
python3 -c 'import json; json.load(open("out", encoding="utf-8"))'

# A failure with --json: one object, with the message that stderr has.
expect 1 "$VDKIT" info --json nothing.vmdk
equal "$(json 'd["schema"]')" vdkit.error/1
equal "$(json 'd["error"]')" NOT_FOUND
equal "$(json 'd["exit_status"]')" 1
equal "$(json '"vdkit: " + d["message"]')" "$(cat err)"
