"""What the rows of a tool are: one a view's piece, their key, and the ways from a tool and back.

The first row of a tool, its head, carries the whole definition and the terms; every row has the
hash of the definition it belongs to, which tells the rows of two writers apart. Knows Arrow,
not LanceDB.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import chain
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentmem.errors import DuplicateTool, InvalidInput
from agentmem.storage.rows import (
    PRIMARY_KEY,
    STAMPED,
    TIMES,
    Stamps,
    check_finite,
    digest,
    json_text,
    table_of,
    vector_type,
)
from agentmem.types import Tool

__all__ = [
    "HEAD",
    "HEAD_COLUMNS",
    "ToolRow",
    "ViewKind",
    "tool_from_definition",
    "tool_key",
    "tool_rows",
    "tool_to_definition",
    "tools_schema",
]

ViewKind: TypeAlias = Literal["name", "description", "arguments"]

HEAD: Final = "piece = 0"  # the row that stands for a tool
HEAD_COLUMNS: Final = (
    *("key", "namespace", "name", "tags", "definition", "content_hash", "tokens"),
    *("registered_at", "lexemes_name", "lexemes_description", "lexemes_arguments"),
)
"""What a head tells of its tool."""

FIELDS: Final = tuple(field.name for field in fields(Tool))


@dataclass(frozen=True, slots=True)
class ToolRow:
    """One tool as it is to be stored.

    Attributes:
        tool: The tool.
        content_hash: 32 hexadecimal digits over all that matters of it.
        tokens: Of its OpenAI definition; None where they could not be counted.
        pieces: Kind and text of each piece that was embedded, the description first.
        vectors: One float32 unit row a piece, shape (len(pieces), D).
        lexemes: Analysed terms of name, description and arguments, each joined by spaces.
    """

    tool: Tool
    content_hash: str
    tokens: int | None
    pieces: Sequence[tuple[ViewKind, str]]
    vectors: NDArray[np.float32]
    lexemes: tuple[str, str, str]


def tools_schema(dimension: int) -> pa.Schema:
    """Return the schema of a table of tools whose vectors have that many components."""
    columns: list[pa.Field[Any]] = [
        pa.field("view_key", pa.string(), nullable=False, metadata=PRIMARY_KEY),
        pa.field("key", pa.string(), nullable=False),
        pa.field("piece", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("namespace", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("definition", pa.string()),
        pa.field("tokens", pa.int32()),
        pa.field("registered_at", TIMES),
        pa.field("lexemes_name", pa.string()),
        pa.field("lexemes_description", pa.string()),
        pa.field("lexemes_arguments", pa.string()),
        *STAMPED,
        pa.field("vector", vector_type(dimension), nullable=False),
    ]
    return pa.schema(columns)


def tool_key(name: str, *, namespace: str) -> str:
    """Return the key a tool is stored under: a hash of its namespace and name."""
    return digest(namespace, name)


def tool_to_definition(tool: Tool) -> str:
    """Return the JSON text of a whole tool, from which it comes back equal.

    Raises:
        InvalidInput: Its parameters or its original are not JSON.
    """
    values = {name: getattr(tool, name) for name in FIELDS}
    values["parameters"] = dict(tool.parameters)
    values["original"] = dict(tool.original)
    return json_text(values, what=f"the definition of tool {tool.name!r}")


def tool_from_definition(text: str) -> Tool:
    """Return the tool of a JSON text that `tool_to_definition` gave."""
    stored = json.loads(text)
    known = {name: stored[name] for name in FIELDS if name in stored}
    return Tool(**{**known, "tags": tuple(stored["tags"])})


def tool_rows(
    rows: Sequence[ToolRow], *, registered: Sequence[datetime], stamps: Stamps, dimension: int
) -> pa.Table:
    """Return the rows of tools, piece after piece, ready to be stored.

    Args:
        rows: The tools, each with at least one piece.
        registered: When each was registered (UTC), which is the order they are listed in.
        stamps: One a tool.
        dimension: Components of a vector.

    Raises:
        DuplicateTool: Two tools share a name within a namespace.
        EmbeddingFailed: A vector is not finite.
        InvalidInput: A definition or text cannot be stored, or a piece has no vector of its own.
    """
    _check(rows, dimension=dimension)
    vectors = np.concatenate([np.zeros((0, dimension), np.float32), *(row.vectors for row in rows)])
    check_finite(vectors, of="tool", repeat="register the tools")
    counts = [len(row.pieces) for row in rows]
    columns: dict[str, list[Any]] = {
        name: _spread([read(row) for row in rows], counts) for name, read in _OF_EVERY_ROW.items()
    }
    for name, read in _OF_HEADS.items():
        columns[name] = _at_heads([read(row) for row in rows], counts)
    columns["registered_at"] = _at_heads(list(registered), counts)
    columns["rev"] = _spread(list(stamps.revs), counts)
    columns["passport"] = _spread(list(stamps.passports), counts)
    columns["piece"] = list(chain.from_iterable(map(range, counts)))
    columns["kind"] = [kind for row in rows for kind, _ in row.pieces]
    columns["text"] = [text for row in rows for _, text in row.pieces]
    numbered = zip(columns["key"], columns["piece"], strict=True)
    columns["view_key"] = [f"{key}/{number}" for key, number in numbered]
    return table_of(columns, schema=tools_schema(dimension), vectors=vectors)


def _check(rows: Sequence[ToolRow], *, dimension: int) -> None:
    seen = set()
    for row in rows:
        tool = row.tool
        if (tool.namespace, tool.name) in seen:
            raise DuplicateTool(
                f"two tools of one call are named {tool.name!r} in namespace {tool.namespace!r}. "
                "Nothing was stored. Rename one, or register it in another namespace."
            )
        seen.add((tool.namespace, tool.name))
        if not row.pieces or row.vectors.shape != (len(row.pieces), dimension):
            raise InvalidInput(
                f"tool {tool.name!r} came with {len(row.pieces)} pieces and vectors of shape "
                f"{row.vectors.shape}. Pass at least one piece, and {dimension} components each."
            )


def _spread(values: list[Any], counts: list[int]) -> list[Any]:
    """Repeat each tool's value for each of its pieces."""
    return [value for value, count in zip(values, counts, strict=True) for value in [value] * count]


def _at_heads(values: list[Any], counts: list[int]) -> list[Any]:
    """Put each tool's value at its first piece, and nothing at the others."""
    pairs = zip(values, counts, strict=True)
    return list(chain.from_iterable([value, *[None] * (count - 1)] for value, count in pairs))


_OF_EVERY_ROW: Final[Mapping[str, Callable[[ToolRow], Any]]] = {
    "key": lambda row: tool_key(row.tool.name, namespace=row.tool.namespace),
    "namespace": lambda row: row.tool.namespace,
    "name": lambda row: row.tool.name,
    "content_hash": lambda row: row.content_hash,
}
_OF_HEADS: Final[Mapping[str, Callable[[ToolRow], Any]]] = {
    "tags": lambda row: list(row.tool.tags),
    "definition": lambda row: tool_to_definition(row.tool),
    "tokens": lambda row: row.tokens,
    "lexemes_name": lambda row: row.lexemes[0],
    "lexemes_description": lambda row: row.lexemes[1],
    "lexemes_arguments": lambda row: row.lexemes[2],
}
