"""/metrics, /livez, /readyz, and how HTTP is served."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from policyd.server.http import metrics_app
from tests.server.conftest import Run
from tests.support.httpserver import Answer, ask, connected, http_serving


def registry() -> CollectorRegistry:
    """Return a registry with one counter."""
    made = CollectorRegistry()
    Counter("policyd_requests", "Requests.", registry=made).inc(7)
    return made


def answer(run: Run, path: Path, head: str, why: str = "", accept: str = "*/*") -> Answer:
    """Return what the metrics listener answers; it is not ready when there is a ``why``."""
    found: list[Answer] = []

    async def scenario() -> None:
        async with http_serving(metrics_app(registry(), lambda: (not why, why)), path / "metrics"):
            found.append(await ask(connected(path / "metrics"), head, accept=accept))

    run(scenario())
    return found[0]


def test_metrics(run: Run, short_dir: Path) -> None:
    """Without a wish the metrics come in the Prometheus text format."""
    found = answer(run, short_dir, "GET /metrics")
    values = {
        sample.name: sample.value
        for family in text_string_to_metric_families(found.body.decode())
        for sample in family.samples
    }

    assert (found.status, values["policyd_requests_total"]) == (200, 7.0)
    assert found.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_openmetrics(run: Run, short_dir: Path) -> None:
    """A client that asks for OpenMetrics gets that."""
    found = answer(run, short_dir, "GET /metrics", accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")

    assert found.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert found.body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "accept", ["text/plain;version=x", "application/openmetrics-text;version=1.x", ";;,,", "\u00e9"]
)
def test_odd_accept(run: Run, short_dir: Path, accept: str) -> None:
    """A wish that cannot be understood gets the text format."""
    found = answer(run, short_dir, "GET /metrics", accept=accept)

    assert (found.status, found.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")


def test_livez(run: Run, short_dir: Path) -> None:
    """The daemon is alive as long as it answers, ready or not."""
    assert answer(run, short_dir, "GET /livez", "store down")[::2] == (200, b"ok\n")


def test_ready(run: Run, short_dir: Path) -> None:
    """A ready daemon says so."""
    assert answer(run, short_dir, "GET /readyz")[::2] == (200, b"ready\n")


def test_not_ready(run: Run, short_dir: Path) -> None:
    """A daemon that is not ready says why."""
    assert answer(run, short_dir, "GET /readyz", "store down")[::2] == (503, b"not ready: store down\n")


@pytest.mark.parametrize(("head", "status"), [("GET /", 404), ("POST /metrics", 405), ("HEAD /livez", 200)])
def test_other_requests(run: Run, short_dir: Path, head: str, status: int) -> None:
    """Nothing else is served, and no answer names the software behind it."""
    found = answer(run, short_dir, head)

    assert (found.status, found.headers["Server"]) == (status, "policyd")


def test_idle_connections_end_with_the_server(run: Run, short_dir: Path) -> None:
    """Stopping does not wait for clients that keep their connection."""

    async def scenario() -> None:
        async with http_serving(metrics_app(registry(), lambda: (True, "")), short_dir / "metrics"):
            reader, writer = await asyncio.open_unix_connection(short_dir / "metrics")
            writer.write(b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n")
            await reader.readuntil(b"ok\n")
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        await writer.wait_closed()

    run(scenario())
