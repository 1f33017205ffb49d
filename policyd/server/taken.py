"""What a route takes beside its path: each name is declared once, and by that both read and documented.

``of`` reads a value out of the query or the JSON body, raises RequestError for a bad one, and returns
what stands for nothing where it is not given. ``schema`` is the JSON Schema of what ``of`` accepts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from policyd.errors import RequestError

LONGEST = 500
"""Characters of a text that somebody gives: a reason, a name."""

_LATEST = 10**14

Given = Mapping[str, object]
Schema = dict[str, Any]


class Taken(Protocol):
    """One name that a route takes."""

    @property
    def name(self) -> str:
        """How it is called."""

    @property
    def about(self) -> str:
        """What it means."""

    @property
    def needed(self) -> bool:
        """Whether nothing can be said without it."""

    @property
    def schema(self) -> Schema:
        """What may stand there."""

    def of(self, given: Given) -> object:
        """Return what is given, or what stands for nothing. Raises RequestError."""


@dataclass(frozen=True, slots=True)
class Word:
    """A text of the path or the query, taken as it is."""

    name: str
    about: str
    example: str = ""
    needed: bool = False
    pattern: str = ""

    def of(self, given: Given) -> str:
        """Return it."""
        return str(given.get(self.name, ""))

    @property
    def schema(self) -> Schema:
        """Its JSON Schema."""
        return {"type": "string", **_if_any(pattern=self.pattern), **_examples(self.example)}


@dataclass(frozen=True, slots=True)
class Text:
    """A text of the body, taken on one line."""

    name: str
    about: str
    example: str = ""
    needed: bool = False

    def of(self, given: Given) -> str:
        """Return it."""
        value = given.get(self.name, "")
        if not isinstance(value, str) or len(value) > LONGEST:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"{self.name} is no text of up to {LONGEST} characters")
        return "".join(letter if letter.isprintable() else " " for letter in value).strip()

    @property
    def schema(self) -> Schema:
        """Its JSON Schema."""
        return {"type": "string", "maxLength": LONGEST, **_examples(self.example)}


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of the body, in ms since the epoch."""

    name: str
    about: str
    needed: bool = False

    def of(self, given: Given) -> int:
        """Return it, 0 for none."""
        value = given.get(self.name, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LATEST:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"{self.name} is no moment in ms since the epoch")
        return value

    @property
    def schema(self) -> Schema:
        """Its JSON Schema."""
        return {"type": "integer", "minimum": 0, "exclusiveMaximum": _LATEST}


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number of the query, written in digits."""

    name: str
    about: str
    least: int
    most: int
    usual: int
    needed: bool = False

    def of(self, given: Given) -> int:
        """Return it."""
        written = str(given.get(self.name, self.usual))
        digits = written.isascii() and written.isdecimal() and len(written) <= len(str(self.most))
        if not (digits and self.least <= int(written) <= self.most):
            which = f"from {self.least} to {self.most}" if self.least else f"up to {self.most}"
            raise RequestError(HTTPStatus.BAD_REQUEST, f"{self.name}={written} is no number {which}")
        return int(written)

    @property
    def schema(self) -> Schema:
        """Its JSON Schema."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most, "default": self.usual}


@dataclass(frozen=True, slots=True)
class Flag:
    """Something that the query asks for, by ``1``."""

    name: str
    about: str
    needed: bool = False

    def of(self, given: Given) -> bool:
        """Return whether it is asked for."""
        written = given.get(self.name, "")
        if written not in {"", "1"}:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"{self.name} is 1 or is not there")
        return written == "1"

    @property
    def schema(self) -> Schema:
        """Its JSON Schema."""
        return {"type": "string", "enum": ["", "1"]}


@dataclass(frozen=True, slots=True)
class Items:
    """A list of the body, of at most ``most`` of one kind. ``what`` says in an error what it is a list of."""

    name: str
    about: str
    what: str
    most: int
    item: Schema
    is_item: Callable[[object], bool]
    needed: bool = True

    def of(self, given: Given) -> list[Any]:
        """Return it."""
        value = given.get(self.name)
        if not isinstance(value, list) or len(value) > self.most or not all(map(self.is_item, value)):
            raise RequestError(HTTPStatus.BAD_REQUEST, f"{self.name} is no list of up to {self.most} {self.what}")
        return value

    @property
    def schema(self) -> Schema:
        """Its JSON Schema."""
        return {"type": "array", "maxItems": self.most, "items": self.item}


def _if_any(**fields: str) -> Schema:
    return {name: value for name, value in fields.items() if value}


def _examples(example: str) -> Schema:
    return {"examples": [example]} if example else {}
