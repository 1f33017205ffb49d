"""The frozen value types that cross module borders, in the words of the design.

Times are integers: milliseconds since the epoch, UTC. Sizes are bytes. Nothing here knows YAML,
Redis, a clock or a socket. The types of the hot path are NamedTuples, which are made three times
faster than frozen dataclasses.
"""

from enum import StrEnum
from typing import NamedTuple

UNLISTED = "(unlisted)"
"""The account that local senders share when neither login nor sender leads to a customer."""

NEVER_FITS = -1
"""``Usage.fits_at`` of a cost that is larger than the limit's max."""


class Word(StrEnum):
    """A closed set of words, hashed as the text that they are: Enum hashes by a call of Python code."""

    __hash__ = str.__hash__


class TrafficKind(Word):
    """What kind of sending a request is."""

    USER = "user"
    SCRIPT = "script"
    LIST = "list"
    RELAYED = "relayed"
    INBOUND = "inbound"
    LOGIN = "login"


class Sure(Word):
    """How sure the attribution is. NOBODY: no account is charged."""

    VERIFIED = "verified"
    CLAIMED = "claimed"
    NOBODY = "nobody"


class Action(Word):
    """What a verdict does. The values are the words of ``over:``, of logs and of metric labels.

    DELAY accepts when the slot of a pace comes.
    """

    ACCEPT = "accept"
    DEFER = "defer"
    REJECT = "reject"
    DELAY = "delay"
    QUARANTINE = "quarantine"


class Mode(Word):
    """``observe`` evaluates, counts and logs, and refuses nothing."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


class Counts(Word):
    """What a rate limit counts."""

    RECIPIENTS = "recipients"
    DISTINCT = "distinct-recipients"
    MESSAGES = "messages"
    BYTES = "bytes"
    LOGINS = "logins"
    FAILED_LOGINS = "failed-logins"


LOGIN_COUNTS = frozenset({Counts.LOGINS, Counts.FAILED_LOGINS})


class Per(Word):
    """What a limit counts for: one counter for each subject of this kind, within the account."""

    DOMAIN = "domain"
    USER = "user"
    SENDER = "sender"
    CLIENT = "client"
    LIST = "list"
    LIST_FAMILY = "list-family"
    MAILBOX = "mailbox"


class Family(Word):
    """Which lists of an account are judged together: those that share a stem, or all."""

    STEM = "stem"
    ACCOUNT = "account"


class MailProtocol(Word):
    """What a login is for, as Dovecot names it; SMTP is Postfix that asks Dovecot about a SASL login."""

    POP3 = "pop3"
    IMAP = "imap"
    SMTP = "smtp"
    SUBMISSION = "submission"
    SIEVE = "sieve"


class Way(Word):
    """How a pace is kept: by answers that wait for their slot, or by a rate-delayed transport of Postfix."""

    ANSWER = "answer"
    TRANSPORT = "transport"


class Recipients(Word):
    """Which recipients a limit looks at. REMOTE: those whose domain is not hosted here."""

    ALL = "all"
    REMOTE = "remote"


class PolicyRequest(NamedTuple):
    """One Postfix policy delegation request, as text (SMTPD_POLICY_README).

    Bytes that are not UTF-8 are surrogates (``surrogateescape``), so that nothing is lost and no
    two values merge. Numbers that Postfix leaves empty are 0.
    """

    protocol_state: str
    client_address: str
    client_port: int
    server_address: str
    server_port: int
    sender: str
    recipient: str
    recipient_count: int
    queue_id: str
    instance: str
    size: int
    sasl_username: str
    policy_context: str


class LoginCommand(Word):
    """What Dovecot's auth policy client wants: may this login go on, or here is how one ended."""

    ALLOW = "allow"
    REPORT = "report"


class LoginRequest(NamedTuple):
    """One request of Dovecot's auth policy client.

    ``login`` is the mailbox that is logged in to, also where a master user does it. ``remote`` is
    the client's address, "" where Dovecot knows none. ``success`` and ``policy_reject`` are of reports.
    """

    command: LoginCommand
    login: str
    protocol: str
    remote: str
    session_id: str
    success: bool = False
    policy_reject: bool = False


class LoginAnswer(NamedTuple):
    """What Dovecot hears: 0 to go on, -1 to refuse. ``msg`` is for the client, "" as with a wrong password."""

    status: int
    msg: str = ""


class Traffic(NamedTuple):
    """Who is charged for a request, how sure that is, and which kind of sending it is.

    ``account`` is empty exactly when ``sure`` is NOBODY. ``user`` and ``sender`` are normalised:
    what leads to one mailbox is one text. ``list`` is the posting address of the list whose traffic
    it is, and its sender too: a list has as many envelope senders as members.
    """

    kind: TrafficKind
    account: str
    sure: Sure
    user: str
    sender: str
    list: str = ""


class CounterType(Word):
    """The counter types of the store; each is one file in ``store/lua``. New ones are added at the end."""

    RING = "ring"
    LOG = "log"
    PACE = "pace"
    SET = "set"
    DISTINCT = "distinct"


class Member(NamedTuple):
    """A recipient, as a counter of type SET or DISTINCT takes it.

    ``digest`` is a signed 64-bit number as text, "" where nobody is counted. The rest is of lists:
    ``known`` is how large it is by better means than what it mailed, None where there are none; what it
    mailed may be larger than ``max`` by ``slack`` percent. ``over``: a fan-out to more distinct
    recipients within 15 min is a mailing; who comes alone over his ``connection`` is none, 0 tells nothing.
    """

    digest: str
    known: int | None = None
    slack: int = 0
    over: int = 0
    connection: int = 0


class Charge(NamedTuple):
    """Units to be put on one subject's counter.

    ``cost`` is what is asked for; in a settlement it is the sum that the receipts must have.
    ``window`` is in milliseconds. A pace lets one unit through in each, and ``max`` is how long the
    next slot may be away, in ms. ``observed`` counts past ``max`` and never refuses.
    ``once`` charges a message once, however many requests it makes. ``skipped`` marks a recipient
    that the limit does not look at, so that a settlement leaves it out too. With ``lock`` (ms) a
    first refusal is followed by others for so long, whatever is counted meanwhile. ``member`` goes with
    the types SET, whose ``window`` is how long the largest size is remembered, and DISTINCT.
    """

    type: CounterType
    limit: str
    subject: str
    cost: int
    max: int
    window: int
    observed: bool = False
    once: bool = False
    skipped: bool = False
    lock: int = 0
    member: Member | None = None


class Episode(NamedTuple):
    """One stretch of being over one limit, as the store knows it. ``started`` by this request."""

    ref: str
    started: bool


class Usage(NamedTuple):
    """What one counter held when the store looked at it.

    ``used`` includes the charge when it was made; of a pace it is how long the next slot is away, in
    ms. ``max`` is a temporary raise's while there is one. ``fits_at`` is 0 when the cost fitted, the
    slot that a pace has reserved for it when that is to come, the moment from which it would fit, or
    ``NEVER_FITS``. ``episode`` is set exactly when the cost did not fit.
    """

    used: int
    max: int
    fits_at: int
    episode: Episode | None


class Suspension(NamedTuple):
    """A suspension in force: its name in the call, its end in ms (0: until it is resumed), its reference."""

    name: str
    until: int
    ref: str


class Outcome(NamedTuple):
    """The store's answer to one call, one usage for each charge in the order of the call.

    ``unknown``: a settlement of a message that had no record, so that all of it was charged.
    ``suspended``: the call was refused for that, no counter was looked at, and there are no usages.
    """

    admitted: bool
    repeated: bool
    now: int
    usages: tuple[Usage, ...]
    unknown: bool = False
    suspended: Suspension | None = None


class Verdict(NamedTuple):
    """What Postfix is told, and what the log says of it.

    ``text`` is one printable ASCII line below 200 characters, empty for ACCEPT and DELAY.
    ``charge`` is the number of the charge that decided, -1 when none did. ``suspended`` is set when
    a suspension did. ``transport`` is what Postfix delivers an accepted message by, "" for the usual.
    """

    action: Action
    text: str = ""
    charge: int = -1
    suspended: Suspension | None = None
    transport: str = ""
