"""The services that are compared: each is started with a rate limit that refuses nothing, and gives its socket."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from bench import setting

DISK = Path("/var/tmp")  # noqa: S108  # /tmp may be in memory

Service = Callable[[], AbstractContextManager[Path]]

# As in Debian's own file but for places, numbers, senders without a login, and a log line for every attribute (debug).
_RATE_LIMIT = """\
debug: False
user: root
group: root
pidfile: {folder}/pid
backend: 0
sqlite_config: {{database: {folder}/db.sqlite3}}
SOCKET: {folder}/policy
socket_permission: 0666
limits: [[100000000, 3600]]
limit_by_sender: True
success_action: DUNNO
fail_action: 450 4.7.1 rate limit
"""
_POSTFWD = "id=RATE; protocol_state=RCPT; action=rate(sasl_username/100000000/3600/450 4.7.1 rate limit)\n"
# What Debian's /etc/default/postfwd says; no name is looked up in the DNS.
_POSTFWD_OPTIONS = ("--summary=600", "--cache=600", "--cache-rdomain-only", "--cache-no-size", "--nodns")


@contextmanager
def daemon(limits: int) -> Iterator[Path]:
    """Run Redis and a daemon with so many limits; return the policy socket."""
    with setting.folder() as folder:
        config = setting.configuration(folder, limits)
        with setting.redis(folder / "redis.sock"), setting.policyd(config) as socket:
            yield socket


@contextmanager
def responder(kind: str) -> Iterator[Path]:
    """Run a responder that decides nothing; return its socket."""
    with setting.folder() as folder:
        socket = folder / "policy"
        command = [str(setting.BIN / "python"), str(setting.HERE / "responders.py"), kind, f"unix:{socket}"]
        with setting.running(command, socket):
            yield socket


@contextmanager
def rate_limit() -> Iterator[Path]:
    """Run Debian's policyd-rate-limit with its sqlite on disk; return its socket."""
    with setting.folder(DISK) as folder:
        config, socket = folder / "config.yaml", folder / "policy"
        config.write_text(_RATE_LIMIT.format(folder=folder))
        with setting.running([_program("policyd-rate-limit"), "--file", str(config)], socket):
            yield socket


@contextmanager
def postfwd(program: str) -> Iterator[Path]:
    """Run one of the two programs of Debian's postfwd, which goes into the background; return its socket."""
    with setting.folder(DISK) as folder:
        rules, socket, pid = folder / "rules", folder / "policy", folder / "pid"
        rules.write_text(_POSTFWD)
        cache = ("--cache_proto", "unix", "--cache_port", str(folder / "cache")) if program == "postfwd2" else ()
        where = ("--proto", "unix", "--port", str(socket), "--pidfile", str(pid), "--user", "root", "--group", "root")
        command = [_program(program), "--daemon", "--file", str(rules), *_POSTFWD_OPTIONS, *cache, *where]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        setting.wait_for(socket)
        try:
            yield socket
        finally:
            os.kill(int(pid.read_text()), signal.SIGTERM)


def _program(name: str) -> str:
    return shutil.which(name, path="/usr/sbin:/usr/bin") or name


POLICYD: dict[str, Service] = {"policyd, 1 limit": partial(daemon, 1), "policyd, 3 limits": partial(daemon, 3)}
RESPONDERS: dict[str, Service] = {
    "responder that parses all into a dict": partial(responder, "dict"),
    "responder that parses nothing": partial(responder, "nothing"),
}


def others() -> dict[str, Service]:
    """Return the peers that can be started here."""
    found: dict[str, Service] = {
        "policyd-rate-limit": rate_limit,
        "postfwd2": partial(postfwd, "postfwd2"),
        "postfwd1": partial(postfwd, "postfwd1"),
    }
    missing = [name for name in found if os.geteuid() or not Path(_program(name)).is_absolute()]
    if missing:
        print(f"not compared, because only root can install and start them: {', '.join(missing)}")
    return {name: start for name, start in found.items() if name not in missing}
