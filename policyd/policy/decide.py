"""From the store's outcome to the verdict, and to the one line of text that explains it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from policyd.conf.schema import Config, Limit, PaceLimit, RateLimit, Schedule, SizeLimit
from policyd.model import (
    LOGIN_COUNTS,
    NEVER_FITS,
    Action,
    CounterType,
    Counts,
    Outcome,
    Per,
    Suspension,
    TrafficKind,
    Usage,
    Verdict,
)
from policyd.plural import plural
from policyd.policy.plan import ChargePlan
from policyd.policy.schedule import next_change

ACCEPT = Verdict(Action.ACCEPT)

LONGEST_TEXT = 199
"""Characters of a verdict's text."""

_SEVERITY = {Action.ACCEPT: 0, Action.QUARANTINE: 1, Action.DEFER: 2, Action.REJECT: 3}
_NO_SCHEDULES: Mapping[str, Schedule] = MappingProxyType({})
_ROOM, _MOST_NAMES = 48, 8
"""Characters of a list's name, and of the names of a family, of which so many are looked at."""

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"))

Family = Callable[[SizeLimit, str], Sequence[str]]
"""Returns the names of the lists that a limit judges together with one of a posting address."""


def _alone(limit: SizeLimit, posting: str) -> Sequence[str]:  # noqa: ARG001  # a Family
    return ()


def decide(
    plan: ChargePlan, outcome: Outcome, schedules: Mapping[str, Schedule] = _NO_SCHEDULES, family: Family = _alone
) -> Verdict:
    """Return the verdict on a request; ``schedules`` say when those open that lift a limit.

    Of several limits that refuse, the severest action is taken, then the one that is over for longest.
    """
    if outcome.admitted:
        return (plan.paced and _delayed(plan, outcome)) or accepted(plan)
    if outcome.suspended is not None:
        return refuse_suspended(plan.traffic.kind, outcome.suspended)
    worst, found = (-1, 0), ACCEPT
    for index, (charge, usage) in enumerate(zip(plan.charges, outcome.usages, strict=True)):
        if usage.episode is None or charge.observed:
            continue
        limit = plan.limits[index]
        action = action_over(limit, plan.traffic.kind, usage)
        fits_at = usage.fits_at if usage.fits_at != NEVER_FITS else 1 << 62
        if (_SEVERITY[action], fits_at) > worst:
            worst = (_SEVERITY[action], fits_at)
            if isinstance(limit, SizeLimit):
                who = whose(limit, charge.subject, family(limit, plan.traffic.list))
                text = size_text(limit, who, usage, plan.terms.plan, opens(limit, schedules, outcome.now))
            else:
                text = _text(limit, charge.cost, usage)
            found = Verdict(action, text, index)
    return found


def accepted(plan: ChargePlan) -> Verdict:
    """Return the verdict on what nothing stands against."""
    return Verdict(Action.ACCEPT, transport=plan.transport) if plan.transport else ACCEPT


def _delayed(plan: ChargePlan, outcome: Outcome) -> Verdict | None:
    """Return the verdict that waits for the latest slot to come, None when there is none."""
    slots = [
        (usage.fits_at, -index)
        for index, (charge, usage) in enumerate(zip(plan.charges, outcome.usages, strict=True))
        if charge.type is CounterType.PACE and not charge.observed and usage.fits_at > outcome.now
    ]
    if not slots:
        return None
    return Verdict(Action.DELAY, charge=-max(slots)[1], transport=plan.transport)


def refuse_suspended(kind: TrafficKind, suspension: Suspension) -> Verdict:
    """Return the refusal of who is suspended: scripts and lists wait, for a 5xx would hurt people who did nothing."""
    action = Action.DEFER if kind in {TrafficKind.SCRIPT, TrafficKind.LIST} else Action.REJECT
    until = f" until {moment(suspension.until)}" if suspension.until else "; please contact your provider"
    what = "The mailbox" if kind is TrafficKind.LOGIN else "Sending"
    return Verdict(action, f"{what} is suspended{until}; ref {suspension.ref}", suspended=suspension)


def action_over(limit: Limit, kind: TrafficKind, usage: Usage) -> Action:
    """Return what is done over a limit.

    What can never fit is rejected for users, who would try for ever, and deferred for scripts and
    lists, where a 5xx would hurt people who did nothing. A login is let in or not. A slot of a pace
    that is too far away to be waited for is deferred.
    """
    if usage.fits_at == NEVER_FITS and limit.over[kind] is not Action.QUARANTINE:
        return Action.REJECT if kind in {TrafficKind.USER, TrafficKind.LOGIN} else Action.DEFER
    over = limit.over[kind]
    return Action.DEFER if over is Action.DELAY else over


def moment(at: int) -> str:
    """Return a moment in RFC 3339 with offset, UTC, rounded up to the second."""
    whole = datetime.fromtimestamp(at // 1000, UTC) + timedelta(seconds=bool(at % 1000))
    return whole.isoformat()


def duration(window: int) -> str:
    """Return a duration in ms in its largest whole unit: ``1h``, ``90s``."""
    for size, unit in _UNITS:
        if window % size == 0:
            return f"{window // size}{unit}"
    return f"{window}ms"


def whose(limit: SizeLimit, subject: str, family: Sequence[str]) -> str:
    """Return which list has too many addresses, or which lists have them together: as many as there is room for."""
    if limit.per is Per.LIST or not family:
        return f"{subject if len(subject) <= _ROOM else f'{subject[: _ROOM - 3]}...'} has"
    shown = list(family[:_MOST_NAMES])
    while len(shown) > 1 and len(", ".join(shown)) > _ROOM:
        shown.pop()
    more = f" and {len(family) - len(shown)} more" if len(family) > len(shown) else ""
    return f"{', '.join(shown)[:_ROOM]}{more} together have"


def size_text(limit: SizeLimit, who: str, usage: Usage, plan: str, opens: int | None) -> str:
    """Return why a list, or a family of lists, is too large, and when it may mail: then, or on another plan."""
    ref = f"ref {usage.episode.ref}" if usage.episode and usage.episode.ref else ""
    addresses = "addresses that nobody had to confirm" if limit.unconfirmed else "addresses"
    what = f"{who} {usage.used} {addresses}, {usage.max} are allowed on plan {plan}"
    when = f"mail flows from {moment(opens)} on" if opens is not None else ""
    return _line(limit.name, "; ".join(part for part in (what, when, ref) if part))


def waiting_reason(config: Config, limit: SizeLimit, usage: Usage, now: int) -> str:
    """Return why a mailing waits, until when if that is known, and when its list software gives it up."""
    again = opens(limit, config.schedules, now)
    when = f"; mail flows from {moment(again)} on" if again is not None else ""
    gives_up = moment(now + config.lists.gives_up_after)
    return f"{plural(usage.used, 'address')}, {usage.max} allowed{when}; the list software gives up after {gives_up}"


def opens(limit: Limit, schedules: Mapping[str, Schedule], now: int) -> int | None:
    """Return when a limit that is in force will be lifted, None for never."""
    schedule = schedules.get(limit.lifted_by)
    return next_change(schedule, now) if schedule is not None else None


def _text(limit: Limit, cost: int, usage: Usage) -> str:
    ref = f"ref {usage.episode.ref}" if usage.episode else ""
    if isinstance(limit, PaceLimit):
        return _line(limit.name, f"{_pace_text(limit, usage)}; mail flows again at {moment(usage.fits_at)}; {ref}")
    return _rate_text(limit, cost, usage, ref) if isinstance(limit, RateLimit) else ""


def _pace_text(limit: PaceLimit, usage: Usage) -> str:
    paced = f"one recipient each {duration(limit.every)}"
    if usage.max == 0:
        return f"{paced}, and no more answers can wait for their turn"
    return f"{paced}, and {-(-usage.used // limit.every)} wait already"


def _rate_text(limit: RateLimit, cost: int, usage: Usage, ref: str) -> str:
    unit = limit.counts.value
    if usage.max == 0:
        return _line(limit.name, f"no {unit} allowed here; {ref}")
    if usage.fits_at == NEVER_FITS:
        what = f"{cost} {unit} at once" if limit.counts is not Counts.MESSAGES else "this"
        return _line(limit.name, f"{what} can never fit {usage.max} in {duration(limit.window)}; {ref}")
    used = f"{usage.used} of {usage.max} {unit} in {duration(limit.window)} used"
    if limit.counts in LOGIN_COUNTS:
        return _line(limit.name, f"{used}; you can log in again at {moment(usage.fits_at)}; {ref}")
    if limit.counts is Counts.DISTINCT:
        used = f"{used}, more are for registered lists"
    return _line(limit.name, f"{used}; mail flows again at {moment(usage.fits_at)}; {ref}")


def _line(name: str, rest: str) -> str:
    """Return the text; a name that makes it too long is cut, since the reference at the end must be whole."""
    room = LONGEST_TEXT - len(f"Limit : {rest}")
    return f"Limit {name if len(name) <= room else f'{name[: room - 3]}...'}: {rest}"
