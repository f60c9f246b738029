"""The inverted index against a dictionary of counts, and BM25 against bm25s."""

from __future__ import annotations

import threading
from collections import Counter

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.ranking import lexical
from agentmem.ranking.lexical import K1, B, InvertedIndex, bm25, idf

TERMS = ["flat", "lisbon", "rain", "snake_case", "?", "日本"]
DOCUMENT = st.lists(st.sampled_from(TERMS), max_size=8).map(" ".join)
BATCHES = st.lists(st.lists(DOCUMENT, max_size=5), max_size=8)
TAILS = st.sampled_from([0, 3, 10, 10**9])


def indexed(documents: list[str]) -> InvertedIndex:
    index = InvertedIndex()
    index.extend(documents)
    return index


def expected(documents: list[str], term: str) -> dict[int, int]:
    counts = {place: Counter(text.split())[term] for place, text in enumerate(documents)}
    return {place: count for place, count in counts.items() if count}


def scores_of(
    documents: list[str], query: list[str]
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    index, size = indexed(documents), len(documents)
    rows = bm25({term: index.postings(term, size=size) for term in query}, index.lengths(size))
    return sum(rows.values(), np.zeros(size, np.float32))


@given(BATCHES, TAILS)
def test_an_index_grown_in_any_steps_knows_what_a_dictionary_knows(
    batches: list[list[str]], tail: int
) -> None:
    index, documents = InvertedIndex(), list[str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lexical, "TAIL_MINIMUM", tail)
        for batch in batches:
            index.extend(batch)
            documents += batch
            assert len(index) == len(documents)
            assert index.lengths(len(documents)).tolist() == [len(d.split()) for d in documents]
            for term in (*TERMS, "unheard"):
                found, counts = index.postings(term, size=len(documents))
                assert dict(zip(found.tolist(), counts.tolist(), strict=True)) == expected(
                    documents, term
                )
                assert found.tolist() == sorted(found)


@given(BATCHES, TAILS, st.data())
def test_a_reader_that_remembers_a_size_sees_that_many_documents_forever(
    batches: list[list[str]], tail: int, data: st.DataObject
) -> None:
    documents = [document for batch in batches for document in batch]
    size = data.draw(st.integers(0, len(documents)))
    index = InvertedIndex()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lexical, "TAIL_MINIMUM", tail)
        for batch in batches:
            index.extend(batch)
    for term in TERMS:
        found, counts = index.postings(term, size=size)
        assert dict(zip(found.tolist(), counts.tolist(), strict=True)) == expected(
            documents[:size], term
        )
    assert index.lengths(size).tolist() == [len(text.split()) for text in documents[:size]]


def test_readers_are_not_disturbed_by_a_writer_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "TAIL_MINIMUM", 5)
    monkeypatch.setattr(lexical, "TAIL_SHARE", 10**9)  # merge all the time
    start = [f"lisbon flat{place}" for place in range(10)]
    index, wrong = indexed(start), list[object]()
    written = threading.Event()

    def read() -> None:
        while not written.is_set():
            found, counts = index.postings("lisbon", size=len(start))
            if found.tolist() != list(range(10)) or counts.tolist() != [1] * 10:
                wrong.append((found, counts))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for step in range(300):
        index.extend([f"lisbon lisbon new{step}"])
    written.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert len(index.postings("lisbon", size=310)[0]) == 310


def test_an_index_holds_at_least_the_bytes_of_its_postings() -> None:
    index = InvertedIndex()
    empty = index.nbytes
    index.extend(["lisbon flat rain"] * 1000)
    assert index.nbytes - empty >= 3 * 1000 * 8


@given(
    st.lists(DOCUMENT, min_size=1, max_size=12),
    st.lists(st.sampled_from(TERMS), min_size=1, unique=True),
)
def test_bm25_agrees_with_bm25s(documents: list[str], query: list[str]) -> None:
    tokens = [document.split() for document in documents]
    if not any(tokens):
        assert not scores_of(documents, query).any()
        return
    theirs = bm25s.BM25(method="lucene", k1=K1, b=B)
    theirs.index(tokens, show_progress=False)
    known = [term for term in query if any(term in text for text in tokens)]
    scores = theirs.get_scores(known) if known else np.zeros(len(documents))
    # bm25s leaves out the constant k1 + 1 of the numerator, as Lucene has done since version 8
    np.testing.assert_allclose(scores_of(documents, query), scores * (K1 + 1), atol=1e-4)


def test_bm25_is_explained_term_by_term() -> None:
    index = indexed(["rain rain lisbon", "flat", ""])
    postings = {term: index.postings(term, size=3) for term in ("rain", "lisbon", "unheard")}
    rows = bm25(postings, index.lengths(3))
    assert list(rows) == ["rain", "lisbon", "unheard"]
    norm = K1 * (1 - B + B * 3 / (4 / 3))
    assert rows["rain"].tolist() == [pytest.approx(idf(1, 3) * 2 * (K1 + 1) / (2 + norm)), 0, 0]
    assert not rows["unheard"].any()


def test_without_length_normalisation_length_does_not_matter() -> None:
    index = indexed(["rain", "rain lisbon flat"])
    rows = bm25({"rain": index.postings("rain", size=2)}, index.lengths(2), b=0)
    assert rows["rain"][0] == rows["rain"][1] > 0


def test_bm25_of_nothing_is_nothing() -> None:
    index = InvertedIndex()
    rows = bm25({"rain": index.postings("rain", size=0)}, index.lengths(0))
    assert rows["rain"].shape == (0,)


@given(st.integers(1, 10**6), st.data())
def test_rarer_terms_weigh_more_and_none_weighs_less_than_nothing(
    total: int, data: st.DataObject
) -> None:
    matching = data.draw(st.integers(1, total))
    assert idf(matching, total) >= 0
    assert idf(matching - 1, total) > idf(matching, total)
