"""Lists that nobody asked for: one of a real Mailman that lets anybody in, and a login that mails as a list would."""

from pathlib import Path

from tests.support.daemon import Serve, Yaml, rate
from tests.support.mailman import Mailman
from tests.support.postfix import Postfix
from tests.support.secretfile import write_secret
from tests.support.sink import Sink
from tests.support.smtp import Login, post, send
from tests.support.wait import until

EVERY = 600_000
MEMBERS, OVER, MOST = 6, 1, 5


def test_a_list_that_lets_anybody_in_mails_when_it_asks_for_confirmation(  # noqa: PLR0917  # real programs
    mailman: Mailman, postfix: Postfix, sink: Sink, serve: Serve, tmp_path: Path, domain: str
) -> None:
    """Who posts is told the reason; the owner changes the list, and each member has his copy."""
    write_secret(tmp_path / "password", mailman.password)
    section: Yaml = {"url": mailman.url, "user": mailman.user, "password_file": str(tmp_path / "password")}
    limits: Yaml = {"opt-in": {"kind": "size", "max": 0, "unconfirmed": True}}
    mailman.add_list(f"news@{domain}", [f"m{number}@{domain}.sink.test" for number in range(MEMBERS)])
    policy = f"lists/news.{domain}/config/subscription_policy"
    mailman.ask(policy, {"subscription_policy": "open"}, method="PUT")
    daemon = serve([domain], limits, lists={"contexts": ["mailman"], "mailing_over": OVER}, mailman=section)
    until(lambda: daemon.has_metric("policyd_roster_up") and daemon.metric("policyd_roster_up"), "the roster is read")

    mailman.deliver("lists", verp=False)
    port, alice = postfix.port("submission"), Login(f"alice@{domain}")
    refused = post(port, alice, f"news@{domain}").rcpt[0]
    assert refused.code == 550
    assert f"news@{domain} has {MEMBERS} addresses that nobody had to confirm, 0 are allowed" in refused.text

    mailman.ask(policy, {"subscription_policy": "confirm"}, method="PUT")
    read_at = daemon.metric("policyd_roster_read_timestamp_seconds")
    daemon.advance(EVERY)
    until(lambda: daemon.metric("policyd_roster_read_timestamp_seconds") > read_at, "the roster is read again")
    assert post(port, alice, f"news@{domain}").queued == 1
    copies = sink.wait(f"{domain}.sink.test", MEMBERS)
    assert sorted(name for one in copies for name in one.recipients) == sorted(
        f"m{number}@{domain}.sink.test" for number in range(MEMBERS)
    )
    mailman.wait_idle()


def test_a_login_that_mails_as_a_list_would_is_told_so(postfix: Postfix, serve: Serve, domain: str) -> None:
    """In one message or in many, and to those that it wrote to it goes on writing."""
    serve([domain], {"bulk": rate(MOST, counts="distinct-recipients", per="user", window="24h")})
    port, login, sender = postfix.port("submission"), Login(f"alice@{domain}"), f"alice@{domain}"
    names = [f"x{number}@remote.test" for number in range(MOST + 2)]
    sent = send(port, sender, names, login)
    assert sent.codes == [250] * MOST + [550] * 2
    assert f"{MOST} of {MOST} distinct-recipients in 1d used, more are for registered lists" in sent.rcpt[-1].text
    assert send(port, sender, names[:MOST], login).queued == MOST
    assert send(port, f"news-bounces@{domain}", names[-1:], login).codes == [450]
