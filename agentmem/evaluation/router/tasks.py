"""Tools with queries whose right tools are known: what an evaluation of a router runs on.

The values that every loader gives and the runner takes. They know no publisher's format, nothing
of storage and nothing of a router.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from agentmem.types import Tool

__all__ = [
    "Definition",
    "Probe",
    "RoutingMistake",
    "RoutingQuery",
    "RoutingTask",
    "conversations_of",
    "drop_unknown_gold",
    "split_by_tool",
    "without_gold",
]

Definition = Mapping[str, Any]
"""A tool as `ToolRouter.register` takes it."""

_TRAIN_SHARE: Final = 0.7  # the usual split, and the one that published figures of MetaTool use


@dataclass(frozen=True, slots=True)
class RoutingQuery:
    """A query with the tools it needs.

    Attributes:
        text: The query, as it is asked.
        gold: Names of the tools it needs; empty where none fits, or where nobody knows which.
        category: The kind of query, by which reports are split.
        history: What was said and called before, as `ToolRouter.select` takes it.
        shown: The only tools that may be chosen; None for the whole catalogue.
        hidden: Tools that may not be chosen.
        answerable: Whether a tool in sight fits.
        conversation: Id of the conversation it is a turn of, the same for all variants of that
            conversation; None where that is not known.
        namespace: The part of the catalogue that is asked; None for all of it.
        where: Only tools that match this filter, in its JSON form.
        recalled: What was recalled for it, as `ToolRouter.select` takes it for `memory`.
    """

    text: str
    gold: frozenset[str]
    category: str
    history: tuple[Mapping[str, Any], ...] = ()
    shown: frozenset[str] | None = None
    hidden: frozenset[str] = frozenset()
    answerable: bool = True
    conversation: str | None = None
    namespace: str | None = None
    where: Mapping[str, Any] | None = None
    recalled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutingMistake:
    """A query that tools were chosen for which are wrong, whatever is right.

    Attributes:
        query: The query, without gold.
        wrong: Names of those tools; never empty.
    """

    query: RoutingQuery
    wrong: frozenset[str]


@dataclass(frozen=True, slots=True)
class Probe:
    """Queries that a tool fits beside queries that none does, to see what abstention is worth.

    Attributes:
        name: Short, unique within a task.
        about: One line on how the unanswerable queries came about.
        queries: Both kinds; see `RoutingQuery.answerable`.
    """

    name: str
    about: str
    queries: Sequence[RoutingQuery]


@dataclass(frozen=True, slots=True)
class RoutingTask:
    """A catalogue and queries to it.

    Attributes:
        name: The format they were read from, such as `metatool`.
        tools: Definitions by name; several where a name is taken by different definitions. A
            `Tool` keeps its namespace and tags.
        test: Queries that are measured, each with gold.
        train: Queries that may be learnt from, each with gold; none of them is in `test`.
        alike: Whether train and test queries are of one kind, as calibrating on the one for the
            other supposes.
        probes: Sets of answerable and unanswerable queries.
        notes: What the loader dropped or guessed, counted by a readable reason.
        mistakes: What is asked to see whether past mistakes come back.
    """

    name: str
    tools: Mapping[str, Sequence[Definition | Tool]]
    test: Sequence[RoutingQuery]
    train: Sequence[RoutingQuery] = ()
    alike: bool = True
    probes: Sequence[Probe] = ()
    notes: Mapping[str, int] = field(default_factory=dict)
    mistakes: Sequence[RoutingMistake] = ()

    @property
    def size(self) -> int:
        """How many tools there are, every definition counted."""
        return sum(map(len, self.tools.values()))


def split_by_tool(task: RoutingTask, *, seed: int, share: float = _TRAIN_SHARE) -> RoutingTask:
    """Move a share of each tool's test queries, drawn at random, into `train`.

    Args:
        task: Every test query with one gold tool.
        seed: The same seed gives the same split.
        share: Of a tool's queries, rounded to whole ones.
    """
    generator = np.random.default_rng(seed)
    train: list[RoutingQuery] = []
    test: list[RoutingQuery] = []
    for queries in _by_tool(task.test).values():
        drawn = [queries[place] for place in generator.permutation(len(queries))]
        cut = round(share * len(drawn))
        train += drawn[:cut]
        test += drawn[cut:]
    return replace(task, test=test, train=[*task.train, *train])


def _by_tool(queries: Sequence[RoutingQuery]) -> dict[str, list[RoutingQuery]]:
    found: defaultdict[str, list[RoutingQuery]] = defaultdict(list)
    for query in queries:
        found[min(query.gold)].append(query)
    return dict(sorted(found.items()))


def without_gold(queries: Sequence[RoutingQuery]) -> list[RoutingQuery]:
    """Return the same queries of a catalogue from which their right tools were taken out."""
    return [
        replace(query, gold=frozenset(), hidden=query.hidden | query.gold, answerable=False)
        for query in queries
    ]


def conversations_of(queries: Sequence[RoutingQuery]) -> list[list[int]]:
    """Return the places of each conversation's turns, in their order.

    A query that names no conversation is one of its own.
    """
    found: defaultdict[str | int, list[int]] = defaultdict(list)
    for place, query in enumerate(queries):
        found[place if query.conversation is None else query.conversation].append(place)
    return list(found.values())


def drop_unknown_gold(
    queries: Sequence[RoutingQuery], *, names: Mapping[str, object], notes: Counter[str]
) -> list[RoutingQuery]:
    """Leave out queries whose gold is no tool of the catalogue, and count them in the notes."""
    known = [query for query in queries if query.gold and query.gold <= names.keys()]
    notes["queries whose tool is not in the catalogue, skipped"] += len(queries) - len(known)
    return known
