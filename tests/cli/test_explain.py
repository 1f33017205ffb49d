"""``policyd explain`` about mail: a reference, and a mail that is not sent yet."""

import json
import re
from typing import Any

import pytest

from tests.cli.conftest import Serve, Site
from tests.support.daemon import HOUR, rate
from tests.support.wait import until

ALICE = "alice@example.org"
ORIGIN = r"limit [\w-]+ \(.*policyd\.yaml:\d+:\d+\)"


def refused(site: Site, **attributes: str) -> str:
    """Have a limit refuse something and return the reference, when its story is kept."""
    answers = site.send(attributes.pop("login", ALICE), 3, recipient="bob@example.net", **attributes)
    found = re.search(r"ref (\w{10})", answers[-1])
    assert found, answers
    until(lambda: site.run("explain", "--ref", found[1])[0] == 0, "the story is kept")
    return found[1]


def story(site: Site, ref: str) -> dict[str, Any]:
    """Return the story of a reference."""
    code, output, errors = site.run("explain", "--ref", ref, "--json")
    assert (code, errors) == (0, "")
    return dict(json.loads(output))


def outlook(site: Site, *arguments: str) -> dict[str, Any]:
    """Return what a mail would hear."""
    code, output, errors = site.run("explain", *arguments, "--json")
    assert (code, errors) == (0, "")
    return dict(json.loads(output))


def test_a_login_of_a_domain_that_is_nobodys(site: Site) -> None:
    """It is charged under the default plan, and whoever asks is told that he may have mistyped the name."""
    asked = ("--login", "alice@exmaple.org", "--to", "bob@example.net")
    charged = next(line for line in site.run("explain", *asked)[1].splitlines() if line.startswith("charged"))

    assert charged == "charged     exmaple.org, plan shared, which is not hosted here"
    assert outlook(site, *asked)["hosted"] is False
    assert outlook(site, "--login", ALICE, "--to", "bob@example.net")["hosted"] is True


def test_a_reference_tells_its_story(site: Site) -> None:
    """When, who was charged and by which rule, the limit then and now, and what to do: lines for a ticket."""
    ref = refused(site)
    code, output, _ = site.run("explain", "--ref", ref, TZ="UTC")

    assert code == 0
    assert re.fullmatch(
        rf"""Reference {ref}
first       2026-05-28 20:26:40\+00:00, reject
charged     example\.org, plan shared
by rule     the login alice@example\.org \(verified; traffic user\)
limit       user-hourly for alice@example\.org, 2 of 2 recipients in 1h used then
set in      {ORIGIN}
resumes     2026-05-28 21:26:40\+00:00
now         2 of 2 recipients in 1h used; one more fits at 2026-05-28 21:26:40\+00:00
asked by    alice@example\.org, 192\.0\.2\.17, queue id \w+
first mail  from <alice@example\.org> to <bob@example\.net>
what to do  wait until it flows again, or have the maximum changed \(.*\)
            the mail program was told at once; what it refused must be sent again
""",
        output,
    ), output


def test_what_is_full_no_more(site: Site) -> None:
    """When the window has moved on, the story says that nothing needs to be done."""
    ref = refused(site)
    site.advance(HOUR)

    assert "now         0 of 2 recipients in 1h used; one more fits\n" in site.run("explain", "--ref", ref)[1]
    assert story(site, ref)["advice"][0] == "it flows again now: nothing needs to be done"


def test_claimed(serve: Serve) -> None:
    """A script without a login: its mail waits, and only the envelope sender says whose it is."""
    site = serve()
    site.send("", 5, client_address="127.0.0.1", sender="www@example.org")
    answer = site.send("", 1, client_address="127.0.0.1", sender="www@example.org", recipient="bob@example.net")[0]
    ref = answer.rpartition(" ")[2]
    until(lambda: site.run("explain", "--ref", ref)[0] == 0, "the story is kept")
    told = story(site, ref)

    assert told["then"]["rule"].endswith("without a login, whose envelope sender is hosted here")
    assert (told["then"]["sure"], told["then"]["traffic"]) == ("claimed", "script")
    assert [advice.partition(" ")[0] for advice in told["advice"]] == ["wait", "the", "only"]


def test_observed(serve: Serve) -> None:
    """In mode observe the story says that nothing was refused."""
    site = serve(mode="observe")
    site.send(ALICE, 3)
    ref = until(lambda: next((one["ref"] for one in site.ask("/v1/events")["events"]), ""), "an event")
    until(lambda: site.run("explain", "--ref", ref)[0] == 0, "the story is kept")

    assert story(site, ref)["advice"] == ["nothing was refused: the limit only observes, and says what it would do"]
    assert "reject, but only observed" in site.run("explain", "--ref", ref)[1]


def test_a_limit_that_is_gone(site: Site) -> None:
    """A limit that was removed since has no now."""
    ref = refused(site)
    site.configuration["plans"]["shared"]["apply"].remove("user-hourly")
    site.write()
    site.run("reload")

    assert story(site, ref)["now"] is None
    assert "now         no such limit counts for it any more\n" in site.run("explain", "--ref", ref)[1]


def test_a_suspension(site: Site) -> None:
    """The reference of a suspension says who did it and why, and how it ends."""
    site.run("suspend", "example.org", "--reason", "phishing")
    ref = site.send(ALICE, 1)[0].rpartition(" ")[2]
    output = site.run("explain", "--ref", ref)[1]

    assert "suspended   example.org (account example.org)\n" in output
    assert "why         phishing\nuntil       it is resumed\n" in output
    assert outlook(site, "--login", ALICE, "--to", "bob@example.net")["ref"] == ref


def test_read_from_the_telephone(site: Site) -> None:
    """A reference in lower case, with the letters that it cannot have."""
    ref = refused(site)
    spoken = ref.lower().replace("0", "o").replace("1", "l")

    assert story(site, spoken)["ref"] == ref


@pytest.mark.parametrize(
    ("ref", "code", "said"),
    [
        ("0000000000", 1, "nothing is known of 0000000000 (references are kept for 30 days)"),
        ("123", 1, "a reference has 10 letters and digits, as 7KQ2M0XW9A"),
        ("../x", 2, "'../x' is no reference (write the 10 letters and digits after ref, as 7KQ2M0XW9A)"),
    ],
)
def test_no_reference(site: Site, ref: str, code: int, said: str) -> None:
    """What is unknown or malformed is said."""
    assert site.run("explain", "--ref", ref) == (code, "", f"policyd: {said}\n")


def test_a_mail_that_fits(site: Site) -> None:
    """Each limit with what is used, and why others do not look; nothing is charged."""
    site.send(ALICE, 1)
    for _ in range(3):
        code, output, _ = site.run("explain", "--login", ALICE, "--from", ALICE, "--to", "bob@example.net")

    assert code == 0
    assert output == (
        "A mail from <alice@example.org> to <bob@example.net> would be accepted now; nothing was charged.\n"
        "charged     example.org, plan shared\n"
        "by rule     the login alice@example.org (verified; traffic user)\n"
        "\n"
        "  domain-hourly  1 of 4 recipients in 1h used by example.org: fits\n"
        "  user-hourly    1 of 2 recipients in 1h used by alice@example.org: fits\n"
    )


def test_a_mail_that_does_not_fit(site: Site) -> None:
    """The answer that the sender would hear, and until when."""
    site.send(ALICE, 2)
    output = site.run("explain", f"sasl_username={ALICE}", "recipient=bob@example.net", TZ="UTC")[1].splitlines()

    assert output[0].endswith("would be rejected (550) now; nothing was charged.")
    assert output[1].startswith(
        "answer      Limit user-hourly: 2 of 2 recipients in 1h used; mail flows again at 2026-05"
    )
    assert output[-1].endswith("used by alice@example.org: rejects (5xx) until 2026-05-28 21:26:40+00:00")


def test_many_recipients(site: Site) -> None:
    """A mail to many is asked about as a whole."""
    found = outlook(site, f"sasl_username={ALICE}", "recipient_count=5")

    assert (found["recipients"], found["action"]) == (5, "reject")
    assert {one["limit"]: one["resumes"] for one in found["limits"]} == {
        "domain-hourly": "never",
        "user-hourly": "never",
    }


def test_why_a_limit_does_not_look(serve: Serve) -> None:
    """Other traffic, no maximum, recipients here: each limit of the plan says why."""
    limits = {
        "scripts": rate(5, traffic=["script"]),
        "endless": rate("unlimited"),
        "elsewhere": rate(5, recipients="remote"),
        "logins": {"kind": "rate", "counts": "logins", "protocols": ["pop3"], "max": 5, "window": "1h"},
    }
    site = serve(limits=limits)
    found = outlook(site, "--login", ALICE, "--to", "bob@example.org")

    assert {one["limit"]: one["unconcerned"] for one in found["limits"]} == {
        "scripts": "looks at script traffic only",
        "endless": "unlimited",
        "elsewhere": "looks at recipients elsewhere only",
        "logins": "counts logins",
    }


def test_exempt_and_from_outside(serve: Serve) -> None:
    """What is spared, and what charges nobody, is said."""
    site = serve(exempt={"recipients": ["postmaster@*"]})
    spared = outlook(site, "--login", ALICE, "--to", "postmaster@example.net")
    outside = site.run("explain", "--from", "x@y.test", "--to", ALICE, "--client", "192.0.2.7")[1]

    assert {one["unconcerned"] for one in spared["limits"]} == {"spared by exempt"}
    assert outside.splitlines()[1:] == ["charged     nobody: from outside", "", "no limit looks at it"]


def test_strange_names(site: Site) -> None:
    """What a stranger chose commands no terminal."""
    output = site.run("explain", "--from", "a\x1b[31mb@elsewhere.test", "--to", "x@y.test")[1]

    assert r"a\x1b[31mb@elsewhere.test" in output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "nothing is asked"),
        (("sender",), 2, "'sender' is no attribute"),
        (("recipent=x",), 2, "did you mean recipient?"),
        (("recipient_count=x",), 1, "recipient_count=x is no number up to 1000000"),
        (("--login", "x@y", "--protocol", "pop"), 2, "'pop' is no protocol"),
    ],
)
def test_usage(site: Site, arguments: tuple[str, ...], code: int, said: str) -> None:
    """What was written wrongly is said, with what to write instead."""
    done = site.run("explain", *arguments)

    assert (done[0], done[1]) == (code, "")
    assert said in done[2]


def test_a_pace(serve: Serve) -> None:
    """A pace says how far its next slot is, and that the answer would wait for it."""
    pace = {"kind": "pace", "per": "list", "every": "6s", "by": "answer", "delay_up_to": "20s"}
    site = serve(limits={"list-pace": pace})
    mail = {"sender": "news-bounces@example.org", "client_address": "127.0.0.1"}
    asked = [f"{name}={value}" for name, value in mail.items()]
    before, _ = site.run("explain", *asked)[1], site.send("", 1, **mail)
    after = site.run("explain", *asked, TZ="UTC")[1]

    assert before.endswith("  list-pace  one in 6s for news@example.org, a slot is free: fits\n")
    assert after.splitlines()[0].endswith("would be accepted after a delay now; nothing was charged.")
    assert after.endswith("the next slot is 6 s away: delays until 2026-05-28 20:26:46+00:00\n")


def test_the_door_of_a_list(serve: Serve) -> None:
    """What a post to it meets before it is charged: whose list it is, and each limit of its size."""
    sizes: dict[str, Any] = {"list-size": {"kind": "size", "max": 1000}, "small": {"kind": "size", "max": 900}}
    limits = {"domain-hourly": rate(5), **sizes}
    site = serve(limits=limits, lists={"known": {"php@example.org": {"posting": "news@example.org", "size": 1001}}})
    lines = site.run("explain", "--login", "carol@example.org", "--to", "news@example.org")[1].splitlines()
    assert lines == [
        "A mail from <carol@example.org> to <news@example.org> would be rejected (550) now; nothing was charged.",
        "answer      Limit list-size: news@example.org has 1001 addresses, 1000 are allowed on plan shared",
        "charged     example.org, plan shared",
        "by rule     the login carol@example.org (verified; traffic user)",
        "door        news@example.org is a list of example.org, plan shared",
        "  list-size  1001 of 1000 addresses on news@example.org: rejects (5xx)",
        "  small      1001 of 900 addresses on news@example.org: rejects (5xx)",
        "",
        "  domain-hourly  0 of 5 recipients in 1h used by example.org: fits",
        "  list-size      looks at list traffic only",
        "  small          looks at list traffic only",
    ]
    outside = site.run("explain", "--from", "x@y.test", "--to", "news@example.org", "--client", "192.0.2.7")[1]
    assert "answer      This list cannot take posts now\n" in outside
    assert outlook(site, "--login", ALICE, "--to", "bob@example.net")["door"] is None
