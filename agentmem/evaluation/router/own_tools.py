"""The `jsonl` format: your own tools and queries, in two files of one folder.

    tools.jsonl    one definition a line, in any form that `ToolRouter.register` takes
    queries.jsonl  {"query": "Will it rain in Turin?", "tools": ["get_weather"], "split": "test",
                    "category": "weather", "history": [{"role": "user", "content": "..."}],
                    "conversation": "c1"}

`tools` are the names of all tools that the query needs, `[]` where none fits. `split` ("train" or
"test", the default), `category`, `history` and `conversation` (the id that its turns share) may
be left out. Nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agentmem.errors import InvalidInput
from agentmem.evaluation.datasets import read_json_lines
from agentmem.evaluation.router.places import need
from agentmem.evaluation.router.tasks import Probe, RoutingQuery, RoutingTask
from agentmem.toolspec import read_tools

__all__ = ["load_own_tools"]

_SPLITS: Final = ("train", "test")
_NO_CATEGORY: Final = "uncategorised"


def load_own_tools(path: Path) -> RoutingTask:
    """Read tools and queries in agentmem's own form.

    Args:
        path: The folder with `tools.jsonl` and `queries.jsonl`, or one of these files.

    Raises:
        InvalidInput: A query names a tool that is not there, or has no text.
        DuplicateTool: Two definitions share a name.
    """
    definitions = [row for _, row in read_json_lines(need(path, ["tools.jsonl"]))]
    names = [tool.name for tool in read_tools(definitions)]
    tools = {name: [row] for name, row in zip(names, definitions, strict=True)}
    file = need(path, ["queries.jsonl"])
    asked: dict[str, list[RoutingQuery]] = {split: [] for split in _SPLITS}
    for number, row in read_json_lines(file):
        query, split = _query(row, names=tools, where=f"line {number} of {file}")
        asked[split].append(query)
    test, train = ([query for query in asked[split] if query.gold] for split in ("test", "train"))
    unanswerable = [query for query in asked["test"] if not query.gold]
    unused = len(asked["train"]) - len(train)
    return RoutingTask(
        "jsonl",
        tools,
        test,
        train,
        probes=[_probe(test, unanswerable=unanswerable)] if unanswerable else [],
        notes={"train queries that no tool fits, not used": unused} if unused else {},
    )


def _probe(test: list[RoutingQuery], *, unanswerable: list[RoutingQuery]) -> Probe:
    return Probe("none fits", "your test queries with and without a tool", [*test, *unanswerable])


def _query(
    row: Mapping[str, Any], *, names: Mapping[str, object], where: str
) -> tuple[RoutingQuery, str]:
    needed, split = row["tools"], row.get("split", "test")
    gold = frozenset([needed] if isinstance(needed, str) else needed)
    if gold - names.keys():
        raise InvalidInput(
            f"{where}: query {row['query']!r} names {sorted(gold - names.keys())}, which no line "
            "of tools.jsonl defines; write the tools' names as they are there, or [] for none"
        )
    if split not in _SPLITS:
        raise InvalidInput(f"{where}: split is {split!r}; write 'train' or 'test'")
    if not isinstance(row["query"], str) or not row["query"].strip():
        raise InvalidInput(f"{where}: the query has no text")
    query = RoutingQuery(
        row["query"],
        gold,
        str(row.get("category", _NO_CATEGORY)),
        tuple(row.get("history") or ()),
        answerable=bool(gold),
        conversation=None if (told := row.get("conversation")) is None else str(told),
    )
    return query, split
