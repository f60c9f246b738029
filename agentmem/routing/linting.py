"""Lint: what to repair in a catalogue before an agent relies on it.

Reads what a selection would see: definitions, the vectors of descriptions, and usage. Asks no
model and changes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.checks import shown
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.conformal import lower_bound
from agentmem.ranking.tools.guard import leave_one_out
from agentmem.ranking.tools.twins import Pairs, twins
from agentmem.routing.rules import findings
from agentmem.routing.sight import Sight
from agentmem.types import Collision, Confusion, LintIssue, LintReport

__all__ = ["lint"]

# Cosine of descriptions, centred over the catalogue, that makes a collision. On MetaTool a tool is
# beaten for 1 in 3 of its queries by one that is nearer than 0.6, for 1 in 5 by one at 0.4; from
# 0.75 on what is listed are twins (gallon_to_liter and liter_to_gallon, countWords and wordCount).
ALIKE: Final = 0.75
MOST_PAIRS: Final = 50  # more is a catalogue to be thought over, not a list to be worked off
ASKED: Final = 2_000  # examples at most, evenly taken: shares move by less than 2 points beyond
FAILING: Final = 0.5  # a tool that fails more often than not, beyond doubt, is broken

Places = NDArray[np.int64]


def lint(sight: Sight, *, namespace: str | None, config: Routing) -> LintReport:
    """Report what to repair.

    Args:
        sight: The tools and what was learnt of them.
        namespace: Only tools of this part; everywhere if None.
        config: The weights of a selection.
    """
    places = [at for at, of in enumerate(sight.namespaces) if namespace in (None, of)]
    issues = [issue for place in places for issue in findings(sight.tool(place))]
    issues += _shared_names(sight, places)
    issues += _failing(sight, places)
    issues += _unexampled(sight, places)
    confusions, recall = _confusions(sight, places, config=config)
    return LintReport(
        tools=len(places),
        collisions=tuple(_collisions(sight, np.array(places, np.int64))),
        issues=tuple(issues),
        confusions=confusions,
        expected_recall=recall,
    )


def _collisions(sight: Sight, places: Places) -> Iterator[Collision]:
    """Yield the pairs of one namespace that are too much alike, or described by the same words."""
    vectors = sight.shelf.views["description"].mean()[places]
    _, groups = np.unique([sight.namespaces[place] for place in places], return_inverse=True)
    near = twins(vectors, groups.astype(np.int64), least=ALIKE, limit=MOST_PAIRS)
    told = [_told_alike(sight.tool(int(place)).description) for place in places]
    pairs = near.joined(_same(told, groups.tolist(), vectors=vectors)).best(MOST_PAIRS)
    for first, second, similarity in zip(pairs.first, pairs.second, pairs.similarity, strict=True):
        one, other = int(places[first]), int(places[second])
        yield Collision(
            sight.names[one], sight.names[other], float(similarity), sight.namespaces[one]
        )


def _told_alike(description: str) -> str:
    """Return a description such that white space and capitals make no difference."""
    return " ".join(description.casefold().split())


def _same(told: Sequence[str], groups: Sequence[int], *, vectors: NDArray[np.float32]) -> Pairs:
    """Return pairs of one group with the same description."""
    by_text: dict[tuple[int, str], list[int]] = defaultdict(list)
    for place, text in enumerate(told):
        if text:
            by_text[groups[place], text].append(place)
    found = (pair for holders in by_text.values() for pair in combinations(holders, 2))
    pairs = np.array(list(islice(found, MOST_PAIRS)), np.int64).reshape(-1, 2)
    first, second = pairs[:, 0], pairs[:, 1]
    return Pairs(first, second, (vectors[first] * vectors[second]).sum(axis=1))


def _shared_names(sight: Sight, places: Sequence[int]) -> Iterator[LintIssue]:
    """Yield names that several namespaces use: in one request to a model they would clash."""
    homes: dict[str, list[str]] = defaultdict(list)
    for place in places:
        homes[sight.names[place]].append(sight.namespaces[place])
    for name, (first, *others) in homes.items():
        if others:
            message = (
                f"namespace {' and '.join(map(shown, others))} has a tool of this name as well, "
                "and a request to a model takes each name once. Select within one namespace, or "
                "rename it."
            )
            yield LintIssue(name, first, "name-shared", message)


def _failing(sight: Sight, places: Sequence[int]) -> Iterator[LintIssue]:
    """Yield tools whose calls fail more often than not, beyond the doubt of few reports."""
    for place in places:
        failed = round(float(sight.failed[place]))
        total = failed + round(float(sight.succeeded[place]))
        if lower_bound(failed, total) > FAILING:
            message = (
                f"about {failed:,} of its last {total:,} reported calls failed. Repair what it "
                "calls, or remove it until that is done."
            )
            yield LintIssue(sight.names[place], sight.namespaces[place], "keeps-failing", message)


def _unexampled(sight: Sight, places: Sequence[int]) -> Iterator[LintIssue]:
    """Yield one issue for all the tools without usage examples, where others have some.

    Where no tool has any, the report says so by having no expected recall.
    """
    counts = sight.observations.counts(sight.size)
    bare = [place for place in places if not counts[place]]
    if not bare or len(bare) == len(places):
        return
    first, others = bare[0], len(bare) - 1
    more = f", nor have {others:,} other{'' if others == 1 else 's'}" if others else ""
    message = (
        f"it has no usage examples{more}, while {len(places) - len(bare):,} of the tools have: "
        "those are found more easily. Give a few real queries of each with add_examples()."
    )
    yield LintIssue(sight.names[first], sight.namespaces[first], "no-examples", message)


def _confusions(
    sight: Sight, places: Sequence[int], *, config: Routing
) -> tuple[tuple[Confusion, ...], float | None]:
    """Ask usage examples, each left out in turn: which tool comes first, how often is it right?"""
    known = sight.observations
    here = np.isin(known.owners, places) & (known.labels > 0)
    sample = _evenly(np.flatnonzero(here))
    if not len(sample):
        return (), None
    ranks, winners = leave_one_out(sight.shelf.raw, known, sample=sample, config=config)
    missed = ranks > 1
    owners = known.owners[sample]
    asked = Counter(owners.tolist())
    pairs = zip(owners[missed].tolist(), winners[missed].tolist(), sample[missed], strict=True)
    examples: dict[tuple[int, int], list[str]] = defaultdict(list)
    for owner, winner, place in pairs:
        examples[owner, winner].append(known.queries[place])
    confusions = [
        Confusion(
            tool=sight.names[owner],
            mistaken_for=sight.names[winner],
            examples=len(queries),
            share=len(queries) / asked[owner],
            query=queries[0],
        )
        for (owner, winner), queries in examples.items()
    ]
    confusions.sort(key=lambda one: (-one.examples, -one.share))
    return tuple(confusions), float(1 - missed.mean())


def _evenly(places: Places) -> Places:
    """Return so many of the places that asking them takes seconds at most."""
    if len(places) <= ASKED:
        return places
    taken: Places = places[np.linspace(0, len(places) - 1, ASKED).astype(np.int64)]
    return taken
