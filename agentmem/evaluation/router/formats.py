"""The formats that an evaluation of a router can read, by name, and the one door to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from agentmem.errors import InvalidInput
from agentmem.evaluation.formats import read_expecting, reader
from agentmem.evaluation.labelled import EXPECTED
from agentmem.evaluation.router.bfcl import load_bfcl, load_bfcl_live
from agentmem.evaluation.router.bfcl_multi_turn import (
    load_bfcl_multi_turn,
    load_bfcl_multi_turn_pooled,
)
from agentmem.evaluation.router.labelled import load_labelled_tools
from agentmem.evaluation.router.metatool import load_metatool, load_metatool_multi
from agentmem.evaluation.router.own_tools import load_own_tools
from agentmem.evaluation.router.seal_tools import load_seal_tools
from agentmem.evaluation.router.tasks import RoutingTask, split_by_tool

__all__ = ["DEFAULT_SEED", "ROUTING_FORMATS", "RoutingFormat", "load_routing"]

DEFAULT_SEED: Final = 7  # any number will do, as long as everyone's split is the same


@dataclass(frozen=True, slots=True)
class RoutingFormat:
    """How one source is read.

    Attributes:
        read: From a path to a task; with the keyword `store` where it is about a store.
        expects: The publisher's files, for people.
        split: Whether the publisher has no training part, so that one is drawn by tool.
        of_store: Whether it says nothing without the store that it is about.
    """

    read: Callable[..., RoutingTask]
    expects: str
    split: bool = False
    of_store: bool = False


_BFCL: Final = (
    "the data folder of the Berkeley Function-Calling Leaderboard v4 (package bfcl-eval): "
    "possible_answer/ and "
)
ROUTING_FORMATS: Final[Mapping[str, RoutingFormat]] = MappingProxyType(
    {
        "metatool": RoutingFormat(
            load_metatool,
            "MetaTool's folder dataset (github.com/HowieHwong/MetaTool): plugin_des.json and "
            "data/all_clean_data.csv, optionally tmp_dataset/Task1.json and Task2-Subtask3.json",
            split=True,
        ),
        "metatool-multi": RoutingFormat(
            load_metatool_multi,
            "MetaTool's folder dataset: plugin_des.json and data/multi_tool_query_golden.json, "
            "optionally data/all_clean_data.csv to learn from",
        ),
        "seal-tools": RoutingFormat(
            load_seal_tools,
            "Seal-Tools' folder Seal-Tools_Dataset (github.com/fairyshine/Seal-Tools): tool.jsonl "
            "with dev.jsonl, test_in_domain.jsonl or both",
        ),
        "bfcl": RoutingFormat(
            load_bfcl,
            f"{_BFCL}BFCL_v4_simple_python.json, _multiple, _parallel and _parallel_multiple",
        ),
        "bfcl-live": RoutingFormat(
            load_bfcl_live, f"{_BFCL}BFCL_v4_live_simple.json and BFCL_v4_live_multiple.json"
        ),
        "bfcl-multi-turn": RoutingFormat(
            load_bfcl_multi_turn,
            f"{_BFCL}BFCL_v4_multi_turn_base.json, multi_turn_func_doc/, and optionally "
            "BFCL_v4_multi_turn_miss_func.json",
        ),
        "bfcl-multi-turn-pooled": RoutingFormat(
            load_bfcl_multi_turn_pooled,
            f"{_BFCL}BFCL_v4_multi_turn_base.json, multi_turn_func_doc/, "
            "BFCL_v4_simple_python.json, _multiple, _parallel and _parallel_multiple, and "
            "optionally BFCL_v4_multi_turn_miss_func.json",
        ),
        "jsonl": RoutingFormat(
            load_own_tools,
            "a folder with tools.jsonl (one definition a line) and queries.jsonl (`query`, `tools` "
            "and optionally `split`, `category`, `history`, `conversation`)",
        ),
        "labelled": RoutingFormat(load_labelled_tools, EXPECTED, of_store=True),
    }
)


def load_routing(
    name: str,
    path: str | Path,
    *,
    seed: int = DEFAULT_SEED,
    store: str | os.PathLike[str] | None = None,
) -> RoutingTask:
    """Read tools and queries from the publisher's own files.

    Args:
        name: One of `ROUTING_FORMATS`.
        path: The folder, or one of its files; see `RoutingFormat.expects`.
        seed: Draws the training part of a data set that has none.
        store: The store that `labelled` selections speak of, which is only read.

    Returns:
        The task, with at least one test query or past mistake.

    Raises:
        InvalidInput: The name is unknown, the path does not hold that format, or a store is
            missing or given for nothing.
        StoreNotFound: There is no store.
    """
    if name not in ROUTING_FORMATS:
        known = ", ".join(ROUTING_FORMATS)
        raise InvalidInput(f"{name!r} is no known data set; choose one of {known}")
    chosen = ROUTING_FORMATS[name]
    expected = f"Expected for {name!r}: {chosen.expects}."
    read = reader(chosen.read, of_store=chosen.of_store, store=store, name=name)
    task = read_expecting(read, Path(path), expected=expected)
    task = split_by_tool(task, seed=seed) if chosen.split else task
    if not (task.test or task.mistakes):
        raise InvalidInput(f"{path} holds no test query with a known tool. {expected}")
    return task
