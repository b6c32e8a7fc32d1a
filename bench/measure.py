# SPDX-License-Identifier: BSD-3-Clause
"""Runs a program and measures it: wall time, processor time, peak memory.

Peak memory is ru_maxrss of wait4(). The kernel counts in it what the child
held of us before exec, so that it never reads less than about 10 MB: small
beside what is asked here (256 MB), and the same for both sides.
"""
import os
import statistics
import subprocess
import time


class Failed(Exception):
    """A program that was to be measured ended with an error."""


class Result:
    def __init__(self, seconds, cpu, peak):
        self.seconds = seconds
        self.cpu = cpu
        self.peak = peak  # bytes


def run(command, cwd=None, env=None, stdout=None):
    """One timed run. Output goes to a file that is shown when it fails."""
    log = subprocess.DEVNULL if stdout is None else stdout
    with open(os.devnull, 'rb') as nothing, \
            open(os.path.join(cwd or '.', 'bench-stderr'), 'w+b') as errors:
        start = time.monotonic()
        child = subprocess.Popen(command, cwd=cwd, env=env, stdin=nothing,
                                 stdout=log, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            errors.seek(0)
            text = errors.read().decode(errors='replace')
            raise Failed(f'{" ".join(command)}\nended with '
                         f'{child.returncode}:\n{text[-2000:]}')
    return Result(seconds, usage.ru_utime + usage.ru_stime,
                  usage.ru_maxrss * 1024)


def settle():
    """What the last run left to be written must not slow down the next."""
    os.sync()


class Side:
    """All runs of one program in one row."""

    def __init__(self):
        self.results = []

    def seconds(self):
        return statistics.median(r.seconds for r in self.results)

    def cpu(self):
        return statistics.median(r.cpu for r in self.results)

    def peak(self):
        return max(r.peak for r in self.results)


def pairs(count, ours, peer, reset):
    """COUNT runs of each, alternating and with changing first; RESET makes
    room before each and is not timed. Gives both sides and the ratio of each
    pair."""
    sides, ratios = (Side(), Side()), []
    for number in range(count):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        for side in order:
            reset()
            settle()
            sides[side].results.append((ours, peer)[side]())
        ratios.append(sides[0].results[-1].seconds /
                      sides[1].results[-1].seconds)
    return sides[0], sides[1], ratios


def warm(*paths):
    """Reads files into the page cache, as both sides will find them."""
    for path in paths:
        with open(path, 'rb') as f:
            while f.read(1 << 24):
                pass


def tree_bytes(path):
    """Bytes of all files below PATH, as `du --apparent-size` counts them."""
    return sum(os.lstat(os.path.join(folder, name)).st_size
               for folder, _, names in os.walk(path) for name in names)
