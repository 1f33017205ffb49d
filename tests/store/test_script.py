"""The text of the script, and what goes in and comes out."""

import re
from hashlib import sha1

from policyd.model import CounterType, Episode, Outcome, Usage
from policyd.store.base import Call, Op
from policyd.store.script import Script, decode, encode
from tests.store.scripted import charge, record


def test_one_text_one_sha() -> None:
    """The files are joined to the same text each time, known to Redis by its SHA-1."""
    script = Script()
    assert script.sha.decode() == sha1(script.text, usedforsecurity=False).hexdigest()
    assert script.text == Script().text


def test_no_key_is_searched_for() -> None:
    """KEYS and SCAN walk through all customers: they are not in the script."""
    commands = set(re.findall(rb"redis\.call\('([A-Z]+)'", Script().text))
    assert commands == {
        b"TIME", b"EXISTS", b"GET", b"SET", b"GETRANGE", b"SETRANGE", b"DEL", b"PEXPIRE", b"PTTL", b"LPUSH", b"LTRIM",
        b"HMGET", b"HSET", b"HDEL", b"SISMEMBER", b"SADD", b"SREM",
    }  # fmt: skip
    assert Script().text.count(b"redis.call(") == len(re.findall(rb"redis\.call\('[A-Z]+'", Script().text))


def test_all_keys_of_a_call_are_on_one_slot() -> None:
    """The message record, the state and each counter have the account's hash tag."""
    call = Call(Op.CHARGE, "example.org", record("m1"), (charge(), charge(limit="other", subject="}{")))
    count, *words = encode(call, 0, 0, b"seed")
    names = words[: int(count)]
    assert [name.split(b"}")[0] for name in names] == [b"policyd:1:{example.org"] * 4


def test_a_subject_of_any_bytes_goes_through() -> None:
    """Undecodable bytes arrive in the key as they came from Postfix."""
    call = Call(Op.PEEK, "example.org", None, (charge(subject="\udcff\x00\n"),))
    assert encode(call, 0, 0, b"seed")[3].endswith(b":\xff\x00\n")


def test_replies_become_outcomes() -> None:
    """Codes, usages and the tail of what did not fit."""
    charges = (charge(), charge(limit="b"))
    call = Call(Op.CHARGE, "example.org", record("m1"), charges)
    usages = (Usage(1, 400, 0, None), Usage(400, 400, 99, Episode("REF", started=True)))
    assert decode(call, [0, 7, 1, 400, 400, 400, 2, 99, b"REF", 1]) == Outcome(False, False, 7, usages)
    quiet = (usages[0], Usage(400, 400, 99, Episode("REF", started=False)))
    assert decode(call, [10, 7, 1, 400, 400, 400, 2, 99, b"REF", 1]) == Outcome(False, True, 7, quiet)
    waiting = (usages[0], Usage(12, 30, 99, None))
    assert decode(call, [1, 7, 1, 400, 12, 30, 2, 99, b"", 2]) == Outcome(True, False, 7, waiting)
    assert decode(call, [2, 7, 1, 400, 2, 400]).unknown
    assert decode(call, [12, 7, 1, 400, 2, 400]) == Outcome(
        True, True, 7, (Usage(1, 400, 0, None), Usage(2, 400, 0, None)), unknown=True
    )
    assert decode(call._replace(op=Op.GIVE_BACK), [1, 7]) == Outcome(True, False, 7, ())


def test_each_counter_type_has_a_file() -> None:
    """The script makes a counter type only for a call that uses it."""
    text = Script().text.decode()
    for number, counter in enumerate(CounterType, 1):
        _, _, made = text.partition(f"names[{number}] = '{counter}'\ntypes[{number}] = function()\n")
        assert f"-- {counter}:" in made
