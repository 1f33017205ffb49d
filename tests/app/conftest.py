"""Whole daemons, each with a Redis of its own or an embedded one."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest

from tests.support.daemon import Yaml, rate
from tests.support.process import Process, configuration


class Start(Protocol):
    """Starts a daemon for a.test with the plan shared of all ``limits``; ``sections`` change the rest."""

    def __call__(self, store_url: str, limits: Yaml | None = None, **sections: Yaml | str) -> Process:
        """Return it when it answers."""


@pytest.fixture
def ending() -> Iterator[ExitStack]:
    """End what a test has started, last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(ending: ExitStack) -> Start:
    """Return what starts the installed daemon."""

    def begin(store_url: str, limits: Yaml | None = None, **sections: Yaml | str) -> Process:
        daemon = Process(configuration(store_url, ["a.test"], limits or {"domain-hourly": rate(400)}, **sections))
        ending.callback(daemon.remove)
        ending.callback(lambda: print(daemon.log))  # shown where the test failed
        daemon.start()
        return daemon

    return begin
