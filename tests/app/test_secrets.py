"""No secret is shown, and nobody without rights gets in: by the installed daemon, asked by other users."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.command import policyd
from tests.support.daemon import Yaml, rate
from tests.support.person import as_user
from tests.support.ports import free_port
from tests.support.process import Process, configuration
from tests.support.programs import require
from tests.support.redis import running
from tests.support.secretfile import write_secret
from tests.support.unprivileged import unprivileged
from tests.support.wait import until

PASSWORD, KEY = "redis-Password-4711", "dovecot-key-0815-x"
NOBODY, OWN = 65_534, 61_234
READ_AT_START = ("store.password_file", "listen.dovecot_key_file", "listen.metrics_token_file")
ALICE = {"sasl_username": "alice@a.test", "sender": "alice@a.test"}
LOGINS: Yaml = {"pop-checks": {"kind": "rate", "counts": "logins", "protocols": ["pop3"], "max": 3, "window": "1h"}}


@pytest.fixture
def ending() -> Iterator[ExitStack]:
    """End what a test has started, last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """Return a directory as systemd makes it for LoadCredential=."""
    directory = tmp_path / "credentials"
    directory.mkdir(mode=0o700)
    for name, secret in {"redis": PASSWORD, "dovecot": KEY}.items():
        file = directory / name
        file.write_text(f"{secret}\n")
        file.chmod(0o400)
    return directory


@pytest.fixture
def daemon(ending: ExitStack, credentials: Path) -> Process:
    """Run a daemon whose secrets are credentials, with metrics and logins on ports of loopback."""
    require("true", root=True)
    server = ending.enter_context(running(password=PASSWORD))
    listen = {
        "metrics": f"127.0.0.1:{free_port()}",
        "dovecot": f"127.0.0.1:{free_port()}",
        "dovecot_key_file": "credential:dovecot",
    }
    store = {"password_file": "credential:redis"}
    made = configuration(server.url, ["a.test"], {"domain-hourly": rate(4), **LOGINS}, listen=listen, store=store)
    daemon = Process(made)
    ending.callback(daemon.remove)
    daemon.base.chmod(0o755)
    daemon.write()
    daemon.launch(around=["env", f"CREDENTIALS_DIRECTORY={credentials}"])
    daemon.wait_ready()
    return daemon


def get(address: str, path: str) -> tuple[int, str]:
    """Return status and text of a page."""
    connection = HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_credentials_of_systemd(daemon: Process) -> None:
    """The password and the key come from LoadCredential=, and the daemon counts."""
    with daemon.asker() as asker:
        assert asker.ask(**ALICE) == "DUNNO"

    daemon.wait_used("a.test", "domain-hourly", 1)


def test_no_secret_is_shown(daemon: Process) -> None:
    """Neither a command, nor the log, nor the metrics, nor the list of processes has one."""
    with daemon.asker() as asker:
        asker.ask(**ALICE)
    asked = [["config", "show"], ["config", "show", "a.test"], ["config", "check"], ["config", "check", "--json"]]
    asked = [[*words, "--config", str(daemon.path)] for words in asked] + [["status", "--admin", str(daemon.admin)]]
    answers = [policyd(*words) for words in asked]
    shown = "".join(answer.stdout + answer.stderr for answer in answers)
    commands = [
        Path(f"/proc/{pid}/cmdline").read_bytes()
        for pid in (daemon.pid, *map(int, Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()))
    ]
    page = get(daemon.configuration["listen"]["metrics"], "/metrics")[1]

    for secret in (PASSWORD, KEY):
        assert "domain-hourly" in shown
        assert secret not in shown + daemon.log + page
        assert not any(secret.encode() in command for command in commands)


def test_a_wrong_password_is_not_told(daemon: Process, credentials: Path) -> None:
    """What Redis says of it is in the log, the password is not."""
    daemon.stop()
    wrong = "wrong-" + PASSWORD
    file = credentials / "redis"
    file.chmod(0o600)
    file.write_text(wrong)
    daemon.launch(around=["env", f"CREDENTIALS_DIRECTORY={credentials}"])
    daemon.wait_ready()

    until(lambda: daemon.said("cannot reach Redis: WRONGPASS"), "the log says why")
    assert PASSWORD not in daemon.log


@pytest.mark.parametrize("named", READ_AT_START)
def test_a_secret_that_everybody_may_read_is_not_taken(ending: ExitStack, named: str) -> None:
    """The daemon does not start, and it and config check say which file it is, and not what is in it."""
    made = configuration("redis://127.0.0.1:1", ["a.test"], {"domain-hourly": rate(4)})
    made["listen"] |= {"dovecot": f"127.0.0.1:{free_port()}", "metrics": f"127.0.0.1:{free_port()}"}
    daemon = Process(made)
    ending.callback(daemon.remove)
    for name in READ_AT_START:
        section, key = name.split(".")
        daemon.configuration[section][key] = write_secret(daemon.base / name, PASSWORD)
    file = daemon.base / named
    file.chmod(0o644)
    daemon.write()
    daemon.launch()
    checked = policyd("config", "check", "--config", str(daemon.path))

    assert daemon.ended() == 1
    assert f"{file}: every user may read it (chgrp policyd {file} && chmod 0640 {file})" in daemon.log
    assert (checked.returncode, checked.stdout, checked.stderr.count("\n")) == (1, "", 1)
    assert f" {named}: {file}: every user may read it (chgrp policyd {file} && chmod 0640 {file})\n" in checked.stderr
    assert PASSWORD not in daemon.log + checked.stdout + checked.stderr


def test_a_neighbour_reads_no_names_in_metrics(daemon: Process) -> None:
    """Another user of the host sees figures, and no customer."""
    with daemon.asker() as asker:
        for _ in range(5):
            asker.ask(**ALICE)
    address = daemon.configuration["listen"]["metrics"]
    until(lambda: 'action="reject"' in get(address, "/metrics")[1], "the refusal is counted")

    status, page = as_user(NOBODY, lambda: get(address, "/metrics"))
    assert status == 200
    assert "policyd_refusals_total{" in page
    assert "a.test" not in page


def test_a_neighbour_asks_neither_as_postfix_nor_as_dovecot(daemon: Process) -> None:
    """The socket of Postfix is closed to him, and without the key Dovecot's listener answers nothing."""
    address = daemon.configuration["listen"]["dovecot"]

    def ask_as_postfix() -> str:
        try:
            daemon.asker().close()
        except PermissionError:
            return "refused"
        return "connected"

    def ask_as_dovecot() -> int:
        connection = HTTPConnection(address, timeout=20)
        connection.request("POST", "/dovecot?command=allow", b'{"login": "bob@a.test", "protocol": "pop3"}')
        return connection.getresponse().status

    assert as_user(NOBODY, ask_as_postfix) == "refused"
    assert as_user(NOBODY, ask_as_dovecot) == 401


def test_a_user_of_its_own_writes_only_its_state(ending: ExitStack, tmp_path: Path) -> None:
    """As systemd runs it: an unprivileged user to whom nothing belongs but its directories."""
    daemon = Process(configuration("embedded", ["a.test"], {"domain-hourly": rate(4)}))
    ending.callback(daemon.remove)
    run, state = daemon.base / "run", daemon.base / "state"
    run.mkdir()
    listen = daemon.configuration["listen"]
    daemon.policy, daemon.pages, daemon.admin = run / "policy", run / "metrics", run / "admin"
    listen |= {"postfix": [f"unix:{daemon.policy}"], "metrics": f"unix:{daemon.pages}", "admin": f"unix:{daemon.admin}"}
    listen["postfix_group"] = "nogroup"
    for directory in (run, state):
        os.chown(directory, OWN, NOBODY)
    daemon.base.chmod(0o755)
    daemon.write()
    mark = tmp_path / "mark"
    mark.touch()
    daemon.launch(around=unprivileged(OWN, NOBODY))
    daemon.wait_ready()
    with daemon.asker() as asker:
        assert asker.ask(**ALICE) == "DUNNO"
    daemon.hang_up("ok")
    owners = {
        int(line.split()[1])
        for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
        if line.startswith("Uid:")
    }
    daemon.stop()

    assert owners == {OWN}
    places = ["/etc", "/var", "/run", "/tmp", "/dev/shm"]
    find = ["find", *places, "-xdev", "-user", str(OWN), "-newer", str(mark)]
    written = subprocess.run(find, capture_output=True, text=True, check=False).stdout.split()
    assert written
    assert [path for path in written if not Path(path).is_relative_to(state) and Path(path) != run] == []
