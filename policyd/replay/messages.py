"""From the events of a log to the mail that policyd would have been asked about: pure.

A queue id names a message until it is removed; after that it may name another. Lines may come in
any order within a message's life. What Postfix makes itself (bounces), what never got into the
queue, and what a filter hands back is not asked about, as it is not in life.
"""

from collections.abc import Iterable
from typing import NamedTuple

from policyd.model import PolicyRequest
from policyd.replay.lines import Delivered, LogEvent, Queued, Received, Refused, Removed

RCPT, END = "RCPT", "END-OF-MESSAGE"
LOOPBACK = "127.0.0.1"
_PICKUP = "pickup"


class Mail(NamedTuple):
    """One message, or what policyd refused of one. ``recipients`` are named as the client did, "" where unknown."""

    at: int
    port: str
    client: str
    login: str
    sender: str
    size: int
    recipients: tuple[str, ...]
    refused: bool = False


class Found(NamedTuple):
    """All mail of a log in order of time, and how many messages there is nothing to ask about.

    ``own`` were made by Postfix itself, ``again`` came back from a filter, ``unfinished`` never got
    into the queue or have no beginning in this log.
    """

    mails: list[Mail]
    own: int
    again: int
    unfinished: int


class _Message:
    __slots__ = ("again", "deliveries", "queued", "received", "refused", "removed")

    def __init__(self) -> None:
        self.received: Received | None = None
        self.queued: Queued | None = None
        self.deliveries: dict[str, str] | None = None
        self.refused: list[Refused] | None = None
        self.removed = self.again = False


class Messages:
    """Collects the messages of a log."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], _Message] = {}
        self._all: list[_Message] = []
        self._refused: list[Refused] = []

    def take(self, events: Iterable[LogEvent]) -> None:
        """Take in what some lines say."""
        for event in events:
            if isinstance(event, Delivered):
                self._delivered(event)
            elif isinstance(event, Queued):
                self._queued(event)
            elif isinstance(event, Received):
                self._received(event)
            elif isinstance(event, Removed):
                self._message(event).removed = True
            elif event.line.queue_id == "NOQUEUE":
                self._refused.append(event)
            else:
                message = self._message(event)
                message.refused = [*(message.refused or ()), event]

    def found(self) -> Found:
        """Return all mail so far."""
        mails = [_refusal(one, one.login) for one in self._refused if one.port != _PICKUP]
        own = again = unfinished = 0
        for message in self._all:
            received, queued = message.received, message.queued
            if received is not None and received.port != _PICKUP:
                mails += [_refusal(one, received.login) for one in message.refused or () if one.port != _PICKUP]
            if queued is None or (received is None and queued.sender):
                unfinished += 1
            elif received is None:
                own += 1
            elif message.again or received.again:
                again += 1
            else:
                mails.append(_mail(message, received, queued))
        mails.sort(key=lambda mail: mail.at)
        return Found(mails, own, again, unfinished)

    def _received(self, event: Received) -> None:
        message = self._message(event)
        if message.received is not None and message.received.line.at != event.line.at:
            message = self._new(event)
        message.received = event

    def _queued(self, event: Queued) -> None:
        message = self._message(event)
        if message.queued is not None and message.removed:
            message = self._new(event)
        if message.queued is None:
            message.queued = event

    def _delivered(self, event: Delivered) -> None:
        message = self._message(event)
        if message.deliveries is None:
            message.deliveries = {}
        message.deliveries[event.recipient] = event.original
        if event.handed_on:
            self._named(event.line.host, event.handed_on).again = True

    def _message(self, event: LogEvent) -> _Message:
        return self._named(event.line.host, event.line.queue_id)

    def _named(self, host: str, queue_id: str) -> _Message:
        return self._open.get((host, queue_id)) or self._opened(host, queue_id)

    def _new(self, event: LogEvent) -> _Message:
        return self._opened(event.line.host, event.line.queue_id)

    def _opened(self, host: str, queue_id: str) -> _Message:
        message = self._open[host, queue_id] = _Message()
        self._all.append(message)
        return message


def requests(mail: Mail, number: int, *, at_end: bool = False) -> list[PolicyRequest]:
    """Return what Postfix would ask about a mail, of each recipient or once at its end; ``number`` is its own."""
    common = PolicyRequest(
        RCPT, mail.client or LOOPBACK, 0, "", 0, mail.sender, "", 0, "", f"replay.{number}", mail.size, mail.login,
        mail.port,
    )  # fmt: skip
    if not at_end:
        return [common._replace(recipient=recipient) for recipient in mail.recipients]
    only = mail.recipients[0] if len(mail.recipients) == 1 else ""
    count = len(mail.recipients)
    return [common._replace(protocol_state=END, recipient=only, recipient_count=count)]


def _mail(message: _Message, received: Received, queued: Queued) -> Mail:
    deliveries = message.deliveries or {}
    unnamed = max(0, queued.recipients - len(deliveries))
    recipients = (*dict.fromkeys(deliveries.values()), *[""] * unnamed)
    port, client, login = received.port, received.client, received.login
    return Mail(received.line.at, port, client, login, queued.sender, queued.size, recipients)


def _refusal(one: Refused, login: str) -> Mail:
    return Mail(one.line.at, one.port, one.client, login, one.sender, 0, (one.recipient,), refused=True)
