"""main.cf and master.cf of the test's Postfix: small, on loopback, nothing leaves the host."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.ports import free_port

HOSTED = "hosted.test"
"""Every domain below this one has mailboxes here: all names but ``nosuch``."""
NEXT_HOP = "sink.test"
"""Mail to domains below this one goes to the sink; all other mail is thrown away on delivery."""
LOCAL, FOREIGN = "127.0.0.1", "127.0.0.2"
"""A client's own address: the first is in mynetworks, the second is a stranger."""

_MAIN = """\
compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
maillog_file = {base}/log/mail.log
maillog_file_prefixes = {base}/log
syslog_name = postfix
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = {hostname}
myorigin = {origin}
mydestination =
smtpd_banner = $myhostname ESMTP
alias_maps =
alias_database =
local_transport = error:5.1.1 no local delivery here
mynetworks = 127.0.0.1/32
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
biff = no
notify_classes =
virtual_mailbox_domains = regexp:{base}/etc/hosted
virtual_mailbox_maps = regexp:{base}/etc/mailboxes
virtual_transport = discard:
default_transport = discard:
relay_transport = discard:
transport_maps = regexp:{base}/etc/transport
header_checks = regexp:{base}/etc/header
# After policyd has been asked: DATA is refused to the senders refused@.
smtpd_data_restrictions = check_sender_access regexp:{base}/etc/data
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtpd_sasl_type = dovecot
smtpd_sasl_path = {sasl}
smtpd_sasl_security_options = noanonymous
# Refusals are what is tested; the client that gets them must not be slowed down.
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
"""

_MASTER = """\
pickup    unix  n  -  n  60   1  pickup
cleanup   unix  n  -  n  -    0  cleanup
qmgr      unix  n  -  n  300  1  qmgr
rewrite   unix  -  -  n  -    -  trivial-rewrite
bounce    unix  -  -  n  -    0  bounce
defer     unix  -  -  n  -    0  bounce
trace     unix  -  -  n  -    0  bounce
verify    unix  -  -  n  -    1  verify
flush     unix  n  -  n  1000? 0 flush
proxymap  unix  -  -  n  -    -  proxymap
proxywrite unix -  -  n  -    1  proxymap
smtp      unix  -  -  n  -    -  smtp
relay     unix  -  -  n  -    -  smtp
lmtp      unix  -  -  n  -    -  lmtp
showq     unix  n  -  n  -    -  showq
error     unix  -  -  n  -    -  error
retry     unix  -  -  n  -    -  error
discard   unix  -  -  n  -    -  discard
local     unix  -  n  n  -    -  local
virtual   unix  -  n  n  -    -  virtual
anvil     unix  -  -  n  -    1  anvil
scache    unix  -  -  n  -    1  scache
postlog   unix-dgram n - n -   1  postlogd
"""

_TABLES = {
    "hosted": r"/(^|\.)" + HOSTED.replace(".", r"\.") + "$/ yes\n",
    "mailboxes": "!/^nosuch@/ mailbox\n",
    "header": "/^X-Refuse:/ REJECT header refused\n",
    "data": "/^refused@/ REJECT\n",
    "transport": "/[@.]" + NEXT_HOP.replace(".", r"\.") + "$/ smtp:[127.0.0.1]:{next_hop}\n",
}


@dataclass(frozen=True)
class Port:
    """One smtpd entry of master.cf on a free loopback port, with its ``-o`` settings.

    ``name`` is the last part of its syslog_name, by which the log tells the ports apart. A port
    that is not ``written`` stands in the text of a recipe.
    """

    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    number: int = field(default_factory=free_port)
    written: bool = True

    def entry(self) -> str:
        """Return the lines of master.cf."""
        settings = {"syslog_name": f"postfix/{self.name}", **self.options}
        lines = [f"  -o {{ {name} = {value} }}" for name, value in settings.items()]
        return "\n".join([f"127.0.0.1:{self.number} inet n - n - - smtpd", *lines, ""])


@dataclass(frozen=True)
class Files:
    """What is written below ``base``.

    ``main`` is added at the end of main.cf. ``master`` is added to master.cf, and an entry in it
    replaces the one of the same service, as an administrator would do it by hand. ``routes`` are
    lines of the transport map that stand before its own.
    """

    base: Path
    hostname: str
    origin: str
    sasl: str
    next_hop: int
    main: str = ""
    master: str = ""
    routes: str = ""

    def write(self, ports: Mapping[str, Port]) -> None:
        """Write the configuration; Postfix must be told to reload if it runs."""
        etc = self.base / "etc"
        places = {"base": self.base, "hostname": self.hostname, "origin": self.origin, "sasl": self.sasl}
        (etc / "main.cf").write_text(_MAIN.format(**places) + self.main)
        entries = "".join(port.entry() for port in ports.values() if port.written)
        replaced = _services(self.master)
        own = (line for line in _MASTER.splitlines(keepends=True) if not _services(line) & replaced)
        (etc / "master.cf").write_text("".join(own) + entries + self.master)
        for name, text in {**_TABLES, "transport": self.routes + _TABLES["transport"]}.items():
            (etc / name).write_text(text.replace("{next_hop}", str(self.next_hop)))


def _services(entries: str) -> set[tuple[str, ...]]:
    """Return name and type of each service in lines of master.cf."""
    lines = (line.split() for line in entries.splitlines() if line[:1].strip("# "))
    return {tuple(words[:2]) for words in lines}
