"""Reading the rosters: page by page, bounded, and every mistake with its cure."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from policyd.errors import RosterError
from policyd.mailman.rest import MOST_BYTES, MOST_LISTS, PAGE, read_roster
from policyd.policy.roster import Roster, RosterList, Subscription
from tests.support.roster import PASSWORD, USER, FakeMailman, settings
from tests.support.secretfile import write_secret

CONFIRM = Subscription.CONFIRM


@pytest.fixture
def secret(tmp_path: Path) -> str:
    """Return the file with the password, and a note below it."""
    return write_secret(tmp_path / "password", f"{PASSWORD}\nof the REST of Mailman\n")


def read(fake: FakeMailman, secret: str, user: str = USER) -> Roster:
    """Return what is read of it."""
    return fake.run(lambda url: read_roster(settings(url, secret, user)))


def refused(fake: FakeMailman, secret: str, user: str = USER) -> RosterError:
    """Return why it cannot be read."""
    with pytest.raises(RosterError) as caught:
        read(fake, secret, user)
    return caught.value


def test_each_list_has_its_members_and_how_people_get_in(secret: str) -> None:
    """By its posting address in normal form; a word that nobody knows is nothing known."""
    lists = {"News@A.test": 901, "shop@a.test": 0, "odd@a.test": 7}
    fake = FakeMailman(lists, {"News.A.test": "open", "odd.a.test": "by-post"})
    assert read(fake, secret) == {
        "news@a.test": RosterList(901, Subscription.OPEN),
        "shop@a.test": RosterList(0, CONFIRM),
        "odd@a.test": RosterList(7, None),
    }


@pytest.mark.parametrize("number", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
def test_lists_are_read_page_by_page(secret: str, number: int) -> None:
    """A page is asked for while there is one more, and once when there is no list at all."""
    lists = {f"l{at}@a.test": at for at in range(number)}
    fake = FakeMailman(lists)
    assert read(fake, secret) == {name: RosterList(size, CONFIRM) for name, size in lists.items()}
    pages = [path for path in fake.asked if path.startswith("lists?")]
    assert pages == [f"lists?count={PAGE}&page={page}" for page in range(1, max(1, -(-number // PAGE)) + 1)]


def test_a_list_that_goes_meanwhile_makes_nobody_skip_another(secret: str) -> None:
    """The pages are read again: behind the gap each list has moved by one."""
    fake = FakeMailman({f"l{at:03}@a.test": 1 for at in range(PAGE + 1)})

    def gone(_: str) -> None:
        if len(fake.asked) == 2:
            fake.lists.pop("l000@a.test", None)

    fake.before = gone
    assert set(read(fake, secret)) == {f"l{at:03}@a.test" for at in range(1, PAGE + 1)}


def test_a_list_that_goes_before_its_policy_is_asked_is_no_failure(secret: str) -> None:
    """What was said of its members stands until the next reading."""
    fake = FakeMailman({"a@a.test": 1, "b@a.test": 2})

    def gone(path: str) -> None:
        if path != "lists":
            fake.lists.pop("b@a.test", None)

    fake.before = gone
    assert read(fake, secret) == {"a@a.test": RosterList(1, CONFIRM), "b@a.test": RosterList(2, None)}


def test_lists_that_change_for_ever_are_given_up(secret: str) -> None:
    """After three readings."""
    fake = FakeMailman({f"l{at}@a.test": 1 for at in range(PAGE + 1)})
    fake.before = lambda _: fake.lists.update({f"n{len(fake.asked)}@a.test": 1}) if len(fake.asked) % 2 == 0 else None
    assert "change while they are read" in str(refused(fake, secret))
    assert len(fake.asked) == 6


def test_a_wrong_password_says_what_to_correct(secret: str) -> None:
    """And shows none of the two."""
    error = refused(FakeMailman(), secret, user="somebody")
    assert "user or password is wrong (correct mailman.user and mailman.password_file" in str(error)
    assert PASSWORD not in str(error)


def test_a_password_that_cannot_be_read_names_its_file(tmp_path: Path) -> None:
    """Which is another mistake than a Mailman that is down."""
    missing, binary = tmp_path / "missing", tmp_path / "binary"
    write_secret(binary, "")
    binary.write_bytes(b"\xff\xfe")
    assert str(refused(FakeMailman(), str(missing))).startswith(f"{missing}: the file is not there (write the")
    assert str(refused(FakeMailman(), str(binary))).startswith(f"{binary}: it is no text (")


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "7", "<html>", '{"total_size": "many"}', '{"entries": []}', '{"total_size": 1, "entries": 7}',
        '{"total_size": 1, "entries": [{"list_id": "a.test"}]}', "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_mailman_is_not_believed(secret: str, text: str) -> None:
    """Whatever it says."""
    assert "not one of Mailman (mailman.url is" in str(refused(FakeMailman(broken=text), secret))


def test_an_answer_without_end_is_cut_off(secret: str) -> None:
    """At 4 MiB."""
    error = refused(FakeMailman(broken="x" * (MOST_BYTES + 1)), secret)
    assert f"more than {MOST_BYTES} bytes" in str(error)


def test_more_lists_than_anybody_has_are_not_read(secret: str) -> None:
    """They are not asked for page by page either."""
    fake = FakeMailman(broken=f'{{"total_size": {MOST_LISTS + 1}}}')
    assert f"it has {MOST_LISTS + 1} lists" in str(refused(fake, secret))
    assert len(fake.asked) == 1


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_other_answer_is_told_with_its_status(secret: str, status: int) -> None:
    """A redirection is not followed: the password stays here."""
    assert f"it answers {status} about lists?count=" in str(refused(FakeMailman(status=status), secret))


def test_nobody_listening_is_told(secret: str) -> None:
    """With the question that helps."""
    assert _of_socket(secret, lambda _: None, timeout=5_000).startswith("it does not answer: ")


def test_a_mailman_that_hangs_is_waited_for_in_bounds(secret: str) -> None:
    """For mailman.timeout, and no longer."""
    assert _of_socket(secret, lambda sock: sock.listen(), timeout=50) == "it takes too long to answer"


def _of_socket(secret: str, prepare: Callable[[socket.socket], None], timeout: int) -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        prepare(sock)
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/3.1"
        with pytest.raises(RosterError) as caught:
            FakeMailman().run(lambda _: read_roster(settings(url, secret, timeout=timeout)))
    return caught.value.why
