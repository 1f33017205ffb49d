"""The section ``lists``: how list software is known."""

from policyd.address import normalise
from policyd.conf import units
from policyd.conf.issues import At, Place, shown
from policyd.conf.listed import KnownList, Lists
from policyd.conf.structures import NOTHING, Key, ListOf, MapOf, Pair, Values, table
from policyd.conf.values import Unfit, Value, duration, name, text, whole_number, word
from policyd.errors import PatternError
from policyd.model import Action
from policyd.pattern import SenderPattern, sender_pattern

MOST_RECIPIENTS = 200
"""The recipients that make a mailing stand in one small value of the store, which each call reads."""

_WHOLE = 100


def _address(written: str) -> str | Unfit:
    address = normalise(written, "")
    if address.domain and address.local and written.split() == [written]:
        return str(address)
    return Unfit(f'"{shown(written)}" is no address', "write news@example.org")


def _pattern(written: str) -> SenderPattern | Unfit:
    try:
        return sender_pattern(written)
    except PatternError as error:
        return Unfit(f'"{shown(written)}" {error.problem}', error.cure)


def _size(written: str) -> int | Unfit:
    size = whole_number(written)
    return Unfit(size.problem, "write how many addresses it mails, such as 850") if isinstance(size, Unfit) else size


def _recipients(written: str) -> int | Unfit:
    number = whole_number(written)
    if isinstance(number, Unfit) or number > MOST_RECIPIENTS:
        return Unfit(f'"{shown(written)}" is no number of recipients', f"write a number up to {MOST_RECIPIENTS}")
    return number


def _percent(written: str) -> int | Unfit:
    number = whole_number(written.removesuffix("%"))
    if not written.endswith("%") or isinstance(number, Unfit) or number > _WHOLE:
        return Unfit(f'"{shown(written)}" is no percentage', "write 0% to 100%")
    return number


ADDRESS = Value(_address, "an address", "news@example.org", {"type": "string", "pattern": r"^[^\s]+@[^@\s]+$"})
_SIZE = Value(_size, "a number of addresses", "850", {"type": "integer", "minimum": 0})

CONTEXTS = Key(
    "contexts",
    ListOf(text("a policy_context", "mailman", r"^\S+$"), "[mailman]"),
    "policy_contexts, or ports, that only the list software reaches.",
)
USERS = Key(
    "users",
    ListOf(text("a Unix user", "list", r"^[^\s:]+$"), "[list]"),
    "Unix users that only the list software runs as.",
)
PATTERNS = Key(
    "patterns",
    ListOf(
        Value(_pattern, "a pattern", '"{list}-errors"', {"type": "string", "pattern": r"^[^{]*\{list\}[^{]*$"}),
        '["{list}-errors"]',
    ),
    "Envelope senders of other list software: {list} is the name of the list, * any text.",
)
POSTING = Key("posting", ADDRESS, "The posting address of the list (default: the envelope sender itself).")
SIZE = Key("size", _SIZE, "How many addresses the list mails, where nobody else can say it.")
FAMILY = Key("family", name("the name of a family", "news"), "The lists that are judged together with it.")
KNOWN = Key(
    "known",
    MapOf(
        ADDRESS,
        table(POSTING, SIZE, FAMILY, example="{posting: news@example.org, size: 850}"),
        "{news-return@example.org: {posting: news@example.org}}",
    ),
    "List software with one constant envelope sender, such as phpList: that sender, and whose it is.",
)

MAILING_OVER = Key(
    "mailing_over",
    Value(_recipients, "a number of recipients", "20", {"type": "integer", "minimum": 0, "maximum": MOST_RECIPIENTS}),
    "To more recipients within 15 min a fan-out is a mailing; below it is administrivia, which no size limit looks at.",
)
SEEN_SLACK = Key(
    "seen_slack",
    Value(_percent, "a percentage", "10%", {"type": "string", "pattern": "^[0-9]{1,3}%$"}),
    "By how much a list may be larger whose size only its mailings have shown: members come and go.",
)
OUTSIDE_HOURS = Key(
    "outside_hours",
    word(Action, "something to do with a post", "accept", only=(Action.ACCEPT, Action.DEFER, Action.REJECT)),
    "What a post hears whose mailing would wait for its hours: accept (it waits; the default), defer or reject.",
)
GIVES_UP_AFTER = Key(
    "gives_up_after",
    duration("5d", units.HOUR, 31 * units.DAY),
    "When the list software gives up what it could not mail: delivery_retry_period of Mailman (default: 5d).",
)

LISTS = table(
    CONTEXTS, USERS, PATTERNS, KNOWN, MAILING_OVER, SEEN_SLACK, OUTSIDE_HOURS, GIVES_UP_AFTER,
    example="{contexts: [mailman], users: [list]}",
)  # fmt: skip


def lists(values: Values, at: At) -> Lists:
    """Return how list software is known."""
    default = Lists()
    return Lists(
        frozenset(values.get(CONTEXTS, ())),
        frozenset(values.get(USERS, ())),
        values.get(PATTERNS, ()),
        _known(values.get(KNOWN, ()), at.key(KNOWN.name)),
        values.get(MAILING_OVER, default.mailing_over),
        values.get(SEEN_SLACK, default.seen_slack),
        values.get(OUTSIDE_HOURS, default.outside_hours),
        values.get(GIVES_UP_AFTER, default.gives_up_after),
    )


def _known(pairs: tuple[Pair[Values], ...], at: At) -> dict[str, KnownList]:
    """Return the lists by their envelope sender; two spellings of one sender are a mistake."""
    found: dict[str, KnownList] = {}
    places: dict[str, Place] = {}
    for pair in pairs:
        sender = str(normalise(pair.name, ""))
        if sender in found:
            at.key(pair.name).report(
                pair.place, f"{sender} is named in {places[sender]} already", "remove one of the two"
            )
        values = pair.value or NOTHING
        places[sender] = pair.place
        found[sender] = KnownList(values.get(POSTING, sender), values.maybe(SIZE), values.get(FAMILY, ""))
    return found
