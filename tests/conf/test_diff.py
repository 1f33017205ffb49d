"""What the log says of a reload: limit by limit, plan by plan, domain by domain, old -> new."""

from pathlib import Path

import pytest

from policyd.conf.diff import changes
from tests.support.configs import loaded

LIMITS = "{hourly: {kind: rate, max: 400, window: 1h}, daily: {kind: rate, max: 4000, window: 1d}}"
PLANS = "{shared: {apply: [hourly]}, more: {extends: shared, change: {hourly: {max: 1500}}}}"


def compared(directory: Path, old: dict[str, str], new: dict[str, str]) -> list[str]:
    """Return the changes between two configurations that differ in some sections."""
    base = {"limits": LIMITS, "plans": PLANS}
    return changes(loaded(directory, **{**base, **old}), loaded(directory, **{**base, **new}))


def test_the_same_file_has_no_changes(tmp_path: Path) -> None:
    """A second load says nothing."""
    assert compared(tmp_path, {}, {}) == []


def test_a_changed_limit_is_one_line(tmp_path: Path) -> None:
    """The plans that take the field over say nothing; what they changed themselves stays."""
    assert compared(tmp_path, {}, {"limits": LIMITS.replace("400,", "500,")}) == ["limits.hourly.max: 400 -> 500"]


def test_each_field_has_its_line(tmp_path: Path) -> None:
    """Durations and sizes as they are written; an action by traffic."""
    new = LIMITS.replace("max: 400, window: 1h", "counts: bytes, max: 5MB, window: 90m, traffic: [user], mode: observe")

    assert compared(tmp_path, {}, {"limits": new, "plans": "{shared: {apply: [hourly]}}"}) == [
        "limits.hourly.counts: recipients -> bytes",
        "limits.hourly.max: 400 -> 5MB",
        "limits.hourly.window: 1h -> 90m",
        "limits.hourly.traffic: user, script, list -> user",
        "limits.hourly.over.script: defer -> -",
        "limits.hourly.over.list: defer -> -",
        "limits.hourly.mode: enforce -> observe",
        "plans.more: removed",
    ]


def test_limits_come_and_go(tmp_path: Path) -> None:
    """With what they say."""
    less = "{hourly: {kind: rate, max: 400, window: 1h}}"

    assert compared(tmp_path, {}, {"limits": less}) == ["limits.daily: removed"]
    assert compared(tmp_path, {"limits": less}, {}) == ["limits.daily: added (4000 recipients in 1d per domain)"]


@pytest.mark.parametrize(
    ("plans", "lines"),
    [
        (PLANS.replace("1500", "1600"), ["plans.more.hourly.max: 1500 -> 1600"]),
        (PLANS.replace(", change: {hourly: {max: 1500}}", ""), ["plans.more.hourly.max: 1500 -> 400"]),
        (PLANS.replace("[hourly]", "[hourly, daily]"), ["plans.shared: daily added", "plans.more: daily added"]),
        (PLANS.replace("change", "apply: [daily], without: [hourly] #"), None),
        (
            PLANS.replace("}}}}", "}}}, own: {apply: [daily]}, none: {}}"),
            ["plans.own: added (daily)", "plans.none: added (no limits)"],
        ),
    ],
)
def test_plans_are_told_where_they_differ_from_their_limits(
    plans: str, lines: list[str] | None, tmp_path: Path
) -> None:
    """A change is told where it was written."""
    if lines is None:
        plans = "{shared: {apply: [hourly]}, more: {extends: shared, apply: [daily], without: [hourly]}}"
        lines = ["plans.more: hourly removed", "plans.more: daily added"]

    assert compared(tmp_path, {}, {"plans": plans}) == lines


def test_domains_come_go_and_move(tmp_path: Path) -> None:
    """Each by its name."""
    old = "domains: {a.example: , b.example: shared, c.example: {contact: o@c.example}}"
    new = "domains: {b.example: more, c.example: {contact: n@c.example}, d.example: more}"

    assert compared(tmp_path, {"accounts": old}, {"accounts": new}) == [
        'accounts.domains["b.example"]: shared -> more',
        'accounts.domains["d.example"]: added (more)',
        'accounts.domains["a.example"]: removed',
        'accounts.domains["c.example"].contact: o@c.example -> n@c.example',
    ]


def test_a_domains_own_changes_are_told(tmp_path: Path) -> None:
    """Fields and limits that it wrote itself, not those of its plan."""
    old = "domains: {a.example: {change: {hourly: {max: 800}}}, b.example: shared}"
    new = "domains: {a.example: {change: {hourly: {max: 900}}}, b.example: {apply: [daily]}}"
    limits = LIMITS.replace("1h}", "2h}")

    assert compared(tmp_path, {"accounts": old}, {"accounts": new, "limits": limits}) == [
        "limits.hourly.window: 1h -> 2h",
        'accounts.domains["a.example"].hourly.max: 800 -> 900',
        'accounts.domains["b.example"]: daily added',
    ]


def test_a_limit_that_comes_with_the_plan_is_the_plans_change(tmp_path: Path) -> None:
    """The domains that change something else of the plan are not listed for it."""
    domain = "domains: {a.example: {change: {hourly: {max: 800}}}}"
    plans = PLANS.replace("[hourly]", "[hourly, daily]")

    assert compared(tmp_path, {"accounts": domain}, {"accounts": domain, "plans": plans}) == [
        "plans.shared: daily added",
        "plans.more: daily added",
    ]


def test_many_domains_are_counted(tmp_path: Path) -> None:
    """At most 20 lines, then how many more."""
    domains = ", ".join(f"d{number:03}.example: " for number in range(100))
    lines = compared(tmp_path, {}, {"accounts": f"domains: {{{domains}}}"})

    assert len(lines) == 21
    assert lines[0] == 'accounts.domains["d000.example"]: added (shared)'
    assert lines[-1] == "accounts.domains: 80 more changes"


def test_listen_and_store_say_that_they_need_a_restart(tmp_path: Path) -> None:
    """They are static."""
    listen = (
        '{postfix: ["unix:/run/p"], postfix_mode: "0600", trust_tcp: true, policy_timeout: 45s, metrics: "[::1]:9932"}'
    )

    assert compared(tmp_path, {}, {"listen": listen, "store": "{timeout: 100ms, when_down: defer}"}) == [
        "listen.postfix: [unix:/run/policyd/policy] -> [unix:/run/p] (needs a restart)",
        "listen.postfix_mode: 0660 -> 0600 (needs a restart)",
        "listen.trust_tcp: false -> true (needs a restart)",
        "listen.policy_timeout: 100s -> 45s (needs a restart)",
        "listen.metrics: - -> [::1]:9932 (needs a restart)",
        "store.timeout: 250ms -> 100ms (needs a restart)",
        "store.when_down: accept -> defer (needs a restart)",
    ]


def test_the_other_sections_are_told_too(tmp_path: Path) -> None:
    """Mode, exemptions, contexts, log, schedules, and what accounts has besides domains."""
    (tmp_path / "u.map").write_text("alice a.example\nbob a.example\n")
    (tmp_path / "v.map").write_text("alice b.example\ncarol a.example\n")
    domains = "domains: {a.example: , b.example: }"
    old = {
        "accounts": f'{domains}, local_users: "file:u.map"',
        "schedules": "{s: {timezone: UTC, open: [Sat]}, t: {timezone: UTC, open: []}}",
    }
    new = {
        "mode": "observe",
        "exempt": '{recipients: ["abuse@*"], clients: [192.0.2.0/24]}',
        "lists": '{contexts: [sympa, mailman], users: [list], patterns: ["{list}-x"], known: {p@b.example: {size: 7}}}',
        "log": "{accepted: true}",
        "schedules": "{s: {timezone: UTC, open: [Sat-Sun]}, u: {timezone: UTC, open: [Mon 01:00-02:00]}}",
        "accounts": f'{domains}, local_users: "file:v.map", settle: end-of-message, aliases: {{c.example: a.example}},'
        " default_domain: b.example",
    }

    assert compared(tmp_path, old, new) == [
        "mode: enforce -> observe",
        "exempt.recipients: [] -> [abuse@*]",
        "exempt.clients: [] -> [192.0.2.0/24]",
        "lists.contexts: [] -> [mailman, sympa]",
        "lists.users: [] -> [list]",
        "lists.patterns: [] -> [{list}-x]",
        'lists.known["p@b.example"]: added (p@b.example, 7 addresses)',
        "log.accepted: false -> true",
        "schedules.s: UTC Sat -> UTC Sat-Sun",
        "schedules.t: removed",
        "schedules.u: added (UTC Mon 01:00-02:00)",
        "accounts.aliases: 1 added, 0 removed, 0 changed",
        "accounts.local_users: 1 added, 1 removed, 1 changed",
        "accounts.default_domain: - -> b.example",
        "accounts.settle: recipient -> end-of-message",
    ]


def test_a_domain_that_comes_or_goes_is_one_line(tmp_path: Path) -> None:
    """Whatever is its own."""
    domains = "domains: {a.example: {contact: o@a.example, change: {hourly: {max: 800}}}}"

    assert compared(tmp_path, {}, {"accounts": domains}) == ['accounts.domains["a.example"]: added (shared)']
    assert compared(tmp_path, {"accounts": domains}, {}) == ['accounts.domains["a.example"]: removed']


def test_the_dns_watch_is_told(tmp_path: Path) -> None:
    """Key by key, and when it comes or goes."""
    old, new = {"dns": "{mx: [mx.a.example], every: 6h}"}, {"dns": "{mx: [mx.b.example], every: 12h}"}

    assert compared(tmp_path, old, new) == ["dns.mx: [mx.a.example] -> [mx.b.example]", "dns.every: 6h -> 12h"]
    assert compared(tmp_path, {}, new) == ["dns: off -> on"]
    assert compared(tmp_path, old, {}) == ["dns: on -> off"]
