"""Numbers of things, in words."""

import pytest

from policyd.plural import plural


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [
        (0, "change", "0 changes"),
        (1, "change", "1 change"),
        (2, "address", "2 addresses"),
        (1, "mailbox", "1 mailbox"),
        (1000, "mailbox", "1000 mailboxes"),
    ],
)
def test_one_and_many(count: int, noun: str, said: str) -> None:
    """One is no plural."""
    assert plural(count, noun) == said


def test_a_count_in_another_form() -> None:
    """Thousands are set apart where they are many."""
    assert plural(1000, "line", ",") == "1,000 lines"
