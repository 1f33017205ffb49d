"""Cutting restriction lists and entries into words, as smtpd itself does."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.audit.tokens import SEPARATORS, format_entry, join, milliseconds, parse_entry, split
from tests.support.programs import require

SMTPD = "/usr/lib/postfix/sbin/smtpd"

names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
plain = st.text(st.characters(exclude_characters=SEPARATORS + "{}", codec="utf-8"), min_size=1, max_size=12)
gaps = st.text(st.sampled_from(SEPARATORS), min_size=1, max_size=3)
groups = st.recursive(
    st.text(st.characters(exclude_characters="{}", codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: "{" + "".join(parts) + "}"),
    max_leaves=6,
).map(lambda text: "{" + text + "}")
values = st.text(st.characters(exclude_characters="{}\t\r\n", codec="ascii", categories=["L", "N", "P", "Zs"])).map(
    str.strip
)


@given(st.lists(st.tuples(plain | groups, gaps)), st.sampled_from(["", " ", ",\n"]))
def test_words_and_groups_come_back(parts: list[tuple[str, str]], before: str) -> None:
    """Words and balanced groups that separators part come back as they were."""
    assert split(before + "".join(word + gap for word, gap in parts)) == [word for word, _ in parts]


@given(st.text(st.sampled_from("ab={}, \t\n"), max_size=40))
def test_any_text_is_cut_without_loss(text: str) -> None:
    """Whatever the braces, nothing but separators is lost, and the words stand in order."""
    place = 0
    for word in split(text):
        found = text.index(word, place)
        assert not text[place:found].strip(SEPARATORS)
        place = found + len(word)
    assert not text[place:].strip(SEPARATORS)


@given(st.text(st.sampled_from("unix:ab=tme_ou{}, 4s"), max_size=60))
def test_any_text_is_read_as_an_entry(text: str) -> None:
    """An entry is read, rightly or with a flaw; nothing raises."""
    assert parse_entry(text).text == text


@given(values.filter(bool), st.integers(1, 10**6), st.booleans())
def test_an_entry_that_was_written_reads_back(action: str, timeout: int, bare: bool) -> None:
    """What format_entry writes has no flaw and means the same, whatever the values hold."""
    options = {} if bare else {"timeout": f"{timeout}s", "default_action": action}
    entry = parse_entry(format_entry("unix:policyd/policy", options))

    assert (entry.endpoint, entry.options, entry.flaw) == ("unix:policyd/policy", options, "")


def test_words_are_joined_with_their_arguments() -> None:
    """A comma stands after each restriction, none between a restriction and its argument."""
    words = ["check_policy_service", "{ unix:a, timeout=1s }", "reject_rbl_client", "dnsbl.example", "permit"]

    assert join(words) == "check_policy_service { unix:a, timeout=1s }, reject_rbl_client dnsbl.example, permit"
    assert split(join(words)) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45", 45_000),
        ("45s", 45_000),
        ("2m", 120_000),
        ("1h", 3_600_000),
        ("10ms", 600_000),
        ("s", None),
        ("4 s", None),
    ],
)
def test_a_time_is_read_as_postfix_reads_it(text: str, expected: int | None) -> None:
    """A number with a unit, of which Postfix sees the first letter only: 10ms are ten minutes."""
    assert milliseconds(text) == expected


ENTRIES = {
    "unix:foo": "",
    "inet:10031": "",
    "local:foo": "",
    "{ unix:foo, default_action=DUNNO }": "",
    "{ unix:foo, { default_action = 451 4.3.5 x } }": "",
    "{ unix:foo, max_idle=1m, max_ttl=1h, retry_delay=2, timeout=10ms, request_limit=0 }": "",
    "foo": "neither unix:path nor inet:host:port",
    "127.0.0.1:10031": "neither unix:path nor inet:host:port",
    "unix:": "neither unix:path nor inet:host:port",
    "{}": "neither unix:path nor inet:host:port",
    "{ { unix:foo }, timeout=10 }": "neither unix:path nor inet:host:port",
    "{ unix:foo, default_action=WARN policy down }": '"policy" is no name=value (a value with spaces needs braces',
    "{ unix:foo, timeout = 10 }": '"timeout" is no name=value',
    "{ unix:foo, { timeout=10 }x }": '"x" follows the closing brace',
    "{ unix:foo, =3 }": '"=3" is no name=value',
    "{ unix:foo }x": '"x" follows the closing brace',
    "{ unix:foo ": "the closing brace is missing",
    "{ unix:foo, nonsense=1 }": "nonsense is no option of check_policy_service",
    "{ unix:foo, Timeout=10 }": "Timeout is no option of check_policy_service",
    "{ unix:foo, timeout=abc }": "timeout=abc is no time",
    "{ unix:foo, timeout=0 }": "timeout=0 is no time",
    "{ unix:foo, { timeout = 10S } }": "timeout=10S is no time",
    "{ unix:foo, try_limit=0 }": "try_limit=0 is no number from 1",
    "{ unix:foo, request_limit=-1 }": "request_limit=-1 is no number from 0",
    "{ unix:foo, policy_context= }": "policy_context= has no value",
    "{ unix:foo, default_action= }": "default_action= has no value",
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_flaw_of_an_entry_is_named(entry: str) -> None:
    """What is wrong with an entry is said in words; a good entry has no flaw."""
    flaw = parse_entry(entry).flaw

    assert ENTRIES[entry] in flaw
    assert bool(flaw) == bool(ENTRIES[entry])


@pytest.mark.e2e
def test_smtpd_dies_of_exactly_these_entries(tmp_path: Path) -> None:
    """A real smtpd greets nobody with an entry that has a flaw, and everybody with one that has none."""
    require("postfix", root=True)
    (tmp_path / "queue").mkdir()
    (tmp_path / "main.cf").write_text(
        f"compatibility_level = 3.6\nqueue_directory = {tmp_path}/queue\ndata_directory = {tmp_path}\n"
        "local_recipient_maps =\nalias_maps =\nsmtpd_peername_lookup = no\nmyhostname = mx.example.org\n"
    )
    # stand-alone smtpd, smtpd(8); a fatal error sleeps for a second, so all run at once.
    running = {
        entry: subprocess.Popen(
            [SMTPD, "-S", "-o", f"smtpd_recipient_restrictions=check_policy_service {entry}, permit"],
            env={**os.environ, "MAIL_CONFIG": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for entry in ENTRIES
    }
    said = {entry: smtpd.communicate(b"QUIT\r\n", timeout=60)[0] for entry, smtpd in running.items()}

    assert {entry for entry, text in said.items() if text.startswith(b"220 ")} == {
        entry for entry, flaw in ENTRIES.items() if not flaw
    }
