#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Each public header compiles alone, twice, and with all _INITs, as C99 and
as C++. Arguments: the include directory, the C compiler."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

STRICT = ['-Wall', '-Wextra', '-pedantic', '-Werror', '-fsyntax-only']


def init_macros(text):
    """(struct, macro) of each struct with an _INIT in a header's text."""
    for macro in re.findall(r'^#define (VDK_\w+_INIT)\b', text, re.M):
        yield macro[:-len('_INIT')].lower(), macro


def program(header, include_dir):
    with open(os.path.join(include_dir, header), encoding='utf-8') as f:
        text = f.read()
    lines = [f'#include <{header}>'] * 2
    for number, (name, macro) in enumerate(init_macros(text)):
        lines += [f'struct {name} use{number}(void);',
                  f'struct {name} use{number}(void)',
                  f'{{ struct {name} s = {macro}; return s; }}']
    return '\n'.join(lines + ['extern int something_is_here;', ''])


def main():
    include_dir, cc = sys.argv[1], sys.argv[2:]
    cxx = next((c for c in ('c++', 'g++', 'clang++') if shutil.which(c)), None)
    compilers = [(cc + ['-std=c99'], 'c'), (cc + ['-std=c17'], 'c')]
    if cxx:
        compilers += [([cxx, '-std=c++11'], 'c++'),
                      ([cxx, '-std=c++20'], 'c++')]
    else:
        print('no C++ compiler: only C is tested')
    failed = 0
    headers = sorted(glob.glob(os.path.join(include_dir, 'vdkit', '*.h')))
    if len(headers) < 8:
        sys.exit('the public headers are not where they should be')
    with tempfile.TemporaryDirectory() as folder:
        for path in headers:
            header = os.path.relpath(path, include_dir)
            source = os.path.join(folder, 'use')
            with open(source, 'w', encoding='utf-8') as f:
                f.write(program(header, include_dir))
            for compiler, language in compilers:
                command = compiler + STRICT + [
                    '-I', include_dir, '-x', language, source]
                if subprocess.run(command, check=False).returncode:
                    print(f'{header}: fails with {" ".join(compiler)}')
                    failed += 1
    print(f'{len(headers)} headers, {len(compilers)} compilers, '
          f'{failed} failures')
    sys.exit(failed > 0)


main()
