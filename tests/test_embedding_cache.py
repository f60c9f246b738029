from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from agentmem.embedding import CachedEmbedder
from agentmem.errors import InvalidInput
from agentmem.testing import HashEmbedder
from agentmem.types import Kind


class Recording(HashEmbedder):
    """Remembers what it was asked to encode."""

    def __init__(self) -> None:
        super().__init__(32)
        self.encoded: list[tuple[Kind, str]] = []

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        self.encoded += [(kind, text) for text in texts]
        return super().embed(texts, kind=kind)


def test_the_same_text_is_encoded_once_in_each_kind() -> None:
    inner = Recording()
    cached = CachedEmbedder(inner)
    first = cached.embed(["rain", "sun", "rain"], kind="document")
    second = cached.embed(["sun", "snow", "rain"], kind="document")
    cached.embed(["rain"], kind="query")
    assert inner.encoded == [
        ("document", "rain"),
        ("document", "sun"),
        ("document", "snow"),
        ("query", "rain"),
    ]
    assert (cached.hits, cached.misses) == (3, 4)
    np.testing.assert_array_equal(
        first, HashEmbedder(32).embed(["rain", "sun", "rain"], kind="query")
    )
    np.testing.assert_array_equal(second[[0, 2]], first[[1, 0]])


def test_changing_a_returned_array_changes_no_later_answer() -> None:
    cached = CachedEmbedder(HashEmbedder())
    expected = HashEmbedder().embed(["rain", "sun"], kind="query")
    for _ in range(3):
        rows = cached.embed(["rain", "sun"], kind="query")
        np.testing.assert_array_equal(rows, expected)
        rows[:] = 0


def test_holds_no_more_than_its_bound_and_forgets_the_least_recent() -> None:
    inner = Recording()
    cached = CachedEmbedder(inner, max_bytes=20_000)
    cached.embed(["kept"], kind="document")
    for number in range(200):
        cached.embed([f"text {number}", "kept"], kind="document")
    assert cached.nbytes <= 20_000
    assert cached.nbytes > 10_000
    assert inner.encoded.count(("document", "kept")) == 1
    cached.embed(["text 0"], kind="document")
    assert inner.encoded.count(("document", "text 0")) == 2


def test_many_documents_push_out_no_query() -> None:
    inner = Recording()
    cached = CachedEmbedder(inner, max_bytes=50_000)
    cached.embed(["where?"], kind="query")
    cached.embed([f"text {number}" for number in range(1000)], kind="document")
    cached.embed(["where?"], kind="query")
    assert inner.encoded.count(("query", "where?")) == 1


def test_a_text_larger_than_the_cache_is_embedded_and_not_kept() -> None:
    cached = CachedEmbedder(HashEmbedder(), max_bytes=5_000)
    assert cached.embed(["word " * 10_000], kind="document").shape == (1, 64)
    assert cached.nbytes == 0
    assert CachedEmbedder(HashEmbedder(), max_bytes=0).embed(["a"], kind="query").shape == (1, 64)
    with pytest.raises(InvalidInput):
        CachedEmbedder(HashEmbedder(), max_bytes=-1)


def test_threads_share_it_without_mixing_rows() -> None:
    cached = CachedEmbedder(HashEmbedder(), max_bytes=40_000)
    plain = HashEmbedder()

    def work(number: int) -> bool:
        texts = [f"word{(number * 7 + step) % 50}" for step in range(20)]
        return bool(
            (cached.embed(texts, kind="document") == plain.embed(texts, kind="document")).all()
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))


def test_a_thousand_documents_cost_milliseconds() -> None:
    texts = [f"the text of turn number {number}" for number in range(1000)]
    inner = HashEmbedder(384)
    rows = inner.embed(texts, kind="document")

    class Instant(HashEmbedder):
        def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:  # noqa: ARG002
            return rows[: len(texts)]

    costs = []
    for _ in range(5):
        cached = CachedEmbedder(Instant(384))
        began = time.process_time()
        cached.embed(texts, kind="document")
        costs.append(time.process_time() - began)
    assert min(costs) < 0.02  # takes 1.5 ms; encoding them takes seconds
