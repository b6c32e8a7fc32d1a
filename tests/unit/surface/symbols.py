#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What libvdkit exports: exactly the golden list, and each of it declared in
a public header with a comment. Arguments: library, golden list, header
folder. With --write, the golden list is made anew (only for additions)."""
import glob
import os
import re
import subprocess
import sys


def exported(library):
    out = subprocess.run(['nm', '-D', '--defined-only', library], check=True,
                         capture_output=True, text=True).stdout
    names = {line.split()[-1] for line in out.splitlines()}
    return {n.split('@')[0] for n in names if not n.startswith('LIBVDKIT_')}


def soname(library):
    out = subprocess.run(['objdump', '-p', library], check=True,
                         capture_output=True, text=True).stdout
    return re.search(r'SONAME\s+(\S+)', out).group(1)


def declared(folder):
    """Name: whether a comment stands before the declaration, or before the
    block of declarations (no empty line between) that it is in."""
    found = {}
    for path in glob.glob(os.path.join(folder, '*.h')):
        with open(path, encoding='utf-8') as f:
            text = f.read()
        for block in re.split(r'\n\s*\n', text):
            comment = False
            for part in re.split(r'(/\*.*?\*/)', block, flags=re.S):
                if part.startswith('/*'):
                    comment = True
                    continue
                for name in re.findall(r'\b(vdk_\w+)\s*\(', part):
                    if 'VDK_API' in part:
                        found[name] = found.get(name, False) or comment
    return found


def main():
    library, golden, folder = sys.argv[1:4]
    names = exported(library)
    if '--write' in sys.argv:
        with open(golden, 'w', encoding='ascii') as f:
            f.write('\n'.join(sorted(names)) + '\n')
    with open(golden, encoding='ascii') as f:
        wanted = set(f.read().split())
    declarations = declared(folder)
    faults = [f'{n}: exported, and not in the golden list'
              for n in sorted(names - wanted)]
    faults += [f'{n}: not exported any more' for n in sorted(wanted - names)]
    faults += [f'{n}: exported, and not declared in a public header'
               for n in sorted(names - set(declarations))]
    faults += [f'{n}: declared, and not exported'
               for n in sorted(set(declarations) - names)]
    faults += [f'{n}: not documented' for n, documented
               in sorted(declarations.items()) if not documented]
    if soname(library) != 'libvdkit.so.1':
        faults.append(f'the soname is {soname(library)}')
    for fault in faults:
        print(fault)
    print(f'{len(names)} symbols, {len(faults)} faults')
    sys.exit(bool(faults))


main()
