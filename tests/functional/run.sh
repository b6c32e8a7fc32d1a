#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# ./run installs what is missing, all of it at once, and nothing else; as a
# user through sudo. dpkg-query, apt-get, sudo, id and make are played here.
. "$TOP_SRCDIR/tests/functional/functions.sh"

mkdir tree tree/tools bin
cp "$TOP_SRCDIR/run" tree/
cp -R "$TOP_SRCDIR/tools/packages" "$TOP_SRCDIR/tools/help.sh" tree/tools/
cp "$TOP_SRCDIR/GNUmakefile" tree/

play () { cat >"bin/$1"; chmod +x "bin/$1"; }
play dpkg-query <<'SH'
#!/bin/sh
for package; do :; done
case " $MISSING " in
*" $package:gone "*) printf not-installed ;;
*" $package "*) exit 1 ;;
*) printf installed ;;
esac
SH
play apt-get <<'SH'
#!/bin/sh
echo "apt-get $DEBIAN_FRONTEND $*" >>"$LOG"
SH
play sudo <<'SH'
#!/bin/sh
echo "sudo $*" >>"$LOG"
exec "$@"
SH
play id <<'SH'
#!/bin/sh
echo "$PLAYED_UID"
SH
play make <<'SH'
#!/bin/sh
echo "make $*" >>"$LOG"
exit "${MAKE_STATUS:-0}"
SH

LOG=$tmp/log
PATH=$tmp/bin:$PATH
export LOG PATH MISSING PLAYED_UID MAKE_STATUS

# Nothing is missing: apt is never called, nor sudo.
PLAYED_UID=1000 MISSING=''
for target in demo check check-all bench fuzz stage; do
  rm -f log
  expect 0 tree/run $target A=b
  equal "$(cat log)" "make $target A=b"
done

# Something is missing: named, and installed through sudo.
rm -f log
MISSING='meson qemu-utils:gone'
expect 0 tree/run check
has err meson qemu-utils
has log 'sudo apt-get update' \
  'sudo env DEBIAN_FRONTEND=noninteractive apt-get' \
  'apt-get noninteractive install -y -qq --no-install-recommends' 'make check'
grep -q 'install.* meson' log || fail "meson was not installed"
grep -q 'install.* qemu-utils' log || fail "qemu-utils was not installed"
lacks log libzstd-dev

# As root without sudo; what another target needs is left alone.
rm -f log
PLAYED_UID=0 MISSING='meson restic'
expect 0 tree/run stage
lacks log sudo restic
has log 'install' 'meson' 'make stage'

# Neither root nor sudo: says what to do, and does nothing.
rm -f log bin/sudo
if ! command -v sudo >/dev/null; then
  PLAYED_UID=1000
  expect 1 tree/run stage
  has err 'apt-get install meson'
  absent log
fi

# The status of make is ours; help needs nothing at all.
MISSING='' MAKE_STATUS=2
expect 2 tree/run check
rm -f log
MISSING='meson make'
expect 0 tree/run
has out demo check-all bench
absent log
