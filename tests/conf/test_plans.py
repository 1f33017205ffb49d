"""The rules of meaning of plans and domains, sentence by sentence as the design has them."""

from pathlib import Path

import pytest

from policyd.conf.schema import Config, RateLimit
from policyd.model import Action, Mode, Recipients, TrafficKind
from tests.support.configs import loaded, problems, rate_limit

USER, SCRIPT, LIST, RELAYED = TrafficKind.USER, TrafficKind.SCRIPT, TrafficKind.LIST, TrafficKind.RELAYED

LIMITS = """
  domain-hourly: {kind: rate, max: 400, window: 1h, over: {user: reject, script: defer, list: defer}}
  user-hourly: {kind: rate, per: user, max: 200, window: 1h, traffic: [user], over: reject}
  list-share: {kind: rate, max: 360, window: 1h, traffic: [list]}
"""
PLANS = """
  shared: {apply: [domain-hourly, user-hourly, list-share]}
  semi-dedicated: {extends: shared, change: {domain-hourly: {max: 1500}}}
  dedicated: {extends: semi-dedicated, without: [list-share], change: {domain-hourly: {window: 2h}}}
"""


def terms(config: Config, account: str) -> dict[str, RateLimit]:
    """Return what is in force for an account by the limits' names."""
    return {limit.name: limit for limit in config.terms(account).rates}


def names(config: Config, plan: str) -> list[str]:
    """Return the names of a plan's limits in their order."""
    return [limit.name for limit in config.plans[plan].limits]


def test_apply_adds_names(tmp_path: Path) -> None:
    """A plan has the limits that it applies, in that order."""
    config = loaded(tmp_path, limits=LIMITS, plans="{shared: {apply: [user-hourly, domain-hourly]}}")

    assert names(config, "shared") == ["user-hourly", "domain-hourly"]


def test_apply_adds_names_to_those_of_the_parent(tmp_path: Path) -> None:
    """The parent's limits come first; one that it has already does no harm."""
    plans = "{shared: {apply: [list-share]}, more: {extends: shared, apply: [user-hourly, list-share]}}"

    assert names(loaded(tmp_path, limits=LIMITS, plans=plans), "more") == ["list-share", "user-hourly"]


def test_change_alters_fields(tmp_path: Path) -> None:
    """The field that is named changes, the others stay, and the limit itself too."""
    config = loaded(tmp_path, limits=LIMITS, plans=PLANS)
    before, after = rate_limit(config, "domain-hourly"), config.plans["semi-dedicated"].rates[0]

    assert (before.max, after.max) == (400, 1500)
    assert (after.window, after.over, after.per) == (before.window, before.over, before.per)


def test_without_removes(tmp_path: Path) -> None:
    """A plan does not have the limits that it is without."""
    assert names(loaded(tmp_path, limits=LIMITS, plans=PLANS), "dedicated") == ["domain-hourly", "user-hourly"]


def test_child_goes_over_parent_key_by_key(tmp_path: Path) -> None:
    """What the parent changed stays changed where the child says nothing."""
    limit = loaded(tmp_path, limits=LIMITS, plans=PLANS).plans["dedicated"].rates[0]

    assert (limit.max, limit.window) == (1500, 7_200_000)


def test_a_plan_may_stand_before_the_one_that_it_extends(tmp_path: Path) -> None:
    """The order of plans in the file means nothing."""
    plans = "{late: {extends: shared, change: {domain-hourly: {max: 1}}}, shared: {apply: [domain-hourly]}}"

    assert loaded(tmp_path, limits=LIMITS, plans=plans).plans["late"].rates[0].max == 1


def test_domains_alike(tmp_path: Path) -> None:
    """A domain adds, alters and removes as a plan does."""
    domain = "{plan: semi-dedicated, without: [list-share], change: {user-hourly: {max: 50}}, apply: [nightly]}"
    limits = f"{LIMITS}  nightly: {{kind: rate, max: 9, window: 1d}}\n"

    in_force = terms(loaded(tmp_path, f"domains: {{example.org: {domain}}}", limits=limits, plans=PLANS), "example.org")

    assert {name: limit.max for name, limit in in_force.items()} == {
        "domain-hourly": 1500,
        "user-hourly": 50,
        "nightly": 9,
    }


def test_the_order_is_limit_below_plan_below_domain(tmp_path: Path) -> None:
    """Each layer goes over the one before it, and is named as the origin."""
    domains = "domains: {example.org: {plan: dedicated, change: {domain-hourly: {max: 800}}}}"
    limit = terms(loaded(tmp_path, domains, limits=LIMITS, plans=PLANS), "example.org")["domain-hourly"]

    assert limit.max == 800
    assert limit.origins == {
        "kind": f"limit domain-hourly ({tmp_path}/policyd.yaml:4:25)",
        "max": f"domain example.org ({tmp_path}/policyd.yaml:13:138)",
        "window": f"plan dedicated ({tmp_path}/policyd.yaml:11:96)",
        "over.user": f"limit domain-hourly ({tmp_path}/policyd.yaml:4:66)",
        "over.script": f"limit domain-hourly ({tmp_path}/policyd.yaml:4:82)",
        "over.list": f"limit domain-hourly ({tmp_path}/policyd.yaml:4:95)",
    }


def test_a_domain_that_changes_nothing_has_the_terms_of_its_plan(tmp_path: Path) -> None:
    """A contact alone is no change."""
    config = loaded(
        tmp_path, "domains: {example.org: {plan: shared, contact: o@example.org}}", limits=LIMITS, plans=PLANS
    )

    assert config.terms("example.org") is config.plans["shared"]
    assert config.accounts.changed == {}


def test_a_domain_that_names_no_plan_has_the_default_plan(tmp_path: Path) -> None:
    """Nothing, null, an empty map and a map without plan all mean the default plan."""
    domains = "domains: {a.example.org: , b.example.org: null, c.example.org: {}, d.example.org: {change: {}}}"
    config = loaded(tmp_path, domains)

    assert set(config.accounts.plans.values()) == {"shared"}
    assert len(config.accounts.plans) == 4


def test_an_account_that_is_not_hosted_has_the_default_plan(tmp_path: Path) -> None:
    """A login without a domain is such an account."""
    assert loaded(tmp_path, limits=LIMITS, plans=PLANS).terms("user:alice").plan == "shared"


def test_a_limit_of_relayed_traffic_needs_no_plan(tmp_path: Path) -> None:
    """It is in force as it stands, under no plan's name."""
    limits = f"{LIMITS}  unlisted-hourly: {{kind: rate, max: 2000, window: 1h, traffic: [relayed]}}\n"
    config = loaded(tmp_path, limits=limits, plans=PLANS)

    assert [(limit.name, limit.max, limit.over) for limit in config.relayed.rates] == [
        ("unlisted-hourly", 2000, {RELAYED: Action.DEFER})
    ]
    assert all("unlisted-hourly" not in names(config, plan) for plan in config.plans)


def test_a_limit_looks_at_users_scripts_and_lists_by_default(tmp_path: Path) -> None:
    """``traffic`` says it otherwise."""
    config = loaded(tmp_path, limits=LIMITS, plans=PLANS)

    assert config.limits["domain-hourly"].traffic == {USER, SCRIPT, LIST}
    assert config.limits["user-hourly"].traffic == {USER}


def test_a_limit_per_list_looks_at_lists_by_default(tmp_path: Path) -> None:
    """Other traffic has no list to count for; a plan that counts it per list changes that, too."""
    limits = "{domain-hourly: {kind: rate, max: 4, window: 1h}, each: {kind: rate, per: list, max: 4, window: 1h}}"
    plans = "{shared: {apply: [domain-hourly, each], change: {domain-hourly: {per: list}}}}"
    terms = loaded(tmp_path, limits=limits, plans=plans).plans["shared"]

    assert [set(limit.traffic) for limit in terms.limits] == [{LIST}, {LIST}]
    assert [dict(limit.over) for limit in terms.limits] == [{LIST: Action.DEFER}] * 2


def test_over_is_reject_for_users_and_defer_for_the_rest_by_default(tmp_path: Path) -> None:
    """A limit that says nothing never punishes a list's members."""
    limit = loaded(tmp_path).limits["domain-hourly"]

    assert limit.over == {USER: Action.REJECT, SCRIPT: Action.DEFER, LIST: Action.DEFER}


def test_one_action_is_for_all_traffic_of_the_limit(tmp_path: Path) -> None:
    """``over: defer`` needs no map."""
    limit = loaded(tmp_path, limits="{domain-hourly: {kind: rate, max: 4, window: 1h, over: defer}}").limits[
        "domain-hourly"
    ]

    assert set(limit.over.values()) == {Action.DEFER}


def test_a_map_names_only_what_differs(tmp_path: Path) -> None:
    """What the map leaves out has its default."""
    limits = "{domain-hourly: {kind: rate, max: 4, window: 1h, over: {script: quarantine}}}"

    assert loaded(tmp_path, limits=limits).limits["domain-hourly"].over == {
        USER: Action.REJECT,
        SCRIPT: Action.QUARANTINE,
        LIST: Action.DEFER,
    }


@pytest.mark.parametrize(
    ("base", "change", "expected"),
    [
        ("defer", "{user: reject}", {USER: Action.REJECT, SCRIPT: Action.DEFER, LIST: Action.DEFER}),
        ("{script: reject}", "{user: accept}", {USER: Action.ACCEPT, SCRIPT: Action.REJECT, LIST: Action.DEFER}),
        ("{script: reject}", "accept", dict.fromkeys((USER, SCRIPT, LIST), Action.ACCEPT)),
    ],
)
def test_over_is_changed_key_by_key_too(
    base: str, change: str, expected: dict[TrafficKind, Action], tmp_path: Path
) -> None:
    """A map goes over the parent's action by traffic, one action over all of it."""
    limits = f"{{domain-hourly: {{kind: rate, max: 4, window: 1h, over: {base}}}}}"
    plans = f"{{shared: {{apply: [domain-hourly], change: {{domain-hourly: {{over: {change}}}}}}}}}"

    assert loaded(tmp_path, limits=limits, plans=plans).plans["shared"].limits[0].over == expected


def test_traffic_that_a_plan_adds_gets_the_action_that_was_written_for_all(tmp_path: Path) -> None:
    """``over: accept`` of the limit goes on to hold."""
    limits = "{domain-hourly: {kind: rate, max: 4, window: 1h, traffic: [user], over: accept}}"
    plans = "{shared: {apply: [domain-hourly], change: {domain-hourly: {traffic: [user, list]}}}}"

    limit = loaded(tmp_path, limits=limits, plans=plans).plans["shared"].limits[0]

    assert limit.over == {USER: Action.ACCEPT, LIST: Action.ACCEPT}


def test_traffic_that_a_plan_takes_away_takes_its_action_away(tmp_path: Path) -> None:
    """What the limit wrote for other traffic is no mistake of the plan."""
    plans = "{shared: {apply: [domain-hourly], change: {domain-hourly: {traffic: [user]}}}}"

    limit = loaded(tmp_path, limits=LIMITS, plans=plans).plans["shared"].limits[0]

    assert limit.over == {USER: Action.REJECT}


def test_a_list_may_be_accepted_or_deferred(tmp_path: Path) -> None:
    """Only a reject would punish its members."""
    for action in ("accept", "defer"):
        limits = f"{{domain-hourly: {{kind: rate, max: 4, window: 1h, over: {{list: {action}}}}}}}"
        assert loaded(tmp_path, limits=limits).limits["domain-hourly"].over[LIST] == action


@pytest.mark.parametrize(("text", "value"), [("unlimited", None), ("0", 0), ("400", 400)])
def test_unlimited_and_0_mean_what_they_say(text: str, value: int | None, tmp_path: Path) -> None:
    """0 lets nothing through, unlimited everything."""
    config = loaded(tmp_path, limits=f"{{domain-hourly: {{kind: rate, max: {text}, window: 1h}}}}")

    assert rate_limit(config, "domain-hourly").max == value


@pytest.mark.parametrize(("text", "value"), [("500MB", 500_000_000), ("1GiB", 2**30), ("0", 0), ("unlimited", None)])
def test_max_is_a_size_where_bytes_are_counted(text: str, value: int | None, tmp_path: Path) -> None:
    """0 and unlimited need no unit."""
    config = loaded(tmp_path, limits=f"{{domain-hourly: {{kind: rate, counts: bytes, max: {text}, window: 1h}}}}")

    assert rate_limit(config, "domain-hourly").max == value


def test_a_limit_may_only_be_observed_and_look_at_remote_recipients_only(tmp_path: Path) -> None:
    """``mode`` and ``recipients`` are fields of a limit."""
    limits = "{domain-hourly: {kind: rate, max: 4, window: 1h, mode: observe, recipients: remote}}"
    limit = rate_limit(loaded(tmp_path, limits=limits), "domain-hourly")

    assert (limit.mode, limit.recipients) == (Mode.OBSERVE, Recipients.REMOTE)


def test_a_plan_can_take_a_schedule_away(tmp_path: Path) -> None:
    """``lifted_by: null`` is a change like any other."""
    limits = "{domain-hourly: {kind: rate, max: 4, window: 1h, lifted_by: off-peak}}"
    plans = "{shared: {apply: [domain-hourly]}, strict: {extends: shared, change: {domain-hourly: {lifted_by: null}}}}"
    schedules = "{off-peak: {timezone: UTC, open: [Sat-Sun]}}"
    config = loaded(tmp_path, limits=limits, plans=plans, schedules=schedules)

    assert [config.plans[plan].limits[0].lifted_by for plan in ("shared", "strict")] == ["off-peak", ""]


def test_a_mistake_in_a_limit_is_not_told_again_for_plans_and_domains(tmp_path: Path) -> None:
    """One mistake, one message."""
    told = problems(
        tmp_path,
        "domains: {example.org: {plan: more, change: {domain-hourly: {max: 5}}}}",
        limits="{domain-hourly: {kind: rate, max: many, window: 1h}}",
        plans="{shared: {apply: [domain-hourly]}, more: {extends: shared, change: {domain-hourly: {max: 4}}}}",
    )

    assert [line.partition(": ")[0] for line in told] == ["policyd.yaml:3:43"]


@pytest.mark.parametrize(
    "section",
    [
        {"limits": "[domain-hourly]"},
        {"plans": "[shared]"},
        {"plans": "{shared: [domain-hourly]}"},
        {"schedules": "[off-peak]", "limits": "{domain-hourly: {kind: rate, max: 4, window: 1h, lifted_by: off-peak}}"},
        {"limits": "{domain-hourly: [rate]}"},
        {"plans": "{shared: {apply: [{}]}}"},
        {"plans": "{shared: {extends: [], change: {domain-hourly: {max: 4}}}}"},
        {"plans": "{shared: {extends: {}, without: [domain-hourly]}}"},
    ],
)
def test_a_mistake_in_a_section_is_not_told_again_where_it_is_referred_to(
    section: dict[str, str], tmp_path: Path
) -> None:
    """One mistake, one message, though a domain and a plan build on it."""
    domains = "domains: {example.org: {plan: shared, change: {domain-hourly: {max: 5}}}}"

    assert len(problems(tmp_path, domains, **section)) == 1
