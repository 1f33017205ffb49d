"""What is in force for one domain, where each value comes from, and when its schedules open next."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from policyd.conf.schema import Config
from policyd.show import domain_lines, overview_lines, show
from tests.support.configs import loaded

LIMITS = """
  hourly: {kind: rate, max: 400, window: 1h, lifted_by: off-peak}
  volume: {kind: rate, counts: bytes, per: user, max: 500MB, window: 1d, traffic: [user], over: defer}
  foreign: {kind: rate, max: unlimited, window: 1h, traffic: [relayed], mode: observe}
"""
PLANS = """
  shared: {apply: [hourly]}
  dedicated: {extends: shared, apply: [volume], change: {hourly: {max: 5000}}}
"""
ACCOUNTS = (
    "aliases: {news.example.net: example.net}, domains: {example.net: "
    "{plan: dedicated, contact: o@example.net, change: {hourly: {max: 800, over: {script: quarantine}}}}}"
)
SCHEDULES = (
    '{off-peak: {timezone: America/New_York, open: ["Sat-Sun", "Mon-Fri 01:00-08:00"]},'
    " night: {timezone: UTC, open: []}}"
)


NOW = int(datetime(2026, 10, 30, 9, 30, tzinfo=UTC).timestamp()) * 1000
"""A Friday morning in New York; on Sunday the clocks are put back there."""


def config(directory: Path, **sections: str) -> Config:
    """Load a configuration with some of everything."""
    return loaded(directory, ACCOUNTS, limits=LIMITS, plans=PLANS, schedules=SCHEDULES, **sections)


def test_every_value_says_where_it_comes_from(tmp_path: Path) -> None:
    """Limit, plan, domain, or the default."""
    shown = show(config(tmp_path), "example.net", NOW)
    fields = {field.name: (field.value, field.origin.partition(" (")[0]) for field in shown.limits[0].fields}

    assert fields == {
        "counts": ("recipients", "default"),
        "per": ("domain", "default"),
        "max": ("800", "domain example.net"),
        "window": ("1h", "limit hourly"),
        "traffic": ("user, script, list", "default"),
        "over.user": ("reject", "default"),
        "over.script": ("quarantine", "domain example.net"),
        "over.list": ("defer", "default"),
        "recipients": ("all", "default"),
        "strikes": ("-", "default"),
        "mode": ("enforce", "default"),
        "lifted_by": ("off-peak", "limit hourly"),
    }


def test_an_action_for_all_traffic_is_the_origin_of_each(tmp_path: Path) -> None:
    """``over: defer`` was written once."""
    volume = show(config(tmp_path), "example.net", NOW).limits[1]
    over = next(field for field in volume.fields if field.name == "over.user")

    assert (over.value, over.origin) == ("defer", f"limit volume ({tmp_path}/policyd.yaml:5:97)")


def test_a_domain_in_any_spelling_and_an_alias_lead_to_the_account(tmp_path: Path) -> None:
    """The account is who is charged."""
    read = config(tmp_path)

    assert show(read, "EXAMPLE.NET.", NOW) == show(read, "example.net", NOW)
    alias = show(read, "News.Example.Net", NOW)
    assert (alias.domain, alias.account, alias.plan) == ("news.example.net", "example.net", "dedicated")


def test_a_domain_that_is_not_hosted_says_so(tmp_path: Path) -> None:
    """It has the default plan."""
    shown = show(config(tmp_path), "example.com", NOW)

    assert (shown.hosted, shown.listed, shown.plan) == (False, "", "shared")
    assert "  hosted    no; a login of it has the default plan" in domain_lines(shown)


def test_the_lines_can_be_read(tmp_path: Path) -> None:
    """One block for each limit, in columns, and the hours of the schedules that lift them."""
    file = f"{tmp_path}/policyd.yaml"

    assert domain_lines(show(config(tmp_path), "news.example.net", NOW)) == [
        "news.example.net: charged to example.net",
        f"  hosted    {file}:12:119",
        "  plan      dedicated",
        "  mode      enforce",
        "  contact   o@example.net",
        "  aliases   news.example.net",
        "",
        "limit hourly",
        "  counts       recipients          default",
        "  per          domain              default",
        f"  max          800                 domain example.net ({file}:12:197)",
        f"  window       1h                  limit hourly ({file}:4:42)",
        "  traffic      user, script, list  default",
        "  over.user    reject              default",
        f"  over.script  quarantine          domain example.net ({file}:12:217)",
        "  over.list    defer               default",
        "  recipients   all                 default",
        "  strikes      -                   default",
        "  mode         enforce             default",
        f"  lifted_by    off-peak            limit hourly ({file}:4:57)",
        "  lifted now until Fri 2026-10-30T08:00:00-04:00",
        "",
        "limit volume",
        f"  counts      bytes    limit volume ({file}:5:32)",
        f"  per         user     limit volume ({file}:5:44)",
        f"  max         500MB    limit volume ({file}:5:55)",
        f"  window      1d       limit volume ({file}:5:70)",
        f"  traffic     user     limit volume ({file}:5:83)",
        f"  over.user   defer    limit volume ({file}:5:97)",
        "  recipients  all      default",
        "  strikes     -        default",
        "  mode        enforce  default",
        "  lifted_by   -        default",
        "",
        "schedule off-peak (America/New_York)",
        "  Mon-Fri 01:00-08:00",
        "  Sat-Sun",
        "  open now until Fri 2026-10-30T08:00:00-04:00",
        "  open from Sat 2026-10-31T00:00:00-04:00 until Mon 2026-11-02T00:00:00-05:00",
        "  open from Mon 2026-11-02T01:00:00-05:00 until Mon 2026-11-02T08:00:00-05:00",
    ]


def test_what_is_shown_is_plain_data(tmp_path: Path) -> None:
    """It can be printed as JSON."""
    data = json.loads(json.dumps(asdict(show(config(tmp_path), "example.net", NOW))))

    assert data["limits"][0]["fields"][2]["value"] == "800"
    assert [(schedule["name"], schedule["openings"]) for schedule in data["schedules"]] == [
        ("off-peak", ["Mon-Fri 01:00-08:00", "Sat-Sun"])
    ]
    assert data["limits"][1]["lifted"] is None
    assert data["limits"][0]["lifted"] == data["schedules"][0]["next"][0]
    assert data["schedules"][0]["next"][:2] == [
        {"begun": True, "start": "2026-10-30T05:30:00-04:00", "end": "2026-10-30T08:00:00-04:00"},
        {"begun": False, "start": "2026-10-31T00:00:00-04:00", "end": "2026-11-02T00:00:00-05:00"},
    ]


def test_a_schedule_that_never_closes_has_no_end(tmp_path: Path) -> None:
    """Its limit is lifted for good."""
    always = loaded(tmp_path, limits=LIMITS, plans=PLANS, schedules="{off-peak: {timezone: UTC, open: [Mon-Sun]}}")

    assert "  lifted now, without an end" in domain_lines(show(always, "example.net", NOW))


def test_the_overview_has_listeners_plans_and_schedules(tmp_path: Path) -> None:
    """The whole configuration in short."""
    assert overview_lines(config(tmp_path), NOW) == [
        "mode      enforce",
        "postfix   unix:/run/policyd/policy",
        "dovecot   -",
        "metrics   -",
        "admin     -",
        "store     embedded, when down: accept",
        "domains   1 hosted, 1 alias",
        "default   plan shared",
        "",
        "plan shared",
        "  hourly: 400 recipients in 1h per domain, lifted by off-peak",
        "",
        "plan dedicated",
        "  hourly: 5000 recipients in 1h per domain, lifted by off-peak",
        "  volume: 500MB bytes in 1d per user",
        "",
        "relayed traffic, without a plan",
        "  foreign: unlimited recipients in 1h per domain, observed",
        "",
        "schedule off-peak (America/New_York)",
        "  Mon-Fri 01:00-08:00",
        "  Sat-Sun",
        "  open now until Fri 2026-10-30T08:00:00-04:00",
        "  open from Sat 2026-10-31T00:00:00-04:00 until Mon 2026-11-02T00:00:00-05:00",
        "  open from Mon 2026-11-02T01:00:00-05:00 until Mon 2026-11-02T08:00:00-05:00",
        "",
        "schedule night (UTC)",
        "  never open",
    ]


def test_the_overview_says_how_list_software_is_known(tmp_path: Path) -> None:
    """What is written beside the built-in forms."""
    lists = (
        '{contexts: [mailman, "10030"], users: [list], patterns: ["{list}-errors"],'
        " known: {Php@Example.net: {posting: news@example.net, size: 850, family: news}, b@example.net: }}"
    )
    lines = overview_lines(config(tmp_path, lists=lists), NOW)

    start = lines.index("list software")
    assert lines[start : start + 7] == [
        "list software",
        "  contexts  10030, mailman",
        "  users     list",
        "  patterns  {list}-errors",
        "  known     php@example.net: news@example.net, 850 addresses, family news",
        "  known     b@example.net: b@example.net",
        "",
    ]


def test_the_overview_names_bad_files(tmp_path: Path) -> None:
    """A file whose last good text is in force needs somebody."""
    (tmp_path / "a.yaml").write_text("oops")

    assert f"bad file  {tmp_path}/a.yaml" in overview_lines(loaded(tmp_path, "include: [a.yaml]"), NOW)
