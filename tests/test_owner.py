"""Which Unix user has opened a loopback connection, as the real kernel tells it."""

import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from policyd.owner import _BY_FAMILY, _HEADER, _LENGTH, _MOST_MESSAGES, _REQUEST, FRESH, Kernel, Owners
from tests.support.clock import ManualClock
from tests.support.config import locally
from tests.support.person import as_user
from tests.support.programs import require

HERE = "mx.host.test"
DAEMON, BIN, NOBODY = 1, 2, 65_534
ME = os.geteuid()

LOOPBACKS = pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"]
)


@contextmanager
def connected(family: socket.AddressFamily, address: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return both ends of a connection on this host, the client's first."""
    with socket.create_server((address, 0), family=family) as server, socket.socket(family) as client:
        client.connect((address, server.getsockname()[1]))
        with server.accept()[0] as accepted:
            yield client, accepted


def owning(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    """Ask the kernel on a socket of its own."""
    with closing(Kernel()) as kernel:
        return kernel.owning(client[0], client[1], server[0], server[1])


@LOOPBACKS
@pytest.mark.parametrize("uid", [DAEMON, BIN, NOBODY])
def test_the_kernel_names_who_holds_the_clients_end(family: socket.AddressFamily, address: str, uid: int) -> None:
    """Any user can ask, without a privilege."""
    require("su", root=True)

    def work() -> int | None:
        with connected(family, address) as (client, accepted):
            return owning(client.getsockname()[:2], accepted.getsockname()[:2])

    assert as_user(uid, work) == uid


@LOOPBACKS
def test_it_is_the_clients_end_that_counts(family: socket.AddressFamily, address: str) -> None:
    """Client and server are different users, as everybody and Postfix are."""
    require("su", root=True)
    with connected(family, address) as (client, accepted):
        os.fchown(client.fileno(), DAEMON, DAEMON)
        ends = client.getsockname()[:2], accepted.getsockname()[:2]
        assert (owning(*ends), owning(*reversed(ends))) == (DAEMON, ME)


def test_a_client_may_speak_ipv4_on_an_ipv6_socket() -> None:
    """Postfix sees 127.0.0.1, and so does the question."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET6) as client:
        client.connect(("::ffff:127.0.0.1", server.getsockname()[1]))
        assert owning(("127.0.0.1", client.getsockname()[1]), server.getsockname()) == ME


@LOOPBACKS
def test_a_connection_that_is_over_belongs_to_nobody(family: socket.AddressFamily, address: str) -> None:
    """What waits in the kernel after both ends were closed has no owner, where it would seem to be root."""
    with connected(family, address) as (client, accepted):
        ends = client.getsockname()[:2], accepted.getsockname()[:2]
        client.close()
        assert owning(*ends) is None
        accepted.close()
        assert owning(*ends) is None


@LOOPBACKS
def test_a_listener_on_the_clients_port_is_not_the_client(family: socket.AddressFamily, address: str) -> None:
    """Where there is no such connection the kernel finds who listens there; he has sent nothing."""
    with socket.create_server((address, 0), family=family) as listener:
        assert owning(listener.getsockname()[:2], (address, 25)) is None


@pytest.mark.parametrize(
    "ends",
    [
        ("127.0.0.1", 1, "127.0.0.1", 25),
        ("192.0.2.17", 43210, "192.0.2.1", 25),
        ("unknown", 0, "", 0),
        ("127.0.0.1", 43210, "", 0),
        ("127.0.0.1", 43210, "::1", 25),
        ("::1", 43210, "127.0.0.1", 25),
        ("127.0.0.1", 1 << 40, "127.0.0.1", 25),
        ("127.0.0.1\0", 1, "127.0.0.1", 25),
        ("\udcff:", 1, "::1", 25),
    ],
)
def test_what_is_no_connection_here_has_no_owner(ends: tuple[str, int, str, int]) -> None:
    """Other hosts, Postfix before 3.2, and nonsense: the answer is that nobody knows."""
    with closing(Kernel()) as kernel:
        assert kernel.owning(*ends) is None


def test_the_socket_is_opened_again_after_an_error() -> None:
    """A lost netlink socket costs one answer."""
    with connected(socket.AF_INET, "127.0.0.1") as (client, accepted), closing(Kernel()) as kernel:
        ends = (*client.getsockname(), *accepted.getsockname())
        assert kernel.owning(*ends) == ME
        assert kernel._socket is not None
        kernel._socket.close()
        assert [kernel.owning(*ends), kernel.owning(*ends)] == [None, ME]


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    """Each answer is matched to its question."""
    with connected(socket.AF_INET, "127.0.0.1") as (client, accepted), closing(Kernel()) as kernel:
        ends = (*client.getsockname(), *accepted.getsockname())
        assert kernel.owning(*ends) == ME
        assert kernel._socket is not None
        kernel._socket.send(_HEADER.pack(_LENGTH, _BY_FAMILY, _REQUEST, 999, 0) + bytes(_LENGTH - _HEADER.size))
        assert kernel.owning(*ends) == ME


# who that is, by name


class Told:
    """An Owning whose answers a test sets; counts its questions."""

    def __init__(self, uid: int | None) -> None:
        self.uid, self.asked = uid, 0

    def owning(self, client: str, client_port: int, server: str, server_port: int) -> int | None:
        """Return the uid that was set."""
        assert (client, client_port, server, server_port) == ("127.0.0.1", 43210, "192.0.2.1", 25)
        self.asked += 1
        return self.uid


@pytest.mark.parametrize(
    ("uid", "name"), [(0, "root"), (1, pwd.getpwuid(1).pw_name), (None, ""), (3_999_999_999, ""), (0xFFFFFFFF, "")]
)
def test_a_uid_has_a_name_or_none(uid: int | None, name: str) -> None:
    """A uid that no user has says nothing."""
    assert Owners(Told(uid).owning, ManualClock()).user(HERE, locally()) == name


@pytest.mark.parametrize(("host", "name"), [(HERE, "root"), ("127.0.0.1", "root"), ("::1", "root"), ("192.0.2.9", "")])
def test_only_a_postfix_on_this_host_is_asked_about(host: str, name: str) -> None:
    """The same addresses and ports on another host are somebody else's."""
    assert Owners(Told(0).owning, ManualClock()).user(host, locally()) == name


def test_a_message_costs_one_question() -> None:
    """The recipients of a message come from one user; the next message may be another's, by the same port."""
    kernel = Told(0)
    owners = Owners(kernel.owning, ManualClock())
    assert {owners.user(HERE, locally(recipient=f"r{number}@remote.test")) for number in range(9)} == {"root"}
    assert kernel.asked == 1
    kernel.uid = 1
    assert owners.user(HERE, locally(instance="43ac.6b025c8e.6a03a.1")) == pwd.getpwuid(1).pw_name
    assert kernel.asked == 2


def test_without_an_instance_nothing_is_remembered() -> None:
    """A request that belongs to no message is looked up for itself."""
    kernel = Told(0)
    owners = Owners(kernel.owning, ManualClock())
    assert [owners.user(HERE, locally(instance="")) for _ in range(2)] == ["root"] * 2
    assert (kernel.asked, owners._messages) == (2, {})


def test_only_so_many_messages_are_remembered() -> None:
    """What is remembered is bounded, and forgetting costs a question."""
    owners = Owners(Told(0).owning, ManualClock())
    for number in range(_MOST_MESSAGES + 1):
        owners.user(HERE, locally(instance=str(number)))
    assert len(owners._messages) <= _MOST_MESSAGES


@pytest.mark.parametrize("moved", [FRESH, -FRESH - 1], ids=["later", "the clock was set back"])
def test_a_uid_that_is_given_to_another_user_has_his_name_soon(monkeypatch: pytest.MonkeyPatch, moved: int) -> None:
    """A name is looked up once in a minute, not once in a daemon's life."""
    clock, asked = ManualClock(), [0]
    owners = Owners(Told(0).owning, clock)

    def renamed(uid: int) -> pwd.struct_passwd:
        asked[0] += 1
        return pwd.struct_passwd((f"user{asked[0]}", "x", uid, uid, "", "/", "/bin/sh"))

    monkeypatch.setattr(pwd, "getpwuid", renamed)
    assert [owners.user(HERE, locally(instance=name)) for name in "ab"] == ["user1", "user1"]
    clock._now += moved
    assert owners.user(HERE, locally(instance="c")) == "user2"
