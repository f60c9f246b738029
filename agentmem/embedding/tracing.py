"""The span around an embedding: which model, how many texts, and how many were remembered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from agentmem.protocols import Embedder
from agentmem.telemetry import Attributes, Current

__all__ = ["embedding_phase"]

MAX_TEXTS: Final = 20  # on one span


@contextmanager
def embedding_phase(
    current: Current, *, embedder: Embedder, texts: Sequence[str]
) -> Iterator[None]:
    """Time an embedding, and say what was embedded by which model.

    What a cache answered is the growth of its counters meanwhile, so calls that run side by side
    may be counted with each other.

    Args:
        current: The operation it belongs to.
        embedder: Makes the vectors.
        texts: What is embedded.
    """
    passport = embedder.passport
    before = _counters(embedder)
    with current.phase("embeddings", model=passport.model) as phase:
        yield
        hits, misses = (now - then for now, then in zip(_counters(embedder), before, strict=True))
        current.metrics.embedded(computed=misses, cached=hits)

        def described() -> Attributes:
            told: dict[str, str | int | None] = {
                "gen_ai.request.model": passport.model,
                "embedding.model_name": passport.model,
                "gen_ai.embeddings.dimension.count": passport.dimension,
                "agentmem.passport.id": passport.id,
                "agentmem.embeddings.texts": len(texts),
                "agentmem.embeddings.cached": hits,
            }
            for place, text in enumerate(texts[:MAX_TEXTS]):
                told[f"embedding.embeddings.{place}.embedding.text"] = phase.content.short(text)
            return told

        phase.describe(described)


def _counters(embedder: Embedder) -> tuple[int, int]:
    """Texts that a cache answered and that it had encoded; of another embedder 0 both."""
    hits, misses = getattr(embedder, "hits", 0), getattr(embedder, "misses", 0)
    return (hits, misses) if isinstance(hits, int) and isinstance(misses, int) else (0, 0)
