"""What the lines of Postfix's log say, one event for each line that says something: pure, never raises.

    smtpd    ID: client=NAME[ADDRESS], sasl_username=LOGIN         a message begins
             ID: reject: RCPT from NAME[ADDRESS]: 550 ... ref REF; from=<...> to=<...> ...
    pickup   ID: uid=UID from=<SENDER>                             a message of sendmail(1) begins
    qmgr     ID: from=<SENDER>, size=BYTES, nrcpt=COUNT (queue active)
             ID: removed
    others   ID: to=<RECIPIENT>, orig_to=<...>, relay=..., status=WORD (TEXT)

Whatever other lines hold is counted and left alone.
"""

import re
from typing import NamedTuple

from policyd.replay.stamps import PATTERN, Stamps

_LINE = re.compile(
    rf"^(?P<stamp>{PATTERN}) (?P<host>\S+) "
    r"(?:(?P<name>[^\s\[]+)/\w+\[\d+\]: (?P<id>[0-9A-Za-z]+): "
    r"(?:client=[^\[\n]*\[(?P<client>[^\]\n]*)\](?P<received>.*)"
    r"|uid=\d+ from=<(?P<picked_up>[^>\n]*)>.*"
    r"|from=<(?P<sender>[^>\n]*)>, size=(?P<size>\d{1,15}), nrcpt=(?P<queued>\d{1,7}) .*"
    r"|to=<(?P<to>[^>\n]*)>, (?P<delivered>.*)"
    r"|reject: RCPT from [^\[\n]*\[(?P<refused_client>[^\]\n]*)\](?P<refused>.*)"
    r"|(?P<removed>removed)"
    r")$)?",
    re.MULTILINE,
)
_LOGIN = re.compile(r", sasl_username=([^,]*)")
_AGAIN = re.compile(r", orig_queue_id=\w+")
_ORIGINAL = re.compile(r"orig_to=<([^>]*)>, ")
_HANDED_ON = re.compile(r"relay=[^,\[]*\[(?:127\.[\d.]+|::1)\].*queued as (\w+)\)?")
_OURS = re.compile(r"; ref [0-9A-HJKMNP-TV-Z]{10}; from=<([^>]*)> to=<([^>]*)> proto=")
_LOGIN_REFUSED = re.compile(r" sasl_username=<([^>]*)>")


class Line(NamedTuple):
    """What every event has: when, on which host, and of which queue file."""

    at: int
    host: str
    queue_id: str


class Received(NamedTuple):
    """A message begins. ``port`` is the last part of the entry's syslog_name, "" for the plain one.

    ``client`` is "" for mail from sendmail(1). ``again``: it was in the queue before, and was filtered.
    """

    line: Line
    port: str
    client: str
    login: str
    again: bool


class Queued(NamedTuple):
    """A message is in the queue."""

    line: Line
    sender: str
    size: int
    recipients: int


class Delivered(NamedTuple):
    """A recipient was tried, whose address was ``original`` at first; ``handed_on`` is its id in this Postfix again."""

    line: Line
    recipient: str
    original: str
    handed_on: str


class Refused(NamedTuple):
    """A recipient that policyd refused."""

    line: Line
    port: str
    client: str
    login: str
    sender: str
    recipient: str


class Removed(NamedTuple):
    """A message left the queue."""

    line: Line


LogEvent = Received | Queued | Delivered | Refused | Removed


class Lines(NamedTuple):
    """The events of some lines, how many lines that were, and how many of them are no lines of a log."""

    events: list[LogEvent]
    total: int
    junk: int


def parse(text: str, stamps: Stamps) -> Lines:
    """Return what whole lines say, in their order."""
    events: list[LogEvent] = []
    headed = 0
    for match in _LINE.finditer(text):
        headed += 1
        event = _event(match, stamps) if match.lastgroup != "host" else None
        if event is not None:
            events.append(event)
    total = text.count("\n") + (text != "" and not text.endswith("\n"))
    return Lines(events, total, total - headed)


def first_moment(text: str, stamps: Stamps) -> int | None:
    """Return the moment of the first line that has one."""
    moments = (stamps.read(match["stamp"]) for match in _LINE.finditer(text))
    return next((moment for moment in moments if moment is not None), None)


def _event(match: re.Match[str], stamps: Stamps) -> LogEvent | None:
    at = stamps.read(match["stamp"])
    if at is None:
        return None
    line, kind = Line(at, match["host"], match["id"]), match.lastgroup
    if kind == "delivered":
        return _delivered(line, match["to"], match["delivered"])
    if kind == "queued":
        return Queued(line, match["sender"], int(match["size"]), int(match["queued"]))
    if kind == "removed":
        return Removed(line)
    if kind in {"received", "picked_up"}:
        return _received(line, match)
    return _refused(line, match)


def _received(line: Line, match: re.Match[str]) -> Received:
    rest = match["received"]
    if rest is None:
        return Received(line, "pickup", "", "", again=False)
    return Received(line, _port(match), match["client"], _first(_LOGIN, rest), again=bool(_AGAIN.search(rest)))


def _refused(line: Line, match: re.Match[str]) -> Refused | None:
    rest, client = match["refused"], match["refused_client"]
    found = _OURS.search(rest)
    return found and Refused(line, _port(match), client, _first(_LOGIN_REFUSED, rest), *found.groups())


def _delivered(line: Line, recipient: str, rest: str) -> Delivered | None:
    if "status=" not in rest:
        return None
    return Delivered(line, recipient, _first(_ORIGINAL, rest) or recipient, _first(_HANDED_ON, rest))


def _port(match: re.Match[str]) -> str:
    return match["name"].rpartition("/")[2] if "/" in match["name"] else ""


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""
