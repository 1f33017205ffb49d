"""Parsing in a child process."""

import asyncio
import io
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from policyd.conf import child
from policyd.conf.load import load
from policyd.conf.schema import Config
from policyd.errors import ConfigError
from tests.support.configs import write_config


def in_child(path: str | Path, state_directory: str | None = None) -> Config:
    """Load in a child process, with an event loop of the test's own."""
    return asyncio.run(child.load_in_child(path, state_directory))


def test_the_child_gives_what_the_loader_gives(tmp_path: Path) -> None:
    """Schedules, changed domains, aliases and users come over the pipe as they are."""
    (tmp_path / "u.map").write_text("alice a.example\n")
    path = write_config(
        tmp_path,
        "domains: {a.example: {contact: a@a.example, change: {domain-hourly: {max: 5}}}},"
        ' aliases: {b.example: a.example}, local_users: "file:u.map"',
        schedules="{off-peak: {timezone: Europe/Berlin, open: [Sat-Sun], dates: {2026-12-25: open}}}",
    )

    assert in_child(path) == load(path)


def test_large_maps_come_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop goes on between them, and none is lost."""
    (tmp_path / "d.map").write_text("".join(f"d{number}.example\n" for number in range(10_000)))
    path = write_config(tmp_path, 'hosted: ["file:d.map"]')
    turns = 0
    sleep = asyncio.sleep

    async def counted(delay: float) -> None:
        nonlocal turns
        turns += 1
        await sleep(delay)

    monkeypatch.setattr(asyncio, "sleep", counted)

    config = in_child(path)

    assert config == load(path)
    assert turns >= 10


def test_all_issues_come_back(tmp_path: Path) -> None:
    """A bad file raises the same ConfigError as the loader does."""
    path = write_config(tmp_path, mode="none", log="{accepted: 1}")
    with pytest.raises(ConfigError) as expected:
        load(path)

    with pytest.raises(ConfigError) as caught:
        in_child(str(path))

    assert caught.value.issues == expected.value.issues
    assert len(caught.value.issues) == 2


def test_the_state_directory_is_handed_on(tmp_path: Path) -> None:
    """The child keeps the last good texts."""
    (tmp_path / "a.yaml").write_text("domains: {a.example: }\n")
    (tmp_path / "state").mkdir()

    in_child(write_config(tmp_path, "include: [a.yaml]"), str(tmp_path / "state"))

    assert len(list((tmp_path / "state" / "includes").iterdir())) == 1


def test_the_child_takes_this_package_and_not_one_of_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lies where the daemon was started is no code of it."""
    (tmp_path / "policyd").mkdir()
    (tmp_path / "policyd" / "__init__.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)

    assert in_child(write_config(tmp_path)).accounts.default_plan == "shared"


def test_a_child_that_dies_is_an_issue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reload fails, and says how the child ended."""
    killed = tmp_path / "python"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killed))

    with pytest.raises(ConfigError) as caught:
        in_child(tmp_path / "policyd.yaml")

    assert [issue.problem for issue in caught.value.issues] == ["could not be read: the child process ended with -9"]


def test_a_child_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reload fails after some time, and leaves no process behind."""
    hung = tmp_path / "python"
    hung.write_text("#!/bin/sh\nexec sleep 600\n")
    hung.chmod(0o755)
    started: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def noted(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        started.append(await start(*arguments, **options))
        return started[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    monkeypatch.setattr(sys, "executable", str(hung))
    monkeypatch.setattr(child, "_PATIENCE", 0.05)

    with pytest.raises(ConfigError) as caught:
        in_child(tmp_path / "policyd.yaml")

    assert [issue.problem for issue in caught.value.issues] == ["was not read within 0.05 s"]
    assert [process.returncode for process in started] == [-9]


@pytest.mark.parametrize(("mode", "frames"), [("observe", [dict, Config]), ("none", [tuple])])
def test_the_child_writes_maps_and_config_or_the_issues(
    mode: str, frames: list[type], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each frame is a length of 8 bytes and a pickle."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw))

    assert child.main([str(write_config(tmp_path, 'domains: {"a.example": }', mode=mode)), ""]) == 0

    found, data = [], raw.getvalue()
    while data:
        length = int.from_bytes(data[:8])
        found.append(type(pickle.loads(data[8 : 8 + length])))  # noqa: S301 -- our own
        data = data[8 + length :]
    assert [frame for frame in found if frame is not dict] == frames[-1:]
    assert (dict in found) is (dict in frames)
