"""YAML as an editor sees it that checks with a JSON Schema: the types of YAML 1.2's core schema."""

import re

from policyd.conf.nodes import Items, Node, Scalar, Table, is_null, parse
from policyd.errors import Issue


def as_json(text: str) -> object:
    """Return the value of a YAML text."""
    issues: list[Issue] = []
    root = parse(text, "f", issues)
    assert root is not None
    return _value(root)


def _value(node: Node) -> object:
    if isinstance(node, Table):
        return {entry.key.text: _value(entry.value) for entry in node.entries}
    if isinstance(node, Items):
        return [_value(item) for item in node.items]
    return _scalar(node)


def _scalar(node: Scalar) -> object:
    if is_null(node):
        return None
    if node.plain and node.text in {"true", "false"}:
        return node.text == "true"
    if node.plain and re.fullmatch(r"[-+]?[0-9]+", node.text):
        return int(node.text)
    return node.text
