"""The alert rules that are shipped, judged by Prometheus' own tool: when each fires, and when it does not."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.support.programs import require
from tests.support.readme import blocks
from tests.test_readme import README, metrics

RULES = Path(__file__).parents[2] / "config" / "prometheus" / "policyd.rules.yml"
ALERTS: dict[str, str] = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    for rule in group["rules"]
}
PART_OF_A_METRIC = re.compile(r"_(?:bucket|count|sum)$")

Series = dict[str, str]


class Case(NamedTuple):
    """Series with one value a minute, as promtool writes them, and whether an alert fires at a moment of theirs."""

    alert: str
    what: str
    series: Series
    at: str
    fires: bool


def sent(name: str, values: str, **labels: str) -> Series:
    """Return one series of the daemon mx, or of the ``instance`` among the labels."""
    pairs = [f'{label}="{value}"' for label, value in {"job": "policyd", "instance": "mx", **labels}.items()]
    return {f"{name}{{{','.join(pairs)}}}": values}


def answered(within_100ms: str, in_all: str) -> Series:
    """Return the histogram of answers: how many took less than 0.1 s, and how many there were."""
    name = "policyd_decision_seconds_bucket"
    return {**sent(name, within_100ms, le="0.1"), **sent(name, in_all, le="0.25"), **sent(name, in_all, le="+Inf")}


def refused(values: str, limit: str = "domain-hourly") -> Series:
    """Return the refusals of a limit."""
    return sent("policyd_refusals_total", values, limit=limit, plan="shared", traffic="user")


def started(values: str) -> Series:
    """Return the answers of a daemon, which begin at 0 with each start."""
    return sent("policyd_requests_total", values, service="postfix", traffic="user", action="accept")


def delayed(values: str) -> Series:
    """Return the answers that wait, where 100 may."""
    return {**sent("policyd_delayed_answers", values), **sent("policyd_delayed_answers_max", "100x30")}


UP, DOWN, DYING = "up", "PolicydMissing", "PolicydKeepsRestarting"
WITHOUT = "policyd_answers_without_store_total"
RATIO, NEAR = "policyd_account_usage_ratio", "PolicydAccountNearItsLimit"
SUSPENDED = "policyd_suspended_accounts"
REFUSED_TO_ONE, MANY = "policyd_mailboxes_refused_to_one_client", "PolicydManyMailboxesLockedForOneClient"
CROWD, CLOSED = "PolicydTooManyConnections", "policyd_connections_too_many_total"
UNTOLD, FAILED = "PolicydNoticesFailed", "policyd_notices_failed_total"
DAY = 26 * 60

CASES = [
    Case(DOWN, "a daemon that does not answer", sent(UP, "1x3 0x10"), "7m", True),
    Case(DOWN, "no daemon at all", sent("up", "1x30", job="node"), "10m", True),
    Case(DOWN, "a restart", sent(UP, "1x3 0 1x10"), "5m", False),
    Case(DOWN, "all there", sent(UP, "1x30"), "20m", False),
    Case(DYING, "started three times", started("0+9x3 0+9x3 0+9x3 0+9x9"), "14m", True),
    Case(DYING, "started twice", started("0+9x3 0+9x3 0+9x9"), "14m", False),
    Case(DYING, "an hour ago", started("0+9x3 0+9x3 0+9x3 0+9x60"), "40m", False),
    Case("PolicydSlow", "one in fifty over 0.1 s", answered("0+98x30", "0+100x30"), "20m", True),
    Case("PolicydSlow", "one in two hundred", answered("0+199x30", "0+200x30"), "20m", False),
    Case("PolicydSlow", "for five minutes only", answered("0+98x5 590+100x30", "0+100x35"), "12m", False),
    Case("PolicydReloadFailed", "it stands", sent("policyd_config_reload_failed", "0x3 1x10"), "6m", True),
    Case("PolicydReloadFailed", "mended", sent("policyd_config_reload_failed", "0x3 1x3 0x9"), "9m", False),
    Case("PolicydBadInclude", "for ten minutes", sent("policyd_config_stale_files", "0x2 1x20"), "12m", True),
    Case("PolicydBadInclude", "none", sent("policyd_config_stale_files", "0x20"), "12m", False),
    Case("PolicydBadInclude", "while somebody edits", sent("policyd_config_stale_files", "0 1x2 0x9"), "4m", False),
    Case(CROWD, "again and again", sent(CLOSED, "0x3 0+20x30", service="postfix"), "15m", True),
    Case(CROWD, "a burst", sent(CLOSED, "0x3 40x30", service="postfix"), "8m", False),
    Case(CROWD, "never", sent(CLOSED, "0x30", service="metrics"), "20m", False),
    Case("PolicydStoreDown", "for two minutes", sent("policyd_store_up", "1x3 0x9"), "6m", True),
    Case("PolicydStoreDown", "a moment", sent("policyd_store_up", "1x3 0 1x9"), "4m", False),
    Case("PolicydSentinelsAway", "for two minutes", sent("policyd_sentinels_up", "3x3 0x9"), "6m", True),
    Case("PolicydSentinelsAway", "a moment", sent("policyd_sentinels_up", "3x3 0 3x9"), "4m", False),
    Case("PolicydSentinelsAway", "one of them", sent("policyd_sentinels_up", "3x3 1x30"), "20m", False),
    Case("PolicydAnswersWithoutStore", "again and again", sent(WITHOUT, "0+1x30", action="accept"), "15m", True),
    Case("PolicydAnswersWithoutStore", "one", sent(WITHOUT, "0x3 1x30", action="accept"), "15m", False),
    Case("PolicydEndOfMessageLost", "one kind", sent("policyd_settle_lost_total", "0x9 1x30"), "15m", True),
    Case("PolicydEndOfMessageLost", "long ago", sent("policyd_settle_lost_total", "0 1x90"), "80m", False),
    Case("PolicydDelaysNearTheirBound", "80 of 100", delayed("0x3 80x20"), "10m", True),
    Case("PolicydDelaysNearTheirBound", "79 of 100", delayed("0x3 79x20"), "10m", False),
    Case("PolicydDelaysNearTheirBound", "a burst", delayed("0x3 99x3 0x20"), "8m", False),
    Case(NEAR, "90 % for ten minutes", sent(RATIO, "0.9x20", account="a.test", limit="l"), "11m", True),
    Case(NEAR, "89 %", sent(RATIO, "0.89x20", account="a.test", limit="l"), "15m", False),
    Case(NEAR, "nine minutes", sent(RATIO, "0.5 0.95x9 0.5x9", account="a.test", limit="l"), "10m", False),
    Case("PolicydRefusalsJumped", "a quiet day, then a burst", refused(f"0+0.1x{DAY} 160+20x30"), f"{DAY + 16}m", True),
    Case("PolicydRefusalsJumped", "a first day", refused("0x20 0+20x30"), "40m", True),
    Case("PolicydRefusalsJumped", "a day like any other", refused(f"0+20x{DAY + 30}"), f"{DAY + 16}m", False),
    Case("PolicydRefusalsJumped", "few", refused(f"0x{DAY} 0+5x30"), f"{DAY + 16}m", False),
    Case("PolicydRefusalsJumped", "who is suspended", refused("0x20 0+20x30", "(suspension)"), "40m", False),
    Case("PolicydSuspension", "one more", sent(SUSPENDED, "3x20 4x20"), "25m", True),
    Case("PolicydSuspension", "long ago", sent(SUSPENDED, "3x20 4x40"), "40m", False),
    Case("PolicydSuspension", "one less", sent(SUSPENDED, "3x20 2x20"), "25m", False),
    Case("PolicydTrapHit", "one", sent("policyd_trap_hits_total", "0x9 1x30"), "12m", True),
    Case("PolicydTrapHit", "long ago", sent("policyd_trap_hits_total", "0 1x60"), "30m", False),
    Case("PolicydAddressOnBlocklist", "listed", sent("policyd_dnsbl_listed", "0x3 1x60", list="bl.test"), "40m", True),
    Case("PolicydAddressOnBlocklist", "clean", sent("policyd_dnsbl_listed", "0x60", list="bl.test"), "40m", False),
    Case("PolicydRosterStale", "down", sent("policyd_roster_up", "1x3 0x90"), "80m", True),
    Case("PolicydRosterStale", "restarted", sent("policyd_roster_up", "1x3 0x20 1x90"), "80m", False),
    Case(UNTOLD, "one given up", sent(FAILED, "0x9 1x30", way="mail"), "12m", True),
    Case(UNTOLD, "long ago", sent(FAILED, "0 1x90", way="mail"), "80m", False),
    Case(UNTOLD, "all taken", sent(FAILED, "0x30", way="webhook"), "20m", False),
    Case(MANY, "ten mailboxes for five minutes", sent(REFUSED_TO_ONE, "10x10"), "10m", True),
    Case(MANY, "as soon as it lasted", sent(REFUSED_TO_ONE, "0x2 12x10"), "9m", True),
    Case(MANY, "nine", sent(REFUSED_TO_ONE, "9x30"), "30m", False),
    Case(MANY, "over again", sent(REFUSED_TO_ONE, "12x3 0x10"), "10m", False),
    Case(MANY, "not yet", sent(REFUSED_TO_ONE, "0x2 12x10"), "5m", False),
]


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    return subprocess.run([require("promtool"), *words], capture_output=True, text=True, check=False, timeout=60)


def fires(directory: Path, case: Case) -> bool:
    """Return whether the alert of a case fires, and its text can be written."""
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    alert: dict[str, Any] = {"eval_time": case.at, "alertname": case.alert, "exp_alerts": []}
    test = {"interval": "1m", "input_series": series, "alert_rule_test": [alert]}
    file = directory / "test.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    done = promtool("test", "rules", str(file))
    said = done.stdout + done.stderr
    assert "SUCCESS" in said or "got:[" in said.replace(" ", ""), said
    assert "error executing template" not in said.lower(), said
    return done.returncode != 0


def test_the_rules_are_clean() -> None:
    """Prometheus reads them without a complaint."""
    done = promtool("check", "rules", str(RULES))

    assert done.returncode == 0, done.stderr


def test_prometheus_is_set_up_as_the_readme_says(tmp_path: Path) -> None:
    """The README's entries, with the rules beside them, are a configuration of Prometheus."""
    (tmp_path / RULES.name).write_text(RULES.read_text("utf-8"))
    (tmp_path / "prometheus.yml").write_text(blocks("yaml prometheus"))
    done = promtool("check", "config", str(tmp_path / "prometheus.yml"))

    assert done.returncode == 0, done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_uses_metrics_that_there_are(alert: str) -> None:
    """No alert waits for a series that nobody sends."""
    named = {PART_OF_A_METRIC.sub("", name) for name in re.findall(r"policyd_\w+", ALERTS[alert])}

    assert named <= set(metrics())
    assert named or "up{" in ALERTS[alert]


@pytest.mark.parametrize("alert", ALERTS)
def test_the_readme_says_what_to_do(alert: str) -> None:
    """Each alert has its line in the README."""
    assert f"`{alert}`" in README


def test_each_alert_is_seen_firing_and_not_firing() -> None:
    """The cases below leave no alert out."""
    seen = {(case.alert, case.fires) for case in CASES}

    assert seen == {(alert, fires) for alert in ALERTS for fires in (True, False)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}, {case.what}")
def test_an_alert_fires_when_it_should(tmp_path: Path, case: Case) -> None:
    """The alert fires when its state lasts, and neither before nor for anything less."""
    assert fires(tmp_path, case) is case.fires
