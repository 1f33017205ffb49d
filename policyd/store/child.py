"""One redis-server process: its start, its end as an event, and the lines that it writes.

A pidfd and an ordinary Popen instead of asyncio's subprocesses: this works alike on every loop,
needs no child watcher, thread or SIGCHLD handler, and ``exited`` cannot be missed.
"""

import asyncio
import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

_TETHER = Path(__file__).with_name("tether.py")
_LINES_KEPT = 5
_LONGEST_LINE = 4096
_LOG_LINE = re.compile(r"\d+:[A-Z] [^.*#]+\.\d+ (?P<mark>[.*#-]) ?(?P<text>.*)")
"""``pid:role date time mark text``; the mark of a warning is # (Redis, serverLogRaw)."""
# Nothing that the environment of policyd says may change what Redis does (LC_ALL, NOTIFY_SOCKET, MALLOC_CONF, ...).
_ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}


class Child:
    """A running program in a process group of its own, which the kernel ends with this process.

    Start it from the thread that lives as long as the process. Raises OSError from the constructor
    when it cannot be started. ``log`` gets what the program writes.
    """

    def __init__(self, command: Sequence[str], directory: Path, log: logging.Logger) -> None:
        self._loop, self._log = asyncio.get_running_loop(), log
        self.exited = asyncio.Event()
        self._settled = False  # before that, and at its end, Redis marks plain news as warnings
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._partial = b""
        self._output, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *command],
                cwd=directory,
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                process_group=0,
                umask=0o077,
            )
        except OSError:
            os.close(self._output)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(self._output, False)
        self._loop.add_reader(self._output, self._read)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._pidfd, self._ended)

    @property
    def pid(self) -> int:
        """The process id; no other process has it before ``exited`` is set."""
        return self._process.pid

    @property
    def fate(self) -> str:
        """How the program ended and what it wrote last, for an error message: of one that has settled, since then."""
        code = self._process.returncode
        if code is None:
            how = "is still running"
        elif code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        else:
            how = f"ended with status {code}"
        return f"{how}: {' | '.join(self._lines)}" if self._lines else how

    def settle(self) -> None:
        """Note that the program is past its start; what it said until now tells nothing of its end."""
        if not self.exited.is_set():
            self._read()
            self._lines.clear()
            self._settled = True

    async def stop(self, within: float) -> None:
        """End the program with SIGTERM, after ``within`` seconds with SIGKILL, and return when it has ended."""
        self._settled = False
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(within):
                await self.exited.wait()
        except TimeoutError:
            self._log.error("redis-server (pid %d) did not end within %g s and is killed", self.pid, within)
        finally:
            # Also when this wait is cancelled: nobody else ends it then.
            self._signal(signal.SIGKILL)
        await self.exited.wait()

    def _signal(self, number: signal.Signals) -> None:
        if not self.exited.is_set():
            signal.pidfd_send_signal(self._pidfd, number)

    def _ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._process.wait()
        self._read()
        self._loop.remove_reader(self._output)
        os.close(self._output)
        self.exited.set()

    def _read(self) -> None:
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._output, 65536)
            if not data:
                self._loop.remove_reader(self._output)
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[:_LONGEST_LINE]
        for line in lines:
            self._heard(line[:_LONGEST_LINE].decode("utf-8", "replace").strip())

    def _heard(self, line: str) -> None:
        entry = _LOG_LINE.match(line)
        text = entry["text"] if entry else line
        if not text:
            return
        self._lines.append(text)
        warning = self._settled and entry is not None and entry["mark"] == "#"
        self._log.log(logging.WARNING if warning else logging.DEBUG, "redis-server: %s", line)
