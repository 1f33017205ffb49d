"""The section ``lists``: how list software is known."""

from policyd.conf.schema import Lists
from policyd.conf.structures import Key, ListOf, Values, table
from policyd.conf.values import text

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

LISTS = table(
    CONTEXTS, USERS,
    example="{contexts: [mailman], users: [list]}",
    later=("known", "mailing_over", "seen_slack", "outside_hours"),
)  # fmt: skip


def lists(values: Values) -> Lists:
    """Return how list software is known."""
    return Lists(frozenset(values.get(CONTEXTS, ())), frozenset(values.get(USERS, ())))
