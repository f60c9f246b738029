from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agentmem.embedding import CachedEmbedder
from agentmem.errors import EmbeddingFailed, InvalidInput
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


class Foreign(HashEmbedder):
    """Somebody else's embedder: gives what it is told to, or raises it."""

    def __init__(self, given: Any) -> None:
        super().__init__(4)
        self.given = given

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:  # noqa: ARG002
        return self._give()  # type: ignore[no-any-return]

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:  # noqa: ARG002
        return self._give()  # type: ignore[no-any-return]

    def _give(self) -> Any:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


UNIT = np.eye(2, 4, dtype=np.float32)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (UNIT[:1], r"shape \(1, 4\).*\(2, 4\)"),
        (UNIT[:, :3], r"shape \(2, 3\).*\(2, 4\)"),
        (UNIT[0], r"shape \(4,\).*\(2, 4\)"),
        (None, "Foreign"),
        ([[1.0, 0.0, 0.0, 0.0], [1.0]], "Foreign.*inhomogeneous"),
        (["a", "b"], "Foreign.*could not convert"),
        (UNIT * [[1], [7]], "position 1 .*length 7 "),
        (UNIT * [[1], [0]], "position 1 .*length 0 "),
        (UNIT * [[1], [1.002]], r"position 1 .*length 1\.002 "),
        (UNIT * [[1], [np.nan]], "position 1 .*length nan "),
        (np.full((2, 4), 1e300), "2 of 2 .*length inf "),
    ],
)
def test_vectors_that_cannot_be_used_are_refused_and_not_remembered(
    given: Any, message: str
) -> None:
    cached = CachedEmbedder(Foreign(given))
    for _ in range(2):
        with pytest.raises(EmbeddingFailed, match=message + ".*Repair:"):
            cached.embed(["rain", "sun"], kind="document")
    assert cached.nbytes == 0


def test_rows_beside_remembered_ones_are_checked_too() -> None:
    inner = Foreign(UNIT)
    cached = CachedEmbedder(inner)
    cached.embed(["rain", "sun"], kind="document")
    inner.given = 7 * UNIT[:1]
    with pytest.raises(EmbeddingFailed, match="length 7 "):
        cached.embed(["rain", "snow"], kind="document")
    np.testing.assert_array_equal(cached.embed(["sun"], kind="document"), UNIT[1:])


@pytest.mark.parametrize("given", [UNIT.tolist(), UNIT.astype(float), UNIT * np.float32(1.0005)])
def test_lists_doubles_and_rounded_lengths_become_float32_rows(given: Any) -> None:
    rows = CachedEmbedder(Foreign(given)).embed(["rain", "sun"], kind="document")
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, UNIT, atol=1e-3)


def test_no_texts_are_not_asked_for() -> None:
    rows = CachedEmbedder(Foreign(RuntimeError("empty input"))).embed([], kind="query")
    assert rows.shape == (0, 4)
    assert rows.dtype == np.float32


def test_what_an_embedder_raises_is_chained_under_its_name() -> None:
    fault = RuntimeError("api down")
    cached = CachedEmbedder(Foreign(fault))
    message = "Foreign.*RuntimeError: api down.*Repair:"
    with pytest.raises(EmbeddingFailed, match=message) as embedding:
        cached.embed(["rain"], kind="query")
    with pytest.raises(EmbeddingFailed, match=message) as splitting:
        cached.split(["rain"], prefixes=[""])
    assert embedding.value.__cause__ is splitting.value.__cause__ is fault


def test_an_error_of_agentmem_passes_unchanged() -> None:
    fault = InvalidInput("the prefix fills the window. Repair: shorten it.")
    cached = CachedEmbedder(Foreign(fault))
    with pytest.raises(InvalidInput) as embedding:
        cached.embed(["rain"], kind="query")
    with pytest.raises(InvalidInput) as splitting:
        cached.split(["rain"], prefixes=[""])
    assert embedding.value is splitting.value is fault


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([["rain"]], "1 lists of pieces for 2 texts"),
        (None, "NoneType for 2 texts"),
        ([["rain"], []], "position 1"),
        ([["rain"], "sun"], "position 1"),
        ([["rain"], None], "position 1"),
        ([["rain"], ["sun", 3]], "position 1"),
    ],
)
def test_pieces_that_cannot_be_used_are_refused(given: Any, message: str) -> None:
    with pytest.raises(EmbeddingFailed, match=f"Foreign.*{message}.*Repair:"):
        CachedEmbedder(Foreign(given)).split(["rain", "sun"], prefixes=["", ""])


def test_pieces_in_tuples_become_lists() -> None:
    cached = CachedEmbedder(Foreign((("rain",), ["a", "b"])))
    assert cached.split(["rain", "a b"], prefixes=["", ""]) == [["rain"], ["a", "b"]]
