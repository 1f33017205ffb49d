"""A private Dovecot, as the SASL server of the test's Postfix."""

import subprocess
import tempfile
from pathlib import Path

from tests.support.programs import require
from tests.support.wait import until

PASSWORD = "secret"

_CONFIGURATION = """\
base_dir = {base}/run
state_dir = {base}/state
instance_name = {name}
log_path = {base}/dovecot.log
auth_verbose = yes
protocols =
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
# Any user, in any domain: each test has users of its own.
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener {socket} {{
    mode = 0666
  }}
}}
# Wrong passwords must not make the next test wait: the penalty goes by address, and all share one.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


class Dovecot:
    """One Dovecot that knows every user by the password ``PASSWORD``."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="pd", dir="/tmp")
        self._base = Path(self._directory.name)
        self._configuration = self._base / "dovecot.conf"

    @property
    def socket(self) -> Path:
        """The unix socket of the SASL server, for ``smtpd_sasl_path``."""
        return self._base / "sasl"

    def start(self) -> None:
        """Start, and return when the SASL server can be reached."""
        program = require("dovecot", root=True)
        self._base.chmod(0o755)
        text = _CONFIGURATION.format(base=self._base, name=self._base.name, socket=self.socket, password=PASSWORD)
        self._configuration.write_text(text)
        # Not captured: the daemon keeps a pipe open, and its end would never come.
        nothing = subprocess.DEVNULL
        subprocess.run([program, "-c", self._configuration], check=True, stdout=nothing, stderr=nothing, timeout=20)
        until(self.socket.exists, "Dovecot opens its SASL socket")

    def stop(self) -> None:
        """End all of its processes."""
        if self._configuration.exists():
            command = [require("dovecot", root=True), "-c", str(self._configuration), "stop"]
            subprocess.run(command, check=False, capture_output=True, timeout=20)
        self._directory.cleanup()
