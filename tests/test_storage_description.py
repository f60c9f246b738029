"""The description of a store: it comes back as it was, from older and newer writers alike."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage_tools import HOSTILE, PASSPORT

from agentmem.errors import StoreError
from agentmem.storage.description import Description, Generation, passport_from
from agentmem.storage.schema import SCHEMA_VERSION
from agentmem.types import FIRST_GENERATION, Passport

AT = "2024-05-01T12:00:00+00:00"
FIRST = Description.first(PASSPORT, created_at=AT)
OTHER = replace(PASSPORT, model="large", dimension=8)


def as_stored(description: Description) -> dict[str, Any]:
    """Return it as JSON gives it back: with texts as keys."""
    stored: dict[str, Any] = json.loads(json.dumps(description.to_json()))
    return stored


def test_a_new_store_is_in_its_first_generation_and_not_ready() -> None:
    assert FIRST.generation == Generation(FIRST_GENERATION, PASSPORT)
    assert (FIRST.last, FIRST.seal, FIRST.ready) == (FIRST_GENERATION, None, False)
    assert FIRST.schema_version == SCHEMA_VERSION


passports = st.builds(
    Passport,
    provider=st.sampled_from(HOSTILE),
    model=st.text(st.characters(exclude_categories=["Cs"])),
    dimension=st.integers(1, 4096),
    revision=st.none() | st.sampled_from(HOSTILE),
    query_prompt=st.sampled_from(HOSTILE),
    normalized=st.booleans(),
    full_dimension=st.none() | st.integers(1, 4096),
)


@given(
    kept=st.lists(passports, min_size=1, max_size=4),
    seal=st.none() | st.sampled_from(HOSTILE),
    ready=st.booleans(),
    data=st.data(),
)
def test_it_comes_back_as_it_was(
    kept: list[Passport], seal: str | None, *, ready: bool, data: st.DataObject
) -> None:
    told = Description.first(kept[0], created_at=AT)
    for passport in kept[1:]:
        told, _ = told.with_next(passport)
    active = data.draw(st.sampled_from(sorted(told.generations)))
    told = replace(told, active=active, seal=seal, ready=ready)
    assert Description.from_json(as_stored(told)) == told
    assert Description.from_json(as_stored(told)).generation.passport == kept[active - 1]


def test_the_next_generation_is_kept_beside_the_one_in_force() -> None:
    told, made = FIRST.with_next(OTHER)
    assert made == Generation(2, OTHER)
    assert told.generation == FIRST.generation
    assert told.generations == {1: FIRST.generation, 2: made}
    assert FIRST.generations == {1: FIRST.generation}


def test_no_number_is_used_twice() -> None:
    told, given_up = FIRST.with_next(OTHER)
    told, made = told.without(given_up.number).with_next(OTHER)
    assert (given_up.number, made.number) == (2, 3)
    assert set(told.generations) == {1, 3}


def test_each_generation_names_its_own_tables() -> None:
    _, made = FIRST.with_next(OTHER)
    names = [one.table(what) for one in (FIRST.generation, made) for what in ("turns", "tools")]
    assert names == ["turns_g1", "tools_g1", "turns_g2", "tools_g2"]


def test_what_a_newer_version_adds_is_passed_over() -> None:
    stored = as_stored(FIRST)
    stored["mood"] = "sunny"
    stored["generations"]["1"]["shoe_size"] = 42
    assert Description.from_json(stored) == FIRST
    assert passport_from(stored["generations"]["1"]) == PASSPORT


def test_what_an_older_version_did_not_know_has_its_default() -> None:
    stored = as_stored(FIRST)
    for name in ("full_dimension", "version"):
        del stored["generations"]["1"][name]
    del stored["seal"]
    assert Description.from_json(stored) == FIRST


@pytest.mark.parametrize(
    "changes",
    [
        {"generations": None},
        {"generations": []},
        {"generations": {}},
        {"generations": {"one": {}}},
        {"generations": {"1": {}}},
        {"generations": {"1": {"provider": "test"}}},
        {"generations": {"1": "tiny"}},
        {"active": 7},
        {"active": None},
        {"active": []},
    ],
)
def test_a_broken_description_is_an_error_that_says_so(changes: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match=r"changed by something else.*backup") as caught:
        Description.from_json({**as_stored(FIRST), **changes})
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("name", ["created_at", "generations"])
def test_a_description_that_lacks_a_field_is_an_error(name: str) -> None:
    stored = as_stored(FIRST)
    del stored[name]
    with pytest.raises(StoreError, match="cannot be read"):
        Description.from_json(stored)
