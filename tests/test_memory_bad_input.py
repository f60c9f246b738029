"""Bad input: each kind has its error, which names the repair, and harms nothing that is stored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pytest
from memory_tools import WIDE, contents, open_hashed, say
from numpy.typing import NDArray

from agentmem import (
    ALL,
    AgentmemError,
    EmbedderMismatch,
    EmbeddingFailed,
    InvalidInput,
    Memory,
    NotFound,
    SchemaTooNew,
    StoreError,
    StoreNotFound,
)
from agentmem.embedding import SentenceTransformerEmbedder
from agentmem.testing import HashEmbedder
from agentmem.types import Kind, Turn

Call = Callable[[Memory], object]
Snapshot = tuple[list[Turn], list[str]]

FAR = datetime.now(timezone.utc) + timedelta(days=30)
NAIVE = datetime(2024, 5, 1)  # noqa: DTZ001 - that is what is refused


def snapshot(memory: Memory) -> Snapshot:
    """Return all that is stored, and what a search finds."""
    return memory.turns(scope=ALL), contents(memory.search("harbour", scope=ALL, k=99))


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    with open_hashed(tmp_path_factory.mktemp("bad") / "store") as opened:
        opened.add([say("the harbour", id="1"), say("a pier", id="2")], user_id="ada")
        yield opened


def add(message: Any, **given: Any) -> Call:
    """Return the call that adds a good message and this one."""
    return lambda memory: memory.add([say("good"), message], **{"user_id": "ada", **given})


def search(query: Any = "harbour", **given: Any) -> Call:
    """Return the call that searches so."""
    return lambda memory: memory.search(query, **{"user_id": "ada", **given})


def context(**given: Any) -> Call:
    """Return the call that packs so."""
    return lambda memory: memory.context("harbour", user_id="ada", **{"max_tokens": 9, **given})


REFUSED: dict[str, tuple[Call, str]] = {
    "empty text": (add(say("")), r"messages\[1\]: content is empty.*Leave the message out"),
    "blank text": (add(say(" \n\t")), "content is empty"),
    "more than a turn holds": (add(say("x" * (4 * 2**20 + 1))), "Split it into several"),
    "a lone surrogate": (add(say("half \ud83d")), "lone surrogate.*replace"),
    "an unknown role": (add({"role": "narrator", "content": "x"}), "Roles are user"),
    "a missing role": (add({"content": "x"}), "role is missing.*Roles are"),
    "a naive date": (add(say("x", created_at=NAIVE)), "no time zone.*timezone.utc"),
    "a future date": (add(say("x", created_at=FAR)), "in the future.*metadata"),
    "a date that is none": (add(say("x", created_at="yesterday")), "Write it like '2024-"),
    "milliseconds": (add(say("x", created_at=1.7e12)), "divide milliseconds by 1000"),
    "one id for two messages": (
        lambda m: m.add([say("x", id="3"), say("y", id="3")], user_id="ada"),
        "share the id '3'.*own id",
    ),
    "a taken id": (add(say("other", id="1")), "taken.*on_conflict='replace'"),
    "an id with a NUL": (add(say("x", id="a\0b")), "NUL.*Remove it"),
    "an endless id": (add(say("x", id="i" * 513)), "at most 512.*hash"),
    "an id that is no text": (add(say("x", id=7)), r"Pass str\(...\)"),
    "metadata with a date": (add(say("x", metadata={"at": FAR})), "ISO strings"),
    "metadata that is not finite": (add(say("x", metadata={"n": float("nan")})), "Use None"),
    "too much metadata": (add(say("x", metadata={"n": "x" * 2**18})), "keep its address"),
    "importance beyond 1": (add(say("x", importance=2)), "between 0 and 1"),
    "an unknown field": (add(say("x", timestamp=7)), "Did you mean 'created_at'"),
    "no message": (add(None), "Pass text, a dictionary"),
    "another's message": (add(say("x", user_id="bob")), "contradicts.*Remove one"),
    "an unknown on_conflict": (add(say("x"), on_conflict="skip"), "'error' or 'replace'"),
    "an empty user": (add(say("x"), user_id=""), "Pass None"),
    "k = 0": (search(k=0), "1 or more"),
    "k = -1": (search(k=-1), "1 or more"),
    "k = 1.5": (search(k=1.5), "1 or more"),
    "k = True": (search(k=True), "1 or more"),
    "k = '5'": (search(k="5"), "1 or more"),
    "an empty query": (search(" \n"), "list turns in order"),
    "no query": (search(None), "Pass the question"),
    "a query with a surrogate": (search("\udfff"), "lone surrogate"),
    "an unknown mode": (search(mode="fuzzy"), "hybrid, dense, lexical"),
    "a naive since": (search(since=NAIVE), "since.*no time zone"),
    "an until that is none": (search(until="soon"), "until.*Write it like"),
    "SQL for a filter": (search(where="role = 'user' OR 1=1"), "Write it like"),
    "an empty filter": (search(where={}), "Write it like"),
    "a filter on no field": (search(where={"user": "ada"}), "Fields are"),
    "a filter by no operator": (search(where={"role": {"like": "u%"}}), "Operators are"),
    "no budget": (context(max_tokens=0), "1 or more"),
    "a budget of text": (context(max_tokens="99"), "1 or more"),
    "a budget of None": (context(max_tokens=None), "1 or more"),
    "half a token": (context(max_tokens=9.5), "1 or more"),
    "negative neighbours": (context(neighbours=-1), "from 0 to 10"),
    "neighbours of text": (context(neighbours="all"), "'auto'"),
    "context of k = 0": (context(k=0), "1 or more"),
    "SQL for a context's filter": (context(where="1=1"), "Write it like"),
    "limit = 0": (lambda m: m.turns(user_id="ada", limit=0), "limit=0.*1 or more"),
    "offset = -1": (lambda m: m.turns(user_id="ada", offset=-1), "offset=-1.*0 or more"),
    "SQL for a page's filter": (lambda m: m.turns(user_id="ada", where="1=1"), "Write it like"),  # type: ignore[arg-type]
    "SQL for a count's filter": (lambda m: m.count(user_id="ada", where="1=1"), "Write it like"),  # type: ignore[arg-type]
    "SQL for a delete's filter": (
        lambda m: m.delete(user_id="ada", where="1=1"),  # type: ignore[arg-type]
        "Write it like",
    ),
    "an id to get that is none": (lambda m: m.get(1, user_id="ada"), "Pass str"),  # type: ignore[arg-type]
    "ids to delete that are none": (lambda m: m.delete(1, user_id="ada"), "list of them"),  # type: ignore[arg-type]
    "an id to delete that is none": (lambda m: m.delete([1], user_id="ada"), "Pass str"),  # type: ignore[list-item]
    "more ids than one call takes": (
        lambda m: m.delete(map(str, range(10_001)), user_id="ada"),  # type: ignore[arg-type]
        "in parts",
    ),
    "an unknown format": (lambda m: m.export("x.csv", user_id="ada"), r"\.parquet"),
    "no file to import": (lambda m: m.import_turns("no.jsonl", user_id="ada"), "Pass the path"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_with_its_repair_and_harms_nothing(memory: Memory, name: str) -> None:
    before = snapshot(memory)
    call, repair = REFUSED[name]
    with pytest.raises(InvalidInput, match=f"(?s){repair}"):
        call(memory)
    assert snapshot(memory) == before


def test_large_but_possible_numbers_are_no_mistake(memory: Memory) -> None:
    assert len(memory.search("harbour", user_id="ada", k=10**6)) == 2
    assert len(memory.turns(user_id="ada", limit=10**30)) == 2
    assert memory.turns(user_id="ada", offset=10**30) == []
    assert len(memory.context("harbour", user_id="ada", max_tokens=10**30).turns) == 2


def test_missing_turns_are_named_with_the_scope_that_was_looked_in(memory: Memory) -> None:
    with pytest.raises(NotFound, match=r"'9' in user_id='ada'.*wider scope"):
        memory.get("9", user_id="ada")
    with pytest.raises(KeyError):
        memory.get("1", user_id="bob")


@pytest.mark.parametrize("identity", ["it's", '"', "' OR 1=1 --", "✓ é 🦄", "%", "\\", "a\nb"])
def test_odd_ids_are_ids_like_any_other(tmp_path: Path, identity: str) -> None:
    with open_hashed(tmp_path) as memory:
        memory.add([say("odd", id=identity), say("even", id="2")], user_id=identity)
        assert memory.get(identity, user_id=identity).content == "odd"
        assert memory.add(say("odd", id=identity), user_id=identity) == [identity]
        assert memory.delete(identity, user_id=identity).turns == 1
        assert contents(memory.turns(user_id=identity)) == ["even"]


class Failing(HashEmbedder):
    """Fails or gives nonsense for every text that says so."""

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts, unless one of them is to fail."""
        if any("fail" in text for text in texts):
            raise EmbeddingFailed("the model is gone. Repair: bring it back.")
        rows = super().embed(texts, kind=kind)
        rows[["nonsense" in text for text in texts]] = np.nan
        return rows


@pytest.mark.parametrize("text", ["fail", "nonsense"])
def test_a_failing_model_stores_nothing(tmp_path: Path, text: str) -> None:
    with open_hashed(tmp_path, embedder=Failing(WIDE)) as memory:
        memory.add(say("the harbour", id="1"), user_id="ada")
        before = snapshot(memory)
        with pytest.raises(EmbeddingFailed):
            memory.add([say("good"), say(text)], user_id="ada")
        with pytest.raises(EmbeddingFailed):
            memory.add(say(text, id="1"), user_id="ada", on_conflict="replace")
        assert snapshot(memory) == before


def test_a_deleted_model_is_missed_and_the_turns_are_safe(
    tiny_transformer: Path, tmp_path: Path
) -> None:
    folder, store = tmp_path / "model", tmp_path / "store"
    shutil.copytree(tiny_transformer, folder)
    with Memory.open(store, embedder=SentenceTransformerEmbedder(folder)) as memory:
        memory.add("the cat sat on the mat", user_id="ada")
    unread = Memory.open(store, embedder=SentenceTransformerEmbedder(folder))
    shutil.rmtree(folder)
    with unread as memory:
        for call in (lambda: memory.add("rain", user_id="ada"), lambda: snapshot(memory)):
            with pytest.raises(EmbeddingFailed, match=r"moved or deleted.*put the folder back"):
                call()
        found = memory.search("cat", user_id="ada", mode="lexical")
        assert (
            contents(found) == contents(memory.turns(user_id="ada")) == ["the cat sat on the mat"]
        )
    with pytest.raises(EmbeddingFailed, match=r"no model folder.*Nothing already stored is harmed"):
        Memory.open(store, embedder=SentenceTransformerEmbedder(folder))
    shutil.copytree(tiny_transformer, folder)
    with Memory.open(store, embedder=SentenceTransformerEmbedder(folder)) as memory:
        assert len(memory.search("the cat", user_id="ada")) == 1


def test_another_embedder_is_refused_with_both_passports_and_the_repair(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:
        memory.add(say("the harbour", id="1"), user_id="ada")
        before = snapshot(memory)
    other = HashEmbedder(32, window=99)
    with pytest.raises(EmbedderMismatch, match=f"dimension: stored {WIDE}, given 32") as caught:
        Memory.open(tmp_path, embedder=other)
    assert caught.value.stored == HashEmbedder(WIDE).passport
    assert caught.value.given == other.passport
    assert "window: stored 256, given 99" in str(caught.value)
    assert caught.value.repair in str(caught.value)
    with open_hashed(tmp_path) as memory:
        assert snapshot(memory) == before


def test_a_store_of_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:
        memory.add("the harbour", user_id="ada")
    meta = lancedb.connect(tmp_path).open_table("meta")
    described = json.loads(meta.search().where("key = 'store'").to_list()[0]["value"])
    newer = json.dumps({**described, "schema_version": 99})
    meta.update(where="key = 'store'", values={"value": newer})
    with pytest.raises(SchemaTooNew, match=r"version 99.*pip install --upgrade") as caught:
        open_hashed(tmp_path)
    assert (caught.value.found, caught.value.supported) == (99, described["schema_version"])


def test_a_place_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    photos, file = tmp_path / "photos", tmp_path / "notes.txt"
    photos.mkdir()
    (photos / "cat.png").write_bytes(b"png")
    file.write_text("notes", encoding="utf-8")
    with pytest.raises(StoreNotFound, match=r"cat.png.*new or empty"):
        open_hashed(photos)
    with pytest.raises(StoreError, match=r"is a file.*import_turns"):
        open_hashed(file)
    with pytest.raises(StoreNotFound, match="create=True"):
        open_hashed(tmp_path / "nowhere", create=False)
    with pytest.raises(FileNotFoundError):
        open_hashed(tmp_path / "nowhere", read_only=True)
    assert [path.name for path in photos.iterdir()] == ["cat.png"]
    assert file.read_text(encoding="utf-8") == "notes"
    assert not (tmp_path / "nowhere").exists()


def test_a_read_only_handle_reads_and_refuses_to_write(tmp_path: Path) -> None:
    with open_hashed(tmp_path / "store") as memory:
        memory.add([say("the harbour", id="1")], user_id="ada")
        before = snapshot(memory)
    writes: list[Call] = [
        lambda m: m.add("x", user_id="ada"),
        lambda m: m.add(say("y", id="1"), user_id="ada", on_conflict="replace"),
        lambda m: m.delete(user_id="ada"),
        lambda m: m.import_turns([say("x")], user_id="ada"),
    ]
    with open_hashed(tmp_path / "store", read_only=True) as memory:
        for write in writes:
            with pytest.raises(StoreError, match=r"read_only=True.*open it without"):
                write(memory)
        assert memory.export(tmp_path / "turns.jsonl", user_id="ada") == 1
        assert snapshot(memory) == before


def test_every_use_after_close_says_so(tmp_path: Path) -> None:
    memory = open_hashed(tmp_path / "store")
    memory.add("the harbour", user_id="ada")
    scoped = memory.scoped(user_id="ada")
    memory.close()
    memory.close()
    uses: list[Call] = [
        lambda m: m.add("x", user_id="ada"),
        lambda m: m.search("x", user_id="ada"),
        lambda m: m.context("x", user_id="ada", max_tokens=9),
        lambda m: m.get("x", user_id="ada"),
        lambda m: m.turns(user_id="ada"),
        lambda m: m.sessions(user_id="ada"),
        lambda m: m.count(user_id="ada"),
        lambda m: m.delete(user_id="ada"),
        lambda m: m.export(tmp_path / "turns.jsonl", user_id="ada"),
        lambda m: m.import_turns([say("x")], user_id="ada"),
    ]
    for use in uses:
        for handle in (memory, scoped):
            with pytest.raises(StoreError, match=r"is closed. Repair: open it again"):
                use(handle)
    with pytest.raises(AgentmemError, match="closed"):
        memory.stats()
    assert not (tmp_path / "turns.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"path": 5}, "names no place"),
        ({"path": ""}, "names no place"),
        ({"path": "a\0b"}, "names no place"),
        ({"path": "x.mem", "embedder": "all-MiniLM-L6-v2"}, "SentenceTransformerEmbedder"),
        ({"path": "x.mem", "resident_bytes": -1}, "0 or more"),
        ({"path": "x.mem", "ranking": "plain"}, "Ranking"),
    ],
)
def test_an_argument_of_open_that_cannot_be_meant_is_refused(
    arguments: dict[str, Any], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match=told):
        Memory.open(arguments.pop("path"), **{"embedder": HashEmbedder(), **arguments})


@pytest.mark.parametrize("path", [None, 5, "", "a\0b.jsonl"])
def test_an_export_to_no_place_is_refused(path: Any, memory: Memory) -> None:
    with pytest.raises(InvalidInput, match="names no place"):
        memory.export(path, user_id="ada")
