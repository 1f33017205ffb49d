"""Map files that other programs write are read again; what an admin edits waits for his word."""

import asyncio
import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from policyd.conf.load import load
from policyd.metrics import Metrics
from policyd.reload import ConfigInForce
from policyd.server.systemd import Notifier
from policyd.watch import FileWatch

CONFIG = """
version: 1
listen: {postfix: ["unix:policy"]}
store: {directory: state}
accounts: {hosted: ["file:domains.map"], local_names: [], default_plan: shared}
limits: {hourly: {kind: rate, max: 4, window: 1h}}
plans: {shared: {apply: [hourly]}}
"""
LONG_AGO = 1_600_000_000


class Watched:
    """A configuration with one map file, in force and watched."""

    def __init__(self, folder: Path) -> None:
        self.config, self.map = folder / "policyd.yaml", folder / "domains.map"
        self.write(self.config, CONFIG)
        self.write(self.map, "example.org\n")
        loaded = load(self.config)
        metrics = Metrics(CollectorRegistry(), "1")
        self.in_force = ConfigInForce(loaded, self.config, str(folder / "state"), metrics, Notifier(""))
        self.watch = FileWatch(self.in_force)

    def write(self, file: Path, text: str, at: int = LONG_AGO) -> None:
        """Write a file as if it had been written then."""
        file.write_text(text)
        os.utime(file, (at, at))

    def domains(self) -> set[str]:
        """Return who is hosted after the watch has looked twice."""

        async def look() -> None:
            await self.watch.look()
            await self.watch.look()

        asyncio.run(look())
        return set(self.in_force.now.accounts.plans)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """Return a watched configuration that hosts example.org."""
    return Watched(tmp_path)


def test_a_map_file_that_changes_is_read_again(watched: Watched) -> None:
    """A panel that adds a domain needs no SIGHUP, whatever the time stamp of its file is."""
    watched.domains()
    watched.write(watched.map, "example.org\nexample.net\n", LONG_AGO - 60)

    assert watched.domains() == {"example.org", "example.net"}


def test_a_map_file_that_changed_while_it_was_read_is_read_again(watched: Watched) -> None:
    """Nothing is missed between the first reading and the first look."""
    watched.write(watched.map, "example.net\n", watched.in_force.now.read_at // 1000 + 1)

    assert watched.domains() == {"example.net"}


def test_what_an_admin_edits_waits_for_a_reload(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """When policyd.yaml has changed too, nothing is read, and the log says so once."""
    watched.domains()
    watched.write(watched.config, CONFIG.replace("max: 4", "max: 5"), LONG_AGO + 60)
    watched.write(watched.map, "example.net\n", LONG_AGO + 60)

    assert watched.domains() == {"example.org"}
    assert [record.getMessage() for record in caplog.records] == [
        f"map files changed, and so did {watched.config}: reload policyd to take both"
    ]


def test_an_edited_configuration_alone_changes_nothing(watched: Watched) -> None:
    """policyd.yaml is read at SIGHUP only."""
    watched.domains()
    before = watched.in_force.now
    watched.write(watched.config, CONFIG.replace("max: 4", "max: 5"), LONG_AGO + 60)
    watched.domains()

    assert watched.in_force.now is before


def test_a_bad_map_file_changes_nothing_and_is_tried_again_when_it_changes(watched: Watched) -> None:
    """The domains stay until the file is good."""
    watched.domains()
    watched.write(watched.map, "example.org nonsuch-plan\n", LONG_AGO + 60)
    kept = watched.domains()
    watched.write(watched.map, "example.net\n", LONG_AGO + 120)

    assert kept == {"example.org"}
    assert watched.domains() == {"example.net"}
