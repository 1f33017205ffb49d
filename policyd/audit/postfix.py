"""Whether a Postfix configuration gives policyd what its promises need, and what to write where it does not.

``read_postfix`` asks postconf; ``audit`` compares what it said with policyd's own configuration
and is pure.
"""

from collections.abc import Iterable

from policyd.audit.asking import check_asking
from policyd.audit.entries import check_entries
from policyd.audit.finding import Finding, Remark, Severity
from policyd.audit.flows import check_flows
from policyd.audit.pace import check_paces
from policyd.audit.scene import look
from policyd.audit.trust import check_trust
from policyd.audit.view import PostfixView, read_postfix
from policyd.audit.write import POLICYD
from policyd.conf.schema import Config

__all__ = ["Finding", "PostfixView", "Severity", "audit", "read_postfix", "render"]


def audit(config: Config, postfix: PostfixView) -> list[Finding]:
    """Return all that is wrong, errors first. What several ports inherit is one finding."""
    if not config.listen.postfix:
        socket = f"{postfix.main.get('queue_directory', '/var/spool/postfix')}/policyd/policy"
        cure = f'{POLICYD}\nlisten:\n  postfix: ["unix:{socket}"]'
        return [Finding(Severity.ERROR, "listen.postfix", "policyd listens nowhere, so Postfix cannot ask it", cure)]
    scene = look(config, postfix)
    remarks = [*check_asking(scene), *check_entries(scene), *check_flows(scene), *check_trust(scene)]
    remarks += check_paces(scene)
    order = list(Severity)
    return sorted(_merged(remarks), key=lambda finding: order.index(finding.severity))


def render(findings: Iterable[Finding]) -> list[str]:
    """Return lines for a terminal. The lines below ``write:`` are to be pasted as they stand there."""
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{finding.severity}: {finding.where}: {finding.problem}")
        lines += ["write:", *finding.write.splitlines(), ""]
    return lines


def _merged(remarks: Iterable[Remark]) -> list[Finding]:
    ports: dict[Finding, list[str]] = {}
    for remark in remarks:
        seen = ports.setdefault(remark.finding, [])
        if remark.port and remark.port != remark.finding.where and remark.port not in seen:
            seen.append(remark.port)
    return [_named(finding, seen) for finding, seen in ports.items()]


def _named(finding: Finding, ports: list[str]) -> Finding:
    if not ports:
        return finding
    problem = f"{finding.problem} ({', '.join(ports)})"
    return Finding(finding.severity, finding.where, problem, finding.write)
