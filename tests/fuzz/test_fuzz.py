"""The fuzzer runs for some seconds and finds nothing; it finds what there is to find."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from fuzz import Fuzzer
from fuzz_values import message
from memory_tools import open_hashed

from agentmem import InvalidInput, Memory

SAID = {"role": "user", "content": "x"}

SECONDS = float(os.environ.get("AGENTMEM_FUZZ_SECONDS", "8"))
SEED = int(os.environ.get("AGENTMEM_FUZZ_SEED", "6000"))


def test_nothing_but_our_own_errors_comes_out(tmp_path: Path) -> None:
    fuzzer = Fuzzer(tmp_path)
    fuzzer.run(seconds=SECONDS, seed=SEED)
    fuzzer.look(SEED)
    fuzzer.close()
    assert fuzzer.found == []
    assert sum(fuzzer.ran.values()) > sum(fuzzer.refused.values()) > 0


def test_an_error_that_is_not_ours_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuzzer = Fuzzer(tmp_path)

    def wrong(*_: object, **__: object) -> int:
        raise TypeError("not ours")

    monkeypatch.setattr(Memory, "count", wrong)
    seeds = iter(range(10_000))
    while not fuzzer.found:
        fuzzer.case(next(seeds))
    fuzzer.close()
    seed, _, what = fuzzer.found[0]
    assert "not ours" in what
    fuzzer.found.clear()
    again = Fuzzer(tmp_path / "again")
    again.case(seed)
    again.close()
    assert "not ours" in again.found[0][2]


def nested() -> list[Any]:
    """Return a list in a list in a list, deeper than Python's recursion goes."""
    value: list[Any] = []
    for _ in range(5_000):
        value = [value]
    return value


FOUND: dict[str, Callable[[Memory], object]] = {
    "a refusal that is no text": lambda m: m.add({**SAID, "refusal": [1]}, user_id="ada"),
    "tool calls that are no list": lambda m: m.add({**SAID, "tool_calls": 0.5}, user_id="ada"),
    "a message nested without end": lambda m: m.add([nested()], user_id="ada"),
    "a scope nested without end": lambda m: m.count(scope=cast("Any", nested())),
    "a k nested without end": lambda m: m.search("x", user_id="ada", k=cast("Any", nested())),
    "a file of an endless name": lambda m: m.import_turns("a" * 5_000, user_id="ada"),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_the_fuzzer_found_is_refused(tmp_path: Path, name: str) -> None:
    with open_hashed(tmp_path) as memory, pytest.raises(InvalidInput):
        FOUND[name](memory)


def test_a_case_is_made_from_its_number_alone() -> None:
    made = [repr(message(Random(7))) for _ in range(2)]
    assert made[0] == made[1]
