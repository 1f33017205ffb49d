"""A host and a neighbour of it, each in a network namespace of its own, joined by a cable."""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from secrets import token_hex

from tests.support.programs import require

HERE, THERE = "192.0.2.1", "192.0.2.2"
HERE6, THERE6 = "2001:db8::1", "2001:db8::2"

# Connects to each address:port as the user, and prints the error numbers, 0 where it is connected.
_CONNECTS = r"""
import json, os, socket, sys
uid, held, *targets = sys.argv[1:]
os.setgroups([])
os.setgid(int(uid))
os.setuid(int(uid))
for target in targets:
    address, _, port = target.rpartition(":")
    connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    connection.settimeout(20)
    print(connection.connect_ex((address, int(port))), flush=True)
    if held == "held":
        sys.stdin.readline()
        connection.sendall(b"QUIT\r\n")
        print(connection.recv(100).decode(), flush=True)
    connection.close()
"""

# Listens on the ports, in both families, and sends back what it hears.
_LISTENS = r"""
import asyncio, sys

async def answer(reader, writer):
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()

async def serve():
    for port in sys.argv[1:]:
        await asyncio.start_server(answer, ["0.0.0.0", "::"], int(port))
    print("listens", flush=True)
    await asyncio.Event().wait()

asyncio.run(serve())
"""


class Network:
    """Both are there between ``start`` and ``stop``; needs root. The addresses are HERE and THERE."""

    def __init__(self) -> None:
        name = f"pd{token_hex(3)}"
        self._here, self._there = f"{name}a", f"{name}b"
        self._running = ExitStack()

    def start(self) -> None:
        """Make both, and give each its addresses."""
        require("ip", root=True)
        for place in (self._here, self._there):
            self._ip("netns", "add", place)
            self._running.callback(self._ip, "netns", "del", place)
        self._ip("link", "add", "eth0", "netns", self._here, "type", "veth", "peer", "eth0", "netns", self._there)
        for place, address, address6 in ((self._here, HERE, HERE6), (self._there, THERE, THERE6)):
            self._ip("-n", place, "address", "add", f"{address}/24", "dev", "eth0")
            self._ip("-n", place, "address", "add", f"{address6}/64", "dev", "eth0", "nodad")
            for device in ("lo", "eth0"):
                self._ip("-n", place, "link", "set", device, "up")

    def stop(self) -> None:
        """End what listens, and take both away."""
        self._running.close()

    def run(self, *command: str, check: bool = True) -> str:
        """Return what a command on the host prints. Raises CalledProcessError when ``check`` and it fails."""
        inside = self._inside(self._here, *command)
        return subprocess.run(inside, check=check, capture_output=True, text=True, timeout=60).stdout

    def connect(self, uid: int, *targets: str) -> list[int]:
        """Return what connecting from the host to each ``address:port`` gives to a user: 0, or an error number."""
        return [int(line) for line in self.run(*self._connecting(uid, "closed", *targets)).splitlines()]

    def hold(self, uid: int, target: str) -> subprocess.Popen[str]:
        """Return a process with a connection, once it stands; for a line it says QUIT and prints the answer."""
        command = self._inside(self._here, *self._connecting(uid, "held", target))
        held = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._running.callback(_end, held)
        assert held.stdout is not None
        assert held.stdout.readline() == "0\n"
        return held

    def listen(self, *ports: int, outside: bool = True) -> None:
        """Have somebody listen on the ports, outside or on the host itself."""
        place = self._there if outside else self._here
        command = self._inside(place, sys.executable, "-c", _LISTENS, *map(str, ports))
        listening = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._running.callback(_end, listening)
        assert listening.stdout is not None
        assert listening.stdout.readline() == "listens\n"

    @staticmethod
    def _connecting(uid: int, held: str, *targets: str) -> Sequence[str]:
        return [sys.executable, "-c", _CONNECTS, str(uid), held, *targets]

    @staticmethod
    def _inside(place: str, *command: str) -> list[str]:
        return [require("ip"), "netns", "exec", place, *command]

    @staticmethod
    def _ip(*arguments: str) -> None:
        subprocess.run([require("ip"), *arguments], check=True, timeout=60)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
