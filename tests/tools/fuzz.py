#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs libFuzzer over the fuzz targets: `make fuzz`.

Each target starts from tests/fuzz/corpus/<name>/ and keeps what it finds in
build/fuzz/found/<name>/; an input that breaks something is left there as
crash-*, and is the next file of the corpus once it is mended.
"""
import argparse
import glob
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.join(TOP, 'build', 'fuzz')


def build():
    env = dict(os.environ, CC='clang')
    if not os.path.exists(os.path.join(BUILD, 'build.ninja')):
        subprocess.run(
            ['meson', 'setup', BUILD, '-Dfuzzing=true', '-Db_lundef=false',
             '-Db_sanitize=address,undefined'],
            cwd=TOP, env=env, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(['ninja', '-C', BUILD, '--quiet'], cwd=TOP, check=True)


def fuzz(target, seconds):
    name = os.path.basename(target).removeprefix('fuzz-')
    found = os.path.join(BUILD, 'found', name)
    corpus = os.path.join(TOP, 'tests', 'fuzz', 'corpus', name)
    os.makedirs(found, exist_ok=True)
    print(f'== {name}: {seconds} s', flush=True)
    return subprocess.run(
        [target, f'-max_total_time={seconds}', '-rss_limit_mb=512',
         '-timeout=10', '-max_len=262144', '-print_final_stats=1',
         '-verbosity=0', f'-artifact_prefix={found}/', found, corpus],
        check=False).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=int, default=60)
    parser.add_argument('targets', nargs='*', help='fuzz-NAME; all by default')
    args = parser.parse_args()
    build()
    all_targets = sorted(
        path for path in glob.glob(os.path.join(BUILD, 'tests/fuzz/fuzz-*'))
        if os.access(path, os.X_OK) and os.path.isfile(path))
    wanted = [path for path in all_targets
              if not args.targets or os.path.basename(path) in args.targets]
    if not wanted:
        print('no such fuzz target; there are:',
              *map(os.path.basename, all_targets), file=sys.stderr)
        return 1
    broken = [os.path.basename(path) for path in wanted
              if fuzz(path, args.seconds) != 0]
    print(f'{len(wanted)} targets, {len(broken)} broken', *broken)
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
