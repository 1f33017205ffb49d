"""The section ``lists``: how list software is known."""

from policyd.address import normalise
from policyd.conf.issues import At, Place, shown
from policyd.conf.schema import KnownList, Lists
from policyd.conf.structures import NOTHING, Key, ListOf, MapOf, Pair, Values, table
from policyd.conf.values import Unfit, Value, name, text, whole_number
from policyd.errors import PatternError
from policyd.pattern import SenderPattern, sender_pattern


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

LISTS = table(
    CONTEXTS, USERS, PATTERNS, KNOWN,
    example="{contexts: [mailman], users: [list]}",
    later=("mailing_over", "seen_slack", "outside_hours"),
)  # fmt: skip


def lists(values: Values, at: At) -> Lists:
    """Return how list software is known."""
    return Lists(
        frozenset(values.get(CONTEXTS, ())),
        frozenset(values.get(USERS, ())),
        values.get(PATTERNS, ()),
        _known(values.get(KNOWN, ()), at.key(KNOWN.name)),
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
