"""Unix sockets: opened with mode and group, or refused with what to do about it."""

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from tests.support.listeners import fail_with, opened, refused, unix


@pytest.mark.parametrize("mode", [0o660, 0o666, 0o600], ids=oct)
def test_mode(short_dir: Path, mode: int) -> None:
    """A unix socket has the configured mode, whatever the umask, and goes when it is closed."""
    path = short_dir / "policy"
    before = os.umask(0o022)
    try:
        with opened(unix(path, mode)):
            found = path.stat().st_mode
    finally:
        after = os.umask(before)

    assert (stat.S_IMODE(found), stat.S_ISSOCK(found), after, path.exists()) == (mode, True, 0o022, False)


def test_group(short_dir: Path) -> None:
    """A unix socket belongs to the configured group."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to any group; run `sudo make test`")
    path = short_dir / "policy"
    with opened(unix(path, group="daemon")):
        assert path.group() == "daemon"


def test_group_of_the_directory(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory that gives its group to files (mode 2750) no right to change groups is needed."""
    monkeypatch.setattr(os, "chown", fail_with(errno.EPERM))
    path = short_dir / "policy"
    with opened(unix(path, group=short_dir.group())), opened(unix(short_dir / "admin")):
        assert path.group() == short_dir.group()


def test_no_such_group(short_dir: Path) -> None:
    """A group that does not exist is named, with what to do."""
    assert refused(unix(short_dir / "policy", group="no-such-group")) == (
        f"cannot listen on unix:{short_dir}/policy: there is no group no-such-group "
        "(groupadd --system no-such-group, or name the group that Postfix runs in)"
    )


def test_no_directory(short_dir: Path) -> None:
    """A directory that does not exist is named, with what to do."""
    assert refused(unix(short_dir / "none" / "policy")) == (
        f"cannot listen on unix:{short_dir}/none/policy: there is no directory {short_dir}/none "
        f"(create it: install -d -o policyd -m 0755 {short_dir}/none)"
    )


def test_stale_socket(short_dir: Path) -> None:
    """A socket file that nobody answers on is replaced."""
    path = short_dir / "policy"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with opened(unix(path)), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


@pytest.mark.parametrize("backlog", [0, 10], ids=["full", "free"])
def test_socket_in_use(short_dir: Path, backlog: int) -> None:
    """A socket that another process listens on is left alone, even when it is too busy to answer."""
    path = short_dir / "policy"
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as first:
        other.bind(str(path))
        other.listen(backlog)
        first.connect(str(path))
        assert "another process listens there" in refused(unix(path))
        assert path.is_socket()


def test_path_is_no_socket(short_dir: Path) -> None:
    """A file that is no socket is left alone."""
    path = short_dir / "policy"
    path.write_text("precious")

    assert "something that is no socket" in refused(unix(path))
    assert path.read_text() == "precious"


def test_path_too_long(short_dir: Path) -> None:
    """A path that the system does not take is an error of the listener."""
    assert "too long" in refused(unix(short_dir / ("x" * 120)))


def test_path_in_a_file(short_dir: Path) -> None:
    """A path whose directory is a file is an error of the listener."""
    (short_dir / "file").write_text("")

    assert "there is no directory" in refused(unix(short_dir / "file" / "policy"))


def test_may_not_look(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket file that may not be looked at is not removed."""
    path = short_dir / "policy"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    monkeypatch.setattr(socket.socket, "connect", fail_with(errno.EACCES))

    assert "cannot tell whether" in refused(unix(path))
    assert path.is_socket()


def test_may_not_give_to_group(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that is not in the group is told so, and leaves no socket behind."""
    monkeypatch.setattr(os, "chown", fail_with(errno.EPERM))

    assert "usermod -aG daemon policyd" in refused(unix(short_dir / "policy", group="daemon"))
    assert list(short_dir.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS], ids=["denied", "read-only"])
def test_may_not_write(short_dir: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A directory that the daemon may not write in is named."""
    monkeypatch.setattr(socket.socket, "bind", fail_with(number))

    assert f"may not write in {short_dir}" in refused(unix(short_dir / "policy"))


def test_socket_of_another_stays(short_dir: Path) -> None:
    """Closing removes only the socket file that was made here."""
    path = short_dir / "policy"
    with opened(unix(path)), socket.socket(socket.AF_UNIX) as other:
        path.rename(short_dir / "moved")
        other.bind(str(path))
    assert path.is_socket()
