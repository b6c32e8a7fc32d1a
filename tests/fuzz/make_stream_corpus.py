#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the first inputs of fuzz_stream: small streams in every layout.

    make_stream_corpus.py DIRECTORY

Small in every number (grains of 4 KiB, tables of 4 entries), so that a fuzzer
reaches each field often. Uses nothing of vdkit, only zlib."""
import os
import struct
import sys
import zlib

GRAIN = 8  # sectors
GTES = 4
GRAINS = 11
AT_END = 0xffffffffffffffff
TEXT = (b'# Disk DescriptorFile\nversion=1\nCID=12345678\n'
        b'parentCID=ffffffff\ncreateType="streamOptimized"\n'
        b'RDONLY 85 SPARSE "x.vmdk"\n')


def header(gd, overhead, flags=0x30001, capacity=GRAIN * GRAINS - 3):
    return struct.pack('<4sIIQQQQIQQQB4sH', b'KDMV', 3, flags, capacity,
                       GRAIN, 1, 1, GTES, 0, gd, overhead, 0, b'\n \r\n',
                       1).ljust(512, b'\0')


def pad(data):
    return data + b'\0' * (-len(data) % 512)


def guest(grain):
    return (b'%d bottles of beer ' % grain * 300)[:GRAIN * 512]


def block(grain, markers=True, raw=False, length=GRAIN * 512):
    data = zlib.compress(guest(grain)[:length], 6)
    if raw:
        data = data[2:-4]
    if not markers:
        return pad(struct.pack('<I', len(data)) + data)
    return pad(struct.pack('<QI', grain * GRAIN, len(data)) + data)


def marker(kind, sectors=0):
    return struct.pack('<QII', sectors, 0, kind).ljust(512, b'\0')


def export(grains, count=1, keep_alive=False, raw=False):
    """Tables behind their grains, footer. COUNT 0: in no marker."""
    out = header(AT_END, 2) + pad(TEXT)
    gd = []
    for gt in range(-(-GRAINS // GTES)):
        entries = [0] * GTES
        if keep_alive:
            out += marker(4)
        for grain in grains:
            if grain // GTES == gt:
                entries[grain % GTES] = len(out) // 512
                out += block(grain, raw=raw)
        gd.append(len(out) // 512 + 1 if any(entries) else 0)
        if any(entries):
            out += marker(1, count)
            out += pad(struct.pack('<%dI' % GTES, *entries))
    out += marker(2, count)
    at = len(out) // 512
    out += pad(struct.pack('<%dI' % len(gd), *gd))
    return out + marker(3, count) + header(at, 2) + marker(0)


def local(grains, flags=0x30001, eos=True):
    """Tables in front."""
    count = -(-GRAINS // GTES)
    overhead = 2 + 1 + count
    blocks, entries = b'', [0] * (count * GTES)
    for grain in grains:
        entries[grain] = overhead + len(blocks) // 512
        short = (GRAIN - 3) * 512 if grain == GRAINS - 1 else GRAIN * 512
        blocks += block(grain, flags & 0x20000, length=short)
    out = header(2, overhead, flags) + pad(TEXT)
    out += pad(struct.pack('<%dI' % count, *(3 + i for i in range(count))))
    for gt in range(count):
        out += pad(struct.pack('<%dI' % GTES,
                               *entries[gt * GTES:(gt + 1) * GTES]))
    return out + blocks + (marker(0) if eos else b'')


INPUTS = {
    'export': export([0, 1, 3, 9]),
    'export-empty': export([]),
    'export-keep-alive-no-counts': export([2, 8], count=0, keep_alive=True),
    'export-raw-deflate': export([5], raw=True) + b'\0' * 700,
    'export-cut': export([0, 1, 3, 9])[:-2000],
    'local': local([0, 1, 3, 10]),
    'local-out-of-order': local([7, 2, 10]),
    'qemu': local([0, 4, 10], flags=0x30003, eos=False),
    'no-markers': local([0, 1, 6], flags=0x10001, eos=False),
}

for name, data in INPUTS.items():
    with open(os.path.join(sys.argv[1], name), 'wb') as f:
        f.write(data)
