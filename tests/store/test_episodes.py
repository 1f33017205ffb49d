"""An episode is one stretch of being over one limit: one reference, one event."""

import json
import re
from typing import Any, cast

from policyd.model import Episode
from tests.store.scripted import HOUR, NOON, Customer, charge, record


def events(customer: Customer) -> list[dict[str, Any]]:
    """Return the account's events, newest first."""
    client = customer.scripted.client
    return [json.loads(event) for event in client.lrange(f"policyd:1:{{{customer.name}}}:events", 0, -1)]


def refused(customer: Customer, now: int, limit: str = "hourly") -> Episode:
    """Ask for what a limit never lets through, and return the episode."""
    episode = customer.charge(charge(0, limit=limit), now=now).usages[0].episode
    assert episode
    return episode


def test_a_reference_is_ten_characters_of_crockford(customer: Customer) -> None:
    """No I, L, O or U, so that it can be read out on the telephone; different for each episode."""
    refs = {refused(Customer(customer.scripted), NOON).ref for _ in range(100)}
    assert len(refs) == 100
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{10}", ref) for ref in refs)


def test_an_episode_goes_on_while_something_is_refused_in_each_window(customer: Customer) -> None:
    """Refusals that are less than a window apart are one episode, which starts once."""
    episodes = [refused(customer, NOON + step * (HOUR - 1)) for step in range(5)]
    assert len({episode.ref for episode in episodes}) == 1
    assert [episode.started for episode in episodes] == [True, False, False, False, False]


def test_a_window_without_refusal_ends_the_episode(customer: Customer) -> None:
    """The next refusal has a new reference."""
    first, second = refused(customer, NOON), refused(customer, NOON + HOUR)
    assert second.started
    assert first.ref != second.ref


def test_a_limit_and_a_subject_have_episodes_of_their_own(customer: Customer) -> None:
    """Two limits that refuse at once are two episodes."""
    usages = customer.charge(charge(0, limit="one"), charge(0, limit="two"), charge(0, subject="bob")).usages
    assert len({usage.episode.ref for usage in usages if usage.episode}) == 3


def test_an_episode_is_one_event(customer: Customer) -> None:
    """The first refusal is an event with everything that is known of it; the others are none."""
    one = charge(3)
    customer.charge(one._replace(cost=3))
    episodes = [customer.charge(one, now=NOON + step).usages[0].episode for step in range(3)]
    assert episodes[0]
    assert events(customer) == [
        {
            "at": NOON, "event": "refusal", "ref": episodes[0].ref, "limit": "hourly", "subject": "someone",
            "used": 3, "max": 3, "fits_at": NOON + HOUR, "observed": False,
        }
    ]  # fmt: skip


def test_an_observed_episode_says_so(customer: Customer) -> None:
    """What a limit in mode observe would have refused is an event, too."""
    customer.charge(charge(0, observed=True))
    assert [event["observed"] for event in events(customer)] == [True]


def test_a_subject_may_hold_a_colon_and_bytes_that_are_no_text(customer: Customer) -> None:
    """IPv6 addresses and undecodable bytes stay what they are."""
    for subject in ("2001:db8::1", "\udcff{x}:y"):
        customer.charge(charge(0, subject=subject))
    raw = customer.scripted.client.lrange(f"policyd:1:{{{customer.name}}}:events", 0, -1)
    subjects = [json.loads(cast("bytes", event).decode("utf-8", "surrogateescape"))["subject"] for event in raw]
    assert subjects == ["\udcff{x}:y", "2001:db8::1"]


def test_the_last_200_events_are_kept_for_a_month(customer: Customer) -> None:
    """The list is bounded, and expires 30 days after the last one."""
    for number in range(205):
        refused(customer, NOON, limit=f"limit{number}")
    found = events(customer)
    assert [found[0]["limit"], found[-1]["limit"], len(found)] == ["limit204", "limit5", 200]
    left = customer.scripted.client.pttl(f"policyd:1:{{{customer.name}}}:events")
    assert 29 * 24 * HOUR < left <= 30 * 24 * HOUR


def test_a_look_starts_no_episode(customer: Customer) -> None:
    """A peek shows the reference of an episode in progress, and begins none."""
    one = charge(0)
    before = customer.peek(one).usages[0].episode
    episode = refused(customer, NOON)
    during = customer.peek(one, now=NOON + 1).usages[0].episode
    after = customer.peek(one, now=NOON + HOUR).usages[0].episode
    assert (before, during, after) == (Episode("", False), Episode(episode.ref, False), Episode("", False))
    assert len(events(customer)) == 1


def test_an_episode_key_lives_one_window(customer: Customer) -> None:
    """It expires by itself when nothing is refused any more."""
    refused(customer, NOON)
    left = customer.scripted.client.pttl(f"policyd:1:{{{customer.name}}}:episode:hourly:someone")
    assert HOUR - 60_000 < left <= HOUR


def test_a_repeated_refusal_is_no_new_event(customer: Customer) -> None:
    """What Postfix asks twice was refused once."""
    customer.charge(charge(400), of=record("m1"))
    both = [customer.charge(charge(0), of=record("m1", "b@x.test")) for _ in range(2)]
    assert [outcome.repeated for outcome in both] == [False, True]
    assert [bool(o.usages[0].episode and o.usages[0].episode.started) for o in both] == [True, False]
    assert len(events(customer)) == 1
