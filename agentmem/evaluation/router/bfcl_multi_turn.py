"""The BFCL v4 multi-turn format: what to call next in a conversation that calls functions.

Takes the folder with `BFCL_v4_multi_turn_base.json`, `multi_turn_func_doc/` and
`possible_answer/`, gives a RoutingTask over all documented functions. Every turn is a query with
what was said and called before as its history. `miss_func`, in which a needed function is absent
until a later turn reveals it, becomes two probes: of requests that need nothing else, and of those
that other functions serve in part. The same turns can be asked over a catalogue of an agent's
size: with the functions of the single-turn categories, that no turn needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from agentmem.errors import InvalidInput
from agentmem.evaluation.datasets import read_json_lines
from agentmem.evaluation.router.bfcl import pooled, written_functions
from agentmem.evaluation.router.places import find, need
from agentmem.evaluation.router.tasks import (
    Definition,
    Probe,
    RoutingQuery,
    RoutingTask,
    drop_unknown_gold,
)

__all__ = ["load_bfcl_multi_turn", "load_bfcl_multi_turn_pooled"]

_BASE: Final = "BFCL_v4_multi_turn_base.json"
_MISSING: Final = "BFCL_v4_multi_turn_miss_func.json"
_NOTHING_ELSE: Final = Probe(
    "missing function",
    "requests before all the functions they call are there, and after (miss_func)",
    (),
)
_IN_PART: Final = Probe(
    "function missing in part",
    "requests before one of the functions they call is there, and after; to abstain would be wrong",
    (),
)
_Message = Mapping[str, Any]


def load_bfcl_multi_turn(path: Path) -> RoutingTask:
    """Read the turns of `multi_turn_base`, and the missing functions where their file is there.

    Args:
        path: The folder with `BFCL_v4_multi_turn_base.json`, or that file.
    """
    return _load(path, name="bfcl-multi-turn", others=[])


def load_bfcl_multi_turn_pooled(path: Path) -> RoutingTask:
    """Read the same turns over a larger catalogue, as agents have hundreds of tools.

    Args:
        path: The folder with `BFCL_v4_multi_turn_base.json` and the single-turn categories that
            were written for the benchmark, or one of these files.
    """
    return _load(path, name="bfcl-multi-turn-pooled", others=written_functions(path))


def _load(path: Path, *, name: str, others: Sequence[Definition]) -> RoutingTask:
    notes: Counter[str] = Counter()
    base = need(path, [_BASE])
    tools = pooled([*_documented(base.parent / "multi_turn_func_doc"), *others])
    asked = [query for row in _rows(base) for query in _turns(row, notes=notes)]
    test = drop_unknown_gold(asked, names=tools, notes=notes)
    missing = find(base.parent, [_MISSING])
    probes = _missing(missing, names=tools) if missing else []
    return RoutingTask(name, tools, test, probes=probes, notes=dict(+notes))


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
            number = _conversation(row)
            yield RoutingQuery(text, frozenset(called), kind, before, conversation=number)
        else:
            notes["turns that call nothing, skipped"] += 1
        history += [*said, *_called(called)]


def _called(names: Sequence[str]) -> list[_Message]:
    """Return the calls of a turn as a message; their arguments and results are not asked of it."""
    if not names:
        return []
    return [{"role": "assistant", "content": "", "tool_calls": [{"name": name} for name in names]}]


def _missing(file: Path, *, names: Mapping[str, object]) -> list[Probe]:
    alone: list[RoutingQuery] = []
    in_part: list[RoutingQuery] = []
    for row in _rows(file):
        for revealed, missed in row["missed_function"].items():
            gold = frozenset(missed).intersection(names)
            if gold:
                kind = alone if gold.issuperset(row["calls"][int(revealed)]) else in_part
                kind += _before_and_after(row, revealed=int(revealed), gold=gold)
    found = (replace(_NOTHING_ELSE, queries=alone), replace(_IN_PART, queries=in_part))
    return [probe for probe in found if probe.queries]


def _conversation(row: Mapping[str, Any]) -> str:
    """Return the number of a conversation, the same in all variants of it."""
    return str(row["id"]).rsplit("_", 1)[-1]


def _before_and_after(
    row: Mapping[str, Any], *, revealed: int, gold: frozenset[str]
) -> Iterator[RoutingQuery]:
    """Give the request that waits for a function: without it, and with it."""
    history: list[_Message] = []
    for said, called in zip(row["question"][: revealed - 1], row["calls"], strict=False):
        history += [*said, *_called(called)]
    request = row["question"][revealed - 1][-1]["content"]
    number = _conversation(row)
    there = RoutingQuery(request, gold, "missing function", tuple(history), conversation=number)
    yield there
    yield replace(there, gold=frozenset(), hidden=gold, answerable=False)
