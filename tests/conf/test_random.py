"""Whatever stands in the file: a Config or a ConfigError, nothing else."""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.conf import postfix
from policyd.conf.load import load
from policyd.errors import ConfigError, Issue

SHIPPED = (Path(__file__).parents[2] / "config" / "policyd.yaml").read_text("utf-8")
PIECES = [
    "null", "[]", "{}", "- ", ": ", "\t", "no", "22:00", "0777", "-1", "unlimited", "reject", "[relayed]", "&a", "*a",
    "!!str ", "<<: ", "é", "\U0001f4e7", '"', "'", "{", "}", "shared", "domain-hourly", "extends: dedicated",
    "hosted: [file:/]", "include: ['/**']", "\x00", "---\n", "1" * 400,
]  # fmt: skip
KEYS = ["version", "listen", "limits", "plans", "accounts", "schedules", "exempt", "lists", "log", "store", "mode"]

TREES = st.recursive(
    st.sampled_from([*PIECES, "domain-hourly", "1h", "400", "rate", "example.org"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(
            st.sampled_from(
                ["domain-hourly", "shared", "kind", "max", "apply", "extends", "change", "over", "domains", "traffic"]
            ),
            inner,
            max_size=4,
        ).map(lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}")
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    """Return a file to be written again and again."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "policyd.yaml"


@pytest.fixture(autouse=True, scope="module")
def _no_questions() -> Iterator[None]:
    """Ask neither Postfix nor the resolver for each example."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postfix, "local_names", lambda: frozenset({"host.example.net"}))
        yield


def issues_of(path: Path) -> tuple[Issue, ...]:
    """Load, and return what is wrong."""
    try:
        load(path)
    except ConfigError as error:
        return error.issues
    return ()


def hold(path: Path) -> None:
    """Hold that whatever is wrong can be told in one line each."""
    assert [issue for issue in issues_of(path) if not issue.problem or "\n" in str(issue)] == []


@given(seed=st.integers(0, 2**32), edits=st.integers(1, 4))
def test_a_mutated_file_raises_config_error_or_nothing(seed: int, edits: int, path: Path) -> None:
    """Lines and pieces of the shipped file removed, doubled, moved and replaced."""
    dice = random.Random(seed)
    text = SHIPPED
    for _ in range(edits):
        start = dice.randrange(len(text) or 1)
        end = min(len(text), start + dice.choice([0, 1, 3, 20, 200]))
        piece = dice.choice([dice.choice(PIECES), text[start:end] * 2, "", text[end : end + 30]])
        text = text[:start] + piece + text[end:]
    path.write_text(text, "utf-8", newline="")

    hold(path)


@given(sections=st.dictionaries(st.sampled_from(KEYS), TREES))
def test_random_yaml_raises_config_error_or_nothing(sections: dict[str, str], path: Path) -> None:
    """Trees that look like a configuration."""
    base = {"version": "1", "listen": '{postfix: ["unix:/p"]}', "limits": "{}", "plans": "{default: {}}"}
    path.write_text("".join(f"{key}: {value}\n" for key, value in {**base, **sections}.items()), "utf-8")

    hold(path)


@given(raw=st.binary(max_size=200))
def test_random_bytes_raise_config_error(raw: bytes, path: Path) -> None:
    """They are never a configuration."""
    path.write_bytes(raw)

    with pytest.raises(ConfigError):
        load(path)


def test_a_name_with_line_ends_is_told_in_one_line(path: Path) -> None:
    """As a file is named in quotes, over several lines."""
    base = 'version: 1\nlisten: {postfix: ["unix:/p"]}\nlimits: {}\nplans: {default: {}}\n'
    path.write_text(f'{base}accounts:\n  hosted: ["file:/nowhere/a\n\n\n    map", "file:/nowhere/\\e[2J"]\n', "utf-8")
    absent = "cannot be read: No such file or directory (create it, or let policyd's user read it)"

    assert [str(issue).partition("accounts.hosted: ")[2] for issue in issues_of(path)] == [
        rf"/nowhere/a\n\nmap {absent}", rf"/nowhere/\x1b[2J {absent}"
    ]  # fmt: skip
