"""``policyd suspend`` and ``policyd resume``, with a daemon; the queue of a real Postfix is in tests/e2e."""

import json
import os
import pwd
from datetime import datetime, timedelta

import pytest

from policyd.cli.client import AdminClient
from policyd.errors import DaemonError
from tests.cli.conftest import Serve, Site
from tests.cli.test_events import events
from tests.support.redis import RedisServer
from tests.support.wait import until

ME = f"{pwd.getpwuid(os.geteuid()).pw_name} (uid {os.geteuid()})"
LEFT = "what is in the queue already is still sent; --queue hold or --queue delete stops it\n"


def suspend(site: Site, subject: str, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run the command with a reason."""
    return site.run("suspend", subject, "--reason", "ticket 4711", *arguments, **environ)


def test_sending_stops_and_starts_again(site: Site) -> None:
    """A word to the admin each time, and the exit code 0."""
    code, output, errors = suspend(site, "Example.org.")

    assert (code, errors) == (0, "")
    ref = json.loads(site.run("events", "--json")[1])["events"][0]["ref"]
    assert output == f"example.org is suspended until it is resumed; ref {ref}\n{LEFT}"
    assert site.send("alice@example.org", 1) == [
        f"550 5.7.1 Sending is suspended; please contact your provider; ref {ref}"
    ]
    assert site.run("resume", "example.org") == (0, "example.org may send again\n", "")
    assert site.send("alice@example.org", 1) == ["DUNNO"]


def test_it_is_an_event_with_who_when_and_why(site: Site) -> None:
    """Both are, in the account's trail and in that of all; sudo says for whom it was."""
    suspend(site, "bob@example.org", SUDO_USER="carla")
    site.run("resume", "bob@example.org", "--reason", "new password")

    first, last = events(site)
    assert first == {
        "at": "2026-05-28T20:26:40+00:00", "event": "suspend", "account": "example.org", "subject": "bob@example.org",
        "who": f"carla, as {ME}", "why": "ticket 4711", "limit": "", "ref": first["ref"],
    }  # fmt: skip
    assert last == {**first, "event": "resume", "who": ME, "why": "new password"}
    assert events(site, "bob@example.org") == events(site, "example.org") == [first, last]


def test_it_may_have_an_end(serve: Serve) -> None:
    """A duration from now, which is told in the reader's time zone, or a moment."""
    site = serve()
    code, output, _ = site.run("suspend", "bob@example.org", "-r", "x", "--until", "3d", "--json")
    end = datetime.fromisoformat(json.loads(output)["suspended"]["until"])
    assert code == 0
    assert abs(end - datetime.now().astimezone() - timedelta(days=3)) < timedelta(minutes=1)

    _, output, _ = suspend(site, "example.org", "--until", "2099-12-24T18:00", TZ="Europe/Berlin")
    assert output.startswith("example.org is suspended until 2099-12-24 18:00; ref ")
    assert events(site)[-1]["why"] == "ticket 4711; until 2099-12-24T17:00:00+00:00"


def test_that_it_has_ended_by_itself_is_an_event(site: Site) -> None:
    """Once, and mail flows before that."""
    soon = site.clock.now() + 1000
    done = AdminClient(str(site.admin)).post("/v1/suspend", subject="list:n@example.org", reason="x", until=soon)
    site.advance(1000)
    until(lambda: len(events(site, "n@example.org")) == 2, "the end is in the trail")

    last = events(site)[-1]
    assert (last["event"], last["subject"], last["who"], last["why"], last["ref"]) == (
        "resume", "list:n@example.org", "policyd", "its time is over", done["ref"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("example.org", "-r", "x", "--until", "soon"), "'soon' is no moment (write 6h, 3d, 2026-12-24"),
        (("example.org", "-r", "x", "--until", "2020-01-01"), "2020-01-01 is past (write a moment that comes"),
        (("example.org", "-r", "x", "--queue", "hold", "--json"), "--json cannot ask before messages are touched"),
        (("example.org",), "Missing option '--reason'"),
    ],
)
def test_what_is_written_wrongly(site: Site, arguments: tuple[str, ...], said: str) -> None:
    """Exit code 2, and what to write instead."""
    code, output, errors = site.run("suspend", *arguments)

    assert (code, output) == (2, "")
    assert said in " ".join(errors.replace("│", " ").split())


def test_whom_nobody_knows(site: Site) -> None:
    """Exit code 1; nothing is suspended."""
    code, output, errors = suspend(site, "exmaple.org")
    assert (code, output) == (1, "")
    assert errors.startswith("policyd: exmaple.org is not hosted here (name a hosted domain")

    for nobody in ("(unlisted)", "192.0.2.9"):
        code, _, errors = suspend(site, nobody)
        assert code == 1
        assert errors.startswith(f"policyd: {nobody} is nobody's account and cannot be suspended (name a hosted")
    assert events(site) == []


def test_a_login_of_a_foreign_domain_is_told_apart(site: Site) -> None:
    """It may be what an admin means, or a slip."""
    code, _, errors = suspend(site, "bob@exmaple.org")

    assert (code, errors) == (0, "policyd: exmaple.org is not hosted here: only a login of that name is stopped\n")


def test_a_reason_stands_in_the_log_where_there_is_one(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Who is resumed needs none."""
    site.run("suspend", "example.org", "--reason", "ticket 4711", "--queue", "leave")
    site.run("resume", "example.org")

    said = [record.getMessage() for record in caplog.records if record.name == "policyd.admin"]
    assert said == [f"suspend: example.org by {ME} (ticket 4711)", f"resume: example.org by {ME}"]


def test_who_is_not_suspended_cannot_be_resumed(site: Site) -> None:
    """Exit code 1."""
    assert site.run("resume", "example.org") == (1, "", "policyd: example.org is not suspended\n")


def test_without_the_store_nothing_is_promised(serve: Serve, redis_server: RedisServer) -> None:
    """Exit code 75: try again later."""
    site = serve(store={"timeout": "100ms"})
    redis_server.pause()
    try:
        code, output, errors = suspend(site, "example.org")
    finally:
        redis_server.resume()

    assert (code, output, errors) == (75, "", "policyd: the store does not answer\n")
    until(lambda: suspend(site, "example.org")[0] == 0, "the store answers again")
    assert site.send("alice@example.org", 1)[0].startswith("550 5.7.1 Sending is suspended; ")


def test_it_is_counted(site: Site) -> None:
    """Accounts of which something is suspended, and what was refused."""
    suspend(site, "bob@example.org")
    suspend(site, "list:news@example.org")
    site.send("bob@example.org", 2)

    assert site.metric("policyd_suspended_accounts") == 1
    labels = {"limit": "(suspension)", "plan": "shared", "traffic": "user"}
    assert site.metric("policyd_refusals_total", **labels) == 2


def test_it_is_listed(site: Site) -> None:
    """GET /v1/suspended, for panels."""
    suspend(site, "example.org")
    suspend(site, "mailbox:bob@example.org")
    listed = site.ask("/v1/suspended")["suspended"]

    assert [(one["subject"], one["name"], one["until"], one["who"]) for one in listed] == [
        ("example.org", "domain", "", ME),
        ("mailbox:bob@example.org", "mailbox:bob@example.org", "", ME),
    ]


@pytest.mark.parametrize(
    ("route", "body", "said"),
    [
        ("/v1/suspend", {"subject": "example.org"}, "a suspension needs a reason"),
        ("/v1/suspend", {"subject": "", "reason": "x"}, "nobody is named: name a domain or a login"),
        ("/v1/suspend", {"subject": "example.org", "reason": "x", "until": 1}, "until is a moment of the past"),
        ("/v1/suspend", {"subject": "example.org", "reason": "x", "until": "soon"}, "until is no moment in ms"),
        ("/v1/suspend", {"subject": "example.org", "reason": "x" * 501}, "reason is no text of up to 500 characters"),
        ("/v1/suspend", {"subject": ["example.org"], "reason": "x"}, "subject is no text"),
        ("/v1/senders", {"messages": [["a", "b"]]}, r"messages is no list of up to 2000 of \[login, sender, client\]"),
        ("/v1/senders", {}, "messages is no list of up to 2000"),
    ],
)
def test_what_cannot_be_asked(site: Site, route: str, body: dict[str, object], said: str) -> None:
    """The answer says what is wrong."""
    with pytest.raises(DaemonError, match=said):
        AdminClient(str(site.admin)).post(route, **body)


def test_whose_a_message_in_the_queue_is(site: Site) -> None:
    """The login decides; without one the sender of a client on this host; mail from outside is nobody's."""
    messages = [
        ["alice@example.org", "x@elsewhere.test", "192.0.2.9"],
        ["", "www@example.org", ""],
        ["", "www@example.org", "127.0.0.1"],
        ["", "www@example.org", "192.0.2.9"],
        ["", "", ""],
    ]
    script = ["example.org", "domain", "user:www@example.org"]

    assert AdminClient(str(site.admin)).post("/v1/senders", messages=messages)["senders"] == [
        ["example.org", "domain", "user:alice@example.org", "mailbox:alice@example.org"], script, script, [""], [""],
    ]  # fmt: skip
