"""What the trails keep: who did what to whom, when and why. One event is one line of JSON in the store."""

import json
from typing import Any, NamedTuple

from policyd.model import Word

_OBSERVED = ", observed only"


class EventKind(Word):
    """What happened."""

    REFUSAL = "refusal"
    STRIKE = "strike"
    TRAP = "trap"
    SUSPEND = "suspend"
    RESUME = "resume"
    RAISE = "raise"
    RESET = "reset"
    RELOAD = "reload"
    DNS = "dns"
    NEAR_LIMIT = "near-limit"
    MAILING_WAITS = "mailing-waits"


class Event(NamedTuple):
    """One thing that happened, at ``at`` (ms since the epoch).

    ``subject`` is what it happened to within ``account``; ``limit`` and ``ref`` are set where there
    is one. ``who`` did it, or sent what was refused.
    """

    at: int
    event: str
    account: str
    subject: str
    who: str
    why: str
    limit: str = ""
    ref: str = ""


def encode(event: Event) -> bytes:
    """Return an event as a trail keeps it; what is empty is left out."""
    return json.dumps({name: value for name, value in event._asdict().items() if value != ""}).encode("ascii")


def decode(raw: bytes, account: str) -> Event:
    """Return an event of ``account``'s trail, where the script wrote some: refusals, with numbers for a reason."""
    kept: dict[str, Any] = json.loads(raw)
    event = Event(kept["at"], *(str(kept.get(name, "")) for name in Event._fields[1:]))
    return event._replace(account=event.account or account, why=event.why or _numbers(kept))


def refusal_reason(used: int, most: int, *, observed: bool, paced: bool = False) -> str:
    """Return why a limit refused, or would have. Of a pace ``used`` and ``most`` are ms to the next slot."""
    why = f"{used / 1000:g} s to the next slot, {most / 1000:g} at most" if paced else f"{used} of {most} used"
    return f"{why}{_OBSERVED if observed else ''}"


def is_observed(event: Event) -> bool:
    """Return whether mode observe let through what an event tells of."""
    return event.why.endswith(_OBSERVED)


def _numbers(kept: dict[str, Any]) -> str:
    if "max" not in kept:
        return ""
    observed, paced = bool(kept.get("observed")), bool(kept.get("paced"))
    return refusal_reason(int(kept["used"]), int(kept["max"]), observed=observed, paced=paced)
