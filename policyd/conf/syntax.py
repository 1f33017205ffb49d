"""What is wrong with a text that is no YAML, said so that the admin sees what to write.

The two parsers that PyYAML has (libyaml and its own) word the same mistake differently; the table
here matches both, so that a message does not depend on how PyYAML was built.
"""

import re
from typing import NamedTuple

import yaml

from policyd.errors import Issue

_TAB = re.compile(r"^ *\t[ \t]*(?=[^\s#])", re.MULTILINE)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufeff\uff00-\ufffd\U00010000-\U0010ffff]")


class _Mistake(NamedTuple):
    """``opens``: the place that helps is where the construct began, not where the parser gave up."""

    pattern: str
    problem: str
    cure: str
    opens: bool = False


_MISTAKES = (
    _Mistake("tab character", "a tab indents this line", "indent with spaces: YAML forbids tabs"),
    _Mistake("cannot start any token", "a value cannot begin with this character", 'put it in quotes: "..."'),
    _Mistake(
        "mapping values are not allowed",
        "a key cannot stand here: its line has a key already, or the line above has a value",
        "put the key on a line of its own, indented as its neighbours; quote a value that holds ': '",
    ),
    _Mistake(
        "unexpected end of stream",
        "the quote that opens here is never closed",
        "close it with the same quote",
        opens=True,
    ),
    _Mistake(
        r"expected ',' or ('}'|']')",
        "a bracket opens here and is never closed, or a comma is missing in it",
        "close it, and put a comma between the parts",
        opens=True,
    ),
    _Mistake(
        "could not find expected ':'",
        "a key without a value",
        "write key: value, with a space after the colon",
        opens=True,
    ),
    _Mistake(
        "(sequence )?entries are not allowed",
        "a list cannot begin on the line of its key",
        "put each - item on a line of its own, or write [item, item]",
    ),
    _Mistake(
        "expected '-' indicator|block collection: expected <block end>",
        "a key stands among the items of a list",
        "begin the line with - or indent it otherwise",
    ),
    _Mistake(
        "expected key|expected <block end>",
        "this does not fit to what stands before it: other indentation, or text after a closing quote",
        "indent it as its neighbours; quote the whole value",
    ),
    _Mistake("expected (the )?node content", "a value cannot begin with this character", 'put it in quotes: "..."'),
    _Mistake(
        "alphabetic or numeric character", "a value cannot begin with * or &", 'put it in quotes: "..."', opens=True
    ),
    _Mistake(
        "expected '?<document start>",
        "text follows after the end of the document",
        "remove it, or a bracket too many before it",
    ),
    _Mistake(
        "escape character", "a backslash that means nothing to YAML", "use single quotes, which know no backslash"
    ),
)

_OTHERWISE = "compare it with the shipped policyd.yaml"
_TOO_MANY = _Mistake("", "a closing bracket too many", "remove it, or open it before")


def text_issue(text: str, file: str) -> Issue | None:
    """Return what a YAML parser would stumble over before any structure: characters and tabs."""
    odd = _UNPRINTABLE.search(text)
    if odd is not None:
        problem = f"the character U+{ord(odd[0]):04X} cannot stand in YAML"
        return _issue(text, file, odd.start(), problem, "remove it, or write it as an escape in double quotes")
    tab = _TAB.search(text)
    if tab is not None:
        return _issue(
            text,
            file,
            text.index("\t", tab.start()),
            "a tab indents this line",
            "indent with spaces: YAML forbids tabs",
        )
    return None


def yaml_issue(error: yaml.YAMLError, text: str, file: str) -> Issue:
    """Return the issue that a parser's error stands for."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Issue(file, 0, 0, "", f"is no valid YAML: {' '.join(str(error).split())}", _OTHERWISE)
    words = f"{error.context}: {error.problem}"
    known = next((mistake for mistake in _MISTAKES if re.search(mistake.pattern, words)), None)
    mark = error.problem_mark
    if known is None:
        return Issue(file, mark.line + 1, mark.column + 1, "", f"is no valid YAML: {error.problem}", _OTHERWISE)
    if "expected key" in words and _character(text, mark) in {"]", "}"}:
        known = _TOO_MANY
    if known.opens and error.context_mark is not None:
        mark = error.context_mark
    if "start any token" in words and _character(text, mark) == "\t":
        known = _MISTAKES[0]
    return Issue(file, mark.line + 1, mark.column + 1, "", known.problem, known.cure)


def _character(text: str, mark: yaml.Mark) -> str:
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    return line[mark.column : mark.column + 1]


def _issue(text: str, file: str, offset: int, problem: str, cure: str) -> Issue:
    line = text.count("\n", 0, offset) + 1
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    return Issue(file, line, column, "", problem, cure)
