"""Selections replayed: over catalogues, lessons and calibrations as they were, and as of today."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import selection_tools
from learning_tools import CATALOGUE, SLANG, asked, batch
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from router_tools import MAIL, TOOLS, WEATHER, define, open_router
from selection_tools import jsonable, listening, live, selections

from agentmem.embedding import SentenceTransformerEmbedder
from agentmem.errors import InvalidInput
from agentmem.ranking.tools import Routing
from agentmem.replay.given import record_from
from agentmem.router import ToolRouter
from agentmem.routing import holdings
from agentmem.storage import handle
from agentmem.types import Replay, Selection, SelectionRecord, Tool

QUERY = "Will it rain in Lisbon?"
TALK = [
    {"role": "user", "content": "Find me a flight to Porto."},
    {"role": "assistant", "tool_calls": [{"function": {"name": "book_flight"}}]},
]


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Put an SDK in place for one test: OpenTelemetry itself allows one for each process."""
    provider, exporter = listening()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def router(tmp_path: Path) -> Iterator[ToolRouter]:
    with open_router(tmp_path / "s", capture_content=True) as opened:
        opened.register(TOOLS)
        yield opened


def record_of(given: Selection | Replay) -> SelectionRecord:
    record = given.record if isinstance(given, Replay) else record_from(given)
    assert isinstance(record, SelectionRecord)
    return record


def causes(replay: Replay) -> dict[str, str]:
    return {change.id.partition("/")[2]: change.cause for change in replay.changes}


def in_a_process(what: str, *arguments: object) -> subprocess.Popen[str]:
    code = [sys.executable, selection_tools.__file__, what, *map(str, arguments)]
    return subprocess.Popen(code, text=True, stdout=subprocess.PIPE)


def told_by(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return out


@pytest.mark.slow
def test_selections_amid_changes_by_two_processes_replay_identically(
    tmp_path: Path, exporter: InMemorySpanExporter
) -> None:
    """Each from the attributes of its span alone, here and in another process."""
    store, theirs = tmp_path / "s", tmp_path / "theirs.json"
    with open_router(store, capture_content=True) as first:
        first.register(CATALOGUE, tags={"fix_car": ["warm"]})
        other = in_a_process("elsewhere", store, theirs, 3)
        with open_router(store, capture_content=True) as second:
            live(first, rounds=12, each=5, seed=1)
            live(second, rounds=12, each=5, seed=2)
            live(first, rounds=10, each=5, seed=5)
        told_by(other)
    told = [jsonable(span) for span in selections(exporter)]
    told += json.loads(theirs.read_text())
    assert len(told) >= 290
    with open_router(store, capture_content=True) as router:
        found = [router.replay(one) for one in told]
        assert Counter(one.verdict for one in found) == {"identical": len(told)}
        assert max(one.largest_drift for one in found) < 1e-5
        records = [record_of(one) for one in found]
        versions = {(one.catalogue_version, one.examples_version) for one in records}
        assert len(versions) > 30
        assert {one.abstained for one in records} == {True, False}
        assert {one.calibrated for one in records} == {True, False}
        for one in told[::7]:
            seen = router.replay(one, now=True)
            assert "unknown" not in causes(seen).values()
            assert seen.answer is not None
    sample = tmp_path / "sample.json"
    sample.write_text(json.dumps(told[::10]))
    assert set(told_by(in_a_process("again", store, sample, "")).split()) == {"identical"}


def test_a_selection_of_a_batch_its_record_and_its_span_replay_alike(
    router: ToolRouter, exporter: InMemorySpanExporter
) -> None:
    first, second = router.select_batch([QUERY, "Post a letter"], history=TALK)
    alone = router.select(QUERY, history=TALK)
    span = selections(exporter)[-1]
    router.remove("send_mail")
    for given in (first, second, record_of(first), alone, span, dict(span.attributes or {})):
        replay = router.replay(given)
        assert (replay.verdict, replay.largest_drift) == ("identical", 0)
        assert replay.now is None
        assert (replay.changes, replay.differences) == ((), ())
    from_span = router.replay(span).record
    assert from_span.origin.trace_id == alone.trace_id
    assert from_span.origin.store == router._parts.store.name


def test_a_replay_is_one_span_and_leaves_none_of_a_selection(
    router: ToolRouter, exporter: InMemorySpanExporter
) -> None:
    selection = router.select(QUERY)
    exporter.clear()
    router.replay(selection, now=True)
    (span,) = exporter.get_finished_spans()
    assert span.name == "agentmem.replay"
    told = dict(span.attributes or {})
    assert told["agentmem.replay.verdict"] == "identical"
    assert told["agentmem.replay.span_id"] == selection.span_id
    assert told["agentmem.store"] == router._parts.store.name


def test_tools_say_what_became_of_them_and_a_removed_one_stays_removed(router: ToolRouter) -> None:
    selection = router.select("the weather, a plane and a letter")
    router.register(
        define("get_weather", "Tells whether to take an umbrella."), on_conflict="replace"
    )
    router.remove("send_mail")
    replay = router.replay(selection, now=True)
    assert replay.verdict == "identical"
    told = {one.id: (one.state, one.item) for one in replay.replayed}
    assert told["default/send_mail"] == ("gone", None)
    assert told["default/book_flight"][0] == "unchanged"
    state, tool = told["default/get_weather"]
    assert state == "changed"
    assert isinstance(tool, Tool)
    assert tool.description == WEATHER["description"]
    assert replay.now is not None
    today = {one.id: one.item for one in replay.now}
    assert "default/send_mail" not in today
    assert today["default/get_weather"] == router.get("get_weather")
    assert causes(replay)["send_mail"] == "removed"


def test_without_content_the_query_and_the_conversation_are_asked_for(
    tmp_path: Path, exporter: InMemorySpanExporter
) -> None:
    with open_router(tmp_path / "quiet", capture_content=False) as router:
        router.register(TOOLS, tags={"get_weather": ["warm"]})
        router.select(QUERY, history=TALK, where={"tags": {"contains": "warm"}})
        (span,) = selections(exporter)
        assert "Lisbon" not in span.to_json()
        with pytest.raises(InvalidInput, match=r"query=\.\.\., where=\.\.\., history=\.\.\."):
            router.replay(span)
        given: dict[str, Any] = {"query": QUERY, "where": {"tags": {"contains": "warm"}}}
        with pytest.raises(InvalidInput, match="told 1"):
            router.replay(span, **given, history=[*TALK, *TALK])
        assert router.replay(span, **given, history=TALK).is_identical
        other = router.replay(span, **given | {"query": "Post a letter"}, history=TALK)
        assert other.verdict == "different"
        assert "another confidence" in other.reason
        recorded = router.select(QUERY)
        with pytest.raises(InvalidInput, match="leave the argument out"):
            router.replay(recorded, query="Post a letter")


@pytest.mark.parametrize("given", [None, "abc", {}, {"gen_ai.operation.name": "search_memory"}])
def test_what_is_no_selection_is_refused(router: ToolRouter, given: object) -> None:
    with pytest.raises(InvalidInput):
        router.replay(given)


def test_what_cannot_be_run_again_says_why_and_is_no_error(router: ToolRouter) -> None:
    record = record_of(router.select(QUERY))
    impossible = {
        "keep_versions": replace(record, catalogue_version=4_000),
        "right store": replace(record, examples_version=4_000),
        "embedding space": replace(record, passport_id="another"),
        "hash": replace(record, config_id="another"),
        "weights are none": replace(record, routing={"weight": 1.0}),
        "no version": replace(record, fits_version=-1),
        "none of this agentmem": replace(record, rule={"threshold": 1.0}),
    }
    for why, one in impossible.items():
        replay = router.replay(one, now=True)
        assert replay.verdict == "impossible"
        assert why in replay.reason
        assert (replay.replayed, replay.differences) == ((), ())
        assert replay.now is not None
        assert [found.id for found in replay.now] == [found.id for found in record.candidates]
    router.remove("get_weather")
    moved = router.replay(impossible["embedding space"], now=True)
    assert set(causes(moved).values()) == {"removed", "model"}


def test_a_catalogue_that_was_dropped_by_maintenance_is_said_to_be_gone(
    router: ToolRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = router.select(QUERY)
    router.remove("send_mail")
    router.select(QUERY)  # so that memory does not hold that catalogue any more either
    assert router.replay(selection).is_identical  # which keeps it, and is asked again below
    monkeypatch.setattr(handle, "kept_for", lambda _: timedelta(0))
    monkeypatch.setattr(handle, "MARGIN", timedelta(0))
    router._parts.store.catalogue.compact()
    replay = router.replay(selection)
    assert replay.verdict == "impossible"
    assert "keep_versions" in replay.reason


def test_lessons_since_are_a_cause(router: ToolRouter) -> None:
    selection = router.select(QUERY)
    router.add_examples({"book_flight": ["Will it rain in Porto?", "Will it rain in Rome?"]})
    replay = router.replay(selection, now=True)
    assert replay.is_identical
    assert causes(replay)["book_flight"] == "lessons"
    (change,) = [one for one in replay.changes if one.id == "default/book_flight"]
    assert "1 lesson with 2 observations counts; 1 lesson of these on this tool" in change.reason
    router.revert(None)
    assert router.replay(selection, now=True).changes == ()


def test_tools_added_since_are_a_cause_and_named(router: ToolRouter) -> None:
    selection = router.select(QUERY, k=1)
    router.register(define("foresee_rain", "Will it rain in Lisbon?"))
    replay = router.replay(selection, now=True)
    assert replay.is_identical
    assert causes(replay) == {"foresee_rain": "added", "get_weather": "added"}
    assert any("default/foresee_rain" in change.reason for change in replay.changes)


def test_other_weights_are_a_cause(router: ToolRouter, tmp_path: Path) -> None:
    query = "Books the weather and sends a plane: mail"
    selection = router.select(query)
    routing = Routing(lexical=0, name=9, temperature=3)
    with open_router(tmp_path / "s", routing=routing) as other:
        today = other.select(query)
        assert [one.name for one in today.candidates] != [one.name for one in selection.candidates]
        replay = other.replay(selection, now=True)
        assert replay.is_identical
        assert set(causes(replay).values()) == {"ranking"}
        assert "lexical 1.5 -> 0" in replay.changes[0].reason
        assert isinstance(replay.answer, Selection)
        assert replay.answer.asked.routing == today.asked.routing


def test_a_calibration_since_is_a_cause_though_no_rank_moves(tmp_path: Path) -> None:
    with open_router(tmp_path) as router:
        router.register(CATALOGUE)
        router.add_examples(batch(3))
        pairs = [(query, name) for name in SLANG for query in asked(name, 4, seed=7)]
        query = "drizzle among the unknown words of a stranger"
        selection = router.select(query)
        assert not selection.abstained
        router.calibrate([one for one, _ in pairs], [name for _, name in pairs], alpha=0.2)
        assert router.select(query).abstained
        replay = router.replay(selection, now=True)
        assert replay.is_identical
        assert set(causes(replay).values()) == {"calibration"}
        assert len(replay.changes) == len(selection)
        assert all(change.before == change.after for change in replay.changes)
        assert "no longer handed out" in replay.changes[0].reason
        assert "(the default), and is" in replay.changes[0].reason
        later = router.select(query)
        router.register(define("sing", "Sings a song."))  # which ends the calibration
        back = router.replay(later, now=True)
        assert back.is_identical
        assert "calibration" in causes(back).values()


def test_age_is_a_cause_where_nothing_else_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_router(tmp_path) as router:
        near, far = (
            define("rain_a", "Tells the rain."),
            define("rain_b", "Tells rain, wind and the snow."),
        )
        router.register([near, far, MAIL])
        for _ in range(9):
            router.feedback("Tells the rain", used="rain_a", succeeded=False)
        selection = router.select("Tells the rain", k=2)
        assert selection.candidates[0].name == "rain_b"
        inner = router._parts.holdings
        past = inner._now()
        monkeypatch.setattr(inner, "_now", lambda: past + 60 * holdings.AGEING)
        replay = router.replay(selection, now=True)
        assert replay.is_identical
        assert causes(replay) == {"rain_a": "time", "rain_b": "time"}
        assert "60.0 days older" in replay.changes[0].reason


def test_a_record_that_was_altered_is_told_from_what_comes_out(router: ToolRouter) -> None:
    record = record_of(router.select("Tells the weather of a place"))
    assert record.chosen
    best = record.candidates[0]
    ghost = replace(best, id="default/ghost")
    replay = router.replay(replace(record, candidates=(ghost, *record.candidates[1:])))
    assert replay.verdict == "different"
    assert {change.id: change.cause for change in replay.differences} == {
        "default/ghost": "removed",
        best.id: "unknown",
    }
    older = replace(record, origin=replace(record.origin, agentmem="0.0.1"), chosen=())
    replay = router.replay(older)
    assert replay.verdict == "different"
    assert {change.cause for change in replay.differences} == {"agentmem"}
    off = replace(record, candidates=(replace(best, score=best.score + 0.5),))
    assert router.replay(off).largest_drift == pytest.approx(0.5)
    assert not router.replay(replace(record, catalogue=9)).is_identical


def test_a_large_fit_is_read_as_it_was_and_not_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It outlives changes of the catalogue, so that making it anew gives something else."""
    with open_router(tmp_path) as router, open_router(tmp_path) as other:
        router.register(CATALOGUE)
        router.add_examples(batch(80))
        queries = ["drizzle on the runway", "garlic in the oven", "tempo of a sprint"]
        before = [router.select(query, k=3) for query in queries]
        assert before[0].asked.fits_version > 0
        router.remove("fix_car")
        router.register(define("rain_report", "drizzle puddle hail"))
        after = [router.select(query, k=3) for query in queries]
        late = [other.select(query, k=3) for query in queries]
        few = {name: queries for name, queries in batch(12, seed=4).items() if name != "fix_car"}
        router.add_examples(few, guard=False)
        newest = router.select(queries[0])
        assert newest.asked.fits_version > after[0].asked.fits_version > 0
        with open_router(tmp_path, read_only=True) as reader:
            for selection in (*before, *after, *late, newest):
                replay = reader.replay(selection)
                assert (replay.verdict, replay.reason.count("made anew")) == ("identical", 0)
                assert replay.largest_drift < 1e-5
        monkeypatch.setattr(handle, "kept_for", lambda _: timedelta(0))
        monkeypatch.setattr(handle, "MARGIN", timedelta(0))
        router._parts.store.fits._table.compact()
        lost = [router.replay(selection, now=True) for selection in after]
        assert {replay.verdict for replay in lost} == {"impossible"}
        assert "usage examples is no longer kept" in lost[0].reason


def test_two_handles_with_other_weights_do_not_spoil_each_others_records(tmp_path: Path) -> None:
    """The table keeps the newest fit alone, so each says which version of it holds its own."""
    with (
        open_router(tmp_path) as one,
        open_router(tmp_path, routing=Routing(discriminant=2)) as two,
    ):
        one.register(CATALOGUE)
        one.add_examples(batch(80), guard=False)
        selections = []
        for number in range(3):
            for router in (one, two):
                router.register(define(f"extra{number}", "drizzle"), on_conflict="replace")
                selections.append(router.select("drizzle on the runway", k=3))
        for selection in selections:
            assert one.replay(selection).is_identical


def test_a_real_model_replays_within_rounding(
    tmp_path: Path, minilm: SentenceTransformerEmbedder
) -> None:
    with open_router(tmp_path, embedder=minilm) as router:
        router.register(TOOLS)
        router.add_examples({"send_mail": ["Post this", "Write to Ines"]})
        chosen = [
            router.select(QUERY),
            router.select("and the letter?", history=TALK, k="auto"),
            *router.select_batch(["Fly me home", "Tell Bruno that I am late"], memory=["by post"]),
        ]
        router.sync([WEATHER, MAIL])
    with open_router(tmp_path, embedder=minilm) as later:
        for selection in chosen:
            replay = later.replay(selection, now=True)
            assert replay.is_identical
            assert "unknown" not in causes(replay).values()
