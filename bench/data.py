# SPDX-License-Identifier: BSD-3-Clause
"""The data set of the bench: a VM of about 1 GB of real files in a 6 GB disk,
before and after 1 % of them were written anew, and a disk of 60 TB.

    a.raw          the disk; ext4 with a sample of this system's files
    b.raw          the same after files of 1 % of its data were added
    qemu.vmdk      a.raw as streamOptimized, written by qemu-img
    vm/            the VM: base.vmdk (a.raw) and live.vmdk over it (b.raw);
                   set_vm() lets its .vmx point to either
    live/disk.raw  what restic and borg see: a link to a.raw or b.raw
    chain/         32 links
    huge.vmdk      60 TB, some data at both ends and between

It is made once and kept; `make clean` or --fresh removes it.
"""
import os
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, 'tools'))
import guest_disk  # noqa: E402  (the folder is known only now)

VDKIT = os.path.join(TOP, 'build', 'stage', 'bin', 'vdkit')
GUEST_WRITE = os.path.join(TOP, 'build', 'release', 'tools', 'guest-write')
OPEN_READ = os.path.join(TOP, 'build', 'release', 'tools', 'open-read')
SIZE = 6 << 30
DATA = 1100 * 1000 * 1000
LINKS = 32
HUGE = 60 << 40

VMX = '''.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "19"
displayName = "bench"
guestOS = "debian12-64"
uuid.bios = "56 4d 6b 64 76 62 65 6e-63 68 00 00 00 00 00 01"
scsi0.present = "TRUE"
scsi0.virtualDev = "lsilogic"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "{disk}"
'''


def call(*command, **more):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **more)


def guest_commands(tree, wanted):
    """debugfs commands that write files of about WANTED bytes anew."""
    yield 'mkdir /changed'
    written = number = 0
    for folder, folders, names in os.walk(tree):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            size = os.lstat(path).st_size
            number += 1
            # One of seven: a mixture of kinds and sizes.
            if number % 7 or ' ' in path or size == 0 or size > wanted / 8:
                continue
            yield f'write {path} /changed/{number}'
            written += size
            if written >= wanted:
                return


class Data:
    def __init__(self, folder):
        self.dir = folder

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def make(self):
        if os.path.exists(self.path('complete')):
            return
        print('making the data set', flush=True)
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        tree = self.path('tree')
        copied, _ = guest_disk.make(self.path('a.raw'), SIZE, DATA, tree)
        self._change(tree, copied // 100)
        shutil.rmtree(tree)
        self._make_vm()
        os.mkdir(self.path('live'))
        self.set_live('a')
        call('qemu-img', 'convert', '-f', 'raw', '-O', 'vmdk', '-o',
             'subformat=streamOptimized', self.path('a.raw'),
             self.path('qemu.vmdk'))
        self._make_chain()
        self._make_huge()
        with open(self.path('complete'), 'w', encoding='ascii') as f:
            f.write(f'{copied}\n')

    def _change(self, tree, wanted):
        call('cp', '--sparse=always', self.path('a.raw'), self.path('b.raw'))
        commands = '\n'.join(guest_commands(tree, wanted)) + '\n'
        place = f'{self.path("b.raw")}?offset={guest_disk.PARTITION_START}'
        call('debugfs', '-w', '-f', '/dev/stdin', place, text=True,
             input=commands, env=guest_disk.tool_env(),
             stderr=subprocess.DEVNULL)

    def _make_vm(self):
        os.mkdir(self.path('vm'))
        base, live = self.path('vm', 'base.vmdk'), self.path('vm', 'live.vmdk')
        call(VDKIT, 'convert', self.path('a.raw'), base, '--type',
             'monolithicSparse')
        call(VDKIT, 'create', live, '--parent', base)
        call(GUEST_WRITE, self.path('a.raw'), self.path('b.raw'), live)
        self.set_vm('a')

    def set_vm(self, state):
        with open(self.path('vm', 'bench.vmx'), 'w', encoding='ascii') as f:
            f.write(VMX.format(
                disk='base.vmdk' if state == 'a' else 'live.vmdk'))

    def set_live(self, state):
        live = self.path('live', 'disk.raw')
        if os.path.lexists(live):
            os.unlink(live)
        os.link(self.path(state + '.raw'), live)

    def _make_chain(self):
        """Each link has its own megabyte, so that all of them are asked."""
        os.mkdir(self.path('chain'))
        old, parent = self.path('chain', 'empty.raw'), None
        with open(old, 'wb') as f:
            f.truncate(1 << 30)
        for number in range(LINKS):
            link = self.path('chain', f'link-{number:02}.vmdk')
            if parent:
                call(VDKIT, 'create', link, '--parent', parent)
            else:
                call(VDKIT, 'create', link, '--size', '1G', '--type',
                     'monolithicSparse')
            new = self.path('chain', 'new.raw')
            with open(new, 'wb') as f:
                f.truncate(1 << 30)
                # 32 KiB every megabyte/32: a read of 1 MB meets all links.
                f.seek(number * 32768)
                f.write(bytes([number + 1]) * 32768)
            call(GUEST_WRITE, old, new, link)
            parent = link

    def _make_huge(self):
        huge = self.path('huge.vmdk')
        call(VDKIT, 'create', huge, '--size', '60T', '--type',
             'monolithicSparse')
        call(OPEN_READ, '--scatter', '64', huge)
