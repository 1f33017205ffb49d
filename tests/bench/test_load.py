"""The load generator asks as smtpd does, and counts what it hears."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.load import BENCH, COMPILE, RawServer, run
from tests.support.policy import NAMES
from tests.support.responder import Request, Responder

Start = Callable[[Callable[[Request], str]], Responder]


def always_dunno(_request: Request) -> str:
    """Answer DUNNO."""
    return "DUNNO"


def printed(program: Path, *options: str) -> bytes:
    """Return the request that -p shows."""
    return subprocess.run([str(program), "-p", *options], capture_output=True, check=True).stdout


def test_a_request_has_postfixs_attributes_in_their_order(load: Path) -> None:
    """A request has the 29 attributes of Postfix 3.7, about as many bytes, and ends with an empty line."""
    text = printed(load)

    assert text.endswith(b"\n\n")
    assert 600 < len(text) < 800
    assert tuple(line.split("=")[0] for line in text.decode().splitlines()[:-1]) == NAMES


def test_a_local_script_has_no_login(load: Path) -> None:
    """With -l the client is on this host and has not logged in."""
    lines = printed(load, "-l").decode().splitlines()

    assert {"client_address=127.0.0.1", "sasl_username=", "sasl_method="} <= set(lines)


def test_exactly_as_many_requests_as_told_are_sent(load: Path, responder: Start) -> None:
    """-n 200 over 7 connections sends 200 requests and hears 200 answers."""
    server = responder(always_dunno)

    code, figures = run(load, f"unix:{server.path}", "-n", "200", "-c", "7")

    assert code == 0
    assert (figures["requests"], figures["errors"], figures["connections"]) == (200, 0, 7)
    assert len(server.requests) == 200
    assert len({one["client_port"] for one in server.requests}) == 7


def test_each_message_has_an_instance_and_a_sender_of_its_own(load: Path, responder: Start) -> None:
    """Logins are spread over the domains and users that were asked for; no instance comes twice."""
    server = responder(always_dunno)

    run(load, f"unix:{server.path}", "-n", "400", "-d", "3", "-u", "2")

    assert len({one["instance"] for one in server.requests}) == 400
    assert {one["sasl_username"] for one in server.requests} == {
        f"user{user}@domain{domain}.test" for user in range(2) for domain in range(3)
    }
    assert all(one["sender"] == one["sasl_username"] for one in server.requests)


def test_a_message_is_its_recipients_and_its_end(load: Path, responder: Start) -> None:
    """With -r 3 -e a message is three RCPT and one END-OF-MESSAGE with the count of what was accepted."""
    server = responder(lambda one: "450 4.7.1 later" if ".1@" in one["recipient"] else "DUNNO")

    code, figures = run(load, f"unix:{server.path}", "-n", "40", "-c", "1", "-r", "3", "-e")

    assert code == 0
    assert figures["actions"] == {"DUNNO": 30, "450": 10, "550": 0, "other": 0}
    for start in range(0, 40, 4):
        message = server.requests[start : start + 4]
        assert [one["protocol_state"] for one in message] == ["RCPT", "RCPT", "RCPT", "END-OF-MESSAGE"]
        assert len({one["instance"] for one in message}) == 1
        assert len({one["recipient"] for one in message[:3]}) == 3
        assert [one["recipient_count"] for one in message] == ["0", "0", "0", "2"]
        assert message[3]["recipient"] == ""
        assert [bool(one["queue_id"]) for one in message] == [False, True, True, True]


def test_a_message_that_nobody_gets_has_no_end(load: Path, responder: Start) -> None:
    """When all recipients are refused there is no END-OF-MESSAGE; that of one recipient names it."""
    server = responder(lambda _: "550 5.7.1 no")
    run(load, f"unix:{server.path}", "-n", "20", "-r", "2", "-e")
    assert {one["protocol_state"] for one in server.requests} == {"RCPT"}

    server.answer = always_dunno
    server.requests.clear()
    run(load, f"unix:{server.path}", "-n", "20", "-c", "1", "-e")
    ends = [one for one in server.requests if one["protocol_state"] == "END-OF-MESSAGE"]
    assert len(ends) == 10
    assert all(one["recipient"] for one in ends)


def test_the_actions_are_counted(load: Path, responder: Start) -> None:
    """DUNNO, 450, 550 and all else are counted as they were given."""
    answers = ["DUNNO", "450 4.7.1 later", "550 5.7.1 no", "HOLD for a look", "DUNNO "]
    server = responder(lambda _: answers[len(server.requests) % 5])

    code, figures = run(load, f"unix:{server.path}", "-n", "50", "-c", "1")

    assert code == 0
    assert figures["actions"] == {"DUNNO": 10, "450": 10, "550": 10, "other": 20}


def test_a_reply_in_pieces_is_one_reply(load: Path, raw_server: RawServer) -> None:
    """A reply may arrive byte by byte."""
    raw_server.pieces = [bytes([byte]) for byte in b"action=DUNNO\n\n"]

    code, figures = run(load, f"unix:{raw_server.path}", "-n", "30", "-c", "3")

    assert (code, figures["errors"], figures["actions"]["DUNNO"]) == (0, 0, 30)


@pytest.mark.parametrize(
    "reply",
    [
        b"action=DUNNO\n\naction=DUNNO\n\n",
        b"action=DUNNO\nfoo=bar\n\n",
        b"action=\n\n",
        b"DUNNO\n\n",
        b"\n",
        b"action=DUN\0NO\n\n",
        b"action=" + b"x" * 5000 + b"\n\n",
    ],
)
def test_a_wrong_reply_is_an_error(load: Path, raw_server: RawServer, reply: bytes) -> None:
    """What is not exactly one action and an empty line is counted as an error and fails the run."""
    raw_server.pieces = [reply]

    code, figures = run(load, f"unix:{raw_server.path}", "-n", "5", "-c", "1")

    assert code == 1
    assert figures["errors"] >= 5
    assert figures["requests"] == 0


@pytest.mark.parametrize("pieces", [[], [b"action=DUNNO\n"]])
def test_a_close_without_a_whole_reply_is_an_error(load: Path, raw_server: RawServer, pieces: list[bytes]) -> None:
    """A connection that is closed instead of answered is an error each time, and is opened again."""
    raw_server.pieces, raw_server.closes = pieces, True

    code, figures = run(load, f"unix:{raw_server.path}", "-n", "5", "-c", "2")

    assert (code, figures["errors"], figures["requests"]) == (1, 5, 0)


def test_a_service_that_is_not_there_is_an_error(load: Path, directory: Path) -> None:
    """Nobody to connect to ends at once with a message."""
    done = subprocess.run([str(load), f"unix:{directory}/gone"], capture_output=True, check=False, text=True)

    assert (done.returncode, done.stderr) == (1, f"load: unix:{directory}/gone: No such file or directory\n")


@pytest.mark.parametrize("options", [[], ["-c", "0", "unix:/x"], ["-n", "x", "unix:/x"], ["-q", "unix:/x"]])
def test_wrong_usage_is_told(load: Path, options: list[str]) -> None:
    """No endpoint, and numbers that are none, end with the usage and exit code 2."""
    done = subprocess.run([str(load), *options], capture_output=True, check=False, text=True)

    assert done.returncode == 2
    assert "usage: load [options] unix:/path | host:port" in done.stderr


@pytest.mark.parametrize("kind", ["nothing", "dict"])
@pytest.mark.parametrize("where", ["unix:{}/policy", "127.0.0.1:0", "[::1]:0"])
def test_the_responders_answer_every_request(load: Path, directory: Path, kind: str, where: str) -> None:
    """Both responders answer over a unix socket and over TCP, whole messages at an offered rate."""
    command = [sys.executable, str(BENCH / "responders.py"), kind, where.format(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        endpoint = server.stdout.readline().strip()
        code, figures = run(load, endpoint, "-n", "500", "-r", "4", "-e", "-k", "20000")
        server.terminate()

    assert (code, figures["requests"], figures["actions"]["DUNNO"]) == (0, 500, 500)
    assert figures["offered_per_second"] == 20000
    assert 0 < figures["p50_us"] <= figures["p90_us"] <= figures["p99_us"] <= figures["p99_9_us"] <= figures["max_us"]


def test_requests_that_find_no_free_connection_are_told(load: Path, raw_server: RawServer) -> None:
    """At an offered rate each connection waits for its answer: one error each, the rest was never sent."""
    raw_server.pieces = [b"action"]

    code, figures = run(load, f"unix:{raw_server.path}", "-t", "1", "-c", "2", "-k", "100")

    assert (code, figures["errors"], figures["requests"]) == (1, 2, 0)
    assert figures["unsent"] == 98
    assert raw_server.asked == 2


def test_the_histogram_is_right_to_one_percent(tmp_path: Path) -> None:
    """Quantiles are those of the sorted values, exact below 256 and one percent lower at most above."""
    (tmp_path / "quantiles.c").write_text(
        '#include "histogram.h"\n#include <stdio.h>\nstatic struct histogram h;\n'
        'int main(void) { unsigned long us; while (scanf("%lu", &us) == 1) histogram_add(&h, us);\n'
        'for (int p = 0; p <= 100; p++) printf("%lu\\n", (unsigned long)histogram_quantile(&h, p / 100.0)); }\n'
    )
    program = str(tmp_path / "quantiles")
    subprocess.run([*COMPILE, program, f"-I{BENCH}", str(tmp_path / "quantiles.c")], check=True)
    values = [*sorted((3**n) % 1_000_003 + (5**n) % 700 for n in range(1000)), 2**45 - 1, 2**63]

    said = subprocess.run([program], input="\n".join(map(str, values)), capture_output=True, check=True, text=True)

    for percent, found in enumerate(map(int, said.stdout.split())):
        exact = values[min(int(percent / 100 * len(values)), len(values) - 1)]
        assert exact * 0.99 <= found <= exact, f"p{percent}"
        assert found == exact or exact >= 256
