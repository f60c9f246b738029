"""The BFCL v4 single-turn format: function calls, with every function pooled into one catalogue.

Berkeley Function-Calling Leaderboard (package bfcl-eval). Takes the folder with the files
`BFCL_v4_*.json` and `possible_answer/`, gives a RoutingTask; each file is a category. Functions
of one name and different definitions are all in the catalogue, and each of them counts as a hit.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from agentmem.evaluation.datasets import read_json_lines
from agentmem.evaluation.router.places import need
from agentmem.evaluation.router.tasks import (
    Definition,
    RoutingQuery,
    RoutingTask,
    drop_unknown_gold,
)

__all__ = ["load_bfcl", "load_bfcl_live", "pooled", "written_functions"]

_WRITTEN: Final = ("simple_python", "multiple", "parallel", "parallel_multiple")
_LIVE: Final = ("live_simple", "live_multiple")


def load_bfcl(path: Path) -> RoutingTask:
    """Read the categories that were written for the benchmark.

    Args:
        path: The folder with `BFCL_v4_simple_python.json` and its siblings, or one of them.
    """
    return _load(path, name="bfcl", categories=_WRITTEN)


def load_bfcl_live(path: Path) -> RoutingTask:
    """Read the categories that users contributed: many near-duplicates of the same functions."""
    return _load(path, name="bfcl-live", categories=_LIVE)


def written_functions(path: Path) -> list[Definition]:
    """Return the functions of all categories that `load_bfcl` reads, in their order.

    Args:
        path: See `load_bfcl`.
    """
    files = [need(path, [f"BFCL_v4_{category}.json"]) for category in _WRITTEN]
    return [one for file in files for _, row in read_json_lines(file) for one in row["function"]]


def pooled(definitions: Sequence[Definition]) -> dict[str, list[Definition]]:
    """Return the distinct definitions by name, in the order they come first."""
    found: defaultdict[str, dict[str, Definition]] = defaultdict(dict)
    for definition in definitions:
        found[definition["name"]].setdefault(json.dumps(definition, sort_keys=True), definition)
    return {name: list(variants.values()) for name, variants in found.items()}


def _load(path: Path, *, name: str, categories: Sequence[str]) -> RoutingTask:
    notes: Counter[str] = Counter()
    definitions: list[Definition] = []
    queries: list[RoutingQuery] = []
    for category in categories:
        file = need(path, [f"BFCL_v4_{category}.json"])
        answers = {
            row["id"]: row["ground_truth"]
            for _, row in read_json_lines(file.parent / "possible_answer" / file.name)
        }
        for _, row in read_json_lines(file):
            definitions += row["function"]
            queries.append(_query(row, calls=answers[row["id"]], category=category))
    tools = pooled(definitions)
    test = drop_unknown_gold(queries, names=tools, notes=notes)
    return RoutingTask(name, tools, test, notes=dict(+notes))


def _query(
    row: Mapping[str, Any], *, calls: Sequence[Mapping[str, Any]], category: str
) -> RoutingQuery:
    said = [message for message in row["question"][0] if message["role"] == "user"]
    gold = frozenset(function for call in calls for function in call)
    return RoutingQuery(said[-1]["content"], gold, category)
