"""Where a mistake stands in a configuration file, and the collector of all of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from policyd.errors import Issue
from policyd.printable import printable

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_LISTED_AT_MOST = 12
_COMPARED_AT_MOST = 5000


class Place(NamedTuple):
    """A position in a file. ``line`` and ``column`` count from 1; 0 is the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class At:
    """The path that a reader has reached, and the list that its issues go to."""

    issues: list[Issue]
    path: str = ""

    def key(self, name: str) -> "At":
        """Return the place below a key; names with dots and the like stand in brackets."""
        return At(self.issues, joined(self.path, name))

    def item(self, index: int) -> "At":
        """Return the place of a list's item, counted from 0."""
        return At(self.issues, f"{self.path}[{index}]")

    def report(self, place: Place, problem: str, cure: str) -> None:
        """Note one mistake and what to write instead."""
        self.issues.append(Issue(place.file, place.line, place.column, self.path, problem, cure))


def either(first: str, second: str) -> str:
    """Return two cures as one."""
    return f"{first}{' Else' if first.endswith('?') else '; else'} {second}"


def joined(path: str, name: str) -> str:
    """Return a path with one more key: ``limits.x``, or ``domains["example.org"]``."""
    if not _PLAIN_KEY.match(name):
        return f'{path}["{shown(name)}"]'
    return f"{path}.{name}" if path else name


def shown(text: str, at_most: int = 60) -> str:
    """Return a text as it can stand in a one-line message."""
    line = printable(text)
    return line if len(line) <= at_most else f"{line[: at_most - 3]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a cure for an unknown word: the known word that is like it, else those there are."""
    words = sorted(known)
    near = get_close_matches(word[:60].lower(), words, n=1) if len(words) <= _COMPARED_AT_MOST else []
    if near:
        return f"did you mean {near[0]}?"
    if not words:
        return "there is none"
    more = f" and {len(words) - _LISTED_AT_MOST} more" if len(words) > _LISTED_AT_MOST else ""
    return f"known here: {', '.join(words[:_LISTED_AT_MOST])}{more}"
