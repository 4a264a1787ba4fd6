#!/usr/bin/env python3
"""Checks that a program's `--help` and its manual page list the same options, and that the page
names every subcommand.

usage: check_help.py PROGRAM PAGE
"""
import re
import subprocess
import sys

OPTION_LINE = re.compile(r"^ {2,6}(-{1,2}[A-Za-z][^ ]*(?:, ?-{1,2}[A-Za-z][^ ]*)*)")
OPTION = re.compile(r"--?[A-Za-z][A-Za-z0-9-]*")
HEADING = re.compile(r"^([A-Z][A-Za-z ]*):$")
SUBCOMMAND = re.compile(r"^  ([a-z][a-z0-9-]*)(?:  +|$)")


def help_text(program: str, path) -> str:
    run = subprocess.run([program, *path, "--help"], capture_output=True, text=True, timeout=20,
                         check=False)
    if run.returncode != 0 or not run.stdout or run.stderr:
        sys.exit(f"{program} {' '.join(path)} --help: status {run.returncode}, must print to "
                 f"standard output only and exit with 0\n{run.stderr}")
    return run.stdout


def walk_help(program: str, path=()):
    """(options, subcommand names) of the program and everything below it."""
    options, names, heading = set(), set(), ""
    for line in help_text(program, path).splitlines():
        title = HEADING.match(line)
        if title:
            heading = title.group(1)
        option = OPTION_LINE.match(line)
        if option:
            options.update(OPTION.findall(option.group(1)))
        command = SUBCOMMAND.match(line)
        if command and heading == "Subcommands":
            names.add(command.group(1))
    below = set()
    for name in names:
        more_options, more_names = walk_help(program, (*path, name))
        options |= more_options
        below |= more_names
    return options, names | below


def page_words(page: str):
    """(options, words) that the mdoc source marks up: arguments of Fl, and of Cm."""
    options, words = set(), set()
    with open(page, encoding="utf-8") as source:
        for line in source:
            if not line.startswith("."):
                continue
            tokens = line[1:].split()
            for macro, argument in zip(tokens, tokens[1:]):
                if macro == "Fl":
                    options.add("-" + argument)
                if macro == "Cm":
                    words.add(argument)
            # `Cm node add` marks up both words.
            after = line[1:].partition("Cm ")[2].split()
            words.update(word for word in after if re.fullmatch(r"[a-z][a-z0-9-]*", word))
    return options, words


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    program, page = sys.argv[1:]
    options, commands = walk_help(program)
    listed, words = page_words(page)
    problems = [f"{page} does not describe {name}" for name in sorted(options - listed)]
    problems += [f"{page} describes {name}, which --help does not know"
                 for name in sorted(listed - options)]
    problems += [f"{page} does not name the subcommand {name}" for name in sorted(commands - words)]
    print("\n".join(problems) if problems else f"{len(options)} options agree")
    return 1 if problems or not options else 0


if __name__ == "__main__":
    sys.exit(main())
