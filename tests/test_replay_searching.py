"""Replays of searches: many made beside a writer, and each way to come out otherwise."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory_tools import at, ids, open_hashed, say
from numpy.typing import NDArray
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agentmem import InvalidInput, Memory, Ranking, Recall, field
from agentmem.checks import EPOCH
from agentmem.embedding import SentenceTransformerEmbedder
from agentmem.ingest import Clock
from agentmem.replay.given import record_from
from agentmem.storage import handle, reads
from agentmem.testing import HashEmbedder
from agentmem.types import ALL, Replay, Replayed, Scored, SearchRecord, Turn

SEARCHES = int(os.environ.get("AGENTMEM_REPLAYED", "400"))  # 1,000 before a release
SEARCHES_A_WRITE = 8  # so that most versions are searched, and the writer is always at work
SEARCHES_A_NOW = 3  # today's answer and its causes take as long as the replay itself
NARROW = 64  # components: the columns are read at hundreds of versions
SUBJECTS = ["Lisbon", "the cello", "my sister", "rain", "the trial", "a blue car", "soup", "Ada"]
VERBS = ["loves", "moved to", "forgot", "asked about", "plans", "painted", "sold"]
RANKINGS: list[Ranking | None] = [
    *(None, None, None, None, None, None),
    Ranking(recency=0.5),
    Ranking(importance=0.7, session=0.0),
    Ranking(diversity=0.4),
    Ranking.plain(),
]


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Put an SDK in place for one test."""
    yield from recording(monkeypatch)


def recording(patch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    patch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def spans(exporter: InMemorySpanExporter, name: str = "search_memory") -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def span_of(exporter: InMemorySpanExporter) -> ReadableSpan:
    return spans(exporter)[-1]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    """Open a store that records what is said."""
    with open_hashed(tmp_path / "s", capture_content=True) as opened:
        yield opened


class Conversations:
    """A writer: adds, replaces and deletes turns of two users, as a sequence of chance."""

    def __init__(self, memory: Memory, *, seed: int) -> None:
        self._memory = memory
        self._chance = random.Random(seed)
        self._count = 0
        self.done: Counter[str] = Counter()

    def sentence(self) -> str:
        chance = self._chance
        words = f"{chance.choice(SUBJECTS)} {chance.choice(VERBS)} {chance.choice(SUBJECTS)}"
        return f"{words}, number {self._count}{chance.choice(['.', '?'])}"

    def write(self) -> None:
        kind = self._chance.choices(["add", "replace", "delete"], [6, 2, 1])[0]
        self.done[kind] += 1
        getattr(self, kind)()

    def add(self) -> None:
        for _ in range(self._chance.randint(1, 4)):
            self._add(f"t{self._count}")
            self._count += 1

    def replace(self) -> None:
        self._add(f"t{self._chance.randrange(self._count)}", on_conflict="replace")

    def delete(self) -> None:
        doomed = [f"t{self._chance.randrange(self._count)}" for _ in range(2)]
        self._memory.delete(doomed, scope=ALL)

    def _add(self, identity: str, **how: Any) -> None:
        number = int(identity[1:])
        long = " ".join(self.sentence() for _ in range(60)) if number % 23 == 0 else ""
        message = say(
            self.sentence() + long,
            id=identity,
            name=("Ada", "Bo")[number % 2],
            created_at=at(number / 10),
            importance=(number % 5) / 4,
            metadata={"n": self._chance.randrange(9)},
        )
        who: dict[str, Any] = {
            "user_id": ("ada", "bo")[number % 2],
            "session_id": f"s{number // 20}",
        }
        self._memory.add(message, agent_id="aide", **who, **how)


def asked(chance: random.Random) -> dict[str, Any]:
    """Return the arguments of some search."""
    question = (
        f"who {chance.choice(VERBS)} {chance.choice(SUBJECTS)} and {chance.choice(SUBJECTS)}?"
    )
    arguments: dict[str, Any] = {
        "query": question if chance.random() < 0.7 else f"{question} in May 2024",
        "k": chance.choice([1, 3, 5, 10, 30]),
        "mode": chance.choice(["hybrid", "hybrid", "dense", "lexical"]),
        "ranking": chance.choice(RANKINGS),
    }
    whose: list[dict[str, Any]] = [
        {"user_id": "ada"},
        {"user_id": "bo", "session_id": "s0"},
        {"agent_id": "aide"},
        {"scope": ALL},
    ]
    narrower: list[dict[str, Any]] = [
        *({}, {}, {}, {}, {}),
        {"since": at(1)},
        {"until": at(4)},
        {"where": {"metadata.n": {"lt": 6}}},
        {"where": (field("name") == "Ada") | (field("event_time") > at(3))},
    ]
    return {**arguments, **chance.choice(whose), **chance.choice(narrower)}


@dataclass(frozen=True)
class Traffic:
    """A store after searches were made beside a writer, and the attributes of their spans."""

    folder: Path
    recorded: list[dict[str, Any]]
    recalls: list[Recall]
    done: Counter[str]


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traffic]:
    """Record searches while another thread writes through a handle of its own."""
    folder = tmp_path_factory.mktemp("traffic") / "s"
    options: dict[str, Any] = {"embedder": HashEmbedder(NARROW), "capture_content": True}
    patch, chance = pytest.MonkeyPatch(), random.Random(3)
    recalls: list[Recall] = []
    with patch.context():
        recorder = recording(patch)
        exporter = next(recorder)
        patch.setattr(handle, "COMPACT_AFTER", 20)
        with open_hashed(folder, **options) as reading, open_hashed(folder, **options) as writing:
            conversations = Conversations(writing, seed=4)
            for _ in range(10):
                conversations.add()
            asking = threading.Event()

            def write() -> None:
                while not asking.is_set():
                    conversations.write()
                    enough = len(recalls) + SEARCHES_A_WRITE
                    while len(recalls) < enough and not asking.is_set():
                        time.sleep(0.0005)

            writer = threading.Thread(target=write)
            writer.start()
            try:
                while len(recalls) < SEARCHES:
                    recalls.append(reading.search(**asked(chance)))
            finally:
                asking.set()
                writer.join()
        recorded = [json.loads(span.to_json())["attributes"] for span in spans(exporter)]
        yield Traffic(folder, recorded, recalls, conversations.done)
        patch.undo()


@pytest.mark.slow
def test_many_searches_beside_a_writer_replay_identically_from_their_spans(
    traffic: Traffic,
) -> None:
    versions = {recall.table_version for recall in traffic.recalls}
    assert len(traffic.recorded) == SEARCHES
    assert len(versions) > SEARCHES / SEARCHES_A_WRITE / 3
    assert min(traffic.done[kind] for kind in ("add", "replace", "delete")) >= SEARCHES // 200
    with open_hashed(traffic.folder, embedder=HashEmbedder(NARROW), read_only=True) as memory:
        replays = [
            memory.replay(attributes, now=number % SEARCHES_A_NOW == 0)
            for number, attributes in enumerate(traffic.recorded)
        ]
    verdicts = Counter(replay.verdict for replay in replays)
    assert verdicts == {"identical": SEARCHES}
    assert (
        sum(len(replay.replayed) > 20 for replay in replays) > SEARCHES // 20
    )  # more than spans hold
    states = Counter(one.state for replay in replays for one in replay.replayed)
    assert min(states[state] for state in ("unchanged", "changed", "gone")) > SEARCHES // 20
    for replay, recall in zip(replays, traffic.recalls, strict=True):
        assert [(one.id, one.score) for one in replay.replayed] == [
            (hit.turn.id, hit.score) for hit in recall
        ]
        for one, hit in zip(replay.replayed, recall, strict=True):
            assert one.item == (None if one.state == "gone" else hit.turn)
    causes = Counter(change.cause for replay in replays for change in replay.changes)
    assert set(causes) == {"added", "changed", "removed", "data", "ranking"}
    for replay in replays[::SEARCHES_A_NOW]:
        assert_causes_are_right(replay)


def assert_causes_are_right(replay: Replay) -> None:
    """Hold each change to what is known of the results, without asking who found it."""
    assert replay.now is not None
    then, today = (ranks(replay.replayed), ranks(replay.now))
    moved = {one for one in then | today if then.get(one) != today.get(one)}
    assert {change.id for change in replay.changes} == moved
    states = {one.id: one.state for one in replay.replayed}
    for change in replay.changes:
        assert change.before == then.get(change.id)
        assert change.after == today.get(change.id)
        assert ":" in change.reason
        if states.get(change.id) == "gone":
            assert change.cause in ("removed", "ranking", "changed")  # its id may be taken anew
        if change.cause == "changed":
            assert "replaced" in change.reason
        if change.cause == "ranking":
            assert replay.record.config_id != Ranking().id


def answer_of(replay: Replay) -> Recall:
    """Return today's answer."""
    assert isinstance(replay.answer, Recall)
    return replay.answer


def ranks(results: Sequence[Replayed]) -> dict[str, int]:
    return {one.id: rank for rank, one in enumerate(results, 1)}


def test_todays_answer_is_what_a_search_gives_today(traffic: Traffic) -> None:
    chance = random.Random(3)
    with open_hashed(traffic.folder, embedder=HashEmbedder(NARROW), read_only=True) as memory:
        for attributes in traffic.recorded[:30]:
            anew = memory.search(**{**asked(chance), "ranking": None})
            answer = answer_of(memory.replay(attributes, now=True))
            assert ids(answer) == ids(anew)
            assert answer.table_version == anew.table_version


FORMS: dict[str, Callable[[Recall, ReadableSpan], object]] = {
    "recall": lambda recall, _: recall,
    "record": lambda recall, _: record_from(recall),
    "span": lambda _, span: span,
    "attributes": lambda _, span: dict(span.attributes or {}),
    "json": lambda _, span: json.loads(span.to_json())["attributes"],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_search_replays_from_whatever_tells_of_it(
    exporter: InMemorySpanExporter, memory: Memory, form: str
) -> None:
    memory.add([say("soup in Lisbon", id="a"), say("rain", id="b")], user_id="ada")
    recall = memory.search("soup?", user_id="ada", where={"role": "user"}, until=at(9_000))
    memory.add(say("more soup", id="c"), user_id="ada")
    replay = memory.replay(FORMS[form](recall, span_of(exporter)))
    assert replay.is_identical
    assert replay.largest_drift == 0
    assert [one.id for one in replay.replayed] == ["a", "b"]
    assert (replay.now, replay.answer) == (None, None)
    assert (replay.changes, replay.differences) == ((), ())
    assert "the same 2 results" in replay.reason


def test_a_replay_is_one_span_that_says_how_it_came_out_and_no_search(
    exporter: InMemorySpanExporter, memory: Memory
) -> None:
    memory.add(say("soup", id="a"), user_id="ada")
    recall = memory.search("where is the soup?", user_id="ada")
    exporter.clear()
    memory.replay(recall, now=True)
    (span,) = exporter.get_finished_spans()
    told = dict(span.attributes or {})
    assert span.name == "agentmem.replay"
    assert told["agentmem.replay.verdict"] == "identical"
    assert told["agentmem.replay.span_id"] == recall.span_id
    assert told["agentmem.scope.user_id"] == "ada"
    assert "soup" not in span.to_json()


def test_what_was_not_recorded_has_to_be_given(
    exporter: InMemorySpanExporter, tmp_path: Path
) -> None:
    with open_hashed(tmp_path / "s", capture_content=False) as memory:
        memory.add([say("soup", id="a"), say("no soup", id="b", name="Bo")], user_id="ada")
        memory.search("the soup?", user_id="ada", where=field("name") == "Bo")
        span = span_of(exporter)
        with pytest.raises(InvalidInput, match="query and where"):
            memory.replay(span)
        with pytest.raises(InvalidInput, match="hold where"):
            memory.replay(span, query="the soup?")
        assert memory.replay(span, query="the soup?", where={"name": "Bo"}).is_identical
        wrong = memory.replay(span, query="rain in May", where={"name": "Bo"})
    assert wrong.verdict == "different"
    assert {change.cause for change in wrong.differences} == {"unknown"}
    assert "question that was given" in wrong.differences[0].reason


def test_what_was_recorded_is_not_taken_from_elsewhere(memory: Memory) -> None:
    memory.add(say("soup", id="a"), user_id="ada")
    recall = memory.search("soup?", user_id="ada", where={"role": "user"})
    assert memory.replay(recall, query="soup?", where={"role": "user"}).is_identical
    with pytest.raises(InvalidInput, match="query"):
        memory.replay(recall, query="rain?")
    with pytest.raises(InvalidInput, match="where"):
        memory.replay(memory.search("soup?", user_id="ada"), where={"role": "user"})


def test_redacted_content_does_not_pass_for_what_was_asked(
    exporter: InMemorySpanExporter, tmp_path: Path
) -> None:
    redact = {"redact": lambda text: text.replace("soup", "***"), "capture_content": True}
    with open_hashed(tmp_path / "s", **redact) as memory:
        memory.add(say("soup", id="a"), user_id="ada")
        memory.search("soup?", user_id="ada")
        with pytest.raises(InvalidInput, match="redacted"):
            memory.replay(span_of(exporter))
        assert memory.replay(span_of(exporter), query="soup?").is_identical


def test_a_deleted_turn_is_named_and_not_shown(memory: Memory) -> None:
    memory.add([say("the secret is soup", id="a"), say("rain", id="b")], user_id="ada")
    recall = memory.search("what is the secret?", user_id="ada", k=5)
    memory.delete("a", user_id="ada")
    replay = memory.replay(recall, now=True)
    assert replay.is_identical
    first, second = replay.replayed
    assert (first.id, first.state, first.item) == ("a", "gone", None)
    assert first.score == recall[0].score
    assert (second.state, second.item) == ("unchanged", recall[1].turn)
    assert "the secret is soup" not in repr(replay)
    assert {c.id: c.cause for c in replay.changes} == {"a": "removed", "b": "removed"}
    assert replay.changes[0].reason == "rose from 2 to 1: 1 deleted turn ranked above it (a)"


def test_another_turn_under_the_id_of_a_deleted_one_does_not_bring_it_back(
    memory: Memory,
) -> None:
    memory.add(say("the secret is soup", id="a"), user_id="ada")
    recall = memory.search("what is the secret?", user_id="ada")
    memory.delete("a", user_id="ada")
    memory.add(say("nothing to see", id="a"), user_id="ada")
    (only,) = memory.replay(recall).replayed
    assert (only.state, only.item) == ("gone", None)


@pytest.mark.parametrize("between", [0, 1], ids=["at once", "after other deletions"])
def test_a_turn_that_was_deleted_and_imported_in_other_words_is_not_shown(
    memory: Memory, tmp_path: Path, between: int
) -> None:
    memory.add([say("the secret is soup", id="a"), say("rain", id="b")], user_id="ada")
    recall = memory.search("what is the secret?", user_id="ada", k=1)
    memory.export(tmp_path / "out.jsonl", user_id="ada")
    exported = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    (tmp_path / "in.jsonl").write_text(exported.replace("soup", "***"), encoding="utf-8")
    for other in ("b",)[:between]:
        memory.delete(other, user_id="ada")
    memory.delete("a", user_id="ada")
    memory.import_turns(tmp_path / "in.jsonl")  # which keeps the time of ingestion
    memory.add(say("more", id="a2"), user_id="ada", on_conflict="replace")
    replay = memory.replay(recall, now=True)
    assert [(one.id, one.state, one.item) for one in replay.replayed] == [("a", "gone", None)]
    assert "soup" not in repr(replay)


def test_deletions_of_other_turns_do_not_hide_a_replaced_one(memory: Memory) -> None:
    memory.add([say("soup on Monday", id="a"), say("rain", id="b")], user_id="ada")
    recall = memory.search("when is soup?", user_id="ada", k=1)
    memory.delete("b", user_id="ada")
    memory.add(say("wind on Friday", id="a"), user_id="ada", on_conflict="replace")
    (then,) = memory.replay(recall).replayed
    assert isinstance(then.item, Turn)
    assert (then.state, then.item.content) == ("changed", "soup on Monday")


def test_where_too_much_was_deleted_to_be_sure_nothing_replaced_is_shown(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.add([say("soup on Monday", id="a"), say("rain", id="b")], user_id="ada")
    recall = memory.search("when is soup?", user_id="ada", k=1)
    memory.delete("b", user_id="ada")
    memory.add(say("wind on Friday", id="a"), user_id="ada", on_conflict="replace")
    monkeypatch.setattr(reads, "LOOKED_AT", 0)
    assert memory.replay(recall).replayed[0].item is None


def test_a_replaced_turn_is_shown_as_it_was(memory: Memory) -> None:
    memory.add([say("soup on Monday", id="a"), say("rain", id="b")], user_id="ada")
    recall = memory.search("when is soup?", user_id="ada", k=1)
    memory.add(say("wind on Friday", id="a"), user_id="ada", on_conflict="replace")
    replay = memory.replay(recall, now=True)
    (then,) = replay.replayed
    assert isinstance(then.item, Turn)
    assert (then.state, then.item.content) == ("changed", "soup on Monday")
    assert replay.now is not None
    assert {change.cause for change in replay.changes} <= {"changed", "data"}
    metadata_only = memory.search("rain?", user_id="ada", k=1)
    memory.add(say("rain", id="b", metadata={"n": 1}), user_id="ada", on_conflict="replace")
    assert memory.replay(metadata_only).replayed[0].state == "changed"


def test_newer_turns_are_named_where_they_push_others_down(memory: Memory) -> None:
    memory.add([say("soup is good", id="a"), say("rain is wet", id="b")], user_id="ada")
    recall = memory.search("good soup?", user_id="ada")
    memory.add([say("good soup", id=f"new{n}") for n in range(3)], user_id="ada")
    changes = {change.id: change for change in memory.replay(recall, now=True).changes}
    assert {change.cause for change in changes.values()} == {"added"}
    assert changes["new0"].reason == "came in at 1: this turn is new"
    assert changes["a"].reason == (
        "fell from 1 to 4: 3 newer turns rank above it (new0, new1, new2)"
    )


def test_turns_of_two_users_under_one_id_are_told_apart(memory: Memory) -> None:
    for user in ("ada", "bo"):
        memory.add([say(f"soup of {user}", id="a"), say("rain", id="b")], user_id=user)
    recall = memory.search("soup?", scope=ALL)
    memory.delete("a", user_id="ada")
    replay = memory.replay(recall, now=True)
    assert replay.is_identical
    gone = [one for one in replay.replayed if one.state == "gone"]
    assert [one.id for one in gone] == ["a"]
    left = [one.item for one in replay.replayed if one.id == "a" and one.item]
    assert [turn.user_id for turn in left if isinstance(turn, Turn)] == ["bo"]
    assert "removed" in {change.cause for change in replay.changes if change.id == "a"}


class ByLength:
    """A reranker that likes long texts, or short ones."""

    def __init__(self, *, sign: int) -> None:
        self._sign = sign
        self.model = f"by-length {sign:+}"

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:  # noqa: ARG002
        return np.array([self._sign * len(text) for text in texts], np.float64)


def tell(memory: Memory) -> None:
    said = ["soup", "soup and bread", "soup and bread and wine", "rain"]
    memory.add([say(text, id=f"t{n}") for n, text in enumerate(said)], user_id="ada")


def test_a_reranked_search_replays_with_its_reranker_and_tells_of_another(tmp_path: Path) -> None:
    with open_hashed(tmp_path / "s", reranker=ByLength(sign=1)) as memory:
        tell(memory)
        recall = memory.search("soup?", user_id="ada")
        plain = memory.replay(recall, now=True)
    assert plain.is_identical
    assert plain.changes == ()
    with open_hashed(tmp_path / "s", reranker=ByLength(sign=-1)) as memory:
        other = memory.replay(recall)
    assert other.verdict == "different"
    assert {change.cause for change in other.differences} == {"reranker"}
    assert "by-length +1, and now by by-length -1" in other.differences[0].reason
    with open_hashed(tmp_path / "s") as memory:
        without = memory.replay(recall)
    assert {change.cause for change in without.differences} == {"reranker"}


def test_weights_and_a_reranker_of_today_are_causes_of_their_own(tmp_path: Path) -> None:
    with open_hashed(tmp_path / "s") as memory:
        tell(memory)
        recall = memory.search("soup and bread?", user_id="ada", ranking=Ranking(length=0))
    with open_hashed(tmp_path / "s", ranking=Ranking(length=9, dense=0, lexical=0)) as memory:
        replay = memory.replay(recall, now=True)
        assert replay.is_identical
        assert {change.cause for change in replay.changes} == {"ranking"}
        assert "length 0 -> 9" in replay.changes[0].reason
    with open_hashed(
        tmp_path / "s", ranking=Ranking(length=0), reranker=ByLength(sign=-1)
    ) as memory:
        replay = memory.replay(recall, now=True)
        assert replay.is_identical
        assert {change.cause for change in replay.changes} == {"reranker"}
        assert ids(answer_of(replay))[0] in ("t0", "t3")


def test_recency_is_measured_from_the_moment_of_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [at(0)]
    monkeypatch.setattr(Clock, "now", lambda _: (moment[0] - EPOCH) // timedelta(microseconds=1))
    recent = Ranking(recency=1.0, recency_days=1.0, length=0)
    with open_hashed(tmp_path / "s", ranking=recent) as memory:
        menu = "soup bread cheese fish"
        said = [(menu, -1), (f"{menu} wine", -400), ("rain", -400)]
        memory.add(
            [say(text, id=f"t{n}", created_at=at(d)) for n, (text, d) in enumerate(said)],
            user_id="ada",
        )
        recall = memory.search(f"{menu} wine?", user_id="ada")
        assert ids(recall) == ["t0", "t1", "t2"]
        moment[0] = at(4_000)
        replay = memory.replay(recall, now=True)
        assert replay.is_identical
        assert [one.id for one in replay.now or ()] == ["t1", "t0", "t2"]
        assert {change.cause for change in replay.changes} == {"time"}
        assert "2035-04-14 12:00 instead of 2024-05-01 12:00" in replay.changes[0].reason
        late = memory.replay(altered(recall, asked_at=at(4_000)))
        assert late.verdict == "different"


def altered(recall: Recall, **fields: Any) -> SearchRecord:
    record = record_from(recall)
    assert isinstance(record, SearchRecord)
    return replace(record, **fields)


def rescored(recall: Recall, by: float) -> tuple[Scored, ...]:
    return tuple(replace(hit, score=hit.score + by) for hit in altered(recall).hits)


def test_scores_may_differ_by_rounding_alone(memory: Memory) -> None:
    tell(memory)
    recall = memory.search("soup and bread?", user_id="ada")
    near = memory.replay(altered(recall, hits=rescored(recall, 5e-5)))
    assert near.is_identical
    assert near.largest_drift == pytest.approx(5e-5)
    far = memory.replay(altered(recall, hits=rescored(recall, 3e-4)))
    assert far.verdict == "different"
    assert far.largest_drift == pytest.approx(3e-4)
    assert len(far.differences) == len(recall)
    assert all("differs by 0.0003" in change.reason for change in far.differences)


def test_more_or_fewer_results_than_recorded_are_a_difference(memory: Memory) -> None:
    tell(memory)
    recall = memory.search("soup?", user_id="ada")
    fewer = memory.replay(altered(recall, hits=altered(recall).hits[:2], found=2))
    assert fewer.verdict == "different"
    assert [(change.before, change.after) for change in fewer.differences] == [(None, 3), (None, 4)]
    assert memory.replay(altered(recall, found=40)).verdict == "different"


def test_another_version_of_the_library_is_named_as_the_cause(memory: Memory) -> None:
    tell(memory)
    recall = memory.search("soup?", user_id="ada")
    origin = replace(altered(recall).origin, agentmem="0.0.1")
    replay = memory.replay(altered(recall, origin=origin, hits=rescored(recall, 1.0)))
    assert {change.cause for change in replay.differences} == {"agentmem"}
    assert "0.0.1" in replay.differences[0].reason


def test_a_recorded_turn_that_the_version_does_not_hold_is_named(memory: Memory) -> None:
    tell(memory)
    recall = memory.search("soup?", user_id="ada")
    lost = (Scored("lost", 99.0), *altered(recall).hits)
    origin = replace(altered(recall).origin, store="elsewhere")
    replay = memory.replay(altered(recall, hits=lost, found=5, origin=origin))
    assert replay.verdict == "different"
    assert {change.id: change.cause for change in replay.differences}["lost"] == "removed"
    assert "'elsewhere'" in replay.reason


OBSTACLES: dict[str, tuple[dict[str, Any], str]] = {
    "a version that never was": ({"table_version": 4_000}, "version 4000"),
    "no version at all": ({"table_version": -1}, "version -1"),
    "a version beyond numbers": ({"table_version": 2**70}, "no version"),
    "another embedding space": ({"passport_id": "feed"}, "feed"),
    "an unknown weight": ({"ranking": {"magic": 1.0}}, "magic"),
    "a weight that is none": ({"ranking": {"dense": -1.0}}, "dense"),
    "altered weights": ({"ranking": {"dense": 2.0}}, "hash"),
}


@pytest.mark.parametrize("what", OBSTACLES)
def test_what_cannot_be_replayed_is_told_with_its_repair_and_never_faked(
    memory: Memory, what: str
) -> None:
    tell(memory)
    fields, named = OBSTACLES[what]
    replay = memory.replay(altered(memory.search("soup?", user_id="ada"), **fields))
    assert replay.verdict == "impossible"
    assert named in replay.reason
    assert "Repair" in replay.reason
    assert (replay.replayed, replay.differences, replay.changes) == ((), (), ())
    assert (replay.now, replay.answer) == (None, None)


def prune(memory: Memory) -> None:
    """Drop every past version, as maintenance does once they are old enough."""
    with memory._parts.store._table.reading() as table:
        table.optimize(cleanup_older_than=timedelta(milliseconds=1))


def test_a_version_that_is_pruned_cannot_be_replayed_by_anyone(memory: Memory) -> None:
    tell(memory)
    recall = memory.search("soup?", user_id="ada")
    memory.delete("t0", user_id="ada")
    assert memory.replay(recall).is_identical  # and so the version is in memory
    memory.add(say("soup anew", id="t9"), user_id="ada")
    prune(memory)
    replay = memory.replay(recall, now=True)
    assert replay.verdict == "impossible"
    assert "keep_versions" in replay.reason
    assert replay.now is not None
    causes = {change.id: change.cause for change in replay.changes}
    assert causes["t0"] == "removed"
    assert causes["t9"] == "added"
    assert set(causes.values()) <= {"removed", "added", "unknown"}


def test_todays_answer_in_another_embedding_space_is_put_down_to_the_model(memory: Memory) -> None:
    tell(memory)
    recall = memory.search("soup?", user_id="ada")
    turned = tuple(reversed(altered(recall).hits))
    replay = memory.replay(altered(recall, passport_id="feed", hits=turned), now=True)
    assert replay.verdict == "impossible"
    assert {change.cause for change in replay.changes} == {"model"}


def test_a_scoped_handle_replays_nothing_beyond_its_bound(memory: Memory) -> None:
    tell(memory)
    memory.add(say("soup of Bo", id="b"), user_id="bo")
    hers, everyone = memory.search("soup?", user_id="ada"), memory.search("soup?", scope=ALL)
    ada, bo = memory.scoped(user_id="ada"), memory.scoped(user_id="bo")
    session = memory.scoped(user_id="ada", session_id="s")
    assert ada.replay(hers).is_identical
    for bound, recall in [(bo, hers), (ada, everyone), (session, hers)]:
        with pytest.raises(InvalidInput, match="bound"):
            bound.replay(recall, now=True)
    assert session.replay(session.search("soup?")).is_identical


@pytest.mark.parametrize("given", [None, 7, "abc", {"gen_ai.operation.name": "embeddings"}, {}])
def test_what_tells_of_no_search_is_refused(memory: Memory, given: object) -> None:
    with pytest.raises(InvalidInput, match=r"Pass|pass"):
        memory.replay(given)


def test_an_empty_answer_replays(memory: Memory) -> None:
    recall = memory.search("soup?", user_id="ada")
    tell(memory)
    replay = memory.replay(recall, now=True)
    assert replay.is_identical
    assert {change.cause for change in replay.changes} == {"added"}


def test_searches_of_the_default_model_replay(
    exporter: InMemorySpanExporter, tmp_path: Path, minilm: SentenceTransformerEmbedder
) -> None:
    options: dict[str, Any] = {"embedder": minilm, "capture_content": True}
    with open_hashed(tmp_path / "s", **options) as memory:
        conversations = Conversations(memory, seed=5)
        for _ in range(8):
            conversations.write() if conversations.done["add"] else conversations.add()
            conversations.done["add"] += 1
            memory.search("what does my sister love?", agent_id="aide", k=4)
    with open_hashed(tmp_path / "s", **options) as memory:
        replays = [memory.replay(span, now=True) for span in spans(exporter)]
    assert len(replays) == 8
    assert {replay.verdict for replay in replays} == {"identical"}
    assert "added" in {change.cause for replay in replays for change in replay.changes}
