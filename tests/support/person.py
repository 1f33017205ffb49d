"""Another user of the host, for tests that run as root."""

import json
import os
from collections.abc import Callable
from typing import Any


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
