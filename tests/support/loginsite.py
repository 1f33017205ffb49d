"""A real Dovecot that asks a policyd about logins, set up as the README has it."""

import socket
from collections.abc import Sequence
from pathlib import Path

from tests.support.daemon import LocalDaemon, Yaml, settings
from tests.support.mailstore import PASSWORD, MailStore
from tests.support.ports import free_port
from tests.support.readme import blocks

IN = "+OK Logged in."
REFUSED = "-ERR [AUTH] Authentication failed."
BOB = "bob@example.org"

_IMAP = """\
protocols = pop3 imap
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""


class LoginSite:
    """A policyd and a Dovecot that asks it.

    ``recipe`` is added to Dovecot's configuration, ``passdb`` stands inside its passdb block. With
    ``users`` these are all that have mailboxes.
    """

    def __init__(
        self, store_url: str, limits: Yaml, recipe: str = "", passdb: str | None = None, users: Sequence[str] = ()
    ) -> None:
        self.port, self.imap_port = free_port(), free_port()
        made = settings(Path("/nonexistent/policy"), store_url, ["example.org"], limits)
        self.daemon = LocalDaemon(made)
        key = self.daemon.base / "dovecot.key"
        key.write_text("0123456789abcdef")
        key.chmod(0o640)
        listen = self.daemon.configuration["listen"]
        listen["postfix"] = [f"unix:{self.daemon.base}/policy"]
        listen["postfix_group"] = "root"
        listen |= {"dovecot": f"127.0.0.1:{self.port}", "dovecot_key_file": str(key)}
        lines = blocks("dovecot.conf policyd") + recipe
        for written, here in (("127.0.0.1:10032", f"127.0.0.1:{self.port}"), ("/etc/policyd/dovecot.key", str(key))):
            assert written in lines
            lines = lines.replace(written, here)
        imap = _IMAP.format(port=self.imap_port)
        inside = blocks("dovecot.conf passdb") if passdb is None else passdb
        self.dovecot = MailStore(lines + blocks("dovecot.conf neighbours") + imap, inside, users)

    def start(self) -> None:
        """Start both."""
        self.daemon.start()
        self.dovecot.start()

    def stop(self) -> None:
        """End both."""
        self.dovecot.stop()
        self.daemon.remove()

    def pop3(self, mailbox: str = BOB, times: int = 1) -> list[str]:
        """Return the answers to so many logins."""
        return [self.dovecot.pop3(mailbox) for _ in range(times)]

    def imap(self, mailbox: str = BOB, password: str = PASSWORD) -> str:
        """Log in by IMAP and return the answer."""
        with socket.create_connection(("127.0.0.1", self.imap_port), 40) as connection:
            answers = connection.makefile("rb")
            answers.readline()
            connection.sendall(f"a LOGIN {mailbox} {password}\r\n".encode())
            return next(line for line in answers if line.startswith(b"a ")).decode()

    def sasl(self, service: str, mailbox: str = BOB) -> bool:
        """Return whether a login for a service of Dovecot's auth process succeeds, as Postfix asks for smtp."""
        words = ("auth", "test", "-x", f"service={service}", "-x", "rip=192.0.2.7", mailbox, PASSWORD)
        return "auth succeeded" in self.dovecot.doveadm(*words)
