"""Readers of single values: text -> the type that the schema wants, or what is wrong with it.

Every reader also describes itself as JSON Schema, so that the two cannot drift apart.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Generic, NamedTuple, Protocol, TypeVar

from policyd.conf import units
from policyd.conf.issues import At, Place, did_you_mean, shown
from policyd.conf.nodes import Items, Node, Scalar, Table, is_null
from policyd.secret import CREDENTIAL, CREDENTIAL_NAME

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", bound=StrEnum)
Json = dict[str, object]

LATER = "is reserved for a later version of policyd"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
_NUMBER = re.compile(r"[0-9]{1,20}\Z", re.ASCII)
_TRUTH = {
    "yes": "true",
    "on": "true",
    "y": "true",
    "1": "true",
    "no": "false",
    "off": "false",
    "n": "false",
    "0": "false",
}


class Unfit(NamedTuple):
    """Why a text is not what its key wants, and what to write instead."""

    problem: str
    cure: str


class Shape(Protocol[T_co]):
    """What stands at one place of the file: how it is read, and how an editor is told of it."""

    @property
    def example(self) -> str:
        """What could be written there."""

    def read(self, node: Node, at: At) -> T_co | None:
        """Return the value, or None after its mistakes were reported."""

    def schema(self) -> Json:
        """Return the JSON Schema of what ``read`` takes."""


class Placed(NamedTuple, Generic[T]):
    """A value and where it was written."""

    value: T
    place: Place


def kind_of(node: Node) -> str:
    """Return what a node is, for a message."""
    if isinstance(node, Scalar):
        return "no value" if is_null(node) else f'"{shown(node.text)}"'
    return "a list" if isinstance(node, Items) else "a map"


@dataclass(frozen=True, slots=True)
class Value(Generic[T]):
    """A single value. ``null`` is what an empty value or ``null`` means, when it may stand here."""

    parse: Callable[[str], T | Unfit]
    noun: str
    example: str
    json: Mapping[str, object]
    null: T | None = None

    def read(self, node: Node, at: At) -> T | None:
        """Return the value, or None after its mistake was reported."""
        if isinstance(node, Items | Table) or (is_null(node) and self.null is None):
            at.report(node.place, f"{kind_of(node)} stands where {self.noun} belongs", f"write {self.example}")
            return None
        if is_null(node):
            return self.null
        value = self.parse(node.text)
        if isinstance(value, Unfit):
            at.report(node.place, value.problem, value.cure)
            return None
        return value

    def schema(self) -> Json:
        """Return the JSON Schema of the value."""
        return dict(self.json) if self.null is None else {"anyOf": [dict(self.json), {"type": "null"}]}


@dataclass(frozen=True, slots=True)
class Spot(Generic[T]):
    """A value that keeps its place, for checks that need the rest of the file."""

    shape: Shape[T]

    @property
    def example(self) -> str:
        """What could be written there."""
        return self.shape.example

    def read(self, node: Node, at: At) -> Placed[T] | None:
        """Return the value with its place, or None after its mistakes were reported."""
        value = self.shape.read(node, at)
        return None if value is None else Placed(value, node.place)

    def schema(self) -> Json:
        """Return the JSON Schema of the value."""
        return self.shape.schema()


def or_null(value: Value[T], null: T) -> Value[T]:
    """Return a reader that also takes ``null``."""
    return replace(value, null=null)


def text(noun: str, example: str, pattern: str = "") -> Value[str]:
    """Return a reader of text, which must match the pattern."""
    wanted = re.compile(pattern.removesuffix("$") + r"\Z" if pattern else "(?s:.+)")

    def parse(written: str) -> str | Unfit:
        if wanted.match(written):
            return written
        return Unfit(f'"{shown(written)}" is not {noun}', f"write {example}")

    json: Json = {"type": "string", "minLength": 1}
    return Value(parse, noun, example, json | ({"pattern": pattern} if pattern else {}))


def secret_file(example: str) -> Value[str]:
    """Return a reader of where a secret is: a path, or ``credential:NAME`` of systemd."""

    def parse(written: str) -> str | Unfit:
        if not written.startswith(CREDENTIAL) or CREDENTIAL_NAME.match(written.removeprefix(CREDENTIAL)):
            return written
        cure = f"write {CREDENTIAL}NAME, with the name that LoadCredential= gives it"
        return Unfit(f'"{shown(written)}" names no credential', cure)

    return Value(parse, "a file", example, {"type": "string", "minLength": 1})


def name(noun: str, example: str) -> Value[str]:
    """Return a reader of a name: it goes into keys of the store, logs and metric labels."""

    def parse(written: str) -> str | Unfit:
        if re.match(NAME_PATTERN, written, re.ASCII) and written[-1] != "\n":
            return written
        return Unfit(f'"{shown(written)}" cannot be {noun}', "use letters, digits, -, _ and ., at most 64, no space")

    return Value(parse, noun, example, {"type": "string", "pattern": NAME_PATTERN})


def word(words: type[E], noun: str, example: str, *, later: Collection[str] = (), only: Collection[E] = ()) -> Value[E]:
    """Return a reader of one word of a closed set. The words of ``later`` are reserved."""
    known: dict[str, E] = {member.value: member for member in (only or words)}

    def parse(written: str) -> E | Unfit:
        if written in known:
            return known[written]
        if written in later:
            return Unfit(f"{written} {LATER}", f"write one of: {', '.join(known)}")
        return Unfit(f'"{shown(written)}" is not {noun}', did_you_mean(written, known))

    return Value(parse, noun, example, {"enum": list(known)})


def flag() -> Value[bool]:
    """Return a reader of true and false. ``yes`` and ``no`` mean other things to other readers of YAML."""

    def parse(written: str) -> bool | Unfit:
        if written in {"true", "false"}:
            return written == "true"
        cure = f"write {_TRUTH[written.lower()]}" if written.lower() in _TRUTH else "write true or false"
        return Unfit(f'"{shown(written)}" is neither true nor false', cure)

    return Value(parse, "true or false", "true or false", {"type": "boolean"})


def whole_number(written: str) -> int | Unfit:
    """Return a number from 0 that the store counts exactly."""
    if written.startswith("-") and _NUMBER.match(written[1:]):
        return Unfit(f"{written} is below 0", "write 0 to let nothing through, or unlimited")
    if not _NUMBER.match(written):
        plain = re.sub(r"[_,']|\.0*\Z", "", written)
        cure = f"write {int(plain)}" if _NUMBER.match(plain) else "write a number such as 400"
        return Unfit(f'"{shown(written)}" is no whole number', cure)
    if written != str(int(written)):
        return Unfit(f"{written} begins with 0, which other readers of YAML take as octal", f"write {int(written)}")
    if int(written) > units.LARGEST:
        return Unfit(f"{written} is more than can be counted", "write unlimited")
    return int(written)


def duration(example: str, low: int, high: int) -> Value[int]:
    """Return a reader of a duration within bounds, which are milliseconds too."""
    bounds = f"{units.duration_text(low)} to {units.duration_text(high)}"

    def parse(written: str) -> int | Unfit:
        value = units.duration(written)
        if value is None:
            return Unfit(f'"{shown(written)}" is no duration', "write a number and its unit: 250ms, 30s, 5m, 1h or 7d")
        if not low <= value <= high:
            return Unfit(f"{written} is out of bounds", f"write {bounds}")
        return value

    return Value(parse, "a duration", example, {"type": "string", "pattern": units.DURATION_PATTERN})


def file_mode() -> Value[int]:
    """Return a reader of a socket's mode. It may give nothing to others, who could spend for anybody."""

    def parse(written: str) -> int | Unfit:
        value = units.mode(written)
        if value is None:
            return Unfit(f'"{shown(written)}" is no file mode', 'write four octal digits: "0660"')
        if value & 0o007:
            return Unfit(
                f"{written} lets every user of this host spend for any customer", 'write "0660", and name the group'
            )
        return value

    return Value(parse, "a file mode", '"0660"', {"type": ["string", "integer"], "pattern": units.MODE_PATTERN})
