"""What the benchmarks share: a configuration, a private Redis, a daemon, the load generator."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from grp import getgrgid
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
_COMPILED = HERE.parent / ".venv-compiled"
DOMAINS, CONNECTIONS = 1000, 32
_READY = 60.0

LIMITS = {
    "domain-hourly": "counts: recipients, per: domain, window: 1h",
    "user-hourly": "counts: recipients, per: user, window: 1h, traffic: [user]",
    "domain-daily": "counts: messages, per: domain, window: 1d",
    "client-hourly": "counts: recipients, per: client, window: 1h",
}


def configuration(
    folder: Path, limits: int, *, settle: str = "recipient", domains: int = DOMAINS, store: Path | None = None
) -> Path:
    """Write a configuration with so many rate limits in force, metrics and the decision log on; return its path.

    ``store`` is the socket of a Redis that does not stand in ``folder``.
    """
    names = list(LIMITS)[:limits]
    listed = "\n".join(f"  {name}: {{kind: rate, max: 100000000, {LIMITS[name]}}}" for name in names)
    (folder / "domains.map").write_text("".join(f"domain{number}.test\n" for number in range(domains)))
    path, group = folder / "policyd.yaml", getgrgid(os.getegid()).gr_name
    path.write_text(
        f"version: 1\n"
        f"listen: {{postfix: ['unix:{folder}/policy'], postfix_group: {group}, admin: 'unix:{folder}/admin'}}\n"
        f"store: {{url: 'unix://{store or folder / 'redis.sock'}', directory: {folder}/state}}\n"
        f"accounts: {{hosted: ['file:{folder}/domains.map'], default_plan: shared, settle: {settle}}}\n"
        f"exempt: {{recipients: ['postmaster@*', 'abuse@*']}}\nlimits:\n{listed}\n"
        f"plans: {{shared: {{apply: [{', '.join(names)}]}}}}\nlog: {{accepted: true}}\n"
    )
    return path


@contextmanager
def folder(below: Path = Path("/tmp")) -> Iterator[Path]:  # noqa: S108
    """Return a folder with a short name, for sockets; it is removed afterwards."""
    with TemporaryDirectory(prefix="pdb", dir=below) as name:
        yield Path(name)


@contextmanager
def redis(socket: Path) -> Iterator[int]:
    """Run a redis-server without persistence on a unix socket; returns its pid."""
    program = shutil.which("redis-server") or "redis-server"
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(socket.parent)]
    with running([program, *options], socket) as process:
        yield process.pid


def compiled() -> bool:
    """Return whether ``make`` has compiled the sources as they are now."""
    done, sources = _COMPILED / ".done", HERE.parent / "policyd"
    newest = max(file.stat().st_mtime for kind in ("py", "lua") for file in sources.rglob(f"*.{kind}"))
    return done.exists() and done.stat().st_mtime >= newest


@contextmanager
def policyd(config: Path) -> Iterator[Path]:
    """Run a daemon under a configuration, the compiled one where ``make`` has made it; returns its policy socket."""
    socket = config.parent / "policy"
    program = (_COMPILED / "bin" if compiled() else BIN) / "policyd"
    command = [str(program), "serve", "--config", str(config)]
    log = config.parent / "decisions.log"
    try:
        with log.open("wb") as to, running(command, config.parent / "admin", stderr=to):
            yield socket
    except NotStartedError as failed:
        raise SystemExit(f"{failed}\n{log.read_text()[-1000:]}") from failed


def started(folder: Path) -> int:
    """Return the pid of the daemon whose configuration is in a folder."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and str(folder / "policyd.yaml").encode() in _command(entry):
            return int(entry.name)
    raise SystemExit("the daemon has ended")


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


class NotStartedError(Exception):
    """A program that is to be measured does not start."""


@contextmanager
def running(command: list[str], socket: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:  # noqa: ANN401
    """Run a program until the block ends; the block begins when its socket is there."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, **options)
    try:
        wait_for(socket, process)
        yield process
    finally:
        process.terminate()
        process.wait()
        socket.unlink(missing_ok=True)


def wait_for(socket: Path, process: subprocess.Popen[bytes] | None = None) -> None:
    """Return when a socket is there."""
    begun = time.monotonic()
    while not socket.exists():
        if process and process.poll() is not None:
            raise NotStartedError(f"{process.args!r} ended with {process.returncode}")
        if time.monotonic() > begun + _READY:
            raise NotStartedError(f"nobody listens on {socket} after {_READY:.0f} s")
        time.sleep(0.02)


def build_load() -> Path:
    """Compile the load generator when it is older than its source; return its path."""
    if shutil.which("cc") is None:
        raise SystemExit("the load generator needs a C compiler: apt-get install gcc libc6-dev")
    program, sources = HERE / "load", [*HERE.glob("*.c"), *HERE.glob("*.h")]
    if not program.exists() or program.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(HERE / "load.c")], check=True)
    return program


class WrongAnswersError(Exception):
    """A service did not answer, or not DUNNO."""


def load(socket: Path, *options: str) -> Mapping[str, Any]:
    """Run the load generator against a socket and return what it measured."""
    command = [str(build_load()), *options, f"unix:{socket}"]
    return heard(subprocess.run(command, check=False, stdout=subprocess.PIPE).stdout)


def heard(printed: bytes) -> Mapping[str, Any]:
    """Return what the load generator has printed."""
    found: Mapping[str, Any] = json.loads(printed or '{"errors": "only", "actions": {}}')
    refused = {action: count for action, count in found["actions"].items() if action != "DUNNO" and count}
    if found["errors"] or refused:
        raise WrongAnswersError(f"{found['errors']} errors, answers {refused}")
    return found
