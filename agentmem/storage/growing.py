"""What grows at its end while readers keep what they saw: arrays, vectors, rows of a table."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentmem.ranking.vectors import Vectors

__all__ = ["Growing", "GrowingVectors", "Rows"]

GROWTH: Final = 2  # capacity doubles, so that n appends copy each row about once
PARTS: Final = 32  # tables of rows that are kept apart before they are joined


class Growing:
    """An array that grows at its end and hands out views of what it holds."""

    def __init__(self, dtype: type[np.generic], width: int | None = None) -> None:
        self._shape = () if width is None else (width,)
        self._array: NDArray[Any] = np.empty((0, *self._shape), dtype)
        self._size = 0

    @property
    def nbytes(self) -> int:
        """Memory held, spare capacity included."""
        return self._array.nbytes

    def extend(self, values: NDArray[Any]) -> None:
        """Append rows; moves to a larger array where this one is full, leaving views intact."""
        size = self._size + len(values)
        if size > len(self._array):
            capacity = max(size, GROWTH * len(self._array) if self._size else size)
            grown = np.empty((capacity, *self._shape), self._array.dtype)
            grown[: self._size] = self._array[: self._size]
            self._array = grown
        self._array[self._size : size] = values
        self._size = size

    def view(self) -> NDArray[Any]:
        """Return what it holds, read-only."""
        view = self._array[: self._size]
        view.flags.writeable = False
        return view


class GrowingVectors:
    """Vectors that grow at their end.

    Args:
        dimension: D.
        precise: Whether to keep them in float16 as well.
    """

    def __init__(self, dimension: int, *, precise: bool) -> None:
        self._codes = Growing(np.int8, dimension)
        self._scales = Growing(np.float32)
        self._halves = Growing(np.float16, dimension) if precise else None

    @property
    def nbytes(self) -> int:
        """Memory held, spare capacity included."""
        halves = 0 if self._halves is None else self._halves.nbytes
        return self._codes.nbytes + self._scales.nbytes + halves

    def extend(self, vectors: Vectors) -> None:
        """Append rows."""
        self._codes.extend(vectors.codes)
        self._scales.extend(vectors.scales)
        if self._halves is not None and vectors.halves is not None:
            self._halves.extend(vectors.halves)

    def view(self) -> Vectors:
        """Return what it holds."""
        halves = None if self._halves is None else self._halves.view()
        return Vectors(self._codes.view(), self._scales.view(), halves)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table by their place.

    Attributes:
        parts: The rows, in parts.
        ends: How many rows there are up to the end of each part.
    """

    parts: tuple[pa.RecordBatch, ...] = ()
    ends: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return sum(part.nbytes for part in self.parts)

    def take(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """Return some rows, in the order asked for."""
        parts = [bisect_right(self.ends, place) for place in places]
        found: dict[int, dict[str, Any]] = {}
        for part in set(parts):
            inside = [place for place, owner in zip(places, parts, strict=True) if owner == part]
            start = self.ends[part - 1] if part else 0
            rows = self.parts[part].take(pa.array([place - start for place in inside]))
            found.update(zip(inside, rows.to_pylist(), strict=True))
        return [found[place] for place in places]

    def extended(self, rows: pa.Table) -> Rows:
        """Return these and more rows after them. Small parts are joined, so that few are kept."""
        parts = [*self.parts, *rows.combine_chunks().to_batches()]
        if len(parts) > PARTS:
            first = parts[0].num_rows > sum(part.num_rows for part in parts[1:])
            joined = pa.Table.from_batches(parts[first:]).combine_chunks().to_batches()
            parts = [*parts[:first], *joined]
        return Rows(tuple(parts), tuple(accumulate(part.num_rows for part in parts)))
