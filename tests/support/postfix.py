"""A private Postfix instance on loopback, with several smtpd ports that ask one policy socket."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from pwd import getpwnam
from secrets import token_hex
from typing import Any

from tests.support.postfix_files import HOSTED, Files, Port
from tests.support.postfix_log import MailLog
from tests.support.programs import require
from tests.support.smtp import Session
from tests.support.wait import until


class Postfix:
    """One Postfix instance. Tests share it: each has domains of its own, and its own policy daemon.

    ``policy`` is the path of the unix socket that the ports ask; who listens there, answers.
    ``ports`` are added with ``add`` before ``start`` (cheap) or after it (a reload).
    """

    def __init__(self, sasl: Path | None = None, next_hop: int = 9) -> None:
        self.token = f"p{token_hex(4)}"
        self._directory = tempfile.TemporaryDirectory(prefix="pd", dir="/tmp")
        self.base = Path(self._directory.name)
        self.policy = self.base / "queue" / "policyd" / "policy"
        self.ports: dict[str, Port] = {}
        self.log = MailLog(self.base / "log" / "mail.log")
        origin, hostname = f"{self.token}.{HOSTED}", f"{self.token}.host.test"
        self.files = Files(self.base, hostname, origin, str(sasl or "none"), next_hop)
        self._running = False

    @property
    def config(self) -> Path:
        """The directory of main.cf."""
        return self.base / "etc"

    def check(self, *settings: str, timeout: str = "45s") -> str:
        """Return the check_policy_service entry for ``policy``, with more ``name=value`` settings.

        Unlike the recommended one it defers where no daemon answers, so that no test passes
        without one.
        """
        nothing = "{ default_action=451 4.3.5 no answer from policyd }"
        more = "".join(f", {setting}" for setting in settings)
        socket = self.policy.relative_to(self.base / "queue")  # a chrooted smtpd finds it, too
        return f"check_policy_service {{ unix:{socket}, timeout={timeout}, try_limit=2, {nothing}{more} }}"

    def add(self, name: str, options: Mapping[str, str]) -> Port:
        """Add an smtpd port, or replace the one of that name, and return it when it greets."""
        port = self.ports[name] = Port(name, options)
        if self._running:
            self.reload()
        return port

    def port(self, name: str) -> int:
        """Return the number of the port of that name."""
        return self.ports[name].number

    def start(self, around: Sequence[str] = ()) -> None:
        """Start, by a command ``around`` it, and return when every port greets with this instance's name."""
        require("postfix", root=True)
        owner = getpwnam("postfix")
        for name in ("etc", "queue", "data", "log"):
            (self.base / name).mkdir()
        os.chown(self.base / "data", owner.pw_uid, 0)
        (self.base / "data").chmod(0o700)
        self.policy.parent.mkdir()
        self.base.chmod(0o755)
        self.files.write(self.ports)
        self._command("postfix", "start", around=around)
        self._running = True
        self._greeted()

    def stop(self) -> None:
        """End all of its processes and remove its files."""
        if self._running:
            self._postfix("stop")
        self._directory.cleanup()

    def reload(self) -> None:
        """Write main.cf and master.cf anew and let the running Postfix take them over."""
        self.files.write(self.ports)
        self._postfix("reload")
        self._greeted()

    def append(self, *, main: str = "", master: str = "") -> None:
        """Add text to main.cf and master.cf, as a recipe tells an administrator to."""
        self.files = replace(self.files, main=self.files.main + main, master=self.files.master + master)
        if self._running:
            self.reload()

    def route(self, routes: str) -> None:
        """Replace the lines of the transport map that stand before its own: the addresses that others deliver to."""
        self.files = replace(self.files, routes=routes)
        self.reload()

    def sendmail(self, sender: str, recipients: Sequence[str], *options: str, text: str = "Subject: x\n\nx\n") -> None:
        """Send a message as scripts do."""
        command = [require("sendmail"), "-C", str(self.config), "-f", sender, *options, *recipients]
        subprocess.run(command, input=text.encode(), check=True, capture_output=True, timeout=30)

    def queue(self) -> list[dict[str, Any]]:
        """Return the messages in the queue, as ``postqueue -j`` lists them."""
        listed = self._command("postqueue", "-j").stdout
        return [json.loads(line) for line in listed.splitlines()]

    def waiting(self, domain: str) -> list[str]:
        """Return the queue ids of the deferred messages whose sender is in ``domain``."""
        deferred = (one for one in self.queue() if one["queue_name"] == "deferred")
        return [one["queue_id"] for one in deferred if one["sender"].rpartition("@")[2] == domain]

    def flush(self, queue_ids: Iterable[str]) -> None:
        """Try deferred messages again now."""
        for queue_id in queue_ids:
            self._command("postqueue", "-i", queue_id)

    def delete(self, queue_ids: Iterable[str]) -> None:
        """Remove messages from the queue."""
        listed = "".join(f"{queue_id}\n" for queue_id in queue_ids)
        if listed:
            self._command("postsuper", "-d", "-", text=listed)

    def complaints(self) -> str:
        """Return what Postfix itself says against its configuration, "" when that is nothing."""
        asked = (("postfix", "check"), ("postconf", "-n"), ("postconf", "-M"))
        return "".join(self._command(*words).stderr for words in asked)

    def _greeted(self) -> None:
        until(lambda: all(self._greets(port) for port in self.ports.values()), "Postfix greets on all ports")

    def _greets(self, port: Port) -> bool:
        try:
            with Session(port.number) as session:
                banner = session.banner
        except OSError:
            return False
        assert banner == f"{self.files.hostname} ESMTP", f"port {port.number} belongs to somebody else: {banner}"
        return True

    def _postfix(self, verb: str) -> None:
        self._command("postfix", verb)

    def _command(
        self, program: str, *arguments: str, text: str = "", around: Sequence[str] = ()
    ) -> "subprocess.CompletedProcess[str]":
        command = [*around, shutil.which(program) or require(program), "-c", str(self.config), *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=110, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or self._last_lines()}"
        return done

    def _last_lines(self) -> str:
        return "\n".join(self.log.lines[-20:])
