"""The state directory: who has it, and what is wrong with it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from policyd.errors import StateDirectoryError
from policyd.store.directory import StateDirectory
from tests.support.embedded import small_disk


@pytest.fixture
def free_directory(tmp_path: Path) -> Iterator[StateDirectory]:
    """Yield a directory that nobody has."""
    directory = StateDirectory(tmp_path / "state")
    yield directory
    directory.release()


def test_missing_directory_is_made(free_directory: StateDirectory) -> None:
    """A directory that does not exist is made, and only its owner can look into it."""
    free_directory.acquire()

    assert free_directory.path.stat().st_mode & 0o777 == 0o700


def test_second_is_told_the_first(free_directory: StateDirectory) -> None:
    """Who finds the directory taken is told the pid of the process that has it, and what to do."""
    free_directory.acquire()

    with pytest.raises(StateDirectoryError) as caught:
        StateDirectory(free_directory.path).acquire()

    assert str(caught.value) == (
        f"state directory {free_directory.path}: in use by the policyd with pid {os.getpid()}; "
        "stop that one, or let both share a Redis of yours (store.url)"
    )


def test_taken_before_the_pid_is_written(free_directory: StateDirectory) -> None:
    """A lock without a pid, as in the moment between the two, still names the cause."""
    free_directory.acquire()
    (free_directory.path / "lock").write_bytes(b"")

    with pytest.raises(StateDirectoryError, match="in use by another policyd; stop that one"):
        StateDirectory(free_directory.path).acquire()


def test_released_directory_can_be_taken(free_directory: StateDirectory) -> None:
    """After a release another one gets the directory; releasing twice harms nobody."""
    free_directory.acquire()
    free_directory.release()
    free_directory.release()
    other = StateDirectory(free_directory.path)
    other.acquire()

    with pytest.raises(StateDirectoryError):
        free_directory.acquire()

    other.release()


def test_refused_one_holds_nothing(free_directory: StateDirectory) -> None:
    """An attempt that failed leaves no lock behind."""
    free_directory.acquire()
    refused = StateDirectory(free_directory.path)
    with pytest.raises(StateDirectoryError):
        refused.acquire()
    free_directory.release()

    refused.acquire()

    refused.release()


def test_children_do_not_inherit_the_lock(free_directory: StateDirectory) -> None:
    """A program that was started meanwhile does not keep the directory locked."""
    free_directory.acquire()
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        try:
            free_directory.release()
            other = StateDirectory(free_directory.path)

            other.acquire()

            other.release()
        finally:
            child.kill()


def test_probe_leaves_nothing(free_directory: StateDirectory) -> None:
    """Seeing whether there is room leaves no file behind."""
    free_directory.acquire()

    assert [entry.name for entry in free_directory.path.iterdir()] == ["lock"]


def test_file_in_its_place(tmp_path: Path) -> None:
    """A file where the directory should be is an error with a cure."""
    path = tmp_path / "state"
    path.write_bytes(b"")

    with pytest.raises(StateDirectoryError, match=r"choose a store\.directory that is a directory"):
        StateDirectory(path).acquire()


def test_linked_lock_is_not_followed(tmp_path: Path) -> None:
    """A symbolic link in the lock's place is not followed: it could empty any file."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "lock").symlink_to(victim)

    with pytest.raises(StateDirectoryError):
        StateDirectory(tmp_path).acquire()

    assert victim.read_text() == "precious"


def test_full_disk() -> None:
    """A disk without room is reported at once, and nothing stays behind on it."""
    with small_disk("256k") as path:
        with pytest.raises(StateDirectoryError) as caught:
            StateDirectory(path).acquire()
        left = [entry.name for entry in path.iterdir()]

    why = "No space left on device: free some space on its file system"
    assert str(caught.value) == f"state directory {path}: {why}"
    assert left == ["lock"]


def test_read_only_disk() -> None:
    """A file system that cannot be written is an error with a cure."""
    with small_disk("4m") as path:
        subprocess.run([shutil.which("mount") or "mount", "-o", "remount,ro", str(path)], check=True)

        with pytest.raises(StateDirectoryError, match=r"Read-only file system: choose a store\.directory on a"):
            StateDirectory(path).acquire()
