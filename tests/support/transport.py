"""A transport without a socket, for protocols that are tested without a loop."""

import asyncio
import socket
from typing import Any


class FakeTransport(asyncio.Transport):
    """A transport that notes what is written and ends when the test says so."""

    def __init__(self) -> None:
        super().__init__({"socket": socket.socket(), "peername": ("::ffff:192.0.2.9", 4321, 0, 0)})
        self.get_extra_info("socket").close()
        self.written: list[bytes] = []
        self.reading, self.closing, self.aborted = True, False, False
        self.unsent = 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take the limits."""
        assert (high, low) == (65_536, None)

    def get_write_buffer_size(self) -> int:
        """Return what a client has not read."""
        return self.unsent

    def write(self, data: Any) -> None:
        """Note bytes."""
        assert not self.closing
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        """Whether the end has begun."""
        return self.closing

    def close(self) -> None:
        """Begin the end."""
        self.closing = True

    def abort(self) -> None:
        """Begin the end at once."""
        self.closing = self.aborted = True

    def pause_reading(self) -> None:
        """Deliver nothing until further notice."""
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        """Deliver again."""
        assert not self.reading
        self.reading = True
