"""Another user of the host, for tests that run as root."""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pwd import getpwnam
from typing import Any

_SENDS = r"""
import smtplib, sys
with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=30) as smtp:
    smtp.ehlo("script.test")
    smtp.mail(sys.argv[3])
    codes = [smtp.rcpt(recipient)[0] for recipient in sys.argv[4:]]
    if 250 in codes:
        assert smtp.data("Subject: x\n\nx\n")[0] == 250
    print(*codes)
"""


def as_user(uid: int, work: Callable[[], Any]) -> Any:
    """Return what ``work`` returns, as JSON has it, in a process that is this user's and in no group but its own.

    Raises AssertionError with what it raised there. No thread may run beside the test.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            json.dump(_result(uid, work), pipe)
            pipe.flush()
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        result = json.load(pipe)
    os.waitpid(child, 0)
    assert "error" not in result, result["error"]
    return result["value"]


def _result(uid: int, work: Callable[[], Any]) -> dict[str, Any]:
    try:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        return {"value": work()}
    except BaseException as error:  # noqa: BLE001  # nothing else tells the test
        return {"error": repr(error)}


def sends_as(user: str, port: int, sender: str, recipients: Sequence[str], host: str = "127.0.0.1") -> list[int]:
    """Return the answers to the recipients of a message that a Unix user sends on loopback, as any script could."""
    command = ["/usr/bin/python3", "-c", _SENDS, host, str(port), sender, *recipients]
    done = subprocess.run(
        command, user=user, group=getpwnam(user).pw_gid, extra_groups=[], cwd="/",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [int(code) for code in done.stdout.split()]
