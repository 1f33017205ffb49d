"""The README names everything that an admin can meet: it cannot drift from the product."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import typer.main
from prometheus_client import CollectorRegistry

from policyd.cli.main import app
from policyd.conf.jsonschema import json_schema
from policyd.dns.metrics import DnsMetrics
from policyd.mailman.metrics import RosterMetrics
from policyd.metrics import Metrics
from policyd.notices.metrics import NoticeMetrics
from policyd.store.metrics import SentinelMetrics

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def metrics() -> list[str]:
    """Return the names of all metrics as a scrape shows them."""
    registry = CollectorRegistry()
    families = [*Metrics(registry, "1").collect(), *DnsMetrics(registry).collect()]
    rosters = RosterMetrics(registry)
    rosters.read(0, 0, 0)
    families += [*NoticeMetrics(registry).collect(), *rosters.collect()]
    families += SentinelMetrics(registry, lambda: 3).collect()
    return [family.name + ("_total" if family.type == "counter" else "") for family in families]


def commands(group: Any, path: str = "policyd") -> Iterator[str]:
    """Yield all commands with their groups."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


def keys(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield all keys of the configuration, as ``limits.NAME.max``; those of a change are those of a limit."""
    for name, inner in schema.get("properties", {}).items():
        here = (*path, name)
        if inner.get("properties") or isinstance(inner.get("additionalProperties"), dict):
            yield from keys(inner, here)
        else:
            yield ".".join(here)
    more = schema.get("additionalProperties")
    if isinstance(more, dict) and path[-1] != "change":
        yield from keys(more, (*path, "DOMAIN" if path[-1] == "domains" else "NAME"))
    for other in (*schema.get("oneOf", []), *schema.get("anyOf", [])):
        yield from keys(other, path)


KEYS = sorted(key for key in set(keys(json_schema())) if ".over." not in key)


@pytest.mark.parametrize("name", metrics())
def test_the_readme_names_every_metric(name: str) -> None:
    """Each metric has a line."""
    assert f"`{name}" in README


@pytest.mark.parametrize("name", sorted(commands(cast("Any", typer.main.get_command(app)))))
def test_the_readme_names_every_command(name: str) -> None:
    """Each command has a line."""
    assert f"| `{name}" in README


@pytest.mark.parametrize("name", KEYS)
def test_the_readme_names_every_key(name: str) -> None:
    """Each key of the configuration has a line."""
    assert f"| `{name}` |" in README


def test_the_schema_is_looked_through() -> None:
    """The walk finds keys on every level."""
    assert {"version", "store.url", "limits.NAME.max", "accounts.domains.DOMAIN.plan"} <= set(KEYS)
