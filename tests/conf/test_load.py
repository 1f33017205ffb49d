"""From the file to the Config: defaults, sections, and what is not in a section of its own test."""

import pickle
from ipaddress import ip_network
from pathlib import Path

import pytest

from policyd.conf import files
from policyd.conf.away import WhenDown
from policyd.conf.listed import KnownList, Lists
from policyd.conf.load import load
from policyd.conf.schema import Endpoint, Exempt, Listen, StoreSettings
from policyd.errors import ConfigError
from policyd.model import Counts, Mode, Per
from policyd.pattern import sender_pattern
from tests.support.configs import loaded, problems, rate_limit, write_config


def test_a_minimal_file_works_and_the_rest_has_its_defaults(tmp_path: Path) -> None:
    """Version, listen, limits and plans are all that must be there."""
    (tmp_path / "policyd.yaml").write_text(
        'version: 1\nlisten: {postfix: ["unix:/run/p"]}\n'
        "limits: {hourly: {kind: rate, max: 400, window: 1h}}\nplans: {default: {apply: [hourly]}}\n"
        "accounts: {local_names: [host]}\n"
    )

    config = load(tmp_path / "policyd.yaml")

    assert config.mode is Mode.ENFORCE
    assert config.listen == Listen(postfix=(Endpoint(path="/run/p"),))
    assert config.store == StoreSettings()
    assert config.exempt == Exempt()
    assert config.accounts.default_plan == "default"
    assert config.accounts.local_clients == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert (config.accounts.delimiter, config.accounts.default_domain) == ("+", "")
    assert not config.accounts.charge_at_end
    assert not config.accounts.settle_at_end
    assert not config.log_accepted
    assert (rate_limit(config, "hourly").counts, rate_limit(config, "hourly").per) == (Counts.RECIPIENTS, Per.DOMAIN)


def test_listen_is_read(tmp_path: Path) -> None:
    """Sockets, addresses, mode, group and timeout."""
    listen = (
        '{postfix: ["unix:run/p", "127.0.0.1:10031", "[::1]:10031", "mail.example.net:0"], postfix_mode: 0600,'
        ' postfix_group: mail, trust_tcp: true, policy_timeout: 45s, metrics: ":::9932", admin: "unix:/run/a"}'
    ).replace(":::", "[::]:")

    assert loaded(tmp_path, listen=listen).listen == Listen(
        postfix=(
            Endpoint(path="run/p"),
            Endpoint(host="127.0.0.1", port=10031),
            Endpoint(host="::1", port=10031),
            Endpoint(host="mail.example.net"),
        ),
        postfix_mode=0o600,
        postfix_group="mail",
        trust_tcp=True,
        policy_timeout=45_000,
        metrics=Endpoint(host="::", port=9932),
        admin=Endpoint(path="/run/a"),
    )


def test_listeners_can_be_switched_off_with_null(tmp_path: Path) -> None:
    """No metrics and no admin socket."""
    listen = loaded(tmp_path, listen='{postfix: ["unix:/run/p"], metrics: null, admin: }').listen

    assert (listen.metrics, listen.admin) == (None, None)


def test_port_0_may_be_used_more_than_once(tmp_path: Path) -> None:
    """It takes any free port, so it is no address."""
    listen = '{postfix: ["127.0.0.1:0", "127.0.0.1:0"], trust_tcp: true}'

    assert len(loaded(tmp_path, listen=listen).listen.postfix) == 2


STORES = [
    *("embedded", "redis://r:6379/0", "rediss://user@r/1", "unix:///run/redis.sock"),
    *("sentinel://r1,[::1]:1/name", "sentinel+tls://user@r1:1/name/2?ssl_ca_certs=/ca.pem"),
    *("cluster://r1,r2:1", "cluster+tls://user@r1/0"),
]


@pytest.mark.parametrize("url", STORES)
def test_the_store_is_read(url: str, tmp_path: Path) -> None:
    """The kinds of store."""
    sentinels = "/etc/spw" if url.startswith("sentinel") else ""
    password = "" if url == "embedded" else "/etc/pw"
    files = f"password_file: {password or 'null'}, sentinel_password_file: {sentinels or 'null'}, directory: /var/lib/p"
    expected = StoreSettings(url, password, sentinels, "/var/lib/p", 100, WhenDown.DEFER)

    assert loaded(tmp_path, store=f'{{url: "{url}", {files}, timeout: 100ms, when_down: defer}}').store == expected


@pytest.mark.parametrize("url", ["redis://", "unix:", "redis", "http://[", "//r"])
def test_a_url_without_a_place_is_no_store(url: str, tmp_path: Path) -> None:
    """A scheme alone leads nowhere."""
    assert [line.split(": ")[1] for line in problems(tmp_path, store=f'{{url: "{url}"}}')] == ["store.url"]


def test_mode_exempt_lists_and_log_are_read(tmp_path: Path) -> None:
    """Patterns are compared in lower case."""
    config = loaded(
        tmp_path,
        mode="observe",
        exempt='{recipients: ["Postmaster@*"], logins: [News], clients: [192.0.2.1, "2001:db8::/32"]}',
        lists="{contexts: [mailman, sympa], users: [list]}",
        log="{accepted: true}",
    )

    assert config.mode is Mode.OBSERVE
    assert config.exempt == Exempt(
        ("postmaster@*",), ("news",), (ip_network("192.0.2.1/32"), ip_network("2001:db8::/32"))
    )
    assert config.lists == Lists(frozenset({"mailman", "sympa"}), frozenset({"list"}))
    assert config.log_accepted


def test_lists_are_read(tmp_path: Path) -> None:
    """Senders are compared in one spelling; their extension is part of them."""
    lists = loaded(
        tmp_path,
        lists='{patterns: ["{list}-Errors", "b-*-{list}@l.example"],'
        " known: {Php+1@Example.org.: {posting: News@Example.org, size: 850, family: news}, b@l.example: }}",
    ).lists

    assert lists.patterns == (sender_pattern("{list}-Errors"), sender_pattern("b-*-{list}@l.example"))
    assert lists.known == {
        "php+1@example.org": KnownList("news@example.org", 850, "news"),
        "b@l.example": KnownList("b@l.example"),
    }


def test_accounts_are_read(tmp_path: Path) -> None:
    """When to charge and to settle, contexts, the delimiter."""
    accounts = (
        "local_clients: [10.0.0.0/8], charge_at: end-of-message, settle: end-of-message,"
        ' delimiter: "-", verified_contexts: [local-login]'
    )
    read = loaded(tmp_path, accounts).accounts

    assert read.local_clients == (ip_network("10.0.0.0/8"),)
    assert (read.charge_at_end, read.settle_at_end, read.delimiter) == (True, True, "-")
    assert read.verified_contexts == {"local-login"}
    assert read.local_names == {"host.example.net"}


def test_an_empty_delimiter_means_none(tmp_path: Path) -> None:
    """Quotes make it a text."""
    assert loaded(tmp_path, 'delimiter: ""').accounts.delimiter == ""


def test_domains_are_a_labels(tmp_path: Path) -> None:
    """Upper case, a trailing dot and U-labels lead to one name."""
    read = loaded(tmp_path, "domains: {EXAMPLE.Org.: shared, bücher.example: {contact: a@b.example}}").accounts

    assert read.plans == {"example.org": "shared", "xn--bcher-kva.example": "shared"}
    assert read.contacts == {"xn--bcher-kva.example": "a@b.example"}
    assert read.origins["example.org"] == f"{tmp_path}/policyd.yaml:5:77"


def test_an_alias_leads_to_its_account(tmp_path: Path) -> None:
    """Both names are A-labels, and the default domain goes through it too."""
    accounts = "domains: {example.org: }, aliases: {NEWS.example.org: Example.ORG}, default_domain: news.example.org"
    read = loaded(tmp_path, accounts).accounts

    assert read.aliases == {"news.example.org": "example.org"}
    assert read.default_domain == "example.org"


def test_a_default_domain_of_null_is_none(tmp_path: Path) -> None:
    """A login without a domain stands for itself."""
    assert loaded(tmp_path, "default_domain: null").accounts.default_domain == ""


def test_a_config_pickles(tmp_path: Path) -> None:
    """It comes out of a child process."""
    schedules = "{off-peak: {timezone: Europe/Berlin, open: [Sat-Sun], dates: {2026-12-25: open}}}"
    config = loaded(tmp_path, "domains: {a.example: {change: {domain-hourly: {max: 5}}}}", schedules=schedules)

    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 -- our own


def test_the_files_are_absolute_and_named_once(tmp_path: Path) -> None:
    """What was read can be watched."""
    (tmp_path / "d.map").write_text("example.org\n")
    config = loaded(tmp_path, 'hosted: ["file:d.map", "file:d.map"]')

    assert config.files == (f"{tmp_path}/policyd.yaml", f"{tmp_path}/d.map")


@pytest.mark.parametrize("name", ["missing.yaml", "directory.yaml", "nul\0.yaml"])
def test_a_file_that_cannot_be_read_is_an_issue(name: str, tmp_path: Path) -> None:
    """The loader raises ConfigError and nothing else."""
    (tmp_path / "directory.yaml").mkdir()

    with pytest.raises(ConfigError):
        load(tmp_path / name)


def test_the_issues_of_all_files_come_sorted(tmp_path: Path) -> None:
    """By file, then by line."""
    (tmp_path / "d.map").write_text("ok.example\n@\n")
    path = write_config(tmp_path, 'hosted: ["file:d.map"], settle: x', mode="z")

    with pytest.raises(ConfigError) as caught:
        load(path)

    assert [(issue.file.rpartition("/")[2], issue.line) for issue in caught.value.issues] == [
        ("d.map", 2),
        ("policyd.yaml", 5),
        ("policyd.yaml", 6),
    ]


def test_an_issue_names_an_inner_quote_or_control_character_in_one_line(tmp_path: Path) -> None:
    """What stands in the file cannot break the log."""
    (told,) = problems(tmp_path, mode='"a\\nb\\u0007"')

    assert told == 'policyd.yaml:6:7: mode: "a\\nb\\x07" is not a mode (known here: enforce, observe)'


def test_a_file_of_absurd_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A map file that grew without end does not take the memory with it."""
    monkeypatch.setattr(files, "_LARGEST", 1 << 20)
    (tmp_path / "d.map").write_bytes(b"#" * ((1 << 20) + 1))

    assert problems(tmp_path, 'hosted: ["file:d.map"]') == [
        "policyd.yaml:5:76: accounts.hosted: d.map has more than 1 MiB (name a smaller file)"
    ]
