"""The MetaTool format: user queries to 199 plugins, each with one right tool or two.

Huang et al., "MetaTool Benchmark" (ICLR 2024), github.com/HowieHwong/MetaTool. Takes the folder
`dataset`, or one of its files, gives a RoutingTask. Subtask 3 (the right tool is not shown) and
task 1 (does the query need a tool at all) become probes where their files are there.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agentmem.errors import InvalidInput
from agentmem.evaluation.datasets import read_json, read_text
from agentmem.evaluation.router.places import find, need
from agentmem.evaluation.router.tasks import (
    Definition,
    Probe,
    RoutingQuery,
    RoutingTask,
    drop_unknown_gold,
)

__all__ = ["load_metatool", "load_metatool_multi"]

_TOOLS: Final = ("plugin_des.json",)
_SINGLE: Final = ("all_clean_data.csv", "queries.csv", "queries-dev.csv")
_MULTI: Final = ("multi_tool_query_golden.json", "multi.json", "multi-dev.json")
_NEEDS_TOOL: Final = ("Task1.json", "task1-needs-tool.json", "task1-needs-tool-dev.json")
_REMOVED: Final = (
    *("Task2-Subtask3.json", "subtask3-tool-removed.json", "subtask3-tool-removed-dev.json"),
)
_SHOWN: Final = re.compile(r"\d+\. tool name: (.*?), tool description:")
_LABELS: Final = {"positive": True, "negative": False}


def load_metatool(path: Path) -> RoutingTask:
    """Read the single-tool queries, all of them as test queries, with both probes.

    Args:
        path: The folder with `plugin_des.json` and `all_clean_data.csv`, or one of these files.
    """
    notes: Counter[str] = Counter()
    tools = _tools(path)
    queries = _single(path, tools=tools, notes=notes)
    found = [_needs_tool(path), _tool_removed(path, tools=tools, notes=notes)]
    probes = [probe for probe in found if probe is not None]
    return RoutingTask("metatool", tools, queries, probes=probes, notes=dict(+notes))


def load_metatool_multi(path: Path) -> RoutingTask:
    """Read the two-tool queries as test queries, and the single-tool queries to learn from.

    Args:
        path: The folder with `plugin_des.json`, `multi_tool_query_golden.json` and, where it is
            there, `all_clean_data.csv`; or one of these files.
    """
    notes: Counter[str] = Counter()
    tools = _tools(path)
    rows = read_json(need(path, _MULTI))
    queries = [RoutingQuery(row["query"], frozenset(row["tool"]), "two tools") for row in rows]
    test = drop_unknown_gold(queries, names=tools, notes=notes)
    asked = {query.text for query in test}
    single = _single(path, tools=tools, notes=notes) if find(path, _SINGLE) else []
    train = [query for query in single if query.text not in asked]
    return RoutingTask("metatool-multi", tools, test, train, alike=False, notes=dict(+notes))


def _tools(path: Path) -> dict[str, list[Definition]]:
    described = read_json(need(path, _TOOLS))
    if not isinstance(described, dict):
        raise InvalidInput(f"{need(path, _TOOLS)} is no JSON object of names and descriptions")
    return {name: [{"name": name, "description": text}] for name, text in described.items()}


def _single(path: Path, *, tools: Mapping[str, object], notes: Counter[str]) -> list[RoutingQuery]:
    rows = list(csv.DictReader(io.StringIO(read_text(need(path, _SINGLE)))))
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(row["Query"], row["Tool"])
    notes["queries that come again, skipped"] += len(rows) - len(first)
    queries = [RoutingQuery(text, frozenset([tool]), "single tool") for text, tool in first.items()]
    return drop_unknown_gold(queries, names=tools, notes=notes)


def _needs_tool(path: Path) -> Probe | None:
    file = find(path, _NEEDS_TOOL)
    if file is None:
        return None
    queries = [_judged(row) for row in read_json(file)]
    about = "queries that need a tool, and queries that a language model answers by itself (task 1)"
    return Probe("needs a tool", about, queries)


def _judged(row: Mapping[str, Any]) -> RoutingQuery:
    answerable = _LABELS[row["label"]]
    gold = frozenset([row["tool"]] if answerable and row.get("tool") else [])
    return RoutingQuery(row["query"], gold, "needs a tool", answerable=answerable)


def _tool_removed(path: Path, *, tools: Mapping[str, object], notes: Counter[str]) -> Probe | None:
    file = find(path, _REMOVED)
    if file is None:
        return None
    queries: list[RoutingQuery] = []
    for row in read_json(file):
        hidden = row.get("hidden_tool") or row["tool"]
        shown = frozenset(_SHOWN.findall(row.get("prompt") or row["action_prompt"]))
        if not shown or not {hidden, *shown} <= tools.keys():
            notes["rows of subtask 3 that name other tools, skipped"] += 1
            continue
        queries += _with_and_without(row["query"], hidden=hidden, shown=shown)
    about = "ten tools shown with the right one among them, and without it (subtask 3)"
    return Probe("right tool not shown", about, queries)


def _with_and_without(
    text: str, *, hidden: str, shown: frozenset[str]
) -> tuple[RoutingQuery, RoutingQuery]:
    kind, gold = "subtask 3", frozenset([hidden])
    return (
        RoutingQuery(text, gold, kind, shown=shown | gold),
        RoutingQuery(text, frozenset(), kind, shown=shown - gold, answerable=False),
    )
