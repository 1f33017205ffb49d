"""Who is charged, as Postfix tells it: logins, local senders, strangers, and names written in many ways."""

import socket
from pathlib import Path

import pytest

from tests.support.daemon import Serve, rate
from tests.support.policy import request
from tests.support.postfix import Postfix
from tests.support.postfix_files import FOREIGN, LOCAL
from tests.support.redis import RedisServer
from tests.support.smtp import Login, Session, send

LIMIT = "domain-hourly"
UNLISTED = "(unlisted)"
LIMITS = {LIMIT: rate(400), "unlisted-hourly": {**rate(5), "traffic": ["relayed"], "over": "defer"}}


def script_calls(redis_server: RedisServer) -> int:
    """Return how often Redis has run the script, which it knows by its SHA."""
    client = redis_server.client()
    try:
        stats = client.info("commandstats")
        return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))
    finally:
        client.close()


def test_a_spoofed_sender_charges_nobody_and_asks_no_store(
    postfix: Postfix, serve: Serve, redis_server: RedisServer, domain: str
) -> None:
    """A stranger who claims a customer's address sends inbound mail: no charge, no call."""
    daemon = serve([domain], LIMITS)
    before = script_calls(redis_server)
    sent = send(postfix.port("smtp"), f"alice@{domain}", [f"bob@{domain}", f"carol@{domain}"], source=FOREIGN)
    assert sent.queued == 2
    assert script_calls(redis_server) == before
    assert daemon.used(domain, LIMIT) == 0
    assert daemon.used(UNLISTED, "unlisted-hourly") == 0


def test_inbound_mail_flows_while_redis_does_nothing(
    postfix: Postfix, serve: Serve, redis_server: RedisServer, domain: str
) -> None:
    """With Redis stopped in its tracks a stranger's message is accepted without any store error."""
    daemon = serve([domain], LIMITS, store={"when_down": "defer", "timeout": "10s"})
    redis_server.pause()
    try:
        assert send(postfix.port("smtp"), "stranger@example.com", [f"bob@{domain}"], source=FOREIGN).queued == 1
        assert daemon.metric("policyd_store_errors_total", op="charge") == 0
    finally:
        redis_server.resume()


def test_a_null_sender_with_a_login_is_charged_to_the_login(postfix: Postfix, serve: Serve, domain: str) -> None:
    """Who logs in pays, whatever MAIL FROM says: nothing, or another customer."""
    other = f"other-{domain}"
    daemon = serve([domain, other], LIMITS)
    for sender in ("", f"bob@{other}"):
        assert send(postfix.port("submission"), sender, ["x@remote.test"], Login(f"alice@{domain}")).queued == 1
    postfix.log.wait_queued(domain, 2)
    assert daemon.used(domain, LIMIT) == 2
    assert daemon.used(other, LIMIT) == 0


def test_invented_senders_share_one_limit_that_defers(postfix: Postfix, serve: Serve, domain: str) -> None:
    """A script that invents a domain for each mail gets no fresh budget for each, and never a 5xx."""
    daemon = serve([domain], LIMITS)
    codes = [send(postfix.port("smtp"), f"x@invented{number}.test", ["x@remote.test"]).codes[0] for number in range(8)]
    assert codes == [250] * 5 + [450] * 3
    assert daemon.used(UNLISTED, "unlisted-hourly") == 5
    assert daemon.used(domain, LIMIT) == 0


def test_a_local_null_sender_is_never_refused(
    postfix: Postfix, serve: Serve, redis_server: RedisServer, domain: str
) -> None:
    """Bounces and notices of local programs pass even when nothing else does, without a call of the store."""
    none = {LIMIT: rate(0), "unlisted-hourly": {**rate(0), "traffic": ["relayed"], "over": "defer"}}
    daemon = serve([domain], none)
    assert send(postfix.port("smtp"), f"a@{domain}", ["x@remote.test"]).codes == [450]
    assert send(postfix.port("smtp"), "x@invented.test", ["x@remote.test"]).codes == [450]
    before = script_calls(redis_server)
    assert send(postfix.port("smtp"), "", [f"x{number}@remote.test" for number in range(30)]).queued == 30
    assert script_calls(redis_server) == before
    assert daemon.used(domain, LIMIT) == 0


def test_a_local_unix_user_is_charged_to_his_account(
    postfix: Postfix, serve: Serve, domain: str, tmp_path: Path
) -> None:
    """A sender at this host's own name leads through accounts.local_users to the customer."""
    (tmp_path / "users.map").write_text(f"web1 {domain}\n")
    host = postfix.files.hostname
    daemon = serve([domain], LIMITS, accounts={"local_names": [host], "local_users": f"file:{tmp_path}/users.map"})
    assert send(postfix.port("smtp"), f"web1@{host}", ["x@remote.test"]).queued == 1
    assert daemon.used(domain, LIMIT) == 1


@pytest.mark.parametrize(
    "sender", ["Alice@{upper}", "alice@{domain}.", "alice@{domain}", "alice+shop@{domain}", '"alice"@{domain}']
)
def test_what_leads_to_one_mailbox_is_one_key(postfix: Postfix, serve: Serve, domain: str, sender: str) -> None:
    """Case, an extension and quotes in a local sender renew no limit."""
    daemon = serve([domain], {"sender-hourly": rate(2, per="sender")})
    assert send(postfix.port("smtp"), f"alice@{domain}", ["x@remote.test"]).codes == [250]
    written = sender.format(domain=domain, upper=domain.upper())
    assert send(postfix.port("smtp"), written, ["x@remote.test", "y@remote.test"]).codes == [250, 450]
    assert daemon.used(f"alice@{domain}", "sender-hourly") == 2


def test_a_login_in_another_spelling_is_the_same_user(postfix: Postfix, serve: Serve, domain: str) -> None:
    """SASL names are normalised as senders are."""
    daemon = serve([domain], {"user-hourly": rate(2, per="user")})
    for name in (f"alice@{domain}", f"ALICE@{domain.upper()}"):
        assert send(postfix.port("submission"), f"alice@{domain}", ["x@remote.test"], Login(name)).codes == [250]
    assert send(postfix.port("submission"), f"a@{domain}", ["x@remote.test"], Login(f"Alice@{domain}")).codes == [550]
    assert daemon.used(f"alice@{domain}", "user-hourly") == 2


def test_an_international_domain_is_one_account_in_either_form(postfix: Postfix, serve: Serve, domain: str) -> None:
    """The U-label and the A-label of a sender's domain are charged together."""
    written, ascii_form = f"bücher.{domain}", f"xn--bcher-kva.{domain}"
    daemon = serve([ascii_form], LIMITS)
    with Session(postfix.port("smtp")) as session:
        assert session.mail(f"a@{written}", "SMTPUTF8").code == 250
        assert session.rcpt("x@remote.test").code == 250
        assert session.data().code == 250
        assert session.mail(f"a@{ascii_form}").code == 250
        assert session.rcpt("x@remote.test").code == 250
        assert session.data().code == 250
    assert daemon.used(ascii_form, LIMIT) == 2


def answers(policy: Path, *requests: bytes) -> list[str]:
    """Ask on one connection, as an smtpd does, one after the other."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(policy))
        found = []
        for raw in requests:
            connection.sendall(raw)
            answer = b""
            while not answer.endswith(b"\n\n"):
                answer += connection.recv(4096)
            found.append(answer.decode("ascii").strip())
        return found


def test_undecodable_bytes_merge_no_two_senders(
    postfix: Postfix, serve: Serve, redis_server: RedisServer, domain: str
) -> None:
    """Two local parts that differ in one byte that is no UTF-8 are two senders, and policyd lives on.

    Postfix 3.7 refuses such bytes in MAIL FROM itself, so the requests are sent as it would.
    """
    daemon = serve([domain], {"sender-hourly": rate(1, per="sender")})
    local = {"client_address": LOCAL, "sasl_method": "", "sasl_username": ""}
    asked = [
        request(
            **local, sender=f"a{byte}@{domain}", recipient=f"x{number}@remote.test", instance=f"{number}.{ord(byte)}"
        )
        for byte in ("\udcff", "\udcfe")
        for number in range(2)
    ]
    first, over, other, other_over = answers(postfix.policy, *asked)
    assert first == other == "action=DUNNO"
    assert over.startswith("action=450 4.7.1 Limit sender-hourly: 1 of 1")
    assert other_over.startswith("action=450 4.7.1 Limit sender-hourly: 1 of 1")
    client = redis_server.client()
    assert len(client.keys(f"policyd:1:{{{domain}}}:log:sender-hourly:*")) == 2
    client.close()
    assert daemon.ask("/v1/daemon")["store"]["up"]
