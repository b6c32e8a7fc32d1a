# SPDX-License-Identifier: BSD-3-Clause
"""The rows of the table: what is run for each job, ours and the peer's.

A row gives prepare() (once), reset() (before each run, not timed), ours() and
peer() (timed, one measure.Result each), check() (after the last run: notes
and whether each is good).
"""
import os
import shutil
import subprocess

import measure
from data import OPEN_READ, VDKIT

PASSWORD = 'bench'


class Row:
    name = title = peer_name = ''
    target = None
    peer = None

    def __init__(self, data, out):
        self.data = data
        self.out = out

    def path(self, *names):
        return os.path.join(self.out, *names)

    def prepare(self):
        pass

    def reset(self):
        shutil.rmtree(self.out, ignore_errors=True)
        os.makedirs(self.out)

    def ours(self):
        raise NotImplementedError

    def check(self):
        return []

    def run(self, *command, **more):
        return measure.run(list(command), cwd=self.out, **more)


# --- Conversions ---------------------------------------------------------


class Convert(Row):
    """SOURCE to OURS and PEER; compared afterwards by qemu-img."""
    peer_name = 'qemu-img'
    source = source_format = ours_args = peer_args = ours_file = None

    def prepare(self):
        self.reset()
        measure.warm(self.source)

    def reset(self):
        # The last outputs of both stay for check().
        os.makedirs(self.out, exist_ok=True)

    def ours(self):
        self._remove(self.ours_file)
        return self.run(VDKIT, 'convert', '--quiet', self.source,
                        self.ours_file, *self.ours_args)

    def peer(self):
        self._remove('peer')
        return self.run('qemu-img', 'convert', '-f', self.source_format,
                        *self.peer_args, self.source, 'peer')

    def _remove(self, name):
        path = self.path(name)
        if os.path.exists(path):
            os.unlink(path)

    def check(self):
        formats = {'raw': 'raw', 'vmdk': 'vmdk'}
        done = subprocess.run(
            ['qemu-img', 'compare', '-f', formats[self.source_format], '-F',
             self.ours_file.rpartition('.')[2], self.source, self.ours_file],
            cwd=self.out, capture_output=True, text=True, check=False)
        return [('qemu-img compare: ' + (done.stdout or done.stderr).strip(),
                 done.returncode == 0)] + self.check_size()

    def check_size(self):
        return []


class Sparse(Convert):
    name, title = 'sparse', 'raw to monolithicSparse'
    target = 0.5
    source_format, ours_file = 'raw', 'ours.vmdk'
    ours_args = ('--type', 'monolithicSparse')
    peer_args = ('-O', 'vmdk', '-o', 'subformat=monolithicSparse')

    @property
    def source(self):
        return self.data.path('a.raw')

    def check_size(self):
        result = self.run('cp', '--sparse=always', self.source, 'copy')
        return [(f'cp --sparse=always takes {result.seconds:.2f} s', True)]


class SparseBack(Convert):
    name, title = 'sparse-back', 'monolithicSparse to raw'
    target = 0.7
    source_format, ours_file = 'vmdk', 'ours.raw'
    ours_args = ('--type', 'raw')
    peer_args = ('-O', 'raw')

    @property
    def source(self):
        return self.data.path('vm', 'base.vmdk')


class Stream(Convert):
    name, title = 'stream', 'raw to streamOptimized'
    target = 1 / 6
    source_format, ours_file = 'raw', 'ours.vmdk'
    ours_args = ('--type', 'streamOptimized')
    peer_args = ('-O', 'vmdk', '-o', 'subformat=streamOptimized')
    must_be_smaller = True

    @property
    def source(self):
        return self.data.path('a.raw')

    def check_size(self):
        ours = os.path.getsize(self.path(self.ours_file))
        peer = os.path.getsize(self.path('peer'))
        return [(f'size {ours / 1e6:.1f} MB, qemu-img {peer / 1e6:.1f} MB',
                 not self.must_be_smaller or ours <= peer)]


class StreamFast(Stream):
    name, title = 'stream-fast', 'raw to streamOptimized --fast'
    target = 1 / 12
    ours_args = ('--type', 'streamOptimized', '--fast')
    must_be_smaller = False


class StreamBack(Convert):
    name, title = 'stream-back', 'streamOptimized to raw'
    target = 1 / 4
    source_format, ours_file = 'vmdk', 'ours.raw'
    ours_args = ('--type', 'raw')
    peer_args = ('-O', 'raw')

    @property
    def source(self):
        return self.data.path('qemu.vmdk')


# --- Backups -------------------------------------------------------------


class Backup(Row):
    """Both sides have a repository; each run starts from a copy of the one
    that prepare() made (of hard links: neither writes into a file again)."""
    peer_name = 'restic'
    first = None  # state of the VM in the repository before the run
    state = 'a'   # and at the run
    ours_args = ()
    peer_args = ()

    def env(self):
        return dict(os.environ, RESTIC_PASSWORD=PASSWORD,
                    RESTIC_PROGRESS_FPS='0.01',
                    BORG_UNENCRYPTED_REPO_ACCESS_IS_OK='yes',
                    BORG_RELOCATED_REPO_ACCESS_IS_OK='yes',
                    BORG_BASE_DIR=self.path('borg-home'))

    def keep(self, name):
        return os.path.join(self.out + '-keep', name)

    def set_state(self, state):
        self.data.set_vm(state)
        self.data.set_live(state)

    def backup(self, repo, *more):
        return self.run(VDKIT, 'backup', '--quiet', self.data.path('vm'),
                        '--repo', repo, *more)

    def restic(self, repo, *command):
        return self.run('restic', '--no-cache', '-q', '-r', repo, *command,
                        env=self.env())

    def prepare(self):
        super().reset()
        shutil.rmtree(self.out + '-keep', ignore_errors=True)
        os.makedirs(self.out + '-keep')
        measure.warm(self.data.path('a.raw'), self.data.path('b.raw'),
                     self.data.path('vm', 'base.vmdk'),
                     self.data.path('vm', 'live.vmdk'))
        self.restic(self.keep('restic'), 'init')
        if self.first:
            self.set_state(self.first)
            self.backup(self.keep('ours'))
            self.restic(self.keep('restic'), 'backup',
                        self.data.path('live', 'disk.raw'))
        self.set_state(self.state)

    def reset(self):
        super().reset()
        for name in ('ours', 'restic'):
            if os.path.isdir(self.keep(name)):
                subprocess.run(['cp', '-al', self.keep(name),
                                self.path(name)], check=True)

    def ours(self):
        return self.backup('ours', *self.ours_args)

    def peer(self):
        return self.restic('restic', 'backup', *self.peer_args,
                           self.data.path('live', 'disk.raw'))


class Full(Backup):
    name, title = 'backup', 'first full backup'
    target = 1 / 4

    def check(self):
        """Both once more, and borg, for what they store."""
        self.reset()
        self.ours()
        self.peer()
        self.run('borg', 'init', '-e', 'none', 'borg', env=self.env())
        borg = self.run('borg', 'create', '-C', 'zstd,3', 'borg::a',
                        self.data.path('live', 'disk.raw'), env=self.env())
        ours, restic, theirs = (measure.tree_bytes(self.path(name))
                                for name in ('ours', 'restic', 'borg'))
        smaller = min(restic, theirs)
        return [(f'stored {ours / 1e6:.1f} MB, restic {restic / 1e6:.1f} MB, '
                 f'borg -C zstd,3 {theirs / 1e6:.1f} MB (in '
                 f'{borg.seconds:.1f} s): {ours / smaller:.3f} of the smaller, '
                 'at most 1.15', ours <= 1.15 * smaller)]


class Incremental(Backup):
    name, title = 'incremental', '1 % changed, ranges known'
    target = 1 / 20
    first, state = 'a', 'b'

    def check(self):
        self.reset()
        before = measure.tree_bytes(self.path('ours'))
        self.ours()
        grown = measure.tree_bytes(self.path('ours')) - before
        done = subprocess.run(
            [VDKIT, 'list', '--repo', 'ours', '--json'], cwd=self.out,
            capture_output=True, text=True, check=True)
        return [(f'stored {grown / 1e6:.1f} MB more', True),
                ('the ranges were known', '"ranges"' in done.stdout)]


class Unchanged(Backup):
    name, title = 'unchanged', 'nothing changed, by comparing'
    target = 1 / 4
    first, state = 'a', 'a'
    ours_args = ('--compare',)
    peer_args = ('--force',)


class Restore(Backup):
    name, title = 'restore', 'restore to a sparse VMDK'
    target = 1 / 8
    first, state = 'a', 'a'

    def ours(self):
        return self.run(VDKIT, 'restore', '--quiet', '--repo', 'ours',
                        'latest', 'restored', '--type', 'monolithicSparse')

    def peer(self):
        return self.restic('restic', 'restore', 'latest', '--target',
                           'restored-peer')

    def check(self):
        self.reset()
        self.ours()
        disk = [name for name in os.listdir(self.path('restored'))
                if name.endswith('.vmdk')]
        done = subprocess.run(
            ['qemu-img', 'compare', '-f', 'raw', '-F', 'vmdk',
             self.data.path('a.raw'), self.path('restored', disk[0])],
            capture_output=True, text=True, check=False)
        return [('qemu-img compare: ' + (done.stdout or done.stderr).strip(),
                 done.returncode == 0)]


# --- The rest ------------------------------------------------------------


class Chain(Row):
    name, title = 'chain', 'open a 32-link chain, read 1 MB'
    target, peer_name = 1 / 2, 'qemu-io'

    def disk(self):
        return self.data.path('chain', 'link-31.vmdk')

    def ours(self):
        return self.run(OPEN_READ, self.disk())

    def peer(self):
        return self.run('qemu-io', '-r', '-f', 'vmdk', '-c', 'read 0 1M',
                        self.disk())


class Huge(Row):
    """Memory, for a disk of 60 TB: no peer, one run."""
    command = ()

    def ours(self):
        return self.run(*(part.replace('HUGE', self.data.path('huge.vmdk'))
                          for part in self.command))


class HugeSparse(Huge):
    name, title = 'huge-sparse', '60 TB: monolithicSparse to the same'
    command = (VDKIT, 'convert', '--quiet', 'HUGE', 'out.vmdk', '--type',
               'monolithicSparse')


class HugeStream(Huge):
    name, title = 'huge-stream', '60 TB: to streamOptimized'
    command = (VDKIT, 'convert', '--quiet', 'HUGE', 'out.vmdk', '--type',
               'streamOptimized')


class HugeMap(Huge):
    name, title = 'huge-map', '60 TB: map'
    command = (VDKIT, 'map', '--json', 'HUGE')


class HugeBackup(Huge):
    name, title = 'huge-backup', '60 TB: full backup'
    command = (VDKIT, 'backup', '--quiet', 'vm', '--repo', 'repo')

    def reset(self):
        super().reset()
        os.mkdir(self.path('vm'))
        os.link(self.data.path('huge.vmdk'), self.path('vm', 'huge.vmdk'))
        with open(self.path('vm', 'huge.vmx'), 'w', encoding='ascii') as f:
            f.write('displayName = "huge"\nscsi0:0.present = "TRUE"\n'
                    'scsi0:0.fileName = "huge.vmdk"\n')


class HugeRestore(HugeBackup):
    name, title = 'huge-restore', '60 TB: restore to a sparse VMDK'
    command = (VDKIT, 'restore', '--quiet', '--repo', 'repo', 'latest', 'new',
               '--type', 'monolithicSparse')

    def reset(self):
        super().reset()
        self.run(*HugeBackup.command)


ROWS = (Sparse, SparseBack, Stream, StreamFast, StreamBack, Full, Incremental,
        Unchanged, Restore, Chain, HugeSparse, HugeStream, HugeMap, HugeBackup,
        HugeRestore)


def all_rows(data, out):
    return [row(data, out) for row in ROWS]
