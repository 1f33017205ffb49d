"""The corpus of broken files: ``bad/NAME.yaml`` has exactly the messages in ``bad/NAME.err``."""

from pathlib import Path

import pytest

from policyd.conf.load import load
from policyd.errors import ConfigError

CORPUS = Path(__file__).parent / "bad"
FILES = sorted(CORPUS.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_broken_file_says_where_what_and_what_to_write(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All mistakes come at once, each with its place, its path and its cure."""
    monkeypatch.chdir(CORPUS)

    with pytest.raises(ConfigError) as caught:
        load(file.name)

    assert str(caught.value) == file.with_suffix(".err").read_text("utf-8").rstrip("\n")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_message_has_a_cure(file: Path) -> None:
    """No message leaves the admin without something to do."""
    lines = file.with_suffix(".err").read_text("utf-8").splitlines()

    assert [line for line in lines if not line.endswith(")")] == []


def test_every_expected_text_has_its_file() -> None:
    """The corpus has no orphan."""
    assert [file.stem for file in sorted(CORPUS.glob("*.err"))] == [file.stem for file in FILES]


def test_the_corpus_is_large() -> None:
    """At least 40 kinds of mistake are held to their exact message."""
    assert len(FILES) >= 40
