from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentmem.embedding import CachedEmbedder, SentenceTransformerEmbedder
from agentmem.embedding.canaries import (
    CANARY_SET,
    CANARY_SHA256,
    OTHER,
    PROBED,
    QUERY_PLACES,
    SAME,
    Canaries,
    CanaryCheck,
    Places,
    canary_texts,
    compare,
    embed_canaries,
    probe,
)
from agentmem.embedding.causes import REASONS, Cause
from agentmem.errors import EmbeddingFailed, InvalidInput
from agentmem.testing import HashEmbedder
from agentmem.types import Kind

SCRIPTS = {
    "Latin with accents": "é",
    "Cyrillic": "я",
    "Greek": "ω",
    "Arabic": "م",
    "Hebrew": "ש",
    "Devanagari": "म",
    "Chinese": "书",
    "Japanese": "で",
    "Korean": "이",
    "Thai": "ก",
    "emoji": "🎉",
}
DIMENSION = 48


class Broken(HashEmbedder):
    """Gives what it is told to."""

    def __init__(self, answer: object) -> None:
        super().__init__(DIMENSION)
        self._answer = answer

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        if isinstance(self._answer, Exception):
            raise self._answer
        rows = np.asarray(super().embed(texts, kind=kind))
        if callable(self._answer):
            rows = self._answer(rows)
        return rows


class Counting(HashEmbedder):
    """Counts the texts it was asked for."""

    def __init__(self) -> None:
        super().__init__(DIMENSION)
        self.asked = {"document": 0, "query": 0}

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        self.asked[kind] += len(texts)
        return super().embed(texts, kind=kind)


@pytest.fixture(scope="module")
def stored() -> Canaries:
    return embed_canaries(HashEmbedder(DIMENSION))


def at(
    canaries: Canaries, cosine: float, *, documents: Sequence[int], queries: Sequence[int] = ()
) -> Canaries:
    """Turn some of the vectors until their cosine with what they were is the given one."""
    return Canaries(
        canaries.name,
        turned(canaries.documents, cosine, rows=documents),
        turned(canaries.queries, cosine, rows=queries),
    )


def turned(
    vectors: NDArray[np.float32], cosine: float, *, rows: Sequence[int]
) -> NDArray[np.float32]:
    new = vectors.astype(np.float64)
    for row in rows:
        across = np.roll(new[row], 1) - np.roll(new[row], 1) @ new[row] * new[row]
        across /= np.linalg.norm(across)
        new[row] = cosine * new[row] + np.sqrt(1 - cosine**2) * across
    return new.astype(np.float32)


def test_the_texts_are_those_the_name_stands_for() -> None:
    texts = json.dumps(canary_texts(), ensure_ascii=False, separators=(",", ":"))
    assert CANARY_SET == "canaries-v1"
    assert hashlib.sha256(texts.encode()).hexdigest() == CANARY_SHA256


def test_there_are_sixty_four_and_no_two_are_alike() -> None:
    assert len(set(canary_texts())) == len(canary_texts()) == 64
    assert len(set(QUERY_PLACES)) == len(QUERY_PLACES) == 16


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_has_a_canary(script: str) -> None:
    assert any(SCRIPTS[script] in text for text in canary_texts())


def test_enough_of_them_are_long_for_any_window_up_to_512(
    minilm: SentenceTransformerEmbedder,
) -> None:
    tokens = np.array([minilm.tokens([text]) for text in canary_texts()])
    assert (tokens > 128).sum() >= 16
    assert ((tokens > 220) & (tokens <= 256)).sum() >= 4
    assert (tokens > 512).sum() >= 4
    assert (tokens < 30).sum() >= 24
    assert 240 < tokens[list(PROBED.documents)].max() <= 256
    assert tokens[list(QUERY_PLACES)].max() > 128


def test_a_few_of_each_kind_are_probed() -> None:
    assert (len(PROBED.documents), len(PROBED.queries)) == (4, 2)
    assert set(PROBED.queries) <= set(QUERY_PLACES)
    assert set(PROBED.queries) & set(PROBED.documents)


def test_an_embedder_agrees_with_itself(stored: Canaries) -> None:
    check = compare(stored, embed_canaries(HashEmbedder(DIMENSION)))
    assert (check.verdict, check.cause, check.reason) == ("same", "none", REASONS["none"])
    assert check.minimum == pytest.approx(1)
    assert (check.documents.shape, check.queries.shape) == ((64,), (16,))


def test_vectors_are_of_every_document_and_of_the_chosen_queries(stored: Canaries) -> None:
    inner = HashEmbedder(DIMENSION)
    texts = canary_texts()
    np.testing.assert_array_equal(stored.documents, inner.embed(texts, kind="document"))
    asked = [texts[place] for place in QUERY_PLACES]
    np.testing.assert_array_equal(stored.queries, inner.embed(asked, kind="query"))


def test_a_cache_is_passed_by(stored: Canaries) -> None:
    inner = Counting()
    cached = CachedEmbedder(CachedEmbedder(inner))
    cached.embed(canary_texts(), kind="document")
    assert probe(cached, stored).verdict == "same"
    embed_canaries(cached)
    assert inner.asked == {"document": 64 + 4 + 64, "query": 2 + 16}
    assert cached.hits == 0


@given(cosine=st.floats(-1, 0.99999), row=st.integers(0, 63))
def test_one_moved_text_decides_and_is_named(stored: Canaries, cosine: float, row: int) -> None:
    check = compare(stored, at(stored, cosine, documents=[row]))
    assert check.minimum == pytest.approx(cosine, abs=1e-6)
    assert (check.place, check.kind, check.text) == (row, "document", canary_texts()[row])
    expected = "same" if check.minimum >= SAME else "warn" if check.minimum >= OTHER else "other"
    assert check.verdict == expected
    assert check.median == pytest.approx(1)


def test_the_thresholds_part_same_warn_and_other(stored: Canaries) -> None:
    verdicts = [
        compare(stored, at(stored, cosine, documents=[3])).verdict
        for cosine in (0.9996, 0.9994, 0.9901, 0.9899)
    ]
    assert verdicts == ["same", "warn", "warn", "other"]


LONG = range(48, 64)
EVERY = range(64)


@pytest.mark.parametrize(
    ("documents", "queries", "cosine", "cause"),
    [
        ([], range(16), 0.7, "query_prompt"),
        (EVERY, [], 0.7, "document_prompt"),
        (LONG, [QUERY_PLACES.index(50)], 0.6, "window"),
        (range(60, 64), [], 0.6, "window"),
        (range(8, 47), range(2, 16), 0.6, "tokenizer"),
        ([44, 45], [QUERY_PLACES.index(44)], 0.5, "tokenizer"),
        (EVERY, range(16), 0.97, "precision"),
        (EVERY, range(16), 0.4, "model"),
    ],
)
def test_the_pattern_tells_the_cause(
    stored: Canaries,
    documents: Sequence[int],
    queries: Sequence[int],
    cosine: float,
    cause: Cause,
) -> None:
    check = compare(stored, at(stored, cosine, documents=documents, queries=queries))
    assert (check.cause, check.reason) == (cause, REASONS[cause])


def test_what_moves_short_texts_most_is_a_prompt(stored: Canaries) -> None:
    prompted = at(stored, 0.93, documents=range(48), queries=range(16))
    check = compare(stored, at(prompted, 0.99, documents=LONG))
    assert check.cause == "prompt"


def test_another_dimension_is_another_space_without_any_cosine(stored: Canaries) -> None:
    check = compare(stored, embed_canaries(HashEmbedder(DIMENSION + 1)))
    assert (check.verdict, check.cause, check.minimum) == ("other", "dimension", 0.0)


@pytest.mark.parametrize("scale", [0.5, 1.01, 20.0])
def test_another_length_is_another_space_though_directions_are_the_same(
    stored: Canaries, scale: float
) -> None:
    check = compare(stored, embed_canaries(Broken(lambda rows: scale * rows)))
    assert (check.verdict, check.cause) == ("other", "length")
    assert check.minimum == pytest.approx(1)


def test_rounding_to_half_precision_is_no_change_of_length(stored: Canaries) -> None:
    half = embed_canaries(Broken(lambda rows: rows.astype(np.float16)))
    assert compare(stored, half).verdict == "same"


def test_a_row_of_zeros_has_no_direction_and_is_no_error(stored: Canaries) -> None:
    check = compare(stored, embed_canaries(Broken(np.zeros_like)))
    assert (check.verdict, check.minimum) == ("other", 0.0)


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("out of memory"),
        lambda rows: rows[1:],
        lambda rows: rows[0],
        lambda rows: rows * np.nan,
        lambda rows: rows.astype(np.float64) * 1e300,
    ],
    ids=["raises", "row missing", "no matrix", "NaN", "overflow"],
)
def test_an_embedder_that_fails_is_named(answer: object, stored: Canaries) -> None:
    for ask in (embed_canaries, lambda embedder: probe(embedder, stored)):
        with pytest.raises(EmbeddingFailed, match="Broken"):
            ask(Broken(answer))


def test_a_probe_asks_for_a_few_and_sees_what_the_full_check_sees_there(stored: Canaries) -> None:
    moved = at(stored, 0.5, documents=[PROBED.documents[1]])
    few = probe(HashEmbedder(DIMENSION), moved)
    assert (few.verdict, few.place, few.places) == ("other", PROBED.documents[1], PROBED)
    full: CanaryCheck = compare(moved, embed_canaries(HashEmbedder(DIMENSION)))
    np.testing.assert_allclose(few.documents, full.documents[list(PROBED.documents)])


def test_a_probe_may_be_of_other_places(stored: Canaries) -> None:
    places = Places(documents=(63,), queries=(50, 5))
    inner = Counting()
    assert probe(inner, stored, places=places).verdict == "same"
    assert inner.asked == {"document": 1, "query": 2}


@pytest.mark.parametrize("places", [Places((64,), ()), Places((), (0,)), Places((), ())])
def test_places_without_vectors_are_refused(stored: Canaries, places: Places) -> None:
    with pytest.raises(InvalidInput, match="0 to 63"):
        probe(HashEmbedder(DIMENSION), stored, places=places)


def test_another_set_of_texts_is_refused(stored: Canaries) -> None:
    other = Canaries("canaries-v0", stored.documents, stored.queries)
    with pytest.raises(InvalidInput, match="canaries-v0"):
        compare(other, stored)
    with pytest.raises(InvalidInput, match="canaries-v0"):
        probe(HashEmbedder(DIMENSION), other)
