"""A policy client for tests that are no coroutines: it asks as an smtpd does, one request at a time."""

import socket
from collections.abc import Callable
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Self

from tests.support.policy import request

TIMEOUT = 20.0

_instances = count(1)


def new_instance() -> str:
    """Return the ``instance`` of a message that no other test has."""
    return f"test.{next(_instances)}"


class Asker:
    """One connection to the daemon: to a unix socket, or to host and port."""

    def __init__(self, address: Path | tuple[str, int]) -> None:
        self._socket = socket.socket(socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET)
        self._socket.settimeout(TIMEOUT)
        try:
            self._socket.connect(str(address) if isinstance(address, Path) else address)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, **attributes: str) -> str:
        """Return the action for a recipient of a new message; ``attributes`` change what is asked."""
        self.send(**attributes)
        return self.answer()

    def send(self, **attributes: str) -> None:
        """Ask, and wait for nothing."""
        self.write(request(**{"instance": new_instance(), **attributes}))

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def answer(self) -> str:
        """Return the action of the next answer.

        Raises ConnectionError when the daemon hangs up instead.
        """
        data = b""
        while not data.endswith(b"\n\n"):
            more = self._socket.recv(4096)
            if not more:
                raise ConnectionResetError(f"closed after {data!r}")
            data += more
        assert data.count(b"\n") == 2, f"more than one answer: {data!r}"
        return data.decode("ascii").removeprefix("action=").rstrip("\n")

    def is_closed(self) -> bool:
        """Wait for what comes next, and say whether that is the end."""
        return self._socket.recv(1) == b""

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class Crowd:
    """Connections that ask in threads of their own until they are told to stop; each answer is kept."""

    def __init__(self, size: int, talk: Callable[[int, Event], list[str]]) -> None:
        """``talk(number, enough)`` asks until the event is set and returns its answers."""
        self._enough = Event()
        self._answers: list[list[str]] = [[] for _ in range(size)]
        self._errors: list[BaseException] = []
        self._threads = [Thread(target=self._run, args=(talk, number)) for number in range(size)]

    def _run(self, talk: Callable[[int, Event], list[str]], number: int) -> None:
        try:
            self._answers[number] = talk(number, self._enough)
        except BaseException as error:  # noqa: BLE001  # shown by the test, whose thread it is not
            self._errors.append(error)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(TIMEOUT)

    @property
    def answers(self) -> list[str]:
        """All answers, when all have stopped. Raises what one of them met."""
        for error in self._errors:
            raise error
        return [answer for answers in self._answers for answer in answers]
