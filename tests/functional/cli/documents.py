#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Help, manual and completion say the same.

The verbs are those of `vdkit help`, the options those of `vdkit VERB --help`.
Each verb has a page with the same operands and the same options, letters and
arguments included; vdkit(1) lists the verbs; the completion knows verbs and
options, and gives them when bash asks it to.

Usage: documents.py VDKIT MAN-FOLDER [COMPLETION]
"""
import os
import re
import subprocess
import sys
import tempfile

VDKIT, MAN = sys.argv[1], sys.argv[2]
problems = []


def check(ok, what):
    if not ok:
        problems.append(what)


def run(*args):
    done = subprocess.run([VDKIT, *args], capture_output=True, text=True,
                          timeout=30, check=False)
    check(done.returncode == 0, f'{args}: status {done.returncode}')
    check(done.stderr == '', f'{args}: stderr {done.stderr!r}')
    for line in done.stdout.splitlines():
        check(len(line) < 80, f'{args}: a line of {len(line)} columns')
    return done.stdout


def verbs():
    text = run('help').split('Verbs:\n')[1].split('\n\n')[0]
    return re.findall(r'^  ([a-z]+(?: [a-z]+)?)\s{2,}\S', text + '\n', re.M)


def help_options(text):
    """{long name: (letter, argument)}"""
    found = {}
    pattern = r'^  (?:-(\w), |    )--([a-z0-9-]+)(?: ([A-Z]+))?(?:\s|$)'
    for letter, name, arg in re.findall(pattern, text, re.M):
        check(name not in found, f'--{name} twice')
        found[name] = (letter, arg)
    return found


def page(name):
    text = ''
    with open(os.path.join(MAN, name + '.pod'), encoding='utf-8') as f:
        for line in f:
            if line.startswith('=include '):
                with open(os.path.join(MAN, line.split()[1]),
                          encoding='utf-8') as g:
                    text += g.read()
            else:
                text += line
    return text


def page_options(text):
    found = {}
    for item in re.findall(r'^=item (.*B<--.*)$', text, re.M):
        name, arg = re.search(r'B<--([a-z0-9-]+)>(?: I<([A-Z]+)>)?',
                              item).groups()
        letter = re.search(r'B<-(\w)>', item)
        check(name not in found, f'the page has --{name} twice')
        found[name] = (letter.group(1) if letter else '', arg or '')
    return found


def plain(pod):
    return re.sub(r'[BIFC]<([^<>]*)>', r'\1', pod)


def check_verb(verb):
    text = run(*verb.split(), '--help')
    check(run('help', *verb.split()) == text, f'help {verb} is another text')
    usage = re.match(r'Usage: vdkit (.*)\n', text).group(1)
    operands = usage[len(verb):].replace('[OPTION...]', '').strip()
    name = 'vdkit-' + verb.replace(' ', '-')
    check(text.endswith(f'More: man {name}\n'), f'{verb}: names no page')
    manual = page(name)
    ours, theirs = help_options(text), page_options(manual)
    for option in sorted(ours.keys() | theirs.keys()):
        check(ours.get(option) == theirs.get(option),
              f'{verb} --{option}: help {ours.get(option)}, '
              f'page {theirs.get(option)}')
    for section in ('NAME', 'SYNOPSIS', 'DESCRIPTION', 'EXAMPLES',
                    'EXIT STATUS', 'SEE ALSO'):
        check(f'=head1 {section}\n' in manual, f'{name}: no {section}')
    synopsis = plain(manual.split('=head1 SYNOPSIS')[1].split('=head1')[0])
    for word in re.findall(r'[A-Z][A-Z-]+', operands):
        check(word in synopsis, f'{name}: no {word} in the synopsis')
    # What help calls an example stands in the page too.
    for example in re.findall(r'^  (vdkit .*)$',
                              text.split('Examples:')[-1], re.M):
        check(f' {example}\n' in manual, f'{name} lacks: {example}')
    summary = manual.split('=head1 NAME')[1].strip().split('\n')[0]
    check(summary.startswith(f'{name} - '), f'{name}: NAME is {summary!r}')
    main = plain(page('vdkit'))
    check(re.search(rf'^=item {re.escape(verb)}( |$)', main, re.M) is not None,
          f'vdkit(1) does not list {verb}')
    check(f'L<{name}(1)>' in page('vdkit'), f'vdkit(1) does not name {name}')
    return ours


def complete(script, *words, env=None):
    """What bash offers for the last of WORDS."""
    line = ' '.join(f"'{w}'" for w in words)
    program = (f'source {script}; COMP_WORDS=({line}); '
               f'COMP_CWORD={len(words) - 1}; _vdkit; '
               'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(['bash', '--norc', '-c', program], text=True,
                          capture_output=True, timeout=30, check=False,
                          env={**os.environ, **(env or {})})
    check(done.returncode == 0 and done.stderr == '',
          f'completion of {words}: {done.stderr}')
    return set(done.stdout.split('\n')) - {''}


def check_completion(script, options):
    first = {v.split()[0] for v in options}
    check(complete(script, VDKIT, '') == first, 'completion of verbs: '
          f'{sorted(complete(script, VDKIT, "") ^ first)}')
    check(complete(script, VDKIT, 'conv') == {'convert'}, 'conv')
    second = {v.split()[1] for v in options if ' ' in v}
    check(complete(script, VDKIT, 'vm', '') == second, 'completion of vm')
    for verb, ours in options.items():
        got = complete(script, VDKIT, *verb.split(), '--')
        check(got == {'--' + o for o in ours},
              f'completion of {verb} --: {sorted(got)}')
    types = complete(script, VDKIT, 'convert', '--type', '')
    check('streamOptimized' in types and 'raw' in types, f'types {types}')
    check(complete(script, VDKIT, 'convert', '--type', '=', 'stream') ==
          {'streamOptimized'}, '--type=stream')
    check(complete(script, VDKIT, 'backup', 'x', '--on-lost', '') ==
          {'compare', 'fail'}, '--on-lost')
    check('types' in complete(script, VDKIT, 'help', ''), 'help types')
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, 'a folder'))
        with open(os.path.join(folder, 'a disk.vmdk'), 'w',
                  encoding='ascii'):
            pass
        got = complete(script, VDKIT, 'convert', folder + '/a')
        check(got == {folder + '/a folder', folder + '/a disk.vmdk'},
              f'completion of files: {got}')
        got = complete(script, VDKIT, 'list', '--repo', folder + '/a')
        check(got == {folder + '/a folder'}, f'completion of folders: {got}')
        # No repository: nothing is offered, and nothing is said.
        check(complete(script, VDKIT, 'restore', '--repo', folder, '') ==
              set(), 'restore points of no repository')


def main():
    options = {}
    for verb in verbs():
        options[verb] = check_verb(verb)
    check(len(options) >= 13, f'only {len(options)} verbs')
    for name in os.listdir(MAN):
        if name.startswith('vdkit-') and name.endswith('.pod'):
            check(name[6:-4] in {v.replace(' ', '-') for v in options},
                  f'{name} is of no verb')
    with tempfile.NamedTemporaryFile('w', suffix='.bash') as f:
        script = sys.argv[3] if len(sys.argv) > 3 else f.name
        if script == f.name:
            f.write(run_completion())
            f.flush()
        check_completion(script, options)
    for problem in problems:
        print(problem)
    print(f'{len(options)} verbs, {len(problems)} problems')
    return 1 if problems else 0


def run_completion():
    return subprocess.run([VDKIT, '__completion'], check=True,
                          capture_output=True, text=True).stdout


if __name__ == '__main__':
    sys.exit(main())
