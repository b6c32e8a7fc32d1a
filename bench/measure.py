# SPDX-License-Identifier: BSD-3-Clause
"""Runs a program and measures it: wall time, processor time, peak memory.

Memory and processor time are what GNU time says. wait4() here would not do:
the kernel counts in a child's peak what its parent held when it was started,
and Python holds tens of megabytes.
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


def run(command, cwd=None, env=None):
    """One timed run. What it says is shown when it fails."""
    said = os.path.join(cwd or '.', 'bench-said')
    used = os.path.join(cwd or '.', 'bench-used')
    with open(said, 'w+b') as log:
        start = time.monotonic()
        status = subprocess.run(
            ['/usr/bin/time', '-q', '-f', '%U %S %M', '-o', used, *command],
            cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, check=False).returncode
        seconds = time.monotonic() - start
        if status != 0:
            log.seek(0)
            text = log.read().decode(errors='replace')
            raise Failed(f'{" ".join(command)}\nended with {status}:\n'
                         f'{text[-2000:]}')
    with open(used, encoding='ascii') as f:
        user, system, kilobytes = f.read().split()
    return Result(seconds, float(user) + float(system), int(kilobytes) * 1024)


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
