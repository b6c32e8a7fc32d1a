#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""SIGINT and SIGTERM in the middle: status 130, and nothing half-made.

Each job is started with --progress json, and gets the signal when its first
line of progress shows that it is under way.

Usage: signals.py VDKIT"""
import os
import signal
import subprocess
import sys
import tempfile
import time

VDKIT = os.path.abspath(sys.argv[1])
ENV = {**os.environ, 'VDKIT_PROGRESS_INTERVAL': '0', 'LC_ALL': 'C.UTF-8'}
SIZE = 96 << 20
tests = 0

# Who runs us in the background, or under nohup, has signals ignored, and
# vdkit leaves an ignored signal ignored, as it should.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)


def files():
    found = []
    for folder, folders, names in os.walk('.'):
        found += [os.path.join(folder, n) for n in folders + names]
    return sorted(found)


def vdkit(*args, status=0):
    done = subprocess.run([VDKIT, *args], env=ENV, capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode == status, (args, done)
    return done.stdout


def interrupt(signo, *args, **kwargs):
    """Starts vdkit, sends SIGNO at the first progress; its messages. None
    when it was done before the signal came."""
    job = subprocess.Popen([VDKIT, *args, '--progress', 'json'], env=ENV,
                           stderr=subprocess.PIPE, text=True,
                           stdout=kwargs.pop('stdout', subprocess.DEVNULL),
                           **kwargs)
    said = job.stderr.readline()
    assert '"vdkit.progress/1"' in said, (args, said)
    if '"done":%d,' % SIZE in said:
        job.communicate()
        return None
    job.send_signal(signo)
    rest = job.communicate(timeout=60)[1]
    messages = [line for line in rest.split('\n')
                if line and not line.startswith('{')]
    if job.returncode == 0:
        return None
    assert job.returncode == 130, (args, job.returncode, rest)
    assert messages == ['vdkit: interrupted; nothing half-made is left '
                        'behind'], messages
    return messages


def check(signo, *args, needed=True, **kwargs):
    """Interrupted, the job leaves what was there. One that is too short to
    be met on a fast machine is not NEEDED."""
    global tests
    before = files()
    for _ in range(5):
        if interrupt(signo, *args, **kwargs):
            assert files() == before, (args, set(files()) ^ set(before))
            tests += 1
            return
        for new in reversed([n for n in files() if n not in before]):
            (os.rmdir if os.path.isdir(new) else os.unlink)(new)
    print('could not interrupt', args)
    if needed:
        sys.exit(1)


def check_piped(signo, kind):
    """The signal comes while half of the source is still to come."""
    global tests
    before = files()
    job = subprocess.Popen([VDKIT, 'convert', '-', 'b.vmdk', '--type', kind,
                            '--progress', 'json'], env=ENV, text=False,
                           stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    with open('s.vmdk', 'rb') as f:
        data = f.read()
    half = len(data) // 2
    job.stdin.write(data[:half])
    job.stdin.flush()
    # What is not read yet fills the pipe: the job goes on reading.
    time.sleep(0.3)
    job.send_signal(signo)
    try:
        job.stdin.write(data[half:])
        job.stdin.close()
    except BrokenPipeError:
        pass
    job.stdin = None
    said = job.communicate(timeout=60)[1].decode()
    assert job.returncode == 130, (kind, job.returncode, said)
    assert said.endswith('vdkit: interrupted; nothing half-made is left '
                         'behind\n'), said
    assert files() == before, (kind, set(files()) ^ set(before))
    tests += 1


def main():
    with open('a.raw', 'wb') as f:
        for _ in range(SIZE >> 20):
            f.write(os.urandom(1 << 19) + b'text ' * 104858)
        f.truncate(SIZE)
    check(signal.SIGINT, 'convert', 'a.raw', 'b.vmdk', '--type',
          'streamOptimized', '--level', '12')
    vdkit('convert', 'a.raw', 's.vmdk', '--type', 'streamOptimized', '--fast')
    check_piped(signal.SIGTERM, 'monolithicSparse')
    check_piped(signal.SIGHUP, 'twoGbMaxExtentFlat')
    check_piped(signal.SIGINT, 'raw')
    with open('b.vmdk', 'wb') as f:
        f.write(b'kept')
    check(signal.SIGINT, 'convert', 'a.raw', 'b.vmdk', '--overwrite', '--type',
          'streamOptimized', '--level', '12')
    with open('b.vmdk', 'rb') as f:
        assert f.read() == b'kept'
    os.unlink('b.vmdk')

    vm = 'vm'
    os.mkdir(vm)
    vdkit('convert', 'a.raw', 'vm/disk.vmdk')
    with open('vm/vm.vmx', 'w', encoding='ascii') as f:
        f.write('config.version = "8"\nvirtualHW.version = "19"\n'
                'displayName = "vm"\nscsi0.present = "TRUE"\n'
                'scsi0:0.present = "TRUE"\nscsi0:0.fileName = "disk.vmdk"\n')
    # A backup keeps what it stored; there is no point, and the next goes on.
    said = interrupt(signal.SIGINT, 'backup', vm, '--repo', 'repo', '--level',
                     '19')
    if said:
        assert 'no restore points' in vdkit('list', '--repo', 'repo')
    vdkit('verify', '--repo', 'repo', '--deep')
    vdkit('backup', vm, '--repo', 'repo')
    check(signal.SIGINT, 'restore', '--repo', 'repo', 'latest', 'new',
          '--type', 'streamOptimized')
    check(signal.SIGTERM, 'verify', '--repo', 'repo', '--deep', needed=False)
    vdkit('restore', '--repo', 'repo', 'latest', 'new')
    disk = [n for n in os.listdir('new') if n.endswith('.vmdk')][0]
    vdkit('compare', 'new/' + disk, 'a.raw')
    print(f'{tests} jobs interrupted')


if __name__ == '__main__':
    with tempfile.TemporaryDirectory(prefix='vdkit-signals.') as tmp:
        os.chdir(tmp)
        try:
            main()
        finally:
            os.chdir('/')
