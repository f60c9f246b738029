"""Sketches of words, against the sparse vectors that they stand for."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.ranking.tools.sketch import DIMENSIONS, information, sketches

DOCUMENT = st.lists(st.integers(0, 60).map(lambda n: f"w{n}"), min_size=1, max_size=12)


def sparse(document: list[str], idf: dict[str, float]) -> dict[str, float]:
    return {term: (1 + math.log(n)) * idf[term] for term, n in Counter(document).items()}


def cosine(one: dict[str, float], other: dict[str, float]) -> float:
    product = sum(value * other.get(term, 0.0) for term, value in one.items())
    lengths = [math.sqrt(sum(v * v for v in x.values())) for x in (one, other)]
    return product / (lengths[0] * lengths[1])


def test_inner_products_are_near_those_of_the_sparse_vectors() -> None:
    generator = np.random.default_rng(0)
    documents = [
        [f"w{n}" for n in generator.integers(60, size=size)]
        for size in generator.integers(1, 12, size=200)
    ]
    texts = [" ".join(document) for document in documents]
    idf = information(texts)
    found = sketches(texts, weights=idf)
    told = [sparse(document, idf) for document in documents]
    errors = [
        float(found[one] @ found[other]) - cosine(told[one], told[other])
        for one, other in zip(range(0, 200, 2), range(1, 200, 2), strict=True)
    ]
    assert np.sqrt(np.mean(np.square(errors))) < 1.5 / math.sqrt(DIMENSIONS)


@given(DOCUMENT)
def test_a_document_is_itself_in_any_order(document: list[str]) -> None:
    texts = [" ".join(document), " ".join(reversed(document)), "w1 w2"]
    one, other, _ = sketches(texts, weights=information(texts))
    assert float(one @ other) == pytest.approx(1, abs=1e-5)


def test_errors_of_inner_products_even_out() -> None:
    """Without bias: over many pairs of documents that share nothing the mean is 0."""
    texts = [" ".join(f"d{d}t{n}" for n in range(6)) for d in range(200)]
    found = sketches(texts, weights=information(texts)).astype(np.float64)
    products = found @ found.T
    apart = products[~np.eye(200, dtype=bool)]
    assert abs(apart.mean()) < 0.003
    assert apart.std() == pytest.approx(1 / math.sqrt(DIMENSIONS), rel=0.15)


def test_information_is_above_zero_falls_with_frequency_and_knows_of_the_unknown() -> None:
    found = information(["often", "often", "often rarely"])
    assert 0 < found["often"] < found["rarely"] < found["never"]
    assert found["often"] == pytest.approx(math.log(4 / 3.5))
    assert "never" not in found


def test_documents_without_terms_have_no_direction() -> None:
    assert not sketches(["", ""], weights=information([])).any()
    empty, told = sketches(["", "rain"], weights=information(["rain"]))
    assert not empty.any()
    assert np.linalg.norm(told) == pytest.approx(1)
    assert sketches([], weights=information([])).shape == (0, DIMENSIONS)
