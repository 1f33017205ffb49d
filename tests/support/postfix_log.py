"""What the log of Postfix says: which message was queued with how many recipients, what was refused."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.postfix_files import FOREIGN
from tests.support.wait import until

_LINE = re.compile(r"\S+ +\d+ [\d:]+ \S+ postfix(?:/(?P<port>[\w.-]+))?/(?P<program>\w+)\[\d+\]: (?P<text>.*)")
_CLIENT = re.compile(r"(?P<id>\w+): client=[^\[]*\[(?P<client>[^\]]*)\](?P<rest>.*)")
_LOGIN = re.compile(r"sasl_username=([^,]*)")
_QUEUED_AS = re.compile(r"queued as (\w+)")
_PICKUP = re.compile(r"(?P<id>\w+): uid=(?P<uid>\d+) from=<(?P<sender>.*)>")
_ACTIVE = re.compile(r"(?P<id>\w+): from=<(?P<sender>.*)>, size=\d+, nrcpt=(?P<count>\d+) \(queue active\)")
_DELIVERY = re.compile(r"(?P<id>\w+): to=<(?P<to>.*?)>, .*status=(?P<status>\w+) \((?P<text>.*)\)")
_REMOVED = re.compile(r"(?P<id>\w+): removed")
_NOTICE = re.compile(r"(?P<id>\w+): sender (?P<what>.*) notification: (?P<new>\w+)")
_REJECT = re.compile(
    r"\w+: reject: (?P<stage>\S+) from [^\[]*\[(?P<client>[^\]]*)\]: (?P<code>\d+) (?P<text>.*); "
    r"from=<(?P<sender>.*?)>(?: to=<(?P<recipient>.*?)>)? proto="
)


@dataclass(frozen=True)
class Attempt:
    """One try to deliver to one recipient; ``status`` is sent, deferred, bounced or SOFTBOUNCE."""

    recipient: str
    status: str
    text: str


@dataclass
class Message:
    """One queue file. ``port`` is the smtpd entry that took it, empty for pickup and for notices.

    ``recipients`` is nrcpt when it became active for the first time, 0 until then.
    ``injected`` are the queue ids that it got where it was delivered to this Postfix again.
    """

    queue_id: str
    port: str = ""
    client: str = ""
    login: str = ""
    sender: str = ""
    recipients: int = 0
    was_picked_up: bool = False
    removed: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    injected: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    """Queue ids of the bounces and delay warnings that were made of it."""

    @property
    def account(self) -> str:
        """The domain that ought to be charged: the login's, else the sender's if a local client sent it."""
        sender = "" if self.client == FOREIGN else self.sender
        return (self.login or sender).rpartition("@")[2].lower()


@dataclass(frozen=True)
class Refusal:
    """One refused command. ``recipient`` is empty at DATA and END-OF-MESSAGE."""

    port: str
    stage: str
    client: str
    code: int
    text: str
    sender: str
    recipient: str


class MailLog:
    """Follows one log file, ``path``. Every property reads what was added since."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._messages: dict[str, Message] = {}
        self._refusals: list[Refusal] = []
        self._lines: list[str] = []

    @property
    def lines(self) -> list[str]:
        """All lines so far."""
        self._read()
        return self._lines

    @property
    def messages(self) -> dict[str, Message]:
        """All messages so far, by queue id."""
        self._read()
        return self._messages

    @property
    def refusals(self) -> list[Refusal]:
        """All refused commands so far, in order."""
        self._read()
        return self._refusals

    def of(self, account: str) -> list[Message]:
        """Return the messages that an account sent through an smtpd: what policyd could see."""
        return [one for one in self.messages.values() if one.port and one.account == account]

    def picked_up(self, domain: str) -> list[Message]:
        """Return the messages that sendmail(1) was given with a sender in ``domain``."""
        return [one for one in self.messages.values() if one.was_picked_up and one.sender.endswith(f"@{domain}")]

    def queued(self, account: str) -> int:
        """Return how many recipients of the account's messages were queued."""
        return sum(one.recipients for one in self.of(account))

    def wait_queued(self, account: str, recipients: int) -> None:
        """Wait until that many recipients are queued; more is an error as well."""
        until(lambda: self.queued(account) >= recipients, f"{recipients} recipients of {account} in the queue")
        assert self.queued(account) == recipients

    def wait_line(self, pattern: str, since: int) -> str:
        """Return the first line from number ``since`` on (``len(log.lines)`` before) that matches."""
        found = re.compile(pattern)
        return until(lambda: next(filter(found.search, self.lines[since:]), ""), f"Postfix logs {pattern!r}")

    def _read(self) -> None:
        with self.path.open("rb") as log:
            log.seek(self._offset)
            added = log.read()
        complete = added[: added.rfind(b"\n") + 1]
        self._offset += len(complete)
        for line in complete.decode("utf-8", "replace").splitlines():
            self._lines.append(line)
            if match := _LINE.fullmatch(line):
                self._take(match["port"] or "", match["program"], match["text"])

    def _take(self, port: str, program: str, text: str) -> None:
        if program == "smtpd" and (match := _CLIENT.fullmatch(text)):
            one = self._message(match["id"])
            one.port, one.client, one.login = port, match["client"], _first(_LOGIN, match["rest"])
        elif program == "smtpd" and (match := _REJECT.match(text)):
            refusal = Refusal(
                port,
                match["stage"],
                match["client"],
                int(match["code"]),
                match["text"],
                match["sender"],
                match["recipient"] or "",
            )
            self._refusals.append(refusal)
        elif program == "pickup" and (match := _PICKUP.fullmatch(text)):
            self._message(match["id"]).was_picked_up = True
        elif program == "qmgr" and (match := _ACTIVE.fullmatch(text)):
            one = self._message(match["id"])
            one.sender, one.recipients = match["sender"], one.recipients or int(match["count"])
        elif program == "qmgr" and (match := _REMOVED.fullmatch(text)):
            self._message(match["id"]).removed = True
        elif match := _NOTICE.fullmatch(text):
            self._message(match["id"]).notices.append(match["new"])
        elif match := _DELIVERY.fullmatch(text):
            one = self._message(match["id"])
            one.attempts.append(Attempt(match["to"], match["status"], match["text"]))
            one.injected += _QUEUED_AS.findall(match["text"])

    def _message(self, queue_id: str) -> Message:
        return self._messages.setdefault(queue_id, Message(queue_id))


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""
