"""What systemd is told and asked: sd_notify(3) and sd_watchdog_enabled(3)."""

import logging
import socket
import time
from collections.abc import MutableMapping

_SEND_WITHIN = 1.0  # seconds: systemd reads at once, and nothing here is worth a stalled loop

_logger = logging.getLogger(__name__)


class Notifier:
    """Tells systemd the state of the daemon. Without systemd every method does nothing."""

    def __init__(self, address: str) -> None:
        """Send to the unix datagram socket ``address``; "@" begins an abstract one, "" is no systemd."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> "Notifier":
        """Take NOTIFY_SOCKET out of ``environ``, so that no child process speaks for the daemon."""
        return cls(environ.pop("NOTIFY_SOCKET", ""))

    def ready(self, status: str = "") -> None:
        """Say that start-up or a reload has ended."""
        self._send("READY=1", f"STATUS={status}" if status else "")

    def reloading(self) -> None:
        """Say that a reload has begun; ``ready`` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the daemon drains and will exit."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Keep the watchdog quiet, see ``watchdog_interval``."""
        self._send("WATCHDOG=1")

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        message = "\n".join(" ".join(text.splitlines()) for text in assignments if text)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(_SEND_WITHIN)
                sock.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError as error:
            _logger.warning("cannot tell systemd %s: %s", assignments[0], error)


def watchdog_interval(environ: MutableMapping[str, str], pid: int) -> int | None:
    """Return how often ``Notifier.alive`` must be called, in ms: half of WatchdogSec=.

    None when no watchdog is set, or it is set for another process than ``pid``. The variables are
    removed from ``environ``.
    """
    limit = environ.pop("WATCHDOG_USEC", "")
    addressee = environ.pop("WATCHDOG_PID", str(pid))
    if not limit.isdecimal() or int(limit) == 0 or addressee != str(pid):
        return None
    return max(1, int(limit) // 2000)
