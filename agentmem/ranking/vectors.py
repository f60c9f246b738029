"""Unit vectors in two precisions: eight bits to look at all of them, sixteen to look again.

A product over all rows is bound by the memory it reads, so it reads a quarter of float32: integers
that share one scale a row (symmetric scalar quantisation; Jacob et al., "Quantization and Training
of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018, section 2.1, with
zero-point 0). What it finds is then measured again in float16.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numkong
import numpy as np
from numpy.typing import NDArray

__all__ = ["Vectors", "quantised"]

SURE: Final = 6  # standard deviations: one of a thousand million goes further
STEPS: Final = 127  # of an eight-bit integer to either side of zero


@dataclass(frozen=True, slots=True)
class Vectors:
    """C unit rows of D components.

    Attributes:
        codes: Each row divided by its scale and rounded, (C, D).
        scales: One a row, (C,).
        halves: The rows in float16, (C, D); None where memory allows only the codes.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    halves: NDArray[np.float16] | None

    @classmethod
    def of(cls, rows: NDArray[np.float32], *, precise: bool = True) -> Vectors:
        """Quantise unit rows, (C, D).

        Args:
            rows: In float32.
            precise: Whether to keep them in float16 as well.
        """
        codes, scales = quantised(rows)
        return cls(codes, scales, rows.astype(np.float16) if precise else None)

    @classmethod
    def none(cls, dimension: int, precise: bool) -> Vectors:  # noqa: FBT001
        """Return no rows."""
        return cls.of(np.zeros((0, dimension), np.float32), precise=precise)

    @classmethod
    def joined(cls, parts: Sequence[Vectors]) -> Vectors:
        """Return the rows of several, one after the other; all are as precise."""
        halves = [part.halves for part in parts if part.halves is not None]
        return cls(
            np.concatenate([part.codes for part in parts]),
            np.concatenate([part.scales for part in parts]),
            np.concatenate(halves) if halves else None,
        )

    def take(self, order: NDArray[np.int64]) -> Vectors:
        """Return some rows, as precise as these."""
        halves = None if self.halves is None else self.halves[order]
        return Vectors(self.codes[order], self.scales[order], halves)

    @property
    def nbytes(self) -> int:
        """Memory held by the arrays."""
        halves = 0 if self.halves is None else self.halves.nbytes
        return self.codes.nbytes + self.scales.nbytes + halves

    @property
    def shape(self) -> tuple[int, ...]:
        """C and D."""
        return self.codes.shape

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """Return some rows as precisely as they are known, in float32."""
        if self.halves is not None:
            halves: NDArray[np.float32] = self.halves[rows].astype(np.float32)
            return halves
        codes: NDArray[np.float32] = self.codes[rows].astype(np.float32)
        codes *= self.scales[rows][..., None]
        return codes

    def cosines(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Similarity of every row to a unit vector, (C,), within `error` of it."""
        if not len(self):
            return np.zeros(0, np.float32)
        codes, scales = quantised(query[None])
        products = np.asarray(numkong.cdist(codes, self.codes, metric="dot", out_dtype="float32"))
        found: NDArray[np.float32] = products[0] * (self.scales * scales[0])
        return found

    def error(self, query: NDArray[np.float32]) -> float:
        """By how much a cosine may be off: six standard deviations.

        A component is off by up to half a step, evenly spread, in a row and in the query; both
        have length 1, and so the sums over components have the deviation of a single one.
        """
        if not len(self):
            return 0.0
        steps = float(np.abs(query).max()) / STEPS, float(self.scales.max())
        return SURE * math.sqrt((steps[0] ** 2 + steps[1] ** 2) / 12)


def quantised(rows: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return the codes and the scale of each row, (C, D) and (C,); 0 for a row of zeros."""
    scales = np.abs(rows).max(axis=1, initial=0) / np.float32(STEPS)
    divided = rows / np.where(scales > 0, scales, 1)[:, None]
    return np.rint(divided).astype(np.int8), scales.astype(np.float32)
