"""Queries to vectors: one each, whatever their length, in one batch as one by one."""

from __future__ import annotations

import numpy as np

from agentmem.embedding.queries import embed_queries, embed_query
from agentmem.testing import HashEmbedder

LONG = " ".join(f"word{n}" for n in range(40))


def test_a_batch_gives_what_each_query_alone_gives() -> None:
    embedder = HashEmbedder(window=16)
    texts = ["rain in turin", LONG, "", LONG[::-1], "rain in turin"]
    together = embed_queries(embedder, texts)
    assert together.dtype == np.float32
    for row, text in zip(together, texts, strict=True):
        np.testing.assert_allclose(row, embed_query(embedder, text), atol=1e-6)


def test_a_query_beyond_the_window_is_the_mean_direction_of_its_pieces() -> None:
    embedder = HashEmbedder(window=16)
    ((first, *rest),) = embedder.split([LONG], prefixes=[""])
    assert rest
    mean = embedder.embed([first, *rest], kind="query").mean(axis=0)
    expected = mean / np.linalg.norm(mean)
    np.testing.assert_allclose(embed_query(embedder, LONG), expected, atol=1e-6)


def test_no_queries_are_no_rows() -> None:
    assert embed_queries(HashEmbedder(8), []).shape == (0, 8)
