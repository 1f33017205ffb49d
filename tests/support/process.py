"""The installed daemon as a test sees it from outside: signals, answers, metrics, log."""

import grp
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.support import logfmt
from tests.support.asker import Asker
from tests.support.command import PROGRAM
from tests.support.daemon import DaemonProcess, Yaml, settings
from tests.support.wait import until

NOWHERE = Path("nowhere")


def configuration(store_url: str, domains: list[str], limits: Yaml, **sections: Yaml | str) -> Yaml:
    """Return a configuration for a Process or a LocalDaemon; ``sections`` are laid over it."""
    made = settings(NOWHERE, store_url, domains, limits)
    made["listen"]["postfix_group"] = grp.getgrgid(os.getegid()).gr_name
    for name, section in sections.items():
        if isinstance(section, dict):
            made.setdefault(name, {}).update(section)
        else:
            made[name] = section
    return made


class _UnixHttp(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self._path))


def fetch(path: Path, what: str) -> tuple[int, str]:
    """Return status and body of a page on a unix socket."""
    connection = _UnixHttp(path)
    try:
        connection.request("GET", what)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def sample(text: str, name: str, **labels: str) -> float:
    """Return a sample of a page of metrics, 0 when it is not there."""
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name == name and one.labels == labels:
                return float(one.value)
    return 0.0


class Process(DaemonProcess):
    """``policyd serve`` with its sockets in its own directory."""

    def __init__(self, made: Yaml) -> None:
        super().__init__(made)
        self.policy, self.pages = self.base / "policy", self.base / "metrics"
        listen = self.configuration["listen"]
        if listen["postfix"] == [f"unix:{NOWHERE}"]:
            listen["postfix"] = [f"unix:{self.policy}"]
        listen.setdefault("metrics", f"unix:{self.pages}")

    def start(self) -> None:
        """Write the configuration, start, and return when policyd answers."""
        self.write()
        self.launch()
        self.wait_ready()

    def launch(self, *passed: socket.socket, around: Sequence[str] = (), options: Sequence[str] = ()) -> None:
        """Start it with what is written and ``options``, and wait for nothing.

        ``passed`` are sockets that it is given as systemd does. ``around`` is a command that runs it.
        """
        command = [*around, PROGRAM, "serve", "--config", str(self.path), *options]
        numbers = [sock.fileno() for sock in passed]
        if passed:
            moves = " ".join(f"{3 + place}<&{number}" for place, number in enumerate(numbers))
            shell = f'exec {moves}; LISTEN_PID=$$ LISTEN_FDS={len(passed)} exec "$@"'
            command = ["bash", "-c", shell, "bash", *command]
        with (self.base / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, pass_fds=numbers
            )

    def wait_ready(self) -> None:
        """Wait until it answers."""
        until(self._answers, "policyd answers on its admin socket")

    @property
    def pid(self) -> int:
        """The process id of the daemon."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def asker(self) -> Asker:
        """Return a new connection."""
        return Asker(self.policy)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def ended(self, within: float = 20.0) -> int:
        """Wait for its end and return its exit status."""
        assert self._process is not None
        return self._process.wait(within)

    def page(self, what: str) -> tuple[int, str]:
        """Return status and body of /metrics, /livez or /readyz."""
        return fetch(self.pages, what)

    def metric(self, name: str, **labels: str) -> float:
        """Return a sample of /metrics, 0 when it is not there."""
        return sample(self.page("/metrics")[1], name, **labels)

    def reloads(self, result: str) -> int:
        """Return how many reloads ended "ok" or "failed"."""
        return int(self.metric("policyd_config_reloads_total", result=result))

    def hang_up(self, result: str) -> None:
        """Write ``configuration``, send SIGHUP and wait until one more reload has ended so."""
        before = self.reloads(result)
        self.write()
        self.signal(signal.SIGHUP)
        until(lambda: self.reloads(result) > before, f"a reload is {result}")

    def lines(self, **fields: str) -> list[dict[str, str]]:
        """Return the lines of the log that have these fields."""
        found = [logfmt.parse(line) for line in self.log.splitlines()]
        return [line for line in found if fields.items() <= line.items()]

    def said(self, text: str) -> bool:
        """Whether an operational line has this text in its message."""
        return any(text in line.get("msg", "") for line in self.lines())
