"""What one selection sees: a catalogue, what its lessons left, and what that was made from.

Made of what was read, by nothing but that: the same state gives the same sight in every process,
today and later.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from agentmem.ranking.lexical import InvertedIndex
from agentmem.ranking.tools.columns import Columns
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.observations import Observations
from agentmem.ranking.tools.score import Learnt
from agentmem.ranking.tools.success import success_term
from agentmem.ranking.tools.usage import FIT_FORMAT, Fitted, Usage
from agentmem.routing.known import Known
from agentmem.routing.shelf import Shelf
from agentmem.storage.fits import KeptFit
from agentmem.storage.tool_schema import tool_key
from agentmem.types import Tool

__all__ = ["Moment", "Sight", "columns_of", "fit_name", "is_worth_keeping", "learn"]

WORTH_KEEPING: Final = 500  # observations; fewer are fitted anew in tenths of a second
NOWHERE: Final = -1  # the place of a tool that is gone

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Which state of a store a selection sees.

    Attributes:
        catalogue_version: Of the table of tools.
        examples_version: Of the table of lessons.
        fits_version: Of the table of fits, 0 where nothing of it was used; None for the newest.
        learnt_at: The present that observations are weighed by age at, in microseconds since
            1970 UTC.
    """

    catalogue_version: int
    examples_version: int
    fits_version: int | None
    learnt_at: int


@dataclass(frozen=True, slots=True)
class Sight:
    """What one selection sees: a catalogue of N tools and what was learnt of it.

    Attributes:
        shelf: The catalogue.
        columns: What the tools say about themselves, and the words of their usage.
        learnt: What lessons left.
        observations: Of the active lessons, oldest first.
        succeeded: Reported successes of each tool, by age, shape (N,); likewise `failed`.
        failed: See `succeeded`.
        examples_version: Of the table of lessons.
        fits_version: Of the table of fits, which holds the fit in use; 0 where that is kept
            nowhere: it is of few observations, or the store may only be read.
        learnt_at: The present that observations were weighed by age at, in microseconds since
            1970 UTC.
        is_large: Whether the fit in use is of so many observations that it outlives changes of
            the catalogue.
    """

    shelf: Shelf
    columns: Columns
    learnt: Learnt
    observations: Observations
    succeeded: Floats
    failed: Floats
    examples_version: int
    fits_version: int
    learnt_at: int
    is_large: bool

    @classmethod
    def of(
        cls, known: Known, usage: Usage | None, *, shelf: Shelf, config: Routing, moment: Moment
    ) -> Sight:
        """Put together what was learnt of a catalogue."""
        success = success_term(known.succeeded, known.failed, strength=config.success_strength)
        return cls(
            shelf=shelf,
            columns=columns_of(shelf, known.observations, config=config),
            learnt=Learnt(usage, known.co_use, success),
            observations=known.observations,
            succeeded=known.succeeded,
            failed=known.failed,
            examples_version=moment.examples_version,
            fits_version=moment.fits_version or 0,
            learnt_at=moment.learnt_at,
            is_large=is_worth_keeping(known),
        )

    @property
    def size(self) -> int:
        """How many tools there are."""
        return len(self.shelf)

    @property
    def keys(self) -> list[str]:
        """Keys of the tools, in order of registration."""
        return self.shelf.keys

    @property
    def names(self) -> list[str]:
        """Names of the tools."""
        return self.shelf.names

    @property
    def namespaces(self) -> list[str]:
        """Namespaces of the tools."""
        return self.shelf.namespaces

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Tokens of each tool's OpenAI definition, -1 where they were not counted, shape (N,)."""
        return self.shelf.tokens

    @property
    def fingerprint(self) -> str:
        """Changes whenever any definition does."""
        return self.shelf.fingerprint

    @property
    def catalogue_version(self) -> int:
        """Version of the table of tools."""
        return self.shelf.state.version

    @property
    def usage(self) -> Usage | None:
        """What usage examples left; None without any."""
        return self.learnt.usage

    def tool(self, place: int) -> Tool:
        """Return one tool."""
        return self.shelf.tool(place)

    def index(self, name: str, *, namespace: str) -> int | None:
        """Return the place of a tool, or None where there is none of that name."""
        return self.shelf.place.get(tool_key(name, namespace=namespace))


def is_worth_keeping(known: Known) -> bool:
    """Whether a fit of what is known takes so long that it is kept in the store."""
    return known.due >= WORTH_KEEPING


def fit_name(known: Known, *, shelf: Shelf, config: Routing) -> str:
    """Name a fit by what it is of: lessons, weights, space, and of few lessons the tools as well.

    A large one outlives changes of the catalogue until the next is due: a tool that came later has
    not moved, and one that went is passed over. Nor is it made anew as its observations age.
    """
    parts = [*known.fitted, config.id, shelf.state.passport_id, str(FIT_FORMAT)]
    if not is_worth_keeping(known):
        parts += [*shelf.keys, shelf.fingerprint]
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def learn(known: Known, *, shelf: Shelf, config: Routing, kept: KeptFit | None) -> Usage | None:
    """Learn from what is known, with an earlier fit of it where there is one."""
    fitted = None
    if kept is not None:
        places = np.array([shelf.place.get(key, NOWHERE) for key in kept.tools], np.int64)
        fitted = Fitted.from_matrix(kept.matrix, places=places)
    with threadpool_limits(1, user_api="blas"):  # two threads that wait for a core take longer
        return Usage.learn(
            known.observations,
            descriptions=shelf.raw,
            documents=shelf.documents,
            config=config,
            due=known.due,
            fitted=fitted,
        )


def columns_of(shelf: Shelf, observations: Observations, *, config: Routing) -> Columns:
    """Index each tool's own words, followed by those of the queries it was right for."""
    documents = list(shelf.words)
    for owner, terms, label in zip(
        observations.owners.tolist(), observations.terms, observations.labels.tolist(), strict=True
    ):
        if label > 0:
            documents[owner] = f"{documents[owner]} {terms}"
    index = InvertedIndex()
    index.extend(documents)
    views = shelf.views
    return Columns.of(
        views["name"],
        description=views["description"],
        arguments=views["arguments"],
        index=index,
        config=config,
    )
