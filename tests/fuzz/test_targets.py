"""The targets of ``make fuzz``, with what it begins with, with what once failed, and with some random bytes."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

FAILED: dict[str, list[bytes]] = {"postfix": [], "dovecot": [], "yaml": []}
"""What a run has found."""


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    """What a run begins with fails nowhere, nor does what once did."""
    for data in (*TARGETS[name].seeds, *FAILED[name]):
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), more=st.binary(max_size=40))
def test_damaged_seeds(name: str, seed: int, more: bytes) -> None:
    """Bytes of a seed changed, dropped, doubled, and others put between."""
    dice = random.Random(seed)
    data = bytearray(dice.choice(TARGETS[name].seeds))
    for _ in range(dice.randrange(1, 6)):
        start = dice.randrange(len(data) + 1)
        end = min(len(data), start + dice.choice([0, 1, 4, 50]))
        data[start:end] = dice.choice([more, b"", bytes(data[start:end]) * 2, dice.randbytes(3)])
    TARGETS[name].run(bytes(data))
