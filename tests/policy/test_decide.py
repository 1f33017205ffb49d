"""From what the store holds to what Postfix hears."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.conf.schema import RateLimit, Terms
from policyd.model import (
    NEVER_FITS,
    Action,
    Charge,
    CounterType,
    Counts,
    Episode,
    Outcome,
    Sure,
    Traffic,
    TrafficKind,
    Usage,
    Verdict,
)
from policyd.policy.decide import ACCEPT, action_over, decide, duration, moment
from policyd.policy.plan import ChargePlan
from tests.support.config import HOUR, rate

USER, SCRIPT, LIST, RELAYED = TrafficKind.USER, TrafficKind.SCRIPT, TrafficKind.LIST, TrafficKind.RELAYED
REF = "7ZK3M9QX2B"
AT = 1_780_000_000_000
LARGEST = 2**53 - 1
LONGEST_WINDOW = 31 * 86_400_000


def over(used: int = 400, max: int = 400, fits_at: int = AT) -> Usage:  # noqa: A002
    """Return what a counter held that did not fit."""
    return Usage(used, max, fits_at, Episode(REF, started=True))


FITS = Usage(17, 400, 0, None)


def verdict(
    *found: tuple[RateLimit, Usage], kind: TrafficKind = USER, cost: int = 1, observed: bool = False
) -> Verdict:
    """Return the verdict when the store refused because of what it found."""
    traffic = Traffic(kind, "example.org", Sure.VERIFIED, "a@example.org", "a@example.org")
    limits = tuple(limit for limit, _ in found)
    charges = tuple(
        Charge(CounterType.RING, limit.name, "example.org", cost, limit.max or 0, limit.window, observed=observed)
        for limit in limits
    )
    plan = ChargePlan(traffic, Terms("shared", limits), limits, charges)
    return decide(plan, Outcome(admitted=False, repeated=False, now=AT, usages=tuple(usage for _, usage in found)))


def test_what_was_admitted_is_accepted() -> None:
    """An admitted request is accepted, whatever observed limits said."""
    plan = ChargePlan(Traffic(USER, "a", Sure.VERIFIED, "", ""), Terms("", ()), (), ())
    assert decide(plan, Outcome(admitted=True, repeated=False, now=AT, usages=(over(),))) == Verdict(Action.ACCEPT)


def test_a_refusal_says_which_limit_how_much_of_it_when_again_and_a_reference() -> None:
    """The text has all that the sender and the support staff need."""
    text = "Limit domain-hourly: 400 of 400 recipients in 1h used; mail flows again at 2026-05-28T20:26:40+00:00; "
    assert verdict((rate(), over())) == Verdict(Action.REJECT, text + f"ref {REF}", 0)


def test_a_cost_that_never_fits_says_so() -> None:
    """Nobody is told a moment that never comes."""
    found = verdict((rate(), over(used=0, fits_at=NEVER_FITS)), cost=500)
    assert found.text == f"Limit domain-hourly: 500 recipients at once can never fit 400 in 1h; ref {REF}"
    bytes_ = rate("bytes-hourly", counts=Counts.BYTES)
    assert "4000 bytes at once can never fit" in verdict((bytes_, over(fits_at=NEVER_FITS)), cost=4000).text


@pytest.mark.parametrize("counts", Counts)
def test_max_0_says_that_nothing_is_allowed(counts: Counts) -> None:
    """A limit of 0 speaks of no moment and no amount."""
    found = verdict((rate("closed", 0, counts=counts), over(0, 0, NEVER_FITS)))
    assert found == Verdict(Action.REJECT, f"Limit closed: no {counts} allowed here; ref {REF}", 0)


@pytest.mark.parametrize(
    ("kind", "action"),
    [(USER, Action.REJECT), (SCRIPT, Action.DEFER), (LIST, Action.DEFER), (RELAYED, Action.DEFER)],
)
def test_what_never_fits_is_rejected_for_users_and_deferred_for_others(kind: TrafficKind, action: Action) -> None:
    """A user hears at once that it is final; scripts and lists get no 5xx, whatever ``over`` says."""
    limit = rate(traffic=[kind], over=Action.DEFER)
    assert action_over(limit, kind, over(fits_at=NEVER_FITS)) is action
    assert action_over(limit, kind, over()) is Action.DEFER


def test_a_script_whose_limit_rejects_is_deferred_when_it_never_fits() -> None:
    """``over: reject`` is for what may fit another time; what never does is not bounced to an invented sender."""
    assert action_over(rate(over=Action.REJECT), SCRIPT, over(fits_at=NEVER_FITS)) is Action.DEFER


def test_what_is_quarantined_is_so_when_it_never_fits_too() -> None:
    """Postfix holds the message in either case."""
    limit = rate(over={SCRIPT: Action.QUARANTINE})
    assert action_over(limit, SCRIPT, over(fits_at=NEVER_FITS)) is Action.QUARANTINE


@pytest.mark.parametrize(("kind", "action"), [(USER, Action.REJECT), (SCRIPT, Action.QUARANTINE), (LIST, Action.DEFER)])
def test_over_is_by_traffic(kind: TrafficKind, action: Action) -> None:
    """One limit does to each kind of traffic what its map says."""
    limit = rate(over={USER: Action.REJECT, SCRIPT: Action.QUARANTINE, LIST: Action.DEFER})
    assert verdict((limit, over()), kind=kind).action is action


def test_the_severest_action_of_several_is_taken() -> None:
    """A reject goes before a defer that is over later, and a defer before a quarantine."""
    defers, rejects = rate("defers", over=Action.DEFER), rate("rejects", over=Action.REJECT)
    holds = rate("holds", over=Action.QUARANTINE)
    found = verdict((holds, over(fits_at=AT + 3)), (defers, over(fits_at=AT + 2)), (rejects, over()), (rate(), FITS))
    assert (found.action, found.charge) == (Action.REJECT, 2)
    found = verdict((rejects, over()), (defers, over(fits_at=AT + 2)))
    assert (found.action, found.charge) == (Action.REJECT, 0)
    found = verdict((holds, over(fits_at=AT + 3)), (defers, over()))
    assert (found.action, found.charge) == (Action.DEFER, 1)


def test_of_equal_actions_the_one_that_is_over_for_longest_is_told() -> None:
    """The sender hears when mail really flows again, and that it never does before all else."""
    soon, later, never = (over(fits_at=fits_at) for fits_at in (AT + 1000, AT + 2000, NEVER_FITS))
    found = verdict((rate("soon"), soon), (rate("later"), later), (rate("free"), FITS))
    assert (found.charge, "T20:26:42+" in found.text) == (1, True)
    assert verdict((rate("soon"), soon), (rate("never"), never), (rate("later"), later)).charge == 1


def test_an_observed_limit_refuses_nothing() -> None:
    """A limit in mode observe that is over is never the reason of a refusal."""
    assert verdict((rate(), over()), observed=True) is ACCEPT


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (0, "1970-01-01T00:00:00+00:00"),
        (AT, "2026-05-28T20:26:40+00:00"),
        (AT + 1, "2026-05-28T20:26:41+00:00"),
        (AT + 999, "2026-05-28T20:26:41+00:00"),
        (AT + 1000, "2026-05-28T20:26:41+00:00"),
    ],
)
def test_a_moment_is_rfc_3339_with_offset_rounded_up(at: int, expected: str) -> None:
    """A moment that is told is never before the one from which the cost fits."""
    assert moment(at) == expected


@given(st.integers(0, 2**42))
def test_a_moment_can_be_read_back(at: int) -> None:
    """It parses as a moment with offset, at most a second after the exact one."""
    told = datetime.fromisoformat(moment(at))
    exact = datetime.fromtimestamp(at // 1000, UTC) + timedelta(milliseconds=at % 1000)
    assert timedelta(0) <= told - exact < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("window", "expected"),
    [(HOUR, "1h"), (90_000, "90s"), (900_000, "15min"), (7 * 24 * HOUR, "7d"), (1500, "1500ms"), (36 * HOUR, "36h")],
)
def test_a_duration_is_told_in_its_largest_whole_unit(window: int, expected: str) -> None:
    """A window is told as an admin would say it."""
    assert duration(window) == expected


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True)
amounts = st.one_of(st.integers(0, 1000), st.integers(0, LARGEST), st.just(LARGEST))


@given(
    name=st.one_of(names, st.just("n" * 64)),
    used=amounts,
    max=amounts,
    cost=st.integers(1, 10**15),
    window=st.one_of(st.integers(1000, LONGEST_WINDOW), st.just(LONGEST_WINDOW - 1)),
    counts=st.sampled_from(Counts),
    fits_at=st.one_of(st.just(NEVER_FITS), st.integers(AT, AT + LONGEST_WINDOW)),
)
def test_a_text_is_one_ascii_line_below_200_characters(  # noqa: PLR0917  # what a text is made of
    name: str,
    used: int,
    max: int,  # noqa: A002
    cost: int,
    window: int,
    counts: Counts,
    fits_at: int,
) -> None:
    """For every limit that the loader allows the text is short and printable, and its reference is whole."""
    text = verdict((rate(name, max, window, counts=counts), over(used, max, fits_at)), cost=cost).text
    assert re.fullmatch(rf"Limit [ -~]+; ref {REF}", text)
    assert len(text) < 200


def test_a_name_that_makes_the_text_too_long_is_cut() -> None:
    """Only the longest names with the largest numbers are cut, and nothing else of the text."""
    limit = rate("n" * 64, LARGEST, LONGEST_WINDOW - 1)
    text = verdict((limit, over(LARGEST, LARGEST))).text
    assert len(text) == 199
    assert text.startswith(f"Limit {'n' * 57}...: {LARGEST} of {LARGEST} recipients in 2678399999ms used; ")
    assert "n" * 64 in verdict((rate("n" * 64), over())).text
