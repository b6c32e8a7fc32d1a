#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What every file of the project keeps to, as far as a machine can see it:
licence line and head comment, width, blanks, no marks of unfinished work, and
nothing of the machine on which it was written."""
import os
import re
import sys

import tree

SOURCES = ('.c', '.h', '.py', '.sh')
WIDTH = 80
SHORT = 100  # lines of a source file that its header may explain
LICENCE = 'SPDX-License-Identifier: BSD-3-Clause'

# Put together here so that this file does not match itself.
MACHINE = re.compile('|'.join([
    r'(^|[^A-Za-z0-9_.-])/' + 'work/', '/bash_' + 'jobs', '/home/' + r'[a-z]',
    '/ro' + 'ot/', r'\bdeb\.[a-z]+\.' + 'org',
    r'\bregistry\.[a-z]+\.' + '(org|com)']), re.M)
UNFINISHED = re.compile(r'\b(' + '|'.join(
    ['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK']) + r')\b')


# [text](file), but no web address and no place within the page.
LINK = re.compile(r'\]\((?![a-z]+:|#)([^)#\s]+)[^)]*\)')


def is_source(path, text):
    return path.endswith(SOURCES) or text.startswith('#!')


def has_head(lines):
    """A comment that explains the file, behind the licence line."""
    return len(lines) > 1 and lines[1].startswith('/*')


def faults_of_source(path, text):
    lines = text.split('\n')
    head = lines[1] if lines[0].startswith('#!') else lines[0]
    if LICENCE not in head:
        yield 1, f'the first line is not the licence ({LICENCE})'
    if path.startswith('src/') and path.endswith('.c') and \
            not has_head(lines) and len(lines) > SHORT and \
            not has_head((tree.text(path[:-1] + 'h') or '').split('\n')):
        yield 2, 'no head comment that explains the file, nor in its header'
    for number, line in enumerate(lines, 1):
        if len(line) > WIDTH and 'http' not in line:
            yield number, f'{len(line)} columns, {WIDTH} are allowed'
        if UNFINISHED.search(line):
            yield number, 'a mark of unfinished work'


def faults_of_links(path, text, exists):
    """Links of a Markdown file that lead to no file of the project."""
    for match in LINK.finditer(text):
        target = os.path.normpath(
            os.path.join(os.path.dirname(path), match.group(1)))
        if not exists(target):
            yield text.count('\n', 0, match.start()) + 1, \
                f'links to {target}, which does not exist'


def in_project(target):
    return os.path.exists(os.path.join(tree.TOP, target))


def faults(path, text, exists=in_project):
    """Faults of one text file: (line, what)."""
    if is_source(path, text):
        yield from faults_of_source(path, text)
    if path.endswith('.md'):
        yield from faults_of_links(path, text, exists)
    for match in MACHINE.finditer(text):
        yield text.count('\n', 0, match.end()) + 1, \
            'names a path or host of one machine'
    # A corpus is as strangers wrote it.
    if '/corpus/' in path or '/data/' in path:
        return
    for match in re.finditer(r'[ \t]+$', text, re.M):
        yield text.count('\n', 0, match.start()) + 1, 'blanks at the end'
    if text and not text.endswith('\n'):
        yield text.count('\n') + 1, 'no newline at the end'


def self_test():
    ok = '/* ' + LICENCE + ' */\n/* Why. */\n'
    cases = [
        ('src/a/a.c', ok, 0),
        ('src/a/a.c', 'int x;\n/* Why. */\n', 1),
        ('src/a/a.c', '/* ' + LICENCE + ' */\n' + 'int x;\n' * SHORT, 1),
        ('src/a/a.c', ok + '// ' + 'x' * WIDTH + '\n', 1),
        ('src/a/a.c', ok + '/* TO' + 'DO */\n', 1),
        ('docs/a.md', 'see /wo' + 'rk/x\n', 1),
        ('docs/a.md', 'frame/work/x\n', 0),
        ('docs/a.md', 'blank \n', 1),
        ('docs/a.md', 'cut', 1),
        ('docs/a.md', '[a](b.md) [c](d.md#e) [f](http://g/h) [i](#j)\n', 1),
        ('run', '#!/bin/sh\necho\n', 1),
    ]
    for path, text, wanted in cases:
        got = list(faults(path, text, lambda name: name == 'docs/b.md'))
        assert len(got) == wanted, (path, text, got)
    print(f'{len(cases)} cases')


def main():
    self_test()
    count = found = 0
    for path in tree.files():
        text = tree.text(path)
        if text is None:
            continue
        count += 1
        for line, what in faults(path, text):
            print(f'{path}:{line}: {what}')
            found += 1
    print(f'{count} files, {found} faults')
    return 1 if found or count == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
