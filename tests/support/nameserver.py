"""A real name server, NSD, on loopback, for zones that a test writes."""

import subprocess
import tempfile
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from tests.support.ports import free_port
from tests.support.programs import require
from tests.support.wait import until

_CONFIGURATION = """\
server:
    ip-address: 127.0.0.1@{port}
    username: ""
    chroot: ""
    zonesdir: "{base}"
    database: ""
    pidfile: ""
    xfrdfile: "{base}/xfrd"
    zonelistfile: "{base}/zones"
    xfrdir: "{base}"
    server-count: 1
remote-control:
    control-enable: no
zone:
    name: test
    zonefile: zone
"""
_HEAD = "$ORIGIN test.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n"


class NameServer:
    """Serves the zone ``test.`` and nothing else: about other names it is REFUSED."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="pd", dir="/tmp")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it answers, as dns.resolver has it."""
        return f"127.0.0.1:{self.port}"

    def serve(self, records: str) -> None:
        """Serve these lines of a zone file, instead of those before. Names without a last dot are below ``test.``."""
        self.stop_serving()
        base = Path(self._directory.name)
        (base / "zone").write_text(_HEAD + records)
        (base / "nsd.conf").write_text(_CONFIGURATION.format(port=self.port, base=base))
        command = [require("nsd"), "-d", "-c", str(base / "nsd.conf")]
        with (base / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until(self._answers, f"NSD answers: {(base / 'log').read_text()}")

    def stop_serving(self) -> None:
        """End it: nobody answers there any more."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def remove(self) -> None:
        """End it and remove its files."""
        self.stop_serving()
        self._directory.cleanup()

    def _answers(self) -> bool:
        question = dns.message.make_query("ns.test.", "A")
        try:
            return bool(dns.query.udp(question, "127.0.0.1", 1, self.port).answer)
        except (dns.exception.DNSException, OSError):
            return False
