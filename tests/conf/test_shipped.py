"""The two files that are shipped: the published terms, and what ``make run`` starts."""

from pathlib import Path

import pytest

from policyd.conf.bounds import DelayBounds
from policyd.conf.load import load
from policyd.conf.schema import Config, Endpoint, PaceLimit, SizeLimit
from policyd.model import Action, Counts, MailProtocol, Mode, Per, TrafficKind

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(name="shipped", scope="module")
def _shipped() -> Config:
    """Load the shipped file."""
    return load(CONFIG / "policyd.yaml")


@pytest.mark.parametrize(
    ("plan", "domain", "user", "lists"),
    [("shared", 400, 200, 360), ("semi-dedicated", 1500, 200, 1350), ("dedicated", 5000, 200, 4500)],
)
def test_the_plans_have_the_published_limits(plan: str, domain: int, user: int, lists: int, shipped: Config) -> None:
    """T1 and T18: e-mails in an hour for a domain, a user, and the lists of a domain."""
    limits = {limit.name: (limit.max, limit.window, limit.per) for limit in shipped.plans[plan].rates}

    assert limits == {
        "domain-hourly": (domain, 3_600_000, Per.DOMAIN),
        "user-hourly": (user, 3_600_000, Per.USER),
        "list-share": (lists, 3_600_000, Per.DOMAIN),
        "pop-checks": (60, 3_600_000, Per.MAILBOX),
    }


def test_pop_checks_are_those_of_the_terms(shipped: Config) -> None:
    """T2: POP3 only, it looks like a wrong password, and unlocks by itself within the hour."""
    (checks,) = [limit for limit in shipped.plans["shared"].rates if limit.name == "pop-checks"]

    assert (checks.counts, checks.protocols) == (Counts.LOGINS, frozenset({MailProtocol.POP3}))
    assert (checks.lock, checks.tell, checks.traffic) == (3_600_000, False, frozenset({TrafficKind.LOGIN}))


def test_every_list_keeps_the_pace_of_the_terms(shipped: Config) -> None:
    """T5: 6 s between two e-mails of a list, on every plan, and no answer outlasts Postfix's patience."""
    for plan in shipped.plans.values():
        (pace,) = [limit for limit in plan.limits if isinstance(limit, PaceLimit)]
        assert (pace.every, pace.per, pace.traffic) == (6000, Per.LIST, frozenset({TrafficKind.LIST}))
        assert 2 * pace.delay_up_to <= shipped.listen.policy_timeout
    assert shipped.delay == DelayBounds(max=20, per_account=2)


def test_lists_and_relayed_mail_are_never_rejected(shipped: Config) -> None:
    """Members of a list and invented senders get no bounce."""
    everything = [*shipped.limits.values()]

    assert {limit.over.get(TrafficKind.LIST, Action.DEFER) for limit in everything} == {Action.DEFER, Action.DELAY}
    assert [(limit.name, limit.max, limit.over) for limit in shipped.relayed.rates] == [
        ("unlisted-hourly", 2000, {TrafficKind.RELAYED: Action.DEFER})
    ]


@pytest.mark.parametrize(
    ("plan", "sizes"),
    [
        ("shared", {"list-size": 1000, "list-family": 1000, "list-off-peak": 900}),
        ("semi-dedicated", {"list-size": 5000, "list-family": 5000, "list-off-peak": 900}),
        ("dedicated", {}),
    ],
)
def test_lists_are_as_large_as_the_terms_let_them(plan: str, sizes: dict[str, int], shipped: Config) -> None:
    """T3, T4 and T6: a list, its family, and a list in the daytime."""
    limits = [limit for limit in shipped.plans[plan].limits if isinstance(limit, SizeLimit)]

    assert {limit.name: limit.max for limit in limits} == sizes
    assert [limit.name for limit in limits if limit.mode is Mode.OBSERVE] == ["list-family"][: len(sizes)]
    assert {limit.name: limit.lifted_by for limit in limits if limit.lifted_by} == (
        {"list-off-peak": "off-peak"} if sizes else {}
    )


def test_a_new_admin_starts_safely(shipped: Config) -> None:
    """Nothing is refused before one word is changed, and the rest is as the README has it."""
    assert shipped.mode is Mode.OBSERVE
    assert shipped.listen.postfix == (Endpoint(path="/var/spool/postfix/policyd/policy"),)
    assert (shipped.listen.policy_timeout, shipped.listen.postfix_mode) == (45_000, 0o660)
    assert shipped.accounts.settle_at_end
    assert shipped.exempt.recipients == ("postmaster@*", "abuse@*")
    text = (CONFIG / "policyd.yaml").read_text("utf-8")
    assert "one word puts the limits into force: write enforce" in text


def test_the_file_to_try_needs_no_root_and_shows_a_refusal_soon() -> None:
    """Loopback, everything below the checkout, small limits, and a domain with a change of its own."""
    config = load(CONFIG / "try.yaml")

    assert config.mode is Mode.ENFORCE
    assert config.listen.postfix == (Endpoint(host="127.0.0.1", port=10031),)
    assert config.listen.metrics == Endpoint(host="127.0.0.1", port=9932)
    assert config.listen.admin == Endpoint(path="state/admin.sock")
    assert (config.store.url, config.store.directory) == ("embedded", "state")
    assert config.terms("example.net").rates[0].max == 5
    assert max(limit.max or 0 for limit in config.terms("example.org").rates) < 50
