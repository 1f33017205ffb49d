"""YAML as a tree of text with places."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policyd.conf import nodes
from policyd.conf.nodes import Items, Node, Table, parse
from policyd.conf.syntax import yaml_issue
from policyd.errors import Issue


def read(text: str) -> Node | None:
    """Parse a text that has no mistake."""
    issues: list[Issue] = []
    root = parse(text, "f", issues)
    assert issues == []
    return root


def texts(node: Node | None) -> object:
    """Return a tree without its places."""
    if isinstance(node, Table):
        return {entry.key.text: texts(entry.value) for entry in node.entries}
    if isinstance(node, Items):
        return [texts(item) for item in node.items]
    return node.text if node else None


def test_every_value_stays_the_text_that_was_written() -> None:
    """Neither times nor truth values nor octal numbers are taken for something else."""
    text = "{from: 22:00, no: yes, mode: 0777, size: 1_000, date: 2026-12-25, none: ~, empty: , float: 1e3}"

    assert texts(read(text)) == {
        "from": "22:00",
        "no": "yes",
        "mode": "0777",
        "size": "1_000",
        "date": "2026-12-25",
        "none": "~",
        "empty": "",
        "float": "1e3",
    }


def test_a_value_knows_its_line_and_column() -> None:
    """Both count from 1, and columns are characters, not bytes."""
    root = read("# ü\nüber:\n  - a\n  - {x: y}\n")

    assert isinstance(root, Table)
    key, value = root.entries[0]
    assert isinstance(value, Items)
    inner = value.items[1]
    assert isinstance(inner, Table)
    assert (key.place.line, key.place.column) == (2, 1)
    assert (inner.entries[0].value.place.line, inner.entries[0].value.place.column) == (4, 9)


@pytest.mark.parametrize(("text", "null"), [("", True), ("~", True), ("null", True), ("'null'", False), ('""', False)])
def test_only_what_is_written_without_quotes_can_be_nothing(text: str, *, null: bool) -> None:
    """A quoted null is a text."""
    root = read(f"a: {text}\n")

    assert isinstance(root, Table)
    assert nodes.is_null(root.entries[0].value) is null


def test_windows_line_ends_and_a_byte_order_mark_in_the_text_do_no_harm() -> None:
    """A file that was edited elsewhere has the same meaning."""
    assert texts(read("a: 1\r\nb: 2\r\n")) == {"a": "1", "b": "2"}


def test_an_alias_is_reported_once_and_followed() -> None:
    """Nothing else is reported because of an anchor."""
    issues: list[Issue] = []

    root = parse("a: &x {k: v}\nb: *x\nc: {<<: *x, l: w}\n", "f", issues)

    assert texts(root) == {"a": {"k": "v"}, "b": {"k": "v"}, "c": {"l": "w", "k": "v"}}
    assert [issue.path for issue in issues] == ["a"]


def test_the_first_of_two_equal_keys_stays() -> None:
    """The second is reported, and its value not read."""
    issues: list[Issue] = []

    assert texts(parse("a: 1\na: 2\n", "f", issues)) == {"a": "1"}
    assert [(issue.line, issue.problem) for issue in issues] == [(2, "the key a stands here twice, first in line 1")]


@pytest.mark.parametrize(
    "text",
    [
        "a:\n\tb: 1\n",
        "a: b: c\n",
        "a: 'x\n",
        "a: [1, 2\nb: 3\n",
        "a: {x: 1\nb: 3\n",
        "a: 1\nb\n",
        "a: %x\n",
        "- a\nb: 1\n",
        "a: [::1]\n",
        "a: [*, b]\n",
        "{a: 1}}\n",
        "a: - b\n",
        "a: 'x' y\n",
        'a: "\\q"\n',
        "a: ]\n",
        "a: 1\n:\t- x: [\n",
    ],
)
def test_both_parsers_of_pyyaml_give_the_same_message(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message does not depend on how PyYAML was built."""
    messages = []
    for loader in (yaml.SafeLoader, yaml.CSafeLoader):
        monkeypatch.setattr(nodes, "_LOADER", loader)
        issues: list[Issue] = []
        parse(text, "f", issues)
        messages.append([(issue.problem, issue.cure) for issue in issues])

    assert messages[0] == messages[1]


@given(st.text())
def test_any_text_gives_a_tree_or_an_issue(text: str) -> None:
    """The parser never raises."""
    issues: list[Issue] = []

    root = parse(text, "f", issues)

    assert root is not None or issues


@given(st.text(alphabet="[]{}:,-?&*!|>'\"%@`#ab \n\t~<", max_size=60))
def test_any_text_of_yaml_signs_gives_a_tree_or_an_issue(text: str) -> None:
    """The parser never raises on what looks like YAML either."""
    issues: list[Issue] = []

    root = parse(text, "f", issues)

    assert root is not None or issues


def test_a_mistake_within_a_key_has_the_path_of_the_map() -> None:
    """Such a key has no name."""
    issues: list[Issue] = []

    parse("a:\n  ? {x: 1, x: 2}\n  : y\n", "f", issues)

    assert [(issue.path, issue.line) for issue in issues] == [("a", 2), ("a", 2)]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (yaml.YAMLError("two\nlines"), "f: is no valid YAML: two lines (compare it with the shipped policyd.yaml)"),
        (
            yaml.MarkedYAMLError(None, None, "odd", yaml.Mark("", 0, 4, 2, None, 0)),
            "f:5:3: is no valid YAML: odd (compare it with the shipped policyd.yaml)",
        ),
    ],
)
def test_an_error_that_is_not_known_is_told_as_it_is(error: yaml.YAMLError, told: str) -> None:
    """A later PyYAML may have other words."""
    assert str(yaml_issue(error, "", "f")) == told


def test_a_tab_between_key_and_value_is_called_a_tab(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML's own parser stumbles over it, and says less."""
    monkeypatch.setattr(nodes, "_LOADER", yaml.SafeLoader)
    issues: list[Issue] = []

    parse("a:\tb\n", "f", issues)

    assert [issue.problem for issue in issues] == ["a tab indents this line"]
