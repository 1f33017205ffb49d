"""Who may read names of customers in /metrics."""

from http import HTTPStatus
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from policyd.server.http import OF_ACCOUNTS, metrics_app
from policyd.server.key import Key
from tests.server.conftest import Run
from tests.support.bearer import TOKEN, token_file
from tests.support.httpserver import Answer, ask, connected, http_serving


@pytest.fixture
def registry() -> CollectorRegistry:
    """Return one metric that names a customer, and one that does not."""
    made = CollectorRegistry()
    Counter("policyd_requests", "Requests.", registry=made).inc()
    Gauge(OF_ACCOUNTS, "Usage.", ["account"], registry=made).labels("example.org").set(1)
    return made


def answer(run: Run, registry: CollectorRegistry, path: Path, *, token: bool, closed: bool, **more: str) -> Answer:
    """Return what GET /metrics, or ``page``, is answered."""
    page, found = more.pop("page", "/metrics"), list[Answer]()

    async def scenario() -> None:
        key = Key(token_file(path), "listen.metrics_token_file") if token else None
        async with http_serving(metrics_app(registry, lambda: (True, ""), key, closed=closed), path / "metrics"):
            found.append(await ask(connected(path / "metrics"), f"GET {page}", more=more))

    run(scenario())
    return found[0]


def test_without_a_token_an_open_listener_names_nobody(run: Run, registry: CollectorRegistry, short_dir: Path) -> None:
    """Every user of the host reaches a port of loopback; figures without names are for all."""
    found = answer(run, registry, short_dir, token=False, closed=False)

    assert b"policyd_requests_total 1.0" in found.body
    assert b"example.org" not in found.body


def test_a_closed_listener_names_customers(run: Run, registry: CollectorRegistry, short_dir: Path) -> None:
    """The rights of a unix socket say who may read it."""
    assert b'{account="example.org"}' in answer(run, registry, short_dir, token=False, closed=True).body


def test_who_shows_the_token_reads_all(run: Run, registry: CollectorRegistry, short_dir: Path) -> None:
    """On a port, too."""
    found = answer(run, registry, short_dir, token=True, closed=False, Authorization=f"Bearer {TOKEN}")

    assert b'{account="example.org"}' in found.body


@pytest.mark.parametrize("shown", ["", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \u00e9"])
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "open"])
def test_who_does_not_reads_nothing(
    run: Run, registry: CollectorRegistry, short_dir: Path, shown: str, closed: bool
) -> None:
    """Where there is a token it is asked for, and not told."""
    found = answer(run, registry, short_dir, token=True, closed=closed, Authorization=shown)

    assert found.status == HTTPStatus.UNAUTHORIZED
    assert found.body == b"the token of listen.metrics_token_file\n"


@pytest.mark.parametrize("page", ["/livez", "/readyz"])
def test_life_is_no_secret(run: Run, registry: CollectorRegistry, short_dir: Path, page: str) -> None:
    """Probes need no token."""
    assert answer(run, registry, short_dir, token=True, closed=False, page=page).status == HTTPStatus.OK
