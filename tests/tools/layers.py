#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Refuses an #include that points up or sideways (docs/ARCHITECTURE.md).

The folders under src/ are layers. A file may include headers of its own
folder and of the layers that MAY_USE names for it. Three more rules:
- of another layer only what stands at its top: format/format.h, never
  format/vmdk/vmdk.h. A driver is known to nobody, its interface to all;
- a driver may include the header of the interface that it implements, even
  from above (INTERFACES);
- what a user of the public API cannot do, the programs cannot either: cli,
  daemon and nbdkit see <vdkit/...> and themselves.
"""
import re
import sys

import tree

# From the bottom up; each may use what stands in its row.
MAY_USE = {
    'base': '',
    'file': 'base',
    'net': 'base',
    'format': 'base file',
    'transport': 'base file net',
    'disk': 'base file format transport',
    'store': 'base file net',
    'host': 'base file net format disk transport',
    'copy': 'base file disk',
    'volume': 'base file disk',
    'repo': 'base file store disk copy',
    'backup': 'base file format disk host store copy repo volume',
    'surface': 'base file format disk host store copy repo volume backup',
    'cli': '',
    'daemon': '',
    'nbdkit': '',
}
MAY_USE = {layer: set(below.split()) for layer, below in MAY_USE.items()}

# Header of an interface: the layers whose drivers implement it.
INTERFACES = {
    'disk/link.h': {'format', 'transport', 'repo'},
    'copy/copy.h': {'format', 'transport', 'repo', 'disk'},
}

# Libraries that only some layers may call, so that a program which opens a
# disk does not carry what backups need.
LIBRARIES = {
    'libdeflate.h': {'base', 'format', 'repo'},
    'zstd.h': {'repo'},
    'openssl/': {'repo', 'net', 'transport'},
    'jansson.h': {'repo', 'backup', 'host', 'cli', 'daemon', 'nbdkit'},
}

# The words that all layers share; the rest of the public API is surface/'s.
PUBLIC_FOR_ALL = {'vdkit/error.h', 'vdkit/error_codes.h', 'vdkit/types.h'}
PROGRAMS = {'cli', 'daemon', 'nbdkit'}
FACES = {'surface'} | PROGRAMS

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)


def fault_of_own_header(folder, path, header):
    """HEADER is named with quotes; PATH includes it."""
    parts = header.split('/')
    if len(parts) < 2:
        return None if folder in PROGRAMS else \
            f'name the folder too: "{folder}/..."'
    layer = parts[0]
    if layer == folder:
        own = path.split('/')[1:-1]
        if len(parts) > 2 and parts[:-1] != own[:len(parts) - 1] and \
                len(own) > 1:
            return 'another driver of the same layer'
        return None
    if folder in INTERFACES.get(header, ()):
        return None
    if layer not in MAY_USE:
        return f'no layer is called {layer}'
    if layer not in MAY_USE[folder]:
        return f'{folder}/ may not use {layer}/'
    if len(parts) > 2:
        return f'the inside of {layer}/; only its top may be used'
    return None


def fault_of_system_header(folder, header):
    if header.startswith('vdkit/'):
        if folder in FACES or header in PUBLIC_FOR_ALL:
            return None
        return 'the public API, which stands above'
    for prefix, layers in LIBRARIES.items():
        if header.startswith(prefix) and folder not in layers:
            return f'{folder}/ may not use that library'
    return None


def faults(path, text):
    """Faults of one file: (line, header, reason)."""
    parts = path.split('/')
    for match in INCLUDE.finditer(text):
        header, reason = match.group(2), None
        if parts[0] == 'include':
            if match.group(1) == '"':
                reason = 'a public header includes only installed ones'
        elif parts[1] not in MAY_USE:
            reason = f'tests/tools/layers.py does not know {parts[1]}/'
        elif match.group(1) == '"':
            reason = fault_of_own_header(parts[1], path, header)
        else:
            reason = fault_of_system_header(parts[1], header)
        if reason:
            yield text.count('\n', 0, match.start()) + 1, header, reason


def self_test():
    refused = [
        ('src/base/a.c', '#include "file/file.h"'),
        ('src/format/raw/raw.c', '#include "disk/disk.h"'),
        ('src/format/raw/raw.c', '#include "format/vmdk/vmdk.h"'),
        ('src/disk/open.c', '#include "format/vmdk/vmdk.h"'),
        ('src/host/local.c', '#include "repo/repo.h"'),
        ('src/store/dir.c', '#include "disk/link.h"'),
        ('src/cli/info.c', '  # include "disk/disk.h"'),
        ('src/disk/disk.c', '#include <vdkit/vdkit.h>'),
        ('src/disk/disk.c', '#include <openssl/evp.h>'),
        ('src/nowhere/x.c', '#include "base/mem.h"'),
        ('src/base/a.c', '#include "mem.h"'),
        ('include/vdkit/disk.h', '#include "base/mem.h"'),
    ]
    allowed = [
        ('src/format/vmdk/vmdk.c', '#include "disk/link.h"'),
        ('src/format/vmdk/vmdk.c', '#include "format/vmdk/vmdk.h"'),
        ('src/format/vmdk/stream.c', '#include "copy/copy.h"'),
        ('src/format/format.c', '#include "format/vmdk/vmdk.h"'),
        ('src/disk/open.c', '#include "format/format.h"'),
        ('src/surface/disk.c', '#include <vdkit/disk.h>'),
        ('src/cli/info.c', '#include "cli.h"'),
        ('src/repo/chunk.c', '#include <openssl/evp.h>'),
    ]
    for path, text in refused:
        assert list(faults(path, text)), (path, text)
    for path, text in allowed:
        assert not list(faults(path, text)), (path, text)
    print(f'{len(refused) + len(allowed)} cases')


def main():
    self_test()
    count = found = 0
    for path in tree.files():
        if not path.startswith(('src/', 'include/')) or \
                not path.endswith(('.c', '.h')):
            continue
        count += 1
        for line, header, reason in faults(path, tree.text(path) or ''):
            print(f'{path}:{line}: {header}: {reason}')
            found += 1
    print(f'{count} files, {found} faults')
    return 1 if found or count == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
