"""A private Mailman 3 core: it takes posts from a Postfix, mails the members through it, and is asked by REST."""

import base64
import json
import os
import signal
import socket
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from tests.support.ports import free_port
from tests.support.postfix import Postfix
from tests.support.programs import cannot_run
from tests.support.wait import until

MAX_RECIPIENTS = 100
"""How many members one message is for, at most."""

_HOME = Path(__file__).parents[2] / ".venv-mailman"
_START, _STOP = 90.0, 60.0  # a dozen Python processes, on a machine that may have other work
_QUEUES = ("in", "pipeline", "out", "retry", "virgin", "bounces", "shunt", "bad")

_CONFIGURATION = """\
[mailman]
site_owner: postmaster@host.test
layout: test
[paths.test]
var_dir: {base}/var
[mta]
incoming: mailman.mta.postfix.LMTP
outgoing: mailman.mta.deliver.deliver
smtp_host: 127.0.0.1
smtp_port: {smtp_port}
lmtp_host: 127.0.0.1
lmtp_port: {lmtp_port}
max_recipients: {max_recipients}
verp_delivery_interval: {verp:d}
configuration: {base}/postfix.cfg
[webservice]
hostname: 127.0.0.1
port: {rest_port}
admin_user: test
admin_pass: {password}
workers: 1
# Shipped: 15 min and 2 min.
[runner.retry]
sleep_time: 1s
[runner.bounces]
sleep_time: 1s
[runner.archive]
start: no
[runner.digest]
start: no
"""
_POSTFIX = """\
[postfix]
postmap_command: /bin/true
transport_file_type: regex
"""
_QUIET = {"send_welcome_message": False, "default_nonmember_action": "accept", "archive_policy": "never"}


class Mailman:
    """One Mailman core. Tests share it: each has lists in a domain of its own."""

    def __init__(self, postfix: Postfix) -> None:
        self._postfix = postfix
        self._directory = tempfile.TemporaryDirectory(prefix="pd", dir="/tmp")
        self.base = Path(self._directory.name)
        self.rest_port, self.lmtp_port = free_port(), free_port()
        self.user, self.password = "test", token_hex(8)
        self._port, self._verp = "lists", False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where REST is served."""
        return f"http://127.0.0.1:{self.rest_port}/3.1"

    def start(self) -> None:
        """Start, and return when it takes posts and answers by REST."""
        if not (_HOME / ".test").exists():
            cannot_run("Mailman is missing; `make test` installs it")
        (self.base / "postfix.cfg").write_text(_POSTFIX)
        self._write()
        command = [str(_HOME / "bin" / "master"), "-C", str(self.base / "mailman.cfg")]
        with (self.base / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=os.environ | {"HOME": str(self.base)}
            )
        until(self._answers, "Mailman answers", deadline=_START)

    def pause(self) -> None:
        """End all of its processes; ``start`` begins again with what it knew."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(_STOP)
            self._process = None

    def stop(self) -> None:
        """End all of its processes and remove its files."""
        self.pause()
        self._directory.cleanup()

    def deliver(self, port: str, *, verp: bool) -> None:
        """Mail through that port from now on, with an envelope sender for each member or one for all."""
        if (port, verp) == (self._port, self._verp):
            return
        self.wait_idle()  # who is ended while he works on a message puts it aside, for ever
        self._port, self._verp = port, verp
        self._write()
        before = until(lambda: self._runner("out"), "Mailman's outgoing runner runs", deadline=_START)
        os.kill(before, signal.SIGUSR1)
        until(lambda: self._runner("out") not in {0, before}, "Mailman's outgoing runner starts again", deadline=_START)

    def add_list(self, posting: str, members: Iterable[str]) -> None:
        """Make a list that everybody may post to; nobody is welcomed."""
        name, _, domain = posting.partition("@")
        if domain not in {one["mail_host"] for one in self.ask("domains").get("entries", [])}:
            self.ask("domains", {"mail_host": domain})
        self.ask("lists", {"fqdn_listname": posting})
        self.ask(f"lists/{name}.{domain}/config", _QUIET, method="PATCH")
        agreed = dict.fromkeys(("pre_verified", "pre_confirmed", "pre_approved"), True)
        for member in members:
            self.ask("members", {"list_id": f"{name}.{domain}", "subscriber": member, **agreed})
        # The map that Mailman writes for Postfix, which reads a regexp map once.
        self._postfix.route((self.base / "var" / "data" / "postfix_lmtp").read_text())

    def scores(self, posting: str) -> dict[str, int]:
        """Return the bounce score of each member."""
        members = self.ask(f"lists/{posting.replace('@', '.')}/roster/member").get("entries", [])
        return {one["email"]: one["bounce_score"] for one in members}

    def wait_idle(self) -> None:
        """Wait until no message is in its queues, not even one to be tried again."""
        try:
            until(lambda: not self._queued(), "Mailman has no work left", deadline=60)
        except AssertionError as error:
            logs = [log.read_text("utf-8", "replace")[-2000:] for log in (self.base / "var" / "logs").glob("*.log")]
            raise AssertionError("\n".join([str(error), *self._queued(), *logs])) from error

    def ask(self, path: str, values: dict[str, Any] | None = None, method: str | None = None) -> Any:
        """Ask REST, by GET without values and else by POST, and return the answer, None where it has no text."""
        data = None if values is None else urllib.parse.urlencode(values).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, method=method)
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {credentials}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def _write(self) -> None:
        text = _CONFIGURATION.format(
            base=self.base,
            smtp_port=self._postfix.port(self._port),
            lmtp_port=self.lmtp_port,
            rest_port=self.rest_port,
            max_recipients=MAX_RECIPIENTS,
            verp=self._verp,
            password=self.password,
        )
        (self.base / "mailman.cfg").write_text(text)

    def _runner(self, name: str) -> int:
        """Return the process id of a runner, 0 while there is none."""
        assert self._process is not None
        master = self._process.pid
        for child in Path(f"/proc/{master}/task/{master}/children").read_text().split():
            with suppress(FileNotFoundError, ProcessLookupError):
                if f"--runner={name}:".encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        return 0

    def _queued(self) -> list[str]:
        queues = self.base / "var" / "queue"
        return [str(file.relative_to(queues)) for name in _QUEUES for file in (queues / name).glob("*.*")]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.base / "log").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.lmtp_port), 5).close()
            return bool(self.ask("system/versions"))
        except OSError:
            return False
