#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# The main job of vdkit, on real input (`./run demo`):
#
#   1  a VM: yours (--vm), or one that is made here: a GPT disk with an ext4 of
#      a gigabyte of this system's files, as a VMDK with one snapshot
#   2  a full backup of it
#   3  the guest changes files: debugfs, on the file system inside the disk
#   4  an incremental backup, which reads only what changed
#   5  list, verify --deep
#   6  both restore points restored as new VMs
#   7  the proof, by programs that we did not write: qemu-img compares each
#      restored disk with its source at that time, e2fsck checks the guest's
#      file system in it, debugfs reads a file out of it
#   8  what it cost
#
# How the guest changes files without a guest. A raw copy of the disk is kept
# beside the VM. debugfs writes into the file system in that copy; then
# guest-write (tools/guest_write.c) finds the blocks that differ and writes
# them to the VM's disk through its snapshot chain, as a hypervisor would.
#
# Your VM is only read. It is backed up where it is. What is changed then is a
# new snapshot link in the work folder, over your disk as its parent, with a
# copy of your .vmx that names it: your files stay as they are, and the copy of
# the first disk that debugfs needs is the only one that is made.
#
# Everything is in build/demo (or --dir), removed at the start of the next run.
set -eu
LC_ALL=C.UTF-8
export LC_ALL
PATH=$PATH:/usr/sbin:/sbin
top=$(cd "$(dirname "$0")/.." && pwd)

vdkit=${VDKIT:-$top/build/stage/bin/vdkit}
guest_write=${GUEST_WRITE:-$top/build/release/tools/guest-write}
python=${PYTHON:-python3}
dir=$top/build/demo
vm=
size=$((6 << 30))
data=1100000000

usage='usage: demo.sh [--vm PATH.vmx] [--dir DIR] [--size BYTES] [--data BYTES]'
while [ $# -gt 0 ]; do
  case $1 in
  --vm) vm=$2 && shift ;;
  --dir) dir=$2 && shift ;;
  --size) size=$2 && shift ;;
  --data) data=$2 && shift ;;
  *) echo "$usage" >&2 && exit 2 ;;
  esac
  shift
done

# --- Small things ---------------------------------------------------------

number=0
step () { number=$((number + 1)); printf '\n%d. %s\n' "$number" "$*"; }
say () { printf '   %s\n' "$*"; }
die () { printf 'demo: %s\n' "$*" >&2; exit 1; }

# run COMMAND: shows a command of vdkit as a user would type it, and runs it.
run () {
  printf '   $ vdkit'
  shift
  printf ' %s' "$@"
  printf '\n'
  "$vdkit" "$@"
}

# quiet COMMAND: runs a program whose output matters only when it fails.
quiet () {
  "$@" >"$dir/log" 2>&1 || {
    sed 's/^/   | /' "$dir/log" >&2
    die "$1 failed"
  }
}

# json EXPRESSION FILE: prints an expression over the document `d`.
json () {
  "$python" -c 'import json, sys
d = json.load(open(sys.argv[2]))
print(eval(sys.argv[1]))' "$1" "$2"
}

# --- 1. The VM ------------------------------------------------------------

prepare_dir () {
  if [ -e "$dir" ]; then
    [ -e "$dir/.vdkit-demo" ] || [ -z "$(ls -A "$dir")" ] ||
      die "$dir is not a folder of this demo; empty it, or give another DIR="
    rm -rf "$dir"
  fi
  mkdir -p "$dir"
  : >"$dir/.vdkit-demo"
  dir=$(cd "$dir" && pwd)
  cd "$dir"
}

# Room that is there, against what the demo takes at most, in MB.
check_room () {
  room=$(df -Pm "$dir" | awk 'NR == 2 { print $4 }')
  [ "$room" -ge "$1" ] ||
    die "$dir has room for $room MB, the demo takes up to $1 MB; give DIR="
}

# write_vmx FILE DISK, write_vmsd FILE COUNT: as a VMware product writes them.
write_vmx () {
  cat >"$1" <<VMX
.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "19"
displayName = "demo"
guestOS = "debian12-64"
memsize = "1024"
uuid.bios = "56 4d 76 64 6b 69 74 20-64 65 6d 6f 20 76 6d 31"
nvram = "demo.nvram"
firmware = "efi"
scsi0.present = "TRUE"
scsi0.virtualDev = "pvscsi"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "$2"
VMX
}

# Snapshot N froze the disk that was written before it was taken.
write_vmsd () {
  {
    printf '.encoding = "UTF-8"\nsnapshot.lastUID = "%d"\n' "$2"
    printf 'snapshot.current = "%d"\nsnapshot.numSnapshots = "%d"\n' "$2" "$2"
    i=0
    frozen=demo.vmdk
    while [ $i -lt "$2" ]; do
      printf 'snapshot%d.uid = "%d"\n' $i $((i + 1))
      printf 'snapshot%d.filename = "demo-Snapshot%d.vmsn"\n' $i $((i + 1))
      [ $i -eq 0 ] || printf 'snapshot%d.parent = "%d"\n' $i $i
      printf 'snapshot%d.displayName = "before change %d"\n' $i $((i + 1))
      printf 'snapshot%d.numDisks = "1"\n' $i
      printf 'snapshot%d.disk0.fileName = "%s"\n' $i "$frozen"
      printf 'snapshot%d.disk0.node = "scsi0:0"\n' $i
      i=$((i + 1))
      frozen=$(printf 'demo-%06d.vmdk' $i)
    done
  } >"$1"
}

# take_snapshot: the VM goes on in a new link over the present one.
take_snapshot () {
  old=demo.vmdk
  [ "$snapshots" -eq 0 ] || old=$(printf 'demo-%06d.vmdk' "$snapshots")
  snapshots=$((snapshots + 1))
  front=vm/$(printf 'demo-%06d.vmdk' "$snapshots")
  run vdkit create "$front" --parent "vm/$old"
  write_vmx vm/demo.vmx "${front#vm/}"
  write_vmsd vm/demo.vmsd "$snapshots"
}

make_vm () {
  check_room $((data / 1000000 * 7 + 1000))
  say "an ext4 with files of this system (GPT, $((size >> 20)) MB, sparse)"
  made=$("$python" "$top/tools/guest_disk.py" --size "$size" --data "$data" \
    --again --tree tree now.raw)
  say "$(find tree -type f | wc -l) files, $made"
  rm -rf tree
  mkdir vm
  run vdkit convert now.raw vm/demo.vmdk --type monolithicSparse
  head -c 8684 /dev/zero >vm/demo.nvram
  snapshots=0
  take_snapshot
  # What was changed since that snapshot stands in the child link.
  cp --sparse=always now.raw before.raw
  change_files now.raw "$start" first
  say "the guest wrote $("$guest_write" before.raw now.raw "$front") bytes"
  rm before.raw
  vmx=vm/demo.vmx
}

# --- The user's VM: read where it is, changed only in a copy --------------

# link_vm: a VM in vm/ that is the user's with a link over its first disk. Its
# other disks are the user's own, by absolute name; its UUID is the same, so
# that it is the same VM for the repository.
link_vm () {
  folder=$(dirname "$vm")
  mkdir vm
  find "$folder" -maxdepth 1 -type f -size -1024k ! -name '*.vmdk' \
    ! -name '*.lck' -exec cp {} vm/ \;
  vmx=vm/$(basename "$vm")
  chmod u+w "$vmx"
  uuid=$(json '(lambda h: h[:2] + "".join((" ", "-")[i == 16] + h[i:i + 2]
    for i in range(2, 32, 2)))(d["uuid"].replace("-", ""))' show.json)
  sed '/^uuid.bios/d' "$vmx" >vmx.new
  printf 'uuid.bios = "%s"\n' "$uuid" >>vmx.new
  json '"\n".join("%s %s" % (x["key"], x["file"]) for x in d["disks"])' \
    show.json | while read -r other name; do
    case $name in /*) ;; *) name=$folder/$name ;; esac
    [ "$other" = "$key" ] && name=vdkit-demo.vmdk
    sed "/^$other.fileName/d" vmx.new >"$vmx"
    printf '%s.fileName = "%s"\n' "$other" "$name" >>"$vmx"
    mv "$vmx" vmx.new
  done
  mv vmx.new "$vmx"
}

# first_disk VMX: key and file of the first disk.
first_disk () {
  "$vdkit" vm show "$1" --json --allow-outside >show.json
  key=$(json 'd["disks"][0]["key"]' show.json)
  file=$(json 'd["disks"][0]["file"]' show.json)
}

# --- 3. What the guest does -----------------------------------------------

# find_ext4 RAW: sets $start to the first partition with an ext file system
# that is sound, or to nothing. The whole disk may be one.
find_ext4 () {
  for start in 0 $(sfdisk -J "$1" 2>/dev/null | "$python" -c '
import json, sys
text = sys.stdin.read()
table = json.loads(text)["partitiontable"] if text.strip() else {}
sector = table.get("sectorsize", 512)
for partition in table.get("partitions", []):
    print(partition["start"] * sector)'); do
    if e2fsck -fn "$1?offset=$start" >/dev/null 2>&1; then
      return
    fi
  done
  start=
}

# change_files RAW OFFSET WORD: the guest makes a folder, writes small and
# large files, and removes one.
change_files () {
  printf 'written by the guest: %s\n' "$3" >"$3.txt"
  head -c 6000000 /dev/urandom >"$3.bin"
  tar -cf "$3.tar" -C "$top" docs tools 2>/dev/null
  {
    printf 'mkdir /vdkit-demo-%s\n' "$3"
    for f in txt bin tar; do
      printf 'write %s /vdkit-demo-%s/file.%s\n' "$3.$f" "$3" "$f"
    done
    printf 'write %s /vdkit-demo-%s/gone\n' "$3.bin" "$3"
    printf 'rm /vdkit-demo-%s/gone\n' "$3"
    [ "$3" = first ] || [ -n "$vm" ] || printf 'rm /vdkit-demo-first/file.bin\n'
  } >"$3.commands"
  quiet debugfs -w -f "$3.commands" "$1?offset=$2"
  quiet e2fsck -fn "$1?offset=$2"
}

# For a user's disk without an ext4 that we can change: one megabyte of the
# copy is overwritten. It is a copy; what matters is that the change is found.
change_blocks () {
  dd if=/dev/urandom of="$1" bs=1M count=1 conv=notrunc \
    seek=$(($(stat -c %s "$1") / 2097152)) 2>/dev/null
}

change_own () {
  take_snapshot
  cp --sparse=always now.raw then.raw
  word=second
  change_files now.raw "$start" $word
  say "debugfs: a folder with files of" \
    "$(($(cat second.txt second.bin second.tar | wc -c) / 1000)) kB written," \
    "two files removed"
  written=$("$guest_write" then.raw now.raw "$front")
  say "the guest wrote $written bytes to $front"
  source_1=then.raw
  source_2=now.raw
}

change_linked () {
  first_disk "$vmx"
  case $file in /*) original=$file ;; *) original=$(dirname "$vm")/$file ;; esac
  check_room $(($(json 'd["disks"][0]["capacity"]' show.json) / 1000000 * 2))
  link_vm
  front=vm/vdkit-demo.vmdk
  run vdkit create "$front" --parent "$original" --allow-outside
  run vdkit convert "$original" then.raw --type raw --allow-outside
  cp --sparse=always then.raw now.raw
  find_ext4 now.raw
  if [ -n "$start" ]; then
    word=again-$$
    change_files now.raw "$start" $word
    say "debugfs: files written into the ext4 at byte $start of the disk"
  else
    change_blocks now.raw
    say "no ext4 that debugfs could change: one megabyte overwritten"
  fi
  written=$("$guest_write" then.raw now.raw "$front")
  say "the guest wrote $written bytes to $front"
  # Read by qemu-img for itself, unless the type is none of its own.
  source_1=then.raw
  if qemu-img info -f vmdk "$original" >/dev/null 2>&1; then
    source_1=$original
  fi
  source_2=now.raw
}

# --- 2, 4. Backups --------------------------------------------------------

# backup VMX N: restore point N, its report in backup-N.json.
backup () {
  # A user's disks may lie in several folders, and the link of ours does.
  outside=
  [ -z "$vm" ] || outside=--allow-outside
  printf '   $ vdkit backup %s --repo repo --json %s>backup-%s.json\n' "$1" \
    "${outside:+$outside }" "$2"
  status=0
  "$vdkit" backup "$1" --repo repo --json $outside >"backup-$2.json" ||
    status=$?
  case $status in
  0) ;;
  3 | 4) say "with warnings (status $status)" ;;
  *) die "the backup failed with status $status" ;;
  esac
  json '"   restore point %s: read %.1f MB, stored %.1f MB, in %.2f s; %s" % (
    d["point"], d["read"] / 1e6, d["stored"] / 1e6, d["seconds"],
    ", ".join("%s by %s" % (x["key"], x["method"]) for x in d["disks"]))' \
    "backup-$2.json"
}

# --- 7. The proof ---------------------------------------------------------

# prove N SOURCE: the first disk of restored-N is SOURCE. qemu-img reads the
# VMDK for itself, and makes the raw image that e2fsck and debugfs get.
prove () {
  "$vdkit" vm show "restored-$1" --json >"restored-$1.json"
  disk=restored-$1/$(json 'd["disks"][0]["file"]' "restored-$1.json")
  case $2 in *.raw) format=raw ;; *) format=vmdk ;; esac
  printf '   $ qemu-img compare -f %s -F vmdk %s %s\n' $format "$2" "$disk"
  quiet qemu-img compare -f $format -F vmdk "$2" "$disk"
  sed 's/^/   /' log
  [ -n "$start" ] || return 0
  quiet qemu-img convert -f vmdk -O raw "$disk" proof.raw
  printf '   $ e2fsck -fn %s\n' "proof.raw?offset=$start"
  quiet e2fsck -fn "proof.raw?offset=$start"
  sed -n '$s/^/   /p' log
}

# holds RAW FILE TEXT, lacks RAW FILE: what debugfs finds in the guest.
holds () {
  debugfs -R "cat $2" "proof.raw?offset=$start" 2>/dev/null | cmp -s - "$1" ||
    die "$2 is not in the restored disk as it was written"
}
lacks () {
  if debugfs -R "stat $1" "proof.raw?offset=$start" 2>/dev/null |
    grep -q '^Inode:'; then
    die "$1 is in the restored disk, and was not there at that time"
  fi
}

prove_both () {
  prove 1 "$source_1"
  [ -z "$start" ] || {
    lacks "/vdkit-demo-$word/file.txt"
    [ -n "$vm" ] || holds first.bin /vdkit-demo-first/file.bin
    say "debugfs: the files of that time are in it, the later ones not"
  }
  prove 2 "$source_2"
  [ -z "$start" ] || {
    holds "$word.txt" "/vdkit-demo-$word/file.txt"
    holds "$word.bin" "/vdkit-demo-$word/file.bin"
    [ -n "$vm" ] || lacks /vdkit-demo-first/file.bin
    say "debugfs: the new files are in it, the removed one is not"
  }
}

# --- 8. The table ---------------------------------------------------------

table () {
  "$python" - "$source_bytes" <<'PYTHON'
import json, sys

source = int(sys.argv[1])


def mb(count):
    return "%.1f MB" % (count / 1e6)


rows = [("", "read", "stored", "time", "rate", "stored/source")]
for number, name in ((1, "full backup"), (2, "incremental")):
    d = json.load(open("backup-%d.json" % number))
    seconds = max(d["seconds"], 0.001)
    rows.append((name, mb(d["read"]), mb(d["stored"]), "%.2f s" % seconds,
                 mb(d["read"] / seconds) + "/s",
                 "%.3f" % (d["stored"] / source)))
for number in (1, 2):
    d = json.load(open("restore-%d.json" % number))
    seconds = max(d["seconds"], 0.001)
    rows.append(("restore %d" % number, "", mb(d["written"]) + " *",
                 "%.2f s" % seconds, mb(d["written"] / seconds) + "/s", ""))
widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
for r in rows:
    print("   " + r[0].ljust(widths[0]) + "  " +
          "  ".join(t.rjust(w) for t, w in zip(r[1:], widths[1:])))
print("   source: %s of data; * written to the new disk" % mb(source))
PYTHON
}

# --------------------------------------------------------------------------

[ -x "$vdkit" ] || die "$vdkit is not there; run: make"
if [ -n "$vm" ]; then
  [ -f "$vm" ] || die "there is no $vm"
  vm=$(cd "$(dirname "$vm")" && pwd)/$(basename "$vm")
fi
prepare_dir
start=$((1 << 20))

step 'The VM'
if [ -n "$vm" ]; then
  run vdkit vm show "$vm" --allow-outside
  vmx=$vm
else
  make_vm
  run vdkit vm show "$vmx"
fi

step 'A full backup'
backup "$vmx" 1
# Of what the guest disk holds, not of its size.
source_bytes=$(json 'd["read"]' backup-1.json)

step 'The guest changes files'
if [ -n "$vm" ]; then change_linked; else change_own; fi

step 'An incremental backup'
backup "$vmx" 2
method=$(json 'd["disks"][0]["method"]' backup-2.json)
if [ "$method" = ranges ]; then
  say 'only the ranges that changed were read'
elif [ -z "$vm" ]; then
  die "it was not taken by changed ranges, but by: $method"
else
  say "taken by: $method; $(json 'd["disks"][0]["problem"] or ""' \
    backup-2.json)"
fi

step 'What is in the repository, and whether it is sound'
run vdkit list --repo repo
run vdkit verify --repo repo --deep

step 'Both points restored as new VMs'
for i in 1 2; do
  point=$(json 'd["point"]' "backup-$i.json")
  printf '   $ vdkit restore --repo repo %s restored-%d\n' "$point" "$i"
  "$vdkit" restore --repo repo "$point" "restored-$i" --json >"restore-$i.json"
done

step 'The proof, by programs that we did not write'
prove_both

step 'What it cost'
table
rm -f proof.raw

cat <<NEXT

Each restored disk equals its source at its time. Try next:

   cd $dir
   export PATH=$(dirname "$vdkit"):\$PATH
   vdkit list --repo repo
   vdkit vm show restored-2
   vdkit map restored-2/${disk##*/} | head
   vdkit convert restored-2/${disk##*/} - --type streamOptimized >all.vmdk
   vdkit help
NEXT
