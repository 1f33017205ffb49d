"""Whether the options of the check_policy_service entries are right."""

from collections.abc import Iterator

from policyd.audit.finding import Finding, Remark, Severity
from policyd.audit.lists import ALL_LISTS, Ask, asks
from policyd.audit.scene import Port, Scene
from policyd.audit.tokens import format_entry, milliseconds
from policyd.audit.write import POLICYD, entry_place, replaced
from policyd.conf.away import WhenDown

_HARMLESS = frozenset({"DUNNO", "WARN", "INFO"})
_SKIPPING = frozenset({"OK", "PERMIT"})
_LOSING = frozenset({"REJECT", "DISCARD"})


def check_entries(scene: Scene) -> Iterator[Remark]:
    """Yield what is wrong with the entries, those of other policy services only when smtpd dies of them."""
    for port in scene.ports:
        yield from _unreadable(scene, port)
        for ask in port.asked:
            if not ask.entry.flaw:
                yield from _default_action(scene, port, ask)
                yield from _tries(scene, port, ask)
                yield from _timeout(scene, port, ask)
        for ask in port.lost:
            path = ask.entry.endpoint.partition(":")[2]
            problem = (
                f"smtpd runs chrooted and looks for {path} below {scene.queue_directory}; policyd is never reached"
            )
            yield _remark(scene, port, ask, Severity.ERROR, problem)
    yield from _waits_too_long(scene)


def _unreadable(scene: Scene, port: Port) -> Iterator[Remark]:
    settings = port.service.settings
    for ask in (found for name in ALL_LISTS for found in asks(settings, name)):
        if ask.entry.flaw:
            problem = f"{ask.entry.flaw}: every smtpd that reads this dies, and no mail comes in at all"
            ours = ask in port.asked
            cure = scene.entry(ask.entry.options) if ours else format_entry(ask.entry.endpoint, ask.entry.options)
            place = entry_place(scene.view, port.service, ask)
            finding = Finding(Severity.ERROR, place.where, problem, replaced(place, ask, cure))
            yield Remark(finding, port.service.label)


def _default_action(scene: Scene, port: Port, ask: Ask) -> Iterator[Remark]:
    action = _option(port, ask, "default_action")
    word = action.split(maxsplit=1)[0].upper() if action else ""
    if word in _HARMLESS:
        return
    severity, effect = Severity.WARNING, "defers all mail"
    if word in _LOSING or (word[:1] == "5" and word != action.strip()):
        severity, effect = Severity.ERROR, "turns all mail away for good"
    elif word in _SKIPPING or action.strip().isdigit():
        effect = "skips the restrictions that follow"
    elif scene.config.store.when_down is not WhenDown.ACCEPT:
        return
    yield _remark(scene, port, ask, severity, f'default_action "{action}" {effect} while policyd is away')


def _tries(scene: Scene, port: Port, ask: Ask) -> Iterator[Remark]:
    if _option(port, ask, "try_limit") == "1":
        problem = "try_limit=1: a connection that policyd closed in a restart is taken for a failure"
        yield _remark(scene, port, ask, Severity.WARNING, problem)


def _timeout(scene: Scene, port: Port, ask: Ask) -> Iterator[Remark]:
    text = _option(port, ask, "timeout")
    timeout = _waits(port, ask)
    listen = scene.config.listen
    if timeout < scene.shortest_timeout:
        least = f"{-(-scene.shortest_timeout // 1000)}s"
        problem = f"timeout={text} is too short: policyd may take up to {least} before it answers"
        yield _remark(scene, port, ask, Severity.ERROR, problem)
    elif timeout > listen.policy_timeout:
        known = f"listen.policy_timeout is {listen.policy_timeout // 1000}s"
        problem = f"Postfix waits {text}, {known}: policyd gives back what Postfix may still ask again"
        yield _remark(scene, port, ask, Severity.ERROR, problem)


def _waits_too_long(scene: Scene) -> Iterator[Remark]:
    asked = [(port, ask) for port in scene.ports for ask in port.asked]
    longest = max((_waits(port, ask) for port, ask in asked), default=0)
    if scene.shortest_timeout <= longest < scene.config.listen.policy_timeout:
        text = f"{-(-longest // 1000)}s"
        problem = f"no entry of Postfix waits longer than {text}; what is given up is given back later than it could be"
        cure = f"{POLICYD}\nlisten:\n  policy_timeout: {text}"
        yield Remark(Finding(Severity.NOTE, "listen.policy_timeout", problem, cure))


def _remark(scene: Scene, port: Port, ask: Ask, severity: Severity, problem: str) -> Remark:
    place = entry_place(scene.view, port.service, ask)
    cure = replaced(place, ask, scene.entry(ask.entry.options))
    return Remark(Finding(severity, place.where, problem, cure), port.service.label)


def _waits(port: Port, ask: Ask) -> int:
    """Return how long Postfix waits for an answer, in ms."""
    return milliseconds(_option(port, ask, "timeout")) or 0


def _option(port: Port, ask: Ask, name: str) -> str:
    return ask.entry.options.get(name, port.service.settings.get(f"smtpd_policy_service_{name}", ""))
