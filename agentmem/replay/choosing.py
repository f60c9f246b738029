"""One past selection, run over one state of a store, with the weights and the rule that are given.

Leaves no span and no measurement: what is run again is no traffic.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cachetools import LRUCache

from agentmem.checks import EPOCH
from agentmem.errors import InvalidInput
from agentmem.filters import Filter
from agentmem.protocols import Embedder
from agentmem.ranking.tools import Routing
from agentmem.replay.comparing import counted
from agentmem.replay.reasons import of_obstacle
from agentmem.routing import Budget, Holdings, Request, Selector
from agentmem.routing.question import Conversation, read_conversation
from agentmem.routing.sight import Moment, Sight
from agentmem.routing.thresholds import InForce
from agentmem.telemetry import Tracing
from agentmem.types import Selection, SelectionRecord

__all__ = ["Asked", "Chooser", "Conditions", "conditions_of", "moment_of", "obstacle"]

MICROSECOND: Final = timedelta(microseconds=1)
KEPT: Final = 2  # past states: a batch of replays stays at one for a while, and goes to the next


@dataclass(frozen=True, slots=True)
class Asked:
    """A past selection with what was not recorded of it."""

    record: SelectionRecord
    query: str
    where: Filter | None
    conversation: Conversation

    @classmethod
    def of(
        cls,
        record: SelectionRecord,
        *,
        query: str | None,
        where: Filter | None,
        history: object,
        memory: object,
    ) -> Asked:
        """Put together what was asked, of what was recorded and what is given.

        Raises:
            InvalidInput: The conversation that is given is not the one that was told.
        """
        texts = record.texts
        if texts is None:
            texts = read_conversation(history, memory).texts
            if len(texts) != record.told:
                raise InvalidInput(
                    f"history and memory give {counted(len(texts), 'text')} to choose by, and the "
                    f"selection was told {record.told:,}. Pass both exactly as they were then."
                )
        said = Conversation(record.called, record.used, texts)
        return cls(record, (query or "") if record.query is None else record.query, where, said)

    @property
    def request(self) -> Request:
        """The same, as a selector takes it."""
        record = self.record
        return Request(
            query=self.query,
            k=record.k,
            max_tokens=record.max_tokens,
            namespace=record.namespace,
            where=self.where,
            exclude=frozenset(record.exclude),
            conversation=self.conversation,
        )


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a selection depends on beside what was asked.

    Attributes:
        sight: What it sees.
        routing: The weights.
        rule: What it abstains by.
    """

    sight: Sight
    routing: Routing
    rule: InForce


class Chooser:
    """Selects over states of one store. Safe for several threads.

    Args:
        holdings: Where states come from.
        embedder: Of the space the store is written in.
        budget: Counts the tokens of definitions.
    """

    def __init__(self, holdings: Holdings, *, embedder: Embedder, budget: Budget) -> None:
        self._holdings = holdings
        self._embedder = embedder
        self._budget = budget
        self._tracing = Tracing.silent()
        self._lock = threading.Lock()
        self._kept: LRUCache[tuple[Moment, str], Sight] = LRUCache(KEPT)

    def sight(self, moment: Moment, *, routing: Routing) -> Sight:
        """Return a past state, as it is seen with these weights.

        Raises:
            VersionGone: It is not kept.
            StoreError: The store could not be read.
        """
        key = moment, routing.id
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None:
            self._holdings.check_kept(moment)
            return kept
        made = self._holdings.at(moment, routing=routing)
        with self._lock:
            self._kept[key] = made
        return made

    def choose(self, asked: Asked, under: Conditions) -> Selection:
        """Select under some conditions.

        Raises:
            EmbeddingFailed: The query could not be embedded.
            StoreError: The store could not be read.
        """
        selector = Selector(
            _Seen(under.sight),
            embedder=self._embedder,
            thresholds=_Ruled(under.rule),
            budget=self._budget,
            routing=under.routing,
            tracing=self._tracing,
        )
        return selector.select(asked.request)


@dataclass(frozen=True, slots=True)
class _Seen:
    """One state, whatever is written meanwhile."""

    sight: Sight

    def current(self) -> Sight:
        """Return it."""
        return self.sight


@dataclass(frozen=True, slots=True)
class _Ruled:
    """One rule, whatever is calibrated meanwhile."""

    rule: InForce

    def current(self, namespace: str | None, *, fingerprint: str) -> InForce:  # noqa: ARG002 - it is of one selection
        """Return it."""
        return self.rule


def moment_of(record: SelectionRecord) -> Moment:
    """Return which state of the store a past selection saw."""
    return Moment(
        catalogue_version=record.catalogue_version,
        examples_version=record.examples_version,
        fits_version=record.fits_version,
        learnt_at=(record.learnt_at - EPOCH) // MICROSECOND,
    )


def obstacle(record: SelectionRecord, *, generation: int, passport_id: str) -> str | None:
    """Say why a selection cannot be run again as it was; None if nothing is known to stand against.

    Args:
        record: The selection.
        generation: Of the store, in which it would be run again.
        passport_id: Of the embedder of today.
    """
    return of_obstacle(
        record,
        versions=(record.catalogue_version, record.examples_version, record.fits_version),
        generation=generation,
        passport_id=passport_id,
        weights=lambda: conditions_of(record)[0],
    )


def conditions_of(record: SelectionRecord) -> tuple[Routing, InForce]:
    """Return the weights of a past selection, and what it abstained by.

    Raises:
        KeyError: A number is missing.
        TypeError: One of them is none of this agentmem's.
        ValueError: One of them is no weight.
    """
    rule = InForce.of_rule(record.rule, calibrated=record.calibrated)
    return Routing(**record.routing), rule
