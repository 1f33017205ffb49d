"""Whether Postfix keeps the paces that are left to its transports."""

from collections.abc import Iterator

from policyd.audit.finding import Finding, Remark, Severity
from policyd.audit.scene import Scene
from policyd.audit.tokens import milliseconds
from policyd.audit.view import Service
from policyd.audit.write import MAIN
from policyd.conf.schema import PaceLimit, Transport
from policyd.conf.units import duration_text


def check_paces(scene: Scene) -> Iterator[Remark]:
    """Yield the transports that are not there, or keep no pace or another one."""
    for pace, transport in scene.paces():
        services = [one for one in scene.view.services if one.type == "unix" and one.name == transport.name]
        problems = _pace_problems(pace, transport, services[0]) if services else _missing(pace, transport)
        if not scene.behind(f"{transport.name}:[{transport.network.network_address}]:{transport.port}"):
            problem = f"no smtpd takes back what {transport} delivers, so paced mail stays in the queue"
            cure = f'# master.cf: the entry 0.0.0.0:{transport.port} of "Pace" in the README'
            problems = [*problems, Finding(Severity.ERROR, f"limit {pace.name}", problem, cure)]
        yield from (Remark(problem, problem.where) for problem in problems)


def _missing(pace: PaceLimit, transport: Transport) -> list[Finding]:
    problem = f"master.cf has no transport {transport.name}, so paced mail stays in the queue"
    cure = f"# master.cf\n{transport.name} unix - - y - - smtp"
    return [Finding(Severity.ERROR, f"limit {pace.name}", problem, cure)]


def _pace_problems(pace: PaceLimit, transport: Transport, service: Service) -> list[Finding]:
    found, name = list[Finding](), transport.name
    delay, one = f"{name}_destination_rate_delay", f"{name}_destination_recipient_limit"
    if (milliseconds(service.settings.get(delay, "0s")) or 0) < pace.every:
        problem = f"{delay} is less than the {duration_text(pace.every)} of limit {pace.name}"
        cure = f"{MAIN}\n{delay} = {-(-pace.every // 1000)}s"
        found.append(Finding(Severity.ERROR, f"{name}/unix", problem, cure))
    if service.settings.get(one) == "1":
        problem = f"with {one} = 1 Postfix paces by recipient, which is no pace at all"
        found.append(Finding(Severity.ERROR, f"{name}/unix", problem, f"{MAIN}\n{one} = 50"))
    return found
