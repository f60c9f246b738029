"""What the rows of a lesson are: one of its own, and one for each observation it brought.

An observation is a query and a tool that was, or was not, right for it. Knows Arrow, not
LanceDB.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentmem.errors import InvalidInput
from agentmem.storage.rows import (
    PLAIN,
    PRIMARY_KEY,
    STAMPED,
    TIMES,
    check_finite,
    json_text,
    revision,
    table_of,
    vector_type,
)

__all__ = [
    "FAILED",
    "RIGHT",
    "WRONG",
    "Label",
    "Observation",
    "lesson_row",
    "lessons_from_table",
    "lessons_schema",
    "observation_rows",
    "observations_schema",
]

Label: TypeAlias = Literal[1, 0, -1]
"""What an observation says of a tool: right for the query, called and failed, or wrong for it."""

RIGHT: Final[Label] = 1
FAILED: Final[Label] = 0  # of whether it fits nothing follows, only of how reliable it is
WRONG: Final[Label] = -1
PLACES: Final = 6  # digits of an observation's number within its lesson: keys sort as given


@dataclass(frozen=True, slots=True)
class Observation:
    """A query and a tool, as they were seen together.

    Attributes:
        tool: Name of the tool.
        query: What was asked.
        lexemes: Analysed terms of the query, joined by spaces.
        label: `RIGHT`, `FAILED` or `WRONG`.
        succeeded: Whether using the tool succeeded; None where nothing was said of it.
        namespace: Where the tool is; None for where the lesson is.
    """

    tool: str
    query: str
    lexemes: str
    label: Label
    succeeded: bool | None = None
    namespace: str | None = None


def lessons_schema() -> pa.Schema:
    """Return the schema of the table of lessons."""
    columns: list[pa.Field[Any]] = [
        pa.field("id", pa.string(), nullable=False, metadata=PRIMARY_KEY),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("at", TIMES, nullable=False),
        pa.field("namespace", pa.string(), nullable=False),
        pa.field("tools", pa.list_(pa.string()), nullable=False),
        pa.field("observations", pa.int32(), nullable=False),
        pa.field("applied", pa.bool_(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("before", pa.float64()),
        pa.field("after", pa.float64()),
        pa.field("by", pa.string()),
        pa.field("reverted_to", pa.string()),
        pa.field("detail", pa.string()),
    ]
    return pa.schema(columns)


def observations_schema(dimension: int) -> pa.Schema:
    """Return the schema of a table of observations whose vectors have that many components."""
    columns: list[pa.Field[Any]] = [
        pa.field("key", pa.string(), nullable=False, metadata=PRIMARY_KEY),
        pa.field("lesson_id", pa.string(), nullable=False),
        pa.field("namespace", pa.string(), nullable=False),
        pa.field("tool", pa.string(), nullable=False),
        pa.field("query", pa.string(), nullable=False, metadata=PLAIN),
        pa.field("lexemes", pa.string(), nullable=False, metadata=PLAIN),
        pa.field("label", pa.int8(), nullable=False),
        pa.field("succeeded", pa.bool_()),
        pa.field("observed_at", TIMES, nullable=False),
        *STAMPED,
        pa.field("vector", vector_type(dimension), nullable=False),
    ]
    return pa.schema(columns)


def lesson_row(lesson: Mapping[str, Any]) -> pa.Table:
    """Return the row of a lesson.

    Args:
        lesson: Its fields, by the names of `lessons_schema`; those that may be null may be left
            out. `detail` is any JSON value, and comes back as such.

    Raises:
        InvalidInput: A field is missing, unknown, or of another type.
    """
    schema = lessons_schema()
    needed = {field.name for field in schema if not field.nullable}
    given = {name for name, value in lesson.items() if value is not None}
    unknown, missing = sorted(set(lesson) - set(schema.names)), sorted(needed - given)
    if unknown or missing:
        raise InvalidInput(
            f"a lesson lacks the fields {missing} and has the unknown fields {unknown}. Pass the "
            f"fields {', '.join(schema.names)}."
        )
    detail = lesson.get("detail")
    values = {name: lesson.get(name) for name in schema.names}
    values["detail"] = None if detail is None else json_text(detail, what="detail")
    return table_of({name: [value] for name, value in values.items()}, schema=schema)


def lessons_from_table(rows: pa.Table) -> list[dict[str, Any]]:
    """Return lessons as they were given to `lesson_row`, in order of their ids."""
    lessons = rows.sort_by("id").to_pylist()
    for lesson in lessons:
        lesson["at"] = lesson["at"].astimezone(timezone.utc)
        lesson["detail"] = json.loads(lesson["detail"] or "null")
    return lessons


def observation_rows(
    observations: Sequence[Observation],
    *,
    lesson_id: str,
    namespace: str,
    at: datetime,
    vectors: NDArray[np.float32],
    passport_id: str,
) -> pa.Table:
    """Return the rows of a lesson's observations.

    Args:
        observations: What was seen.
        lesson_id: Of the lesson that brought them.
        namespace: Of the tools that name none of their own.
        at: When it was seen (UTC).
        vectors: Of the queries, one float32 unit row an observation, shape (N, D).
        passport_id: Of the space they lie in.

    Raises:
        EmbeddingFailed: A vector is not finite.
        InvalidInput: A text cannot be stored, or an observation has no vector of its own.
    """
    count = len(observations)
    if len(vectors) != count:
        raise InvalidInput(f"{count} observations came with {len(vectors)} vectors. Pass one each.")
    check_finite(vectors, of="example", repeat="teach the examples")
    columns: dict[str, list[Any]] = {
        "key": [f"{lesson_id}/{number:0{PLACES}d}" for number in range(count)],
        "lesson_id": [lesson_id] * count,
        "namespace": [one.namespace or namespace for one in observations],
        "tool": [one.tool for one in observations],
        "query": [one.query for one in observations],
        "lexemes": [one.lexemes for one in observations],
        "label": [one.label for one in observations],
        "succeeded": [one.succeeded for one in observations],
        "observed_at": [at] * count,
        "rev": [revision(at)] * count,  # of a lesson, and so never changed
        "passport": [passport_id] * count,
    }
    return table_of(columns, schema=observations_schema(vectors.shape[1]), vectors=vectors)
