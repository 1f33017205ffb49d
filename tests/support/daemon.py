"""policyd for tests: in the test's own process with a manual clock, or as the installed command."""

import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol, cast

import yaml

from policyd.app import App, build
from policyd.cli.client import AdminClient
from policyd.conf.load import load
from policyd.errors import DaemonError
from tests.support.clock import ManualClock
from tests.support.loop import LoopThread
from tests.support.wait import until

HOUR = 3_600_000
Yaml = dict[str, Any]

_SETTINGS: Yaml = {
    "version": 1,
    "listen": {"policy_timeout": "45s"},
    # Nothing is lost in these tests unless a test takes it away, so a slow machine must not show.
    "store": {"timeout": "5s"},
    "accounts": {
        "local_clients": ["127.0.0.1/32"],
        "local_names": [],
        "settle": "end-of-message",
        "default_plan": "shared",
        "domains": {},
    },
    "limits": {},
    "plans": {"shared": {"apply": []}},
}


def settings(policy: Path, store_url: str, domains: list[str], limits: Yaml) -> Yaml:
    """Return a configuration to be changed and written: the domains have the plan shared, with all limits.

    Limits of relayed traffic and of failed logins need no plan, and are in none.
    """
    made = deepcopy(_SETTINGS)
    made["listen"]["postfix"] = [f"unix:{policy}"]
    made["store"]["url"] = store_url
    made["accounts"]["domains"] = dict.fromkeys(domains, "shared")
    made["limits"] = limits
    made["plans"]["shared"]["apply"] = [name for name in limits if not _needs_no_plan(limits[name])]
    return made


def _needs_no_plan(limit: Yaml) -> bool:
    return limit.get("traffic") == ["relayed"] or limit.get("counts") == "failed-logins"


def rate(most: int | str, **fields: object) -> Yaml:
    """Return a rate limit of ``most`` an hour, with the actions that the shipped limits have."""
    over = {"user": "reject", "script": "defer", "list": "defer"}
    traffic = fields.get("traffic", list(over))
    assert isinstance(traffic, list)
    looked_at = {kind: action for kind, action in over.items() if kind in traffic}
    return {"kind": "rate", "max": most, "window": "1h", "over": looked_at, **fields}


class Daemon(ABC):
    """A policyd with a directory of its own for its configuration and its admin socket."""

    def __init__(self, configuration: Yaml) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="pd", dir="/tmp")
        self.base = Path(self._directory.name)
        self.path = self.base / "policyd.yaml"
        self.admin = self.base / "admin"
        self.configuration = deepcopy(configuration)
        self.configuration["listen"].setdefault("admin", f"unix:{self.admin}")
        self.configuration["store"].setdefault("directory", str(self.base / "state"))
        (self.base / "state").mkdir()

    def write(self) -> None:
        """Write ``configuration`` to its file."""
        self.path.write_text(yaml.safe_dump(self.configuration, sort_keys=False))

    def ask(self, route: str, **query: str | int) -> Any:
        """Return what the admin socket answers."""
        return AdminClient(str(self.admin)).get(route, **query)

    def used(self, subject: str, limit: str) -> int:
        """Return how much of a limit a domain, a login or (unlisted) has used, 0 when it has none."""
        gauges = self.ask("/v1/status", subject=subject)["gauges"]
        found = [cast("int", gauge["used"]) for gauge in gauges if gauge["limit"] == limit]
        assert found, f"{limit} is no limit of {subject}: {gauges}"
        return found[0]

    def wait_used(self, subject: str, limit: str, expected: int) -> None:
        """Wait until exactly that much is used."""
        until(lambda: self.used(subject, limit) == expected, f"{subject} has used {expected} of {limit}")

    @abstractmethod
    def start(self) -> None:
        """Write the configuration, start, and return when policyd answers."""

    @abstractmethod
    def stop(self) -> None:
        """End it as its administrator would."""

    def remove(self) -> None:
        """Stop it and remove its directory."""
        self.stop()
        self._directory.cleanup()


class LocalDaemon(Daemon):
    """policyd in a thread of the test's process. Time stands still unless the test moves it."""

    def __init__(self, configuration: Yaml, clock: ManualClock | None = None) -> None:
        super().__init__(configuration)
        self.clock = clock or ManualClock()
        self._thread: LoopThread | None = None
        self._app: App | None = None

    def start(self) -> None:
        """Write the configuration, start, and return when policyd answers."""
        self.write()
        config = load(self.path, str(self.base / "state"))
        self._thread = LoopThread("policyd")
        self._app = build(config, clock=self.clock, path=self.path, state_directory=str(self.base / "state"))
        self._thread.run(self._app.start())

    def stop(self) -> None:
        """End it as SIGTERM does."""
        if self._thread is None or self._app is None:
            return
        thread, app = self._thread, self._app
        self._thread = self._app = None
        try:
            thread.run(app.stop())
        finally:
            thread.close()

    def restart(self) -> None:
        """Stop it and start another on the same configuration and the same clock."""
        self.stop()
        self.start()

    def advance(self, by: int) -> None:
        """Move the clock by ``by`` ms and run what falls due."""

        async def move() -> None:
            self.clock.advance(by)

        assert self._thread is not None
        self._thread.run(move())

    def metric(self, name: str, **labels: str) -> float:
        """Return a sample of /metrics, 0 while there is none."""
        assert self._app is not None
        return self._app.registry.get_sample_value(name, labels) or 0.0

    def has_metric(self, name: str, **labels: str) -> bool:
        """Return whether /metrics has a sample."""
        assert self._app is not None
        return self._app.registry.get_sample_value(name, labels) is not None

    def connections(self) -> int:
        """Return how many connections Postfix has open."""
        return int(self.metric("policyd_connections", service="postfix"))


class DaemonProcess(Daemon):
    """The installed command ``policyd serve``, with the clock of the machine."""

    def __init__(self, configuration: Yaml) -> None:
        super().__init__(configuration)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Write the configuration, start, and return when policyd answers."""
        self.write()
        command = [str(Path(sys.executable).parent / "policyd"), "serve", "--config", str(self.path)]
        with (self.base / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until(self._answers, "policyd answers on its admin socket")

    def stop(self) -> None:
        """End it by SIGTERM."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it by SIGKILL: nothing is answered or written any more."""
        self._end(signal.SIGKILL)

    @property
    def log(self) -> str:
        """What it has written to stderr: whole lines, as it may be in the middle of one."""
        text = (self.base / "log").read_text()
        return text[: text.rfind("\n") + 1]

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(30)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            return bool(self.ask("/v1/daemon"))
        except DaemonError:
            return False


class Serve(Protocol):
    """The fixture ``serve``: starts a daemon behind the test's Postfix."""

    def __call__(self, domains: list[str], limits: Yaml, **sections: Yaml) -> LocalDaemon:
        """Start it for hosted domains with the plan shared of all ``limits``; ``sections`` change the rest."""
