"""A real Postfix configuration in a directory of its own, read through the real postconf."""

import dataclasses
import os
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from policyd.audit.postfix import Finding, PostfixView, Severity, audit, read_postfix
from policyd.conf.listed import Lists
from policyd.conf.schema import Accounts, Config, Endpoint, Exempt, Listen, StoreSettings, Terms
from policyd.model import Mode

ENTRY = "check_policy_service { unix:policyd/policy, timeout=45s, try_limit=2, default_action=DUNNO }"

_LONG_AGO = 1_000_000_000
_MAIN = """\
compatibility_level = 3.6
queue_directory = {queue}
myhostname = mx.example.org
mydestination =
inet_interfaces = all
"""
_GOOD_MAIN = f"""\
policyd_check = {ENTRY}
policyd_pickup = {ENTRY.replace("DUNNO", "DUNNO, policy_context=pickup")}
smtpd_recipient_restrictions = $policyd_check, permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtpd_end_of_data_restrictions = $policyd_check
"""
_MASTER = """\
smtp       inet  n - n - - smtpd
submission inet  n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
cleanup    unix  n - n - 0 cleanup
smtp       unix  - - n - - smtp
"""
_GOOD_PICKUP = """\
pickup     unix  n - n 60 1 pickup
  -o content_filter=policyd-pickup:[127.0.0.1]:10027
policyd-pickup unix - - n - 5 smtp
  -o soft_bounce=yes
127.0.0.1:10027 inet n - n - - smtpd
  -o mynetworks=127.0.0.0/8
  -o { smtpd_recipient_restrictions = $policyd_pickup, permit_mynetworks, reject }
  -o { smtpd_end_of_data_restrictions = $policyd_pickup }
"""


def config_of(queue: str, **changes: Any) -> Config:
    """Return a configuration whose socket stands below a queue directory; ``changes`` by section__field."""
    accounts = Accounts(
        local_clients=(ip_network("127.0.0.0/8"), ip_network("::1/128")),
        plans={"example.org": "shared"},
        changed={},
        contacts={},
        aliases={},
        local_users={},
        local_names=frozenset({"mx.example.org"}),
        default_domain="",
        default_plan="shared",
        delimiter="+",
        verified_contexts=frozenset(),
        charge_at_end=False,
        settle_at_end=True,
    )
    config = Config(
        mode=Mode.ENFORCE,
        listen=Listen(postfix=(Endpoint(path=f"{queue}/policyd/policy"),), policy_timeout=45_000),
        store=StoreSettings(),
        accounts=accounts,
        exempt=Exempt(),
        lists=Lists(),
        schedules={},
        limits={},
        plans={"shared": Terms("shared", ())},
        relayed=Terms("", ()),
        failed_logins=Terms("", ()),
        log_accepted=False,
        files=(),
    )
    for name, value in changes.items():
        section, _, field = name.partition("__")
        part = dataclasses.replace(getattr(config, section), **{field: value}) if field else value
        config = dataclasses.replace(config, **{section: part})
    return config


class Lab:
    """One Postfix configuration. It starts as nothing but two smtpd ports that ask nobody."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.queue = str(directory / "queue")
        (directory / "queue" / "policyd").mkdir(parents=True)
        self._main, self._master = _MAIN.format(queue=self.queue), _MASTER

    def good(self) -> "Lab":
        """Add what is recommended."""
        return self.main(_GOOD_MAIN).master(_GOOD_PICKUP)

    def main(self, text: str) -> "Lab":
        """Add lines to main.cf; the last of a name counts."""
        self._main += text.rstrip("\n") + "\n"
        return self

    def master(self, text: str) -> "Lab":
        """Add entries to master.cf."""
        self._master += text.rstrip("\n") + "\n"
        return self

    def below(self, service: str, *options: str) -> "Lab":
        """Add ``-o`` lines to one entry of master.cf."""
        name, kind = service.split()
        lines = self._master.splitlines()
        start = next(at for at, line in enumerate(lines) if line.split()[:2] == [name, kind])
        end = next((at for at in range(start + 1, len(lines)) if not lines[at].startswith(" ")), len(lines))
        self._master = "\n".join([*lines[:end], *options, *lines[end:], ""])
        return self

    def drop(self, service: str) -> "Lab":
        """Take an entry out of master.cf."""
        name, kind = service.split()
        kept, inside = [], False
        for line in self._master.splitlines():
            inside = line.split()[:2] == [name, kind] if not line.startswith(" ") else inside
            kept += [] if inside else [line]
        self._master = "\n".join([*kept, ""])
        return self

    def obey(self, finding: Finding) -> "Lab":
        """Write what a finding says into main.cf and master.cf."""
        header = ""
        for line in finding.write.splitlines():
            if line.startswith("#"):
                header = line
                if header.startswith("# master.cf, in the place of the entry "):
                    self.drop(f"{header.split()[-1]} unix")
            elif header.startswith("# main.cf"):
                self.main(line)
            elif header.startswith("# master.cf, below "):
                self.below(header.removeprefix("# master.cf, below "), line)
            else:
                assert header.startswith("# master.cf"), f"cannot write to {header}"
                self.master(line)
        return self

    def view(self) -> PostfixView:
        """Write the files and ask postconf."""
        for name, text in (("main.cf", self._main), ("master.cf", self._master)):
            (self.directory / name).write_text(text)
            # postconf naps for 0.3 s at each look, for as long as a file is younger than a second.
            os.utime(self.directory / name, (_LONG_AGO, _LONG_AGO))
        return read_postfix(str(self.directory))

    def audit(self, **changes: Any) -> list[Finding]:
        """Return the findings for a configuration with changes."""
        return audit(config_of(self.queue, **changes), self.view())


def the(findings: list[Finding], words: str, where: str = "") -> Finding:
    """Return the one finding whose problem contains these words, at a place if one is given."""
    found = [one for one in findings if words in one.problem and where in {"", one.where}]
    assert len(found) == 1, f"{words!r} in {len(found)} of: {findings}"
    return found[0]


def none(findings: list[Finding], words: str) -> bool:
    """Return whether no finding's problem contains these words."""
    return not any(words in finding.problem for finding in findings)


def errors(findings: list[Finding]) -> list[Finding]:
    """Return the findings that are errors."""
    return [finding for finding in findings if finding.severity is Severity.ERROR]
