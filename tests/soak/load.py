"""Senders that ask as Postfix does, through every fault, and keep account of what they were told."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from threading import Event, Thread
from time import monotonic
from typing import NamedTuple

from tests.support.asker import Asker

FREE, TIGHT, ROLLING, SUSPENDED = "free.test", "tight.test", "rolling.test", "suspended.test"
ACCOUNTS = (FREE, FREE, TIGHT, ROLLING, SUSPENDED)
LOGINS = ("alice", "bob")
PAUSE = 0.002  # seconds between two questions of one sender: the machine is to be loaded, not full
NOT_COUNTED = "450 4.7.1 The mail policy service cannot count"

_numbers = count(1)


class Span(NamedTuple):
    """From when to when something happened, by the clock of the test."""

    start: float
    end: float

    def meets(self, other: "Span") -> bool:
        """Whether the two have a moment in common."""
        return self.start <= other.end and other.start <= self.end


@dataclass
class Account:
    """What the senders know: the names they sent under, with what was accepted, refused, and left open.

    ``open`` were answered with "cannot count", or not at all: they may be charged if a fault met them.
    """

    accepted: dict[str, list[Span]] = field(default_factory=dict)
    open: dict[str, list[Span]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    def note(self, names: tuple[str, ...], answer: str, span: Span) -> None:
        """Note an answer, "" for none."""
        for name in names:
            if answer == "DUNNO":
                self.accepted.setdefault(name, []).append(span)
            elif not answer or answer.startswith(NOT_COUNTED):
                self.open.setdefault(name, []).append(span)
            else:
                self.refused[name] += 1


class Sender(Thread):
    """One smtpd: a connection, one question at a time, each asked once more on a new connection if it was cut off."""

    def __init__(self, policy: Path, seed: str, enough: Event) -> None:
        super().__init__()
        self._policy, self._dice, self._enough = policy, Random(seed), enough
        self._asker: Asker | None = None
        self.kept = Account()
        self.failed: BaseException | None = None

    def run(self) -> None:
        """Ask until it is enough."""
        try:
            while not self._enough.wait(PAUSE):
                self._message()
        except BaseException as error:  # noqa: BLE001  # shown by the audit, whose thread it is not
            self.failed = error
        finally:
            self._hang_up()

    def _message(self) -> None:
        domain, login = self._dice.choice(ACCOUNTS), self._dice.choice(LOGINS)
        asked = {"instance": f"soak.{next(_numbers)}", "sender": f"{login}@{domain}"}
        if self._dice.random() < 0.3:
            names: tuple[str, ...] = (domain,)
            asked |= {"sasl_username": "", "client_address": "127.0.0.1", "policy_context": "", "server_port": "25"}
        else:
            names = (domain, f"{login}@{domain}")
            asked |= {"sasl_username": f"{login}@{domain}"}
        start = monotonic()
        answer = self._answer(asked)
        self.kept.note(names, answer, Span(start, monotonic()))

    def _answer(self, asked: dict[str, str]) -> str:
        for _ in range(2):  # try_limit=2
            try:
                self._asker = self._asker or Asker(self._policy)
                self._asker.send(**asked)
                return self._asker.answer()
            except OSError:
                self._hang_up()
        return ""

    def _hang_up(self) -> None:
        if self._asker is not None:
            self._asker.close()
            self._asker = None
