#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes a raw disk such as a Linux guest has: a GPT with one partition, in it
an ext4 full of this system's own files. Demo and bench start from it.

No mounting and no root: mke2fs copies a folder into the file system that it
makes. The folder is a sample of /usr (and of /opt and /var/lib when that is
too little): every n-th file that all users may read, so that programs,
libraries, documents and pictures keep their share. A small system that has
less than was wanted gives all that it has, with --again as often as it takes.
"""
import argparse
import os
import shutil
import stat
import subprocess
import sys

SECTOR = 512
PARTITION_START = 1 << 20
# GPT keeps its second copy behind the last partition.
PARTITION_GAP = 1 << 20
ROOTS = ('/usr', '/opt', '/var/lib')
FILE_MAX = 64 << 20
UUID = '5d0c1f1e-6f0a-4a62-9a11-76646b697401'


def tool_env():
    path = os.environ.get('PATH', '/usr/bin:/bin')
    return dict(os.environ, PATH=path + ':/usr/sbin:/sbin')


def files_below(root, avoid):
    """(path, size) of regular files that all users may read, sorted, on one
    file system; AVOID, where the sample itself goes, is left out."""
    device = os.stat(root).st_dev
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            f for f in folders
            if os.path.join(folder, f) != avoid and
            os.lstat(os.path.join(folder, f)).st_dev == device)
        for name in sorted(names):
            path = os.path.join(folder, name)
            try:
                st = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(st.st_mode) and st.st_mode & stat.S_IROTH and \
                    st.st_size <= FILE_MAX:
                yield path, st.st_size


def readable_files(wanted, avoid):
    """Files of the first roots that hold WANTED bytes together."""
    found = []
    for root in filter(os.path.isdir, ROOTS):
        found += files_below(root, avoid)
        if sum(size for _, size in found) >= wanted:
            break
    return found


def sample(found, wanted):
    """Every n-th of FOUND, about WANTED bytes in all."""
    total = sum(size for _, size in found)
    if total <= wanted:
        return found
    chosen, passed, taken = [], 0, 0
    for path, size in found:
        passed += size
        if taken + size / 2 <= passed * wanted / total:
            chosen.append((path, size))
            taken += size
    return chosen


def copy_tree(chosen, tree):
    """Copies; returns the bytes really there, since a file may have gone."""
    copied = 0
    for path, size in chosen:
        target = tree + path
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            shutil.copyfile(path, target)
        except OSError:
            continue
        os.chmod(target, 0o755 if os.access(path, os.X_OK) else 0o644)
        copied += size
    return copied


def partition(path, size):
    """A raw file of SIZE bytes with one partition; gives its length."""
    with open(path, 'wb') as f:
        f.truncate(size)
    length = size - PARTITION_START - PARTITION_GAP
    table = (f'label: gpt\nlabel-id: {UUID}\n'
             f'start={PARTITION_START // SECTOR}, size={length // SECTOR}, '
             'type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="root"\n')
    subprocess.run(['sfdisk', '--quiet', path], input=table, text=True,
                   check=True, env=tool_env())
    return length


def make_file_system(path, length, tree):
    """ext4 straight into its partition; lazy initialisation off, so that what
    is not used stays a hole of the file."""
    subprocess.run(
        ['mke2fs', '-q', '-F', '-t', 'ext4', '-b', '4096', '-L', 'vdkit-demo',
         '-U', UUID, '-m', '1', '-E',
         f'offset={PARTITION_START},lazy_itable_init=1,nodiscard',
         '-d', tree, path, f'{length // 1024}k'],
        check=True, env=tool_env())


def make(path, size, wanted, tree, again=False):
    """Makes the disk PATH and leaves the files in TREE; gives their bytes, and
    how many times each file is there."""
    chosen = sample(readable_files(wanted, os.path.abspath(tree)), wanted)
    copied, times = copy_tree(chosen, tree), 1
    once = copied
    while again and 0 < once and copied + once / 2 < wanted:
        times += 1
        copied += copy_tree(chosen, os.path.join(tree, f'again-{times}'))
    make_file_system(path, partition(path, size), tree)
    return copied, times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('disk', help='the raw file to make')
    parser.add_argument('--size', type=int, default=6 << 30)
    parser.add_argument('--data', type=int, default=1100 * 1000 * 1000)
    parser.add_argument('--again', action='store_true')
    parser.add_argument('--tree', required=True,
                        help='a new folder for the files')
    args = parser.parse_args()
    copied, times = make(args.disk, args.size, args.data, args.tree,
                         args.again)
    print(f'{copied / 1e6:.0f} MB of files' +
          (f', each {times} times: this system has no more'
           if times > 1 else '') +
          (', all that this system has' if copied < 0.9 * args.data and
           not args.again else ''))
    return 0


if __name__ == '__main__':
    sys.exit(main())
