#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every C file is as clang-format makes it (.clang-format). Other versions
than Debian 12's break lines elsewhere, so that only that one is asked."""
import re
import subprocess
import sys

import tree

VERSION = '14'


def main():
    try:
        said = subprocess.run(['clang-format', '--version'], check=True,
                              capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        print('no clang-format')
        return 77
    version = re.search(r'version (\d+)', said)
    if not version or version.group(1) != VERSION:
        print(f'clang-format {VERSION} is wanted: {said.strip()}')
        return 77
    names = [n for n in tree.files() if n.endswith(('.c', '.h'))]
    done = subprocess.run(
        ['clang-format', '--style=file', '--dry-run', '--Werror', *names],
        cwd=tree.TOP, check=False, stderr=subprocess.PIPE, text=True)
    wrong = sorted(set(re.findall(r'^(\S+?):\d+:\d+: error', done.stderr,
                                  re.M)))
    print(f'{len(names)} files, {len(wrong)} to format', *wrong, sep='\n  ')
    return 1 if done.returncode or not names else 0


if __name__ == '__main__':
    sys.exit(main())
