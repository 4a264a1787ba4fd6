#!/usr/bin/env python3
"""Asks the completion of bash for the words after every command of a program: it must offer all the
subcommands and options that `--help` lists there.

usage: completion_test.py PROGRAM
"""
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from check_help import HEADING, OPTION, OPTION_LINE, SUBCOMMAND, help_text  # noqa: E402

COMPLETION = ROOT / "tools" / "package" / "completion.bash"


def listed(program, path):
    """(subcommands, options) that the command's own --help lists."""
    names, options, heading = set(), set(), ""
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
    return names, options


def walk(program, path=()):
    """Every command with what is listed for it."""
    names, options = listed(program, path)
    found = {path: names | options}
    for name in names:
        found |= walk(program, (*path, name))
    return found


def completed(program, lines):
    """What the completion offers for the last word of each line, given as lists of words."""
    script = f"source {shlex.quote(str(COMPLETION))}\n"
    for words in lines:
        quoted = " ".join(shlex.quote(word) for word in (program, *words))
        script += (f"COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; COMPREPLY=(); _aster; "
                   'printf "%s\\n" "${COMPREPLY[@]}"; printf "\\f"\n')
    run = subprocess.run(["bash", "-u"], input=script, capture_output=True, text=True, check=False,
                         timeout=300, cwd="/")
    if run.returncode != 0 or run.stderr:
        sys.exit(f"completion failed with {run.returncode}: {run.stderr}")
    return [set(page.split("\n")) - {""} for page in run.stdout.split("\f")[:-1]]


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    program = str(pathlib.Path(sys.argv[1]).resolve())
    commands = walk(program)
    # After each command: nothing typed, and a word that lacks its last letter.
    lines = [(*path, "") for path in commands]
    expected = list(commands.values())
    for path, words in commands.items():
        word = max(words)
        lines.append((*path, word[:-1]))
        expected.append({word})
    problems = []
    offers = completed(program, lines)
    if len(offers) != len(lines):
        sys.exit(f"{len(offers)} answers to {len(lines)} questions")
    for words, wanted, offered in zip(lines, expected, offers):
        missing = wanted - offered
        typed = words[-1]
        strange = {word for word in offered if not word.startswith(typed)}
        if missing:
            problems.append(f"after '{' '.join(words)}' nothing offers {', '.join(sorted(missing))}")
        if strange:
            problems.append(f"'{' '.join(words)}' is completed to {', '.join(sorted(strange))}")
    print("\n".join(problems) or f"{len(commands)} commands are completed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
