"""Everything in this directory talks to a real Postfix, Dovecot or Prometheus."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.postfix import Postfix


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
