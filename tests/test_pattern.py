"""Patterns of envelope senders: what they find, and that they find it in linear time."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.address import Address
from policyd.errors import PatternError
from policyd.pattern import ANY, LIST, SenderPattern, sender_pattern


def found(pattern: str, local: str, domain: str = "example.org") -> str:
    """Return the name of the list in a local part."""
    return sender_pattern(pattern).list_name(Address(local, domain))


@pytest.mark.parametrize(
    ("pattern", "local", "name"),
    [
        ("{list}-errors", "news-errors", "news"),
        ("{list}-errors", "news", ""),
        ("{list}-errors", "-errors", ""),
        ("{LIST}-Errors", "news-errors", "news"),
        ("bounce-*-{list}", "bounce-17-bob-news", "news"),
        ("bounce-*-{list}", "bounce--news", "news"),
        ("bounce-*-{list}", "bounce-news", ""),
        ("{list}.*", "news.bob.example.net", "news"),
        ("b-{list}-*=*-x", "b-news-bob=a.test-x", "news"),
        ("b-{list}-*=*-x", "b-news-bob-x", ""),
        ("{list}-b+*", "news-b+bob-b+x", "news"),
        ("{list}-b+*", "a+c-b+x", ""),
        ("x{list}x", "xx", ""),
        ("xy{list}yx", "xyx", ""),
    ],
)
def test_a_pattern_finds_the_name_of_the_list(pattern: str, local: str, name: str) -> None:
    """As short as possible, and never empty."""
    assert found(pattern, local) == name


def test_a_pattern_can_be_for_one_domain() -> None:
    """With a domain all of its senders may be lists'; the domain is compared as accounts are."""
    for pattern in ("{list}@Lists.Example.org", "{list}@lists.example.org."):
        assert found(pattern, "news", "lists.example.org") == "news"
        assert not found(pattern, "news", "example.org")
    assert found("{list}-b@bücher.test", "news-b", "xn--bcher-kva.test") == "news"


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("news-bounces", "does not say where the name of the list stands"),
        ("", "has a space"),
        ("{list} bounces", "has a space"),
        ("{list}-{list}", "names {list} twice"),
        ("*-{list}-*", "has * on both sides of {list}"),
        ("{list}*", "has two wildcards side by side"),
        ("*{list}", "has two wildcards side by side"),
        ("{list}-**", "has two wildcards side by side"),
        ("{list}", "takes every sender for a list's"),
        ("{list}@", "does not end with a domain name"),
        ("{list}@a b", "has a space"),
        ("{list}@b@c.test", "does not end with a domain name"),
        ("x@{list}.test", "does not end with a domain name"),
    ],
)
def test_what_is_no_pattern_is_told(pattern: str, problem: str) -> None:
    """Each mistake says what it is."""
    with pytest.raises(PatternError) as caught:
        sender_pattern(pattern)
    assert caught.value.problem == problem


def splits(pattern: str, local: str) -> Iterator[str]:
    """Yield the name of the list in every way in which a local part can be split by a pattern. Slow and obvious."""
    if pattern.startswith(LIST):
        for end in range(1, len(local) + 1):
            if any(True for _ in splits(pattern.removeprefix(LIST), local[end:])):
                yield local[:end]
    elif pattern.startswith(ANY):
        for end in range(len(local) + 1):
            yield from splits(pattern[1:], local[end:])
    elif pattern and local and pattern[0] == local[0]:
        yield from splits(pattern[1:], local[1:])
    elif not pattern and not local:
        yield ""


def slow(pattern: str, local: str) -> str:
    """Return the shortest name that can be one, "" for none."""
    names = (name for name in splits(pattern, local) if name and "+" not in name and "=" not in name)
    return min(names, key=len, default="")


texts = st.text("ab-+=", max_size=3)
patterns = st.builds(
    lambda before, after, mirrored: "".join((after, LIST, before) if mirrored else (before, LIST, after)),
    texts,
    st.lists(texts, min_size=1, max_size=4).map(ANY.join),
    st.booleans(),
)


@given(patterns, st.text("ab-+=", max_size=12))
def test_a_match_is_the_shortest_of_all_splits(pattern: str, local: str) -> None:
    """The one pass finds what trying everything finds."""
    try:
        made = sender_pattern(pattern)
    except PatternError:
        return
    assert made.list_name(Address(local, "example.org")) == slow(pattern, local)


class Counted(str):
    """A text that counts the characters that are looked at in it, at most."""

    __slots__ = ("seen",)
    seen: int

    def find(self, piece: str, start: int = 0, stop: int = 0) -> int:  # type: ignore[override]
        """Find a piece; what was looked at is what lies before its end."""
        at = super().find(piece, start, stop)
        self.seen += (at + len(piece) if at >= 0 else stop) - start
        return at

    def __getitem__(self, key: object) -> "Counted":
        same = Counted(super().__getitem__(key))  # type: ignore[index]
        same.seen = 0
        return same


@given(patterns, st.text("ab-+=", max_size=6), st.integers(1, 400))
def test_no_sender_is_looked_at_twice(pattern: str, part: str, times: int) -> None:
    """However a stranger writes it: each character is looked at once in search of the pieces."""
    try:
        made = sender_pattern(pattern)
    except PatternError:
        return
    local = Counted(part * times)
    local.seen = 0
    straight = SenderPattern(made.text, made.before, made.pieces, made.end)
    straight.list_name(Address(local, "example.org"))
    assert local.seen <= len(local)
