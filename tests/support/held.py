"""A listening socket that outlives those who serve it, as one of a systemd socket unit does."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BACKLOG = 1000


@contextmanager
def holding(path: Path) -> Iterator[socket.socket]:
    """Listen on a unix socket that everybody may connect to; it is there until the end, whoever serves it."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        try:
            path.chmod(0o666)
            sock.listen(BACKLOG)
            yield sock
        finally:
            path.unlink()
