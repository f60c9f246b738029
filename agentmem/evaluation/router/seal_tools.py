"""The Seal-Tools format: 4,076 tools with typed arguments, queries that need one to six of them.

Wu et al., "Seal-Tools" (2024), github.com/fairyshine/Seal-Tools. Takes the folder with
`tool.jsonl`, gives a RoutingTask; each file of queries is a category.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from agentmem.evaluation.datasets import read_json_lines
from agentmem.evaluation.router.places import find, need
from agentmem.evaluation.router.tasks import (
    Definition,
    RoutingQuery,
    RoutingTask,
    drop_unknown_gold,
)

__all__ = ["load_seal_tools"]

_SPLITS: Final = ("dev", "test_in_domain")  # of out-of-domain queries the tools lie elsewhere
_TYPES: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


def load_seal_tools(path: Path) -> RoutingTask:
    """Read the catalogue and every file of queries that is there.

    Args:
        path: The folder with `tool.jsonl` and `dev.jsonl` or `test_in_domain.jsonl`.
    """
    notes: Counter[str] = Counter()
    rows = [row for _, row in read_json_lines(need(path, ["tool.jsonl"]))]
    tools: dict[str, Sequence[Definition]] = {row["api_name"]: [_definition(row)] for row in rows}
    need(path, [f"{split}.jsonl" for split in _SPLITS])
    queries = [
        _query(row, category=split)
        for split in _SPLITS
        if (file := find(path, [f"{split}.jsonl"]))
        for _, row in read_json_lines(file)
    ]
    test = drop_unknown_gold(queries, names=tools, notes=notes)
    return RoutingTask("seal-tools", tools, test, notes=dict(+notes))


def _definition(row: Mapping[str, Any]) -> Definition:
    properties = {
        name: {**argument, "type": _TYPES.get(argument["type"], argument["type"])}
        for name, argument in row["parameters"].items()
    }
    return {
        "name": row["api_name"],
        "description": row["api_description"],
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": list(row.get("required") or ()),
        },
    }


def _query(row: Mapping[str, Any], *, category: str) -> RoutingQuery:
    return RoutingQuery(row["query"], frozenset(call["api"] for call in row["calling"]), category)
