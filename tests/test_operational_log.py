"""Operational lines: stdlib logging as logfmt, with severities, for people and for journald."""

import io
import logging
import os
import re
import socket
from collections.abc import Iterator

import pytest

from policyd.log import LogHandler, setup_logging
from tests.support.logfmt import parse
from tests.support.pipe import Pipe


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Yield a pipe."""
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """Yield the root logger, and put it back as it was."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def written(stream: io.StringIO) -> list[str]:
    """Return the lines in a stream."""
    return stream.getvalue().splitlines()


def test_operational_lines_have_five_severities(root: logging.Logger) -> None:
    """Records are logfmt lines of a severity; an exception with its traceback is a bug, on one line."""
    stream = io.StringIO()
    setup_logging(stream, {})
    logger = logging.getLogger("policyd.store")
    logger.debug("nothing")
    logger.info("plain")
    logger.warning("an odd %s", "peer")
    logger.error("look")
    logger.critical('the "end"')
    try:
        int("a\nb")
    except ValueError:
        logger.exception("not foreseen")

    lines = written(stream)

    assert lines[:4] == [
        "level=info logger=policyd.store msg=plain",
        'level=warn logger=policyd.store msg="an odd peer"',
        "level=error logger=policyd.store msg=look",
        r'level=critical logger=policyd.store msg="the \"end\""',
    ]
    bug = parse(lines[4])
    assert len(lines) == 5
    assert (bug["level"], bug["msg"]) == ("bug", "not foreseen")
    assert bug["trace"].startswith("Traceback")
    assert bug["trace"].endswith("ValueError: invalid literal for int() with base 10: 'a\\nb'")
    assert root.level == logging.INFO


def test_hostile_message_is_one_line(root: logging.Logger) -> None:
    """What a peer sent cannot end an operational line or forge a severity."""
    stream = io.StringIO()
    setup_logging(stream, {})
    hostile = "x\n<0>level=critical \udcff\x1b[2J" + "y" * 100_000
    root.warning("%s", hostile)

    lines = written(stream)

    assert len(lines) == 1
    assert parse(lines[0])["msg"].startswith("x\n<0>level=critical \udcff\x1b[2J")
    assert len(lines[0]) < 30_000


def test_message_that_does_not_fit_its_arguments() -> None:
    """A mistake in a log call is itself a line of the log, not an exception."""
    stream = io.StringIO()
    LogHandler(stream).handle(logging.makeLogRecord({"name": "policyd", "msg": "%d domains", "args": ("many",)}))

    assert [parse(line) for line in written(stream)] == [
        {"level": "bug", "logger": "policyd", "msg": "cannot be formatted: '%d domains'"}
    ]


def test_journal_gets_priorities(root: logging.Logger) -> None:
    """When the stream is the journal's, each line has the prefix that sd-daemon(3) names."""
    ours, theirs = socket.socketpair()
    status = os.fstat(theirs.fileno())
    with ours, theirs, theirs.makefile("w") as stream:
        setup_logging(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        for level in (logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
            root.log(level, "x")
        root.error("x", exc_info=ValueError("y"))
        text = ours.recv(65536).decode()

    assert re.findall(r"^<(\d)>level=(\w+) ", text, re.MULTILINE) == [
        ("6", "info"),
        ("4", "warn"),
        ("3", "error"),
        ("2", "critical"),
        ("2", "bug"),
    ]


@pytest.mark.parametrize("environ", [{}, {"JOURNAL_STREAM": "1:2"}], ids=["no journal", "another stream"])
def test_nobody_else_gets_priorities(root: logging.Logger, pipe: Pipe, environ: dict[str, str]) -> None:
    """Without a journal, or when stderr is not what goes there, lines have no prefix."""
    setup_logging(pipe.stream, environ)
    root.warning("x")

    assert pipe.read() == "level=warn logger=root msg=x\n"


def test_second_setup_replaces_the_first(root: logging.Logger) -> None:
    """Setting up twice does not write every line twice."""
    first, second = io.StringIO(), io.StringIO()
    setup_logging(first, {})
    setup_logging(second, {})
    root.info("x")

    assert (written(first), len(written(second))) == ([], 1)
    assert sum(isinstance(handler, LogHandler) for handler in root.handlers) == 1


def test_operational_lines_wait_for_nobody(pipe: Pipe) -> None:
    """A reader that does not read, or is gone, keeps no code from going on after a log call."""
    handler = LogHandler(pipe.stream)
    record = logging.makeLogRecord({"name": "policyd", "levelno": logging.INFO, "msg": "x" * 1000})
    for _ in range(2000):
        handler.handle(record)
    begun = pipe.read()
    handler.handle(record)
    begun += pipe.read()
    pipe.close_reader()
    handler.handle(record)
    handler.flush()

    *lines, _ = begun.splitlines()
    assert {parse(line)["msg"] for line in lines} == {"x" * 1000}
    assert len(begun) > 65_536
