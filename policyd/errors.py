"""The whole exception tree of policyd.

    PolicydError
    |-- ConfigError            the configuration cannot be used; carries every issue found
    |-- PatternError           a text is no pattern of envelope senders
    |-- ProtocolError          the peer broke the protocol; its connection is closed
    |-- SecretError            the file of a password or a key cannot be used
    |-- ListenError            a listener cannot be opened as configured
    |-- StateDirectoryError    the state directory is taken or cannot be used
    |-- DaemonError            a command could not reach the daemon (exit code 75)
    |-- ToolError              another program that policyd asks (postconf) failed
    |-- NoticeError            a notice was not taken by the MTA or the webhook
    |-- RosterError            Mailman does not say what lists there are
    |-- RequestError           what an admin asks for cannot be done as asked
    `-- StoreError             the store gave no answer that counts
        |-- StoreTimeout       none within store.timeout
        |-- CountedLocally     and the charge was let through within this daemon's share
        `-- StoreUnavailable   not connected, or Redis refused the command

Messages are built here from data, so that one mistake reads the same wherever it is raised.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from policyd.printable import printable


class PolicydError(Exception):
    """Root of every error that policyd raises on purpose."""


@dataclass(frozen=True, slots=True, order=True)
class Issue:
    """One mistake in a configuration file, with its place and its cure.

    ``line`` and ``column`` count from 1; 0 means that the mistake has no single place in the file.
    """

    file: str
    line: int
    column: int
    path: str
    problem: str
    cure: str

    def __str__(self) -> str:
        """Return it in one line; a file may be named with whatever YAML can say."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        where = f"{self.path}: " if self.path else ""
        cure = f" ({self.cure})" if self.cure else ""
        return printable(f"{place}: {where}{self.problem}{cure}")


class ConfigError(PolicydError):
    """Raised when a configuration cannot be used; ``issues`` holds all mistakes in file order."""

    def __init__(self, issues: Sequence[Issue]) -> None:
        self.issues = tuple(issues)
        super().__init__("\n".join(str(issue) for issue in self.issues))


class PatternError(PolicydError):
    """Raised for a text that is no pattern of envelope senders: ``problem`` says why, ``cure`` what to write."""

    def __init__(self, problem: str, cure: str) -> None:
        self.problem, self.cure = problem, cure
        super().__init__(f"it {problem} ({cure})")


class ProtocolError(PolicydError):
    """Raised when a peer breaks its protocol. Raised again by every later call on that connection."""


class SecretError(PolicydError):
    """Raised when the ``file`` of a password or a key cannot be used: ``why``, and the ``cure``."""

    def __init__(self, file: str, why: str, cure: str) -> None:
        self.file, self.why, self.cure = file, why, cure
        super().__init__(f"{file}: {why} ({cure})")


class ListenError(PolicydError):
    """Raised when a listener cannot be opened as configured."""

    def __init__(self, address: str, why: str, cure: str = "") -> None:
        self.address, self.why, self.cure = address, why, cure
        super().__init__(f"cannot listen on {address}: {why}{f' ({cure})' if cure else ''}")


class StateDirectoryError(PolicydError):
    """Raised when the state directory is in use by another daemon or cannot be written."""

    def __init__(self, directory: str, why: str) -> None:
        self.directory = directory
        super().__init__(f"state directory {directory}: {why}")


class DaemonError(PolicydError):
    """Raised by commands when the daemon cannot be reached or does not answer."""


class ToolError(PolicydError):
    """Raised when another program that policyd asks (postconf) cannot be run or fails, whatever it ``printed``."""

    def __init__(self, command: str, why: str, printed: str = "") -> None:
        self.command, self.printed = command, printed
        super().__init__(f"{command}: {why}")


class NoticeError(PolicydError):
    """Raised when a notice was not taken; ``for_good`` says that trying again would not help."""

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        self.for_good = for_good
        super().__init__(reason)


class RosterError(PolicydError):
    """Raised when Mailman does not say what lists there are: at ``where``, ``why``, and the ``cure``."""

    def __init__(self, where: str, why: str, cure: str) -> None:
        self.where, self.why, self.cure = where, why, cure
        super().__init__(f"{where}: {why} ({cure})")


class RequestError(PolicydError):
    """Raised when what an admin asks for cannot be done as asked; ``status`` is an HTTP status."""

    def __init__(self, status: int, why: str) -> None:
        self.status = status
        super().__init__(why)


class StoreError(PolicydError):
    """Raised when the store gave no answer that counts. ``op`` is the operation, a metric label.

    ``admitted``: what it was asked for was counted without it.
    """

    admitted = False

    def __init__(self, op: str, why: str) -> None:
        self.op, self.why = op, why
        super().__init__(f"store {op}: {why}")


class StoreTimeout(StoreError):
    """Raised when the store did not answer within ``after`` seconds (store.timeout)."""

    def __init__(self, op: str, after: float) -> None:
        super().__init__(op, f"no answer within {after * 1000:.0f} ms")


class StoreUnavailable(StoreError):
    """Raised when the store is not connected or refused the command."""


class CountedLocally(StoreError):
    """Given in place of another error when the charge was let through within this daemon's share."""

    admitted = True

    def __init__(self, error: StoreError) -> None:
        super().__init__(error.op, f"{error.why}; counted by this daemon")
