"""The `labelled` format: selections that people marked right or wrong, asked of today's tools.

Takes a folder of recorded traces and the store that they speak of, which is read and never
written, whatever embedder wrote it. What the store was taught becomes the training part, but for
the labelled queries themselves: to be asked what one was just taught shows nothing.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentmem.evaluation.labelled import CATEGORIES, labels_of, nothing_left
from agentmem.evaluation.router.tasks import Probe, RoutingMistake, RoutingQuery, RoutingTask
from agentmem.types import Tool

if TYPE_CHECKING:
    from agentmem.storage.tool_store import ToolStore
    from agentmem.traces import Label

__all__ = ["load_labelled_tools"]

_TAUGHT: Final = "taught"  # the category of what a store was taught, which is never measured
_RECENT: Final = 2  # of `Label.texts`, what may be messages: those before recalled turns


def load_labelled_tools(path: Path, *, store: str | os.PathLike[str]) -> RoutingTask:
    """Read the labelled selections of a folder of traces, with the tools of their store.

    Args:
        path: The folder, or its file of labels.
        store: The store, in any embedding space.

    Returns:
        What people said a query needs is its gold, what they said it does not is a mistake that
        may come back, and abstentions that were right are queries that no tool fits.

    Raises:
        InvalidInput: There is no label of a selection, or nothing that a label names is left.
        StoreNotFound: There is no such folder, or no store.
        StoreError: The store could not be read.
    """
    from agentmem.routing import Roster  # here, so that other formats never load LanceDB
    from agentmem.storage.tool_store import ToolStore

    notes: Counter[str] = Counter()
    labels = labels_of(path, kind="selection", store=store, notes=notes)
    with closing(ToolStore.open(store, passport=None, create=False, read_only=True)) as stored:
        tools = Roster(stored.catalogue).tools(namespace=None, where=None)
        taught = _taught(stored, tools)
    known = {f"{tool.namespace}/{tool.name}": tool.name for tool in tools}
    test, mistakes, unknown, none_fits = _sorted(labels, known=known, notes=notes)
    probes = _probes([*test, *unknown], none_fits, notes=notes)
    if not (test or mistakes):
        raise nothing_left(len(labels), store=store, notes=notes)
    asked = {label.query for label in labels}
    train = [query for query in taught if query.text not in asked]
    notes["labelled queries that the store was taught, not learnt from"] += len(taught) - len(train)
    return RoutingTask(
        "labelled",
        _by_name(tools),
        test,
        train,
        alike=False,  # lessons are what users and developers told; labels are failures and checks
        probes=probes,
        notes=dict(+notes),
        mistakes=mistakes,
    )


def _by_name(tools: Sequence[Tool]) -> dict[str, list[Tool]]:
    found: defaultdict[str, list[Tool]] = defaultdict(list)
    for tool in tools:
        found[tool.name].append(tool)
    return dict(found)


def _taught(stored: ToolStore, tools: Sequence[Tool]) -> list[RoutingQuery]:
    """Return the queries that tools were right for, by the lessons that have effect."""
    from agentmem.routing.lessons import active
    from agentmem.storage.lesson_schema import RIGHT

    lessons = {one["id"] for one in active(stored.lessons.lessons())}
    rows = stored.lessons.observations(None)[1]
    there = {(tool.namespace, tool.name) for tool in tools}
    right: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows.select(["lesson_id", "namespace", "tool", "query", "label"]).to_pylist():
        counts = row["lesson_id"] in lessons and row["label"] == RIGHT
        if counts and (row["namespace"], row["tool"]) in there:
            right[row["query"]].add(row["tool"])
    return [RoutingQuery(text, frozenset(names), _TAUGHT) for text, names in right.items()]


def _sorted(
    labels: Sequence[Label], *, known: Mapping[str, str], notes: Counter[str]
) -> tuple[list[RoutingQuery], list[RoutingMistake], list[RoutingQuery], list[RoutingQuery]]:
    """Return queries with gold, past mistakes, wrong abstentions without gold, and right ones."""
    test: list[RoutingQuery] = []
    mistakes: list[RoutingMistake] = []
    unknown: list[RoutingQuery] = []
    none_fits: list[RoutingQuery] = []
    for label in labels:
        query = _query(label)
        gold = _names(label.relevant, known=known, notes=notes, what="right")
        wrong = _names(label.wrong, known=known, notes=notes, what="wrong")
        if gold:
            test.append(replace(query, gold=gold))
        elif label.relevant:
            notes["labels of which no right tool is left, skipped"] += 1
        elif label.verdict == "right":
            none_fits.append(replace(query, answerable=False))
        elif not label.results:
            unknown.append(query)
        if wrong:
            mistakes.append(RoutingMistake(query, wrong))
    return test, mistakes, unknown, none_fits


def _query(label: Label) -> RoutingQuery:
    called = ({"role": "tool", "name": name} for name in label.called)
    said = ({"role": "user", "content": text} for text in label.texts[:_RECENT])
    return RoutingQuery(
        label.query,
        frozenset(),
        CATEGORIES[label.verdict],
        history=(*said, *called),
        hidden=frozenset(label.exclude),
        namespace=label.namespace,
        where=_filter(label.where),
        recalled=label.texts[_RECENT:],
    )


def _filter(where: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if where is None else dict(where)


def _names(
    ids: Sequence[str], *, known: Mapping[str, str], notes: Counter[str], what: str
) -> frozenset[str]:
    """Return the names of tools that are still there, and count the others."""
    notes[f"{what} tools that are gone"] += len({one for one in ids if one not in known})
    return frozenset(known[one] for one in ids if one in known)


def _probes(
    fitting: Sequence[RoutingQuery], none_fits: Sequence[RoutingQuery], *, notes: Counter[str]
) -> list[Probe]:
    if fitting and none_fits:
        return [Probe("none fits", "labelled selections and abstentions", [*fitting, *none_fits])]
    notes["right abstentions, not measured without queries that a tool fits"] += len(none_fits)
    return []
