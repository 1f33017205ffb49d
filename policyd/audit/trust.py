"""Who can speak to policyd besides Postfix, and who can speak through Postfix in another's name."""

from collections.abc import Iterator, Sequence

from policyd.audit.finding import Finding, Remark, Severity
from policyd.audit.flows import exempt
from policyd.audit.lists import RECIPIENT_LISTS, Ask
from policyd.audit.scene import Port, Scene
from policyd.audit.tokens import split
from policyd.audit.write import MAIN, POLICYD, override

_OTHERS = 0o007
_LIST_ERRORS = 5000
_AFTER_ERRORS = {
    "hard": "answers 421, and list software takes the rest for delivered",
    "soft": "waits 1 s before each answer",
}
_SMTP = 25
_OPEN_SENDERS = frozenset({"", "static:*"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_LOOPBACK_INTERFACES = frozenset({"all", "loopback-only", "localhost", "127.0.0.1", "::1", "[::1]"})


def check_trust(scene: Scene) -> Iterator[Remark]:
    """Yield who is believed without proof."""
    yield from _sockets(scene)
    yield from _tcp(scene)
    yield from _list_ports(scene)
    yield from _verified(scene)
    yield from _postfix_as_customer(scene)
    if scene.config.accounts.local_clients:
        yield from _local_clients(scene)
        yield from _sendmail(scene)


def _sockets(scene: Scene) -> Iterator[Remark]:
    listen = scene.config.listen
    paths = [one.path for one in listen.postfix if one.path]
    mode = listen.postfix_mode
    harm = "every user of this host can ask in any customer's name"
    if paths and mode & _OTHERS:
        cure = f'{POLICYD}\nlisten:\n  postfix_mode: "{mode & ~_OTHERS:04o}"'
        yield Remark(
            Finding(Severity.ERROR, "listen.postfix_mode", f"{mode:04o} opens the policy socket: {harm}", cure)
        )
    for path in paths:
        found = scene.view.sockets.get(path, 0)
        if found & _OTHERS and not mode & _OTHERS:
            cure = f"# shell; policyd sets it so at its start\nchmod {found & ~_OTHERS:04o} {path}"
            yield Remark(Finding(Severity.ERROR, path, f"the policy socket has mode {found:04o}: {harm}", cure))


def _tcp(scene: Scene) -> Iterator[Remark]:
    listen = scene.config.listen
    open_ones = [one for one in listen.postfix if one.port]
    if not open_ones:
        return
    harm = "every program that reaches it can ask in any customer's name"
    where = ", ".join(str(one) for one in open_ones)
    socket = f"{scene.queue_directory}/policyd/policy"
    cure = f'{POLICYD}\nlisten:\n  postfix: ["unix:{socket}"]'
    severity = Severity.NOTE if listen.trust_tcp else Severity.ERROR
    said = "" if listen.trust_tcp else " and trust_tcp is not set"
    yield Remark(Finding(severity, "listen.postfix", f"policyd listens on TCP, {where}{said}: {harm}", cure))


def _list_ports(scene: Scene) -> Iterator[Remark]:
    for port in scene.ports:
        service = port.service
        if not _has_context(port, scene.config.lists.contexts):
            continue
        if not service.loopback and not _closed(port):
            problem = "this port is the list software's own (lists.contexts), but anybody can connect to it"
            cure = override(service, {"smtpd_client_restrictions": "permit_mynetworks, reject"})
            yield Remark(Finding(Severity.ERROR, service.label, problem, cure), service.label)
        limits = {kind: service.settings.get(f"smtpd_{kind}_error_limit", "") for kind in _AFTER_ERRORS}
        most = int(service.settings.get("smtpd_recipient_limit", "1000"))
        low = [kind for kind, limit in limits.items() if limit.isdigit() and int(limit) <= most]
        if low:
            problem = f"after {limits[low[0]]} refused members of a list Postfix {_AFTER_ERRORS[low[0]]}"
            wanted = {f"smtpd_{kind}_error_limit": str(_LIST_ERRORS) for kind in _AFTER_ERRORS}
            yield Remark(Finding(Severity.ERROR, service.label, problem, override(service, wanted)), service.label)


def _verified(scene: Scene) -> Iterator[Remark]:
    """Yield ports whose context makes senders verified, though nothing verifies them."""
    verified = scene.config.accounts.verified_contexts
    for port in scene.ports:
        if not _has_context(port, verified):
            continue
        if port not in scene.pickup_ports():
            problem = "its policy_context makes senders verified, but any local user can connect and use any sender"
            left = ", ".join(sorted(verified - _contexts(port)))
            cure = f"{POLICYD}\naccounts:\n  verified_contexts: [{left}]"
        elif _senders(scene) in _OPEN_SENDERS:
            problem = "its policy_context makes senders verified, but sendmail(1) lets every user send as anybody"
            cure = _sender_maps()
        else:
            continue
        yield Remark(Finding(Severity.ERROR, port.service.label, problem, cure), port.service.label)


def _postfix_as_customer(scene: Scene) -> Iterator[Remark]:
    """Yield where the user that Postfix runs as passes for the sender of all that Postfix hands in again."""
    accounts, users = scene.config.accounts, scene.config.lists.users
    owner = scene.view.main.get("mail_owner", "postfix")
    again = f"{owner} is Postfix itself: all mail that it hands in again (sendmail(1), content filters)"
    if accounts.local_users.get(owner):
        problem = f"{again} would be charged to {accounts.local_users[owner]}"
        cure = f"# the file of accounts.local_users: remove the line that begins with {owner}"
        yield Remark(Finding(Severity.ERROR, "accounts.local_users", problem, cure))
    if owner in users:
        cure = f"{POLICYD}\nlists:\n  users: [{', '.join(sorted(users - {owner}))}]"
        yield Remark(Finding(Severity.ERROR, "lists.users", f"{again} would pass for the list software's", cure))


def _local_clients(scene: Scene) -> Iterator[Remark]:
    """Yield notes on the ports where local users can use any MAIL FROM, or go past policyd."""
    reachable = [port for port in scene.ports if _reachable(scene, port) and not _logins_only(port)]
    lists = [port for port in reachable if _has_context(port, scene.config.lists.contexts)]
    believed = [port for port in reachable if port.asked and port not in lists]
    logins = [port for port in believed if _takes_logins(port)]
    for port in logins:
        problem = f"{_who(scene, [port])} can connect without a login and send in another local customer's name"
        cure = override(port.service, {"smtpd_client_restrictions": "permit_sasl_authenticated, reject"})
        yield Remark(Finding(Severity.NOTE, port.service.label, problem, cure))
    groups = (
        ("send in another local customer's name", [one for one in believed if one not in logins]),
        ("pass for the list software", lists),
    )
    for harm, ports in groups:
        if ports:
            yield _tell_apart(scene, ports, f"{_who(scene, ports)} can connect and {harm}")
    silent = [one for one in reachable if exempt(scene, one)]
    if silent:
        problem = "any local user can connect and hand in mail that policyd is not asked about"
        yield _note(silent, f"{problem}: a firewall can tell users apart", _firewall(scene, silent))


def _who(scene: Scene, ports: Sequence[Port]) -> str:
    """Return whom policyd takes for whom he says he is: those that it does not know by their Unix user."""
    known = scene.config.accounts.local_users and all(_asks_here(ask) for port in ports for ask in port.asked)
    return "a local user who is not in accounts.local_users" if known else "any local user"


def _asks_here(ask: Ask) -> bool:
    """Return whether policyd sees that the Postfix that asks runs on its own host."""
    transport, _, address = ask.entry.endpoint.partition(":")
    return transport != "inet" or address.rpartition(":")[0].strip("[]") in _LOOPBACK


def _tell_apart(scene: Scene, ports: Sequence[Port], problem: str) -> Remark:
    if scene.config.accounts.local_users:
        cure = "# the file of accounts.local_users: a line for each Unix user that runs scripts"
    else:
        cure = (
            f'{POLICYD}; lines "user domain" for all who run scripts: the kernel says who connects\n'
            'accounts:\n  local_users: "file:/etc/policyd/users.map"'
        )
    told = f"{problem}: policyd tells those apart whom it knows, a firewall the others"
    return _note(ports, told, f"{cure}\n{_firewall(scene, ports)}")


def _sendmail(scene: Scene) -> Iterator[Remark]:
    verified = (_has_context(port, scene.config.accounts.verified_contexts) for port in scene.pickup_ports())
    if scene.pickup_ports() and _senders(scene) in _OPEN_SENDERS and not any(verified):
        problem = "sendmail(1) and PHP's mail() take any sender from any user: one can send in another's name (claimed)"
        yield Remark(Finding(Severity.NOTE, "local_login_sender_maps", problem, _sender_maps()))


def _note(ports: Sequence[Port], problem: str, cure: str) -> Remark:
    return Remark(Finding(Severity.NOTE, ", ".join(port.service.label for port in ports), problem, cure))


def _firewall(scene: Scene, ports: Sequence[Port]) -> str:
    numbers = ", ".join(str(number) for number in sorted({port.service.port for port in ports}))
    name = f"policyd_{numbers.replace(', ', '_')}"
    owner = scene.view.main.get("mail_owner", "postfix")
    return (
        "# /etc/nftables.conf; add the users of your content filter and list software\n"
        f"table inet {name} {{\n"
        "  chain output {\n"
        "    type filter hook output priority filter; policy accept;\n"
        f'    oifname "lo" tcp dport {{ {numbers} }} meta skuid != {{ root, {owner} }} reject with tcp reset\n'
        "  }\n"
        "}"
    )


def _sender_maps() -> str:
    return (
        f"{MAIN}; one line in login_senders for each Unix user: alice alice@example.org @example.org (Postfix 3.6)\n"
        "local_login_sender_maps = inline:{ { root = * }, { postfix = * } }, hash:/etc/postfix/login_senders"
    )


def _senders(scene: Scene) -> str:
    return scene.view.main.get("local_login_sender_maps", "")


def _has_context(port: Port, names: frozenset[str]) -> bool:
    return bool(names & (_contexts(port) | {str(port.service.port)}))


def _contexts(port: Port) -> frozenset[str]:
    default = port.service.settings.get("smtpd_policy_service_policy_context", "")
    return frozenset(ask.entry.options.get("policy_context", default) for ask in port.asked)


def _reachable(scene: Scene, port: Port) -> bool:
    if port.service.type != "inet" or not port.service.port:
        return False
    interfaces = split(scene.view.main.get("inet_interfaces", "all"))
    return port.service.loopback or (not port.service.host and bool(_LOOPBACK_INTERFACES.intersection(interfaces)))


def _takes_logins(port: Port) -> bool:
    """Return whether a port is for people who log in. Port 25 must take strangers, too."""
    return port.service.settings.get("smtpd_sasl_auth_enable") == "yes" and port.service.port != _SMTP


def _logins_only(port: Port) -> bool:
    """Return whether a list says reject to all who did not log in."""
    return _begins(port, "permit_sasl_authenticated")


def _closed(port: Port) -> bool:
    """Return whether a list says reject to strangers."""
    return _begins(port, "permit_mynetworks") or _logins_only(port)


def _begins(port: Port, permit: str) -> bool:
    lists = (split(port.service.settings.get(name, "")) for name in RECIPIENT_LISTS)
    return any(words[:2] == [permit, "reject"] for words in lists)
