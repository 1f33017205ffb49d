"""A real Dovecot configuration in a directory of its own, read through the real doveconf."""

import subprocess
from pathlib import Path

from policyd.audit.doveconf import DovecotView, Served, read_dovecot
from policyd.audit.dovecot import audit_dovecot
from policyd.audit.finding import Finding
from policyd.conf.schema import Endpoint

KEY = "0123456789abcdef"

_BASE = """\
protocols = pop3
ssl = no
passdb {{
  driver = static
  args = password=secret
{inside}}}
"""
_GOOD = """\
auth_policy_server_url = http://127.0.0.1:10032/dovecot
auth_policy_server_api_header = <{key_file}
auth_policy_hash_nonce = x
auth_policy_check_before_auth = no
"""


class Lab:
    """One Dovecot configuration. It starts as one that knows nothing of policyd."""

    def __init__(self, directory: Path) -> None:
        self.file, self.key_file = directory / "dovecot.conf", directory / "key"
        self.key_file.write_text(KEY)
        self.key_file.chmod(0o640)
        self._text, self._inside = "", ""

    def good(self) -> "Lab":
        """Add what is recommended."""
        return self.write(_GOOD.format(key_file=self.key_file)).inside("override_fields = nodelay=y")

    def write(self, text: str) -> "Lab":
        """Add lines; the last of a name counts."""
        self._text += text.rstrip("\n") + "\n"
        return self

    def inside(self, line: str) -> "Lab":
        """Add a line to the passdb block."""
        self._inside += f"  {line}\n"
        return self

    def obey(self, finding: Finding) -> "Lab":
        """Write what a finding says into dovecot.conf, or do it."""
        header, _, lines = finding.write.partition("\n")
        if header == "# shell":
            subprocess.run(["sh", "-c", lines], check=True)
            return self
        assert header.startswith("# dovecot.conf"), f"cannot write to {header}"
        return self.inside(lines) if "passdb" in header else self.write(lines)

    def served(self, host: str = "127.0.0.1", timeout: int = 250) -> Served:
        """Return what policyd serves this Dovecot with."""
        return Served(Endpoint(host=host, port=10032), str(self.key_file), KEY, timeout)

    def view(self) -> DovecotView:
        """Write the file and ask doveconf."""
        self.file.write_text(_BASE.format(inside=self._inside) + self._text)
        return read_dovecot(str(self.file))

    def audit(self, served: Served | None = None) -> list[Finding]:
        """Return the findings."""
        return audit_dovecot(served or self.served(), self.view())
