"""What Prometheus makes of a daemon that has served all kinds of mail."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest

from policyd import __version__
from tests.support.asker import Asker, new_instance
from tests.support.bearer import TOKEN, token_file
from tests.support.daemon import rate
from tests.support.process import Process, configuration
from tests.support.programs import require
from tests.support.prometheus import Prometheus
from tests.support.redis import RedisServer, running
from tests.support.wait import until

ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
SCRIPT = {"client_address": "127.0.0.1", "sasl_username": "", "sender": "www@b.test"}
RELAYED = {**SCRIPT, "sender": "x@elsewhere.test"}
INBOUND = {"client_address": "192.0.2.9", "sasl_username": "", "sender": "x@remote.test", "recipient": "alice@a.test"}

COUNTERS = [
    "policyd_requests_total", "policyd_refusals_total", "policyd_observed_refusals_total", "policyd_repeats_total",
    "policyd_given_back_total", "policyd_settle_unknown_total", "policyd_settle_lost_total",
    "policyd_store_errors_total", "policyd_answers_without_store_total", "policyd_protocol_errors_total",
    "policyd_config_reloads_total", "policyd_decision_seconds_count", "policyd_store_seconds_count",
]  # fmt: skip
GAUGES = [
    "policyd_store_up", "policyd_connections", "policyd_config_loaded_timestamp_seconds", "policyd_config_stale_files",
    "policyd_account_usage_ratio", "policyd_build_info",
]  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Iterator[Process]:
    """Run a daemon that has served a mix of mail, outages, repeats and nonsense."""
    limits = {
        "domain-hourly": rate(3),
        "watched": rate(1, mode="observe"),
        "unlisted-hourly": rate(2, traffic=["relayed"], over="defer"),
    }
    with running() as server, ExitStack() as stack:
        made = configuration(server.url, ["a.test", "b.test"], limits, store={"timeout": "100ms"})
        made["listen"]["metrics"] = "127.0.0.1:0"
        daemon = Process(made)
        daemon.configuration["listen"]["metrics_token_file"] = token_file(daemon.base)
        stack.callback(daemon.remove)
        daemon.start()
        mix(daemon, server)
        yield daemon


def mix(daemon: Process, server: RedisServer) -> None:
    """Ask what a day brings."""
    with daemon.asker() as asker:
        for kind in (ALICE, SCRIPT, RELAYED, INBOUND):
            message(asker, 5, kind)
        repeat = {**ALICE, "sasl_username": "c@c.test", "sender": "c@c.test", "instance": new_instance()}
        asker.ask(**repeat)
    with daemon.asker() as other, daemon.asker() as third:
        other.ask(**repeat)
        third.write(b"nonsense\n\n")
        assert third.is_closed()
        other.ask(**repeat, protocol_state="END-OF-MESSAGE", recipient="", recipient_count="1")
        other.ask(**ALICE, sasl_method="x", protocol_state="END-OF-MESSAGE", recipient_count="1")
        server.pause()
        other.ask(**ALICE)
        server.resume()


def message(asker: Asker, recipients: int, kind: dict[str, str]) -> None:
    """Send a message with an END-OF-MESSAGE, and give up another one."""
    for last in (True, False):
        sent = {"instance": new_instance()}
        answers = [asker.ask(**{"recipient": f"r{n}@remote.test", **kind, **sent}) for n in range(recipients)]
        if last:
            end = {"recipient": "", "recipient_count": str(answers.count("DUNNO"))}
            asker.ask(**{**kind, **sent, **end, "protocol_state": "END-OF-MESSAGE"})


def target(daemon: Process) -> str:
    """Return where the daemon's metrics are."""
    return str(daemon.ask("/v1/daemon")["listen"]["metrics"])


def page(daemon: Process, accept: str = "") -> tuple[str, str]:
    """Return type and text of /metrics over TCP."""
    connection = HTTPConnection(target(daemon), timeout=20)
    try:
        connection.request("GET", "/metrics", headers={"Accept": accept, "Authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        return response.headers["Content-Type"], response.read().decode()
    finally:
        connection.close()


def test_promtool(served: Process) -> None:
    """Nothing is found by promtool in the real output."""
    done = subprocess.run(
        [require("promtool"), "check", "metrics"], input=page(served)[1], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_names(served: Process) -> None:
    """All names that others build on are there, those of accounts within a second or so."""
    until(lambda: "policyd_account_usage_ratio{" in page(served)[1], "an account is named")
    names = {line.partition("{")[0].split()[0] for line in page(served)[1].splitlines() if not line.startswith("#")}

    assert {*COUNTERS, *GAUGES} <= names
    assert all(name.startswith("policyd_") for name in names)


def test_open_metrics(served: Process) -> None:
    """A scraper that prefers OpenMetrics gets it."""
    kind, text = page(served, "application/openmetrics-text; version=1.0.0")

    assert kind.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


@pytest.mark.e2e
def test_a_real_prometheus(served: Process) -> None:
    """A Prometheus that scrapes the daemon has its series, labels and figures."""
    prometheus = Prometheus(target(served), TOKEN)
    try:
        prometheus.start()
        assert prometheus.wait('up{job="policyd"} == 1') == 1
        assert prometheus.wait("policyd_store_up") in {0, 1}
        assert prometheus.wait(f'policyd_build_info{{version="{__version__}"}}') == 1
        refused = prometheus.query("sum by (limit, traffic) (policyd_refusals_total)")
        assert refused[("limit", "domain-hourly"), ("traffic", "user")] == 7
        assert refused[("limit", "unlisted-hourly"), ("traffic", "relayed")] == 8
        assert prometheus.wait('sum(policyd_requests_total{traffic="inbound",action="accept"})') == 11
        assert prometheus.wait("policyd_protocol_errors_total") == 1
        assert prometheus.wait("policyd_repeats_total") == 1
        assert prometheus.wait('policyd_answers_without_store_total{action="accept"}') == 1
        assert prometheus.wait("histogram_quantile(0.5, policyd_decision_seconds_bucket)") > 0
        assert prometheus.wait("count(topk(1, policyd_account_usage_ratio))") == 1
    finally:
        prometheus.stop()
