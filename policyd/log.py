"""The log: one logfmt line for each decision, and operational lines of five severities.

    line    = field *(" " field)
    field   = name "=" value
    value   = *<printable ASCII without space, = and "> / <JSON string in ASCII>

Whatever an address holds, it is one value of one line: all that could end a value or a line, or
command a terminal, is escaped. In a line over 1,024 characters values are cut at 256, since
journald splits lines (LineMax=, 48 KiB), and the second half would pass for a line of ours.

No line is worth an answer: a sink that is slow is not waited for, one that fails loses lines, and
how many is said when it works again.
"""

import asyncio
import json
import logging
import os
import select
import socket
import stat
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TextIO

from policyd.plural import plural

LONGEST_WHOLE_LINE = 1024
LONGEST_VALUE = 256
LONGEST_TEXT = 4096  # of an operational line, which says it once and to an admin

MOST_PENDING = 1024 * 1024
"""Bytes that are kept for a sink that is slow; what comes then is lost."""

_RETRY = 0.1  # seconds
_PATIENCE = 1.0  # seconds

SEVERITIES = {logging.INFO: "info", logging.WARNING: "warn", logging.ERROR: "error", logging.CRITICAL: "critical"}
"""warn: a peer or its input is odd; error: the operator should look; critical: the daemon ends."""

BUG = "bug"
"""The fifth severity: an exception that nobody foresaw."""

_PRIORITIES = {"debug": 7, "info": 6, "warn": 4, "error": 3, "critical": 2, BUG: 2}  # sd-daemon(3)


class DecisionLog:
    """Writes the lines of a loop tick in one write, after the tick's answers."""

    def __init__(self, stream: TextIO) -> None:
        self._writer = LineWriter(stream)
        self._lines: list[str] = []
        self._templates: dict[tuple[str, ...], str] = {}
        self._scheduled = False

    def write(self, fields: Mapping[str, str | int | float]) -> None:
        """Add one line with these fields in this order. Never raises for what a value holds or a sink does."""
        names, count = tuple(fields), len(fields)
        template = self._templates.get(names)
        if template is None:
            template = self._templates[names] = " ".join(f"{name}=%s" for name in names)
        line = template % tuple(fields.values())
        if not (
            len(line) <= LONGEST_WHOLE_LINE
            and line.isascii()
            and line.isprintable()
            and line.count(" ") == count - 1
            and line.count("=") == count
            and '"' not in line
        ):
            line = logfmt(fields, LONGEST_VALUE if len(line) > LONGEST_WHOLE_LINE else LONGEST_WHOLE_LINE)
        self._lines.append(line)
        if not self._scheduled:
            self._schedule()

    def flush(self) -> None:
        """Write what is left, as the daemon does before it ends; waits a second at most."""
        self._collect()
        self._writer.finish()

    def _schedule(self) -> None:
        try:
            asyncio.get_running_loop().call_soon(self._tick)
            self._scheduled = True
        except RuntimeError:  # nothing else would write it
            self.flush()

    def _tick(self) -> None:
        self._scheduled = False
        self._collect()
        if not self._writer.send():
            self._scheduled = True
            asyncio.get_running_loop().call_later(_RETRY, self._tick)

    def _collect(self) -> None:
        if self._lines:
            self._writer.put("\n".join(self._lines) + "\n")
            self._lines.clear()


def setup_logging(stream: TextIO, environ: Mapping[str, str] = os.environ) -> logging.Handler:
    """Send the operational lines of all loggers, from info up, to a stream; returns the handler.

    They have journald's priority prefixes when the stream is the journal, as JOURNAL_STREAM says.
    A handler from an earlier call is replaced.
    """
    root = logging.getLogger()
    for former in [handler for handler in root.handlers if isinstance(handler, LogHandler)]:
        root.removeHandler(former)
    handler = LogHandler(stream, prefixes=_is_the_journal(stream, environ))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    return handler


class LogHandler(logging.Handler):
    """Writes records of stdlib logging as logfmt lines, at once."""

    def __init__(self, stream: TextIO, *, prefixes: bool = False) -> None:
        super().__init__()
        self._writer, self._prefixes = LineWriter(stream, tell=False), prefixes

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; never raises."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  # a message that does not fit its arguments must not stop the daemon
            line = logfmt(
                {"level": BUG, "logger": record.name, "msg": f"cannot be formatted: {record.msg!r}"}, LONGEST_TEXT
            )
        self._writer.put(line + "\n")
        self._writer.send()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record. An exception with a traceback is a bug, whatever its level."""
        severity = SEVERITIES.get(record.levelno, "debug")
        values = {"level": severity, "logger": record.name, "msg": record.getMessage()}
        trace = ""
        if record.exc_info and record.exc_info[0] is not None:
            values["level"] = severity = BUG
            trace = f" trace={quoted(logging.Formatter().formatException(record.exc_info)[-LONGEST_TEXT:])}"
        prefix = f"<{_PRIORITIES[severity]}>" if self._prefixes else ""
        return f"{prefix}{logfmt(values, LONGEST_TEXT)}{trace}"

    def flush(self) -> None:
        """Write what a slow stream has not taken yet; waits a second at most."""
        self._writer.finish()


def logfmt(fields: Mapping[str, str | int | float], longest: int) -> str:
    """Return a line without its newline, values cut at ``longest``. The names are ours and need no quoting."""
    return " ".join([f"{name}={quoted(_clipped(str(value), longest))}" for name, value in fields.items()])


def quoted(text: str) -> str:
    """Return a value in printable ASCII: as it is, or as a JSON string when anything in it needs one.

    Bytes that were not UTF-8 are surrogates here; they stay apart as escapes of their own.
    """
    if text.isascii() and text.isprintable() and not (" " in text or "=" in text or '"' in text):
        return text
    return json.dumps(text).replace("\x7f", "\\u007f")


def _clipped(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _is_the_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether JOURNAL_STREAM names this stream: it is inherited also by those whose stderr is elsewhere."""
    with suppress(OSError, ValueError):
        status = os.fstat(stream.fileno())
        return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
    return False


class LineWriter:
    """Writes whole lines to a stream's file without waiting for it and without raising.

    ``lost`` counts the lines that it could not take. With ``tell`` their number is logged when it
    works again.
    """

    def __init__(self, stream: TextIO, *, tell: bool = True) -> None:
        self.lost = 0
        self._tell, self._why = tell, ""
        self._fd, self._write, release = _sink(stream)
        weakref.finalize(self, release).atexit = False  # what is logged later than that still has its file
        self._pending = b""
        self._inside_a_line = False

    def put(self, lines: str) -> None:
        """Add lines, each with its newline; ``send`` writes them."""
        data = lines.encode("ascii", "backslashreplace")
        if len(self._pending) + len(data) > MOST_PENDING:
            self._lose(data, "the reader was too slow")
        else:
            self._pending += data

    def send(self) -> bool:
        """Write what is pending in one write; False when some of it must be tried again later."""
        if self._pending:
            try:
                count = self._write(self._pending)
            except BlockingIOError:
                return False
            except OSError as error:
                self._drop(error)
                return True
            self._inside_a_line = self._pending[count - 1 : count] != b"\n"
            self._pending = self._pending[count:]
        if self._pending:
            return False
        self._tell_losses()
        return True

    def finish(self) -> None:
        """Write what is pending, waiting a second at most for a slow reader; what is left then stays."""
        deadline = time.monotonic() + _PATIENCE
        while not self.send() and time.monotonic() < deadline:
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            poll.poll(_RETRY * 1000)

    def _drop(self, error: OSError) -> None:
        """Forget what is pending; a line that was begun is ended first when the sink works again."""
        self._lose(self._pending.removeprefix(b"\n"), error.strerror or str(error))
        self._pending = b"\n" if self._inside_a_line else b""

    def _lose(self, data: bytes, why: str) -> None:
        self.lost, self._why = self.lost + data.count(b"\n"), why

    def _tell_losses(self) -> None:
        if self.lost and self._tell:
            count, self.lost = self.lost, 0
            logging.getLogger("policyd.log").error("%s of the decision log lost: %s", plural(count, "line"), self._why)


def _sink(stream: TextIO) -> tuple[int, Callable[[bytes], int], Callable[[], None]]:
    """Return a stream's file, how to write to it without waiting, and how to let go of it.

    A pipe or terminal is opened anew, since O_NONBLOCK on the one that we inherited would be seen by
    all who share it; a socket (the journal) can be told not to wait at each send.
    """
    try:
        fd = stream.fileno()
    except (OSError, ValueError):  # a stream in memory takes everything
        return -1, lambda data: stream.write(data.decode("ascii")), lambda: None
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        peer = socket.socket(fileno=os.dup(fd))
        return fd, lambda data: peer.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL), peer.close
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        with suppress(OSError):  # it belongs to another user: then it is waited for
            own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            return own, lambda data: os.write(own, data), lambda: os.close(own)
    return fd, lambda data: os.write(fd, data), lambda: None
