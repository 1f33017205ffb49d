"""A copy of this host that systemd runs: with nothing but what a test starts, from the units of this checkout."""

import shlex
import sys
from pathlib import Path
from secrets import token_hex

import pytest

from tests.support.command import PROGRAM
from tests.support.copied_host import CopiedHost
from tests.support.programs import require
from tests.support.wait import until

ROOT = Path(__file__).parents[2]
UNITS = "/etc/systemd/system"

# Of the units of the host none is left that a target would start. Checkout and interpreter may be in a home, in /tmp,
# which the copy and each service have of their own, or on other file systems.
_BOOT = f"""
cd "$1/host"
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
rm -rf lib/systemd/system/*.target.wants etc/systemd/system lib/systemd/system-generators
mkdir -p etc/systemd/system/policyd.service.d etc/policyd var/lib/policyd
cp {shlex.quote(str(ROOT))}/systemd/* etc/systemd/system
printf '[Unit]\\nDescription=nothing\\n' > etc/systemd/system/nothing.target
printf '#!/bin/sh\\nexec %s "$@"\\n' {shlex.quote(str(PROGRAM))} > usr/local/bin/policyd
chmod 755 usr/local/bin/policyd
for directory in {shlex.quote(str(ROOT))} {shlex.quote(sys.prefix)} {shlex.quote(sys.base_prefix)}; do
    if ! [ -e ".$directory" ] || [ "$(stat -c %d "$directory")" != "$(stat -c %d /)" ]; then
        mkdir -p ".$directory"
        mount --rbind "$directory" ".$directory"
        printf '[Service]\\nBindReadOnlyPaths=%s\\n' "$directory" >> etc/systemd/system/policyd.service.d/checkout.conf
        directory=$(dirname "$directory")
    fi
    while [ "$directory" != / ]; do chmod o+rx ".$directory"; directory=$(dirname "$directory"); done
done
id --user policyd > /dev/null 2>&1 || chroot . useradd --system policyd
cp -r etc/systemd/system/policyd.service.d etc/systemd/system/policyd@.service.d
echo ready
exec chroot . env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    /lib/systemd/systemd --unit=nothing.target --log-target=null --default-standard-output=null
"""

_GROUPS = Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")
"""Where control groups of version 2 are: beside those of version 1, or alone."""


class SystemdHost(CopiedHost):
    """The copy, with systemd for its first process and the shipped units. ``drop_in`` comes before what it changes."""

    own = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--ipc", "--uts", "--cgroup")
    boot = _BOOT

    def __init__(self) -> None:
        super().__init__()
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        own = "".join(line.removeprefix("0::/") for line in lines if line.startswith("0::"))
        self._group = next(filter(Path.exists, _GROUPS)) / own / f"policyd-{token_hex(4)}"

    def start(self) -> None:
        """Make the copy and boot it."""
        running = ("running\n", "degraded\n")
        require("unshare", root=True)
        try:
            self._group.mkdir()
        except OSError as error:
            pytest.skip(f"systemd needs control groups, and none can be made here: {error}")
        super().start()
        try:
            until(lambda: self.run("systemctl", "is-system-running", check=False) in running, "systemd runs")
        except AssertionError as error:
            pytest.skip(f"systemd does not run in a namespace here: {error}")

    def stop(self) -> None:
        """End systemd with all that it has started, and remove their control groups."""
        super().stop()
        if not self._group.exists():
            return
        until(self._is_empty, "all processes have ended")
        for group in sorted(self._group.rglob("*/"), reverse=True):
            group.rmdir()
        self._group.rmdir()

    def _is_empty(self) -> bool:
        return "populated 0" in (self._group / "cgroup.events").read_text()

    def around(self) -> list[str]:
        """Return the command that runs everything in a control group of its own."""
        move = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
        return ["bash", "-c", move, str(self._group)]

    def spaces(self) -> list[str]:
        """Return the options of nsenter that lead into it: systemctl must be seen by its systemd."""
        first = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()[0]
        return ["--target", first, "--mount", "--net", "--pid"]

    def drop_in(self, unit: str, text: str) -> None:
        """Change a unit as ``systemctl edit`` does."""
        self.write(f"{UNITS}/{unit}.d/test.conf", text)

    def write(self, path: str, text: str) -> None:
        """Write a file, and its directory."""
        self.run("bash", "-c", f"mkdir -p {shlex.quote(str(Path(path).parent))}; cat > {shlex.quote(path)}", text=text)

    def property(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).rstrip()
