"""While one mailbox is locked, its neighbours behind the same address log in, and fail2ban bans nobody."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import pytest

from tests.support.daemon import Yaml
from tests.support.loginsite import BOB, IN, REFUSED, LoginSite
from tests.support.mailstore import PASSWORD, MailStore
from tests.support.programs import require
from tests.support.redis import RedisServer
from tests.support.wait import until

LOCKED, NEIGHBOUR = "carol@example.org", BOB
LIMITS: Yaml = {
    "checks": {"kind": "rate", "counts": "logins", "protocols": ["pop3"], "max": 1, "window": "1h", "lock": "1h"}
}
FILTERS = Path("/etc/fail2ban/filter.d")
SHIPPED = Path(__file__).parents[2] / "config" / "fail2ban" / "dovecot.local"

Start = Callable[..., MailStore]


@pytest.fixture
def start(redis_server: RedisServer) -> Iterator[Start]:
    """Return what starts a policyd and a Dovecot where one mailbox is locked, by default with the recipe."""
    with ExitStack() as running:

        def begin(passdb: str | None = None) -> MailStore:
            site = LoginSite(redis_server.url, LIMITS, passdb=passdb)
            running.callback(site.stop)
            site.start()
            assert site.pop3(LOCKED) == [IN]
            return site.dovecot

        yield begin


def seconds(store: MailStore, mailbox: str, password: str = PASSWORD) -> tuple[str, float]:
    """Return the answer to a login and how long it took."""
    started = monotonic()
    answer = store.pop3(mailbox, password)
    return answer, monotonic() - started


def banned(directory: Path, log: str) -> list[str]:
    """Return the lines of a log that fail2ban counts against somebody, by the filter in a directory."""
    (directory / "log").write_text(f"{log}\n")
    where = [str(directory / name) for name in ("log", "filter.d/dovecot.conf")]
    command = [require("fail2ban-regex"), "-c", str(directory), "-o", "msg", *where]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()


def test_a_neighbour_logs_in_within_a_second(start: Start) -> None:
    """Refusals raise no penalty for the address, and are byte for byte a wrong password."""
    store = start()
    for _ in range(4):
        assert store.pop3(LOCKED) == REFUSED

    answer, took = seconds(store, NEIGHBOUR)

    assert answer == IN
    assert took < 1
    assert store.pop3(NEIGHBOUR, "wrong") == REFUSED


def test_a_guesser_still_waits(start: Start) -> None:
    """Wrong passwords raise the penalty as before: from the second on Dovecot lets the address wait longer."""
    store = start()
    assert store.pop3(NEIGHBOUR, "wrong") == REFUSED

    answer, took = seconds(store, LOCKED, "wrong")

    assert (answer, took > 2) == (REFUSED, True)


def test_without_the_recipe_a_neighbour_waits(start: Start) -> None:
    """What the recipe is for: by Dovecot's default the refusals of one mailbox slow down the others."""
    store = start("")
    assert store.pop3(LOCKED) == REFUSED

    assert seconds(store, NEIGHBOUR)[1] > 1


@pytest.mark.parametrize("syslog", [False, True])
def test_fail2ban_bans_for_wrong_passwords_only(start: Start, tmp_path: Path, syslog: bool) -> None:
    """By its own filter fail2ban counts a refusal; with ours only what Dovecot says of a wrong password."""
    store = start()
    store.pop3(LOCKED)
    store.pop3(NEIGHBOUR)
    store.pop3(NEIGHBOUR, "wrong", "127.0.0.3")
    until(lambda: sum("auth failed" in line for line in store.log) == 2, "Dovecot logs both failures")
    log = "\n".join(store.log)
    if syslog:
        log = re.sub(r"^(\w+ \d+ \S+) (\S+): \w+: ", r"\1 host dovecot: \2: ", log, flags=re.MULTILINE)
    (tmp_path / "filter.d").mkdir()
    for name in ("dovecot.conf", "common.conf"):
        shutil.copy(FILTERS / name, tmp_path / "filter.d")
    assert [LOCKED in line for line in banned(tmp_path, log)] == [True, False, False]

    shutil.copy(SHIPPED, tmp_path / "filter.d")

    (line,) = banned(tmp_path, log)
    assert line.endswith("Password mismatch")
    assert f"({NEIGHBOUR},127.0.0.3," in line
