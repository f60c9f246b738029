from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.embedding.passports import (
    describe_differences,
    passport_from_json,
    passport_json,
)
from agentmem.errors import InvalidInput
from agentmem.types import Passport

PASSPORT = Passport(
    provider="sentence-transformers",
    model="a-team/model",
    dimension=384,
    weights="a" * 64,
    window=256,
)
OTHERWISE: dict[str, Any] = {
    "provider": "openai",
    "model": "b-team/model",
    "dimension": 256,
    "revision": "v2",
    "weights": "b" * 64,
    "tokenizer": "c" * 64,
    "window": 512,
    "pooling": "cls",
    "normalized": False,
    "query_prompt": "query: ",
    "document_prompt": "passage: ",
    "precision": "float16",
    "text_format": "speaker-caption-v2",
    "chunker": "overlap-v2",
    "full_dimension": 768,
    "version": 0,
}
STAYS_COMPARABLE = {"window", "precision", "text_format", "chunker", "version"}

passports = st.builds(
    Passport,
    provider=st.text(),
    model=st.text(),
    dimension=st.integers(1, 4096),
    revision=st.none() | st.text(),
    weights=st.none() | st.text(),
    tokenizer=st.none() | st.text(),
    window=st.none() | st.integers(1, 8192),
    pooling=st.text(),
    normalized=st.booleans(),
    query_prompt=st.text(),
    document_prompt=st.text(),
    full_dimension=st.none() | st.integers(1, 4096),
)


@given(passport=passports)
def test_a_passport_comes_back_from_json_with_the_same_id(passport: Passport) -> None:
    written = json.loads(json.dumps(passport_json(passport)))
    assert written["id"] == passport.id
    assert passport_from_json(written) == passport


def test_equal_passports_have_no_differences() -> None:
    assert describe_differences(PASSPORT, replace(PASSPORT)) == []


@pytest.mark.parametrize("field", [field.name for field in fields(Passport)])
def test_each_field_that_differs_is_explained(field: str) -> None:
    stored = replace(PASSPORT, weights=None)  # equal weights would excuse another name
    (one,) = describe_differences(stored, replace(stored, **{field: OTHERWISE[field]}))
    assert (one.field, one.given) == (field, OTHERWISE[field])
    assert one.stored == getattr(stored, field)
    assert one.comparable == (field in STAYS_COMPARABLE)
    assert one.meaning
    assert one.cause


@pytest.mark.parametrize("field", ["model", "revision"])
def test_the_same_weights_under_another_name_stay_comparable(field: str) -> None:
    renamed = replace(PASSPORT, **{field: OTHERWISE[field]})
    assert [one.comparable for one in describe_differences(PASSPORT, renamed)] == [True]
    exchanged = replace(renamed, weights="b" * 64)
    assert not any(one.comparable for one in describe_differences(PASSPORT, exchanged))


@pytest.mark.parametrize("precision", ["int8", "binary", "quantised by bitsandbytes"])
def test_quantised_vectors_are_not_compared_with_others(precision: str) -> None:
    (one,) = describe_differences(PASSPORT, replace(PASSPORT, precision=precision))
    assert not one.comparable


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, r"does not know \(colour\).*--upgrade"),
        ({"version": 99}, r"version 99.*--upgrade"),
        ({"dimension": "384"}, "dimension"),
        ({"normalized": "yes"}, "normalized"),
        ({"model": None}, "model"),
        ({"model": b"bytes"}, "no JSON"),
        ({"id": "0" * 16}, "altered"),
        ({"window": 128}, "altered"),
    ],
)
def test_what_is_no_passport_of_ours_is_refused_with_the_repair(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        passport_from_json({**passport_json(PASSPORT), **change})


def test_a_passport_without_its_required_fields_is_refused() -> None:
    with pytest.raises(InvalidInput, match="lacks model, dimension"):
        passport_from_json({"provider": "openai"})
    with pytest.raises(InvalidInput, match="list"):
        passport_from_json([])  # type: ignore[arg-type]


def test_a_passport_of_an_older_agentmem_has_fewer_fields_and_is_read() -> None:
    older = passport_json(PASSPORT)
    del older["full_dimension"], older["version"]
    older["id"] = "made of fewer fields"
    assert passport_from_json(older) == PASSPORT
