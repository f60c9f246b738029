"""The span around an embedding: which model, how many texts, and how many were remembered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from agentmem.protocols import Embedder
from agentmem.telemetry import Attributes, Content, Current
from agentmem.types import Passport

__all__ = ["embedding_phase"]

MAX_TEXTS: Final = 20  # on one span
MODELS: Final = 16  # whose facts are remembered: their id is a hash of them all


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
    model = embedder.passport.model
    before = _counters(embedder)
    with current.phase("embeddings", model=model) as phase:
        phase.describe(lambda: _asked(texts, phase.content, embedder=embedder))
        yield
        hits, misses = (now - then for now, then in zip(_counters(embedder), before, strict=True))
        current.metrics.embedded(computed=misses, cached=hits)
        phase.set({"agentmem.embeddings.cached": hits})
        phase.describe(lambda: {"gen_ai.usage.input_tokens": _tokens(embedder, texts)})


def _asked(texts: Sequence[str], content: Content, *, embedder: Embedder) -> Attributes:
    """What is to be embedded, and by what."""
    told: dict[str, str | int | None] = {
        **_facts(embedder.passport),
        "agentmem.embeddings.texts": len(texts),
    }
    for place, text in enumerate(texts[:MAX_TEXTS]):
        told[f"embedding.embeddings.{place}.embedding.text"] = content.short(text)
    return told


@lru_cache(MODELS)
def _facts(passport: Passport) -> Mapping[str, str | int]:
    """What is the same of every text: the model, and its space."""
    return {
        "gen_ai.provider.name": passport.provider,
        "gen_ai.request.model": passport.model,
        "embedding.model_name": passport.model,
        "gen_ai.embeddings.dimension.count": passport.dimension,
        "agentmem.passport.id": passport.id,
    }


def _counters(embedder: Embedder) -> tuple[int, int]:
    """Texts that a cache answered and that it had encoded; of another embedder 0 both."""
    hits, misses = getattr(embedder, "hits", 0), getattr(embedder, "misses", 0)
    return (hits, misses) if isinstance(hits, int) and isinstance(misses, int) else (0, 0)


def _tokens(embedder: Embedder, texts: Sequence[str]) -> int | None:
    """Tokens of texts, the remembered ones included; None if the embedder counts none."""
    count = getattr(embedder, "tokens", None)
    return count(texts) if callable(count) else None
