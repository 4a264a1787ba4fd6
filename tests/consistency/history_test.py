#!/usr/bin/env python3
"""The verdicts of history.py on histories whose verdict is known."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from history import Checker  # noqa: E402


def verdict(*operations):
    checker = Checker()
    for operation in operations:
        checker.add(operation)
    return "stale" if checker.stale() else "good"


def change(begin, end, ino, good=True):
    return {"m": "a", "op": "x", "b": begin, "e": end, "ok": good, "sets": [["n", ino]]}


def look(begin, end, ino):
    return {"m": "b", "op": "x", "b": begin, "e": end, "ok": True, "sees": [["n", ino]]}


def write(begin, end, text):
    return {"m": "a", "op": "x", "b": begin, "e": end, "ok": True, "writes": [[5, text]]}


def read(begin, end, text):
    return {"m": "b", "op": "x", "b": begin, "e": end, "ok": True, "reads": [[5, text]]}


def append(begin, end, good=True):
    return {"m": "a", "op": "x", "b": begin, "e": end, "ok": good, "append": "l"}


def count(begin, end, records):
    return {"m": "b", "op": "x", "b": begin, "e": end, "ok": True, "counts": [["l", records]]}


class History(unittest.TestCase):
    def test_what_was_overwritten_before_the_read_began_is_stale(self):
        self.assertEqual(verdict(change(1, 2, 5), look(3, 4, 5)), "good")
        self.assertEqual(verdict(change(1, 2, 5), look(3, 4, 0)), "stale")
        self.assertEqual(verdict(change(1, 2, 5), change(3, 4, 0), look(5, 6, 5)), "stale")

    def test_what_overlaps_may_be_seen_or_not(self):
        self.assertEqual(verdict(change(1, 2, 5), look(1.5, 4, 0)), "good")
        self.assertEqual(verdict(change(1, 2, 5), look(1.5, 4, 5)), "good")
        self.assertEqual(verdict(change(1, 2, 5), change(3, 4, 0), look(3.5, 6, 5)), "good")

    def test_what_failed_may_take_effect_at_any_time(self):
        failed = change(3, 4, 0, good=False)
        self.assertEqual(verdict(change(1, 2, 5), failed, look(50, 60, 5)), "good")
        self.assertEqual(verdict(change(1, 2, 5), failed, look(50, 60, 0)), "good")

    def test_what_nobody_made_is_stale(self):
        self.assertEqual(verdict(change(1, 2, 5), look(3, 4, 9)), "stale")

    def test_listings_see_some_inode(self):
        self.assertEqual(verdict(change(1, 2, 5), look(3, 4, "some")), "good")
        self.assertEqual(verdict(change(1, 2, 5), change(3, 4, 0), look(5, 6, "some")), "stale")

    def test_contents(self):
        self.assertEqual(verdict(write(1, 2, "x"), read(3, 4, "x")), "good")
        self.assertEqual(verdict(write(1, 2, "x"), read(3, 4, "")), "stale")
        self.assertEqual(verdict(write(1, 2, "x"), write(3, 4, "y"), read(5, 6, "x")), "stale")

    def test_records(self):
        self.assertEqual(verdict(append(1, 2), append(3, 4), count(5, 6, 2)), "good")
        self.assertEqual(verdict(append(1, 2), append(3, 4), count(5, 6, 1)), "stale")
        self.assertEqual(verdict(append(1, 2), count(3, 4, 2)), "stale")
        self.assertEqual(verdict(append(1, 2), append(3, 4, good=False), count(5, 6, 1)), "good")


if __name__ == "__main__":
    unittest.main()
