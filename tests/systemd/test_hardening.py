"""What the hardening forbids is not needed."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.support.redis import binaries
from tests.support.wait import until

PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1

# Runs a program without the right to make memory executable, as MemoryDenyWriteExecute= does.
CONFINE = f"""
import ctypes, os, sys
assert ctypes.CDLL(None).prctl({PR_SET_MDWE}, {PR_MDWE_REFUSE_EXEC_GAIN}, 0, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""

# Loads everything that the daemon loads and runs a loop, after a look whether it is confined.
DAEMON = """
import mmap
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    print("confined")
import asyncio, uvloop, policyd.cli.main, policyd.running
uvloop.run(asyncio.sleep(0))
print("runs")
"""


def confined(program: str, *arguments: str) -> list[str]:
    """Return the command that runs a program confined."""
    return [sys.executable, "-c", CONFINE, program, *arguments]


@pytest.fixture(scope="module", autouse=True)
def _kernel() -> None:
    """Skip where the kernel cannot confine (before Linux 6.3); systemd does it by seccomp there."""
    pr_get_mdwe = 66
    if ctypes.CDLL(None).prctl(pr_get_mdwe, 0, 0, 0, 0) < 0:
        pytest.skip("this kernel has no PR_SET_MDWE; Linux 6.3 has")


def test_daemon_makes_no_executable_memory() -> None:
    """The daemon and all that it loads run under MemoryDenyWriteExecute=."""
    result = subprocess.run(
        confined(sys.executable, "-c", DAEMON), capture_output=True, text=True, check=False, timeout=60
    )

    assert (result.stdout.split(), result.returncode) == (["confined", "runs"], 0), result.stderr


@pytest.mark.parametrize("binary", binaries().values(), ids=binaries().keys())
def test_redis_makes_no_executable_memory(short_dir: Path, binary: str) -> None:
    """redis-server runs Lua scripts under MemoryDenyWriteExecute=."""
    options = ["--port", "0", "--unixsocket", str(short_dir / "redis"), "--save", "", "--dir", str(short_dir)]
    server = subprocess.Popen(confined(binary, *options), stdout=subprocess.DEVNULL)
    try:
        until((short_dir / "redis").is_socket, "redis-server listens")
        with redis.Redis(unix_socket_path=str(short_dir / "redis")) as client:
            assert client.eval("return redis.call('INCR', KEYS[1]) + 41", 1, "key") == 42
    finally:
        server.terminate()
        server.wait(20)
