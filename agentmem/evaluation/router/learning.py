"""What a router is taught before it is asked: so many usage examples a tool, some of them wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from agentmem.errors import InvalidInput
from agentmem.evaluation.router.tasks import RoutingQuery

if TYPE_CHECKING:
    from agentmem.router import ToolRouter

__all__ = [
    "CURVE",
    "TAUGHT_BY",
    "Amount",
    "Lessons",
    "Teaching",
    "amounts_of",
    "apart",
    "examples_of",
    "halves",
    "teach",
]

Amount: TypeAlias = int | Literal["all"]
"""How many usage examples of each tool a router learns from."""

CURVE: Final[tuple[Amount, ...]] = (0, 5, 20, 60, "all")  # where published curves have their points
TAUGHT_BY: Final = "agentmem eval"  # who gave the lessons, in the router's history


@dataclass(frozen=True, slots=True)
class Teaching:
    """What one router learnt.

    Attributes:
        examples: Usage examples given, or turns of conversations fed back.
        wrong: How many of them name another tool than the right one.
        applied: Whether the router's guard let the lesson take effect.
        reason: Why, or why not.
    """

    examples: int
    wrong: int
    applied: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Lessons:
    """Usage examples by tool, and how many of them are wrong on purpose."""

    examples: Mapping[str, Sequence[str]]
    wrong: int


def amounts_of(
    examples: Sequence[Amount] | None, *, train: Sequence[RoutingQuery]
) -> tuple[Amount, ...]:
    """Return the amounts to measure at; by default none, and all where there are any.

    Raises:
        InvalidInput: An amount is negative or given twice, or there is nothing to learn from.
    """
    if examples is None:
        return (0, "all") if train else (0,)
    if not examples or len(set(examples)) < len(examples):
        raise InvalidInput(f"examples must name each amount once, such as (0, 5); got {examples!r}")
    if any(one != "all" and one < 0 for one in examples):
        raise InvalidInput(f"examples are numbers from 0 or 'all'; got {examples!r}")
    if not train and any(examples):
        raise InvalidInput("this data set has no training queries to learn from; ask with 0 only")
    return tuple(examples)


def examples_of(
    train: Sequence[RoutingQuery],
    *,
    amount: Amount,
    noise: float,
    names: Sequence[str],
    seed: int,
) -> Lessons:
    """Take examples for each tool from training queries, in their order.

    Args:
        train: Each with gold; a query that needs several tools is an example of each.
        amount: At most so many of a tool.
        noise: Chance that an example is given to another tool, any of them alike.
        names: All tools.
        seed: The same seed mislabels the same examples.
    """
    generator = np.random.default_rng(seed)
    taken: defaultdict[str, list[str]] = defaultdict(list)
    given: defaultdict[str, list[str]] = defaultdict(list)
    wrong = 0
    for query in train:
        for name in sorted(query.gold):
            if amount != "all" and len(taken[name]) >= amount:
                continue
            taken[name].append(query.text)
            mistaken = len(names) > 1 and generator.random() < noise
            wrong += mistaken
            given[_other(name, names, generator) if mistaken else name].append(query.text)
    return Lessons(dict(given), wrong)


def _other(name: str, names: Sequence[str], generator: np.random.Generator) -> str:
    others = [one for one in names if one != name]
    return others[generator.integers(len(others))]


def halves(
    queries: Sequence[RoutingQuery],
) -> tuple[list[RoutingQuery], list[RoutingQuery]]:
    """Split queries in two, those of each set of tools alternately."""
    seen: defaultdict[frozenset[str], int] = defaultdict(int)
    parts: tuple[list[RoutingQuery], list[RoutingQuery]] = ([], [])
    for query in queries:
        parts[seen[query.gold] % 2].append(query)
        seen[query.gold] += 1
    return parts


def apart(
    queries: Sequence[RoutingQuery], asked: Sequence[RoutingQuery]
) -> list[tuple[list[RoutingQuery], list[int]]]:
    """Split conversations in two: what the one half teaches, and the places of what it is asked.

    No conversation teaches and is asked at once, nor do two variants of it.

    Args:
        queries: To learn from.
        asked: Queries of the same conversations, or of others; those of none are never asked.
    """
    ids = sorted({query.conversation for query in queries if query.conversation is not None})
    first = set(ids[::2])
    return [
        (
            [query for query in queries if (query.conversation in first) is taught],
            [
                place
                for place, query in enumerate(asked)
                if query.conversation is not None and (query.conversation in first) is not taught
            ],
        )
        for taught in (True, False)
    ]


def teach(
    router: ToolRouter, lessons: Lessons, *, places: Mapping[str, AbstractSet[str]]
) -> Teaching:
    """Give a router usage examples, under its own guard, in one lesson a namespace.

    Args:
        router: With the tools.
        lessons: The examples.
        places: The names of the tools of each namespace that is taught.
    """
    total = sum(map(len, lessons.examples.values()))
    if not total:
        return Teaching(0, 0, applied=False, reason="nothing to learn")
    given = []
    for namespace, names in places.items():
        examples = {name: one for name, one in lessons.examples.items() if name in names}
        if examples:
            given.append(router.add_examples(examples, namespace=namespace, by=TAUGHT_BY))
    reasons = dict.fromkeys(lesson.reason for lesson in given)
    applied = all(lesson.applied for lesson in given)
    return Teaching(total, lessons.wrong, applied, "; ".join(reasons))
