"""One version of a catalogue, held in memory as the columns that ranking needs.

Takes what the storage read; a `Tool` is made of its definition only when it is asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from agentmem.ranking.tools.columns import View, unit
from agentmem.routing.question import Names
from agentmem.storage.arrow import strings
from agentmem.storage.catalogue import ARGUMENTS, DESCRIPTION, NAME, CatalogueState
from agentmem.storage.tool_schema import tool_from_definition
from agentmem.types import Tool

__all__ = ["Shelf", "View", "catalogue_fingerprint"]

VIEWS: Final = {"name": NAME, "description": DESCRIPTION, "arguments": ARGUMENTS}
UNCOUNTED: Final = -1  # tokens of a definition that the counter could not count

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shelf:
    """One version of a catalogue of N tools.

    Attributes:
        state: As it is stored.
        keys: Of the tools, in order of registration; likewise `names`, `namespaces`.
        names: See `keys`.
        namespaces: See `keys`.
        tokens: Of each tool's OpenAI definition, -1 where they were not counted, shape (N,).
        raw: Unit vectors of the descriptions as they were embedded, shape (N, D).
        documents: Terms of each tool's name and description, joined by spaces.
        words: Terms of all that each tool says of itself.
        views: Centred views, by name.
        index: The names, to be recognised in queries.
        place: Place of each tool, by key.
        fingerprint: Changes whenever any definition does.
    """

    state: CatalogueState
    keys: list[str]
    names: list[str]
    namespaces: list[str]
    tokens: NDArray[np.int64]
    raw: Floats
    documents: list[str]
    words: list[str]
    views: Mapping[str, View]
    index: Names
    place: Mapping[str, int]
    fingerprint: str
    _tools: dict[int, Tool] = field(default_factory=dict)

    @classmethod
    def of(cls, state: CatalogueState) -> Shelf:
        """Make the columns of what was read."""
        heads, size = state.heads, state.heads.num_rows
        keys, names = strings(heads["key"]), strings(heads["name"])
        named, described, argued = (
            strings(heads[f"lexemes_{part}"]) for part in ("name", "description", "arguments")
        )
        documents = [f"{a} {b}" for a, b in zip(named, described, strict=True)]
        return cls(
            state=state,
            keys=keys,
            names=names,
            namespaces=strings(heads["namespace"]),
            tokens=_counted(heads["tokens"]),
            raw=_means(state, DESCRIPTION, size),
            documents=documents,
            words=[f"{a} {b}" for a, b in zip(documents, argued, strict=True)],
            views={name: _view(state, kind, size) for name, kind in VIEWS.items()},
            index=Names.of(names),
            place={key: place for place, key in enumerate(keys)},
            fingerprint=catalogue_fingerprint(strings(heads["content_hash"])),
        )

    def __len__(self) -> int:
        return len(self.keys)

    def tool(self, place: int) -> Tool:
        """Return one tool."""
        found = self._tools.get(place)
        if found is None:
            text = self.state.heads["definition"][place].as_py()
            found = self._tools[place] = tool_from_definition(text)
        return found

    def nearest(self, place: int, query: Floats) -> tuple[str, float]:
        """Return the text of the piece of a tool's views that is nearest to a query, and how near.

        Args:
            place: Of the tool.
            query: Unit vector, shape (D,).
        """
        rows = np.flatnonzero(self.state.owners == place)
        cosines = np.empty(len(rows), np.float32)
        for name, kind in VIEWS.items():
            view = self.views[name]
            cosines[self.state.kinds[rows] == kind] = view.vectors[view.owners == place] @ query
        best = int(np.argmax(cosines))
        return self.state.texts[int(rows[best])], float(cosines[best])


def _view(state: CatalogueState, kind: int, size: int) -> View:
    of = state.kinds == kind
    return View.centred(state.vectors[of], state.owners[of].astype(np.int64), size=size)


def _means(state: CatalogueState, kind: int, size: int) -> Floats:
    """Mean direction of each tool's pieces of one view, shape (N, D)."""
    of = state.kinds == kind
    total = np.zeros((size, state.vectors.shape[1]), np.float32)
    np.add.at(total, state.owners[of], state.vectors[of])
    return unit(total)


def _counted(tokens: pa.ChunkedArray[Any]) -> NDArray[np.int64]:
    """Return tokens, -1 where they are null, shape (N,)."""
    filled: Any = pc.fill_null(tokens, pa.scalar(UNCOUNTED, tokens.type))
    counted: NDArray[np.int64] = filled.to_numpy().astype(np.int64)
    return counted


def catalogue_fingerprint(hashes: Iterable[str]) -> str:
    """Return what tells a catalogue from another, given the content hashes of its tools."""
    return hashlib.blake2b("".join(sorted(hashes)).encode(), digest_size=8).hexdigest()
