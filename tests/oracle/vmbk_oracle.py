#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A second reader of vmbk repositories, made from docs/formats/vmbk.md alone.

  vmbk_oracle.py list REPO
  vmbk_oracle.py check REPO
  vmbk_oracle.py disk REPO POINT KEY OUTPUT     ('-': only print its SHA-256)
  vmbk_oracle.py file REPO POINT NAME OUTPUT
  vmbk_oracle.py rebuild REPO    (check with an index made of the packs)

Plain and slow on purpose: it is here to say who is right.
"""
import hashlib
import json
import os
import re
import struct
import sys
import zlib
import zstandard

ZERO = bytes(32)
NODE = 16384
CHUNK_MAX = 4194304
PACK_MAX = 64 << 20
crc = zlib.crc32


class Damaged(Exception):
    pass


def need(condition, *what):
    if not condition:
        raise Damaged(' '.join(str(w) for w in what))


def sha256(data):
    return hashlib.sha256(data).digest()


# --- Objects (section 2) and sealed JSON (section 3) -------------------------

class Store:
    def __init__(self, root):
        self.root = root

    def get(self, key):
        return open(os.path.join(self.root, key), 'rb').read()

    def keys(self, prefix, pattern):
        for folder, _, names in os.walk(os.path.join(self.root, prefix)):
            for name in names:
                key = os.path.relpath(os.path.join(folder, name), self.root)
                if re.fullmatch(pattern, key):
                    yield key


def no_doubles(pairs):
    keys = [k for k, _ in pairs]
    need(len(keys) == len(set(keys)), 'a JSON key stands twice')
    return dict(pairs)


def unseal(name, text, limit):
    need(len(text) <= limit, name, 'is too large')
    seal = re.fullmatch(rb',"sha256":"([0-9a-f]{64})"}\n', text[-78:])
    need(seal, name, 'does not end with its checksum')
    need(sha256(text[:-78]).hex() == seal[1].decode(), name,
         'has a wrong checksum')
    try:
        value = json.loads(text.decode('utf-8'), object_pairs_hook=no_doubles)
    except ValueError as e:
        raise Damaged(name, e)
    need(isinstance(value, dict), name, 'is no object')
    return value


def number(o, key, limit=2**63 - 1):
    v = o.get(key)
    need(type(v) is int and 0 <= v <= limit, 'number', key, 'is wrong')
    return v


def text_of(o, key, pattern=r'[^\x00-\x08\x0a-\x1f\x7f]*', limit=4096):
    v = o.get(key)
    need(isinstance(v, str) and len(v.encode()) <= limit and
         re.fullmatch(pattern, v), 'text', key, 'is wrong')
    return v


def id_of(v):
    need(isinstance(v, str) and re.fullmatch('[0-9a-f]{64}', v),
         'an id is wrong')
    return bytes.fromhex(v)


# --- Packs (section 5) -------------------------------------------------------

class Record:
    """A record header; RAW is its 64 bytes."""

    def __init__(self, raw, offset):
        need(len(raw) == 64 and raw[:4] == b'VREC', 'no record at', offset)
        need(crc(raw[:60]) == struct.unpack('<I', raw[60:])[0],
             'record header at', offset, 'has a wrong checksum')
        (self.type, self.codec, self.flags, self.raw, self.stored,
         self.crc) = struct.unpack_from('<BBHIII', raw, 4)
        self.id = raw[28:60]
        self.offset = offset
        need(1 <= self.raw <= CHUNK_MAX, 'raw length at', offset)
        need(self.stored == self.raw if self.codec == 0
             else 1 <= self.stored < self.raw, 'stored length at', offset)

    def toc_entry(self):
        return self.id + struct.pack('<IIIIBBHI', self.offset, self.raw,
                                     self.stored, self.crc, self.type,
                                     self.codec, self.flags, 0)

    def decode(self, stored):
        need(len(stored) == self.stored, 'chunk is cut at', self.offset)
        need(crc(stored) == self.crc, 'chunk checksum at', self.offset)
        if self.codec == 0:
            raw = stored
        else:
            need(self.codec == 1, 'codec at', self.offset)
            try:
                raw = zstandard.ZstdDecompressor().decompress(
                    stored, max_output_size=self.raw)
            except zstandard.ZstdError as e:
                raise Damaged('zstd at', self.offset, e)
        need(len(raw) == self.raw, 'decoded length at', self.offset)
        need(sha256(raw) == self.id, 'SHA-256 of chunk at', self.offset)
        return raw


def parse_pack(data):
    """All records of a pack, everything checked but the chunks."""
    need(96 <= len(data) <= PACK_MAX, 'size')
    need(data[:8] == b'VMBKPACK', 'magic')
    need(crc(data[:60]) == struct.unpack('<I', data[60:64])[0],
         'header checksum')
    need(struct.unpack('<HHI', data[8:16]) == (1, 64, 0), 'version')
    footer = data[-32:]
    need(footer[:8] == b'VMBKTOC1', 'footer magic')
    toc, count, toc_crc = struct.unpack('<III', footer[8:20])
    need(crc(footer[:28]) == struct.unpack('<I', footer[28:])[0],
         'footer checksum')
    need(toc + 56 * count + 32 == len(data), 'table of contents: place')
    entries = data[toc:-32]
    need(crc(entries) == toc_crc, 'table of contents: checksum')
    records, at = [], 64
    while at < toc:
        r = Record(data[at:at + 64], at)
        records.append(r)
        at += 64 + r.stored
    need(at == toc, 'the last record')
    need(b''.join(r.toc_entry() for r in records) == entries,
         'table of contents')
    return records


# --- Index runs (section 6) --------------------------------------------------

def parse_run(data):
    """[(id, pack name, pack size, offset, stored length)]"""
    need(len(data) % 4096 == 0 and data[:8] == b'VMBKINDX', 'magic')
    pages = [data[i:i + 4096] for i in range(0, len(data), 4096)]
    for page in pages:
        need(crc(page[:4092]) == struct.unpack('<I', page[4092:])[0],
             'page checksum')
    version, size, flags, entries, packs = struct.unpack('<HHIQI', data[8:28])
    need((version, size, flags) == (1, 44, 0), 'version')
    pack_pages, entry_pages = -(-packs // 102), -(-entries // 93)
    need(entries and packs and len(pages) == 1 + pack_pages + entry_pages,
         'size')
    fanout = struct.unpack('<256I', data[64:1088])

    def item(first_page, per_page, length, i):
        page, at = pages[first_page + i // per_page], i % per_page * length
        return page[at:at + length]

    names = []
    for i in range(packs):
        e = item(1, 102, 40, i)
        names.append((e[:32], struct.unpack('<I', e[32:36])[0]))
    result, last = [], b''
    for i in range(entries):
        e = item(1 + pack_pages, 93, 44, i)
        pack, offset, stored = struct.unpack('<III', e[32:])
        need(e[:32] > last and pack < packs, 'entry', i)
        last = e[:32]
        name, pack_size = names[pack]
        need(offset >= 64 and 1 <= stored <= CHUNK_MAX and
             offset + 64 + stored <= pack_size, 'entry', i, 'points nowhere')
        result.append((last, name, pack_size, offset, stored))
    counts, at = [0] * 256, 0
    for e in result:
        counts[e[0][0]] += 1
    for b in range(256):
        at += counts[b]
        need(fanout[b] == at, 'fan-out', b)
    return result


# --- The repository ----------------------------------------------------------

class Repo:
    def __init__(self, root):
        self.store = Store(root)
        c = unseal('vmbk.json', self.store.get('vmbk.json'), 1 << 20)
        need((c.get('format'), c.get('version')) == ('vmbk', 1), 'version')
        need(c.get('hash') == 'sha256' and c.get('incompat') == [], 'features')
        self.uuid = text_of(c, 'uuid')
        self.size = number(c, 'chunk_size', CHUNK_MAX)
        need(self.size >= 65536 and self.size & (self.size - 1) == 0,
             'chunk size')
        self.places, self.packs = {}, {}

    def load_index(self):
        for key in self.store.keys('index', r'index/[0-9a-f]{8}/[0-9a-f]{64}'):
            data = self.store.get(key)
            need(sha256(data).hex() == key[-64:], key, 'is not its name')
            for e in parse_run(data):
                self.places[e[0]] = e[1:]

    def index_from_packs(self):
        for key in self.pack_keys():
            data = self.store.get(key)
            for r in parse_pack(data):
                self.places[r.id] = (bytes.fromhex(key[-64:]), len(data),
                                     r.offset, r.stored)

    def pack_keys(self):
        return self.store.keys('pack', r'pack/([0-9a-f]{2})/\1[0-9a-f]{62}')

    def chunk(self, name, length):
        if name == ZERO:
            return bytes(length)
        need(name in self.places, 'chunk', name.hex(), 'is in no index run')
        pack, size, offset, stored = self.places[name]
        if pack not in self.packs:
            if len(self.packs) > 8:
                self.packs.pop(next(iter(self.packs)))
            x = pack.hex()
            self.packs[pack] = self.store.get('pack/%s/%s' % (x[:2], x))
        data = self.packs[pack]
        need(len(data) == size, 'pack', pack.hex(), 'has a wrong size')
        r = Record(data[offset:offset + 64], offset)
        need((r.id, r.stored, r.raw) == (name, stored, length), 'entry', offset)
        return r.decode(data[offset + 64:offset + 64 + stored])

    def chunks(self, root, size):
        """(number, id, length) of each chunk of a disk that is not zero."""
        count = -(-size // self.size)
        levels = 1
        while 512 ** levels < count:
            levels += 1

        def walk(name, level, index):
            if name == ZERO:
                return
            if level < 0:
                need(index < count, 'the map goes on behind the end')
                yield index, name, min(self.size, size - index * self.size)
                return
            node = self.chunk(name, NODE)
            for i in range(512):
                yield from walk(node[32 * i:32 * i + 32], level - 1,
                                512 * index + i)

        return walk(root, levels - 1, 0)

    # --- Manifests (section 8)

    def point_keys(self):
        keys = self.store.keys('vm', r'vm/[0-9a-f-]{36}/'
                               r'\d{8}t\d{6}z-[0-9a-f]{8}\.json')
        return sorted(keys, key=lambda k: k.split('/')[2])

    def point(self, key):
        p = unseal(key, self.store.get(key), 16 << 20)
        need(p.get('format') == 'vmbk-point' and p.get('version') == 1, key)
        need(p.get('repo') == self.uuid, key, 'is of another repository')
        need('vm/%s/%s.json' % (p.get('vm_uuid'), p.get('id')) == key, key,
             'is at a wrong place')
        for field in 'vm_name', 'source', 'tool', 'host': text_of(p, field)
        for d in p['disks']:
            text_of(d, 'key', r'[A-Za-z0-9:._-]{1,64}')
            number(d, 'size', 2**60)
            id_of(d.get('root'))
            need(d['method'] in ('full', 'ranges', 'compare'), 'method')
        for f in p['files']:
            name = text_of(f, 'name', r'[^/\x00-\x1f\x7f]+', 255)
            need(name not in ('.', '..'), 'name')
            need(len(f['chunks']) == -(-number(f, 'size', 1 << 26) //
                                       self.size), 'chunks of', name)
        for group, key_name in ('disks', 'key'), ('files', 'name'):
            names = [x[key_name] for x in p[group]]
            need(len(names) == len(set(names)), group, 'have double names')
        return p

    def find(self, wanted):
        for key in reversed(self.point_keys()):
            if wanted == 'latest' or key.split('/')[2] == wanted + '.json':
                return self.point(key)
        raise Damaged('no restore point', wanted)

    def file_bytes(self, f):
        data = b''.join(
            self.chunk(id_of(c), min(self.size, f['size'] - i * self.size))
            for i, c in enumerate(f['chunks']))
        need(sha256(data) == id_of(f['sha256']), 'file', f['name'])
        return data


# --- Commands ----------------------------------------------------------------

def do_list(repo):
    for key in repo.point_keys():
        p = repo.point(key)
        print(p['id'], p['vm_uuid'], p['vm_name'])
        for d in p['disks']:
            print('  disk', d['key'], d['size'], d['method'])
        for f in p['files']:
            print('  file', f['name'], f['size'])


def do_check(repo, rebuild=False):
    for key in repo.pack_keys():
        data = repo.store.get(key)
        need(sha256(data).hex() == key[-64:], key, 'is not its name')
        for r in parse_pack(data):
            r.decode(data[r.offset + 64:r.offset + 64 + r.stored])
    if rebuild:
        repo.index_from_packs()
    else:
        repo.load_index()
    for key in repo.point_keys():
        p = repo.point(key)
        for d in p['disks']:
            total = 0
            for _, name, length in repo.chunks(id_of(d['root']), d['size']):
                need(name in repo.places, key, 'chunk', name.hex())
                total += length
            need(total == d['bytes_data'], key, 'bytes_data is', total)
        for f in p['files']:
            repo.file_bytes(f)
    print('ok', len(repo.places), 'chunks')


def do_disk(repo, point, key, output):
    repo.load_index()
    disks = [d for d in repo.find(point)['disks'] if d['key'] == key]
    need(disks, 'no disk', key)
    size, at, digest = disks[0]['size'], 0, hashlib.sha256()
    out = None if output == '-' else open(output, 'wb')

    def zeroes(end):
        for i in range(at, end, 1 << 20):
            digest.update(bytes(min(end - i, 1 << 20)))

    for index, name, length in repo.chunks(id_of(disks[0]['root']), size):
        data, offset = repo.chunk(name, length), index * repo.size
        zeroes(offset)
        digest.update(data)
        at = offset + length
        if out:
            out.seek(offset)
            out.write(data)
    zeroes(size)
    if out:
        out.truncate(size)
        out.close()
    print(digest.hexdigest())


def do_file(repo, point, name, output):
    repo.load_index()
    files = [f for f in repo.find(point)['files'] if f['name'] == name]
    need(files, 'no file', name)
    open(output, 'wb').write(repo.file_bytes(files[0]))


def do_rebuild(repo):
    do_check(repo, True)


def main():
    command = globals().get('do_' + ''.join(sys.argv[1:2]))
    if len(sys.argv) < 3 or not command:
        sys.exit(__doc__)
    try:
        command(Repo(sys.argv[2]), *sys.argv[3:])
    except (Damaged, OSError, KeyError, TypeError) as e:
        sys.exit('vmbk_oracle: ' + ' '.join(map(str, e.args)))


if __name__ == '__main__':
    main()
