"""The file of who is suspended: written when something changed, read at a start, never in the way."""

import asyncio
import logging
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.store.redis import RedisStore
from policyd.suspendedfile import MOST, NAME, SuspendedFile
from policyd.suspension import Suspended, Suspensions

NOON, HOUR = 1_780_000_000_000, 3_600_000
UNKNOWN = "who is suspended is not known until Redis answers: "

texts = st.text(st.characters(), max_size=20)
moments = st.integers(0, 2**53)
suspensions_of_all_kinds = st.builds(Suspended, texts, texts, texts, moments, st.just(0), texts, texts, texts)


class Daemon:
    """The mirror and its file, of one life of a daemon."""

    def __init__(self, directory: Path, *known: Suspended) -> None:
        self.suspensions = Suspensions(cast("RedisStore", None))
        self.file = SuspendedFile(directory, self.suspensions, lambda: NOON)
        self.file.recall()
        if known:
            self.suspensions.recall(known)

    def keep(self, *, store_up: bool = True) -> "Daemon":
        """Do what is done each second."""
        asyncio.run(self.file.keep(store_up=store_up))
        return self

    @property
    def known(self) -> list[Suspended]:
        """Who is suspended as far as it knows."""
        return self.suspensions.all(NOON)


def suspended(account: str = "a.test", *, at: int = 0, until: int = 0) -> Suspended:
    """Return a suspension."""
    return Suspended(account, "domain", account, at, until, "root (uid 0)", "ticket 4711", "7KQ2M0XW9A")


@given(every=st.lists(suspensions_of_all_kinds, unique_by=lambda one: (one.account, one.name)))
def test_the_next_daemon_knows_the_same(tmp_path_factory: pytest.TempPathFactory, every: list[Suspended]) -> None:
    """Whatever is in the names and the reasons."""
    directory = tmp_path_factory.mktemp("state")
    before = Daemon(directory, *every).keep()

    assert Daemon(directory).known == before.known
    assert len(before.known) == len(every)


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    """In a directory that is made for it, and nothing is left beside it."""
    Daemon(tmp_path / "state", suspended()).keep()

    assert [(one.name, one.stat().st_mode & 0o777) for one in (tmp_path / "state").iterdir()] == [(NAME, 0o600)]
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_what_is_over_is_not_kept(tmp_path: Path) -> None:
    """Neither in the file nor by who reads an older one."""
    Daemon(tmp_path, suspended(until=NOON + HOUR), suspended("b.test", until=NOON)).keep()
    (only,) = Daemon(tmp_path).known

    assert only.account == "a.test"


def test_it_is_written_when_something_has_changed(tmp_path: Path) -> None:
    """And not each second; what ended is gone from it."""
    daemon = Daemon(tmp_path, suspended(), suspended("b.test")).keep()
    first = (tmp_path / NAME).stat()
    daemon.keep()
    assert (tmp_path / NAME).stat() == first
    daemon.suspensions.recall([suspended("b.test")])
    daemon.keep()
    assert [one.account for one in Daemon(tmp_path).known] == ["b.test"]


def test_while_the_store_is_away_it_stays_as_it_was(tmp_path: Path) -> None:
    """A daemon that knows less does not write over what one before it knew."""
    Daemon(tmp_path, suspended()).keep()
    late = Daemon(tmp_path)
    late.suspensions.recall([])
    late.keep(store_up=False)

    assert Daemon(tmp_path).known == [suspended()]


def test_of_too_many_the_newest_are_kept(tmp_path: Path) -> None:
    """The file has a bound."""
    Daemon(tmp_path, *(suspended(f"{number}.test", at=number) for number in range(MOST + 1))).keep()
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
    """One line says so while the store is away; when it answers, a good one is written."""
    if text is not None:
        (tmp_path / NAME).write_text(text)
    daemon = Daemon(tmp_path)
    assert daemon.known == []
    daemon.keep(store_up=False).keep(store_up=False)
    assert [one.getMessage() for one in caplog.records] == [f"{UNKNOWN}{tmp_path / NAME}: {why}"]
    daemon.suspensions.recall([suspended()])
    daemon.keep()
    assert Daemon(tmp_path).known == [suspended()]


def test_a_directory_in_its_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is neither read nor written, one line says each, and nothing is left beside it; later it goes on."""
    (tmp_path / NAME).mkdir()
    daemon = Daemon(tmp_path, suspended())
    daemon.keep(store_up=False).keep().keep()
    said = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert said == [
        f"{UNKNOWN}{tmp_path / NAME}: Is a directory",
        f"who is suspended is not kept for a start while Redis is away: {tmp_path / NAME}: Is a directory",
    ]
    assert [one.name for one in tmp_path.iterdir()] == [NAME]
    (tmp_path / NAME).rmdir()
    daemon.keep()
    assert Daemon(tmp_path).known == [suspended()]
