"""Everything in this directory talks to a real Postfix, Dovecot, Mailman or Prometheus."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.daemon import LocalDaemon, Serve, Yaml, settings
from tests.support.mailman import Mailman
from tests.support.postfix import Postfix
from tests.support.redis import RedisServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test in this directory the mark ``e2e``."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what Postfix logged last where a test with it failed."""
    report = yield
    postfix = getattr(item, "funcargs", {}).get("postfix")
    if report.failed and isinstance(postfix, Postfix):
        report.sections.append(("log of Postfix", "\n".join(postfix.log.lines[-60:])))
    return report


@pytest.fixture(scope="session")
def mailman(postfix: Postfix) -> Iterator[Mailman]:
    """Run the list software of the whole run: it has its posts from Postfix, and mails through the list port."""
    core = Mailman(postfix)
    try:
        core.start()
        yield core
    finally:
        core.stop()


@pytest.fixture
def serve(postfix: Postfix, redis_server: RedisServer) -> Iterator[Serve]:
    """Return what starts a policyd behind the test's Postfix, over the test's Redis."""
    with ExitStack() as running:

        def start(domains: list[str], limits: Yaml, **sections: Yaml) -> LocalDaemon:
            configuration = settings(postfix.policy, redis_server.url, domains, limits)
            for name, section in sections.items():
                configuration.setdefault(name, {}).update(section)
            daemon = LocalDaemon(configuration)
            running.callback(daemon.remove)
            daemon.start()
            return daemon

        yield start
