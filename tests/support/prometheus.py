"""A real Prometheus that scrapes one target."""

import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from tests.support.ports import free_port
from tests.support.programs import require
from tests.support.wait import until

_CONFIGURATION = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: policyd
    static_configs: [{{targets: ["{target}"]}}]
"""
_TOKEN = """\
    authorization: {{credentials: {token}}}
"""


class Prometheus:
    """Scrapes ``target`` (host:port) each second, and shows it the ``token`` if there is one."""

    def __init__(self, target: str, token: str = "") -> None:
        self._target, self._token = target, token
        self._directory = tempfile.TemporaryDirectory(prefix="pd", dir="/tmp")
        self._address = f"127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it is ready to be asked."""
        base = Path(self._directory.name)
        shows = _TOKEN.format(token=self._token) if self._token else ""
        (base / "prometheus.yml").write_text(_CONFIGURATION.format(target=self._target) + shows)
        files = [f"--config.file={base}/prometheus.yml", f"--storage.tsdb.path={base}/data"]
        command = [require("prometheus"), *files, f"--web.listen-address={self._address}", "--log.level=warn"]
        with (base / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until(lambda: self._get("/-/ready") is not None, "Prometheus is ready")

    def stop(self) -> None:
        """End it and remove its data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
        self._directory.cleanup()

    def query(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return what an expression has now: a value for each set of labels, as sorted pairs."""
        raw = self._get("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        assert raw is not None, "Prometheus does not answer"
        answer = json.loads(raw)
        return {tuple(sorted(row["metric"].items())): float(row["value"][1]) for row in answer["data"]["result"]}

    def course(self, expression: str, seconds: int) -> dict[tuple[tuple[str, str], ...], list[tuple[float, float]]]:
        """Return what an expression had in the last seconds: time and value of each second."""
        now = time.time()
        asked = {"query": expression, "start": now - seconds, "end": now, "step": 1}
        raw = self._get("/api/v1/query_range?" + urllib.parse.urlencode(asked))
        assert raw is not None, "Prometheus does not answer"
        rows = json.loads(raw)["data"]["result"]
        return {tuple(row["metric"].items()): [(at, float(value)) for at, value in row["values"]] for row in rows}

    def wait(self, expression: str) -> float:
        """Return the value of an expression as soon as there is one (``sum(x) > 3`` has one when it is true)."""
        found = until(lambda: self.query(expression), f"Prometheus has {expression}")
        return next(iter(found.values()))

    def _get(self, path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(f"http://{self._address}{path}", timeout=10) as answer:
                return bytes(answer.read())
        except (urllib.error.URLError, ConnectionError):
            return None
