"""Which mailboxes nobody fetched from: judged by what is known, never by what is not. Pure.

Days are numbers since the epoch, UTC. A mailbox is idle when so many whole days have passed since
it was last known to be in use, or to exist, and somebody would have seen a login on each of them:
Dovecot, where it keeps last logins of that mailbox, else policyd, on days on which it saw any login
at all. A day on which policyd saw nobody proves nothing, as little as one before it had heard of
the mailbox.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple


class Mailbox(NamedTuple):
    """One mailbox, and what Dovecot or the list of users knows of it.

    ``created`` and ``last_login`` are days, None when not known. ``kept``: Dovecot keeps the last
    logins of this mailbox, so that a ``last_login`` of None says that there was none.
    """

    name: str
    created: int | None = None
    last_login: int | None = None
    kept: bool = False


class Seen(NamedTuple):
    """What policyd knows of a mailbox: the days of its last logins, and that on which it first heard of it."""

    pop3: int | None
    imap: int | None
    listed: int


class Judgement(NamedTuple):
    """What is known of one mailbox. ``days`` are those that are known to have passed without a login.

    ``since`` is the day of the last login, or that from which on the mailbox is known to exist.
    """

    mailbox: str
    idle: bool
    days: int
    since: int
    last_login: int | None
    seen: Seen


def judge(mailbox: Mailbox, seen: Seen, watched: Sequence[int], today: int, days: int) -> Judgement:
    """Return whether nobody logged in to a mailbox for ``days`` whole days.

    ``watched`` are the days on which policyd saw a login of anybody, in order.
    """
    last_login = _newest(mailbox.last_login, seen.pop3, seen.imap)
    since = _newest(last_login, mailbox.created)
    if since is None:
        since = seen.listed
    if mailbox.kept:
        passed = max(0, today - since - 1)
    else:
        passed = max(0, bisect_left(watched, today) - bisect_right(watched, since))
    return Judgement(mailbox.name, passed >= days, passed, since, last_login, seen)


def _newest(*moments: int | None) -> int | None:
    return max((moment for moment in moments if moment is not None), default=None)
