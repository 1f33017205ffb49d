"""What a policy service adds to the work of Postfix: processor time of each message, in all processes together.

    python -m bench.postfix

As root; about 2 minutes. A private Postfix with a port for each service takes mail from smtp-source and
throws it away on delivery, its queue on disk. policyd is asked for the recipient and at the end of the
message, policyd-rate-limit for the recipient, as its manual says. Passes are interleaved.
"""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import redis as redis_py

from bench import peers, report, setting, tree
from tests.support.postfix import Postfix

PASSES, MESSAGES, SESSIONS = 5, 1000, 20
TARGET = 0.15
NOBODY = "no policy service"
_DONE = 120.0
_QUEUES = ("maildrop", "incoming", "active", "deferred")


class Asked(NamedTuple):
    """A service that an smtpd port asks: its restrictions, and the programs whose time is counted with Postfix's."""

    restrictions: Mapping[str, str]
    programs: tuple[int, ...]


def _entry(socket: Path) -> str:
    return f"check_policy_service {{ unix:{socket}, timeout=45s, default_action=DUNNO }}, permit_mynetworks, reject"


def _twice(socket: Path) -> Mapping[str, str]:
    entry = _entry(socket)
    return {"smtpd_recipient_restrictions": entry, "smtpd_end_of_data_restrictions": entry}


@contextmanager
def responder() -> Iterator[Asked]:
    """Run the responder that parses nothing."""
    with setting.folder() as folder:
        folder.chmod(0o755)
        socket = folder / "policy"
        command = [str(setting.BIN / "python"), str(setting.HERE / "responders.py"), "nothing", f"unix:{socket}"]
        with setting.running(command, socket) as process:
            socket.chmod(0o666)
            yield Asked(_twice(socket), (process.pid,))


@contextmanager
def policyd() -> Iterator[Asked]:
    """Run a daemon and its Redis."""
    with setting.folder() as folder:
        folder.chmod(0o755)  # smtpd comes in as postfix
        config = setting.configuration(folder, 1, settle="end-of-message")
        config.write_text(config.read_text().replace("postfix_group: root", "postfix_group: postfix"))
        with setting.redis(folder / "redis.sock") as store, setting.policyd(config) as socket:
            yield Asked(_twice(socket), (store, setting.started(folder)))
            with redis_py.Redis(unix_socket_path=str(folder / "redis.sock")) as client:
                assert any(b":ring:" in key for key in client.scan_iter(count=1000)), "policyd has counted nothing"


@contextmanager
def rate_limit() -> Iterator[Asked]:
    """Run policyd-rate-limit."""
    with peers.rate_limit() as socket:
        socket.parent.chmod(0o755)
        pid = int((socket.parent / "pid").read_text())
        yield Asked({"smtpd_recipient_restrictions": _entry(socket)}, (pid,))


class Result(NamedTuple):
    """One pass: ms of processor time of a message in the parts, and messages a second."""

    postfix: float
    service: float
    client: float
    rate: float


def measured(postfix: Postfix, name: str, asked: Asked) -> Result:
    """Send the messages through one port, wait until the queue is empty, and return what that took."""
    master = int((postfix.base / "queue" / "pid" / "master.pid").read_text())
    roots, begun = ((master,), asked.programs), time.monotonic()
    before, client = [tree.processor_ms(one) for one in roots], _reaped_ms()
    command = [shutil.which("smtp-source", path="/usr/sbin:/usr/bin") or "smtp-source"]
    command += ["-s", str(SESSIONS), "-m", str(MESSAGES), "-l", "4000", "-f", "user1@domain1.test"]
    command += ["-t", "somebody@remote.example", f"127.0.0.1:{postfix.port(name)}"]
    subprocess.run(command, check=True, timeout=_DONE)
    client = _reaped_ms() - client
    deadline = time.monotonic() + _DONE
    while _waiting(postfix):
        if time.monotonic() > deadline:
            raise SystemExit(f"{name}: the queue does not become empty")
        time.sleep(0.05)
    seconds = time.monotonic() - begun
    used = [tree.processor_ms(one) - start for one, start in zip(roots, before, strict=True)]
    return Result(used[0] / MESSAGES, used[1] / MESSAGES, client / MESSAGES, MESSAGES / seconds)


def _reaped_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000


def _waiting(postfix: Postfix) -> bool:
    return any(files for name in _QUEUES for _, _, files in os.walk(postfix.base / "queue" / name))


def passes(services: Mapping[str, Asked]) -> dict[str, list[Result]]:
    """Run the passes, each service once in turn, after one that does not count."""
    found: dict[str, list[Result]] = {name: [] for name in services}
    postfix = Postfix()
    ports = {name: f"port{number}" for number, name in enumerate(services)}
    try:
        for name, asked in services.items():
            postfix.add(ports[name], asked.restrictions)
        postfix.start()
        for _ in range(1 + PASSES):
            for name, asked in services.items():
                found[name].append(measured(postfix, ports[name], asked))
    finally:
        postfix.stop()
    return {name: results[1:] for name, results in found.items()}


def main() -> None:
    """Run the passes; print and write the section."""
    if os.geteuid():
        print("the cost in Postfix is not measured: only root can start one")
        return
    noise = report.Noise()
    with ExitStack() as running:
        services = {
            NOBODY: Asked({}, ()),
            "responder that parses nothing, RCPT and END-OF-MESSAGE": running.enter_context(responder()),
            "policyd, RCPT and END-OF-MESSAGE": running.enter_context(policyd()),
        }
        if "policyd-rate-limit" in peers.others():
            services["policyd-rate-limit, RCPT"] = running.enter_context(rate_limit())
        found = passes(services)
    medians = {name: Result(*(median(column) for column in zip(*rows, strict=True))) for name, rows in found.items()}
    base, rows = sum(medians[NOBODY][:3]), []
    for name, result in medians.items():
        whole = sum(result[:3])
        rows.append(
            (name, *(f"{ms:.2f}" for ms in (*result[:3], whole)), f"{whole / base - 1:+.0%}", f"{result.rate:,.0f}")
        )
    head = ("CPU ms a message", "Postfix", "service and store", "smtp-source", "all", "more", "messages/s")
    words = (
        f"Medians of {PASSES} interleaved passes of {MESSAGES:,} messages, {SESSIONS} sessions at once, through a\n"
        f"private Postfix to `discard:`. policyd shall add at most {TARGET:.0%} to all; the responder shows what\n"
        "asking alone adds."
    )
    table = report.table(head, rows)
    report.write("postfix", "\n\n".join(["## Cost in Postfix", words, table, noise.said()]))


if __name__ == "__main__":
    main()
