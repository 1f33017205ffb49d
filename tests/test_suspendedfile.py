"""The file of who is suspended: written when something changed, read at a start, never in the way."""

import asyncio
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.suspendedfile import MOST, NAME, SuspendedFile
from policyd.suspension import Suspended

UNKNOWN = "who is suspended is not known until Redis answers: "

texts = st.text(st.characters(), max_size=20)
moments = st.integers(0, 2**53)
suspensions_of_all_kinds = st.builds(Suspended, texts, texts, texts, moments, st.just(0), texts, texts, texts)


class Daemon:
    """One life of a daemon: what it knew at its start, and what it writes."""

    def __init__(self, directory: Path) -> None:
        self.file = SuspendedFile(directory)
        self.known = self.file.recall()

    def keep(self, *known: Suspended) -> "Daemon":
        """Do what is done each second, when the store has said who is suspended."""
        asyncio.run(self.file.keep(list(known)))
        return self

    def untold(self) -> "Daemon":
        """Do what is done each second while the store has said nothing yet."""
        asyncio.run(self.file.keep(None))
        return self


def suspended(account: str = "a.test", *, at: int = 0) -> Suspended:
    """Return a suspension."""
    return Suspended(account, "domain", account, at, 0, "root (uid 0)", "ticket 4711", "7KQ2M0XW9A")


@given(every=st.lists(suspensions_of_all_kinds))
def test_the_next_daemon_knows_the_same(tmp_path_factory: pytest.TempPathFactory, every: list[Suspended]) -> None:
    """Whatever is in the names and the reasons."""
    directory = tmp_path_factory.mktemp("state")
    Daemon(directory).keep(*every)

    assert Daemon(directory).known == every


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    """In a directory that is made for it, and nothing is left beside it."""
    Daemon(tmp_path / "state").keep(suspended())

    assert [(one.name, one.stat().st_mode & 0o777) for one in (tmp_path / "state").iterdir()] == [(NAME, 0o600)]
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_it_is_written_when_something_has_changed(tmp_path: Path) -> None:
    """And not each second; what ended is gone from it."""
    daemon = Daemon(tmp_path).keep(suspended(), suspended("b.test"))
    first = (tmp_path / NAME).stat()
    daemon.keep(suspended(), suspended("b.test"))
    assert (tmp_path / NAME).stat() == first
    daemon.keep(suspended("b.test"))
    assert Daemon(tmp_path).known == [suspended("b.test")]


def test_what_is_written_at_once_is_written_in_its_order(tmp_path: Path) -> None:
    """A suspension that comes while the file is written stands there when it is confirmed."""

    async def both() -> None:
        file = SuspendedFile(tmp_path)
        await asyncio.gather(file.keep([suspended()]), file.keep([suspended(), suspended("b.test")]))

    asyncio.run(both())
    assert Daemon(tmp_path).known == [suspended(), suspended("b.test")]


def test_before_the_store_has_said_it_stays_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A daemon that knows less does not write over what one before it knew, and has nothing to say about it."""
    Daemon(tmp_path).keep(suspended())
    Daemon(tmp_path).untold()

    assert Daemon(tmp_path).known == [suspended()]
    assert not caplog.records


def test_of_too_many_the_newest_are_kept(tmp_path: Path) -> None:
    """The file has a bound."""
    Daemon(tmp_path).keep(*(suspended(f"{number}.test", at=number) for number in range(MOST + 1)))
    known = Daemon(tmp_path).known

    assert (len(known), known[0].account) == (MOST, "1.test")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "there is none yet"),
        ("", "it is not as policyd wrote it"),
        ("[[", "it is not as policyd wrote it"),
        ("[" * 100_000, "it is not as policyd wrote it"),
        ('{"a": 1}', "it is not as policyd wrote it"),
        ('[["a.test", "domain", "a.test", 0, "0", "root", "why", "ref"]]', "it is not as policyd wrote it"),
        ('[["a.test"]]', "it is not as policyd wrote it"),
        (" " * (MOST * 2048 + 1), "it is not as policyd wrote it"),
    ],
    ids=["missing", "empty", "half", "deep", "other", "wrong type", "short row", "too long"],
)
def test_a_file_that_cannot_be_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str | None, why: str
) -> None:
    """One line says so when the store says nothing either; when it answers, a good one is written."""
    if text is not None:
        (tmp_path / NAME).write_text(text)
    daemon = Daemon(tmp_path)
    assert daemon.known == []
    daemon.untold().untold()
    assert [one.getMessage() for one in caplog.records] == [f"{UNKNOWN}{tmp_path / NAME}: {why}"]
    daemon.keep(suspended())
    assert Daemon(tmp_path).known == [suspended()]


def test_a_directory_in_its_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is neither read nor written, one line says each, and nothing is left beside it; later it goes on."""
    (tmp_path / NAME).mkdir()
    daemon = Daemon(tmp_path).untold().keep(suspended()).keep(suspended())
    said = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert said == [
        f"{UNKNOWN}{tmp_path / NAME}: Is a directory",
        f"who is suspended is not kept for a start while Redis is away: {tmp_path / NAME}: Is a directory",
    ]
    assert [one.name for one in tmp_path.iterdir()] == [NAME]
    (tmp_path / NAME).rmdir()
    daemon.keep(suspended())
    assert Daemon(tmp_path).known == [suspended()]
