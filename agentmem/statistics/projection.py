"""Two dimensions to look at: the plane in which the reference spreads most, and who lies where.

Numpy in, numpy out. A picture for a report, no test: what differs in other directions does not
show in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Projection", "project"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Two sides on one plane.

    Attributes:
        reference: Places of the reference's rows, shape (n, 2).
        current: Places of the current rows, shape (m, 2).
        explained: Share of the reference's variance along each axis, shape (2,).
        explained_current: Share of the current rows' variance around the reference's mean along
            each axis, shape (2,): where it is much lower, they lie off the plane.
    """

    reference: Floats
    current: Floats
    explained: Floats
    explained_current: Floats


def project(reference: Floats, current: Floats) -> Projection:
    """Project both sides onto the first two principal components of the reference.

    Pearson, "On lines and planes of closest fit to systems of points in space" (1901). The sign
    of a component is free; its largest weight is made positive, so that the same reference gives
    the same picture.

    Args:
        reference: Rows, shape (n, D), at least two, D at least 2.
        current: Rows, shape (m, D).
    """
    mean = reference.mean(axis=0)
    centred, other = reference - mean, current - mean
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
    axes = axes * np.where(largest < 0, -1, 1)[:, None]
    places, others = centred @ axes.T, other @ axes.T
    return Projection(
        reference=places.astype(np.float32),
        current=others.astype(np.float32),
        explained=_shares(centred, places),
        explained_current=_shares(other, others),
    )


def _shares(rows: Floats, places: Floats) -> Floats:
    """Return the share of the squared lengths that lies along each axis."""
    whole = float(np.square(rows).sum())
    shares = np.square(places).sum(axis=0) / whole if whole else np.zeros(places.shape[1])
    return shares.astype(np.float32)
