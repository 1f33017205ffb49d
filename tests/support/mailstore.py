"""A private Dovecot with mailboxes: POP3 and whatever a recipe of the README adds to it."""

import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex

from tests.support.ports import free_port
from tests.support.programs import require
from tests.support.wait import until

PASSWORD = "secret"
MAIL_USER = 65534

_ANY_USER = """\
  driver = static
  args = uid={user} gid={user} home={base}/mail/%u
"""
_LISTED_USERS = """\
  driver = passwd-file
  args = username_format=%u {base}/users
  override_fields = uid={user} gid={user} home={base}/mail/%u
"""
_CONFIGURATION = """\
base_dir = {base}/run
state_dir = {base}/state
instance_name = {name}
log_path = {base}/dovecot.log
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = {user}
mail_location = maildir:~/Maildir
# A mailbox's folder is made when the first mail comes.
passdb {{
  driver = static
  args = password={password}
{passdb}}}
userdb {{
{userdb}}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""


class MailStore:
    """One Dovecot that knows every user, in any domain, by the password ``PASSWORD``.

    ``recipe`` is added to its configuration, ``passdb`` inside the passdb block. With ``users``
    these are all that have mailboxes, and doveadm lists them.
    """

    def __init__(self, recipe: str, passdb: str = "", users: Sequence[str] = ()) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="pd", dir="/tmp")
        self.base = Path(self._directory.name)
        self.configuration = self.base / "dovecot.conf"
        self.pop3_port = free_port()
        self._recipe, self._passdb, self._users = recipe, passdb, users

    def start(self) -> None:
        """Start, and return when POP3 greets."""
        program = require("dovecot", root=True)
        require("/usr/lib/dovecot/pop3")
        self.base.chmod(0o755)
        (self.base / "mail").mkdir(mode=0o700)
        subprocess.run(["chown", f"{MAIL_USER}:{MAIL_USER}", str(self.base / "mail")], check=True)
        (self.base / "users").write_text("".join(f"{user}:::::\n" for user in self._users))
        userdb = (_LISTED_USERS if self._users else _ANY_USER).format(base=self.base, user=MAIL_USER)
        text = _CONFIGURATION.format(
            base=self.base, name=f"d{token_hex(4)}", user=MAIL_USER, password=PASSWORD, passdb=self._passdb,
            userdb=userdb, pop3=self.pop3_port,
        )  # fmt: skip
        self.configuration.write_text(text + self._recipe)
        # Not captured: the daemon keeps a pipe open, and its end would never come.
        nothing = subprocess.DEVNULL
        subprocess.run([program, "-c", self.configuration], check=True, stdout=nothing, stderr=nothing, timeout=20)
        until(self._greets, "Dovecot greets on its POP3 port")

    def stop(self) -> None:
        """End all of its processes and remove its files."""
        if self.configuration.exists():
            command = [require("dovecot", root=True), "-c", str(self.configuration), "stop"]
            subprocess.run(command, check=False, capture_output=True, timeout=20)
        self._directory.cleanup()

    @property
    def log(self) -> list[str]:
        """The lines of its log so far."""
        return (self.base / "dovecot.log").read_text().splitlines()

    def doveadm(self, *words: str, text: bytes = b"") -> str:
        """Run doveadm and return what it prints."""
        command = [require("doveadm"), "-c", str(self.configuration), *words]
        return subprocess.run(command, input=text, check=True, capture_output=True, timeout=60).stdout.decode()

    def fill(self, mailbox: str, size: int) -> None:
        """Put one message of about ``size`` bytes into an INBOX, whatever its quota."""
        body = b"Subject: big\r\n\r\n" + b"x" * 74 + b"\r\n"
        body += (b"y" * 76 + b"\r\n") * (size // 78)
        self.doveadm("-o", "plugin/quota_rule=*:storage=1G", "save", "-u", mailbox, "-m", "INBOX", text=body)

    def messages(self, mailbox: str) -> int:
        """Return how many messages an INBOX holds."""
        return int(self.doveadm("mailbox", "status", "-u", mailbox, "messages", "INBOX").rpartition("=")[2])

    def pop3(self, mailbox: str, password: str = PASSWORD, source: str = "127.0.0.1") -> str:
        """Log in by POP3 from an address and return the answer to the password."""
        with socket.create_connection(("127.0.0.1", self.pop3_port), 40, (source, 0)) as connection:
            answers = connection.makefile("rb")
            answers.readline()
            for line in (f"USER {mailbox}", f"PASS {password}"):
                connection.sendall(f"{line}\r\n".encode())
                said = answers.readline()
            connection.sendall(b"QUIT\r\n")
            answers.readline()
        return said.decode().rstrip()

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.pop3_port), 40) as connection:
                return connection.makefile("rb").readline().startswith(b"+OK")
        except OSError:
            return False
