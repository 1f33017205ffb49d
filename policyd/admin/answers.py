"""What the admin socket answers, by type: the OpenAPI document is made of these."""

from typing import TypedDict

from policyd.admin.asked import Listening
from policyd.event import Event
from policyd.listing import ShownList
from policyd.outage import Outage
from policyd.over import Over
from policyd.policy.decide import moment
from policyd.policy.idle import Seen
from policyd.raises import Raised
from policyd.status import Gauge
from policyd.suspension import Suspended


class StoreState(TypedDict):
    """Whether the store is the daemon's own, and whether it answers."""

    embedded: bool
    up: bool


class DaemonAnswer(TypedDict):
    """What runs here. ``stale`` are the files that are bad, and of which the last good text is in force."""

    version: str
    mode: str
    domains: int
    listen: Listening
    store: StoreState
    files: list[str]
    stale: list[str]


class ShownSuspension(TypedDict):
    """A suspension. ``name`` is its subject's within the account; ``until`` is "" until it is resumed."""

    account: str
    name: str
    subject: str
    at: str
    until: str
    who: str
    why: str
    ref: str


class SuspendedAnswer(TypedDict):
    """All suspensions."""

    suspended: list[ShownSuspension]


class ShownRaise(TypedDict):
    """A raise of ``limit`` to ``max``, from ``at`` until ``until``."""

    account: str
    limit: str
    max: int
    until: str
    at: str
    who: str
    why: str


class ChangedRaise(ShownRaise):
    """A raise that was put or ended; ``was`` is the maximum before."""

    was: int


class StatusAnswer(TypedDict):
    """Counters beside their limits, what is suspended, and how many answers are being delayed.

    ``outage`` is there while the store does not count, and ``gauges`` is null while it cannot be read either.
    """

    mode: str
    outage: Outage | None
    gauges: list[Gauge] | None
    suspended: list[ShownSuspension]
    delayed: int


class ShownEvent(TypedDict):
    """One thing that happened."""

    at: str
    event: str
    account: str
    subject: str
    who: str
    why: str
    limit: str
    ref: str


class EventsAnswer(TypedDict):
    """Events, and the place in the trail after which to ask for more."""

    events: list[ShownEvent]
    next: str


class Held(TypedDict):
    """What a counter held when it was emptied, and until when it refused."""

    subject: str
    limit: str
    used: int
    max: int
    resumes: str


class ResetAnswer(TypedDict):
    """The counters that were emptied. ``hosted``: the account is a customer's."""

    account: str
    hosted: bool
    reset: list[Held]


class MailboxesAnswer(TypedDict):
    """What was seen of mailboxes, and on which days anything was; days are numbers since the epoch, UTC."""

    today: int
    watched: list[int]
    seen: list[Seen]


class OverAnswer(TypedDict):
    """Who is over."""

    over: list[Over]


class StandingAnswer(TypedDict):
    """What somebody has put into an account's state."""

    account: str
    suspended: list[ShownSuspension]
    raises: list[ShownRaise]


class Place(TypedDict):
    """Where a subject has its state, for who looks after its mail in the queue."""

    name: str
    hosted: bool
    state_directory: str


class SuspendAnswer(ShownSuspension):
    """A suspension that was put."""

    hosted: bool
    state_directory: str


class ResumeAnswer(Place):
    """A suspension that was ended, if there ``was`` one."""

    subject: str
    account: str
    was: bool


class RosterState(TypedDict):
    """Where Mailman is asked, "" for nowhere; when it was read ("" for never), and why not since then."""

    url: str
    read: str
    failing: str


class ListsAnswer(TypedDict):
    """Lists, how many ``more`` there are, and how it is with their rosters."""

    roster: RosterState
    lists: list[ShownList]
    more: int


class SendersAnswer(TypedDict):
    """For each message its account, and the names under which it could be suspended."""

    senders: list[list[str]]


def shown(one: Suspended) -> ShownSuspension:
    """Return a suspension with its moments written."""
    until = moment(one.until) if one.until else ""
    return {
        "account": one.account, "name": one.name, "subject": one.subject, "at": moment(one.at), "until": until,
        "who": one.who, "why": one.why, "ref": one.ref,
    }  # fmt: skip


def shown_raise(one: Raised) -> ShownRaise:
    """Return a raise with its moments written."""
    return {
        "account": one.account, "limit": one.limit, "max": one.max, "until": moment(one.until), "at": moment(one.at),
        "who": one.who, "why": one.why,
    }  # fmt: skip


def shown_event(one: Event) -> ShownEvent:
    """Return an event with its moment written."""
    return {
        "at": moment(one.at), "event": one.event, "account": one.account, "subject": one.subject, "who": one.who,
        "why": one.why, "limit": one.limit, "ref": one.ref,
    }  # fmt: skip
