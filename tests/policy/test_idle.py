"""Which mailboxes are idle: the rules one by one, and against a slow obvious model."""

from hypothesis import given
from hypothesis import strategies as st

from policyd.policy.idle import Judgement, Mailbox, Seen, judge

TODAY = 20_000
ALWAYS = range(TODAY - 500, TODAY + 1)
LONG_AGO = Seen(None, None, TODAY - 400)


def is_idle(mailbox: Mailbox, seen: Seen, watched: "range | list[int]" = ALWAYS) -> bool:
    """Return whether a mailbox is idle for 40 days."""
    return judge(mailbox, seen, watched, TODAY, 40).idle


def test_forty_whole_days_without_a_login_are_idle() -> None:
    """The day of the last login does not count, and today is not over."""
    bob = Mailbox("bob@example.org")

    assert not is_idle(bob, Seen(TODAY - 40, None, 0))
    assert is_idle(bob, Seen(TODAY - 41, None, 0))
    assert not is_idle(bob, Seen(TODAY - 41, TODAY - 40, 0))


def test_days_without_any_login_of_anybody_do_not_count() -> None:
    """When policyd saw nobody for a day, it would not have seen this one either."""
    bob, watched = Mailbox("bob@example.org"), [day for day in ALWAYS if day != TODAY - 7]

    assert not is_idle(bob, Seen(TODAY - 41, None, 0), watched)
    assert is_idle(bob, Seen(TODAY - 42, None, 0), watched)


def test_a_policyd_that_just_began_finds_nobody_idle() -> None:
    """Nothing follows from an empty Redis, however old the mailbox is."""
    old = Mailbox("bob@example.org", created=TODAY - 300)

    assert not is_idle(old, LONG_AGO, [])
    assert not is_idle(old, LONG_AGO, range(TODAY - 39, TODAY))
    assert is_idle(old, LONG_AGO, range(TODAY - 40, TODAY))


def test_a_mailbox_that_is_new_to_policyd_is_not_idle() -> None:
    """Without its date of creation a mailbox may be of today, however long policyd has watched."""
    new = Mailbox("new@example.org")

    assert not is_idle(new, Seen(None, None, TODAY))
    assert not is_idle(new, Seen(None, None, TODAY - 40))
    assert is_idle(new, Seen(None, None, TODAY - 41))
    assert is_idle(new._replace(created=TODAY - 41), Seen(None, None, TODAY))


def test_what_dovecot_keeps_needs_no_watching() -> None:
    """Where Dovecot keeps last logins it is believed, and policyd is where it has seen a later one."""
    kept = Mailbox("bob@example.org", created=TODAY - 300, last_login=TODAY - 41, kept=True)

    assert is_idle(kept, LONG_AGO, [])
    assert not is_idle(kept, Seen(TODAY - 3, None, 0), [])
    assert is_idle(kept._replace(last_login=None), LONG_AGO, [])


def test_a_judgement_says_what_it_rests_on() -> None:
    """The days that passed, since when, and the last login that anybody knows of."""
    bob = Mailbox("bob@example.org", created=TODAY - 90)

    assert judge(bob, Seen(TODAY - 50, None, 0), ALWAYS, TODAY, 40) == Judgement(
        "bob@example.org", idle=True, days=49, since=TODAY - 50, last_login=TODAY - 50, seen=Seen(TODAY - 50, None, 0)
    )
    assert judge(bob, LONG_AGO, ALWAYS, TODAY, 40)[2:] == (89, TODAY - 90, None, LONG_AGO)


DAY = st.integers(TODAY - 30, TODAY + 1)
MAILBOX = st.builds(Mailbox, st.just("m"), st.none() | DAY, st.none() | DAY, st.booleans())
SEEN = st.builds(Seen, st.none() | DAY, st.none() | DAY, DAY)
WATCHED = st.sets(DAY).map(sorted)


@given(MAILBOX, SEEN, WATCHED, st.integers(1, 30))
def test_the_judgement_is_that_of_the_model(mailbox: Mailbox, seen: Seen, watched: list[int], days: int) -> None:
    """Day by day: one on which the mailbox may have been in use, or was not, begins the count anew."""
    known = {mailbox.created, mailbox.last_login, seen.pop3, seen.imap}
    known, count = known if known != {None} else {seen.listed}, 0
    for day in range(TODAY - 31, TODAY):
        if day in known:
            count = 0
        elif any(one is not None and one < day for one in known) and (mailbox.kept or day in watched):
            count += 1
    if any(one is not None and one >= TODAY for one in known):
        count = 0

    assert judge(mailbox, seen, watched, TODAY, days)[1:3] == (count >= days, count)
