"""Tests of the loaders of tools and queries: on tiny files of each format, and on the real data."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agentmem.errors import DuplicateTool, InvalidInput
from agentmem.evaluation.router import ROUTING_FORMATS, RoutingTask, load_routing


def _set(*names: str) -> frozenset[str]:
    return frozenset(names)


def _json(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def _lines(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# MetaTool

_PLUGINS = {"weather": "Forecasts.", "calculator": "Sums.", "music": "Songs.", "gifs": "Gifs."}


def _metatool(folder: Path, *, queries: list[tuple[str, str]], name: str, below: str = "") -> Path:
    _json(folder / "plugin_des.json", _PLUGINS)
    (folder / below).mkdir(exist_ok=True)
    with (folder / below / name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("Query", "Tool"), *queries])
    return folder


def _queries(tool: str, count: int) -> list[tuple[str, str]]:
    return [(f'{tool}, "number" {place}\nplease', tool) for place in range(count)]


@pytest.mark.parametrize(
    ("name", "below", "given"),
    [
        ("queries-dev.csv", "", ""),
        ("all_clean_data.csv", "data", ""),
        ("all_clean_data.csv", "data", "data/all_clean_data.csv"),
        ("queries-dev.csv", "", "plugin_des.json"),
    ],
)
def test_metatool_is_found_as_published_and_as_a_part(
    tmp_path: Path, name: str, below: str, given: str
) -> None:
    _metatool(tmp_path, queries=_queries("weather", 4), name=name, below=below)
    task = load_routing("metatool", tmp_path / given)
    assert len(task.test) + len(task.train) == 4
    assert task.tools["gifs"] == [{"name": "gifs", "description": "Gifs."}]


def test_metatool_is_split_by_tool_the_same_way_each_time(tmp_path: Path) -> None:
    queries = [*_queries("weather", 10), *_queries("music", 20)]
    _metatool(tmp_path, queries=queries, name="queries.csv")
    task = load_routing("metatool", tmp_path)
    counts = Counter(min(query.gold) for query in task.train)
    assert counts == {"weather": 7, "music": 14}
    assert len(task.test) == 9
    assert not {query.text for query in task.test} & {query.text for query in task.train}
    assert load_routing("metatool", tmp_path) == task
    assert load_routing("metatool", tmp_path, seed=8).test != task.test


def test_queries_that_come_again_or_name_no_tool_are_counted(tmp_path: Path) -> None:
    queries = [*_queries("music", 3), *_queries("music", 1), ("Lost?", "gone")]
    _metatool(tmp_path, queries=queries, name="queries.csv")
    assert load_routing("metatool", tmp_path).notes == {
        "queries that come again, skipped": 1,
        "queries whose tool is not in the catalogue, skipped": 1,
    }


@pytest.mark.parametrize(
    ("name", "hidden", "prompt"),
    [
        ("Task2-Subtask3.json", "tool", "action_prompt"),
        ("subtask3-tool-removed-dev.json", "hidden_tool", "prompt"),
    ],
)
def test_the_right_tool_is_shown_in_one_half_of_the_probe(
    tmp_path: Path, name: str, hidden: str, prompt: str
) -> None:
    _metatool(tmp_path, queries=_queries("weather", 4), name="queries.csv")
    shown = "1. tool name: music, tool description: Songs.\n2. tool name: gifs, tool description: x"
    row = {"query": "Will it rain?", hidden: "weather", prompt: shown}
    _json(tmp_path / "tmp_dataset" / name, [row, {**row, hidden: "unheard of"}])
    task = load_routing("metatool", tmp_path)
    (probe,) = task.probes
    with_it, without = probe.queries
    assert (with_it.shown, with_it.gold) == (_set("music", "gifs", "weather"), _set("weather"))
    assert (without.shown, without.answerable) == (_set("music", "gifs"), False)
    assert task.notes == {"rows of subtask 3 that name other tools, skipped": 1}


def test_queries_that_need_no_tool_are_unanswerable(tmp_path: Path) -> None:
    _metatool(tmp_path, queries=_queries("weather", 4), name="queries.csv")
    rows = [
        {"query": "Will it rain?", "label": "positive", "tool": "weather"},
        {"query": "Any gif?", "label": "positive"},
        {"query": "Write an essay.", "label": "negative"},
    ]
    _json(tmp_path / "task1-needs-tool-dev.json", rows)
    (probe,) = load_routing("metatool", tmp_path).probes
    assert [query.answerable for query in probe.queries] == [True, True, False]
    assert [len(query.gold) for query in probe.queries] == [1, 0, 0]


def test_two_tool_queries_are_learnt_from_single_tool_queries(tmp_path: Path) -> None:
    _metatool(tmp_path, queries=_queries("weather", 4), name="queries-dev.csv")
    rows = [{"query": "Rain songs", "tool": ["weather", "music"]}]
    _json(tmp_path / "multi-dev.json", rows)
    task = load_routing("metatool-multi", tmp_path)
    assert [query.gold for query in task.test] == [_set("weather", "music")]
    assert len(task.train) == 4
    assert not task.alike


# Seal-Tools


def test_seal_tools_arguments_become_a_json_schema(tmp_path: Path) -> None:
    tool = {
        "api_name": "getNurses",
        "api_description": "Count nurses",
        "field": "Health",
        "parameters": {"year": {"type": "int", "description": "The year"}},
        "required": ["year"],
        "responses": {},
    }
    _lines(tmp_path / "tool.jsonl", tool)
    calls = [{"api": "getNurses", "parameters": {}}, {"api": "getNurses", "parameters": {}}]
    _lines(tmp_path / "dev.jsonl", {"id": "1", "query": "How many nurses?", "calling": calls})
    task = load_routing("seal-tools", tmp_path)
    (definition,) = task.tools["getNurses"]
    assert isinstance(definition, Mapping)
    assert definition["parameters"] == {
        "type": "object",
        "properties": {"year": {"type": "integer", "description": "The year"}},
        "required": ["year"],
    }
    assert [(query.gold, query.category) for query in task.test] == [(_set("getNurses"), "dev")]


# BFCL

_SUM = {"name": "math.sum", "description": "Adds.", "parameters": {"type": "dict"}}
_SUM_AGAIN = {**_SUM, "description": "Adds numbers."}


def _bfcl(folder: Path, *, categories: list[str]) -> Path:
    for category in categories:
        row = {
            "id": category,
            "question": [[{"role": "user", "content": f"Add, {category}"}]],
            "function": [_SUM, _SUM_AGAIN if category.endswith("multiple") else _SUM],
        }
        _lines(folder / f"BFCL_v4_{category}.json", row)
        answer = {"id": category, "ground_truth": [{"math.sum": {"a": [1]}}]}
        _lines(folder / "possible_answer" / f"BFCL_v4_{category}.json", answer)
    return folder


def test_bfcl_pools_functions_and_keeps_different_ones_of_a_name(tmp_path: Path) -> None:
    _bfcl(tmp_path, categories=["simple_python", "multiple", "parallel", "parallel_multiple"])
    task = load_routing("bfcl", tmp_path)
    assert task.tools == {"math.sum": [_SUM, _SUM_AGAIN]}
    assert task.size == 2
    assert [query.category for query in task.test] == [
        *("simple_python", "multiple", "parallel", "parallel_multiple"),
    ]
    assert {query.gold for query in task.test} == {frozenset({"math.sum"})}


def test_live_bfcl_is_a_catalogue_of_its_own(tmp_path: Path) -> None:
    _bfcl(tmp_path, categories=["live_simple", "live_multiple"])
    assert len(load_routing("bfcl-live", tmp_path).test) == 2
    with pytest.raises(InvalidInput, match=r"none of BFCL_v4_simple_python\.json"):
        load_routing("bfcl", tmp_path)


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _multi_turn(folder: Path) -> Path:
    docs: list[dict[str, Any]] = [
        {"name": name, "description": name, "parameters": {}} for name in ("cd", "mv", "sort")
    ]
    _lines(folder / "multi_turn_func_doc" / "files.json", *docs)
    name = "BFCL_v4_multi_turn_base.json"
    turns = [_said("Go there"), _said("Nothing to do"), _said("Move it")]
    _lines(folder / name, {"id": "1", "question": turns})
    calls = [["cd(folder='there')", "cd(folder='on')"], [], ["mv('a', 'b')"]]
    _lines(folder / "possible_answer" / name, {"id": "1", "ground_truth": calls})
    return folder


def test_each_turn_is_a_query_with_what_went_before(tmp_path: Path) -> None:
    task = load_routing("bfcl-multi-turn", _multi_turn(tmp_path))
    first, later = task.test
    assert (first.text, first.gold, list(first.history)) == ("Go there", _set("cd"), [])
    assert (later.text, later.gold, later.category) == ("Move it", _set("mv"), "later turn")
    assert later.history == (
        {"role": "user", "content": "Go there"},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "cd"}, {"name": "cd"}]},
        {"role": "user", "content": "Nothing to do"},
    )
    assert first.conversation == later.conversation == "1"
    assert task.notes == {"turns that call nothing, skipped": 1}


def test_the_turns_can_be_asked_over_the_functions_of_the_single_turn_categories_too(
    tmp_path: Path,
) -> None:
    categories = ["simple_python", "multiple", "parallel", "parallel_multiple"]
    folder = _multi_turn(_bfcl(tmp_path, categories=categories))
    alone = load_routing("bfcl-multi-turn", folder)
    both = load_routing("bfcl-multi-turn-pooled", folder)
    assert both.test == alone.test
    assert list(both.tools)[: len(alone.tools)] == list(alone.tools)
    assert both.tools.keys() - alone.tools.keys() == load_routing("bfcl", folder).tools.keys()


def _missing_sort(folder: Path, *, calls: list[str]) -> Path:
    """Write a conversation whose second turn waits for `sort`, and then calls these."""
    name = "BFCL_v4_multi_turn_miss_func.json"
    turns = [_said("Go there"), _said("Sort it"), []]
    row = {"id": "multi_turn_1", "question": turns, "missed_function": {"2": ["sort"]}}
    _lines(folder / name, row)
    truth = [["cd(folder='there')"], [], calls]
    _lines(folder / "possible_answer" / name, {"id": "multi_turn_1", "ground_truth": truth})
    return _multi_turn(folder)


def test_a_request_waits_for_its_missing_function(tmp_path: Path) -> None:
    task = load_routing("bfcl-multi-turn", _missing_sort(tmp_path, calls=["sort('a')"]))
    (probe,) = task.probes
    after, before = probe.queries
    assert probe.name == "missing function"
    assert (after.text, after.gold, after.hidden) == ("Sort it", _set("sort"), frozenset())
    assert (before.text, before.hidden, before.answerable) == ("Sort it", _set("sort"), False)
    assert (before.gold, before.history) == (frozenset(), after.history)
    assert [message["role"] for message in before.history] == ["user", "assistant"]
    assert {query.conversation for query in (*task.test, *probe.queries)} == {"1"}


def test_a_request_that_other_functions_serve_in_part_is_told_apart(tmp_path: Path) -> None:
    path = _missing_sort(tmp_path, calls=["cd('b')", "sort('a')"])
    (probe,) = load_routing("bfcl-multi-turn", path).probes
    assert probe.name == "function missing in part"
    assert [query.answerable for query in probe.queries] == [True, False]


# One's own data

_WEATHER = {"name": "get_weather", "description": "The forecast of a city"}
_MAIL = {"type": "function", "function": {"name": "send_mail", "description": "Sends a mail"}}


def _own(
    folder: Path, *queries: dict[str, Any], tools: tuple[Any, ...] = (_WEATHER, _MAIL)
) -> Path:
    _lines(folder / "tools.jsonl", *tools)
    _lines(folder / "queries.jsonl", *queries)
    return folder


def test_own_queries_are_split_as_they_say(tmp_path: Path) -> None:
    history = [{"role": "user", "content": "I am in Turin."}]
    task = load_routing(
        "jsonl",
        _own(
            tmp_path,
            {"query": "Will it rain?", "tools": ["get_weather"], "history": history},
            {
                "query": "Tell Ada",
                "tools": "send_mail",
                "category": "mail",
                "split": "train",
                "conversation": 7,
            },
            {"query": "Who are you?", "tools": []},
            {"query": "And you?", "tools": [], "split": "train"},
        ),
    )
    assert list(task.tools) == ["get_weather", "send_mail"]
    (test,), (train,) = task.test, task.train
    assert (test.gold, test.category, list(test.history)) == (
        _set("get_weather"),
        "uncategorised",
        history,
    )
    assert (train.gold, train.category) == (_set("send_mail"), "mail")
    assert (test.conversation, train.conversation) == (None, "7")
    (probe,) = task.probes
    assert [query.answerable for query in probe.queries] == [True, False]
    assert task.notes == {"train queries that no tool fits, not used": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query": "Rain?", "tools": ["get_whether"]}, r"line 1 .*names \['get_whether'\]"),
        ({"query": "Rain?", "tools": [], "split": "dev"}, "split is 'dev'"),
        ({"query": " ", "tools": ["get_weather"]}, "the query has no text"),
        ({"query": "Rain?"}, "does not have the expected fields"),
        ({"query": "Rain?", "tools": []}, "holds no test query"),
    ],
)
def test_mistakes_in_own_queries_are_named(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_routing("jsonl", _own(tmp_path, row))


def test_own_tools_of_one_name_are_refused(tmp_path: Path) -> None:
    query = {"query": "Rain?", "tools": ["get_weather"]}
    with pytest.raises(DuplicateTool, match="get_weather"):
        load_routing("jsonl", _own(tmp_path, query, tools=(_WEATHER, _WEATHER)))


# The door

PUBLISHED = [name for name, one in ROUTING_FORMATS.items() if not one.of_store]


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        InvalidInput, match=rf"none of .*json.* was found in .*Expected for '{name}'"
    ):
        load_routing(name, tmp_path)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_path_that_is_not_there_says_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        load_routing(name, tmp_path / "nowhere")


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="metatool, metatool-multi, seal-tools"):
        load_routing("metatoll", tmp_path)


# The published data


def _sizes(task: RoutingTask) -> tuple[int, int, int]:
    return task.size, len(task.train), len(task.test)


def test_published_metatool_is_read_whole(real_data: Path) -> None:
    task = load_routing("metatool", real_data / "metatool")
    assert _sizes(task) == (199, 10_050, 4_309)
    assert task.notes == {}
    assert {probe.name: len(probe.queries) for probe in task.probes} == {
        "needs a tool": 520,
        "right tool not shown": 994,
    }
    multi = load_routing("metatool-multi", real_data / "metatool")
    assert _sizes(multi) == (199, 14_359, 248)


def test_published_seal_tools_are_read_whole(real_data: Path) -> None:
    task = load_routing("seal-tools", real_data / "seal-tools")
    assert _sizes(task) == (4_076, 0, 1_400)
    assert max(len(query.gold) for query in task.test) == 6


def test_published_bfcl_is_read_whole(real_data: Path) -> None:
    assert _sizes(load_routing("bfcl", real_data / "bfcl")) == (1_123, 0, 1_000)
    assert _sizes(load_routing("bfcl-live", real_data / "bfcl")) == (1_227, 0, 1_311)
    turns = load_routing("bfcl-multi-turn", real_data / "bfcl")
    assert _sizes(turns) == (162, 0, 731)
    assert {probe.name: len(probe.queries) for probe in turns.probes} == {
        "missing function": 176,
        "function missing in part": 224,
    }
    assert _sizes(load_routing("bfcl-multi-turn-pooled", real_data / "bfcl")) == (1_285, 0, 731)
