#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What is wrong on the command line is said, with what was probably meant, and
# with status 2; nothing is printed on stdout, and nothing is made.
. "$TOP_SRCDIR/tests/functional/functions.sh"

# wrong TEXT ARGUMENT...: status 2, and TEXT in the message.
wrong () {
  _text=$1
  shift
  expect 2 "$VDKIT" "$@"
  is_empty out
  has err "$_text"
  head -n 1 err | grep -q '^vdkit: ' || fail "no 'vdkit: ' before: $(cat err)"
  case $(cat err) in *"Try 'vdkit help"*) ;; *) fail "no help: $(cat err)" ;;
  esac
}

# Verbs.
wrong "there is no verb 'convrt'; did you mean 'convert'?" convrt a b
wrong "did you mean 'info'?" ifno
wrong "did you mean 'info'?" INFO
wrong "there is no verb 'xyzzy'" xyzzy
wrong "did you mean 'vm list'?" vm lst
wrong "'vm' needs a second word" vm
wrong "there is no verb 'vm xyzzy'" vm xyzzy
wrong "did you mean 'vm'?" vmm
wrong "there is no verb 'list-vm'" help list-vm
wrong "one operand too many" help info map
wrong "there is no verb ''" ''

# Options.
wrong "unknown option --tpye; did you mean --type?" convert --tpye raw a b
wrong "unknown option --jsn; did you mean --json?" --jsn info a
wrong "unknown option --xyzzy" info --xyzzy a
wrong "unknown option -Z" info -Z a
wrong "option --json takes no value" info --json=yes a
wrong "option --type needs a value: TYPE" convert a b --type
wrong "--type: an empty TYPE" convert a b --type ''
wrong "--type: there is no type 'monolithicSprase'; did you mean \
monolithicSparse?" convert a b --type monolithicSprase
wrong "'vdkit help types'" create a --size 1M --type xyzzy
wrong "--size: '10X' is not a size" create a.raw --size 10X
wrong "--size: '-1' is not a size" create a.raw --size -1
wrong "--level: '13' is not a number from 1 to 12" convert a b --level 13
wrong "--level: '1x' is not a number from 1 to 12" convert a b --level 1x
wrong "--fast and --level exclude each other" convert a b --fast --level 3
wrong "--quick and --deep exclude each other" verify --quick --deep -r x
wrong "--full and --compare exclude each other" backup v --full --compare -r x
wrong "did you mean compare?" backup v --on-lost comapre -r x
wrong "--progress: 'loud' is not one of" convert a b --progress loud
wrong "--chunk-size" init --repo x --chunk-size 8G

# Operands.
wrong "operands are missing: SOURCE TARGET" convert
wrong "an operand is missing: SOURCE TARGET" convert a
wrong "one operand too many: 'c'" convert a b c
wrong "no operand is expected, but there is 'x'" verify x --repo r
wrong "operand 2 is empty" convert a ''
wrong "how large? Give --size, or --parent" create a.raw
wrong "the suffix of 'a.xyz' does not say" create a.xyz --size 1M
wrong "the suffix of 'b.xyz' does not say" convert a b.xyz

# A repository is needed, from the option or the environment.
for _verb in list verify init; do
  wrong "no repository is named; give --repo REPO, or set VDKIT_REPO" $_verb
done
wrong "no repository is named" backup vm
wrong "no repository is named" restore latest there
VDKIT_REPO='' wrong "no repository is named" list
VDKIT_REPO=$tmp/none expect 10 "$VDKIT" list
has err "$tmp/none"

# Nothing at all: what there is, on stderr.
expect 2 "$VDKIT"
is_empty out
has err "Verbs:" convert

# Escapes in what the user typed are not obeyed.
expect 2 "$VDKIT" "$(printf '\033[31mred')"
has err '\x1b[31mred'

# The user is right: no complaint.
expect 0 "$VDKIT" help
is_empty err
has out "Usage: vdkit VERB" "vm list"
expect 0 "$VDKIT" --help
expect 0 "$VDKIT" -h
expect 0 "$VDKIT" vm --help
has out "vm list" "vm show"
expect 0 "$VDKIT" help vm
expect 0 "$VDKIT" convert --help
expect 0 "$VDKIT" convert -h a b c d
expect 0 "$VDKIT" --help convert
has out "Usage: vdkit convert"
for _how in --version -V "info --version"; do
  # shellcheck disable=SC2086
  expect 0 "$VDKIT" $_how
  grep -qx 'vdkit [0-9][0-9.]*' out || fail "version: $(cat out)"
done
expect 0 "$VDKIT" help types
has out raw monolithicSparse streamOptimized

rm out err
[ -z "$(ls)" ] || fail "left behind: $(ls)"
