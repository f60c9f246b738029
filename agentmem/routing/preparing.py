"""Tools to rows: the texts of their views, cut to the model's window, embedded and analysed.

All texts of one call are split and embedded together. Takes tools, gives what the store keeps
of them; knows neither which of them are new nor where they go.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.analysis import analyze
from agentmem.embedding.tracing import embedding_phase
from agentmem.errors import MissingDependency
from agentmem.protocols import Embedder, TokenCounter
from agentmem.routing.batches import in_slices
from agentmem.storage.tool_schema import ToolRow, ViewKind
from agentmem.telemetry import Current
from agentmem.tokens import UncountableText
from agentmem.toolspec import ToolViews, content_hash, views
from agentmem.types import Tool

__all__ = ["ToolPreparer"]

LONGEST_PREFIX: Final = 100  # characters of a name put before each piece; 64 is what APIs allow


@dataclass(frozen=True, slots=True)
class _View:
    """One view of a tool: what is put before each of its pieces, and what is cut into them."""

    kind: ViewKind
    prefix: str
    body: str
    whole: str

    def texts(self, pieces: Sequence[str]) -> list[str]:
        """Return what is embedded."""
        return [self.whole] if len(pieces) == 1 else [self.prefix + piece for piece in pieces]


class ToolPreparer:
    """Makes the rows of tools.

    Args:
        embedder: Of the space the store is written in.
        counter: Counts the tokens of definitions.
    """

    def __init__(self, embedder: Embedder, *, counter: TokenCounter) -> None:
        self._embedder = embedder
        self._counter = counter

    def rows(self, tools: Sequence[Tool], *, current: Current) -> list[ToolRow]:
        """Return the rows of tools, in their order.

        Args:
            tools: The tools.
            current: The operation they are made for.

        Raises:
            EmbeddingFailed: The model gave no usable vectors.
        """
        seen = [views(tool) for tool in tools]
        pieces = self._pieces([_views(tool, of) for tool, of in zip(tools, seen, strict=True)])
        texts = [text for parts in pieces for _, text in parts]
        with embedding_phase(current, embedder=self._embedder, texts=texts):
            vectors = in_slices(texts, self._embed, unit="views")
        ends = np.cumsum([len(parts) for parts in pieces])
        return [
            ToolRow(
                tool=tool,
                content_hash=content_hash(tool),
                tokens=tokens,
                pieces=parts,
                vectors=vectors[end - len(parts) : end],
                lexemes=_lexemes(tool, of),
            )
            for tool, of, parts, end, tokens in zip(
                tools, seen, pieces, ends.tolist(), self._tokens(tools), strict=True
            )
        ]

    def _pieces(self, seen: list[list[_View]]) -> list[list[tuple[ViewKind, str]]]:
        """Return for each tool the kind and text of everything that is embedded of it."""
        flat = list(chain.from_iterable(seen))
        split = iter(
            self._embedder.split(
                [view.body for view in flat], prefixes=[view.prefix for view in flat]
            )
        )
        return [
            [(view.kind, text) for view in of for text in view.texts(next(split))] for of in seen
        ]

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._embedder.embed(texts, kind="document")

    def _tokens(self, tools: Sequence[Tool]) -> Iterator[int | None]:
        """Give the tokens of each tool's OpenAI definition; None where they cannot be counted."""
        countable = True
        for tool in tools:
            tokens = None
            if countable:
                try:
                    tokens = self._counter.count(_definition(tool))
                except UncountableText:
                    pass
                except MissingDependency:  # asking again would look for a download each time
                    countable = False
            yield tokens


def _views(tool: Tool, of: ToolViews) -> list[_View]:
    prefix = f"{of.name}: " if len(of.name) <= LONGEST_PREFIX else ""
    body = tool.description if prefix else of.description
    described = _View("description", prefix=prefix, body=body, whole=of.description)
    others: tuple[tuple[ViewKind, str], ...] = (("name", of.name), ("arguments", of.arguments))
    return [described, *(_View(kind, "", body=text, whole=text) for kind, text in others if text)]


def _lexemes(tool: Tool, of: ToolViews) -> tuple[str, str, str]:
    """Return the terms of name, description and arguments; the name's also as it is written."""
    name = dict.fromkeys([*analyze(of.name), *analyze(tool.name)])
    return " ".join(name), _terms(tool.description), _terms(of.arguments)


def _terms(text: str) -> str:
    return " ".join(analyze(text))


def _definition(tool: Tool) -> str:
    return json.dumps(tool.schema("openai"), ensure_ascii=False, separators=(",", ":"))
