"""Names of keys: what differs stays different, on one slot, in bounded length."""

from hypothesis import given
from hypothesis import strategies as st

from policyd.store import keys

_TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("{}:\udc80\udcff"), max_size=150)


def test_the_schema() -> None:
    """Format 1, as it stands in the design."""
    tag = keys.tag("example.org")
    assert tag == b"policyd:1:{example.org}:"
    assert keys.counter(tag, "ring", "hourly", "bob@example.org") == tag + b"ring:hourly:bob@example.org"
    assert keys.message(tag, "mx", "2a.1.2.0") == tag + b"message:mx:2a.1.2.0"
    assert keys.events(tag) == tag + b"events"


@given(account=_TEXTS, subject=_TEXTS)
def test_one_slot_for_an_account(account: str, subject: str) -> None:
    """The hash tag of each key is the account's, whatever the account and the subject are made of."""
    key = keys.counter(keys.tag(account), "log", "hourly", subject)
    tag = key[key.index(b"{") + 1 : key.index(b"}")]
    assert tag == keys.tag(account)[len(keys.PREFIX) + 1 : -2]
    assert b"{" not in tag


@given(st.lists(_TEXTS, min_size=2, max_size=2, unique=True))
def test_no_two_accounts_or_subjects_merge(two: list[str]) -> None:
    """Different texts, undecodable bytes among them, have different names."""
    assert keys.tag(two[0]) != keys.tag(two[1])
    assert keys.short(two[0]) != keys.short(two[1])


def test_a_subject_over_128_bytes_is_its_hash() -> None:
    """A key stays short; what looks like a hash is hashed, so that nobody can choose another's name."""
    assert keys.short("x" * 128) == b"x" * 128
    assert len(keys.short("x" * 129)) == len(b"sha256=") + 64
    assert keys.short("\u00fc" * 65).startswith(b"sha256=")
    assert keys.short(keys.short("x" * 129).decode()) != keys.short("x" * 129)
