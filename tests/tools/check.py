#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Builds and runs the tests, and counts them: `make check`, `make check-all`.

The last line is "N passed, N failed", and ", N skipped" when there were any.
What is counted: a test program that speaks TAP counts each of its cases, any
other test counts once. A program that fails in another way than by a case (a
crash, a time-out, a missing case, a leak that a sanitizer reports) counts as
one failure more, and so does a build that fails.

In check-all a skipped test is a failure. One exception: the tests of the
suite "corpus" need the sample images that stand beside the checkout as
../shared/data/corpus; where those are absent the skip is counted and said,
and allowed.
"""
import argparse
import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
CORPUS = os.path.join(os.path.dirname(TOP), 'shared', 'data', 'corpus')
TAP_CASE = re.compile(r'^(not )?ok\b(.*)$')
TAP_PLAN = re.compile(r'^1\.\.(\d+)')

SANITIZER_ENV = {
    'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=1:'
                    'allocator_may_return_null=1:'
                    'detect_stack_use_after_return=1',
    'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1',
    'TSAN_OPTIONS': 'halt_on_error=1:second_deadlock_stack=1',
}


class Build:
    """One configuration and the suites that run in it."""

    def __init__(self, name, compiler='gcc', options=(), suites=(), but=()):
        self.name = name
        self.compiler = compiler
        self.options = ['-Dwerror=true', *options]
        self.suites = suites
        self.but = but
        self.dir = os.path.join(TOP, 'build', name)


GCC = Build('check', but=('heavy',))
PLANS = {
    'check': [GCC],
    'check-all': [
        Build('clang', 'clang'),
        Build('asan', options=['-Db_sanitize=address,undefined'],
              suites=('fast',)),
        # Where threads meet: ThreadSanitizer makes the rest crawl.
        Build('tsan', options=['-Db_sanitize=thread'],
              suites=('unit', 'conformance'), but=('slow',)),
    ],
    'soak': [Build('check', suites=('soak',))],
}


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.notes = []

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.notes += other.notes

    def line(self):
        text = f'{self.passed} passed, {self.failed} failed'
        return text + (f', {self.skipped} skipped' if self.skipped else '')


def count_tap(text):
    """Cases of a TAP stream, and whether all that it planned are there."""
    count, planned, seen = Count(), None, 0
    for line in text.splitlines():
        plan, case = TAP_PLAN.match(line), TAP_CASE.match(line)
        if plan:
            planned = int(plan.group(1))
        elif case:
            seen += 1
            directive = case.group(2).partition('#')[2].strip().upper()
            if directive.startswith('SKIP'):
                count.skipped += 1
            elif case.group(1):
                count.failed += 1
            else:
                count.passed += 1
    return count, planned is None or planned == seen, seen > 0


def count_test(test):
    """One line of Meson's testlog.json."""
    text, result = test.get('stdout') or '', test['result']
    tap, complete, is_tap = count_tap(text)
    # Shell tests print what they like; only a plan makes it TAP.
    if is_tap and any(TAP_PLAN.match(line) for line in text.splitlines()):
        if tap.failed == 0 and (result not in ('OK', 'SKIP') or not complete):
            tap.failed += 1
        return tap
    count = Count()
    if result in ('OK', 'EXPECTEDFAIL'):
        count.passed = 1
    elif result == 'SKIP':
        count.skipped = 1
    else:
        count.failed = 1
    return count


def short_name(test):
    return test['name'].rpartition(' / ')[2]


def is_of_suite(test, suite):
    # "vdkit:unit+fast / base-error"
    suites = test['name'].rpartition(' / ')[0].rpartition(':')[2]
    return suite in suites.split('+')


def count_log(path, build, strict, have_corpus):
    total = Count()
    with open(path, encoding='utf-8', errors='replace') as log:
        for test in map(json.loads, log):
            count = count_test(test)
            where = f'{build.name}: {short_name(test)}'
            if count.failed:
                total.notes.append(f'FAILED   {where}: {test["result"]}')
            if count.skipped and strict and (
                    have_corpus or not is_of_suite(test, 'corpus')):
                total.notes.append(f'SKIPPED  {where}: a failure here')
                count.failed += count.skipped
                count.skipped = 0
            elif count.skipped:
                total.notes.append(f'skipped  {where}')
            total.add(count)
    return total


def run(command, **more):
    print('+ ' + ' '.join(command), flush=True)
    return subprocess.run(command, cwd=TOP, check=False, **more).returncode


def failed_build(build, what):
    count = Count()
    count.failed = 1
    count.notes.append(f'FAILED   {build.name}: {what}')
    return count


def configure(build):
    env = dict(os.environ, CC=build.compiler)
    if os.path.exists(os.path.join(build.dir, 'build.ninja')):
        return True
    options = list(build.options)
    if 'b_sanitize' in ' '.join(options) and build.compiler == 'clang':
        options.append('-Db_lundef=false')
    return run(['meson', 'setup', build.dir, *options], env=env,
               stdout=subprocess.DEVNULL) == 0


def without_aslr():
    """ThreadSanitizer wants a predictable address space where it can have it
    (kernels with 32 bits of randomness confuse it)."""
    probe = ['setarch', '-R', 'true']
    try:
        ok = subprocess.run(probe, check=False, stderr=subprocess.DEVNULL)
        return probe[:2] if ok.returncode == 0 else []
    except FileNotFoundError:
        return []


def run_build(build, strict):
    if not configure(build):
        return failed_build(build, 'cannot be configured')
    if run(['ninja', '-C', build.dir, '--quiet']) != 0:
        return failed_build(build, 'does not build')
    log = os.path.join(build.dir, 'meson-logs', 'testlog.json')
    if os.path.exists(log):
        os.unlink(log)
    command = ['meson', 'test', '-C', build.dir, '--no-rebuild',
               '--print-errorlogs']
    for suite in build.suites:
        command += ['--suite', suite]
    for suite in build.but:
        command += ['--no-suite', suite]
    if build.name in ('asan', 'tsan'):
        command += ['--timeout-multiplier', '5']
    env = dict(os.environ, **SANITIZER_ENV)
    prefix = without_aslr() if build.name == 'tsan' else []
    status = run(prefix + command, env=env)
    if not os.path.exists(log):
        if status == 0 and build.suites:
            return Count()  # no test of this suite yet
        return failed_build(build, 'the tests did not run')
    count = count_log(log, build, strict, os.path.isdir(CORPUS))
    if status != 0 and count.failed == 0:
        count.add(failed_build(build, f'meson test gave {status}'))
    return count


def self_test():
    """The counter itself, on logs that it must not take for success."""
    def one(result, stdout='', suite='unit'):
        return {'name': f'vdkit:{suite} / t', 'result': result,
                'stdout': stdout}

    cases = [
        (one('OK'), (1, 0, 0)),
        (one('FAIL'), (0, 1, 0)),
        (one('SKIP'), (0, 0, 1)),
        (one('TIMEOUT'), (0, 1, 0)),
        (one('OK', '1..2\nok 1 - a\nok 2 - b\n'), (2, 0, 0)),
        (one('FAIL', '1..2\nok 1 - a\nnot ok 2 - b\n'), (1, 1, 0)),
        (one('ERROR', '1..3\nok 1 - a\n'), (1, 1, 0)),
        (one('OK', '1..3\nok 1 - a\n'), (1, 1, 0)),
        (one('FAIL', '1..1\nok 1 - a\n'), (1, 1, 0)),
        (one('OK', '1..2\nok 1 - a\nok 2 # SKIP no x\n'), (1, 0, 1)),
        (one('OK', 'ok, all is well\n'), (1, 0, 0)),
    ]
    for test, wanted in cases:
        got = count_test(test)
        got = (got.passed, got.failed, got.skipped)
        assert got == wanted, (test, got, wanted)
    assert is_of_suite(one('SKIP', suite='corpus+fast'), 'corpus')
    assert not is_of_suite(one('SKIP', suite='corpuses'), 'corpus')
    print(f'{len(cases)} cases')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('plan', nargs='?', choices=sorted(PLANS),
                        default='check')
    parser.add_argument('--self-test', action='store_true')
    args = parser.parse_args()
    if args.self_test:
        self_test()
        return 0
    total = Count()
    for build in PLANS[args.plan]:
        total.add(run_build(build, strict=args.plan == 'check-all'))
    print()
    for note in total.notes:
        print(note)
    if not os.path.isdir(CORPUS):
        print('the sample images are not beside the checkout '
              '(../shared/data/corpus): their tests were skipped')
    print(total.line())
    return 1 if total.failed or total.passed == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
