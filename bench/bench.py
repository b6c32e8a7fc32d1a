#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The table of speed: each job by vdkit and by what a user would take instead,
in the same run, alternating, on warm caches. `make bench ROWS="sparse stream"`
runs some rows; without, all.

A row is met when the median of the ratios ours/peer of its pairs is at most
its target, and when what it makes is not larger than allowed. Results, with
every single run, go to DIR/results.json.
"""
import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time

import measure
import rows as table
from data import Data, TOP

MEMORY_LIMIT = 256 << 20


def megabytes(count):
    return f'{count / 1048576:.0f}'


def describe(run):
    return {'seconds': round(run.seconds, 4), 'cpu': round(run.cpu, 4),
            'peak': run.peak}


def versions():
    found = {}
    for program, flag in (('qemu-img', '--version'), ('restic', 'version'),
                          ('borg', '--version')):
        try:
            found[program] = subprocess.run(
                [program, flag], capture_output=True, text=True,
                check=True).stdout.splitlines()[0]
        except (OSError, subprocess.CalledProcessError):
            found[program] = None
    return found


def processor():
    with open('/proc/cpuinfo', encoding='utf-8') as f:
        for line in f:
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.machine()


def run_row(row, pairs):
    """One row; a program that fails fails the row, not the table."""
    print(f'{row.name:12} {row.title} ...', end='', flush=True)
    result = {'row': row.name, 'title': row.title, 'peer': row.peer_name,
              'target': row.target, 'limit': MEMORY_LIMIT}
    try:
        row.prepare()
        if row.peer:
            ours, peer, ratios = measure.pairs(pairs, row.ours, row.peer,
                                               row.reset)
            result['ratios'] = [round(r, 4) for r in ratios]
            result['ratio'] = round(measure.statistics.median(ratios), 4)
            result['peer_runs'] = [describe(r) for r in peer.results]
            result['peer_seconds'] = round(peer.seconds(), 4)
            result['peer_cpu'] = round(peer.cpu(), 4)
            result['peer_peak'] = peer.peak()
        else:
            ours = measure.Side()
            row.reset()
            ours.results.append(row.ours())
        result['runs'] = [describe(r) for r in ours.results]
        result['seconds'] = round(ours.seconds(), 4)
        result['cpu'] = round(ours.cpu(), 4)
        result['peak'] = ours.peak()
        notes = row.check()
        result['notes'] = [text for text, _ in notes]
        result['met'] = (
            all(good for _, good in notes) and
            result.get('ratio', 0) <= (row.target or 1) and
            result['peak'] <= MEMORY_LIMIT)
    except (measure.Failed, OSError, ValueError,
            subprocess.CalledProcessError) as error:
        result['error'] = str(error)
        result['met'] = False
    print(' failed' if 'error' in result else
          f' {result["seconds"]:.2f} s' +
          (f', {row.peer_name} {result["peer_seconds"]:.2f} s'
           if row.peer else ''), flush=True)
    return result


def print_table(results):
    head = ('job', 'ours', 'cpu', 'peer', 'cpu', 'ratio', 'at most',
            'peak MB', "peer's", '')
    lines = [head]
    for r in results:
        if 'error' in r:
            lines.append((r['title'], *[''] * (len(head) - 2), 'FAILED'))
            continue
        has_peer = 'ratio' in r
        lines.append((
            r['title'], f'{r["seconds"]:.2f} s', f'{r["cpu"]:.2f} s',
            f'{r["peer_seconds"]:.2f} s' if has_peer else '',
            f'{r["peer_cpu"]:.2f} s' if has_peer else '',
            f'{r["ratio"]:.3f}' if has_peer else '',
            f'{r["target"]:.3f}' if has_peer else '',
            megabytes(r['peak']),
            megabytes(r['peer_peak']) if has_peer else '',
            'met' if r['met'] else 'MISSED'))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    print()
    for line in lines:
        print('  '.join(
            text.ljust(width) if i in (0, len(head) - 1) else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths))).rstrip())
    for r in results:
        for note in r.get('notes', []):
            print(f'{r["row"]}: {note}')
        if 'error' in r:
            print(f'{r["row"]}: {r["error"]}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--dir', default=os.path.join(TOP, 'build', 'bench'))
    parser.add_argument('--pairs', type=int, default=5)
    parser.add_argument('--fresh', action='store_true',
                        help='make the data set again')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('rows', nargs='*', help='all by default')
    args = parser.parse_args()

    data = Data(os.path.join(os.path.abspath(args.dir), 'data'))
    out = os.path.join(os.path.abspath(args.dir), 'out')
    rows = table.all_rows(data, out)
    if args.list:
        for row in rows:
            print(f'{row.name:12} {row.title}')
        return 0
    unknown = set(args.rows) - {row.name for row in rows}
    if unknown:
        parser.error(f'no such row: {" ".join(sorted(unknown))}; there are '
                     f'{" ".join(row.name for row in rows)}')
    if args.fresh and os.path.exists(data.path('complete')):
        os.unlink(data.path('complete'))
    data.make()
    results = [run_row(row, args.pairs) for row in rows
               if not args.rows or row.name in args.rows]
    print_table(results)
    report = {'when': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
              'processor': processor(), 'processors': os.cpu_count(),
              'kernel': platform.release(), 'peers': versions(),
              'pairs': args.pairs, 'rows': results}
    path = os.path.join(args.dir, 'results.json')
    with open(path, 'w', encoding='utf-8') as f:
        json.dump(report, f, indent=1)
        f.write('\n')
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(out + '-keep', ignore_errors=True)
    missed = sum(not r['met'] for r in results)
    print(f'{len(results) - missed} met, {missed} missed; all runs in {path}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
