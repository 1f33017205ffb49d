"""What the benchmarks write: tables between marks in a document, with the machine and its noise beside them.

Text outside the marks is written by hand and stays. A command replaces its own section only.
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench import setting

RESULTS = setting.HERE / "RESULTS.md"
_PYTHON, _DEBIAN = ("uvloop", "hiredis"), ("redis-server", "postfix", "policyd-rate-limit", "postfwd")


class Noise:
    """What else happened on the machine since this was made."""

    def __init__(self) -> None:
        self._before = _times()
        self._load = os.getloadavg()[0]

    def said(self) -> str:
        """Return when and where the run was, and how much the host and others took."""
        used = [now - before for now, before in zip(_times(), self._before, strict=True)]
        whole = max(1, sum(used))
        return (
            f"{machine()}.\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC: steal {used[7] / whole:.1%} of the time, "
            f"idle {used[3] / whole:.0%}, load average before the run {self._load:.2f}."
        )


def _times() -> list[int]:
    """Return the ticks of all CPUs: user, nice, system, idle, iowait, irq, softirq, steal."""
    with Path("/proc/stat").open() as stat:
        return [int(ticks) for ticks in stat.readline().split()[1:9]]


def machine() -> str:
    """Return one line about the machine and the versions of what is measured."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    parts = [
        f"{os.cpu_count()} CPUs ({model[1] if model else platform.machine()}), {memory:.0f} GiB",
        f"Linux {platform.release()}",
        f"Python {platform.python_version()}",
        f"policyd {version('policyd')} ({'compiled' if setting.compiled() else 'plain Python'})",
        *(f"{name} {version(name)}" for name in _PYTHON),
        *(f"{name} {found}" for name in _DEBIAN if (found := _debian(name))),
    ]
    return ", ".join(parts)


def _debian(package: str) -> str:
    if shutil.which("dpkg-query") is None:
        return ""
    command = ["dpkg-query", "-W", "-f", "${Version}", package]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(section: str, text: str, document: Path = RESULTS) -> None:
    """Print a text, and put it into its place in a document; a section that has no place yet comes last."""
    print(f"{text}\n", flush=True)
    before = document.read_text() if document.exists() else ""
    begin, end = f"<!-- begin: {section} -->", f"<!-- end: {section} -->"
    head, found, rest = before.partition(f"{begin}\n")
    if not found:
        head, rest = f"{before}\n", f"{end}\n"
    _, _, tail = rest.partition(f"{end}\n")
    document.write_text(f"{head}{begin}\n{text}\n{end}\n{tail}")
