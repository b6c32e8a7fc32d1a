#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Random work with faults, for SOAK_SECONDS (10): a guest that writes, takes
snapshots and is backed up, while backups and restores are killed at random.

A raw file is the truth. After each backup that ended well its hash is kept
with the restore point; from then on that point must give the same bytes,
whatever is killed later, and `verify --deep` must find nothing. A run repeats
with SOAK_SEED.
"""
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SIZE = 48 << 20
VDKIT = os.environ['VDKIT']
GUEST_WRITE = os.environ['GUEST_WRITE']


class Soak:
    def __init__(self, folder, seed):
        self.random = random.Random(seed)
        self.folder = folder
        self.links = []
        self.points = {}  # id: hash of the disk
        self.counts = {}

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def vdkit(self, *command):
        done = subprocess.run([VDKIT, *command], cwd=self.folder, check=False,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f'vdkit {" ".join(command)} gave '
                                 f'{done.returncode}: {done.stderr}')
        return done.stdout

    def truth(self):
        with open(self.path('now.raw'), 'rb') as f:
            return hashlib.file_digest(f, 'sha256').hexdigest()

    # --- What happens ----------------------------------------------------

    def make_vm(self):
        os.mkdir(self.path('vm'))
        with open(self.path('now.raw'), 'wb') as f:
            f.truncate(SIZE)
        self.change_raw('now.raw')
        self.vdkit('convert', 'now.raw', 'vm/link-0.vmdk', '--type',
                   'monolithicSparse')
        self.links = ['link-0.vmdk']
        self.take_snapshot()

    def take_snapshot(self):
        name = f'link-{len(self.links)}.vmdk'
        self.vdkit('create', f'vm/{name}', '--parent', f'vm/{self.links[-1]}')
        self.links.append(name)
        with open(self.path('vm', 'soak.vmx'), 'w', encoding='ascii') as f:
            f.write('displayName = "soak"\n'
                    'uuid.bios = "56 4d 00 11 22 33 44 55-66 77 88 99 aa bb '
                    'cc dd"\nscsi0:0.present = "TRUE"\n'
                    f'scsi0:0.fileName = "{name}"\n')

    def change_raw(self, name):
        with open(self.path(name), 'r+b') as f:
            for _ in range(self.random.randrange(1, 12)):
                length = self.random.randrange(1, 600) * 512
                f.seek(self.random.randrange((SIZE - length) // 512) * 512)
                kind = self.random.randrange(3)
                f.write(bytes(length) if kind == 0 else
                        self.random.randbytes(length) if kind == 1 else
                        (b'%d compressible\n' % length * length)[:length])

    def guest_writes(self):
        shutil.copyfile(self.path('now.raw'), self.path('old.raw'))
        self.change_raw('now.raw')
        subprocess.run([GUEST_WRITE, 'old.raw', 'now.raw',
                        f'vm/{self.links[-1]}'], cwd=self.folder, check=True,
                       stdout=subprocess.DEVNULL)

    def killed(self, *command):
        """Starts a command and kills it soon; true when it was too fast."""
        child = subprocess.Popen([VDKIT, *command], cwd=self.folder,
                                 stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        try:
            child.wait(self.random.random() * 0.08)
            return child.returncode == 0
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
            return False

    def backup_killed(self):
        before = self.listed()
        if self.killed('backup', 'vm', '--repo', 'repo'):
            self.count('too fast to kill')
        # The commit may have been done before the kill.
        for point in self.listed() - before:
            self.points[point] = self.truth()

    def listed(self):
        if not os.path.exists(self.path('repo')):
            return set()
        done = subprocess.run([VDKIT, 'list', '--repo', 'repo', '--json'],
                              cwd=self.folder, check=False,
                              capture_output=True, text=True)
        if done.returncode == 10:  # killed while it was made
            return set()
        assert done.returncode == 0, done.stderr
        return {point['id'] for point in json.loads(done.stdout)['points']}

    def backup(self):
        report = json.loads(self.vdkit(
            'backup', 'vm', '--repo', 'repo', '--json',
            *self.random.choice([(), (), (), ('--compare',), ('--full',)])))
        self.points[report['point']] = self.truth()
        self.count(report['disks'][0]['method'])

    def restore_killed(self):
        """A killed restore may leave a folder by another name, never one that
        looks complete and is not."""
        if not self.killed('restore', '--repo', 'repo', 'latest', 'new') and \
                os.path.exists(self.path('new')):
            self.vdkit('vm', 'show', 'new')
        for name in os.listdir(self.folder):
            if name.lstrip('.').startswith('new'):
                shutil.rmtree(self.path(name))

    def check_some_point(self):
        self.check_point(self.random.choice(sorted(self.points)))

    def check_point(self, point):
        self.vdkit('convert', f'vmbk:repo#{point}/0', 'point.raw',
                   '--overwrite')
        with open(self.path('point.raw'), 'rb') as f:
            got = hashlib.file_digest(f, 'sha256').hexdigest()
        assert got == self.points[point], f'{point} is not what it was'

    def check_all(self):
        listed = self.listed()
        lost = set(self.points) - listed
        assert not lost, f'points are lost: {lost}'
        if listed:
            self.vdkit('verify', '--repo', 'repo', '--deep')
        # And the VM itself, through its chain.
        self.vdkit('compare', 'now.raw', f'vm/{self.links[-1]}')

    def round(self):
        work = [self.guest_writes] * 5 + [self.backup] * 2 + \
            [self.backup_killed] * 3 + [self.check_all]
        if len(self.links) < 24:
            work.append(self.take_snapshot)
        if self.points:
            work += [self.check_some_point] * 2 + [self.restore_killed]
        step = self.random.choice(work)
        self.count(step.__name__)
        step()


def main():
    seconds = float(os.environ.get('SOAK_SECONDS', '10'))
    seed = int(os.environ.get('SOAK_SEED', random.randrange(1 << 32)))
    print(f'# SOAK_SEED={seed}', flush=True)
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix='vdkit-soak.') as folder:
        soak = Soak(folder, seed)
        soak.make_vm()
        while time.monotonic() < end:
            soak.round()
        soak.check_all()
        for point in soak.points:
            soak.check_point(point)
        print(', '.join(f'{what} {count}'
                        for what, count in sorted(soak.counts.items())))
    return 0


if __name__ == '__main__':
    sys.exit(main())
