"""From Arrow columns to numpy arrays and lists, with the types that pyarrow leaves open."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["integers", "matrix", "strings"]


def matrix(vectors: pa.ChunkedArray[Any]) -> NDArray[np.float32]:
    """Return fixed-size lists of float32 as rows, shape (N, D)."""
    kind = cast("pa.FixedSizeListType[Any, Any]", vectors.type)
    flat = [cast("Any", chunk).flatten().to_numpy() for chunk in vectors.chunks]
    joined = np.concatenate(flat) if flat else np.zeros(0, np.float32)
    return joined.reshape(-1, kind.list_size)


def integers(column: pa.ChunkedArray[Any]) -> NDArray[np.int64]:
    """Return integers, or times as microseconds since 1970, shape (N,)."""
    return column.cast(pa.int64()).to_numpy().astype(np.int64)


def strings(column: pa.ChunkedArray[Any]) -> list[str]:
    """Return the texts of a column that has no nulls."""
    return cast("list[str]", column.to_pylist())
