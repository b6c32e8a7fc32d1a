#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What --json prints is what docs/guide/json.md shows.

The examples of the document are the schemas: an object has exactly the
members of the example, in its order; a value has the example's type, or is
null, or the example is null; elements of an array are as the example's first.

Usage: json_schemas.py VDKIT DOCUMENT"""
import json
import os
import re
import subprocess
import sys
import tempfile

VDKIT, DOCUMENT = (os.path.abspath(p) for p in sys.argv[1:3])
# Members whose object has keys that are data.
OPEN = {'metadata', 'disks'}
seen = set()


def schemas():
    with open(DOCUMENT, encoding='utf-8') as f:
        text = f.read()
    found = {}
    for heading, body in re.findall(
            r'^## (\S+): .*?\n```json\n(.*?)```', text, re.M | re.S):
        example = json.loads(body)
        assert example['schema'] == heading, heading
        found[heading] = example
    found['vdkit.vm-list/1']['vms'] = [
        {k: v for k, v in found['vdkit.vm-show/1'].items() if k != 'schema'}]
    return found


def kind(value):
    if isinstance(value, bool):
        return 'boolean'
    if isinstance(value, (int, float)):
        return 'number'
    return type(value).__name__


def conform(value, example, where):
    if value is None or example is None:
        return
    assert kind(value) == kind(example), (where, value, example)
    if isinstance(value, dict):
        if where.split('.')[-1] in OPEN:  # a snapshot's disks
            assert all(isinstance(v, str) for v in value.values()), where
            return
        assert list(value) == list(example), \
            (where, list(value), list(example))
        for key in value:
            conform(value[key], example[key], f'{where}.{key}')
    elif isinstance(value, list) and example:
        for i, element in enumerate(value):
            conform(element, example[0], f'{where}[{i}]')
    elif isinstance(value, int) and not isinstance(value, bool):
        # A size is never a fraction.
        assert isinstance(example, int) or isinstance(value, float), where


def run(schema, *args, status=(0,)):
    done = subprocess.run([VDKIT, *args, '--json'], capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode in status, (args, done)
    document = json.loads(done.stdout)
    assert document['schema'] == schema, (args, document)
    conform(document, SCHEMAS[schema], schema)
    # Nothing of it was null only because nothing was tried.
    seen.add(schema)
    return document


def make_vm():
    os.mkdir('mail')
    with open('mail/disk.raw', 'wb') as f:
        f.truncate(8 << 20)
        f.seek(1 << 20)
        f.write(os.urandom(300000))
    run('vdkit.convert/1', 'convert', 'mail/disk.raw', 'mail/mail.vmdk')
    run('vdkit.create/1', 'create', 'mail/mail-000001.vmdk', '--parent',
        'mail/mail.vmdk')
    with open('mail/mail.vmx', 'w', encoding='ascii') as f:
        f.write('config.version = "8"\nvirtualHW.version = "19"\n'
                'displayName = "mail"\nguestOS = "debian12-64"\n'
                'scsi0.present = "TRUE"\nscsi0:0.present = "TRUE"\n'
                'scsi0:0.fileName = "mail-000001.vmdk"\n')
    with open('mail/mail.vmsd', 'w', encoding='ascii') as f:
        f.write('snapshot.lastUID = "1"\nsnapshot.current = "1"\n'
                'snapshot0.uid = "1"\nsnapshot0.filename = "mail.vmsn"\n'
                'snapshot0.displayName = "before"\n'
                'snapshot0.createTimeHigh = "412000"\n'
                'snapshot0.createTimeLow = "1"\n'
                'snapshot0.numDisks = "1"\n'
                'snapshot0.disk0.fileName = "mail.vmdk"\n'
                'snapshot0.disk0.node = "scsi0:0"\n'
                'snapshot.numSnapshots = "1"\n')


def check_progress():
    done = subprocess.run(
        [VDKIT, 'convert', 'mail/disk.raw', 'p.raw', '--progress', 'json'],
        env={**os.environ, 'VDKIT_PROGRESS_INTERVAL': '0'},
        capture_output=True, text=True, check=True)
    for line in done.stderr.splitlines():
        document = json.loads(line)
        assert document['schema'] == 'vdkit.progress/1'
        conform(document, SCHEMAS['vdkit.progress/1'], 'progress')
        seen.add('vdkit.progress/1')


def check_backups():
    run('vdkit.init/1', 'init', '--repo', 'repo')
    first = run('vdkit.backup/1', 'backup', 'mail', '--repo', 'repo',
                status=(0, 3))
    assert first['parent'] is None and first['disks'][0]['method'] == 'full'
    second = run('vdkit.backup/1', 'backup', 'mail', '--repo', 'repo',
                 status=(0, 3, 4))
    assert second['parent'] == first['point']
    points = run('vdkit.list/1', 'list', '--repo', 'repo')['points']
    assert [p['id'] for p in points] == [first['point'], second['point']]
    changed = run('vdkit.diff/1', 'diff', '--repo', 'repo', first['point'],
                  second['point'])
    assert not changed['disks'][0]['extents'] and changed['complete']
    new = run('vdkit.restore/1', 'restore', '--repo', 'repo', 'latest', 'new')
    assert os.path.exists(new['vmx'])
    run('vdkit.restore/1', 'restore', '--repo', 'repo', 'latest', 'one',
        '--disk', 'scsi0:0')
    for level in ('--quick', '--packs', '--deep'):
        done = run('vdkit.verify/1', 'verify', '--repo', 'repo', level)
        assert done['level'] == level[2:] and done['points'] == 2
    run('vdkit.error/1', 'restore', '--repo', 'repo', 'nobody', 'x',
        status=(1,))


def main():
    run('vdkit.types/1', 'help', 'types')
    run('vdkit.error/1', 'info', 'nothing.vmdk', status=(1,))
    make_vm()
    info = run('vdkit.info/1', 'info', 'mail/mail-000001.vmdk')
    assert len(info['links']) == 2 and info['links'][0]['parent_cid']
    run('vdkit.info/1', 'info', 'mail/disk.raw')
    found = run('vdkit.map/1', 'map', 'mail/mail.vmdk')
    assert sum(e['length'] for e in found['extents']) == found['capacity']
    run('vdkit.map/1', 'map', '--single-link', 'mail/mail-000001.vmdk')
    run('vdkit.compare/1', 'compare', 'mail/mail.vmdk', 'mail/disk.raw')
    vms = run('vdkit.vm-list/1', 'vm', 'list', '.')['vms']
    assert [v['name'] for v in vms] == ['mail']
    vm = run('vdkit.vm-show/1', 'vm', 'show', 'mail')
    assert vm['snapshots'] and vm['files'] and vm['disks'][0]['links'] == 2
    check_progress()
    check_backups()
    assert seen == set(SCHEMAS), set(SCHEMAS) - seen
    print(f'{len(seen)} schemas')


SCHEMAS = schemas()
if __name__ == '__main__':
    with tempfile.TemporaryDirectory(prefix='vdkit-json.') as tmp:
        os.chdir(tmp)
        try:
            main()
        finally:
            os.chdir('/')
