"""The BFCL v4 multi-turn format: what to call next in a conversation that calls functions.

Takes the folder with `BFCL_v4_multi_turn_base.json`, `multi_turn_func_doc/` and
`possible_answer/`, gives a RoutingTask over all documented functions. Every turn is a query with
what was said and called before as its history. `miss_func`, in which a needed function is absent
until a later turn reveals it, becomes a probe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from agentmem.errors import InvalidInput
from agentmem.evaluation.datasets import read_json_lines
from agentmem.evaluation.router.bfcl import pooled
from agentmem.evaluation.router.places import find, need
from agentmem.evaluation.router.tasks import (
    Definition,
    Probe,
    RoutingQuery,
    RoutingTask,
    drop_unknown_gold,
)

__all__ = ["load_bfcl_multi_turn"]

_BASE: Final = "BFCL_v4_multi_turn_base.json"
_MISSING: Final = "BFCL_v4_multi_turn_miss_func.json"
_Message = Mapping[str, Any]


def load_bfcl_multi_turn(path: Path) -> RoutingTask:
    """Read the turns of `multi_turn_base`, and the missing functions where their file is there.

    Args:
        path: The folder with `BFCL_v4_multi_turn_base.json`, or that file.
    """
    notes: Counter[str] = Counter()
    base = need(path, [_BASE])
    tools = pooled(_documented(base.parent / "multi_turn_func_doc"))
    asked = [query for row in _rows(base) for query in _turns(row, notes=notes)]
    test = drop_unknown_gold(asked, names=tools, notes=notes)
    missing = find(base.parent, [_MISSING])
    probes = [_missing(missing, names=tools)] if missing else []
    return RoutingTask("bfcl-multi-turn", tools, test, probes=probes, notes=dict(+notes))


def _documented(folder: Path) -> list[Definition]:
    files = sorted(folder.glob("*.json"))
    if not files:
        raise InvalidInput(f"{folder} holds no *.json files of documented functions")
    return [row for file in files for _, row in read_json_lines(file)]


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    answers = file.parent / "possible_answer" / file.name
    calls = {row["id"]: row["ground_truth"] for _, row in read_json_lines(answers)}
    for _, row in read_json_lines(file):
        yield {**row, "calls": [list(map(_name, turn)) for turn in calls[row["id"]]]}


def _name(call: str) -> str:
    return call.split("(", 1)[0].strip()


def _turns(row: Mapping[str, Any], *, notes: Counter[str]) -> Iterator[RoutingQuery]:
    history: list[_Message] = []
    for said, called in zip(row["question"], row["calls"], strict=True):
        if said and called:
            kind = "first turn" if not history else "later turn"
            text, before = said[-1]["content"], tuple(history)
            yield RoutingQuery(text, frozenset(called), kind, before, conversation=row["id"])
        else:
            notes["turns that call nothing, skipped"] += 1
        history += [*said, *_called(called)]


def _called(names: Sequence[str]) -> list[_Message]:
    """Return the calls of a turn as a message; their arguments and results are not asked of it."""
    if not names:
        return []
    return [{"role": "assistant", "content": "", "tool_calls": [{"name": name} for name in names]}]


def _missing(file: Path, *, names: Mapping[str, object]) -> Probe:
    queries: list[RoutingQuery] = []
    for row in _rows(file):
        for revealed, missed in row["missed_function"].items():
            gold = frozenset(missed).intersection(names)
            if gold:
                queries += _before_and_after(row, revealed=int(revealed), gold=gold)
    about = "the request before the function it needs is there, and after (miss_func)"
    return Probe("missing function", about, queries)


def _before_and_after(
    row: Mapping[str, Any], *, revealed: int, gold: frozenset[str]
) -> Iterator[RoutingQuery]:
    """Give the request that waits for a function: without it, and with it."""
    history: list[_Message] = []
    for said, called in zip(row["question"][: revealed - 1], row["calls"], strict=False):
        history += [*said, *_called(called)]
    request = row["question"][revealed - 1][-1]["content"]
    there = RoutingQuery(request, gold, "missing function", tuple(history), conversation=row["id"])
    yield there
    yield replace(there, gold=frozenset(), hidden=gold, answerable=False)
