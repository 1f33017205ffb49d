"""Where restriction lists ask policy services."""

import pytest

from policyd.audit.lists import Ask, asks, recipient_lists, socket_path, without

LIST = "smtpd_recipient_restrictions"


def found(value: str, **settings: str) -> list[tuple[str, str, bool]]:
    """Return endpoint, permit before it and warned of each question of a list."""
    return [_short(ask) for ask in asks({LIST: value, **settings}, LIST)]


def _short(ask: Ask) -> tuple[str, str, bool]:
    return ask.entry.endpoint, ask.after, ask.warned


def test_both_forms_are_found() -> None:
    """A service is named bare or in braces, in any case, after commas or blanks."""
    assert found("check_policy_service unix:a, reject CHECK_POLICY_SERVICE\t{ inet:1, timeout=3 }") == [
        ("unix:a", "", False),
        ("inet:1", "", False),
    ]


def test_the_first_permit_before_a_service_is_named() -> None:
    """A permit stands before what follows it, not before what precedes it."""
    value = "check_policy_service unix:a, Permit_mynetworks, permit_sasl_authenticated, check_policy_service unix:b"

    assert found(value) == [("unix:a", "", False), ("unix:b", "Permit_mynetworks", False)]


def test_an_argument_is_no_permit() -> None:
    """What follows check_policy_service is its argument, whatever it is called."""
    assert found("check_policy_service permit, check_policy_service unix:b") == [
        ("permit", "", False),
        ("unix:b", "", False),
    ]


def test_a_service_without_argument_has_a_flaw() -> None:
    """A check_policy_service at the end of a list names nothing."""
    (ask,) = asks({LIST: "reject, check_policy_service"}, LIST)

    assert ask.entry.flaw == '"" is neither unix:path nor inet:host:port'


def test_warn_if_reject_is_seen() -> None:
    """warn_if_reject changes the next restriction only."""
    assert found("warn_if_reject check_policy_service unix:a, check_policy_service unix:b") == [
        ("unix:a", "", True),
        ("unix:b", "", False),
    ]


def test_a_class_stands_for_its_words() -> None:
    """A restriction class is looked into, and its permit counts; one that names itself ends nothing."""
    settings = {
        "smtpd_restriction_classes": "ours, loop",
        "ours": "permit_mynetworks, check_policy_service unix:a",
        "loop": "loop, check_policy_service unix:c",
    }

    assert found("ours, check_policy_service unix:b, loop", **settings) == [
        ("unix:a", "permit_mynetworks", False),
        ("unix:b", "permit_mynetworks", False),
        ("unix:c", "permit_mynetworks", False),
    ]


def test_a_list_that_is_not_set_asks_nobody() -> None:
    """A parameter that Postfix does not know asks nobody."""
    assert list(asks({}, LIST)) == []


def test_delayed_lists_are_asked_at_rcpt() -> None:
    """Five lists are looked at for each RCPT, two when Postfix does not delay its rejects."""
    assert len(recipient_lists({"smtpd_delay_reject": "yes"})) == 5
    assert recipient_lists({"smtpd_delay_reject": "no"}) == (
        "smtpd_relay_restrictions",
        "smtpd_recipient_restrictions",
    )


def test_services_are_taken_out_of_a_list() -> None:
    """The restriction, its argument and a warn_if_reject before it go; other services stay."""
    words = ["a", "warn_if_reject", "check_policy_service", "unix:a", "check_policy_service", "unix:b", "c"]

    assert without(words, {"unix:a"}) == ["a", "check_policy_service", "unix:b", "c"]


@pytest.mark.parametrize(
    ("endpoint", "chroot", "path"),
    [
        ("unix:policyd/policy", False, "/q/policyd/policy"),
        ("local:policyd/policy", True, "/q/policyd/policy"),
        ("unix:/run/policy", False, "/run/policy"),
        ("unix:/run/policy", True, "/q/run/policy"),
        ("unix:", False, ""),
        ("inet:10031", False, ""),
    ],
)
def test_a_unix_path_starts_in_the_queue_directory(endpoint: str, chroot: bool, path: str) -> None:
    """A relative path starts in queue_directory, in a chroot every path does."""
    assert socket_path(endpoint, "/q", chroot=chroot) == path
