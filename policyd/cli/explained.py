"""Explanations as text that can be pasted into a ticket: no colour, no bars, moments with their offset."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from policyd.model import CounterType
from policyd.policy.decide import duration
from policyd.printable import printable

_LABEL = 12
_VERBS = {
    "accept": "fits",
    "defer": "defers (4xx)",
    "reject": "rejects (5xx)",
    "quarantine": "holds",
    "delay": "delays",
}


def print_story(story: dict[str, Any]) -> None:
    """Print what a reference stands for."""
    lines = _suspension(story["suspension"]) if story["suspension"] else _refusal(story["then"], story["now"])
    _print([f"Reference {story['ref']}", *lines, *_labelled("what to do", story["advice"])])


def print_mail(found: dict[str, Any]) -> None:
    """Print what a mail would hear."""
    _print([*_verdict(found), *_charged(found), *_door(found["door"]), "", *_limits(found["limits"])])


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(printable(line))


def _refusal(then: dict[str, Any], now: dict[str, Any] | None) -> Iterator[str]:
    action = f"{then['action']}, but only observed" if then.get("observed") else then["action"]
    yield _line("first", f"{_moment(then.get('at', ''))}, {action}")
    yield _line("charged", f"{then['account']}{_plan(then['plan'])}")
    yield _line("by rule", f"{then.get('rule', '')} ({then['sure']}; traffic {then['traffic']})")
    yield _line("limit", f"{then['limit']} for {then['subject']}, {_used(then)} used then")
    if then.get("origin"):
        yield _line("set in", then["origin"])
    yield _line("resumes", _moment(then["resumes"]))
    yield _line("now", _now(now))
    asked = (("sender", ""), ("recipient", ""), ("client", ""), ("queue_id", "queue id "), ("protocol", "by "))
    yield _line(
        "asked by", ", ".join([then["user"], *(f"{word}{then[name]}" for name, word in asked[2:] if then.get(name))])
    )
    if then.get("recipient"):
        yield _line("first mail", f"from <{then.get('sender', '')}> to <{then['recipient']}>")


def _suspension(one: dict[str, Any]) -> Iterator[str]:
    yield _line("suspended", f"{one['subject']} (account {one['account']})")
    yield _line("since", f"{_moment(one['at'])}, by {one['who']}")
    yield _line("why", one["why"])
    yield _line("until", _moment(one["until"]) if one["until"] else "it is resumed")


def _verdict(found: dict[str, Any]) -> Iterator[str]:
    count = f"{found['recipients']} recipients" if found["recipients"] > 1 else f"<{found['recipient']}>"
    yield f"A mail from <{found['sender']}> to {count} {_said(found)}"
    if found["answer"]:
        yield _line("answer", found["answer"] + (f"; ref {found['ref']}" if found["ref"] else ""))


def _said(found: dict[str, Any]) -> str:
    words = {
        "accept": "would be accepted", "delay": "would be accepted after a delay", "quarantine": "would be held",
        "defer": "would be deferred (450)", "reject": "would be rejected (550)",
    }  # fmt: skip
    return f"{words[found['action']]} now; nothing was charged."


def _charged(found: dict[str, Any]) -> Iterator[str]:
    if not found["account"]:
        yield _line("charged", found["rule"])
        return
    stranger = "" if found["hosted"] else ", which is not hosted here"
    yield _line("charged", f"{found['account']}{_plan(found['plan'])}{stranger}")
    yield _line("by rule", f"{found['rule']} ({found['sure']}; traffic {found['traffic']})")


def _door(door: dict[str, Any] | None) -> Iterator[str]:
    if door is not None:
        of = f"{door['posting']} is a list of {door['account']}{_plan(door['plan'])}"
        yield _line("door", of if door["limits"] else f"{of}; no limit of its size has a say there now")
        yield from _rows(door["limits"])


def _limits(limits: list[dict[str, Any]]) -> Iterator[str]:
    yield from _rows(limits)
    if not limits:
        yield "no limit looks at it"


def _rows(limits: list[dict[str, Any]]) -> Iterator[str]:
    names = max((len(one["limit"]) for one in limits), default=0)
    for one in limits:
        yield f"  {one['limit']:{names}}  {one['unconcerned'] or _looked(one)}"


def _looked(one: dict[str, Any]) -> str:
    verb = _VERBS.get(one["action"], one["action"])
    only = ", only observed" if one["observed"] and one["action"] != "accept" else ""
    resumes = f" until {_moment(one['resumes'])}" if one["resumes"] not in {"", "never"} else ""
    never = ": can never fit" if one["resumes"] == "never" else ""
    if one["counter"] == CounterType.PACE:
        away = f"the next slot is {one['used'] / 1000:g} s away" if one["used"] else "a slot is free"
        return f"one in {duration(one['window'])} for {one['subject']}, {away}: {verb}{resumes}{only}"
    if one["counter"] == CounterType.SET:
        return f"{one['used']} of {one['max']} addresses on {one['subject']}: {verb}{resumes}{only}"
    return f"{_used(one)} used by {one['subject']}: {verb}{resumes}{never}{only}"


def _now(now: dict[str, Any] | None) -> str:
    if now is None:
        return "no such limit counts for it any more"
    resumes = {"": "one more fits", "never": "one more never fits"}
    return f"{_used(now)} used; {resumes.get(now['resumes']) or 'one more fits at ' + _moment(now['resumes'])}"


def _used(one: dict[str, Any]) -> str:
    window = f" in {duration(one['window'])}" if one.get("window") else ""
    return f"{one['used']} of {one['max']} {one.get('counts', '')}".rstrip() + window


def _plan(name: str) -> str:
    return f", plan {name}" if name else ""


def _moment(moment: str) -> str:
    if moment in {"", "never"}:
        return moment or "-"
    return datetime.fromisoformat(moment).astimezone().isoformat(" ")


def _line(label: str, text: str) -> str:
    return f"{label:{_LABEL}}{text}"


def _labelled(label: str, texts: Iterable[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield _line("" if number else label, text)
