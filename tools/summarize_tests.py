#!/usr/bin/env python3
"""Adds up what `meson test` recorded in one or more build directories.

usage: summarize_tests.py BUILD_DIR...

Prints every failed or skipped test and, as the last line, `N passed, N failed[, N skipped]`. A
GoogleTest program counts once per test case, any other test once. A program that died before it
could write its results counts as one failure. Exit status: 0 nothing failed and something passed,
1 otherwise.
"""
import json
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

PASSED = {"OK", "EXPECTEDFAIL"}


def cases_by_program(logs: Path):
    """Maps a meson test's name to its GoogleTest cases as (case name, outcome)."""
    junit = logs / "testlog.junit.xml"
    programs = {}
    if not junit.exists():
        return programs
    for suite in ElementTree.parse(junit).getroot().iter("testsuite"):
        # "project.program.suite", and "project" alone for what is no GoogleTest program.
        program, _, name = suite.get("name", "").partition(".")[2].rpartition(".")
        if not program:
            continue
        for case in suite.iter("testcase"):
            outcome = "passed"
            if case.find("failure") is not None or case.find("error") is not None:
                outcome = "failed"
            elif case.find("skipped") is not None or case.get("status") == "notrun":
                outcome = "skipped"
            programs.setdefault(program, []).append((f"{name}.{case.get('name')}", outcome))
    return programs


def outcome_of(result: str) -> str:
    if result in PASSED:
        return "passed"
    return "skipped" if result == "SKIP" else "failed"


def add_up(build_dir: Path):
    """Yields (name, outcome) of everything that ran in one build directory."""
    logs = build_dir / "meson-logs"
    if not (logs / "testlog.json").exists():
        yield f"{build_dir}: no test ran", "failed"
        return
    programs = cases_by_program(logs)
    for line in (logs / "testlog.json").read_text().splitlines():
        run = json.loads(line)
        name = run["name"]
        whole = outcome_of(run["result"])
        cases = programs.get(name, [])
        if whole == "failed" and not any(outcome == "failed" for _, outcome in cases):
            yield f"{name} ({run['result']})", "failed"
            continue
        if not cases:
            yield name, whole
        for case, outcome in cases:
            yield f"{name}: {case}", outcome


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    counts = Counter()
    for build_dir in sys.argv[1:]:
        for name, outcome in add_up(Path(build_dir)):
            counts[outcome] += 1
            if outcome != "passed":
                print(f"{outcome}: {name}")
    line = f"{counts['passed']} passed, {counts['failed']} failed"
    if counts["skipped"]:
        line += f", {counts['skipped']} skipped"
    print(line)
    return 0 if counts["failed"] == 0 and counts["passed"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
