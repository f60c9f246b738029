"""Regression sets from traffic: recorded, marked right or wrong, and asked again of a store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from memory_tools import at, open_hashed, say
from router_tools import FLIGHT, MAIL, TOOLS, WEATHER, open_router
from traces_tools import fresh_process
from typer.testing import CliRunner, Result

from agentmem import ALL, Memory, Ranking, Scope, ToolRouter
from agentmem.cli.evaluate import app
from agentmem.errors import InvalidInput, StoreNotFound
from agentmem.evaluation import (
    Dataset,
    Report,
    evaluate,
    load_dataset,
    weighted,
)
from agentmem.evaluation.router import (
    RouterReport,
    RoutingTask,
    evaluate_router,
    load_routing,
)
from agentmem.telemetry import record
from agentmem.testing import HashEmbedder
from agentmem.traces import Label, mark, open_traces, write_label

ASKED = "Are there walnuts in the cake?"


@dataclass(frozen=True)
class Place:
    """Where a test keeps its store and its traces."""

    store: Path
    traces: Path

    @contextmanager
    def recorded_memory(self) -> Iterator[Memory]:
        """Open the store, and record what it does with its content."""
        with (
            fresh_process(),
            record(self.traces),
            open_hashed(self.store, capture_content=True) as memory,
        ):
            yield memory

    @contextmanager
    def recorded_router(self) -> Iterator[ToolRouter]:
        """Likewise for tools."""
        with (
            fresh_process(),
            record(self.traces),
            open_router(self.store, capture_content=True) as router,
        ):
            yield router

    def mark(self, span_id: str | None, **verdict: Any) -> Label:
        """Say what a recorded retrieval was."""
        assert span_id is not None
        return mark(open_traces(self.traces), span_id, **verdict)

    def searches(self) -> Dataset:
        """Read the labelled searches."""
        return load_dataset("labelled", self.traces, store=self.store)

    def selections(self) -> RoutingTask:
        """Read the labelled selections."""
        return load_routing("labelled", self.traces, store=self.store)

    def write(self, **fields: Any) -> None:
        """Write a label by hand."""
        write_label(self.traces, label(**fields))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "traces").mkdir()
    return Place(tmp_path / "ada.mem", tmp_path / "traces")


_spans = iter(range(1, 10_000))


def label(**fields: Any) -> Label:
    """Give a label of a search of Ada's, unless told otherwise."""
    number = next(_spans)
    usual = {
        "span_id": f"{number:016x}",
        "trace_id": f"{number:032x}",
        "kind": "search",
        "verdict": "right",
        "query": ASKED,
        "relevant": (),
        "wrong": (),
        "results": (),
        "k": 10,
        "scope": None if fields.get("kind") == "selection" else Scope("ada"),
        "at": datetime(2024, 5, 1, tzinfo=timezone.utc),
    }
    return Label(**{**usual, **fields})


def fill(place: Place) -> None:
    """Store turns of two users, two of which share an id."""
    with open_hashed(place.store) as memory:
        memory.add(
            [
                say("Are there walnuts in the cake, or not?", id="asked", created_at=at(0)),
                say("The cake has walnuts in it.", id="told", created_at=at(1)),
                say("It rains in Turin.", id="t1", created_at=at(2)),
            ],
            user_id="ada",
            session_id="s1",
        )
        memory.add(say("No walnuts in any cake of mine.", id="t1"), user_id="bob")


def ask(data: Dataset, **options: Any) -> Report:
    given = {"embedder": HashEmbedder(512), "progress": False, "ks": (1, 5), **options}
    return evaluate(data, **given)


def choose(task: RoutingTask, **options: Any) -> RouterReport:
    given = {"embedder": HashEmbedder(512), "progress": False, "ks": (1, 3), **options}
    return evaluate_router(task, **given)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# Searches


def test_a_failure_of_yesterday_shows_which_weights_repair_it(place: Place) -> None:
    fill(place)
    plain = Ranking(lexical=1, question=0, length=0)
    with place.recorded_memory() as memory:
        found = memory.search(ASKED, user_id="ada", ranking=plain)
    assert found[0].turn.id == "asked"
    place.mark(found.span_id, verdict="wrong", expected=["told"])
    before = contents(place.store)

    data = place.searches()
    repaired = weighted(Ranking(lexical=1, question=50, length=0), name="repaired")
    report = ask(data, systems=[weighted(plain, name="as it was"), repaired])

    was, repaired_ = report.systems
    assert (was.overall["recall@1"].mean, repaired_.overall["recall@1"].mean) == (0, 1)
    assert (was.repeated["repeated@1"].mean, repaired_.repeated["repeated@1"].mean) == (1, 0)
    assert was.repeated["repeated@5"].mean == repaired_.repeated["repeated@5"].mean == 1
    assert (report.questions, report.mistakes) == ({"was wrong": 1}, 1)
    assert contents(place.store) == before


def test_each_label_is_asked_in_its_own_scope(place: Place) -> None:
    fill(place)
    with place.recorded_memory() as memory:
        of_ada = memory.search("rain in Turin", user_id="ada")
        of_bob = memory.search("walnuts", user_id="bob")
        of_all = memory.search("walnuts cake", scope=ALL)
        of_session = memory.search("cake", session_id="s1")
    for found in (of_ada, of_bob, of_all, of_session):
        place.mark(found.span_id, verdict="right")
    data = place.searches()
    assert [one.scope for one in data.conversations] == [
        Scope("ada"),
        Scope("bob"),
        ALL,
        Scope(session_id="s1"),
    ]
    assert data.notes == {"ids that several turns of one scope share": 1}
    rows = {row.group: row for row in ask(data).systems[0].rows}
    assert set(rows["user 'bob'"].retrieved) == {"t1"}
    assert (
        set(rows["user 'ada'"].retrieved)
        == {"asked", "told", "t1"}
        == set(rows["session 's1'"].retrieved)
    )
    assert len(rows["everyone"].retrieved) == 4
    assert all(row.metrics["recall@5"] == 1 for row in rows.values())


def test_filters_times_and_legs_of_a_label_apply_to_its_question(place: Place) -> None:
    fill(place)
    with place.recorded_memory() as memory:
        found = memory.search(
            "cake",
            user_id="ada",
            where={"role": "user"},
            mode="lexical",
            since=at(0.5),
            until=at(1.5),
        )
    place.mark(found.span_id, verdict="right")
    data = place.searches()
    (question,) = data.conversations[0].questions
    assert question.mode == "lexical"
    assert question.where is not None
    fields = [field for part in question.where["and"] for field in part]
    assert fields == ["role", "event_time", "event_time"]
    (product,) = ask(data).systems
    assert product.rows[0].retrieved == ("told",)


def test_what_was_erased_counts_neither_as_found_nor_as_missed(place: Place) -> None:
    fill(place)
    place.write(relevant=("told", "gone"), wrong=("asked",))
    place.write(relevant=("gone",), wrong=("gone too",), verdict="wrong")
    data = place.searches()
    assert data.questions == data.mistakes == 1
    assert data.conversations[0].questions[0].gold == {"told"}
    assert data.notes == {
        "relevant turns that are gone from their scope": 2,
        "wrong turns that are gone from their scope": 1,
        "labels of which nothing relevant is left, skipped": 1,
    }


def test_wrong_without_what_is_right_is_a_figure_of_its_own(place: Place) -> None:
    fill(place)
    with place.recorded_memory() as memory:
        found = memory.search(ASKED, user_id="ada")
    place.mark(found.span_id, verdict="wrong")
    report = ask(place.searches(), baselines=True)
    assert report.questions == {}
    assert [(row.category, row.metric) for row in report.repetitions()] == [
        ("repeated mistakes", "repeated@1"),
        ("repeated mistakes", "repeated@5"),
    ]
    assert report.systems[0].repeated["repeated@1"].mean == 1
    assert report.table() == []
    assert report.failures() == []
    json.dumps(report.to_dict(), allow_nan=False)


def test_data_without_past_mistakes_have_no_such_figure(place: Place) -> None:
    fill(place)
    place.write(relevant=("told",))
    assert ask(place.searches()).repetitions() == []


def test_the_store_may_lie_in_another_embedding_space_than_what_is_tried(place: Place) -> None:
    fill(place)
    place.write(relevant=("told",))
    report = ask(place.searches(), embedder=HashEmbedder(32))
    assert report.passport["dimension"] == 32
    assert report.questions == {"was right": 1}


def test_turns_are_those_of_today_and_come_whole(place: Place) -> None:
    fill(place)
    with open_hashed(place.store) as memory:
        fresh = say("Fresh walnuts.", id="new", metadata={"n": 1}, created_at=at(9))
        memory.add(fresh, user_id="ada", agent_id="helper")
    place.write(relevant=("told",), where={"metadata.n": 1})
    (conversation,) = place.searches().conversations
    assert [message["id"] for message in conversation.messages] == ["asked", "told", "t1", "new"]
    (product,) = ask(place.searches()).systems
    assert product.rows[0].retrieved == ("new",)


def test_labels_of_another_store_are_left_out_and_a_store_that_moved_is_not(place: Place) -> None:
    fill(place)
    other = place.store.with_name("other.mem")
    with open_hashed(other) as memory:
        memory.add("Another life.", user_id="ada")
    place.write(relevant=("told",), store=str(other))
    place.write(relevant=("told",), store=str(place.store.with_name("before it moved.mem")))
    place.write(relevant=("told",), store=str(place.store))
    data = place.searches()
    assert data.questions == 2
    assert data.notes == {"labels of other stores, left out": 1}


def test_a_label_whose_scope_nobody_tells_is_not_asked_of_everyone(place: Place) -> None:
    fill(place)
    place.write(relevant=("told",))
    place.write(relevant=("told",), scope=None)
    data = place.searches()
    assert data.questions == 1
    assert data.notes == {"labels of searches without a scope, skipped": 1}


# What cannot be read


def test_a_folder_without_labels_says_how_to_give_the_first(place: Place) -> None:
    fill(place)
    with pytest.raises(InvalidInput, match=r"holds no labels.*traces label SPAN.*Expected for"):
        place.searches()
    (place.traces / "labels.jsonl").write_text("")
    with pytest.raises(InvalidInput, match="holds no labels"):
        place.selections()


def test_a_line_that_is_no_label_is_named(place: Place) -> None:
    fill(place)
    (place.traces / "labels.jsonl").write_text('{"span_id": "1"}\n')
    with pytest.raises(InvalidInput, match=r"line 1 of .*labels\.jsonl is no label"):
        place.searches()


def test_labels_of_the_other_kind_alone_say_what_reads_them(place: Place) -> None:
    fill(place)
    place.write(relevant=("told",))
    with pytest.raises(InvalidInput, match=r"no label of a selection.*agentmem eval memory"):
        place.selections()
    place.traces.joinpath("labels.jsonl").unlink()
    place.write(kind="selection", relevant=("default/get_weather",))
    with pytest.raises(InvalidInput, match=r"no label of a search.*agentmem eval router"):
        place.searches()


def test_labels_of_which_nothing_is_left_say_what_is_gone(place: Place) -> None:
    fill(place)
    place.write(relevant=("gone",), wrong=("gone too",))
    told = r"none of the 1 labels.*relevant turns that are gone from their scope: 1"
    with pytest.raises(InvalidInput, match=told):
        place.searches()
    place.write(kind="selection", relevant=("default/gone",))
    with pytest.raises(InvalidInput, match=r"right tools that are gone: 1"):
        place.selections()


def test_folders_that_are_not_there_say_so(place: Place, tmp_path: Path) -> None:
    place.write(relevant=("told",))
    place.write(kind="selection", relevant=("default/get_weather",))
    for read in (place.searches, place.selections):
        with pytest.raises(StoreNotFound, match=r"no store at.*ada\.mem"):
            read()
    with pytest.raises(StoreNotFound, match="no folder and no file of labels"):
        load_dataset("labelled", tmp_path / "no traces", store=tmp_path)
    assert not place.store.exists()


def test_a_store_is_needed_by_labels_and_by_nothing_else(place: Place) -> None:
    for load in (load_dataset, load_routing):
        with pytest.raises(InvalidInput, match="pass store="):
            load("labelled", place.traces)
        with pytest.raises(InvalidInput, match="leave store= out"):
            load("jsonl", place.traces, store=place.store)


# Selections


def test_labelled_selections_become_queries_mistakes_and_refusals(place: Place) -> None:
    with place.recorded_router() as router:
        router.register(TOOLS)
        right = router.select("Books a seat on a plane", k=1)
        wrong = router.select("Tells the weather", k=1)
        refused = router.select("zzz qqq xxx")
    assert (right.names, wrong.names, refused.abstained) == (
        ["book_flight"],
        ["get_weather"],
        True,
    )
    place.mark(right.span_id, verdict="right")
    place.mark(wrong.span_id, verdict="wrong", expected=["send_mail"])
    place.mark(refused.span_id, verdict="right")
    before = contents(place.store)

    task = place.selections()
    assert [(*query.gold, query.category) for query in task.test] == [
        ("book_flight", "was right"),
        ("send_mail", "was wrong"),
    ]
    assert [mistake.wrong for mistake in task.mistakes] == [{"get_weather"}]
    report = choose(task)
    product = report.systems[0]
    assert [row.rank(row.gold[0]) for row in product.rows] == [1, 2]
    assert product.overall["recall@1"].mean == 0.5
    assert product.repeated["repeated@1"].mean == 1
    assert [(one.probe, one.answerable, one.unanswerable) for one in report.probes] == [
        ("tool removed", 2, 2),
        ("none fits", 2, 1),
    ]
    assert report.probes[1].rightly_refused.mean == 1
    assert [row.values.keys() for row in report.repetitions()] == [{"agentmem"}] * 2
    assert contents(place.store) == before


def test_a_selection_is_asked_where_and_with_what_it_was_asked(place: Place) -> None:
    with open_router(place.store) as router:
        router.register([WEATHER, FLIGHT], tags={"book_flight": ["travel"]})
        router.register([WEATHER, MAIL], namespace="bob")
    asked = {"kind": "selection", "query": "Tells the weather of a place"}
    place.write(**asked, relevant=("bob/get_weather",), namespace="bob")
    place.write(**asked, relevant=("default/book_flight",), where={"tags": {"contains": "travel"}})
    place.write(**asked, relevant=("bob/send_mail",), namespace="bob", exclude=("get_weather",))
    task = place.selections()
    assert task.size == 4
    report = choose(task)
    product, dense = report.systems[0], report.systems[1]
    assert [row.retrieved for row in product.rows] == [
        ("get_weather", "send_mail"),
        ("book_flight",),
        ("send_mail",),
    ]
    assert [set(row.retrieved) for row in dense.rows[:2]] == [
        {"get_weather", "send_mail"},
        {"book_flight"},
    ]


def test_what_went_before_a_selection_is_told_again(place: Place) -> None:
    with open_router(place.store) as router:
        router.register(TOOLS)
    said = ("first", "second", "third", "fourth")
    asked = {"kind": "selection", "query": "And now?", "relevant": ("default/send_mail",)}
    place.write(**asked, texts=said, called=("get_weather",))
    (query,) = place.selections().test
    with open_router(place.store) as router:
        selection = router.select(query.text, history=query.history, memory=query.recalled)
    assert selection.asked.texts == said
    assert selection.called == ("get_weather",)


def test_an_abstention_that_was_wrong_needs_no_tool_to_be_told(place: Place) -> None:
    with open_router(place.store) as router:
        router.register(TOOLS)
    place.write(kind="selection", relevant=("default/send_mail",), query="Sends a letter")
    place.write(kind="selection", verdict="wrong", query="zzz qqq")
    place.write(kind="selection", query="xxx yyy")
    (probe,) = place.selections().probes
    assert [(query.text, query.answerable) for query in probe.queries] == [
        ("Sends a letter", True),
        ("zzz qqq", True),
        ("xxx yyy", False),
    ]


def test_tools_that_are_gone_are_counted(place: Place) -> None:
    with open_router(place.store) as router:
        router.register(TOOLS)
    place.write(kind="selection", relevant=("default/send_mail", "default/gone"))
    place.write(kind="selection", relevant=("other/send_mail",), wrong=("default/fax",))
    place.write(relevant=("told",))
    task = place.selections()
    assert [query.gold for query in task.test] == [{"send_mail"}]
    assert task.notes == {
        "labels of searches, which `agentmem eval memory` asks": 1,
        "right tools that are gone": 2,
        "wrong tools that are gone": 1,
        "labels of which no right tool is left, skipped": 1,
    }


def test_mistakes_alone_are_measured(place: Place) -> None:
    with open_router(place.store) as router:
        router.register(TOOLS)
    asked = {"kind": "selection", "query": "Tells the weather", "verdict": "wrong"}
    place.write(**asked, wrong=("default/get_weather",), results=("default/get_weather",))
    place.write(kind="selection", query="xxx yyy")
    task = place.selections()
    assert task.notes == {"right abstentions, not measured without queries that a tool fits": 1}
    report = choose(task)
    assert report.systems[0].repeated["repeated@1"].mean == 1
    assert report.table() == []
    json.dumps(report.to_dict(), allow_nan=False)


def test_a_router_is_taught_what_the_store_was_but_for_the_labelled_queries(place: Place) -> None:
    with open_router(place.store) as router:
        router.register([WEATHER, FLIGHT])
        router.register([MAIL], namespace="bob")
        router.add_examples({"get_weather": ["qqq umbrella", "asked itself"]}, guard=False)
        router.add_examples({"send_mail": ["zzz stamp"]}, namespace="bob", guard=False)
        router.add_examples({"book_flight": ["undone"]}, guard=False)
        router.revert(router.history()[-2].id)
    place.write(kind="selection", query="asked itself", relevant=("default/get_weather",))
    place.write(kind="selection", query="zzz", relevant=("bob/send_mail",))
    task = place.selections()
    assert {(query.text, *query.gold) for query in task.train} == {
        ("qqq umbrella", "get_weather"),
        ("zzz stamp", "send_mail"),
    }
    assert task.notes == {"labelled queries that the store was taught, not learnt from": 1}
    report = choose(task)
    assert report.teachings["agentmem +all"].examples == 2
    untaught, taught = report.systems[:2]
    assert taught.name == "agentmem +all"
    assert taught.rows[1].rank("send_mail") == 1
    assert untaught.config_id == taught.config_id


# The command line


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if isinstance(result.exception, Exception):
        raise result.exception
    return result


def test_the_command_shows_past_mistakes_beside_the_weights_to_be_tried(place: Place) -> None:
    fill(place)
    place.write(relevant=("told",), wrong=("asked",), verdict="wrong")
    tried = ("--ranking", '{"question": 50}')
    given = ("memory", "--dataset", "labelled", place.traces, "--store", place.store, *tried)
    printed = run(*given).stdout
    for told in ("agentmem", "tried", "repeated mistakes (1)", "repeated@20", "1 past mistakes"):
        assert told in printed
    figures = json.loads(run(*given, "--json").stdout)
    product, other = figures["systems"]
    assert other["repeated"]["repeated@1"]["mean"] == 0
    assert product["config_id"] != other["config_id"]


def test_the_command_shows_mistakes_alone(place: Place) -> None:
    fill(place)
    with open_router(place.store) as router:
        router.register(TOOLS)
    place.write(wrong=("asked",), verdict="wrong")
    place.write(
        kind="selection", verdict="wrong", wrong=("default/get_weather",), query="Tells the weather"
    )
    for command in ("memory", "router"):
        given = (command, "--dataset", "labelled", place.traces, "--store", place.store)
        printed = run(*given, "--k", "1").stdout
        assert "repeated mistakes (1)" in printed
        assert "recall@1 " not in printed


def test_the_command_asks_a_router_with_other_weights(place: Place) -> None:
    with open_router(place.store) as router:
        router.register(TOOLS)
    place.write(kind="selection", relevant=("default/send_mail",), query="Sends a letter")
    given = ("router", "--dataset", "labelled", place.traces, "--store", place.store, "--json")
    usual, tried = (
        json.loads(run(*given, *options).stdout)["systems"][0]
        for options in ((), ("--routing", '{"lexical": 0}'))
    )
    assert usual["config_id"] != tried["config_id"]


@pytest.mark.parametrize(
    ("weights", "told"),
    [("{", "this is no JSON"), ('{"lexica": 1}', "there are"), ("[1]", "there are")],
)
def test_weights_that_there_are_not_are_refused(place: Place, weights: str, told: str) -> None:
    for command, option in (("memory", "--ranking"), ("router", "--routing")):
        result = run(command, "--dataset", "labelled", place.traces, option, weights)
        assert result.exit_code == 2
        assert told in " ".join(result.output.replace("│", " ").split())
