"""Hosted domains and local users from files."""

from pathlib import Path

import pytest

from tests.support.configs import loaded, problems

PLANS = "{shared: {apply: [domain-hourly]}, dedicated: {extends: shared}}"


def plans(directory: Path, *lines: str) -> dict[str, str]:
    """Return the domains of a map file."""
    (directory / "domains.map").write_text("\n".join(lines), "utf-8")
    return dict(loaded(directory, 'hosted: ["file:domains.map"]', plans=PLANS).accounts.plans)


def test_a_line_is_a_domain_or_a_domain_and_its_plan(tmp_path: Path) -> None:
    """Comments, empty lines, tabs and Windows line ends are fine, as is a colon after the domain."""
    read = plans(
        tmp_path,
        "# written by the panel",
        "example.org",
        "  EXAMPLE.net.\tdedicated  # since May",
        "",
        "example.com: dedicated\r",
        "bücher.example shared",
    )

    assert read == {
        "example.org": "shared",
        "example.net": "dedicated",
        "example.com": "dedicated",
        "xn--bcher-kva.example": "shared",
    }


def test_a_plan_that_is_named_anywhere_is_the_domains_plan(tmp_path: Path) -> None:
    """A second mention without a plan changes nothing, whichever comes first."""
    read = plans(tmp_path, "a.example", "a.example dedicated", "b.example dedicated", "b.example")

    assert read == {"a.example": "dedicated", "b.example": "dedicated"}


def test_two_plans_for_one_domain_are_a_mistake(tmp_path: Path) -> None:
    """The line that comes second says so."""
    (tmp_path / "d.map").write_text("a.example dedicated\nA.example  shared\n")

    assert problems(tmp_path, 'hosted: ["file:d.map"]', plans=PLANS) == [
        "d.map:2:12: accounts.hosted: a.example is on the plan dedicated already (remove one of the two lines)"
    ]


def test_the_configuration_goes_over_the_map_file(tmp_path: Path) -> None:
    """A domain that is listed in both has what the configuration says."""
    (tmp_path / "d.map").write_text("a.example dedicated\n")
    read = loaded(tmp_path, 'hosted: ["file:d.map"], domains: {a.example: shared}', plans=PLANS).accounts

    assert read.plans == {"a.example": "shared"}
    assert read.origins["a.example"].startswith(f"{tmp_path}/policyd.yaml:5:")


def test_a_map_file_may_list_an_alias(tmp_path: Path) -> None:
    """Panels list all domains; the alias is charged to its account all the same."""
    (tmp_path / "d.map").write_text("a.example\nb.example\n")
    read = loaded(tmp_path, 'hosted: ["file:d.map"], aliases: {b.example: a.example}').accounts

    assert read.aliases == {"b.example": "a.example"}
    assert read.origins == dict.fromkeys(["a.example", "b.example"], f"file:{tmp_path}/d.map")


def test_a_file_is_named_from_the_directory_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current directory means nothing, and an absolute name stays what it is."""
    monkeypatch.chdir("/")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "d.map").write_text("a.example\n")
    (tmp_path / "e.map").write_text("b.example\n")
    read = loaded(tmp_path, f'hosted: ["file:sub/d.map", "file:{tmp_path}/e.map"]').accounts

    assert set(read.plans) == {"a.example", "b.example"}


def test_a_file_of_another_format_is_not_reported_line_by_line(tmp_path: Path) -> None:
    """Ten lines and a count are enough to see what it is."""
    (tmp_path / "d.map").write_text("".join(f"d{number}.example 0/d{number}\n" for number in range(5000)))

    told = problems(tmp_path, 'hosted: ["file:d.map"]')

    assert len(told) == 11
    assert told[-1] == "d.map:11:1: accounts.hosted: 4990 more lines like these (correct them likewise)"


def test_local_users_lead_to_accounts(tmp_path: Path) -> None:
    """Through an alias to the account that is charged; a domain need not be hosted."""
    (tmp_path / "u.map").write_text(
        "# user domain\nalice a.example\nbob NEWS.example\nCarol other.example\nalice a.example\n"
    )
    accounts = 'local_users: "file:u.map", domains: {a.example: }, aliases: {news.example: a.example}'

    assert loaded(tmp_path, accounts).accounts.local_users == {
        "alice": "a.example",
        "bob": "a.example",
        "carol": "other.example",
    }


@pytest.mark.parametrize("written", ["null", "~", ""])
def test_local_users_may_be_absent(written: str, tmp_path: Path) -> None:
    """No file, no users."""
    assert loaded(tmp_path, f"local_users: {written}").accounts.local_users == {}


def test_bytes_that_are_no_utf8_have_their_place(tmp_path: Path) -> None:
    """Nothing is guessed about an encoding."""
    (tmp_path / "d.map").write_bytes(b"a.example\nb\xfccher.example\n")

    assert problems(tmp_path, 'hosted: ["file:d.map"]') == [
        "d.map:2:2: accounts.hosted: the byte 0xfc is no UTF-8 (save the file as UTF-8)"
    ]


def test_50_000_domains_are_read(tmp_path: Path) -> None:
    """Each of them, with its plan."""
    (tmp_path / "d.map").write_text("".join(f"d{number}.example dedicated\n" for number in range(50_000)))
    read = loaded(tmp_path, 'hosted: ["file:d.map"]', plans=PLANS).accounts

    assert len(read.plans) == 50_000
    assert set(read.plans.values()) == {"dedicated"}


def test_no_sources_are_no_domains(tmp_path: Path) -> None:
    """An empty key is an empty list."""
    assert loaded(tmp_path, "hosted: ").accounts.plans == {}
