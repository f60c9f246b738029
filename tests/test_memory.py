"""`Memory` from end to end: what is added is kept as it was said, and found at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_tools import Meddling, at, contents, ids, open_hashed, say

from agentmem import ALL, InvalidInput, Memory, NotFound, field
from agentmem.embedding import SentenceTransformerEmbedder
from agentmem.testing import HashEmbedder
from agentmem.types import Attachment, Scope, Turn

CHAT = [
    say("I moved to Lisbon in May.", created_at=at(0)),
    {"role": "assistant", "content": "How is the new flat?", "created_at": at(0)},
    say("Small, but the kitchen gets the morning sun.", created_at=at(0)),
    say("My sister Nora plays the cello in an orchestra.", created_at=at(1)),
    say("The dentist wants to pull a wisdom tooth.", created_at=at(2)),
    say("I am allergic to peanuts.", created_at=at(3)),
]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with open_hashed(tmp_path / "store") as opened:
        yield opened


@pytest.fixture(scope="module")
def chat(
    minilm: SentenceTransformerEmbedder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Memory]:
    """Give a memory with real meaning, that no test writes to."""
    with Memory.open(tmp_path_factory.mktemp("chat") / "store", embedder=minilm) as opened:
        opened.add(CHAT, user_id="ada", session_id="s1")
        yield opened


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Which city does the user live in?", CHAT[0]),
        ("What foods must be avoided?", CHAT[5]),
        ("Who is a musician?", CHAT[3]),
    ],
)
def test_a_question_finds_its_answer_by_meaning_alone(
    chat: Memory, question: str, answer: dict[str, Any]
) -> None:
    recall = chat.search(question, user_id="ada", k=1, mode="dense", explain=True)
    assert contents(recall) == [answer["content"]]
    evidence = recall[0].evidence
    assert evidence is not None
    assert evidence.similarity > 0.2
    assert not evidence.words


def test_a_word_finds_its_turn_in_any_inflection(chat: Memory) -> None:
    recall = chat.search("peanut allergic", user_id="ada", k=1, mode="lexical", explain=True)
    assert contents(recall) == ["I am allergic to peanuts."]
    evidence = recall[0].evidence
    assert evidence is not None
    assert set(evidence.words) == {"peanut", "allergic"}
    assert evidence.bm25 == pytest.approx(sum(evidence.words.values()))
    assert evidence.similarity == 0
    assert evidence.chunk == "I am allergic to peanuts."


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_terms_add_up_to_the_score_and_hits_come_best_first(chat: Memory, mode: Any) -> None:
    recall = chat.search("What did the dentist say about Nora in May?", user_id="ada", mode=mode)
    assert len(recall) == recall.candidates == len(CHAT)
    for hit in recall:
        assert sum(hit.terms.values()) == pytest.approx(hit.score, abs=1e-4)
    scores = [hit.score for hit in recall]
    assert scores == sorted(scores, reverse=True)
    assert {"dense": "lexical", "lexical": "dense"}.get(mode) not in recall[0].terms


def test_a_recall_says_what_was_asked_and_where_it_looked(chat: Memory) -> None:
    recall = chat.search("cello", user_id="ada", session_id="s1", k=2, mode="lexical")
    assert (recall.query, recall.mode) == ("cello", "lexical")
    assert recall.scope == Scope(user_id="ada", session_id="s1")
    assert recall.passport_id == chat.stats().passport.id
    assert recall.table_version == chat.stats().table_version
    assert all(spent >= 0 for spent in recall.milliseconds.values())
    assert len(recall) == 2
    assert contents(recall[:1]) == contents([recall[0]])


def test_what_was_added_is_found_at_once_by_every_handle(
    minilm: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    with (
        Memory.open(tmp_path, embedder=minilm) as writer,
        Memory.open(tmp_path, embedder=minilm) as reader,
    ):
        assert not reader.search("anything", user_id="ada")
        for message in CHAT:
            writer.add(message, user_id="ada")
        writer.add(say("Grandmother's ring is in the blue safe."), user_id="ada")
        for handle in (writer, reader):
            for mode, query in (("dense", "hidden jewellery"), ("lexical", "safe")):
                found = handle.search(query, user_id="ada", k=1, mode=mode)  # type: ignore[arg-type]
                assert contents(found) == ["Grandmother's ring is in the blue safe."]


def test_another_process_finds_what_was_added(memory: Memory, tmp_path: Path) -> None:
    memory.add(say("The code of the gate is 4711."), user_id="ada")
    program = (
        "import sys; from agentmem import Memory; from agentmem.testing import HashEmbedder\n"
        "memory = Memory.open(sys.argv[1], embedder=HashEmbedder(512), create=False)\n"
        "for mode in ('dense', 'lexical'):\n"
        "    print(memory.search('gate code', user_id='ada', mode=mode)[0].turn.content)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines() == ["The code of the gate is 4711."] * 2


VERBATIM = [
    "NUL \0 inside",
    "family 👩‍👩‍👧 and e\u0301 beside é",
    "one\r\ntwo\rthree\u2028four",
    "  spaces before and after \t",
    "' OR 1=1; -- \\",
    "ﷺ ½ ﬁ",
]


@pytest.mark.parametrize("content", [*VERBATIM, "a megabyte of words " * 50_000])
def test_content_comes_back_to_the_last_character(memory: Memory, content: str) -> None:
    (identity,) = memory.add(say(content), user_id="ada")
    assert memory.get(identity, user_id="ada").content == content
    assert contents(memory.search("a word", user_id="ada")) == [content]


@settings(max_examples=40)
@given(texts=st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=5))
def test_whatever_is_said_is_kept_in_order(memory: Memory, texts: list[str]) -> None:
    new = memory.add([say(text) for text in texts], user_id="ada")
    assert [memory.get(one, user_id="ada").content for one in new] == texts
    assert contents(memory.turns(user_id="ada", limit=10_000))[-len(texts) :] == texts


def test_every_field_of_a_message_is_kept(memory: Memory) -> None:
    message = {
        "role": "assistant",
        "content": "Look!",
        "id": 'it\'s "1" ✓',
        "name": "Ada",
        "created_at": "2024-05-01T12:00:00+02:00",
        "metadata": {"topic": "travel", "deep": {"n": [1, 2.5, None, True]}},
        "attachments": [{"type": "image", "url": "https://x/y.png", "caption": "a red kite"}],
        "importance": 0.7,
    }
    before = datetime.now(timezone.utc)
    assert memory.add(message, user_id="ada", agent_id="helper", session_id="s1") == [message["id"]]
    turn = memory.get('it\'s "1" ✓', user_id="ada")
    assert before <= turn.ingested_at <= datetime.now(timezone.utc)
    assert turn == Turn(
        id='it\'s "1" ✓',
        role="assistant",
        content="Look!",
        event_time=datetime(2024, 5, 1, 10, tzinfo=timezone.utc),
        ingested_at=turn.ingested_at,
        name="Ada",
        user_id="ada",
        agent_id="helper",
        session_id="s1",
        metadata=message["metadata"],  # type: ignore[arg-type]
        attachments=(Attachment("image", "https://x/y.png", "a red kite"),),
        importance=0.7,
    )


def test_text_one_message_and_many_are_all_accepted(memory: Memory) -> None:
    @dataclass
    class Message:
        role: str
        content: str

    assert len(memory.add("plain text", user_id="ada")) == 1
    assert len(memory.add(say("one message"), user_id="ada")) == 1
    assert len(memory.add((m for m in [say("a"), Message("user", "b")]), user_id="ada")) == 2
    assert memory.add([], user_id="ada") == []
    assert contents(memory.turns(user_id="ada")) == ["plain text", "one message", "a", "b"]


def test_a_caption_is_found_like_what_was_said(
    minilm: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    shared = [{"type": "image", "url": "https://x/1.png", "caption": "a golden retriever on skis"}]
    with Memory.open(tmp_path, embedder=minilm) as memory:
        memory.add([*CHAT, say("Guess where we are!", attachments=shared)], user_id="ada")
        for mode, query in (("lexical", "retriever"), ("dense", "photo of a dog in the snow")):
            found = memory.search(query, user_id="ada", k=1, mode=mode)  # type: ignore[arg-type]
            assert contents(found) == ["Guess where we are!"]


def test_the_end_of_a_very_long_turn_is_found_by_word_and_by_meaning(
    minilm: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    filler = "The minutes of the town council list the repairs of the northern road. " * 4_300
    needle = "Aunt Petra keeps bees and sells their honey."
    assert len(filler) > 300_000  # one sentence over and over: equal pieces are embedded once
    with Memory.open(tmp_path, embedder=minilm) as memory:
        memory.add(say(filler + needle, id="long"), user_id="ada")
        memory.add(CHAT, user_id="ada")
        for mode, query in (("lexical", "Petra"), ("dense", "Who is a beekeeper?")):
            (hit,) = memory.search(query, user_id="ada", k=1, mode=mode, explain=True)  # type: ignore[arg-type]
            assert hit.turn.id == "long"
            assert hit.turn.content == filler + needle
            assert hit.evidence is not None
            assert needle in hit.evidence.chunk
            assert len(hit.evidence.chunk) < 3_000
        assert memory.stats().chunks > 100


@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
def test_the_part_of_a_long_turn_that_is_shown_holds_the_word_asked_for(
    tmp_path: Path, mode: Any
) -> None:
    parts = [f"Garden notes number {n}: nothing but lawn." for n in range(800)]
    parts[517] = "The spare key is with zebra-9917."
    few = HashEmbedder(16)  # so few components that the vectors say next to nothing
    with open_hashed(tmp_path, embedder=few) as memory:
        memory.add([say(" ".join(parts)), say("Something else.")], user_id="ada")
        (hit,) = memory.search("zebra-9917", user_id="ada", k=1, mode=mode, explain=True)
    assert hit.evidence is not None
    assert "zebra-9917" in hit.evidence.chunk


def test_adding_again_stores_nothing_twice(memory: Memory) -> None:
    messages = [say("one", id="1", metadata={"n": 1}), say("two", id="2", created_at=at(0))]
    memory.add(messages, user_id="ada", session_id="s")
    before = memory.turns(user_id="ada")
    version = memory.stats().table_version
    assert memory.add(messages, user_id="ada", session_id="s") == ["1", "2"]
    assert memory.add([*messages, *messages], user_id="ada", session_id="s") == ["1", "2"] * 2
    assert memory.turns(user_id="ada") == before
    assert memory.stats().table_version == version


def test_a_taken_id_is_refused_and_nothing_of_the_call_is_stored(memory: Memory) -> None:
    memory.add(say("one", id="1"), user_id="ada")
    for change in (say("two", id="1"), say("one", id="1", metadata={"n": 1})):
        with pytest.raises(InvalidInput, match=r"taken .* on_conflict='replace'"):
            memory.add([say("new"), change], user_id="ada")
    assert contents(memory.turns(user_id="ada")) == ["one"]


def test_replacing_leaves_nothing_of_the_old_text_to_find(
    minilm: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    with Memory.open(tmp_path, embedder=minilm) as memory:
        long = "The harbour pilot reads the tide tables. " * 60
        memory.add(say(long + "Call me on 5550199.", id="1", created_at=at(0)), user_id="ada")
        memory.add(CHAT, user_id="ada")
        stored = memory.get("1", user_id="ada")
        assert memory.search("5550199", user_id="ada", k=1, mode="lexical")[0].turn == stored
        new = say("Tea is better without sugar.", id="1")
        assert memory.add(new, user_id="ada", on_conflict="replace") == ["1"]
        assert memory.count(user_id="ada") == memory.stats().chunks == 1 + len(CHAT)
        assert memory.get("1", user_id="ada").ingested_at == stored.ingested_at
        for mode, query in (("lexical", "5550199 harbour"), ("dense", "ships and tides")):
            recall = memory.search(query, user_id="ada", mode=mode, explain=True)  # type: ignore[arg-type]
            assert len(recall) == 1 + len(CHAT)
            assert not any("harbour" in text for text in contents(recall))
            assert all(hit.evidence and hit.evidence.similarity < 0.3 for hit in recall)
            assert not any(hit.evidence and hit.evidence.words for hit in recall)
        assert ids(memory.search("sugar in tea", user_id="ada", k=1)) == ["1"]


@pytest.mark.parametrize("on_conflict", ["error", "replace"])
def test_an_id_taken_while_a_message_is_embedded_is_never_lost_silently(
    tmp_path: Path, on_conflict: Any
) -> None:
    embedder = Meddling()
    with open_hashed(tmp_path, embedder=embedder) as memory, open_hashed(tmp_path) as other:
        embedder.meanwhile = lambda: other.add(say("theirs", id="1"), user_id="ada")
        ours = [say("ours", id="1"), say("beside it", id="2")]
        if on_conflict == "replace":
            assert memory.add(ours, user_id="ada", on_conflict="replace") == ["1", "2"]
            assert memory.get("1", user_id="ada").content == "ours"
            assert set(contents(memory.search("theirs", user_id="ada"))) == {"ours", "beside it"}
        else:
            with pytest.raises(
                InvalidInput, match=r"'1' is taken .* whatever else the call held is stored"
            ):
                memory.add(ours, user_id="ada")
            assert memory.get("1", user_id="ada").content == "theirs"
            assert memory.get("2", user_id="ada").content == "beside it"
        assert memory.count(user_id="ada") == 2


def test_undated_messages_keep_their_order_and_the_day_of_their_history(memory: Memory) -> None:
    memory.add([say("b", created_at=at(1)), say("c")], user_id="ada", session_id="old")
    memory.add([say("d"), say("e")], user_id="ada", session_id="new")
    memory.add([say("a", created_at=at(0))], user_id="ada", session_id="old")
    turns = memory.turns(user_id="ada")
    assert contents(turns) == ["a", "b", "c", "d", "e"]
    assert turns[2].event_time == at(1)
    assert turns[3].event_time == turns[3].ingested_at < turns[4].event_time


def test_records_are_listed_counted_and_deleted(memory: Memory) -> None:
    first = memory.add(CHAT[:3], user_id="ada", session_id="s1")
    second = memory.add(CHAT[3:], user_id="ada", session_id="s2")
    memory.add(say("not hers"), user_id="bob", session_id="s1")
    assert ids(memory.turns(user_id="ada")) == [*first, *second]
    assert ids(memory.turns(user_id="ada", offset=2, limit=2)) == [first[2], second[0]]
    assert memory.turns(user_id="ada", offset=99) == []
    sessions = memory.sessions(user_id="ada")
    assert [(one.session_id, one.turns, one.first, one.last) for one in sessions] == [
        ("s1", 3, at(0), at(0)),
        ("s2", 3, at(1), at(3)),
    ]
    stats = memory.stats()
    assert (stats.turns, stats.users, stats.sessions) == (7, 2, 3)
    dry = memory.delete([first[0], "nowhere"], user_id="ada", dry_run=True)
    assert (dry.turns, dry.missing, dry.dry_run) == (1, ("nowhere",), True)
    assert memory.count(user_id="ada") == 6
    assert memory.delete(first[0], user_id="ada").turns == 1
    late = {"event_time": {"gte": at(2)}}
    assert memory.delete(user_id="ada", session_id="s2", where=late).turns == 2
    assert ids(memory.turns(user_id="ada")) == [*first[1:], second[0]]
    assert not memory.search("peanuts", user_id="ada", where={"content": {"contains": "peanut"}})
    with pytest.raises(NotFound, match=first[0]):
        memory.get(first[0], user_id="ada")
    assert memory.delete(user_id="ada").turns == 3
    assert memory.count(scope=ALL) == 1


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "parquet"])
def test_an_export_imports_back_identically(memory: Memory, tmp_path: Path, suffix: str) -> None:
    memory.add([*CHAT, *map(say, VERBATIM)], user_id="ada", session_id="s1")
    memory.add(say("undated", id="x"), user_id="bob", agent_id="helper")
    file = tmp_path / f"turns.{suffix}"
    assert memory.export(file, scope=ALL, vectors=True) == len(CHAT) + len(VERBATIM) + 1
    with open_hashed(tmp_path / "copy") as copy:
        report = copy.import_turns(file)
        assert (report.stored, report.unchanged, report.rejected) == (13, 0, 0)
        for user in ("ada", "bob"):
            assert copy.turns(user_id=user) == memory.turns(user_id=user)
        asked = {"user_id": "ada", "k": 50}
        ours, theirs = (one.search("the flat in Lisbon", **asked) for one in (memory, copy))  # type: ignore[arg-type]
        assert [(hit.turn, hit.score) for hit in ours] == [(hit.turn, hit.score) for hit in theirs]
        assert copy.import_turns(file).stored == 0


def test_a_store_opened_again_holds_what_was_added(tmp_path: Path) -> None:
    with open_hashed(tmp_path / "store") as memory:
        memory.add(CHAT, user_id="ada")
        before = memory.turns(user_id="ada")
    with open_hashed(tmp_path / "store", read_only=True) as memory:
        assert memory.turns(user_id="ada") == before
        assert contents(memory.search("cello", user_id="ada", k=1)) == [CHAT[3]["content"]]


def test_filters_are_given_as_expressions_or_as_dictionaries(memory: Memory) -> None:
    memory.add([say(f"note {n}", metadata={"n": n}) for n in range(9)], user_id="ada")
    expression = (field("metadata.n") >= 3) & (field("metadata.n") < 5)
    mapping = {"metadata.n": {"gte": 3, "lt": 5}}
    for where in (expression, mapping):
        assert contents(memory.turns(user_id="ada", where=where)) == ["note 3", "note 4"]
        assert memory.count(user_id="ada", where=where) == 2
        recall = memory.search("note", user_id="ada", where=where)
        assert sorted(contents(recall)) == ["note 3", "note 4"]
        assert recall.candidates == 2
        assert memory.delete(user_id="ada", where=where, dry_run=True).turns == 2
