"""``make run``: the first thing that somebody does in a fresh clone."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.ports import free_port
from tests.support.wait import until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Return an environment in which ``make run`` uses free ports and a directory of its own."""
    with TemporaryDirectory(prefix="pd", dir="/tmp") as directory:
        text = (ROOT / "config" / "try.yaml").read_text()
        for port in ("10031", "9932"):
            assert port in text
            text = text.replace(port, str(free_port()))
        for line in ("unix:state/admin.sock", "directory: state"):
            assert line in text
            text = text.replace(line, line.replace("state", directory))
        (Path(directory) / "try.yaml").write_text(text)
        yield os.environ | {"POLICYD_CONFIG": f"{directory}/try.yaml", "POLICYD_ADMIN": f"{directory}/admin.sock"}


def test_it_shows_an_answer_a_refusal_and_what_was_used(environment: dict[str, str]) -> None:
    """With ONCE=1 the demonstration ends by itself."""
    command = ["make", "run", "ONCE=1"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "action=DUNNO" in done.stdout
    assert "action=550 5.7.1 Limit domain-hourly: 5 of 5 recipients in 1h used" in done.stdout
    assert "5/5 in 1h" in done.stdout
    assert "Where to look next" in done.stdout


def test_control_c_ends_it_and_the_daemon(environment: dict[str, str]) -> None:
    """SIGINT to the terminal's process group ends make, the demonstration and policyd."""
    with (Path(environment["POLICYD_CONFIG"]).parent / "out").open("w+") as out:
        running = subprocess.Popen(
            ["make", "run"],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        until(lambda: "until you press Ctrl-C" in Path(out.name).read_text(), "the demonstration is over", deadline=60)
        os.killpg(running.pid, signal.SIGINT)
        running.wait(30)
    until(lambda: not alive(running.pid), "all processes of the group have ended")
    assert not Path(environment["POLICYD_ADMIN"]).exists()


def alive(group: int) -> bool:
    """Return whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
