"""The panels of the dashboards that are shipped, as Grafana would ask about them."""

import json
from pathlib import Path
from typing import Any, NamedTuple

GRAFANA = Path(__file__).parents[2] / "config" / "grafana"
BOARDS: dict[str, dict[str, Any]] = {
    file.stem: json.loads(file.read_text("utf-8")) for file in sorted(GRAFANA.glob("*.json"))
}


class Panel(NamedTuple):
    """A panel of a dashboard, and its queries with the variables filled in: what to ask and the legend."""

    board: str
    title: str
    kind: str
    unit: str
    made: dict[str, Any]
    queries: list[tuple[str, str]]


def panels(board: str) -> list[Panel]:
    """Return all panels of a dashboard, rows left out."""
    return [_panel(board, made) for made in BOARDS[board]["panels"] if made["type"] != "row"]


def _panel(board: str, made: dict[str, Any]) -> Panel:
    queries = [(_filled(target["expr"]), target.get("legendFormat", "")) for target in made["targets"]]
    unit = made["fieldConfig"]["defaults"].get("unit", "")
    return Panel(board, made["title"], made["type"], unit, made, queries)


def _filled(expr: str) -> str:
    return expr.replace("$instance", ".*").replace("$__rate_interval", "1m")
