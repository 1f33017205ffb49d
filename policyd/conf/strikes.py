"""What suspends by itself: ``strikes`` of a limit, and the section ``spam_traps``."""

from policyd.address import normal_form
from policyd.conf import units
from policyd.conf.issues import shown
from policyd.conf.lists import ADDRESS
from policyd.conf.penalty import SpamTraps, Strikes
from policyd.conf.structures import Key, ListOf, Values, table
from policyd.conf.values import Unfit, Value, duration, flag, whole_number, word
from policyd.model import Mode, Word

UNTIL_RESUMED = "until-resumed"
MOST = 100
"""Strikes, or mails to traps, that may be waited for."""


class Whom(Word):
    """Who is suspended for strikes."""

    SUBJECT = "subject"
    DOMAIN = "domain"


class Then(Word):
    """What happens when enough mail went to spam traps."""

    REPORT = "report"
    SUSPEND = "suspend"


def _sentence(written: str) -> int | Unfit:
    if written == UNTIL_RESUMED:
        return 0
    lasts = units.duration(written)
    if lasts is None or not units.MINUTE <= lasts <= 31 * units.DAY:
        return Unfit(f'"{shown(written)}" is no length of a suspension', f"write 6h, 7d (up to 31d) or {UNTIL_RESUMED}")
    return lasts


def _count(written: str) -> int | Unfit:
    number = whole_number(written)
    if isinstance(number, Unfit) or not 1 <= number <= MOST:
        return Unfit(f'"{shown(written)}" is no number of times', f"write a number from 1 to {MOST}")
    return number


_SENTENCE = Value(
    _sentence,
    "the length of a suspension",
    "6h",
    {"anyOf": [{"type": "string", "pattern": units.DURATION_PATTERN}, {"const": UNTIL_RESUMED}]},
)
_COUNT = Value(_count, "a number of times", "3", {"type": "integer", "minimum": 1, "maximum": MOST})
_WITHIN = duration("24h", units.MINUTE, 31 * units.DAY)

COUNT = Key("count", _COUNT, "How many strikes suspend; an episode over the limit is one.", required=True)
WITHIN = Key("within", _WITHIN, "The time in which they have to come.", required=True)
SUSPEND = Key("suspend", _SENTENCE, "How long the first suspension lasts: 6h, or until-resumed.", required=True)
THEN = Key(
    "then",
    ListOf(_SENTENCE, f"[24h, {UNTIL_RESUMED}]"),
    "How long the next ones last, within 30 days of one another; the last repeats.",
)
WHOM = Key(
    "whom",
    word(Whom, "who is suspended", "subject"),
    "Who is suspended: subject (the default), whom the limit counts for; or domain, the account as a whole.",
)

STRIKES = table(COUNT, WITHIN, SUSPEND, THEN, WHOM, example="{count: 3, within: 24h, suspend: 6h}")
"""The key ``strikes`` of a limit."""

ADDRESSES = Key("addresses", ListOf(ADDRESS, "[old-friend@example.org]"), "Addresses that nobody has a reason to mail.")
TRAPPED = Key("count", _COUNT, "How much mail to them suspends (default: 2).")
DISTINCT = Key("distinct", flag(), "Whether it has to be to as many different ones (default: true).")
TRAPPED_WITHIN = Key("within", _WITHIN, "The time in which it has to come (default: 24h).")
LASTS = Key("suspend", _SENTENCE, "How long the suspension lasts (default: until-resumed).")
TRAPPED_THEN = Key(
    "then",
    word(Then, "what happens then", "suspend"),
    "report (the default): an event, a log line and a metric; suspend: who sent it is suspended, too.",
)

SPAM_TRAPS = table(
    ADDRESSES, TRAPPED, DISTINCT, TRAPPED_WITHIN, LASTS, TRAPPED_THEN,
    example="{addresses: [old-friend@example.org], then: suspend}",
)  # fmt: skip


def strikes(values: Values) -> Strikes:
    """Return what the key ``strikes`` of a limit says."""
    return Strikes(
        count=values.get(COUNT, 0),
        within=values.get(WITHIN, 0),
        sentences=(values.get(SUSPEND, 0), *values.get(THEN, ())),
        domain=values.get(WHOM, Whom.SUBJECT) is Whom.DOMAIN,
    )


def spam_traps(values: Values, delimiter: str, mode: Mode) -> SpamTraps:
    """Return what the section ``spam_traps`` says; in mode observe it suspends nobody."""
    return SpamTraps(
        addresses=frozenset(normal_form(address, delimiter) for address in values.get(ADDRESSES, ())),
        count=values.get(TRAPPED, 2),
        distinct=values.get(DISTINCT, True),
        within=values.get(TRAPPED_WITHIN, units.DAY),
        lasts=values.get(LASTS, 0),
        suspends=values.get(TRAPPED_THEN, Then.REPORT) is Then.SUSPEND and mode is Mode.ENFORCE,
    )


def shown_strikes(given: Strikes) -> str:
    """Return strikes as text."""
    lasts = ", then ".join(units.duration_text(one) if one else UNTIL_RESUMED for one in given.sentences)
    whom = " the domain" if given.domain else ""
    return f"{given.count} within {units.duration_text(given.within)} suspend{whom}: {lasts}"
