"""The arguments of a memory that can be refused before anything is done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast, get_args

from agentmem.checks import location, shown
from agentmem.errors import InvalidInput
from agentmem.ranking import Ranking
from agentmem.types import Dates
from agentmem.types.maintenance import MaintenancePolicy

__all__ = ["as_dates", "as_ranking", "check_opening"]


def check_opening(
    path: object, embedders: Iterable[object], *, resident_bytes: int, maintain: object
) -> None:
    """Refuse arguments of `open` that could only fail later, and less clearly."""
    location(path, what="path")
    for embedder in embedders:
        if not callable(getattr(embedder, "embed", None)):
            raise InvalidInput(
                f"embedder={embedder!r} is no Embedder. Pass one, such as "
                'SentenceTransformerEmbedder("name or folder").'
            )
    if resident_bytes < 0:
        raise InvalidInput(f"resident_bytes={resident_bytes}: pass how many bytes, 0 or more.")
    if maintain not in get_args(MaintenancePolicy):
        raise InvalidInput(f"maintain={shown(maintain)}: pass 'auto' or 'off'.")


def as_dates(dates: object) -> Dates:
    """Return what dates are used for, or refuse what is none of that."""
    if dates not in get_args(Dates):
        raise InvalidInput(f"dates={shown(dates)}: pass {', '.join(map(repr, get_args(Dates)))}.")
    return cast("Dates", dates)


def as_ranking(ranking: object) -> Ranking:
    """Return a ranking, or refuse what is none."""
    if not isinstance(ranking, Ranking):
        raise InvalidInput(f"ranking={shown(ranking)} is no Ranking. Pass Ranking(...) or None.")
    return ranking
