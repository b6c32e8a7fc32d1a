# SPDX-License-Identifier: BSD-3-Clause
#
# Shared by every shell test. A test starts with
#
#   . "$TOP_SRCDIR/tests/functional/functions.sh"
#   requires qemu-img python3
#
# and then runs commands under `set -eu`: the first that fails ends the test.
# Exit status: 0 passed, 77 skipped (what it needs is missing), else failed.
#
# Meson gives: VDKIT (the command), TOP_SRCDIR, TOP_BUILDDIR. A test may also
# be started by hand: these have defaults for a build in ./build.
#
# The test works in a directory of its own, $tmp, that is removed at the end
# whatever happens, unless KEEP_TMP is set.

set -eu

# C sorts and messages; UTF-8 so that names print as they are.
LC_ALL=C.UTF-8
export LC_ALL
unset VDKIT_REPO || :

: "${TOP_SRCDIR:=$(cd "$(dirname "$0")/../.." && pwd)}"
: "${TOP_BUILDDIR:=$TOP_SRCDIR/build}"
: "${VDKIT:=$TOP_BUILDDIR/src/cli/vdkit}"
: "${CORPUS:=$TOP_SRCDIR/../shared/data/corpus}"
test_name=$(basename "$0" .sh)

say () { printf '%s\n' "$test_name: $*" >&2; }
skip () { say "skipped: $*"; exit 77; }
fail () { say "FAILED: $*"; exit 1; }

tmp=$(mktemp -d "${TMPDIR:-/tmp}/vdkit-$test_name.XXXXXX")
on_exit=
cleanup_test () {
  status=$?
  trap - EXIT
  set +e
  eval "$on_exit"
  cd /
  if [ -n "${KEEP_TMP:-}" ]; then say "kept $tmp"; else
    chmod -R u+rwX "$tmp" 2>/dev/null
    rm -rf "$tmp"
  fi
  exit $status
}
trap cleanup_test EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$tmp"

# at_exit COMMAND: also run this at the end (latest first), to stop a server
# or unmount something.
at_exit () { on_exit="$*; $on_exit"; }

# --- What a test needs ----------------------------------------------------

# requires PROGRAM...: skip unless each is found.
requires () {
  for _p; do
    # mke2fs and its like are in sbin, which a user's PATH may lack.
    command -v "$_p" >/dev/null 2>&1 || { PATH=$PATH:/usr/sbin:/sbin
      command -v "$_p" >/dev/null 2>&1 || skip "$_p is not installed"; }
  done
}
requires_python () {
  requires python3
  for _m; do
    python3 -c "import $_m" 2>/dev/null || skip "Python has no module $_m"
  done
}
requires_corpus () { [ -e "$CORPUS/${1:-manifest.tsv}" ] ||
  skip "no corpus beside the checkout"; }
requires_root () { [ "$(id -u)" = 0 ] || skip "needs root"; }
requires_not_root () { [ "$(id -u)" != 0 ] || skip "must not run as root"; }
# requires_verb NAME: skip while the command lacks it.
requires_verb () { "$VDKIT" help "$@" >/dev/null 2>&1 ||
  skip "vdkit has no $*"; }
# requires_space MEGABYTES in the test's directory.
requires_space () {
  [ "$(df -Pm "$tmp" | awk 'NR == 2 { print $4 }')" -ge "$1" ] ||
    skip "needs $1 MB in $tmp"
}

# --- Running and comparing ------------------------------------------------

# expect STATUS COMMAND...: runs it, its output in $tmp/out and $tmp/err, and
# fails unless it ends with that status.
expect () {
  _want=$1
  shift
  _got=0
  "$@" >"$tmp/out" 2>"$tmp/err" || _got=$?
  [ "$_got" = "$_want" ] && return 0
  sed 's/^/  out: /' "$tmp/out" | head -n 40 >&2
  sed 's/^/  err: /' "$tmp/err" | head -n 40 >&2
  fail "status $_got where $_want was expected: $*"
}

# has FILE TEXT...: FILE contains each text, literally.
has () {
  _file=$1
  shift
  for _t; do
    grep -qF -e "$_t" "$_file" ||
      { sed 's/^/  | /' "$_file" | head -n 40 >&2
        fail "'$_t' is not in $_file"; }
  done
}
lacks () {
  _file=$1
  shift
  for _t; do
    ! grep -qF -e "$_t" "$_file" ||
      { sed 's/^/  | /' "$_file" | head -n 40 >&2
        fail "'$_t' is in $_file"; }
  done
}
is_empty () { [ ! -s "$1" ] ||
  { sed 's/^/  | /' "$1" | head -n 40 >&2; fail "$1 is not empty"; }; }
absent () { for _f; do [ ! -e "$_f" ] || fail "$_f was left behind"; done; }
same () { cmp -s "$1" "$2" || fail "$1 and $2 differ"; }
equal () { [ "$1" = "$2" ] || fail "'$1' where '$2' was expected${3+: $3}"; }

# json EXPRESSION [FILE]: evaluates a Python expression with the document as
# `d` and prints the result.
json () {
  python3 -c '
import json, sys
d = json.load(open(sys.argv[2]))
r = eval(sys.argv[1])
print(r if isinstance(r, str) else json.dumps(r))' "$1" "${2:-$tmp/out}"
}

# --- Making disks ---------------------------------------------------------

# make_raw FILE MEGABYTES [SEED]: a sparse disk with scattered data: some runs
# compressible, some not, most of it holes. The same SEED gives the same
# bytes.
make_raw () {
  requires python3
  python3 - "$1" "$2" "${3:-1}" <<'PYTHON'
import random, sys
path, mb, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
r = random.Random(seed)
with open(path, "wb") as f:
    f.truncate(mb << 20)
    for i in range(max(4, mb)):
        f.seek(r.randrange((mb << 20) - (128 << 10)) & ~511)
        n = r.randrange(1, 128) << 10
        if i % 2:
            f.write(r.randbytes(n))
        else:
            f.write((b"line %d of a compressible text\n" % i * 4096)[:n])
PYTHON
}

# make_vm DIRECTORY [MEGABYTES]: a VM of one monolithicSparse disk, made by
# qemu-img, with scattered data.
make_vm () {
  requires qemu-img
  mkdir -p "$1"
  make_raw "$1/disk.raw" "${2:-8}" 7
  qemu-img convert -f raw -O vmdk "$1/disk.raw" "$1/disk.vmdk"
  rm "$1/disk.raw"
  cat >"$1/$(basename "$1").vmx" <<VMX
.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "19"
displayName = "$(basename "$1")"
guestOS = "debian12-64"
memsize = "512"
numvcpus = "1"
uuid.bios = "56 4d 0a 1b 2c 3d 4e 5f-60 71 82 93 a4 b5 c6 d7"
scsi0.present = "TRUE"
scsi0.virtualDev = "lsilogic"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "disk.vmdk"
nvram = "$(basename "$1").nvram"
VMX
  printf 'nvram of a test' >"$1/$(basename "$1").nvram"
}
