"""The dashboards that are shipped: built from their source, complete, and with an answer to every query."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.grafana.dashboards import write
from tests.prometheus.day import Day, day
from tests.prometheus.panels import BOARDS, GRAFANA, Panel, panels

PANELS = [panel for board in BOARDS for panel in panels(board)]
COUNTED = (
    "sum(rate(policyd_decision_seconds_count[1m])) > 0",
    "sum(rate(policyd_store_seconds_count[1m])) > 0",
    'sum(rate(policyd_refusals_total{traffic="login"}[1m])) > 0',
    "sum(rate(policyd_observed_refusals_total[1m])) > 0",
    "policyd_trap_hits_total > 1",
    "count(policyd_account_usage_ratio) > 3",
    "count(policyd_dns_domains) > 2",
)
"""What is there when Prometheus has seen the traffic, with two samples of each series."""


@pytest.fixture(scope="module")
def seen() -> Iterator[Day]:
    """Return a daemon that has served a mix, and the Prometheus that has seen it."""
    with day() as made:
        for _ in range(30):
            made.mix()
        made.prometheus.wait("policyd_observed_refusals_total")
        for _ in range(30):
            made.mix()
        for expression in COUNTED:
            made.prometheus.wait(expression)
        yield made


def test_what_is_committed_is_what_is_built(tmp_path: Path) -> None:
    """``make dashboards`` changes nothing."""
    write(tmp_path)
    built = {file.name: file.read_text("utf-8") for file in tmp_path.iterdir()}

    assert built == {file.name: file.read_text("utf-8") for file in GRAFANA.glob("*.json")}


def test_there_are_two_dashboards_that_lead_to_each_other() -> None:
    """Each has one link, to the other, that keeps the time and the chosen instances."""
    links = {board["uid"]: board["links"][0] for board in BOARDS.values()}

    assert {uid: link["url"] for uid, link in links.items()} == {
        "policyd-mail-policy": "/d/policyd-internals",
        "policyd-internals": "/d/policyd-mail-policy",
    }
    assert all(link["keepTime"] and link["includeVars"] for link in links.values())


@pytest.mark.parametrize("board", BOARDS)
def test_a_dashboard_asks_which_prometheus_and_which_instances(board: str) -> None:
    """Data source and instances are variables."""
    names = [variable["name"] for variable in BOARDS[board]["templating"]["list"]]

    assert names == ["datasource", "instance"]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: f"{panel.board}, {panel.title}")
def test_a_panel_says_what_it_shows(panel: Panel) -> None:
    """Each panel has a description, a unit, a place within the width, and the chosen source and instances only."""
    place, asked = panel.made["gridPos"], [target["expr"] for target in panel.made["targets"]]

    assert panel.made["description"].endswith(".")
    assert panel.unit
    assert place["x"] + place["w"] <= 24
    assert panel.made["datasource"]["uid"] == "${datasource}"
    assert all(expr.count('instance=~"$instance"') == expr.count("policyd_") for expr in asked)


@pytest.mark.e2e
@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: f"{panel.board}, {panel.title}")
def test_every_query_has_an_answer(seen: Day, panel: Panel) -> None:
    """A Prometheus that has seen all kinds of traffic answers with numbers."""
    for expression, _ in panel.queries:
        values = seen.prometheus.query(expression).values()

        assert values, expression
        assert not any(map(math.isnan, values)), expression
