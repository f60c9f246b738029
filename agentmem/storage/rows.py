"""What the rows of every table are made with: keys, Arrow columns, vectors, JSON.

Refuses what Arrow or LanceDB would store as something else, or not at all. Knows Arrow, not
LanceDB.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentmem.checks import EPOCH
from agentmem.errors import EmbeddingFailed, InvalidInput

__all__ = [
    "PLAIN",
    "PRIMARY_KEY",
    "STAMPED",
    "TIMES",
    "Stamps",
    "check_finite",
    "digest",
    "json_text",
    "revision",
    "table_of",
    "vector_type",
]

PRIMARY_KEY: Final = {"lance-schema:unenforced-primary-key": "true"}  # or races duplicate rows
PLAIN: Final = {  # so that a scan for the bytes of a text finds them, wherever it still is
    "lance-encoding:compression": "none",
    "lance-encoding:dict-values-compression": "none",
}
KEY_BYTES: Final = 16  # 128 bits: a collision among 10^12 keys has a chance of 10^-15
TIMES: Final = pa.timestamp("us", tz="UTC")
SALT_BITS: Final = 8  # below the microseconds: two processes may write a key within one
STAMPED: Final[list[pa.Field[Any]]] = [
    pa.field("rev", pa.int64(), nullable=False),
    pa.field("passport", pa.string(), nullable=False),
]
"""What every row tells of its making: which write of its key it is, and whose vector it has."""


@dataclass(frozen=True, slots=True)
class Stamps:
    """Which write each of N turns or tools is of, and in which space its vectors lie.

    A copy in another generation keeps the revision, so that equal revisions mean equal content.

    Attributes:
        revs: From `revision`, one each.
        passports: `Passport.id`, one each; "" where the model failed and the vector says nothing.
    """

    revs: Sequence[int]
    passports: Sequence[str]

    @classmethod
    def new(cls, count: int, *, passport_id: str, at: datetime) -> Stamps:
        """Return those of one write."""
        return cls([revision(at)] * count, [passport_id] * count)


def revision(at: datetime) -> int:
    """Return a number for one write of a key: later is larger, and no two writes share one."""
    micros = (at - EPOCH) // timedelta(microseconds=1)
    return micros << SALT_BITS | secrets.randbits(SALT_BITS)


def digest(*parts: str | None) -> str:
    """Hash texts so that no two different sequences agree: each part is preceded by its size."""
    encoded = [None if part is None else part.encode("utf-8", "surrogatepass") for part in parts]
    framed = b"".join(b"-" if one is None else b"%d:%b" % (len(one), one) for one in encoded)
    return hashlib.blake2b(framed, digest_size=KEY_BYTES).hexdigest()


def json_text(value: object, *, what: str) -> str:
    """Return a value as compact JSON.

    Raises:
        InvalidInput: JSON cannot hold it.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} is not JSON: {error}. Use JSON's own types.") from error


def vector_type(dimension: int) -> pa.DataType:
    """Return the type of a column of vectors."""
    return pa.list_(pa.float32(), dimension)


def check_finite(vectors: NDArray[np.float32], *, of: str, repeat: str) -> None:
    """Refuse vectors that no search could ever find.

    Args:
        vectors: Any shape.
        of: What they belong to, such as "turn".
        repeat: What to do again once the embedder is correct, such as "add the turns".

    Raises:
        EmbeddingFailed: One of them is not finite.
    """
    if not np.isfinite(vectors).all():
        raise EmbeddingFailed(
            f"a vector is not finite, so its {of} could never be found. Nothing was stored. "
            f"Repair: correct the embedder, then {repeat} again."
        )


def table_of(
    columns: Mapping[str, Sequence[Any]],
    *,
    schema: pa.Schema,
    vectors: NDArray[np.float32] | None = None,
) -> pa.Table:
    """Return columns as a table.

    Args:
        columns: The values of every column of the schema but `vector`.
        schema: Of the table.
        vectors: The column `vector`, one row each, shape (N, D); None where there is none.

    Raises:
        InvalidInput: A value cannot be stored as its column's type.
    """
    arrays = {name: _array(values, schema.field(name)) for name, values in columns.items()}
    if vectors is not None:
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
        arrays["vector"] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pa.Table.from_arrays([arrays[name] for name in schema.names], schema=schema)


def _array(values: Sequence[Any], field: pa.Field[Any]) -> pa.Array[Any]:
    try:
        if field.type == pa.json_():
            stored: pa.Array[Any] = pa.array(values, pa.string())
            return pa.ExtensionArray.from_storage(field.type, stored)
        array: pa.Array[Any] = pa.array(values, field.type)
    except (UnicodeEncodeError, pa.ArrowException) as error:
        raise InvalidInput(f"{field.name} holds what cannot be stored: {error}.") from error
    return array
