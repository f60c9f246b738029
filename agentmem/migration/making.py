"""Rows of the next generation: what is stored, split, embedded and analysed anew.

A text that the new model cannot embed does not stop the others: its row is kept with a vector
that says nothing and an empty passport, so that it is still listed, exported and found by its
words. Whether it is the text or the model that fails is found out by asking for another text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timezone
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentmem.embedding import EmbeddingUnavailable
from agentmem.embedding.queries import embed_queries
from agentmem.errors import AgentmemError, EmbeddingFailed
from agentmem.ingest import pieces_of, rows_of
from agentmem.protocols import Embedder
from agentmem.routing.preparing import ToolPreparer
from agentmem.storage.copying import SCHEMAS
from agentmem.storage.lesson_schema import observations_schema
from agentmem.storage.rows import Stamps
from agentmem.storage.schema import turns_from_table
from agentmem.storage.tool_schema import ToolRow, tool_from_definition, tool_rows
from agentmem.telemetry import Tracing
from agentmem.toolspec import content_hash, views
from agentmem.types import Held, Poisoned, Tool, Turn

__all__ = ["Made", "RowMaker"]

T = TypeVar("T")

KNOWN_GOOD: Final = "The quick brown fox jumps over the lazy dog."  # if this fails, the model does
WORDS_OF_AN_ERROR: Final = 300  # characters of it that are kept

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Made:
    """Rows ready to be stored, and what could not be embedded of them.

    Attributes:
        rows: One a chunk, view or example.
        poisoned: Rows whose vectors say nothing.
        keys: How many keys were asked for, those that are gone included.
    """

    rows: pa.Table
    poisoned: tuple[Poisoned, ...]
    keys: int = 0


class RowMaker:
    """Makes rows in one embedding space. Safe for several threads.

    Args:
        embedder: Of that space.
        texts: Most texts of one call of the embedder; few leave a processor to others.
    """

    def __init__(self, embedder: Embedder, *, texts: int) -> None:
        self._embedder = embedder
        self._passport = embedder.passport
        self._texts = texts

    def rows(self, held: Held, heads: pa.Table) -> Made:
        """Return rows for heads as `storage.copying.Copy.read` gives them.

        Raises:
            EmbeddingFailed: The model fails, whatever the text.
        """
        if not heads.num_rows:  # all of them are gone by now
            return Made(SCHEMAS[held](self._passport.dimension).empty_table(), ())
        if held == "turns":
            return self._turns(
                turns_from_table(heads), [int(one or 0) for one in heads["rev"].to_pylist()]
            )
        if held == "tools":
            return self._tools(heads.to_pylist())
        return self._examples(heads)

    def _turns(self, turns: Sequence[Turn], revs: Sequence[int]) -> Made:
        given = list(zip(turns, revs, strict=True))

        def good(some: Sequence[tuple[Turn, int]]) -> pa.Table:
            pieces, texts = pieces_of([turn for turn, _ in some], embedder=self._embedder)
            return self._turn_rows(some, pieces=pieces, vectors=self._embed(texts))

        def bad(one: tuple[Turn, int]) -> pa.Table:
            pieces = [[one[0].content]]
            return self._turn_rows([one], pieces=pieces, vectors=self._blank(1), passport_id="")

        def told(one: tuple[Turn, int], error: str) -> Poisoned:
            turn = one[0]
            return Poisoned("turns", turn.id, error, turn.user_id, turn.agent_id)

        return self._carefully(given, good=good, bad=bad, told=told)

    def _turn_rows(
        self,
        given: Sequence[tuple[Turn, int]],
        *,
        pieces: Sequence[Sequence[str]],
        vectors: Floats,
        passport_id: str | None = None,
    ) -> pa.Table:
        return rows_of(
            [turn for turn, _ in given],
            pieces=pieces,
            vectors=vectors,
            stamps=self._stamps([rev for _, rev in given], passport_id),
        )

    def _tools(self, heads: Sequence[dict[str, Any]]) -> Made:
        def good(some: Sequence[dict[str, Any]]) -> pa.Table:
            tools = [tool_from_definition(one["definition"]) for one in some]
            preparer = ToolPreparer(self._embedder, counter=_Uncounted())
            with Tracing.silent().operation("agentmem.migrate", {}) as current:
                made = preparer.rows(tools, current=current)
            return self._tool_rows(some, made)

        def bad(one: dict[str, Any]) -> pa.Table:
            tool = tool_from_definition(one["definition"])
            return self._tool_rows([one], [_named_only(tool, self._blank(1))], passport_id="")

        def told(one: dict[str, Any], error: str) -> Poisoned:
            return Poisoned("tools", f"{one['namespace']}/{one['name']}", error)

        return self._carefully(heads, good=good, bad=bad, told=told)

    def _tool_rows(
        self,
        heads: Sequence[dict[str, Any]],
        made: Sequence[ToolRow],
        *,
        passport_id: str | None = None,
    ) -> pa.Table:
        """Keep what is known of tools beside their vectors: tokens, times, revisions."""
        stored = zip(made, heads, strict=True)
        return tool_rows(
            [replace(row, tokens=head["tokens"]) for row, head in stored],
            registered=[head["registered_at"].astimezone(timezone.utc) for head in heads],
            stamps=self._stamps([head["rev"] for head in heads], passport_id),
            dimension=self._passport.dimension,
        )

    def _examples(self, heads: pa.Table) -> Made:
        rows = heads.to_pylist()

        def good(some: Sequence[dict[str, Any]]) -> pa.Table:
            queries = list(dict.fromkeys(one["query"] for one in some))
            vectors = embed_queries(self._embedder, queries)
            place = {query: row for row, query in enumerate(queries)}
            at = [place[one["query"]] for one in some]
            return self._example_rows(some, vectors[at], passport_id=self._passport.id)

        def bad(one: dict[str, Any]) -> pa.Table:
            return self._example_rows([one], self._blank(1), passport_id="")

        def told(one: dict[str, Any], error: str) -> Poisoned:
            return Poisoned("tool_examples", one["key"], error)

        return self._carefully(rows, good=good, bad=bad, told=told)

    def _example_rows(
        self, rows: Sequence[dict[str, Any]], vectors: Floats, *, passport_id: str
    ) -> pa.Table:
        whole = [
            {**row, "passport": passport_id, "vector": vector}
            for row, vector in zip(rows, list(vectors), strict=True)
        ]
        return pa.Table.from_pylist(whole, observations_schema(self._passport.dimension))

    def _carefully(
        self,
        given: Sequence[T],
        *,
        good: Callable[[Sequence[T]], pa.Table],
        bad: Callable[[T], pa.Table],
        told: Callable[[T, str], Poisoned],
    ) -> Made:
        """Make rows of all, or of each half, down to the ones that cannot be embedded."""
        try:
            return Made(good(given), ())
        except EmbeddingUnavailable:
            raise  # no text is at fault
        except AgentmemError as error:
            if len(given) > 1:
                middle = len(given) // 2
                halves = [
                    self._carefully(part, good=good, bad=bad, told=told)
                    for part in (given[:middle], given[middle:])
                ]
                rows = pa.concat_tables([half.rows for half in halves])
                return Made(rows, halves[0].poisoned + halves[1].poisoned)
            self._check_model(error)
            said = f"{type(error).__name__}: {error}"[:WORDS_OF_AN_ERROR]
            return Made(bad(given[0]), (told(given[0], said),))

    def _check_model(self, error: AgentmemError) -> None:
        """Raise where the model fails on any text: that is an outage, and no poison."""
        try:
            self._embedder.embed([KNOWN_GOOD], kind="document")
        except AgentmemError as again:
            raise EmbeddingFailed(str(again)) from error

    def _embed(self, texts: Sequence[str]) -> Floats:
        parts = [
            self._embedder.embed(texts[start : start + self._texts], kind="document")
            for start in range(0, len(texts), self._texts)
        ]
        empty = np.zeros((0, self._passport.dimension), np.float32)
        return np.concatenate([empty, *parts])

    def _blank(self, count: int) -> Floats:
        """Unit rows of equal components: near to nothing in particular."""
        size = self._passport.dimension
        return np.full((count, size), size**-0.5, np.float32)

    def _stamps(self, revs: Sequence[int], passport_id: str | None) -> Stamps:
        named = self._passport.id if passport_id is None else passport_id
        return Stamps(revs, [named] * len(revs))


class _Uncounted:
    """Counts no tokens: those of a stored definition are known."""

    def count(self, text: str) -> int:  # noqa: ARG002 - the protocol's
        """Return 0."""
        return 0


def _named_only(tool: Tool, vectors: Floats) -> ToolRow:
    """A tool that could not be embedded, by its name alone."""
    return ToolRow(
        tool=tool,
        content_hash=content_hash(tool),
        tokens=None,
        pieces=[("description", views(tool).description)],
        vectors=vectors,
        lexemes=(tool.name.lower(), "", ""),
    )
