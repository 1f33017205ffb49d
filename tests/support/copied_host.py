"""A copy of this host that a test may install packages in: an overlay over /, gone with the test.

It has a network of its own, with loopback and nothing else, so that no port there is taken.
"""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.programs import require

# Everything is mounted in a namespace of this shell's own, and ends with it.
_MOUNTS = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/host"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/host"
mount -t proc proc "$1/host/proc"
mount --rbind /dev "$1/host/dev"
mount -t tmpfs tmpfs "$1/host/run"
mount -t tmpfs tmpfs "$1/host/tmp"
ip link set lo up
"""


class CopiedHost:
    """The copy is there between ``start`` and ``stop``; needs root."""

    own: Sequence[str] = ("--mount", "--net")
    """The namespaces that are not those of the real host."""
    boot = "echo ready\nexec sleep infinity\n"
    """What is done when the copy is there."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="pd", dir="/tmp")
        self._holding: subprocess.Popen[str] | None = None
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Make the copy."""
        own, script = [*self.own, "--propagation", "private"], _MOUNTS + self.boot
        command = [require("unshare", root=True), *own, "bash", "-c", script, "bash", self._directory.name]
        self._holding = subprocess.Popen([*self.around(), *command], stdout=subprocess.PIPE, text=True)
        assert self._holding.stdout is not None
        assert self._holding.stdout.readline() == "ready\n"

    def stop(self) -> None:
        """End what runs in it, and take it away."""
        for daemon in self._daemons:
            daemon.terminate()
            daemon.wait(30)
        if self._holding is not None:
            self._holding.kill()
            self._holding.communicate()
        self._directory.cleanup()

    def run(self, *command: str, text: str = "", check: bool = True, **environ: str) -> str:
        """Return what a command prints there, given ``text``. Fails the test when it fails and ``check`` is set."""
        done = subprocess.run(
            self._inside(*command), input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=100, check=False, env=_clean() | environ,
        )  # fmt: skip
        assert done.returncode == 0 or not check, f"{command} ended with {done.returncode}: {done.stdout}"
        return done.stdout

    def daemon(self, user: str, *command: str) -> None:
        """Run a command as a user until ``stop``."""
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *command]
        quiet = subprocess.DEVNULL
        self._daemons.append(
            subprocess.Popen(self._inside(*as_user), env=_clean(), stdin=quiet, stdout=quiet, stderr=quiet)
        )

    def put(self, file: Path, path: str) -> None:
        """Copy a file of the test's into it."""
        with file.open("rb") as content:
            subprocess.run(self._inside("tee", path), stdin=content, stdout=subprocess.DEVNULL, check=True, timeout=60)

    @property
    def pid(self) -> int:
        """The process that holds the copy."""
        assert self._holding is not None
        return self._holding.pid

    def around(self) -> list[str]:
        """Return the command that runs the command which makes the copy."""
        return []

    def spaces(self) -> list[str]:
        """Return the options of nsenter that lead into it."""
        return ["--target", str(self.pid), "--mount", "--net"]

    def path(self, path: str) -> Path:
        """Return where a socket of its own can be reached from outside."""
        return Path(f"/proc/{self.pid}/root{self._directory.name}/host{path}")

    def _inside(self, *command: str) -> list[str]:
        return [require("nsenter"), *self.spaces(), "chroot", f"{self._directory.name}/host", *command]


def _clean() -> dict[str, str]:
    """Return an environment without anything of the test run's."""
    path = os.pathsep.join(("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"))
    return {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
