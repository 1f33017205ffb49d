"""Durations, sizes and modes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.conf import units


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("7d", 604_800_000), ("0s", 0)],
)
def test_a_duration_is_a_number_and_its_unit(text: str, milliseconds: int) -> None:
    """Durations are milliseconds."""
    assert units.duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "1", "1 h", "h", "1H", "1.5h", "-1h", "1h30m", "22:00", "1h\n", "1w"])
def test_anything_else_is_no_duration(text: str) -> None:
    """A duration without its unit, or with two, is refused."""
    assert units.duration(text) is None


@pytest.mark.parametrize(
    ("text", "octets"),
    [("0B", 0), ("10kB", 10_000), ("10KB", 10_000), ("1KiB", 1024), ("500MB", 500_000_000), ("500MiB", 524_288_000)],
)
def test_a_size_is_a_number_and_its_unit(text: str, octets: int) -> None:
    """Decimal units are powers of 1000, those with an i powers of 1024."""
    assert units.size(text) == octets


@pytest.mark.parametrize("text", ["", "500", "500 MB", "MB", "500mb", "5e3MB", "500M"])
def test_anything_else_is_no_size(text: str) -> None:
    """A size without its unit, or with an unclear one, is refused."""
    assert units.size(text) is None


@pytest.mark.parametrize(("text", "mode"), [("0660", 0o660), ("0600", 0o600), ("0777", 0o777)])
def test_a_mode_is_four_octal_digits(text: str, mode: int) -> None:
    """A mode is octal, whatever YAML thinks of it."""
    assert units.mode(text) == mode


@pytest.mark.parametrize("text", ["", "660", "0o660", "0888", "00660", "u=rw", "0660\n"])
def test_anything_else_is_no_mode(text: str) -> None:
    """A mode without its leading 0 could be meant as decimal, so it is refused."""
    assert units.mode(text) is None


@given(st.integers(0, 10**13))
def test_a_duration_survives_being_written_and_read(milliseconds: int) -> None:
    """What is shown can be put into the file."""
    assert units.duration(units.duration_text(milliseconds)) == milliseconds


@given(st.integers(0, units.LARGEST))
def test_a_size_survives_being_written_and_read(octets: int) -> None:
    """What is shown can be put into the file."""
    assert units.size(units.size_text(octets)) == octets


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(5_400_000, "90m"), (86_400_000, "1d"), (250, "250ms"), (0, "0s"), (61_000, "61s")]
)
def test_a_duration_is_shown_in_the_largest_unit_that_keeps_it_whole(milliseconds: int, text: str) -> None:
    """Nothing is rounded."""
    assert units.duration_text(milliseconds) == text


@pytest.mark.parametrize(("octets", "text"), [(524_288_000, "500MiB"), (500_000_000, "500MB"), (1001, "1001B")])
def test_a_size_is_shown_in_the_largest_unit_that_keeps_it_whole(octets: int, text: str) -> None:
    """Nothing is rounded."""
    assert units.size_text(octets) == text
