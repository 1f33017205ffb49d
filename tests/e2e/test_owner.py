"""Two Unix users of the host send through Postfix on 127.0.0.1, and each in the other's name."""

from pathlib import Path

import pytest

from tests.support.daemon import LocalDaemon, Serve, rate, settings
from tests.support.person import sends_as
from tests.support.ports import free_port
from tests.support.postfix import Postfix
from tests.support.redis import RedisServer
from tests.support.smtp import Session

LIMIT, SHARE, SCRIPTS = "domain-hourly", "list-share", "scripts-hourly"
LIMITS = {LIMIT: rate(400), SHARE: rate(3, traffic=["list"]), SCRIPTS: rate(5, traffic=["script"])}
ALICE, BOB, SOFTWARE, STRANGER = "daemon", "bin", "list", "games"


@pytest.fixture(name="other")
def _other(domain: str) -> str:
    """Return a second customer's domain."""
    return f"other-{domain}"


@pytest.fixture(name="users")
def _users(tmp_path: Path, domain: str, other: str) -> str:
    """Return the map that says whose account the two users are."""
    path = tmp_path / "users.map"
    path.write_text(f"{ALICE} {domain}\n{BOB} {other}\n")
    return f"file:{path}"


def test_each_unix_user_is_charged_for_his_own(
    postfix: Postfix, serve: Serve, domain: str, other: str, users: str
) -> None:
    """MAIL FROM says the neighbour, and it helps neither of the two."""
    daemon = serve([domain, other], LIMITS, accounts={"local_users": users})
    port = postfix.port("smtp")
    assert sends_as(ALICE, port, f"bob@{other}", ["x@remote.test", "y@remote.test"]) == [250, 250]
    assert sends_as(BOB, port, f"alice@{domain}", ["x@remote.test"]) == [250]
    assert sends_as(BOB, port, "x@invented.test", ["x@remote.test"]) == [250]
    postfix.log.wait_queued(domain, 1)
    assert (daemon.used(domain, LIMIT), daemon.used(other, LIMIT)) == (2, 2)
    assert sends_as(ALICE, port, f"bob@{other}", [f"x{number}@remote.test" for number in range(6)])[-3:] == [450] * 3
    assert sends_as(BOB, port, f"alice@{domain}", ["x@remote.test"]) == [250]
    assert (daemon.used(domain, LIMIT), daemon.used(other, LIMIT)) == (5, 3)


def test_a_user_without_an_account_is_what_his_sender_says(
    postfix: Postfix, serve: Serve, domain: str, other: str, users: str
) -> None:
    """Who is not in local_users is charged as before, by the sender that he claims."""
    daemon = serve([domain, other], LIMITS, accounts={"local_users": users})
    assert sends_as(STRANGER, postfix.port("smtp"), f"alice@{domain}", ["x@remote.test"]) == [250]
    assert (daemon.used(domain, LIMIT), daemon.used(other, LIMIT)) == (1, 0)


def test_the_list_softwares_user_is_a_verified_list(
    postfix: Postfix, serve: Serve, domain: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """What he sends is list traffic of the list's domain, on the port that everybody has."""
    daemon = serve([domain], LIMITS, lists={"users": [SOFTWARE]}, log={"accepted": True})
    members = [f"x{number}@remote.test" for number in range(4)]
    assert sends_as(SOFTWARE, postfix.port("smtp"), f"news-bounces@{domain}", members) == [250] * 3 + [450]
    assert (daemon.used(domain, LIMIT), daemon.used(domain, SHARE)) == (3, 3)
    daemon.stop()
    assert f"account={domain} sure=verified traffic=list" in capfd.readouterr().err


def test_a_unix_user_is_known_on_ipv6_too(redis_server: RedisServer, domain: str, other: str, users: str) -> None:
    """As Postfix writes the addresses of a connection to ::1."""
    port, host = free_port(), Postfix()
    asks = f"  -o {{ smtpd_recipient_restrictions = {host.check()}, permit_mynetworks, reject }}\n"
    host.append(
        main="inet_protocols = all\ninet_interfaces = loopback-only\nmynetworks = [::1]/128\n",
        master=f"[::1]:{port} inet n - n - - smtpd\n{asks}",
    )
    configuration = settings(host.policy, redis_server.url, [domain, other], {LIMIT: rate(400)})
    configuration["accounts"] |= {"local_clients": ["::1/128"], "local_users": users}
    daemon = LocalDaemon(configuration)
    try:
        host.start()
        daemon.start()
        assert sends_as(ALICE, port, f"bob@{other}", ["x@remote.test"], "::1") == [250]
        assert (daemon.used(domain, LIMIT), daemon.used(other, LIMIT)) == (1, 0)
    finally:
        daemon.remove()
        host.stop()


def test_one_message_costs_one_look_up(
    postfix: Postfix, serve: Serve, domain: str, users: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many recipients it has; a null sender and a login cost none."""
    asked: list[tuple[str, int, str, int]] = []

    def owning(_kernel: object, *ends: object) -> None:
        asked.append(ends)  # type: ignore[arg-type]

    monkeypatch.setattr("policyd.owner.Kernel.owning", owning)
    serve([domain], {LIMIT: rate(400)}, accounts={"local_users": users})
    with Session(postfix.port("smtp")) as session:
        assert session.send("", ["x@remote.test"]).queued == 1
        assert session.send(f"alice@{domain}", [f"x{number}@remote.test" for number in range(5)]).queued == 5
        local = session.local_port
    assert asked == [("127.0.0.1", local, "127.0.0.1", postfix.port("smtp"))]
