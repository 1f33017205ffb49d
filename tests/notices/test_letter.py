"""The words of a notice."""

from pathlib import Path

import pytest

from policyd.conf.notice import TO_CUSTOMERS
from policyd.event import Event, EventKind
from policyd.notices.letter import body, letter, signature, template

REFUSED = Event(
    1_700_000_000_000, EventKind.REFUSAL, "example.org", "bob@example.org", "bob@example.org", "400 of 400 used",
    "user-hourly", "7KQ2M0XW9A",
)  # fmt: skip
NOWHERE = "/nonexistent"


@pytest.mark.parametrize("name", [*sorted(TO_CUSTOMERS), "admin"])
def test_every_text_that_is_shipped_is_filled_in(name: str) -> None:
    """No placeholder is left over, there is a subject, and a machine sees that a machine wrote it."""
    made = letter(template(NOWHERE, name), REFUSED, "postmaster@example.net", "owner@example.org")

    assert "$" not in made.as_string()
    assert made["Subject"].strip()
    assert (made["To"], made["Auto-Submitted"]) == ("owner@example.org", "auto-generated")


def test_a_refusal_is_told_with_its_numbers() -> None:
    """Whose mail, over which limit, since when, and the reference to ask with."""
    made = letter(template(NOWHERE, "refusal"), REFUSED, "postmaster@example.net", "owner@example.org")

    assert made["Subject"] == "Mail of example.org was refused (ref 7KQ2M0XW9A)"
    assert "since 2023-11-14T22:13:20+00:00 mail of bob@example.org" in made.get_content()
    assert "(user-hourly: 400 of 400 used)" in made.get_content()


def test_an_admin_writes_texts_of_his_own(tmp_path: Path) -> None:
    """A file with the name of a text is taken in its place; a placeholder that is none stays as it is."""
    (tmp_path / "refusal.txt").write_text("Subject: Grüße, $account\n\nSie zahlen 5 $ und $nothing.\n", "utf-8")
    made = letter(template(str(tmp_path), "refusal"), REFUSED, "postmaster@example.net", "owner@example.org")

    assert made["Subject"] == "Grüße, example.org"
    assert made.get_content() == "Sie zahlen 5 $ und $nothing.\r\n".replace("\r\n", "\n")
    assert template(str(tmp_path), "suspend") == template(NOWHERE, "suspend")


def test_a_reason_cannot_add_headers() -> None:
    """Whatever stands in an event, the subject is one line."""
    made = letter("Subject: $why\n\nx\n", REFUSED._replace(why="a\nBcc: x@y.test"), "p@example.net", "o@example.org")

    assert made["Subject"] == "a"
    assert "Bcc" not in made


def test_what_is_posted_is_signed() -> None:
    """The signature is of the body as it is, with the secret as key: openssl dgst -sha256 -hmac says the same."""
    assert signature("key", b"The quick brown fox jumps over the lazy dog") == (
        "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
    )
    assert b'"when": "2023-11-14T22:13:20+00:00"' in body(REFUSED)
