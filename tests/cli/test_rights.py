"""Who may do what on the admin socket, asked by processes that are other users."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policyd.cli.client import AdminClient, RefusedError
from policyd.errors import DaemonError
from tests.support.daemon import rate
from tests.support.person import as_user
from tests.support.process import Process, configuration
from tests.support.programs import require
from tests.support.redis import RedisServer

NOBODY, DAEMON, BIN = 65_534, 1, 2
GROUPS = """\
root:x:0:
bin:x:2:
policyd-support:x:61001:nobody
policyd-admin:x:61002:daemon
nogroup:x:65534:
"""


@pytest.fixture
def daemon(redis_server: RedisServer, tmp_path: Path) -> Iterator[Process]:
    """Run a daemon on whose host nobody is of the read group and daemon of the write group."""
    unshare = require("unshare", root=True)
    groups = tmp_path / "group"
    groups.write_text(GROUPS)
    running = Process(configuration(redis_server.url, ["a.test"], {"domain-hourly": rate(4)}))
    running.configuration["listen"]["postfix_group"] = "root"
    try:
        running.write()
        running.base.chmod(0o755)
        running.launch(around=[unshare, "--mount", "sh", "-c", f'mount --bind {groups} /etc/group && exec "$@"', "sh"])
        running.wait_ready()
        yield running
    finally:
        running.remove()


def ask(daemon: Process, uid: int, method: str, route: str) -> tuple[int, Any]:
    """Return status and answer, or error, of what a user asks."""

    def work() -> tuple[int, Any]:
        client = AdminClient(str(daemon.admin))
        try:
            return 200, client.get(route) if method == "GET" else client.post(route)
        except RefusedError as error:
            return error.status, str(error)

    status, answer = as_user(uid, work)
    return status, answer


def forbidden(group: str) -> tuple[int, str]:
    """Return the answer to a user who would have to be in a group."""
    return 403, f"only members of group {group} may do this (usermod -aG {group} USER)"


def test_a_stranger(daemon: Process) -> None:
    """A user of no group may nothing, and is told which group it takes."""
    assert ask(daemon, BIN, "GET", "/v1/status?subject=a.test") == forbidden("policyd-support")
    assert ask(daemon, BIN, "GET", "/v1/daemon") == forbidden("policyd-support")
    assert ask(daemon, BIN, "POST", "/v1/reload") == forbidden("policyd-admin")
    assert daemon.reloads("ok") == 0


def test_support(daemon: Process) -> None:
    """The read group may look, and change nothing."""
    status, answer = ask(daemon, NOBODY, "GET", "/v1/status?subject=a.test")

    assert (status, answer["gauges"][0]["limit"]) == (200, "domain-hourly")
    assert ask(daemon, NOBODY, "POST", "/v1/reload") == forbidden("policyd-admin")
    assert daemon.reloads("ok") == 0


def test_admins(daemon: Process) -> None:
    """The write group may do both, and the log says who did."""
    assert ask(daemon, DAEMON, "GET", "/v1/daemon")[0] == 200
    assert ask(daemon, DAEMON, "POST", "/v1/reload") == (200, {"changes": [], "issues": [], "warnings": [], "over": []})
    assert daemon.reloads("ok") == 1
    assert daemon.said(f"(uid {DAEMON}) asks for a reload")


def test_the_policy_socket(daemon: Process) -> None:
    """The socket for Postfix is open to its group alone."""

    def work() -> str:
        try:
            daemon.asker().close()
        except PermissionError:
            return "refused"
        return "connected"

    assert as_user(NOBODY, work) == "refused"
    assert daemon.policy.stat().st_mode & 0o777 == 0o660


def test_a_closed_directory(daemon: Process) -> None:
    """Who may not reach the socket is told what to do."""
    daemon.base.chmod(0o700)

    def work() -> str:
        with pytest.raises(DaemonError) as caught:
            AdminClient(str(daemon.admin)).get("/v1/daemon")
        return str(caught.value)

    cure = "ask as a user who may enter that directory"
    assert as_user(NOBODY, work) == f"no answer from unix:{daemon.admin}: Permission denied ({cure})"
    assert os.geteuid() == 0
