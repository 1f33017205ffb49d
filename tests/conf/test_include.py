"""Included files of domains: a bad one keeps its last good text."""

import os
from pathlib import Path

import pytest

from policyd.conf.load import load
from policyd.conf.schema import Config
from tests.support.configs import loaded, problems, write_config

INCLUDE = 'include: ["domains.d/*.yaml"]'
PLANS = "{shared: {apply: [domain-hourly]}, dedicated: {extends: shared, change: {domain-hourly: {max: 5000}}}}"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a configuration's directory with a directory of included files."""
    (tmp_path / "domains.d").mkdir()
    return tmp_path


def put(directory: Path, name: str, text: str) -> Path:
    """Write one included file."""
    path = directory / "domains.d" / name
    path.write_text(text)
    return path


def read(directory: Path, accounts: str = INCLUDE, plans: str = PLANS) -> Config:
    """Load the configuration."""
    return loaded(directory, accounts, plans=plans)


def test_an_included_file_has_domains_as_the_main_file_has(directory: Path) -> None:
    """Plans, contacts and changes of their own."""
    put(directory, "a.yaml", "domains:\n  a.example: dedicated\n  b.example: {change: {domain-hourly: {max: 7}}}\n")
    put(directory, "b.yaml", "domains: {c.example: {contact: c@c.example}}\n")
    config = read(directory)

    assert config.accounts.plans == {"a.example": "dedicated", "b.example": "shared", "c.example": "shared"}
    assert config.terms("b.example").rates[0].max == 7
    assert config.accounts.contacts == {"c.example": "c@c.example"}
    assert config.files[1:] == (f"{directory}/domains.d/a.yaml", f"{directory}/domains.d/b.yaml")
    assert (config.stale, config.left_out, config.stale_issues) == ((), (), ())


def test_no_file_at_all_is_fine(directory: Path) -> None:
    """A directory that is empty, or not there yet, has no domains."""
    assert read(directory, 'include: ["domains.d/*.yaml", "none.d/*.yaml"]').accounts.plans == {}


def test_hidden_files_are_not_read(directory: Path) -> None:
    """Editors and panels leave them behind."""
    put(directory, ".a.yaml", "domains: {a.example: }\n")

    assert read(directory).accounts.plans == {}


BAD = [
    "domains: {a.example: {plan: gold}}\n",
    "domains: {a.example: [\n",
    "domain: {a.example: }\n",
    "domains: {a.example: , a.example: }\n",
    "",
]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_file_keeps_its_last_good_text(bad: str, directory: Path) -> None:
    """The others are read as they are, and what is wrong can be told."""
    path = put(directory, "a.yaml", "domains: {a.example: dedicated}\n")
    put(directory, "b.yaml", "domains: {b.example: }\n")
    read(directory)
    path.write_text(bad)
    put(directory, "b.yaml", "domains: {b.example: dedicated}\n")

    config = read(directory)

    assert config.accounts.plans == {"a.example": "dedicated", "b.example": "dedicated"}
    assert (config.stale, config.left_out) == ((str(path),), ())
    assert {issue.file for issue in config.stale_issues} == {str(path)}


def test_the_last_good_text_stays_through_more_than_one_bad_one(directory: Path) -> None:
    """A load with a bad file does not lose the copy."""
    path = put(directory, "a.yaml", "domains: {a.example: dedicated}\n")
    read(directory)
    for _ in range(2):
        path.write_text("oops")
        read(directory)

    assert read(directory).accounts.plans == {"a.example": "dedicated"}


def test_a_bad_file_without_a_last_good_text_is_left_out_and_named(directory: Path) -> None:
    """It stops none of the others."""
    bad = put(directory, "a.yaml", "oops\n")
    put(directory, "b.yaml", "domains: {b.example: }\n")
    config = read(directory)

    assert config.accounts.plans == {"b.example": "shared"}
    assert (config.stale, config.left_out) == ((str(bad),), (str(bad),))
    assert [str(issue) for issue in config.stale_issues] == [
        f'{bad}:1:1: "oops" stands where a map belongs (write domains: {{example.org: shared}})'
    ]


def test_a_last_good_text_that_names_a_plan_which_is_gone_is_left_out(directory: Path) -> None:
    """It is as bad as the present one."""
    path = put(directory, "a.yaml", "domains: {a.example: dedicated}\n")
    read(directory)

    config = read(directory, plans="{shared: {apply: [domain-hourly]}}")

    assert config.left_out == (str(path),)


def test_a_corrected_file_is_in_force_again(directory: Path) -> None:
    """Nothing stale stays behind."""
    path = put(directory, "a.yaml", "domains: {a.example: dedicated}\n")
    read(directory)
    path.write_text("oops")
    read(directory)
    path.write_text("domains: {a.example: shared}\n")
    config = read(directory)

    assert config.accounts.plans == {"a.example": "shared"}
    assert config.stale == ()


def test_a_file_that_is_gone_takes_its_domains_away(directory: Path) -> None:
    """Its copy goes too, so that an old text never comes back."""
    path = put(directory, "a.yaml", "domains: {a.example: }\n")
    read(directory)
    path.unlink()

    assert read(directory).accounts.plans == {}
    assert list((directory / "state" / "includes").iterdir()) == []


def test_a_file_that_is_named_without_wildcards_must_be_there(directory: Path) -> None:
    """Without it the last good text is in force."""
    path = put(directory, "a.yaml", "domains: {a.example: }\n")
    read(directory, 'include: ["domains.d/a.yaml"]')
    path.unlink()
    config = read(directory, 'include: ["domains.d/a.yaml"]')

    assert config.accounts.plans == {"a.example": "shared"}
    assert config.stale == (str(path),)


def test_a_domain_of_the_main_file_makes_an_included_file_bad(directory: Path) -> None:
    """The main file goes first, and the message says where."""
    put(directory, "a.yaml", "domains: {A.example.: dedicated}\n")
    config = read(directory, f"{INCLUDE}, domains: {{a.example: shared}}")

    assert config.accounts.plans == {"a.example": "shared"}
    assert [issue.problem for issue in config.stale_issues] == [
        f"the domain a.example is named a second time, first in {directory}/policyd.yaml:5:108"
    ]


def test_present_texts_go_over_last_good_ones(directory: Path) -> None:
    """A domain that moved to another file is where it is now."""
    old = put(directory, "a.yaml", "domains: {a.example: dedicated, b.example: dedicated}\n")
    read(directory)
    old.write_text("oops")
    put(directory, "b.yaml", "domains: {a.example: shared}\n")
    config = read(directory)

    assert config.accounts.plans == {"a.example": "shared", "b.example": "dedicated"}
    assert config.stale == (str(old),)


def test_a_mistake_in_the_main_file_keeps_the_copies_as_they_are(directory: Path) -> None:
    """Only a configuration that could be used makes a text good."""
    path = put(directory, "a.yaml", "domains: {a.example: dedicated}\n")
    read(directory)
    path.write_text("domains: {a.example: shared}\n")
    assert problems(directory, INCLUDE, plans=PLANS, mode="none") != []
    path.write_text("oops")

    assert read(directory).accounts.plans == {"a.example": "dedicated"}


def test_aliases_of_a_file_that_is_left_out_are_no_mistake(directory: Path) -> None:
    """What is not known cannot be called unhosted."""
    put(directory, "a.yaml", "oops")

    assert read(directory, f"{INCLUDE}, aliases: {{b.example: a.example}}, default_domain: a.example").left_out != ()


@pytest.mark.parametrize("state", ["missing", "file", "file/below"])
def test_a_state_directory_that_is_none_costs_only_the_copies(state: str, directory: Path) -> None:
    """The configuration is loaded all the same, and nothing is made."""
    put(directory, "a.yaml", "domains: {a.example: }\n")
    (directory / "file").touch()
    path = write_config(directory, INCLUDE)

    assert load(path, str(directory / state)).accounts.plans == {"a.example": "shared"}
    assert not (directory / "missing").exists()


def test_a_state_directory_that_takes_no_file_costs_only_the_copies(directory: Path) -> None:
    """As on a full disk, the text that cannot be kept is in force all the same."""
    put(directory, "a.yaml", "domains: {a.example: }\n")
    (directory / "state").mkdir()
    (directory / "state" / "includes").symlink_to("/proc/self")

    assert read(directory).accounts.plans == {"a.example": "shared"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_nothing_is_kept_in_another_users_state_directory(directory: Path) -> None:
    """A command of the admin leaves nothing that the daemon could not replace."""
    put(directory, "a.yaml", "domains: {a.example: }\n")
    state = directory / "state"
    state.mkdir()
    os.chown(state, 12345, 12345)

    read(directory)

    assert list(state.iterdir()) == []


def test_a_copy_that_is_damaged_is_as_none(directory: Path) -> None:
    """The file is left out, and the load goes on."""
    path = put(directory, "a.yaml", "domains: {a.example: }\n")
    read(directory)
    (copy,) = (directory / "state" / "includes").iterdir()
    copy.write_bytes(b"\xff")
    path.write_text("oops")

    assert read(directory).left_out == (str(path),)


def test_a_directory_that_cannot_be_read_is_a_mistake(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its domains do not just vanish."""
    monkeypatch.setattr(os, "access", lambda *_: False)

    assert problems(directory, INCLUDE) == [
        "policyd.yaml:5:77: accounts.include: the directory domains.d cannot be read (let policyd's user read it)"
    ]


def test_a_file_that_is_no_utf8_is_bad(directory: Path) -> None:
    """Its place is told as for any other mistake."""
    path = directory / "domains.d" / "a.yaml"
    path.write_bytes(b"domains: {a.example: {contact: j\xf6rg@a.example}}\n")

    assert [str(issue) for issue in read(directory).stale_issues] == [
        f"{path}:1:33: the byte 0xf6 is no UTF-8 (save the file as UTF-8)"
    ]


def test_a_text_that_did_not_change_is_not_written_again(directory: Path) -> None:
    """A reload of many files writes those that changed."""
    put(directory, "a.yaml", "domains: {a.example: }\n")
    read(directory)
    (copy,) = (directory / "state" / "includes").iterdir()
    before = copy.stat()

    read(directory)

    assert (copy.stat().st_ino, copy.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
