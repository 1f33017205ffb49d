"""Reading a Postfix configuration through the real postconf."""

from pathlib import Path

import pytest

from policyd.audit.view import Service, read_postfix
from policyd.errors import ToolError
from tests.support.postfix_lab import Lab

pytestmark = pytest.mark.e2e


def service(lab: Lab, label: str) -> Service:
    """Return the service with a label."""
    return next(one for one in lab.view().services if one.label == label)


def test_the_services_of_master_cf_are_known(lab: Lab) -> None:
    """Name, type, program, address and port of each service are read."""
    lab.master(
        "[::1]:10025 inet n - n - - smtpd\nlocalhost:smtp inet n - y - - smtpd -v\nnosuchname inet n - n - - smtpd"
    )

    found = [(one.label, one.program, one.host, one.port, one.loopback) for one in lab.view().services]

    assert found == [
        ("smtp (25)", "smtpd", "", 25, False),
        ("submission (587)", "smtpd", "", 587, False),
        ("cleanup/unix", "cleanup", "", 0, False),
        ("smtp/unix", "smtp", "", 0, False),
        ("[::1]:10025", "smtpd", "::1", 10025, True),
        ("localhost:smtp (25)", "smtpd", "localhost", 25, True),
        ("nosuchname", "smtpd", "", 0, False),
    ]


def test_the_chroot_of_a_service_is_known(lab: Lab) -> None:
    """``y`` and ``n`` are said; ``-`` is no since compatibility level 1 and yes before."""
    lab.master("1025 inet n - y - - smtpd\n1026 inet n - - - - smtpd")

    assert (service(lab, "1025").chroot, service(lab, "1026").chroot) == (True, False)
    assert service(lab.main("compatibility_level = 0"), "1026").chroot


def test_settings_are_expanded_as_the_service_sees_them(lab: Lab) -> None:
    """An override holds inside of main.cf's $parameters too, and $service_name is the service's."""
    lab.main("ours = check_policy_service unix:a\nsmtpd_data_restrictions = $ours, reject")
    lab.below("submission inet", "  -o ours=permit", "  -o { syslog_name = postfix/$service_name }")

    submission = service(lab, "submission (587)")

    assert submission.settings["smtpd_data_restrictions"] == "permit, reject"
    assert submission.settings["syslog_name"] == "postfix/submission"
    assert submission.written["syslog_name"] == "postfix/$service_name"
    assert service(lab, "smtp (25)").settings["smtpd_data_restrictions"] == "check_policy_service unix:a, reject"


def test_an_empty_override_is_known(lab: Lab) -> None:
    """``-o content_filter=`` is an override, and its value is empty."""
    lab.main("content_filter = scan:[127.0.0.1]:10024").below("submission inet", "  -o content_filter=")

    submission = service(lab, "submission (587)")

    assert submission.written["content_filter"] == ""
    assert submission.settings["content_filter"] == ""
    assert service(lab, "smtp (25)").settings["content_filter"] == "scan:[127.0.0.1]:10024"


def test_defaults_and_written_values_are_told_apart(lab: Lab) -> None:
    """The view has the defaults as well, written only what main.cf sets, unexpanded."""
    view = lab.main("smtpd_banner = $myhostname ESMTP").view()

    assert view.main["smtpd_policy_service_timeout"] == "100s"
    assert "smtpd_policy_service_timeout" not in view.written
    assert (view.main["smtpd_banner"], view.written["smtpd_banner"]) == ("mx.example.org ESMTP", "$myhostname ESMTP")


def test_the_mode_of_a_named_socket_is_known(lab: Lab) -> None:
    """A unix path that an entry names is looked at when it is there."""
    path = Path(lab.queue, "policyd", "policy")
    lab.main("smtpd_data_restrictions = check_policy_service unix:policyd/policy, check_policy_service unix:gone")
    path.touch()
    path.chmod(0o640)

    assert lab.view().sockets == {str(path): 0o640}


def test_a_missing_main_cf_is_an_error(lab: Lab) -> None:
    """What postconf says is passed on."""
    with pytest.raises(ToolError, match=r"postconf -c .*: fatal: open .*main\.cf: No such file"):
        read_postfix(str(lab.directory))


def test_a_broken_master_cf_is_an_error(lab: Lab) -> None:
    """A master.cf that postconf cannot read is an error with its line."""
    with pytest.raises(ToolError, match="bad field count"):
        lab.master("foo bar").view()


def test_a_host_without_postfix_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without postconf the message says so."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)

    with pytest.raises(ToolError, match="postconf: not found; run this where Postfix is installed"):
        read_postfix()


def test_a_postconf_that_cannot_be_run_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A postconf that fails, with or without a word, is an error that names the command."""
    program = tmp_path / "postconf"
    program.write_text("not a program")
    program.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda *_, **__: str(program))
    with pytest.raises(ToolError, match=f"{program} -x: .*Exec format error"):
        read_postfix()

    program.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(ToolError, match="failed without a message"):
        read_postfix()
