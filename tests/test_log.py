"""The log: whatever happens, a line is a line, and nobody waits for it."""

import asyncio
import io
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from hypothesis import example, given
from hypothesis import strategies as st

from policyd.log import LONGEST_VALUE, MOST_PENDING, DecisionLog, LineWriter
from tests.support.embedded import small_disk
from tests.support.logfmt import parse
from tests.support.pipe import Pipe
from tests.support.wait import until

REFUSAL: dict[str, str | int | float] = {
    "action": "reject",
    "limit": "domain-hourly",
    "used": "400/400",
    "account": "example.org",
    "sure": "verified",
    "traffic": "user",
    "queue_id": "",
    "sasl": "ann@example.org",
    "client": "2001:db8::17",
    "resumes": "2027-03-01T12:00:00+01:00",
    "ref": "0123456789",
    "ms": 0.82,
}

wire_texts = st.binary(max_size=50).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
values = wire_texts | st.text(st.sampled_from('a"\\ =\n\r\t\x00\x1b\x7f\x85\u2028é😀\udc80\udcff'), max_size=50)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Yield a pipe."""
    made = Pipe()
    yield made
    made.close()


def line_of(fields: dict[str, str | int | float]) -> str:
    """Return the line that the decision log writes, which must be one."""
    stream = io.StringIO()
    DecisionLog(stream).write(fields)
    line, end, rest = stream.getvalue().partition("\n")
    assert (end, rest) == ("\n", "")
    return line


def test_a_refusal_reads_as_the_design_says() -> None:
    """Fields stand in the order in which they come, plain values without quotes."""
    assert line_of(REFUSAL) == (
        "action=reject limit=domain-hourly used=400/400 account=example.org sure=verified traffic=user queue_id= "
        "sasl=ann@example.org client=2001:db8::17 resumes=2027-03-01T12:00:00+01:00 ref=0123456789 ms=0.82"
    )


def test_odd_values_are_json_strings() -> None:
    """A value with a space, a quote, an equals sign or anything unprintable is a JSON string in ASCII."""
    line = line_of({"a": 'x y"z', "b": "p=q", "c": "é\n", "d": "\udcff\x7f", "e": "plain\\text"})

    assert line == r'a="x y\"z" b="p=q" c="\u00e9\n" d="\udcff\u007f" e=plain\text'


@given(account=values, sasl=values, client=values, ref=values)
@example(account="x account=victim.example", sasl='"', client="\n", ref="a\naction=accept")
@example(account='" ', sasl=" =", client="= ", ref="")
def test_hostile_values_never_break_a_line_or_forge_a_field(account: str, sasl: str, client: str, ref: str) -> None:
    """Whatever a value holds, a reader of the line gets exactly the fields and values that were written."""
    fields = {**REFUSAL, "account": account, "sasl": sasl, "client": client, "ref": ref}

    read = parse(line_of(fields))

    assert list(read.items()) == [(name, str(value)) for name, value in fields.items()]


def test_long_values_are_cut() -> None:
    """A line stays far below what journald splits, even with the longest attributes that Postfix sends."""
    fields = {**REFUSAL, "sasl": "a" * 8192, "account": "\udcff" * 8192, "client": "x" * LONGEST_VALUE}

    line = line_of(fields)

    read = parse(line)
    assert len(line) < 4096
    assert read["sasl"] == "a" * (LONGEST_VALUE - 3) + "..."
    assert read["account"] == "\udcff" * (LONGEST_VALUE - 3) + "..."
    assert read["client"] == "x" * LONGEST_VALUE


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_one_write_for_each_tick(loop: asyncio.AbstractEventLoop) -> None:
    """All lines of one loop tick go out in one write, after the tick; the next tick's in another."""

    async def scene() -> None:
        log = DecisionLog(stream)
        for number in range(3):
            log.write({"number": number})
        with pytest.raises(BlockingIOError):
            ours.recv(100)
        await asyncio.sleep(0)
        first = ours.recv(100)
        log.write({"number": 3})
        await asyncio.sleep(0)

        assert (first, ours.recv(100)) == (b"number=0\nnumber=1\nnumber=2\n", b"number=3\n")

    # A datagram for each write.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    with ours, theirs, theirs.makefile("w") as stream, asyncio.Runner(loop_factory=loop) as runner:  # type: ignore[arg-type]
        runner.run(scene())


def test_slow_reader_is_not_waited_for(pipe: Pipe) -> None:
    """While nobody reads, writing goes on at once; when somebody does, every line comes, whole and in order."""

    async def scene() -> str:
        log, read = DecisionLog(pipe.stream), ""
        for number in range(5000):
            log.write({"number": number, "text": "x" * 50})
            if number % 100 == 0:
                await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while "number=4999 " not in read:
                read += pipe.read()
                await asyncio.sleep(0)
        return read

    numbers = [parse(line)["number"] for line in asyncio.run(scene()).splitlines()]

    assert numbers == [str(number) for number in range(5000)]


def test_reader_that_is_too_slow_costs_lines_and_is_told_how_many(pipe: Pipe, caplog: pytest.LogCaptureFixture) -> None:
    """What does not fit into the memory for a slow reader is lost; how much is said once, when it reads again."""
    writer, line, read = LineWriter(pipe.stream), f"text={'x' * 994}\n", ""
    written = 0
    while not writer.lost:
        writer.put(line)
        writer.send()
        written += 1
    writer.put(line)
    before = writer.lost
    while not writer.send():
        read += pipe.read()
    read += pipe.read()
    writer.send()

    assert before == 2
    assert written * len(line) > MOST_PENDING
    assert read == line * (written - 1)
    assert [record.getMessage() for record in caplog.records] == [
        "2 lines of the decision log lost: the reader was too slow"
    ]


def test_full_disk_costs_lines_and_recovers(caplog: pytest.LogCaptureFixture) -> None:
    """On a full disk lines are lost, nothing else; then it goes on with whole lines and says how many are missing."""
    with small_disk("64k") as path, (path / "log").open("w") as stream:
        log, line = DecisionLog(stream), {"text": "x" * 994}
        (path / "filler").write_bytes(b"x" * 50_000)
        for _ in range(40):
            log.write(line)
        assert "lost" not in caplog.text
        (path / "filler").unlink()
        log.write({"text": "again"})
        log.flush()
        lines = (path / "log").read_text().splitlines()

    whole = f"text={line['text']}"
    kept = lines.count(whole)
    torn = lines[kept]
    assert 0 < kept < 40
    assert whole.startswith(torn)
    assert lines == [whole] * kept + [torn, "text=again"]
    assert caplog.messages == [f"{40 - kept} lines of the decision log lost: No space left on device"]


def test_reader_that_is_gone_harms_nobody(pipe: Pipe) -> None:
    """When the reading end of the pipe is closed, lines are lost and counted, and nothing is raised."""
    writer = LineWriter(pipe.stream)
    pipe.close_reader()
    for _ in range(3):
        writer.put("a=b\n")
        assert writer.send()

    assert writer.lost == 3


def test_pipe_stays_as_it_was_for_others(pipe: Pipe) -> None:
    """The pipe that we share with other processes still blocks for them."""
    LineWriter(pipe.stream)

    assert os.get_blocking(pipe.stream.fileno())


def test_flush_waits_for_a_slow_reader(pipe: Pipe) -> None:
    """At the end of the daemon a reader that still reads gets everything."""

    async def scene() -> None:
        for _ in range(400):
            log.write({"text": "x" * 990})
        reading.start()
        log.flush()

    def read() -> None:
        while "".join(got).count("\n") < 400:
            got.append(until(pipe.read, "more lines come"))

    log, got, reading = DecisionLog(pipe.stream), list[str](), threading.Thread(target=read)
    asyncio.run(scene())
    reading.join(20)

    assert "".join(got) == f"text={'x' * 990}\n" * 400


def test_flush_gives_a_reader_up(pipe: Pipe) -> None:
    """At the end of the daemon a reader that does not read keeps nobody alive."""
    writer = LineWriter(pipe.stream)
    writer.put("x" * 100_000 + "\n")

    writer.finish()

    assert not writer.send()


def test_file_is_written_where_it_stands(tmp_path: Path) -> None:
    """A regular file is written at the place that it shares with other processes."""
    with (tmp_path / "log").open("w") as stream:
        os.write(stream.fileno(), b"theirs\n")
        DecisionLog(stream).write({"a": 1})
        os.write(stream.fileno(), b"theirs\n")

    assert (tmp_path / "log").read_text() == "theirs\na=1\ntheirs\n"


def test_stream_may_be_any_text_stream() -> None:
    """A stream that is no file, as a test's, is written through its own methods."""
    stream = io.StringIO()
    writer = LineWriter(stream)
    writer.put("a=b\n")
    writer.finish()

    assert stream.getvalue() == "a=b\n"
