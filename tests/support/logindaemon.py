"""A policyd in the test's process that a test asks about logins, as Dovecot does, and with commands."""

import json
from http import HTTPStatus
from typing import Any

from tests.support.command import policyd
from tests.support.daemon import LocalDaemon
from tests.support.dovecot_client import KEY, post
from tests.support.ports import free_port
from tests.support.process import configuration

LIMITS: dict[str, Any] = {
    "pop-checks": {"kind": "rate", "counts": "logins", "protocols": ["pop3"], "max": 3, "window": "1h", "lock": "2h"},
    "guesses": {"kind": "rate", "counts": "failed-logins", "max": 2, "window": "1h"},
}


class LoginDaemon(LocalDaemon):
    """A daemon for example.org that lets a mailbox log in three times an hour."""

    def __init__(self, store_url: str, **sections: Any) -> None:
        super().__init__(configuration(store_url, ["example.org"], LIMITS, **sections))
        self.port = free_port()
        key = self.base / "dovecot.key"
        key.write_text(KEY)
        key.chmod(0o640)
        listen = self.configuration["listen"]
        listen |= {"postfix": [f"unix:{self.base}/policy"], "dovecot": f"127.0.0.1:{self.port}"}
        listen["dovecot_key_file"] = str(key)

    def ask_login(self, command: str, **fields: Any) -> int:
        """Ask as Dovecot does, and return the status of the answer."""
        status, answer = self.post(command, **fields)
        assert status == HTTPStatus.OK, answer
        verdict: int = json.loads(answer)["status"]
        return verdict

    def post(self, command: str, **fields: Any) -> tuple[int, bytes]:
        """Return HTTP status and body of an answer."""
        return post(self.port, command, **fields)

    def login(self, times: int = 1, **fields: Any) -> list[int]:
        """Log in with the right password."""
        return [self.ask_login("allow", **fields) for _ in range(times)]

    def fail(self, times: int = 1, **fields: Any) -> None:
        """Fail with a wrong password, which Dovecot only reports."""
        for _ in range(times):
            self.ask_login("report", success=False, policy_reject=False, **fields)

    def run(self, *arguments: str, **environ: str) -> "tuple[int, str, str]":
        """Return exit code, output and errors of a command for this daemon."""
        done = policyd(*arguments, POLICYD_ADMIN=str(self.admin), POLICYD_CONFIG=str(self.path), **environ)
        return done.returncode, done.stdout, done.stderr
