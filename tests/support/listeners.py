"""Listeners of a test, and why they are refused."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from policyd.conf.schema import Endpoint
from policyd.errors import ListenError
from policyd.server.listen import Listener, Wanted, open_listener

LOOPBACK = Wanted(Endpoint(host="127.0.0.1"))


@contextmanager
def opened(wanted: Wanted) -> Iterator[Listener]:
    """Open a listener for a while."""
    listener = open_listener(wanted)
    try:
        yield listener
    finally:
        listener.close()


def refused(wanted: Wanted) -> str:
    """Return why a listener is not opened."""
    with pytest.raises(ListenError) as caught:
        open_listener(wanted)
    return str(caught.value)


def unix(path: Path, mode: int = 0o660, group: str = "") -> Wanted:
    """Return what asks for a unix socket."""
    return Wanted(Endpoint(path=str(path)), mode, group)


def fail_with(number: int) -> Callable[..., NoReturn]:
    """Return a function that fails as the system does."""

    def fail(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail
