"""The alert rules that are shipped, judged by Prometheus' own tool."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import require
from tests.test_readme import metrics

RULES = Path(__file__).parents[2] / "config" / "prometheus" / "policyd.rules.yml"
SERIES = 'policyd_mailboxes_refused_to_one_client{instance="mx",job="policyd"}'


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    return subprocess.run([require("promtool"), *words], capture_output=True, text=True, check=False, timeout=60)


def fires(directory: Path, values: str, at: str) -> bool:
    """Return whether the alert fires at a moment when its series had these values, one a minute."""
    alert: dict[str, Any] = {"eval_time": at, "alertname": "PolicydManyMailboxesLockedForOneClient", "exp_alerts": []}
    test = {"interval": "1m", "input_series": [{"series": SERIES, "values": values}], "alert_rule_test": [alert]}
    file = directory / "test.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    done = promtool("test", "rules", str(file))
    said = done.stdout + done.stderr
    assert "SUCCESS" in said or "got:[" in said.replace(" ", ""), said
    return done.returncode != 0


def test_the_rules_are_clean() -> None:
    """Prometheus reads them without a complaint."""
    done = promtool("check", "rules", str(RULES))

    assert done.returncode == 0, done.stderr


def test_the_rules_use_metrics_that_there_are() -> None:
    """No alert waits for a series that nobody sends."""
    assert SERIES.partition("{")[0] in metrics()


@pytest.mark.parametrize(
    ("values", "at", "expected"),
    [
        ("10x10", "10m", True),
        ("0x2 12x10", "9m", True),
        ("9x30", "30m", False),
        ("12x3 0x10", "10m", False),
        ("0x2 12x10", "5m", False),
    ],
    ids=["ten mailboxes for five minutes", "as soon as it lasted", "nine", "over again", "not yet"],
)
def test_many_mailboxes_locked_for_one_client(tmp_path: Path, values: str, at: str, expected: bool) -> None:
    """The alert fires when one client found ten mailboxes refused for five minutes, and not before."""
    assert fires(tmp_path, values, at) is expected
