"""The admin socket: who may what, and what errors look like."""

import grp
import json
import os
from pathlib import Path
from typing import Any

import pytest

from policyd.errors import RequestError, StoreTimeout, StoreUnavailable
from policyd.server.admin import AdminRequest, GroupsOf, Route, admin_app, group_names
from policyd.server.base import Credentials
from policyd.server.taken import Word
from tests.server.conftest import Run
from tests.support.httpserver import NOBODY, as_nobody, ask, connected, http_serving

STRANGER = NOBODY if os.geteuid() == 0 else os.geteuid()


async def echo(request: AdminRequest) -> object:
    """Answer with what was asked."""
    return {
        "uid": request.peer.uid,
        "pid": request.peer.pid,
        "path": dict(request.path),
        "query": dict(request.query),
        "body": request.body,
    }


async def fail(request: AdminRequest) -> object:
    """Fail as the query says."""
    raise {
        "request": RequestError(404, "no such domain: example.org"),
        "timeout": StoreTimeout("peek", 0.25),
        "store": StoreUnavailable("peek", "ERR secret of Redis"),
        "bug": LookupError("secret of ours"),
    }[request.query["how"]]


ROUTES = [
    Route("GET", "/usage/{subject}", echo),
    Route("POST", "/raise/{subject}", echo, query=(Word("max", ""),), body=(Word("until", ""), Word("reason", ""))),
    Route("GET", "/fail", fail, query=(Word("how", ""),)),
    Route("GET", "/any", echo, query=(Word("sender", ""),), lenient=True),
]


def asked(
    run: Run,
    directory: Path,
    head: str,
    body: bytes = b"",
    *,
    groups: GroupsOf | None = None,
    own_uid: int | None = None,
) -> tuple[int, Any]:
    """Return status and JSON of an answer, asked by a stranger when ``groups`` says whose groups those are."""
    found: list[tuple[int, Any]] = []
    app = admin_app(ROUTES, os.geteuid() if own_uid is None else own_uid, groups or group_names)

    async def scenario() -> None:
        async with http_serving(app, directory / "admin"):
            if groups or own_uid is not None:
                with as_nobody():
                    sock = connected(directory / "admin")
            else:
                sock = connected(directory / "admin")
            answer = await ask(sock, head, body)
            assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
            found.append((answer.status, json.loads(answer.body)))

    run(scenario())
    return found[0]


def in_groups(*names: str) -> GroupsOf:
    """Say that a peer is in these groups."""
    return lambda who: frozenset(names) if who.uid == STRANGER else frozenset()


def test_what_a_handler_gets(run: Run, short_dir: Path) -> None:
    """A handler is given who asks, the path's parts, the query and the JSON body."""
    status, answer = asked(run, short_dir, "POST /raise/example.org?max=800", b'{"until": "tomorrow"}')

    assert (status, answer) == (
        200,
        {
            "uid": os.geteuid(),
            "pid": os.getpid(),
            "path": {"subject": "example.org"},
            "query": {"max": "800"},
            "body": {"until": "tomorrow"},
        },
    )


def test_a_lenient_route(run: Run, short_dir: Path) -> None:
    """A route that takes what a program has at hand looks at its own names only."""
    status, answer = asked(run, short_dir, "GET /any?sender=x&helo_name=y")

    assert (status, answer["query"]) == (200, {"sender": "x"})


def test_a_method_that_is_not_there(run: Run, short_dir: Path) -> None:
    """Who asks by the wrong method is told which there are."""

    async def scenario() -> None:
        async with http_serving(admin_app(ROUTES, os.geteuid()), short_dir / "admin"):
            answer = await ask(connected(short_dir / "admin"), "PUT /raise/x")

        assert (answer.status, answer.headers["Allow"]) == (405, "POST")

    run(scenario())


def test_own_user(run: Run, short_dir: Path) -> None:
    """The daemon's own user may all."""
    status, answer = asked(run, short_dir, "POST /raise/x", own_uid=STRANGER)

    assert (status, answer["uid"]) == (200, STRANGER)


@pytest.mark.parametrize(
    ("groups", "head", "missing"),
    [
        ((), "GET /usage/x", "policyd-support"),
        ((), "POST /raise/x", "policyd-admin"),
        (("policyd-support",), "GET /usage/x", ""),
        (("policyd-support",), "POST /raise/x", "policyd-admin"),
        (("policyd-admin",), "GET /usage/x", ""),
        (("policyd-admin",), "POST /raise/x", ""),
        (("users",), "GET /no/such/path", "policyd-support"),
    ],
)
def test_groups(run: Run, short_dir: Path, groups: tuple[str, ...], head: str, missing: str) -> None:
    """Support may read, admins may all, and others hear which group they need."""
    status, answer = asked(run, short_dir, head, groups=in_groups(*groups), own_uid=-1)

    if missing:
        assert (status, answer) == (
            403,
            {"error": f"only members of group {missing} may do this (usermod -aG {missing} USER)"},
        )
    else:
        assert (status, answer["uid"]) == (200, STRANGER)


@pytest.mark.parametrize(
    ("head", "body", "error"),
    [
        ("GET /nothing", b"", (404, "GET /nothing: Not Found")),
        ("PUT /usage/x", b"", (405, "PUT /usage/x: Method Not Allowed")),
        ("POST /raise/x", b"{", (400, "the body is no JSON")),
        ("POST /raise/x", b"\xff\xff", (400, "the body is no JSON")),
        ("POST /raise/x", b"[" * 100_000, (400, "the body is no JSON")),
        ("POST /raise/x", b"[]", (400, "the body is no JSON object")),
        ("POST /raise/x", b'{"untl": 1}', (400, "untl is not taken here (did you mean until?)")),
        ("POST /raise/x?min=1", b"", (400, "min is not taken here (known here: max)")),
        ("GET /usage/x?max=1", b"", (400, "max is not taken here (nothing is)")),
        ("GET /fail?how=request", b"", (404, "no such domain: example.org")),
        ("GET /fail?how=timeout", b"", (503, "the store does not answer")),
        ("GET /fail?how=store", b"", (503, "the store does not answer")),
        ("GET /fail?how=bug", b"", (500, "an error in policyd; its log says more")),
    ],
)
def test_errors(run: Run, short_dir: Path, head: str, body: bytes, error: tuple[int, str]) -> None:
    """Every error is JSON with one message that holds no internals."""
    assert asked(run, short_dir, head, body) == (error[0], {"error": error[1]})


def test_large_body(run: Run, short_dir: Path) -> None:
    """A body beyond a mebibyte is refused."""
    status, answer = asked(run, short_dir, "POST /raise/x", b'"' + b"x" * 2**20 + b'"')

    assert (status, answer["error"]) == (413, "POST /raise/x: Request Entity Too Large")


def test_group_names() -> None:
    """A peer's groups are those of its user, and its own."""
    daemon = grp.getgrnam("daemon").gr_gid

    assert {"root", "daemon"} <= group_names(Credentials(1, 0, daemon))


def test_group_names_of_an_unknown_user() -> None:
    """A user that has no name is in its own group only; a group without a name counts for nothing."""
    daemon = grp.getgrnam("daemon").gr_gid

    assert group_names(Credentials(1, 4_000_000_000, daemon)) == {"daemon"}
    assert group_names(Credentials(1, 4_000_000_000, 4_000_000_000)) == frozenset()
