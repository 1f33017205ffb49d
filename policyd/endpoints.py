"""The listeners of a daemon, by what is served there, and how commands name them."""

import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from policyd.admin.asked import Listening
from policyd.conf.schema import Listen
from policyd.server.listen import Listener, Wanted, open_listeners


class Endpoints:
    """All listeners of ``listen``. ``metrics``, ``admin`` and ``dovecot`` are None where it has none."""

    def __init__(self, listen: Listen, passed: Sequence[socket.socket]) -> None:
        """Open them, or take over those that systemd passed. Raises ListenError; nothing stays open then."""
        self._all = open_listeners(_wanted(listen), passed)
        count = len(listen.postfix)
        self.postfix, rest = self._all[:count], iter(self._all[count:])
        self.metrics = next(rest) if listen.metrics else None
        self.admin = next(rest) if listen.admin else None
        self.dovecot = next(rest) if listen.dovecot else None

    def __str__(self) -> str:
        return ", ".join(_address(listener) for listener in self._all)

    def close(self) -> None:
        """Close all sockets, the last one first."""
        for listener in reversed(self._all):
            listener.close()

    def listening(self) -> Listening:
        """Return where the daemon listens: absolute paths and the real ports."""
        postfix = tuple(_address(listener) for listener in self.postfix)
        return Listening(postfix, _address(self.metrics) if self.metrics else "")


def _wanted(listen: Listen) -> list[Wanted]:
    wanted = [Wanted(endpoint, listen.postfix_mode, listen.postfix_group) for endpoint in listen.postfix]
    if listen.metrics:
        wanted.append(Wanted(listen.metrics))
    if listen.admin:
        # Rights on it are by peer credentials, so everybody may connect.
        wanted.append(Wanted(listen.admin, 0o666))
    if listen.dovecot:
        wanted.append(Wanted(listen.dovecot))
    return wanted


def _address(listener: Listener) -> str:
    path = listener.endpoint.path
    return f"unix:{Path(path).absolute()}" if path else str(replace(listener.endpoint, port=listener.port))
