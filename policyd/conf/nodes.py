"""YAML text -> a tree of nodes that keeps every scalar as text, with its line and column.

Only the structure of YAML is read: YAML's own idea of types (``22:00``, ``no``, ``0777``) never
comes into play, since the schema decides. Anchors, aliases, tags and merge keys are errors, but
they are followed, so that nothing else is reported because of them. The parser's events are read
rather than composed nodes, which no longer know that there was an anchor.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import yaml

from policyd.conf.issues import At, Place, joined, shown
from policyd.conf.syntax import text_issue, yaml_issue
from policyd.errors import Issue

DEEPEST = 20
_NO_ANCHORS = "write the value out, or let one plan extend another; quote a value that begins with & or *"
_YAML_TAGS = "tag:yaml.org,2002:"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Scalar(NamedTuple):
    """One value as text. ``plain``: it was written without quotes."""

    text: str
    place: Place
    plain: bool = True


class Items(NamedTuple):
    """A list."""

    items: tuple["Node", ...]
    place: Place


class Entry(NamedTuple):
    """One ``key: value``."""

    key: Scalar
    value: "Node"


class Table(NamedTuple):
    """A map; no key is in it twice."""

    entries: tuple[Entry, ...]
    place: Place


Node = Scalar | Items | Table


def is_null(node: Node) -> bool:
    """Whether nothing is written: an empty value, ``~`` or ``null``."""
    return isinstance(node, Scalar) and node.plain and node.text in {"", "~", "null"}


def parse(text: str, file: str, issues: list[Issue]) -> Node | None:
    """Return the root node, or None when the text is no YAML; mistakes are added to ``issues``."""
    unreadable = text_issue(text, file)
    if unreadable is not None:
        issues.append(unreadable)
        return None
    builder = _Builder(file, issues)
    try:
        root = builder.build(yaml.parse(text, Loader=_LOADER))
    except yaml.YAMLError as error:
        issues.append(yaml_issue(error, text, file))
        return None
    return root


@dataclass(slots=True)
class _Open:
    """A list or map whose end has not come yet."""

    place: Place
    is_map: bool
    anchor: str | None
    children: list[Node] = field(default_factory=list)


class _Builder:
    def __init__(self, file: str, issues: list[Issue]) -> None:
        self._file = file
        self._issues = issues
        self._open: list[_Open] = []
        self._root: Node | None = None
        self._anchors: dict[str, Node] = {}
        self._named: set[str] = set()
        self._documents = 0

    def build(self, events: Iterable[yaml.Event]) -> Node | None:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    self._report(
                        event, "a second document begins here", "remove the --- line; one file is one document"
                    )
                    break
            elif isinstance(event, yaml.NodeEvent):
                if not self._node(event):
                    return None
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end()
        return self._root or Scalar("", Place(self._file, 1, 1))

    def _node(self, event: yaml.NodeEvent) -> bool:
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            self._report_anchor(event)
            node = self._anchors.get(event.anchor or "")
            if node is not None:
                self._add(node)
            return node is not None
        if event.anchor:
            self._report_anchor(event)
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            cure = "remove it: the key decides what its value is"
            self._report(event, f"the tag {shown(event.tag.replace(_YAML_TAGS, '!!'))} is not read", cure)
        if isinstance(event, yaml.ScalarEvent):
            self._finish(Scalar(event.value, place, not event.style), event.anchor)
            return True
        if len(self._open) >= DEEPEST:
            problem = f"more than {DEEPEST} levels of lists and maps"
            At(self._issues).report(place, problem, "close the brackets; no key here is that deep")
            return False
        self._open.append(_Open(place, isinstance(event, yaml.MappingStartEvent), event.anchor))
        return True

    def _end(self) -> None:
        done = self._open.pop()
        node: Node = self._table(done) if done.is_map else Items(tuple(done.children), done.place)
        self._finish(node, done.anchor)

    def _finish(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        self._add(node)

    def _add(self, node: Node) -> None:
        if self._open:
            self._open[-1].children.append(node)
        else:
            self._root = node

    def _table(self, done: _Open) -> Table:
        at = At(self._issues, self._path())
        entries: dict[str, Entry] = {}
        merged: list[Entry] = []
        pairs = iter(done.children)
        for key, value in zip(pairs, pairs, strict=True):
            if not isinstance(key, Scalar):
                at.report(
                    key.place,
                    "a list or map stands where a key belongs",
                    "write key: value; quote a value that begins with [ or {",
                )
            elif key.text == "<<" and key.plain:
                if all(value is not node for node in self._anchors.values()):
                    at.report(key.place, "merge keys are not read", _NO_ANCHORS)
                merged += value.entries if isinstance(value, Table) else ()
            elif key.text in entries:
                first = entries[key.text].key.place
                problem = f"the key {shown(key.text)} stands here twice, first in line {first.line}"
                at.report(key.place, problem, "remove one of the two")
            else:
                entries[key.text] = Entry(key, value)
        for entry in merged:
            entries.setdefault(entry.key.text, entry)
        return Table(tuple(entries.values()), done.place)

    def _path(self) -> str:
        path = ""
        for level in self._open:
            if not level.is_map:
                path = f"{path}[{len(level.children)}]"
            elif level.children and len(level.children) % 2 and isinstance(level.children[-1], Scalar):
                path = joined(path, level.children[-1].text)
        return path

    def _report_anchor(self, event: yaml.NodeEvent) -> None:
        """Report an anchor with all its aliases once: it is one mistake."""
        name = event.anchor or ""
        if name not in self._named:
            self._named.add(name)
            mark = "*" if isinstance(event, yaml.AliasEvent) else "&"
            self._report(event, f"the anchor {mark}{shown(name)} is not read", _NO_ANCHORS)

    def _report(self, event: yaml.Event, problem: str, cure: str) -> None:
        path = self._path()
        At(self._issues, path).report(self._place(event), problem, cure)

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1) if mark else Place(self._file)
