"""What leads to one mailbox is one text, and what does not stays apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.address import Address, normal_form, normalise, normalise_domain, normalise_local

ONE_MAILBOX = {
    "plain": "alice@münchen.example",
    "upper case": "ALICE@MÜNCHEN.EXAMPLE",
    "trailing dot": "alice@münchen.example.",
    "ideographic dot": "alice@münchen\u3002example",
    "decomposed umlaut": "alice@mu\u0308nchen.example",
    "A-label": "alice@xn--mnchen-3ya.example",
    "upper-case A-label": "Alice@XN--MNCHEN-3YA.Example",
    "plus-address": "alice+news@münchen.example",
    "two pluses": "alice+news+more@münchen.example",
    "quoted": '"alice"@münchen.example',
    "quoted with a backslash": '"al\\ice"@münchen.example',
    "quoted plus-address": '"Alice+news"@münchen.example',
}

DOMAINS = [
    ("example.org", "example.org"),
    ("EXAMPLE.ORG.", "example.org"),
    ("_dmarc.example.org", "_dmarc.example.org"),
    ("192.0.2.1", "192.0.2.1"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("faß.example", "xn--fa-hia.example"),
    ("localhost", "localhost"),
    ("", ""),
    (".", ""),
    ("a..b", ""),
    ("-a.example", ""),
    ("a-.example", ""),
    ("a b.example", ""),
    ("[192.0.2.1]", ""),
    ("xn--a", ""),
    ("\u2603.example", ""),
    ("a" * 64 + ".example", ""),
    (".".join(["a" * 63] * 4), ""),
    ("m\udcfcnchen.example", ""),
    ("example.org\n", ""),
]

wire_bytes = st.binary(max_size=40).filter(lambda raw: b"\n" not in raw)
"""Any value that Postfix can send."""


def text_of(raw: bytes) -> str:
    """Return a value as the codec makes it."""
    return raw.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("written", ONE_MAILBOX.values(), ids=ONE_MAILBOX)
def test_one_mailbox_is_one_text(written: str) -> None:
    """All ways to write one mailbox lead to one text, whose domain is an A-label."""
    assert str(normalise(written)) == "alice@xn--mnchen-3ya.example"


@pytest.mark.parametrize(("written", "expected"), DOMAINS, ids=[ascii(written[:20]) for written, _ in DOMAINS])
def test_a_domain_is_a_lower_case_a_label_or_nothing(written: str, expected: str) -> None:
    """A domain becomes its lower-case A-label form without trailing dot; what can be none becomes empty."""
    assert normalise_domain(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("bob", Address("bob", "")),
        ("Bob+x", Address("bob", "")),
        ("", Address("", "")),
        ("@example.org", Address("", "example.org")),
        ("a@b@example.org", Address("a@b", "example.org")),
        ("x y@Remote.TEST", Address("x y", "remote.test")),
        ("a=b c@hosted.test", Address("a=b c", "hosted.test")),
        ("+tag@example.org", Address("+tag", "example.org")),
        ('"@example.org', Address('"', "example.org")),
        ('""@example.org', Address("", "example.org")),
        ('"a\\"b"@example.org', Address('a"b', "example.org")),
        ("Bob+x@no domain", Address("bob+x@no domain", "")),
    ],
    ids=ascii,
)
def test_an_address_is_split_at_its_last_at_sign(written: str, expected: Address) -> None:
    """The domain stands behind the last @; an invalid one leaves the whole text to the local part."""
    assert normalise(written) == expected


@pytest.mark.parametrize(
    ("local", "delimiter", "expected"),
    [("a+b-c", "+", "a"), ("a+b-c", "-", "a+b"), ("a+b-c", "", "a+b-c"), ("++", "+", "+"), ("-a-b", "-", "-a")],
)
def test_the_extension_is_what_the_configured_delimiter_begins(local: str, delimiter: str, expected: str) -> None:
    """The extension begins at the first delimiter behind the first character; with none there is no extension."""
    assert normalise_local(local, delimiter) == expected


@given(wire_bytes)
def test_no_bytes_crash_it_and_once_is_enough_for_a_domain(raw: bytes) -> None:
    """Whatever bytes arrive, a domain is made, and making it again changes nothing."""
    domain = normalise_domain(text_of(raw))
    assert normalise_domain(domain) == domain
    assert domain.isascii()
    normalise(text_of(raw))


@given(wire_bytes, wire_bytes, st.sampled_from(["", "@example.org"]))
def test_undecodable_bytes_never_merge_two_addresses(one: bytes, other: bytes, rest: str) -> None:
    """Two values that differ in a byte beyond ASCII, in the same places, stay two texts."""
    first, second = text_of(b"\xff" + one), text_of(b"\xfe" + other)
    assert str(normalise(first + rest)) != str(normalise(second + rest))
    assert str(normalise("a@" + first)) != str(normalise("a@" + second))


@given(st.text(alphabet="abc-", min_size=1, max_size=10), st.text(alphabet="xyz", min_size=1, max_size=10))
def test_case_never_tells_two_mailboxes_apart(local: str, domain: str) -> None:
    """Capitals anywhere in an address change nothing."""
    assert normalise(f"{local}@{domain}") == normalise(f"{local}@{domain}".upper())


_PIECES = st.sampled_from([*'aZ09._-+@"\\ \n\udcff', "xn--", "example", ".org", "m\u00fc", "user"])


@given(text=st.lists(_PIECES, max_size=12).map("".join), delimiter=st.sampled_from(["", "+", "-", ".", "a", "@"]))
def test_the_normal_form_is_the_normalised_address_as_text(text: str, delimiter: str) -> None:
    """The short way for plain addresses leads where the long one does."""
    assert normal_form(text, delimiter) == str(normalise(text, delimiter))
