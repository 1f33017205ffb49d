"""A daemon that serves a mix of all kinds of traffic while a Prometheus looks on."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from tests.support.asker import Asker, new_instance
from tests.support.bearer import TOKEN, token_file
from tests.support.daemon import rate
from tests.support.logindaemon import LoginDaemon
from tests.support.nameserver import NameServer
from tests.support.ports import free_port
from tests.support.prometheus import Prometheus
from tests.support.redis import running

TRAP = "old-friend@remote.test"
DOMAINS = {"example.org": "shared", "shop.test": "shared", "club.test": "large", "idle.test": "large"}
LIMITS = {
    "domain-hourly": rate(200),
    "user-hourly": rate(180, traffic=["user"], per="user", over="reject"),
    "list-share": rate(140, traffic=["list"], mode="observe"),
    "unlisted-hourly": rate(100, traffic=["relayed"], over="defer"),
}
PLAN = ["domain-hourly", "user-hourly", "list-share", "pop-checks"]
PLANS = {"shared": {"apply": PLAN}, "large": {"extends": "shared", "change": {"domain-hourly": {"max": 400}}}}

ZONE = "mx.host A 192.0.2.25\n2.0.0.127.bl A 127.0.0.2\nshop MX 10 mx.host\nclub MX 10 mx.host\nidle MX 10 mx.host\n"
DNS = {"mx": ["mx.host.test"], "senders": ["192.0.2.7"], "dnsbl": ["bl.test"]}

OUTSIDE = {"client_address": "192.0.2.9", "sasl_username": ""}
LOCAL = {"client_address": "127.0.0.1", "sasl_username": ""}
KINDS = {
    "login": ({"sasl_username": "bob@example.org", "sender": "bob@example.org"}, 4),
    "script": ({**LOCAL, "sender": "www@shop.test"}, 3),
    "list": ({**LOCAL, "sender": "news-bounces@club.test"}, 5),
    "relayed": ({**LOCAL, "sender": "x@elsewhere.test"}, 2),
    "inbound": ({**OUTSIDE, "sender": "x@remote.test", "recipient": "bob@example.org"}, 6),
}
"""What is asked, and about how many recipients."""


class Day(NamedTuple):
    """The daemon and what looks at it."""

    daemon: LoginDaemon
    prometheus: Prometheus

    def mix(self) -> None:
        """Ask a bit of everything."""
        with Asker(self.daemon.base / "policy") as asker:
            for kind, recipients in KINDS.values():
                _message(asker, kind, recipients)
            asker.ask(sasl_username="amy@club.test", sender="amy@club.test", recipient=TRAP)
        self.daemon.login()
        self.daemon.fail()


def _message(asker: Asker, kind: dict[str, str], recipients: int) -> None:
    sent = {**kind, "instance": new_instance()}
    answers = [asker.ask(**{"recipient": f"r{number}@remote.test", **sent}) for number in range(recipients)]
    end = {"recipient": "", "recipient_count": str(answers.count("DUNNO")), "protocol_state": "END-OF-MESSAGE"}
    asker.ask(**{**sent, **end})


@contextmanager
def day() -> Iterator[Day]:
    """Run the daemon and a Prometheus that has scraped it."""
    with running() as server, ExitStack() as stack:
        target = f"127.0.0.1:{free_port()}"
        names = NameServer()
        stack.callback(names.remove)
        names.serve(ZONE)
        daemon = LoginDaemon(
            server.url, plans=PLANS, accounts={"domains": DOMAINS}, spam_traps={"addresses": [TRAP]},
            listen={"metrics": target}, dns={**DNS, "resolver": [names.address]},
        )  # fmt: skip
        daemon.configuration["limits"] |= LIMITS
        daemon.configuration["listen"]["metrics_token_file"] = token_file(daemon.base)
        stack.callback(daemon.remove)
        daemon.start()
        prometheus = Prometheus(target, TOKEN)
        stack.callback(prometheus.stop)
        prometheus.start()
        prometheus.wait('up{job="policyd"} == 1')
        yield Day(daemon, prometheus)
