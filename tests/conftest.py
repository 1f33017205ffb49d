"""What tests of every room may use: the real programs, one of each for a whole run."""

import signal
from collections.abc import Generator, Iterator
from secrets import token_hex

import pytest
from hypothesis import settings

from tests.support.dovecot import Dovecot
from tests.support.mailhost import mailhost
from tests.support.postfix import Postfix
from tests.support.postfix_files import HOSTED
from tests.support.redis import RedisServer, running
from tests.support.sink import Sink


def pytest_configure() -> None:
    """Let no property test fail for being slow, and no program be deaf to Ctrl-C.

    A shell has what runs in the background ignore SIGINT, and programs inherit that.
    """
    settings.register_profile("patient", settings(deadline=None))
    settings.load_profile("patient")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep out of reports what no process can tell another: bytes that are not UTF-8 are surrogates in our tests."""
    report = yield
    report.sections = [(title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections]
    return report


@pytest.fixture
def domain() -> str:
    """Return a domain that no other test uses; the test's Postfix has mailboxes for it."""
    return f"d{token_hex(4)}.{HOSTED}"


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """Run a redis-server of the test's own."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """Run the SASL server of the whole run; every user has the same password."""
    server = Dovecot()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def sink() -> Iterator[Sink]:
    """Run the next hop of the whole run."""
    server = Sink()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postfix(dovecot: Dovecot, sink: Sink) -> Iterator[Postfix]:
    """Run the Postfix of the whole run; tests must use domains of their own."""
    host = mailhost(dovecot.socket, sink.port)
    try:
        host.start()
        yield host
    finally:
        host.stop()
