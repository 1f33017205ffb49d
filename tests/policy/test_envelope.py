"""Which list an envelope sender is of, for each of the programs by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.conf.listed import KnownList, Lists
from policyd.pattern import sender_pattern
from policyd.policy.envelope import _MARKS, FAN_OUT, NOTICES, Envelopes

BUILT_IN = Envelopes(Lists())

FROM_SOFTWARE = {
    "Mailman": ("news-bounces@example.org", "news"),
    "Mailman with VERP": ("news-bounces+bob=remote.test@example.org", "news"),
    "Mailman with VERP, a member with an extension": ("news-bounces+bob+tag=remote.test@example.org", "news"),
    "Mailman with VERP, a member like a list": ("news-bounces+x-bounces=list-owner.test@example.org", "news"),
    "Mailman's probe": ("news-bounces+4e5c8d1f7a2b@example.org", "news"),
    "Mailman's confirmation": ("news-confirm+9f8e7d6c5b4a@example.org", "news"),
    "Mailman, a list with a dash": ("red-news-bounces+bob=remote.test@example.org", "red-news"),
    "Mailman, a list with a dot": ("red.news-bounces@example.org", "red.news"),
    "Mailman, a list that ezmlm could have": (
        "no-return-policy-bounces+a-b=remote.test@example.org",
        "no-return-policy",
    ),
    "Mailman's own list": ("mailman-bounces@example.org", "mailman"),
    "Mailman to the owners": ("news-owner@example.org", "news"),
    "Sympa": ("news-owner@example.org", "news"),
    "Sympa with VERP": ("bounce+bob==a==remote.test==news@example.org", "news"),
    "Sympa's welcome with VERP": ("bounce+bob==a==remote.test==news==w@example.org", "news"),
    "Sympa's reminder with VERP": ("bounce+bob==a==remote.test==red-news==r@example.org", "red-news"),
    "Sympa with VERP, a list like its own marks": ("bounce+bob==a==remote.test==w@example.org", "w"),
    "ezmlm": ("news-return-123-bob=remote.test@example.org", "news"),
    "ezmlm, a member with a dash": ("news-return-123-bob-b=remote-x.test@example.org", "news"),
    "ezmlm, before VERP": ("news-return-123-@example.org", "news"),
    "ezmlm's digest": ("news-digest-return-7-bob=remote.test@example.org", "news"),
    "ezmlm's warning": ("news-return-warn-1700000000.abcdef-bob=remote.test@example.org", "news"),
    "ezmlm's probe": ("news-return-probe-1700000000.abcdef-bob=remote.test@example.org", "news"),
    "ezmlm's help": ("news-return-@example.org", "news"),
    "Majordomo": ("owner-news@example.org", "news"),
    "Majordomo with Postfix's VERP": ("owner-news+bob=remote.test@example.org", "news"),
    "Majordomo's digest, a list of its own": ("owner-news-digest@example.org", "news-digest"),
    "upper case and a trailing dot": ("News-Bounces@Example.ORG.", "news"),
}


@pytest.mark.parametrize(("sender", "name"), FROM_SOFTWARE.values(), ids=FROM_SOFTWARE)
def test_all_senders_of_a_list_lead_to_its_posting_address(sender: str, name: str) -> None:
    """Members, probes and cookies make no list of their own."""
    assert str(BUILT_IN.posting(sender)) == f"{name}@example.org"


@pytest.mark.parametrize(
    "sender",
    [
        "", "alice@example.org", "alice+bounces@example.org", "bounces@example.org", "-bounces@example.org",
        "bounce@example.org", "bounce+bob=remote.test@example.org", "owner@example.org", "owner-@example.org",
        "tax-return-help@example.org", "no-return-address@example.org", "feature-request@example.org",
        "news-bounces", "news-bounces@bad domain", "news@bounces.example.org",
    ],
)  # fmt: skip
def test_what_people_and_scripts_send_is_no_lists(sender: str) -> None:
    """Bounce addresses of other kinds, people with such names, and no address at all."""
    assert BUILT_IN.posting(sender) is None


@pytest.mark.parametrize("suffix", ["confirm", "request", "join", "leave", "subscribe", "unsubscribe", "admin", "help"])
def test_what_list_software_answers_to_single_people_is_the_lists(suffix: str) -> None:
    """Such senders are folded only where list software is known to have sent: people have such names, too."""
    sender = f"news-{suffix}@example.org"
    assert BUILT_IN.posting(sender) is None
    assert str(BUILT_IN.of_software(sender)) == "news@example.org"
    assert str(BUILT_IN.of_software("news-request+17@example.org")) == "news@example.org"
    assert str(BUILT_IN.of_software("news-bounces@example.org")) == "news@example.org"
    assert BUILT_IN.of_software("postmaster@example.org") is None


def test_the_administrators_own_come_first() -> None:
    """Software with one constant envelope, then his patterns, then what is built in."""
    envelopes = Envelopes(
        Lists(
            patterns=(sender_pattern("{list}-errors-*"), sender_pattern("x-{list}-bounces")),
            known={
                "php+x@example.org": KnownList("news@lists.example.org"),
                "y-errors-1@example.org": KnownList("y@example.org"),
            },
        )
    )
    senders = ["PHP+x@Example.org", "y-errors-1@example.org", "z-errors-1@example.org", "x-news-bounces@example.org"]
    expected = ["news@lists.example.org", "y@example.org", "z@example.org", "news@example.org"]
    assert [str(envelopes.named(sender)) for sender in senders] == expected
    assert [str(envelopes.posting(sender)) for sender in senders] == expected
    assert envelopes.named("news-bounces@example.org") is None
    assert envelopes.posting("php@example.org") is None


names = st.from_regex(r"[a-z][a-z0-9.]{0,8}", fullmatch=True)
members = st.tuples(st.from_regex(r"[a-z][a-z0-9.+-]{0,8}", fullmatch=True), names.map("{}.test".format))
VERP = {
    "Mailman": "{0}-bounces+{1}={2}@example.org",
    "Sympa": "bounce+{1}==a=={2}=={0}@example.org",
    "ezmlm": "{0}-return-17-{1}={2}@example.org",
    "Majordomo": "owner-{0}+{1}={2}@example.org",
}


@given(names, st.lists(members, min_size=1, max_size=5), st.sampled_from(sorted(VERP)))
def test_whoever_the_members_are_a_list_is_one_list(name: str, told: list[tuple[str, str]], program: str) -> None:
    """No member's address gives the list another name."""
    found = {str(BUILT_IN.posting(VERP[program].format(name, *member))) for member in told}
    assert found == {f"{name}@example.org"}


@pytest.mark.parametrize("form", FAN_OUT)
def test_every_form_has_one_of_the_marks(form: str) -> None:
    """Senders without a mark are not compared with the forms."""
    assert _MARKS.search(form)


@given(st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_nothing_that_postfix_can_send_crashes_it(sender: str) -> None:
    """A list has a name and a domain, or it is none."""
    for posting in (BUILT_IN.posting(sender), BUILT_IN.of_software(sender), BUILT_IN.named(sender)):
        assert posting is None or (posting.local and posting.domain)


@pytest.mark.parametrize("form", [*FAN_OUT, *NOTICES])
def test_no_form_hides_another(form: str) -> None:
    """What a form is for leads to the list, whichever forms are tried before it."""
    local = form.replace("{list}", "news").replace("*", "1")
    assert str(BUILT_IN.of_software(f"{local}@example.org")) == "news@example.org"
