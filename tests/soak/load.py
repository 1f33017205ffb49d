"""Senders that ask as Postfix and Dovecot do, through every fault, and keep account of what they were told."""

import json
from collections.abc import Iterable
from http.client import HTTPException
from itertools import count
from pathlib import Path
from random import Random
from threading import Event, Thread
from time import monotonic
from typing import NamedTuple

from tests.soak.books import Books, Open, Span
from tests.support.asker import Asker
from tests.support.dovecot_client import post

FREE, TIGHT, ROLLING, SUSPENDED = "free.test", "tight.test", "rolling.test", "suspended.test"
ACCOUNTS = (FREE, FREE, TIGHT, ROLLING, SUSPENDED)
CALM = "calm.test"  # mailed under only while nothing is done to anybody
LOGINS = ("alice", "bob")
LISTS, NEWS, MEMBERS = "lists.test", "news@lists.test", 300
BOXES = ("ann@boxes.test", f"ann@{FREE}")

PAUSE = 0.002  # seconds between two messages of one sender: the machine is to be loaded, not full
POLICY_TIMEOUT = 1.0
SOON = 1.0  # after which what was begun is done for sure
PATIENCE = 2 * POLICY_TIMEOUT + 2 + SOON  # the same of a message whose connection was lost
NOT_COUNTED = "450 4.7.1 The mail policy service cannot count"

LOGIN = {"policy_context": "submission", "server_port": "587"}
SCRIPT = {"sasl_username": "", "client_address": "127.0.0.1", "policy_context": "", "server_port": "25"}
SOFTWARE = {**SCRIPT, "policy_context": "mailman", "sender": f"news-bounces@{LISTS}"}
KINDS = (
    {**LOGIN, "sender": f"alice@{FREE}", "sasl_username": f"alice@{FREE}"}, {**SCRIPT, "sender": f"alice@{FREE}"},
    SOFTWARE,
)  # fmt: skip
"""A sender of each kind of traffic: it has to show an end of a message before anything is given back."""

COMPLETED, FEWER = "completed", "with one recipient refused after us"
RESET, LOST = "reset", "with its connection lost"
GIVEN_UP = (RESET, LOST)

_numbers = count(1)


class Daemon(NamedTuple):
    """Where a daemon is asked: the socket for Postfix, and Dovecot's port."""

    number: int
    policy: Path
    port: int


class Answered(NamedTuple):
    """A recipient, and its answer, "" for none."""

    recipient: str
    answer: str
    span: Span

    @property
    def accepted(self) -> bool:
        """Whether it may be mailed to."""
        return self.answer == "DUNNO"

    @property
    def unclear(self) -> bool:
        """Whether it may be charged or not."""
        return not self.answer or self.answer.startswith(NOT_COUNTED)


class Sender(Thread):
    """One smtpd: a connection, one question at a time, each asked once more on a new connection if it was cut off."""

    def __init__(self, daemon: Daemon, seed: str, calm: Event, enough: Event) -> None:
        super().__init__()
        self._daemon, self._dice, self._calm, self._enough = daemon, Random(seed), calm, enough
        self._asker: Asker | None = None
        self.books = Books()
        self.failed: BaseException | None = None

    def run(self) -> None:
        """Send until it is enough."""
        try:
            while not self._enough.wait(PAUSE):
                self._dice.choices((self._mail, self._fan_out, self._log_in), (8, 2, 1))[0]()
        except BaseException as error:  # noqa: BLE001  # shown by the audit, whose thread it is not
            self.failed = error
        finally:
            self._hang_up()

    def _mail(self) -> None:
        domain, login = self._dice.choice(ACCOUNTS), self._dice.choice(LOGINS)
        if self._calm.is_set():
            domain = CALM
        sender = f"{login}@{domain}"
        names: tuple[str, ...] = (domain,)
        if self._dice.random() < 0.3:
            asked = {**SCRIPT, "sender": sender}
        else:
            names, asked = (domain, sender), {**LOGIN, "sender": sender, "sasl_username": sender}
        whom = [f"r{next(_numbers)}@remote.test" for _ in range(self._dice.randint(1, 3))]
        self._message(asked, whom, names, self._dice.choices((COMPLETED, FEWER, *GIVEN_UP), (7, 1, 1, 1))[0])

    def _fan_out(self) -> None:
        """Mail to members of the list; what is given up went to strangers, so that no member is taken back."""
        fate = self._dice.choice(GIVEN_UP) if self._dice.random() < 0.1 else COMPLETED
        numbers = (next(_numbers) if fate in GIVEN_UP else self._dice.randrange(MEMBERS) for _ in range(3))
        whom = [f"{'s' if fate in GIVEN_UP else 'm'}{number}@remote.test" for number in numbers]
        begun = monotonic()
        heard, done = self._message(SOFTWARE, whom, (LISTS,), fate)
        self.books.paced += [one.span for one in heard if one.accepted]
        for one in heard:
            if one.accepted and done:
                self.books.members.add(one.recipient)
            elif one.accepted or one.unclear:
                self.books.strangers.append(self._open(begun, fate))

    def _message(
        self, asked: dict[str, str], recipients: Iterable[str], names: tuple[str, ...], fate: str
    ) -> tuple[list[Answered], bool]:
        """Send a message, and return its recipients and whether it was completed."""
        begun = monotonic()
        asked = {**asked, "instance": f"soak.{next(_numbers)}"}
        heard = [self._recipient({**asked, "recipient": recipient}) for recipient in recipients]
        accepted, unclear = sum(one.accepted for one in heard), sum(one.unclear for one in heard)
        left = 0 if fate in GIVEN_UP else accepted - (fate == FEWER)
        if left > 0:
            end = {**asked, "protocol_state": "END-OF-MESSAGE", "recipient": "", "recipient_count": str(left)}
            left = left if self._answer(end) == "DUNNO" else 0
        elif fate == LOST:
            self._hang_up()
        sure = max(left, 0)
        for name in names:
            book = self.books.of(name)
            book.accepted += [Span(begun, monotonic())] * sure
            book.open += [self._open(begun, fate)] * (accepted - sure + unclear)
            book.refused += len(heard) - accepted - unclear
        self.books.fates[fate] += 1
        return heard, sure > 0

    def _open(self, begun: float, fate: str) -> Open:
        """Return a unit of a message that may stay charged."""
        return Open(Span(begun, monotonic() + (PATIENCE if fate == LOST else SOON)), self._daemon.number)

    def _recipient(self, asked: dict[str, str]) -> Answered:
        start = monotonic()
        answer = self._answer(asked)
        return Answered(asked["recipient"], answer, Span(start, monotonic()))

    def _answer(self, asked: dict[str, str]) -> str:
        """Return an answer, "" for none."""
        for _ in range(2):  # try_limit=2
            try:
                self._asker = self._asker or Asker(self._daemon.policy)
                self._asker.send(**asked)
                return self._asker.answer()
            except OSError:
                self._hang_up()
        return ""

    def _hang_up(self) -> None:
        if self._asker is not None:
            self._asker.close()
            self._asker = None

    def _log_in(self) -> None:
        box, start = self._dice.choice(BOXES), monotonic()
        book, status = self.books.of(box), self._login(box)
        span = Span(start, monotonic())
        if status is None:
            book.open.append(self._open(start, COMPLETED))
        elif status == 0:
            book.accepted.append(span)
        else:
            book.refused += 1

    def _login(self, box: str) -> int | None:
        """Return what Dovecot is told, None for nothing."""
        try:
            _, answer = post(self._daemon.port, "allow", login=box, session_id=f"soak {next(_numbers)}")
            status: int = json.loads(answer)["status"]
        except (OSError, HTTPException):
            return None
        return status
