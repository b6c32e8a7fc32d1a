#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The bar on a terminal: one line, as wide as the terminal at most, redrawn
in place, gone at the end; lines where there is none.

Usage: terminal.py VDKIT"""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios

VDKIT = os.path.abspath(sys.argv[1])
SIZE = 48 << 20


def on_terminal(columns, *args, term='xterm'):
    """Runs vdkit with stderr on a terminal; what it wrote there."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ,
                struct.pack('HHHH', 24, columns, 0, 0))
    job = subprocess.Popen([VDKIT, *args], stderr=slave,
                           stdout=subprocess.PIPE,
                           env={**os.environ, 'TERM': term,
                                'LC_ALL': 'C.UTF-8'})
    os.close(slave)
    text = b''
    while True:
        ready = select.select([master], [], [], 60)[0]
        assert ready, 'nothing more is said'
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        if not data:
            break
        text += data
    os.close(master)
    out = job.communicate()[0]
    assert job.returncode == 0, (args, job.returncode, text)
    return text.decode('utf-8'), out.decode('utf-8')


def check_bar(columns, name):
    text, out = on_terminal(columns, 'convert', 'a.raw', name, '--type',
                            'streamOptimized', '--level', '9')
    assert out.startswith(name + ': streamOptimized of 48.0 MiB'), out
    assert '\n' not in text, repr(text)
    drawn = text.split('\r')
    assert drawn[0] == '' and drawn[-1] == '\033[K', repr(text[-80:])
    bars = [line for line in drawn[1:-1]]
    assert bars, 'no bar was drawn'
    for line in bars:
        assert line.endswith('\033[K'), repr(line)
        line = line[:-3]
        assert len(line) < columns, (columns, line)
        assert '\033' not in line, repr(line)
    assert columns < 20 or any('%' in line for line in bars), bars
    percents = [int(p) for p in re.findall(r'(\d+)%', text)]
    assert percents == sorted(percents), percents
    assert max(percents, default=0) <= 100, percents
    if columns >= 100:
        assert any('MiB/s' in line for line in bars), bars
        assert any('[' in line and '#' in line for line in bars), bars
        assert any(line.startswith('a.raw') for line in bars), bars
    return len(bars)


def main():
    with open('a.raw', 'wb') as f:
        for _ in range(SIZE >> 20):
            f.write(os.urandom(1 << 19) + b'text ' * 104858)
        f.truncate(SIZE)
    count = 0
    for columns in (120, 80, 40, 20, 8, 1):
        count += check_bar(columns, f'{columns}.vmdk')
    # Not where a terminal cannot go back, not when it is not wanted.
    text, _ = on_terminal(80, 'convert', 'a.raw', 'dumb.raw', term='dumb')
    assert '\033' not in text and '%' not in text, repr(text)
    text, _ = on_terminal(80, 'convert', 'a.raw', 'quiet.raw', '--quiet')
    assert text == '', repr(text)
    # Not on a terminal: lines, now and then.
    done = subprocess.run(
        [VDKIT, 'convert', 'a.raw', 'lines.vmdk', '--type', 'streamOptimized',
         '--level', '9'], capture_output=True, text=True, check=True,
        env={**os.environ, 'VDKIT_PROGRESS_INTERVAL': '0.1'})
    assert '\033' not in done.stderr and '\r' not in done.stderr
    lines = done.stderr.split('\n')
    assert len(lines) > 1 and lines[0].startswith('a.raw: '), done.stderr
    done = subprocess.run(
        [VDKIT, 'convert', 'a.raw', 'none.vmdk'], capture_output=True,
        text=True, check=True)
    assert done.stderr == '', done.stderr  # it took less than 5 seconds
    print(f'{count} bars')


if __name__ == '__main__':
    with tempfile.TemporaryDirectory(prefix='vdkit-terminal.') as tmp:
        os.chdir(tmp)
        try:
            main()
        finally:
            os.chdir('/')
