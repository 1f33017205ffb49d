"""Postfix's queue on this host: whose messages are in it, held, released and deleted by their queue ids.

What is put on hold for a suspension is remembered in a file of the state directory, so that its end
releases those messages and none that somebody else has put on hold.
"""

import errno
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from policyd.errors import ToolError
from policyd.tool import run

HOLD = "hold"

_WHERE = "Postfix"
_AT_ONCE = 200
"""Messages in one command."""

_PATIENCE = 3
"""How often one message may not be found: it may be on its way from one queue to the other."""

_ENVELOPE = re.compile(r"^\*\*\* ENVELOPE RECORDS (?:.*/)?([0-9A-Za-z]+) \*\*\*\n", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^named_attribute: (sasl_username|client_address)=(.*)$", re.MULTILINE)


class Sent(NamedTuple):
    """What smtpd has noted of who sent a message; "" stands for no login, and no client."""

    login: str = ""
    client: str = ""


class Queued(NamedTuple):
    """One message in the queue. ``arrived`` is in s since the epoch."""

    id: str
    queue: str
    arrived: int
    sender: str
    sent: Sent = Sent()


class MailQueue:
    """The queue of the Postfix whose configuration is in ``directory``, "" for the usual one."""

    def __init__(self, directory: str = "") -> None:
        self._options = ("-c", directory) if directory else ()

    def messages(self) -> list[Queued]:
        """Return the messages, with what smtpd has noted of who sent them. Raises ToolError.

        postcat stops at the first message that has left meanwhile, after a second: then the queue is
        listed anew.
        """
        listed, failures = self.listed(), Counter[str]()
        known: dict[str, Sent] = {}
        while ids := [one.id for one in listed if one.id not in known][:_AT_ONCE]:
            try:
                known |= _read(self._run("postcat", "-eq", *ids))
            except ToolError as error:
                known |= _read(error.printed)
                failures.update([one for one in ids if one not in known][:1])
                if _PATIENCE in failures.values():
                    raise
                listed = self.listed()
        return [one._replace(sent=known[one.id]) for one in listed]

    def listed(self) -> list[Queued]:
        """Return the messages as the queue manager lists them, without login and client. Raises ToolError.

        One that goes from one queue to the other meanwhile is listed twice.
        """
        found = (_listed(line) for line in self._run("postqueue", "-j").splitlines())
        return list({one.id: one for one in found}.values())

    def hold(self, ids: Iterable[str]) -> None:
        """Put messages on hold. Raises ToolError."""
        self._supervise("-h", ids)

    def release(self, ids: Iterable[str]) -> None:
        """Release messages from hold. Raises ToolError."""
        self._supervise("-H", ids)

    def delete(self, ids: Iterable[str]) -> None:
        """Delete messages. Raises ToolError."""
        self._supervise("-d", ids)

    def _supervise(self, what: str, ids: Iterable[str]) -> None:
        given = "".join(f"{queue_id}\n" for queue_id in ids)
        if given:
            self._run("postsuper", what, "-", given=given)

    def _run(self, program: str, *arguments: str, given: str = "") -> str:
        return run(program, *self._options, *arguments, where=_WHERE, text=given)


class Held:
    """What is remembered of a suspension's messages: queue ids, and when each arrived, since ids come again.

    The state directory is the daemon's, and who writes here is root: what he follows into it, and
    reads there, must be his own.
    """

    def __init__(self, directory: Path, subject: str) -> None:
        self._folder, self._subject = directory / "held", subject
        self._name = f"{sha256(subject.encode()).hexdigest()[:32]}.json"

    def messages(self) -> dict[str, int]:
        """Return when each message arrived, by queue id. Raises ToolError."""
        try:
            with self._opened() as folder, os.fdopen(os.open(self._name, os.O_RDONLY, dir_fd=folder), "rb") as file:
                return dict(json.load(file)["messages"])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise self._failed(error) from error

    def add(self, messages: Iterable[Queued]) -> None:
        """Remember messages together with those of before. Raises ToolError."""
        every = {**self.messages(), **{message.id: message.arrived for message in messages}}
        text = json.dumps({"subject": self._subject, "messages": every})
        fresh = f"{self._name}.new"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with self._opened() as folder:
                create = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
                with os.fdopen(os.open(fresh, create, 0o600, dir_fd=folder), "w", encoding="ascii") as file:
                    file.write(text)
                os.replace(fresh, self._name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            raise self._failed(error) from error

    def forget(self) -> None:
        """Forget all of them. Raises ToolError."""
        try:
            with self._opened() as folder:
                os.unlink(self._name, dir_fd=folder)
        except OSError as error:
            raise self._failed(error) from error

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """Open the folder, which must be no symbolic link and the user's own."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(folder).st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, "it belongs to somebody else", str(self._folder))
            yield folder
        finally:
            os.close(folder)

    def _failed(self, error: Exception) -> ToolError:
        return ToolError(str(self._folder / self._name), str(error))


def _listed(line: str) -> Queued:
    """Return a message as ``postqueue -j`` lists it."""
    message = json.loads(line)
    return Queued(message["queue_id"], message["queue_name"], int(message["arrival_time"]), message["sender"])


def _read(envelopes: str) -> dict[str, Sent]:
    """Return who sent each message by its queue id, from what postcat(1) printed."""
    _, *parts = _ENVELOPE.split(envelopes)
    noted = {queue_id: dict(_ATTRIBUTE.findall(part)) for queue_id, part in zip(parts[::2], parts[1::2], strict=True)}
    return {
        queue_id: Sent(found.get("sasl_username", ""), found.get("client_address", ""))
        for queue_id, found in noted.items()
    }
