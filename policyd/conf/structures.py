"""Readers of lists, of maps with free keys, and of maps whose keys are a fixed table.

The table (``Record``) is the one place where a key is named: the reader, the "did you mean" and the
JSON Schema all come from it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar, cast

from policyd.conf.issues import At, Place, did_you_mean, shown
from policyd.conf.nodes import Items, Node, Scalar, Table, is_null
from policyd.conf.values import LATER, Json, Placed, Shape, Value, kind_of

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Key(Generic[T_co]):
    """One key of a table: its name, what stands there, and what it is for."""

    name: str
    shape: Shape[T_co]
    doc: str
    required: bool = False


class Values:
    """What a table's keys were read as. A key that was not written, or badly, has no value.

    ``flawed`` are the keys below which a mistake was reported: no other check may build on them.
    """

    def __init__(self, found: Mapping[str, Placed[object]], place: Place, flawed: frozenset[str] = frozenset()) -> None:
        self._found = found
        self.place = place
        self.flawed = flawed

    def get(self, key: Key[T], default: T) -> T:
        """Return the value of a key, or the default."""
        placed = self._found.get(key.name)
        return default if placed is None else cast("T", placed.value)

    def maybe(self, key: Key[T]) -> T | None:
        """Return the value of a key, or None."""
        placed = self._found.get(key.name)
        return None if placed is None else cast("T", placed.value)

    def place_of(self, key: Key[T]) -> Place:
        """Return where the key's value was written, or where the table begins."""
        return self.place_named(key.name) if key.name in self._found else self.place

    def place_named(self, name: str) -> Place:
        """Return where the value of the key of that name was written."""
        return self._found[name].place

    def names(self) -> Collection[str]:
        """Return the names of the keys that have a value."""
        return self._found.keys()

    def over(self, parent: "Values") -> "Values":
        """Return these values, and those of the parent where this table has none."""
        found = {**parent._found, **self._found}  # noqa: SLF001 -- of the same class
        return Values(found, self.place, self.flawed | parent.flawed)


NOTHING = Values({}, Place(""))
"""A table that was not written."""


@dataclass(frozen=True, slots=True)
class Record:
    """A map with a fixed table of keys.

    The keys of ``later`` are reserved; ``hints`` are cures for keys that people try here.
    """

    keys: tuple[Key[object], ...]
    example: str
    later: frozenset[str] = frozenset()
    hints: Mapping[str, str] = field(default_factory=dict)

    def read(self, node: Node, at: At) -> Values | None:
        """Return the values of all keys that were read well, or None when there is no map."""
        if is_null(node):
            node = Table((), node.place)
        if not isinstance(node, Table):
            at.report(node.place, f"{kind_of(node)} stands where a map belongs", f"write {self.example}")
            return None
        known = {key.name: key for key in self.keys}
        found: dict[str, Placed[object]] = {}
        flawed: set[str] = set()
        meant: set[str] = set()
        for name, value in node.entries:
            key = known.get(name.text)
            if key is None:
                meant |= self._unknown(name, at)
                continue
            before = len(at.issues)
            read = key.shape.read(value, at.key(name.text))
            if read is not None:
                found[name.text] = Placed(read, value.place)
            if len(at.issues) > before:
                flawed.add(name.text)
        self._missing(node, meant, at)
        return Values(found, node.place, frozenset(flawed))

    def schema(self) -> Json:
        """Return the JSON Schema of the map."""
        described = {key.name: {"description": key.doc, **key.shape.schema()} for key in self.keys}
        required = [key.name for key in self.keys if key.required]
        json: Json = {"type": "object", "properties": described, "additionalProperties": False}
        return json | ({"required": required} if required else {})

    def _unknown(self, name: Scalar, at: At) -> set[str]:
        """Report an unknown key, and return the key that it may have been meant for."""
        here = at.key(name.text)
        if name.text in self.later:
            here.report(name.place, LATER, "remove it")
        elif name.text in self.hints:
            here.report(name.place, "unknown key", self.hints[name.text])
        else:
            cure = did_you_mean(name.text, (key.name for key in self.keys))
            here.report(name.place, "unknown key", cure)
            return {key.name for key in self.keys if cure == f"did you mean {key.name}?"}
        return set()

    def _missing(self, node: Table, meant: set[str], at: At) -> None:
        written = {name.text for name, _ in node.entries} | meant
        for key in self.keys:
            if key.required and key.name not in written:
                at.report(node.place, f"the key {key.name} is missing", f"write {key.name}: {key.shape.example}")


def table(
    *keys: Key[object], example: str, later: Iterable[str] = (), hints: Mapping[str, str] | None = None
) -> Record:
    """Return a record of keys of any types."""
    return Record(keys, example, frozenset(later), hints or {})


@dataclass(frozen=True, slots=True)
class ListOf(Generic[T]):
    """A list of values of one shape; what is read badly is left out."""

    shape: Shape[T]
    example: str
    at_least: int = 0

    def read(self, node: Node, at: At) -> tuple[T, ...] | None:
        """Return the items, or None when there is no list."""
        if is_null(node) and not self.at_least:
            return ()
        if not isinstance(node, Items):
            at.report(node.place, f"{kind_of(node)} stands where a list belongs", f"write {self.example}")
            return None
        if len(node.items) < self.at_least:
            at.report(node.place, "the list is empty", f"write {self.example}")
            return None
        read = [self.shape.read(item, at.item(index)) for index, item in enumerate(node.items)]
        return tuple(item for item in read if item is not None)

    def schema(self) -> Json:
        """Return the JSON Schema of the list."""
        json: Json = {"type": "array", "items": self.shape.schema()}
        return json | ({"minItems": self.at_least} if self.at_least else {})


class Pair(NamedTuple, Generic[T]):
    """One entry of a map with free keys. ``value`` is None when it was read badly."""

    name: str
    place: Place
    value: T | None


@dataclass(frozen=True, slots=True)
class MapOf(Generic[T]):
    """A map with free keys of one kind and values of one shape, in the order of the file."""

    key: Value[str]
    shape: Shape[T]
    example: str

    def read(self, node: Node, at: At) -> tuple[Pair[T], ...] | None:
        """Return the pairs whose keys are good, or None when there is no map."""
        if is_null(node):
            return ()
        if not isinstance(node, Table):
            at.report(node.place, f"{kind_of(node)} stands where a map belongs", f"write {self.example}")
            return None
        pairs: list[Pair[T]] = []
        for key, value in node.entries:
            here = at.key(key.text)
            name = self.key.read(Scalar(key.text, key.place, plain=False), here)
            read = self.shape.read(value, here)
            if name is not None:
                pairs.append(Pair(name, key.place, read))
        return tuple(pairs)

    def schema(self) -> Json:
        """Return the JSON Schema of the map."""
        return {"type": "object", "propertyNames": self.key.schema(), "additionalProperties": self.shape.schema()}


def repeated(names: Iterable[Placed[str]], at: At) -> list[str]:
    """Return the distinct names in order; a second mention is reported."""
    seen: dict[str, Place] = {}
    for name, place in names:
        if name in seen:
            at.report(place, f"{shown(name)} is named twice", "remove one of the two")
        seen.setdefault(name, place)
    return list(seen)
