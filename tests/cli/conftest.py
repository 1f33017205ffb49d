"""A daemon in the test's process, for commands that ask one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.asker import Asker
from tests.support.command import policyd
from tests.support.daemon import LocalDaemon, Yaml, rate
from tests.support.process import configuration
from tests.support.redis import RedisServer

LIMITS: Yaml = {
    "domain-hourly": rate(4),
    "user-hourly": rate(2, per="user", traffic=["user"]),
    "unlisted-hourly": rate(10, traffic=["relayed"], over="defer"),
}


class Site(LocalDaemon):
    """A daemon for example.org and the long-named domain, with its commands."""

    def __init__(self, made: Yaml) -> None:
        super().__init__(made)
        self.policy = self.base / "policy"
        if not made["listen"].get("trust_tcp"):
            self.configuration["listen"]["postfix"] = [f"unix:{self.policy}"]

    def run(self, *arguments: str, **environ: str) -> "tuple[int, str, str]":
        """Return exit code, output and errors of a command for this daemon."""
        done = policyd(*arguments, POLICYD_ADMIN=str(self.admin), POLICYD_CONFIG=str(self.path), **environ)
        return done.returncode, done.stdout, done.stderr

    def send(self, login: str, recipients: int, **attributes: str) -> list[str]:
        """Ask for so many recipients of messages of a login."""
        with Asker(self.policy) as asker:
            asked = {"sasl_username": login, "sender": login, **attributes}
            return [asker.ask(**asked) for _ in range(recipients)]


Serve = Callable[..., Site]


@pytest.fixture(autouse=True)
def _no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the commands be nobody else's, however the tests were started."""
    monkeypatch.delenv("SUDO_USER", raising=False)


@pytest.fixture
def serve(redis_server: RedisServer) -> Iterator[Serve]:
    """Return what starts a Site; sections of the configuration are laid over its own."""
    with ExitStack() as running:

        def start(**sections: Any) -> Site:
            accounts = {"settle": "recipient", "aliases": {"news.example.org": "example.org"}}
            accounts |= sections.pop("accounts", {})
            domains = ["example.org", "a-domain-with-a-name-that-is-longer-than-most.of-the-others.example.net"]
            limits = sections.pop("limits", LIMITS)
            made = configuration(redis_server.url, domains, limits, accounts=accounts, **sections)
            site = Site(made)
            running.callback(site.remove)
            site.start()
            return site

        yield start


@pytest.fixture
def site(serve: Serve) -> Site:
    """Run a Site as it is."""
    return serve()
