"""Whether every smtpd asks policyd: about each recipient, before any permit, once, and at the end."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from policyd.audit.finding import Finding, Remark, Severity
from policyd.audit.flows import comes_back, exempt
from policyd.audit.lists import END_LIST, RECIPIENT_LIST, Ask
from policyd.audit.scene import Port, Scene
from policyd.audit.write import list_place, removed

_END_NAME = "the end of the message"


def check_asking(scene: Scene) -> Iterator[Remark]:
    """Yield what is wrong with where policyd is asked."""
    accounts = scene.config.accounts
    for port in scene.ports:
        if exempt(scene, port) or comes_back(scene, port):
            continue
        if not accounts.charge_at_end:
            yield from _stage(scene, port, port.recipient, RECIPIENT_LIST)
            yield from _twice(scene, port)
        if accounts.charge_at_end or accounts.settle_at_end:
            yield from _stage(scene, port, port.end, END_LIST)
            yield from _contexts(scene, port)
        yield from _warned(scene, port)


def _stage(scene: Scene, port: Port, asked: Sequence[Ask], parameter: str) -> Iterator[Remark]:
    if not asked:
        yield _missing(scene, port, parameter)
    elif all(ask.after for ask in asked):
        first = asked[0]
        place, words = removed(scene.view, port.service, first.parameter, asked)
        problem = f"policyd is listed after {first.after} and is never asked about the mail that it lets through"
        cure = place.line([*_present(scene, first), *words])
        yield Remark(Finding(Severity.ERROR, place.where, problem, cure), port.service.label)


def _missing(scene: Scene, port: Port, parameter: str) -> Remark:
    place = list_place(scene.view, port.service, parameter)
    check = _present(scene, port.recipient[0]) if port.recipient else scene.check()
    if parameter == END_LIST and not scene.config.accounts.charge_at_end:
        problem = "policyd is not asked at the end of the message, so nothing is settled or given back"
    else:
        problem = "policyd is not asked, so this mail is not counted"
    if port.elsewhere and not port.asked:
        listening = ", ".join(str(one) for one in scene.config.listen.postfix)
        problem += f"; {', '.join(port.elsewhere)} is something else, policyd listens on {listening}"
    cure = place.line([*check, *place.words])
    return Remark(Finding(Severity.ERROR, place.where, problem, cure), port.service.label)


def _twice(scene: Scene, port: Port) -> Iterator[Remark]:
    """Yield a warning when one RCPT command asks more than once: it is charged once, but costs twice."""
    if len(port.recipient) < 2:  # noqa: PLR2004 -- twice
        return
    lists = tuple(dict.fromkeys(ask.parameter for ask in port.recipient))
    keep = RECIPIENT_LIST if RECIPIENT_LIST in lists else lists[0]
    kept = [ask for ask in port.recipient if ask.parameter == keep]
    changed = [parameter for parameter in lists if parameter != keep or len(kept) > 1]
    places = []
    for parameter in changed:
        place, words = removed(scene.view, port.service, parameter, port.recipient)
        if keep in port.service.written:
            # Other ports may ask by the list of main.cf alone.
            place = replace(place, service=port.service)
        places.append((place, [*_present(scene, kept[0]), *words] if parameter == keep else words))
    where = places[0][0].where
    cure = "\n".join(place.line(words) for place, words in places)
    problem = f"policyd is asked {len(port.recipient)} times about each recipient, by {' and by '.join(lists)}"
    yield Remark(Finding(Severity.WARNING, where, problem, cure), port.service.label)


def _contexts(scene: Scene, port: Port) -> Iterator[Remark]:
    """Yield an error when RCPT and END-OF-MESSAGE do not look like one kind of traffic."""
    if not port.recipient or not port.end or scene.config.accounts.charge_at_end:
        return
    first, last = port.recipient[0], port.end[0]
    if {_context(port, ask) for ask in port.recipient} & {_context(port, ask) for ask in port.end}:
        return
    one, other = _context(port, first), _context(port, last)
    place, words = removed(scene.view, port.service, END_LIST, port.end)
    problem = f'policy_context is "{one}" for recipients and "{other}" at {_END_NAME}: that settles nothing'
    cure = place.line([*_present(scene, first), *words])
    yield Remark(Finding(Severity.ERROR, place.where, problem, cure), port.service.label)


def _warned(scene: Scene, port: Port) -> Iterator[Remark]:
    for ask in port.asked:
        if ask.warned:
            place, words = removed(scene.view, port.service, ask.parameter, [ask])
            problem = (
                "warn_if_reject before policyd lets pass what it refuses, uncharged; for a trial write mode: observe"
            )
            cure = place.line([*_present(scene, ask), *words])
            yield Remark(Finding(Severity.WARNING, place.where, problem, cure), port.service.label)


def _context(port: Port, ask: Ask) -> str:
    default = port.service.settings.get("smtpd_policy_service_policy_context", "")
    return ask.entry.options.get("policy_context", default)


def _present(scene: Scene, ask: Ask) -> list[str]:
    """Return the restriction as the port has it, with what is wrong in it put right."""
    return ["check_policy_service", scene.entry(ask.entry.options)]
