# SPDX-License-Identifier: BSD-3-Clause
"""The files of the project, for the checks beside this file."""
import os
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


def _git_files():
    # safe.directory: the build server's checkout may be another user's.
    done = subprocess.run(
        ['git', '-c', 'safe.directory=*', '-C', TOP, 'ls-files', '-z',
         '--cached', '--others', '--exclude-standard'],
        check=True, capture_output=True)
    return done.stdout.decode().split('\0')


def _walked_files():
    for folder, folders, names in os.walk(TOP):
        folders[:] = [f for f in folders
                      if not f.startswith('build') and f != '.git']
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), TOP)


def files():
    """Relative paths of all files that belong to the project, sorted. Without
    git (an unpacked archive) those that are there."""
    try:
        names = _git_files()
    except (OSError, subprocess.CalledProcessError):
        names = _walked_files()
    return sorted(n for n in set(names)
                  if n and os.path.isfile(os.path.join(TOP, n)))


def text(name):
    """Contents of a text file; None for a binary one, or when none is."""
    try:
        with open(os.path.join(TOP, name), 'rb') as f:
            data = f.read()
    except OSError:
        return None
    if b'\0' in data:
        return None
    try:
        return data.decode('utf-8')
    except UnicodeDecodeError:
        return None
