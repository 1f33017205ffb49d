"""Mailing lists through a real Postfix: who is recognised, how sure that is, and that people keep their share."""

from pathlib import Path

import pytest
import yaml

from tests.support.daemon import HOUR, LocalDaemon, Serve, rate
from tests.support.postfix import Postfix
from tests.support.postfix_files import FOREIGN
from tests.support.readme import blocks
from tests.support.smtp import Login, Session, send

SHIPPED = yaml.safe_load((Path(__file__).parents[2] / "config" / "policyd.yaml").read_text("utf-8"))
LIMIT, EACH = "domain-hourly", "each-list"
LIMITS = {LIMIT: rate(400), EACH: rate(3, per="list", traffic=["list"])}
ACCEPTED = {"accepted": True}
_OF_MAIL = {LIMIT, "user-hourly", "list-share"}


def logged(daemon: LocalDaemon, capfd: pytest.CaptureFixture[str]) -> set[str]:
    """End a daemon and return how its lines say who was charged."""
    daemon.stop()
    lines = capfd.readouterr().err.splitlines()
    charged = (line for line in lines if line.startswith("action="))
    return {line[line.index("account=") : line.index(" queue_id=")] for line in charged}


def copies(port: int, senders: list[str]) -> list[int]:
    """Send a message of one recipient for each envelope sender, on one connection as list software does."""
    with Session(port) as session:
        return [session.send(sender, [f"r{number}@remote.test"]).codes[0] for number, sender in enumerate(senders)]


def test_all_members_copies_are_one_list(
    postfix: Postfix, serve: Serve, domain: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """With VERP each copy has a sender of its own, and a limit per list counts them together."""
    daemon = serve([domain], LIMITS, lists={"contexts": ["mailman"]}, log=ACCEPTED)
    verp = [f"news-bounces+m{number}=remote.test@{domain}" for number in range(3)]
    assert copies(postfix.port("lists"), [*verp, f"news-bounces@{domain}", f"other-bounces@{domain}"]) == [250] * 3 + [
        450,
        250,
    ]
    postfix.log.wait_queued(domain, 4)
    assert (daemon.used(domain, LIMIT), daemon.used(f"news@{domain}", EACH)) == (4, 3)
    gauges = daemon.ask("/v1/status", subject=f"alice@{domain}")["gauges"]
    assert EACH not in {gauge["limit"] for gauge in gauges}, "a person has no counter of a list"
    assert logged(daemon, capfd) == {
        f"account={domain} sure=verified traffic=list list={name}@{domain}" for name in ("news", "other")
    }


def test_a_neighbours_forged_list_is_only_claimed(
    postfix: Postfix, serve: Serve, domain: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A local client that nobody knows may say so; a stranger's list envelope is inbound mail and costs nothing."""
    daemon = serve([domain], LIMITS, log=ACCEPTED)
    assert send(postfix.port("smtp"), f"news-bounces@{domain}", [f"bob@{domain}"], source=FOREIGN).queued == 1
    assert daemon.used(domain, LIMIT) == 0
    assert send(postfix.port("smtp"), f"news-bounces@{domain}", ["x@remote.test"]).queued == 1
    postfix.log.wait_queued(domain, 1)
    assert daemon.used(domain, LIMIT) == 1
    assert logged(daemon, capfd) == {f"account={domain} sure=claimed traffic=list list=news@{domain}"}


def test_software_that_logs_in_is_known_by_its_constant_sender(
    postfix: Postfix, serve: Serve, domain: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """As phpList does: the login verifies what lists.known says; another customer's login gets nothing of it."""
    other = f"other-{domain}"
    recipe = yaml.safe_load(blocks("policyd.yaml phplist").replace("example.org", domain))
    daemon = serve([domain, other], LIMITS, log=ACCEPTED, **recipe)
    for login in (f"web@{domain}", f"web@{other}"):
        assert send(postfix.port("submission"), f"php@{domain}", ["x@remote.test"], Login(login)).queued == 1
    postfix.log.wait_queued(domain, 1)
    postfix.log.wait_queued(other, 1)
    assert (daemon.used(domain, LIMIT), daemon.used(other, LIMIT)) == (1, 1)
    assert logged(daemon, capfd) == {
        f"account={domain} sure=verified traffic=list list=news@{domain}",
        f"account={other} sure=verified traffic=user list=",
    }


def test_people_keep_the_share_that_a_lists_retries_cannot_take(postfix: Postfix, serve: Serve, domain: str) -> None:
    """Of the shipped 400 an hour a list gets 360, however often it tries; the other 40 are the users' own."""
    limits = {name: SHIPPED["limits"][name] for name in SHIPPED["plans"]["shared"]["apply"] if name in _OF_MAIL}
    daemon = serve([domain], limits, lists={"contexts": ["mailman"]})
    left = [f"m{number}@remote.test" for number in range(450)]

    def people(number: int) -> list[int]:
        recipients = [f"x{one}@remote.test" for one in range(number)]
        return send(postfix.port("submission"), f"a@{domain}", recipients, Login(f"a@{domain}")).codes

    def tries() -> None:
        """Send to the members that have no copy yet, as list software does."""
        nonlocal left
        codes = send(postfix.port("lists"), f"news-bounces@{domain}", left).codes
        assert set(codes) <= {250, 450}
        left = [member for member, code in zip(left, codes, strict=True) if code == 450]

    tries()
    assert len(left) == 90
    for _ in range(4):
        assert people(10) == [250] * 10
        tries()
        assert len(left) == 90
    assert people(1) == [550]
    assert (daemon.used(domain, LIMIT), daemon.used(domain, "list-share")) == (400, 360)
    daemon.advance(HOUR + HOUR // 60)
    tries()
    assert left == []
    assert people(1) == [250]
