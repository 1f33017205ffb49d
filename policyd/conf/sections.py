"""The whole file as one table of keys: what the loader reads, and what the JSON Schema describes."""

from policyd.conf.accounts import ACCOUNTS, NETWORK
from policyd.conf.bounds import DelayBounds
from policyd.conf.dns import DNS
from policyd.conf.issues import shown
from policyd.conf.limits import LIMITS
from policyd.conf.listen import LISTEN, STORE
from policyd.conf.lists import LISTS
from policyd.conf.mailman import MAILMAN
from policyd.conf.notify import NOTIFY
from policyd.conf.plans import PLANS
from policyd.conf.schedules import SCHEDULES
from policyd.conf.schema import Exempt, Network
from policyd.conf.strikes import SPAM_TRAPS
from policyd.conf.structures import Key, ListOf, Values, table
from policyd.conf.values import Unfit, Value, flag, word
from policyd.model import Mode

_MOST = 10_000
"""Delayed answers; Postfix would need as many smtpd."""

_MOST_NODES = 1000


def _version(written: str) -> int | Unfit:
    if written == "1":
        return 1
    return Unfit(f"this policyd reads version 1, not {shown(written)}", "write version: 1")


def _lower(written: str) -> str | Unfit:
    return written.lower() if written else Unfit("the pattern is empty", 'write "postmaster@*"')


def _count(written: str) -> int | Unfit:
    if written.isascii() and written.isdecimal() and 0 < int(written[:6]) <= _MOST:
        return int(written)
    return Unfit(f'"{shown(written)}" is no number of answers', f"write a number from 1 to {_MOST}")


def _nodes(written: str) -> int | Unfit:
    if written.isascii() and written.isdecimal() and 0 < int(written[:5]) <= _MOST_NODES:
        return int(written)
    return Unfit(f'"{shown(written)}" is no number of daemons', f"write a number from 1 to {_MOST_NODES}")


_PATTERN = Value(_lower, "a pattern", '"postmaster@*"', {"type": "string", "minLength": 1})

RECIPIENTS = Key(
    "recipients", ListOf(_PATTERN, '["postmaster@*"]'), "Shell patterns of recipients that no limit looks at."
)
LOGINS = Key(
    "logins", ListOf(_PATTERN, '["newsletter@example.org"]'), "Shell patterns of logins that no limit looks at."
)
CLIENTS: Key[tuple[Network, ...]] = Key(
    "clients", ListOf(NETWORK, "[192.0.2.1]"), "Networks of clients that no limit looks at."
)
ACCEPTED = Key("accepted", flag(), "Whether every accepted request is logged too.")

_COUNT = Value(_count, "a number of answers", "20", {"type": "integer", "minimum": 1, "maximum": 10_000})
MOST = Key("max", _COUNT, "How many answers may be delayed at once; each holds an smtpd.")
MOST_OF_ACCOUNT = Key("per_account", _COUNT, "How many of one account may be delayed at once.")

VERSION = Key(
    "version", Value(_version, "a version", "1", {"const": 1}), "The version of the file format: 1.", required=True
)
MODE = Key("mode", word(Mode, "a mode", "enforce"), "enforce, or observe: evaluate, count and log, and refuse nothing.")
LISTEN_KEY = Key("listen", LISTEN, "Where policyd listens. Needs a restart.", required=True)
STORE_KEY = Key("store", STORE, "How the counters are reached. Needs a restart.")
ACCOUNTS_KEY = Key("accounts", ACCOUNTS, "Who the customers are.")
EXEMPT_KEY = Key(
    "exempt",
    table(RECIPIENTS, LOGINS, CLIENTS, example='{recipients: ["postmaster@*"]}'),
    "What no limit looks at.",
)
LISTS_KEY = Key("lists", LISTS, "How list software is known.")
DELAY_KEY = Key(
    "delay",
    table(MOST, MOST_OF_ACCOUNT, example="{max: 20, per_account: 2}"),
    "How many answers may be delayed at once.",
)
SPAM_TRAPS_KEY = Key("spam_traps", SPAM_TRAPS, "Addresses that nobody has a reason to mail, and what follows.")
SCHEDULES_KEY = Key("schedules", SCHEDULES, "Named hours of the week, which can lift limits.")
LIMITS_KEY = Key("limits", LIMITS, "The limits, by name.", required=True)
PLANS_KEY = Key("plans", PLANS, "The plans, by name: sets of limits.", required=True)
LOG_KEY = Key("log", table(ACCEPTED, example="{accepted: false}"), "What is logged.")

DNS_KEY = Key("dns", DNS, "What hosted domains should say in the DNS; without it nothing is looked up.")
MAILMAN_KEY = Key("mailman", MAILMAN, "Where Mailman 3 is asked how many members its lists have.")
NOTIFY_KEY = Key("notify", NOTIFY, "Who is told of what happens, by mail and by a webhook.")
NODES = Key(
    "nodes",
    Value(_nodes, "a number of daemons", "2", {"type": "integer", "minimum": 1, "maximum": 1000}),
    "How many daemons share the store: with when_down: local each has its share of what is left.",
)

ROOT = table(
    VERSION, MODE, LISTEN_KEY, STORE_KEY, ACCOUNTS_KEY, EXEMPT_KEY, LISTS_KEY, DELAY_KEY, SPAM_TRAPS_KEY,
    SCHEDULES_KEY, LIMITS_KEY, PLANS_KEY, LOG_KEY, DNS_KEY, MAILMAN_KEY, NOTIFY_KEY, NODES,
    example="version: 1",
)  # fmt: skip


def exempt(values: Values) -> Exempt:
    """Return what no limit looks at."""
    return Exempt(values.get(RECIPIENTS, ()), values.get(LOGINS, ()), values.get(CLIENTS, ()))


def delay(values: Values) -> DelayBounds:
    """Return how many answers may be delayed at once."""
    default = DelayBounds()
    return DelayBounds(values.get(MOST, default.max), values.get(MOST_OF_ACCOUNT, default.per_account))
