"""Where mail goes between the programs of Postfix: pickup, content filters, and the way back."""

from collections.abc import Iterator

from policyd.audit.finding import Finding, Remark, Severity
from policyd.audit.lists import END_LIST, RECIPIENT_LIST, recipient_lists
from policyd.audit.scene import Port, Scene
from policyd.audit.tokens import join
from policyd.audit.view import Service
from policyd.audit.write import override, removed

_PICKUP_PORT = "127.0.0.1:10027"
_TRANSPORT = "policyd-pickup"


def exempt(scene: Scene, port: Port) -> bool:
    """Return whether a port need not ask: only mail comes back there that was asked about before."""
    if port.asked or port in scene.pickup_ports():
        return False
    if port in _direct(scene) or port in scene.paced_ports():
        return True
    return port in scene.returning() and (_filters_outside(scene) or "content_filter" in port.service.written)


def comes_back(scene: Scene, port: Port) -> str:
    """Return which mail that was asked about before is asked about again here, "" for none.

    Where a filter outside of Postfix gives mail back is written in no file of Postfix: it is the
    loopback port without a filter that asks least.
    """
    if not port.asked:
        return ""
    direct = _direct(scene).get(port)
    if direct is not None:
        return f"the mail of {direct.label}"
    back = scene.returning()
    elsewhere = any(not other.recipient for other in back if other is not port)
    return "filtered mail" if port in back and _filters_outside(scene) and not elsewhere else ""


def check_flows(scene: Scene) -> Iterator[Remark]:
    """Yield mail that policyd is not asked about because of its way, and mail that it is asked about again."""
    yield from _pickup(scene)
    yield from _again(scene)
    yield from _again_by_sendmail(scene)
    yield from _unfiltered(scene)


def _pickup(scene: Scene) -> Iterator[Remark]:
    if not scene.view.main.get("authorized_submit_users", "static:anyone"):
        return
    asking = tuple(port for port in scene.pickup_ports() if port.asked)
    for pickup in scene.view.of_program("pickup"):
        if asking:
            yield from _bounces(scene, pickup, asking[0])
        else:
            problem = (
                "what sendmail(1) and PHP's mail() send is not counted: no content_filter leads it to an smtpd"
                " that asks policyd"
            )
            yield Remark(Finding(Severity.ERROR, pickup.label, problem, _recipe(scene, pickup)), pickup.label)


def _bounces(scene: Scene, pickup: Service, port: Port) -> Iterator[Remark]:
    """Yield a warning when a 5xx there makes Postfix send a bounce to a sender that a script invented."""
    name = pickup.settings.get("content_filter", "").partition(":")[0]
    transports = (one for one in scene.view.services if one.name == name and one.type == "unix")
    if any(one.settings.get("soft_bounce") == "yes" for one in (port.service, *transports)):
        return
    problem = "a refusal of re-injected mail bounces to a sender that the script made up"
    cure = override(port.service, {"soft_bounce": "yes"})
    yield Remark(Finding(Severity.WARNING, port.service.label, problem, cure), port.service.label)


def _again(scene: Scene) -> Iterator[Remark]:
    """Yield the ports where filtered mail comes back and policyd is asked as if a script had sent it."""
    for port in scene.ports:
        source = comes_back(scene, port)
        if source:
            problem = f"{source} comes in here and policyd is asked again: inbound mail counts as a local script's"
            finding = Finding(Severity.ERROR, port.service.label, problem, _silent(scene, port))
            yield Remark(finding, port.service.label)


def _again_by_sendmail(scene: Scene) -> Iterator[Remark]:
    """Yield smtpds whose filter is a pipe: such filters give mail back with sendmail(1) (FILTER_README)."""
    if not any(port.asked for port in scene.pickup_ports()):
        return
    pipes = {service.name for service in scene.view.of_program("pipe")}
    for service, target in scene.filters():
        name = target.partition(":")[0]
        if name in pipes:
            problem = (
                f"the filter {name} is a pipe; if it gives mail back with sendmail(1), policyd is asked about it twice"
            )
            cure = f"# {name}: give mail back by SMTP to an smtpd of its own (FILTER_README, advanced content filter)"
            yield Remark(Finding(Severity.WARNING, service.label, problem, cure), service.label)


def _unfiltered(scene: Scene) -> Iterator[Remark]:
    for port in scene.ports:
        service = port.service
        if exempt(scene, port) and not _filters_outside(scene) and port not in scene.paced_ports():
            problem = "policyd is not asked here; that is right only where mail comes back that was asked about before"
            cure = override(service, {RECIPIENT_LIST: join([*scene.check(), "permit_mynetworks", "reject"])})
            yield Remark(Finding(Severity.NOTE, service.label, problem, cure), service.label)


def _direct(scene: Scene) -> dict[Port, Service]:
    """Return the smtpds that another one's filter leads to, and the first that does."""
    found: dict[Port, Service] = {}
    for service, target in scene.filters():
        for port in scene.behind(target):
            found.setdefault(port, service)
    return found


def _filters_outside(scene: Scene) -> bool:
    """Return whether mail leaves Postfix for a filter, and so comes back somewhere."""
    return any(not scene.behind(target) for _, target in scene.filters())


def _silent(scene: Scene, port: Port) -> str:
    """Return the lines that keep a port from asking policyd."""
    settings = {}
    for parameter in (*recipient_lists(port.service.settings), END_LIST):
        if any(ask.parameter == parameter for ask in port.asked):
            _, words = removed(scene.view, port.service, parameter, port.asked)
            settings[parameter] = join(words)
    return override(port.service, settings)


def _recipe(scene: Scene, pickup: Service) -> str:
    """Return the master.cf entries that bring pickup's mail through an smtpd of its own."""
    chroot = "y" if pickup.chroot else "n"
    check = join(scene.check("pickup"))
    return f"""# master.cf, in the place of the entry pickup
pickup    unix  n       -       {chroot}       60      1       pickup
  -o content_filter={_TRANSPORT}:[127.0.0.1]:{_PICKUP_PORT.rpartition(":")[2]}
  -o receive_override_options=no_address_mappings,no_header_body_checks,no_milters
{_TRANSPORT} unix -   -       {chroot}       -       5       smtp
  -o soft_bounce=yes
  -o smtp_bind_address=127.0.0.1
  -o smtp_tls_security_level=none
  -o smtp_sasl_auth_enable=no
  -o smtp_generic_maps=
  -o smtp_header_checks=
{_PICKUP_PORT} inet n  -       {chroot}       -       -       smtpd
  -o syslog_name=postfix/pickup
  -o mynetworks=127.0.0.0/8
  -o smtpd_client_restrictions=permit_mynetworks,reject
  -o smtpd_helo_restrictions=
  -o smtpd_sender_restrictions=
  -o smtpd_relay_restrictions=permit_mynetworks,reject
  -o {{ smtpd_recipient_restrictions = {check}, permit_mynetworks, reject }}
  -o smtpd_data_restrictions=
  -o {{ smtpd_end_of_data_restrictions = {check} }}
  -o smtpd_milters=$non_smtpd_milters
  -o receive_override_options=no_unknown_recipient_checks
  -o smtpd_tls_security_level=none
  -o smtpd_sasl_auth_enable=no
  -o smtpd_hard_error_limit=1001
  -o smtpd_soft_error_limit=1001"""
