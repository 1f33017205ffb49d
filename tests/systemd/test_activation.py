"""Socket activation by systemd's own tool."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.policy import request
from tests.support.policyserver import DUNNO
from tests.support.programs import require
from tests.support.wait import until

ROOT = Path(__file__).parents[2]


def test_started_by_the_first_request(short_dir: Path) -> None:
    """A request that comes before the daemon runs starts it and is answered; the socket file outlives the daemon."""
    path = short_dir / "policy"
    command = [
        require("systemd-socket-activate"),
        "-l",
        str(path),
        sys.executable,
        "-m",
        "tests.support.activated",
        str(path),
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (short_dir / "log").open("wb") as log:
        daemon = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
    try:
        until(path.is_socket, "systemd listens")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(str(path))
            client.sendall(request())
            assert client.recv(100) == DUNNO, (short_dir / "log").read_text()
        daemon.send_signal(signal.SIGTERM)
        assert (daemon.wait(20), path.is_socket()) == (0, True)
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()
