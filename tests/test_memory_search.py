"""`Memory.search`: what narrows it, what reorders it, and what it may cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from memory_tools import CANARIES, MAY, WIDE, at, contents, ids, open_hashed, say
from numpy.typing import NDArray

from agentmem import Memory, Ranking
from agentmem.embedding import CachedEmbedder
from agentmem.storage.handle import Handle, Past
from agentmem.storage.meta import Meta
from agentmem.storage.turns import Store
from agentmem.testing import HashEmbedder
from agentmem.types import Kind


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with open_hashed(tmp_path) as opened:
        yield opened


def notes(count: int, **fields: Any) -> list[dict[str, Any]]:
    """Return dated notes; the later ones say more about the harbour."""
    return [
        say(f"note {n} " + "harbour " * n + "pier", id=str(n), created_at=at(n), **fields)
        for n in range(count)
    ]


def test_times_narrow_a_search_before_it_ranks(memory: Memory) -> None:
    memory.add(notes(9), user_id="ada")
    assert ids(memory.search("harbour", user_id="ada", k=1)) == ["8"]
    recall = memory.search("harbour", user_id="ada", k=1, since=at(2), until=at(5))
    assert ids(recall) == ["4"]
    assert recall.candidates == 3
    every = memory.search("harbour", user_id="ada", since=at(2), until=at(5))
    assert set(ids(every)) == {"2", "3", "4"}


@pytest.mark.parametrize(
    "moment", [at(6), "2024-05-07T14:00:00+02:00", at(6).timestamp()], ids=["datetime", "iso", "s"]
)
def test_a_moment_is_a_datetime_iso_text_or_seconds(memory: Memory, moment: Any) -> None:
    memory.add(notes(9), user_id="ada")
    assert set(ids(memory.search("pier", user_id="ada", since=moment))) == {"6", "7", "8"}
    assert set(ids(memory.search("pier", user_id="ada", until=moment))) == set("012345")


def test_filters_narrow_a_search_before_it_ranks(memory: Memory) -> None:
    memory.add(notes(5, metadata={"topic": "sea"}), user_id="ada")
    memory.add(say("a pier", metadata={"topic": "land"}, created_at=MAY), user_id="ada")
    recall = memory.search("harbour", user_id="ada", k=1, where={"metadata.topic": "land"})
    assert contents(recall) == ["a pier"]
    assert recall.candidates == 1
    assert not memory.search("harbour", user_id="ada", where={"metadata.topic": "sky"})


@pytest.mark.parametrize("k", [1, 3, 5, 6, 1000, 10**6, 10**30])
def test_k_bounds_the_hits_and_may_exceed_the_store(memory: Memory, k: int) -> None:
    memory.add(notes(5), user_id="ada")
    for ranking in (None, Ranking(diversity=0.3)):
        recall = memory.search("harbour", user_id="ada", k=k, ranking=ranking)
        assert len(recall) == min(k, 5) == len(set(ids(recall)))


def test_fewer_hits_are_the_best_of_more(memory: Memory) -> None:
    memory.add(notes(30), user_id="ada")
    every = memory.search("harbour pier", user_id="ada", k=30)
    for k in (1, 2, 7, 29):
        assert memory.search("harbour pier", user_id="ada", k=k).hits == every[:k]


def test_recency_counts_on_request_and_never_beats_relevance(memory: Memory) -> None:
    texts = ["the harbour pier", "my aunt's garden", "the harbour pier", "a new bicycle"]
    messages = [say(text, created_at=at(30 * n)) for n, text in enumerate(texts)]
    first, _, second, _ = memory.add(messages, user_id="ada")
    plain = memory.search("harbour pier", user_id="ada", ranking=Ranking.plain())
    assert ids(plain[:2]) == [first, second]
    assert plain[0].score == plain[1].score
    recent = Ranking(recency=1.0, recency_days=400)
    recall = memory.search("harbour pier", user_id="ada", ranking=recent)
    assert ids(recall[:2]) == [second, first]
    assert recall[0].terms["recency"] > recall[1].terms["recency"] > 0
    assert sum(recall[0].terms.values()) == pytest.approx(recall[0].score, abs=1e-4)


def test_importance_counts_on_request(memory: Memory) -> None:
    messages = [say("the harbour pier"), say("the harbour pier", importance=1.0), say("a bicycle")]
    first, important, _ = memory.add(messages, user_id="ada")
    assert ids(memory.search("harbour", user_id="ada", k=2)) == [first, important]
    weighed = memory.search("harbour", user_id="ada", k=2, ranking=Ranking(importance=0.5))
    assert ids(weighed) == [important, first]
    assert "importance" in weighed[0].terms


def test_diversity_puts_something_else_beside_the_best(memory: Memory) -> None:
    texts = [*["the harbour pier"] * 3, "the harbour museum", "a bicycle"]
    memory.add([*map(say, texts)], user_id="ada")
    different = memory.search("harbour pier", user_id="ada", k=2, ranking=Ranking(diversity=0.6))
    assert contents(different)[0] == "the harbour pier" != contents(different)[1]
    assert len(set(contents(memory.search("harbour pier", user_id="ada", k=2)))) == 1


class Longest:
    """A reranker that likes long texts, and remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:  # noqa: ARG002 - likes them all the same
        """Score by length."""
        self.seen = list(texts)
        return np.array([float(len(text)) for text in texts])


def test_a_reranker_reorders_the_best_and_nothing_else(tmp_path: Path) -> None:
    reranker = Longest()
    with open_hashed(tmp_path, reranker=reranker, ranking=Ranking(rerank_top=3)) as memory:
        shared = [{"type": "image", "caption": "a lighthouse at night, seen from the ferry"}]
        memory.add(
            [
                say("harbour harbour harbour"),
                say("the harbour again"),
                say("harbour", attachments=shared),
                say("nothing to do with it, and by far the longest text of all of them"),
            ],
            user_id="ada",
        )
        recall = memory.search("harbour", user_id="ada")
        assert len(reranker.seen) == 3
        assert "user: harbour [shares a lighthouse at night, seen from the ferry]" in reranker.seen
        assert contents(recall)[0] == "harbour"
        assert contents(recall)[3].startswith("nothing")
        for hit in recall:
            assert sum(hit.terms.values()) == pytest.approx(hit.score, abs=1e-4)
        assert [hit.score for hit in recall] == sorted((hit.score for hit in recall), reverse=True)
        assert len(memory.search("harbour", user_id="ada", k=1)) == 1


def test_a_ranking_is_given_to_the_store_or_to_one_search(tmp_path: Path) -> None:
    with open_hashed(tmp_path, ranking=Ranking.plain()) as memory:
        memory.add([say("Is the pier open?"), say("The pier is open.")], user_id="ada")
        plain = memory.search("pier open?", user_id="ada")
        full = memory.search("pier open?", user_id="ada", ranking=Ranking())
        assert plain.config_id == Ranking.plain().id != full.config_id == Ranking().id
        assert not any("question" in hit.terms for hit in plain)
        assert contents(full)[0] == "The pier is open."
        assert "question" in full[1].terms


def test_the_speaker_named_in_a_question_is_preferred(memory: Memory) -> None:
    texts = [("Nora", "I bought a red boat."), ("Ivo", "Nora bought a red boat.")]
    memory.add([say(text, name=name) for name, text in texts], user_id="ada")
    recall = memory.search("What did Nora buy? A boat?", user_id="ada")
    assert recall[0].turn.name == "Nora"
    assert recall[0].terms["speaker"] > 0


class Counting(HashEmbedder):
    """Remembers every text it was asked to embed."""

    def __init__(self) -> None:
        super().__init__(WIDE)
        self.texts: Counter[tuple[str, str]] = Counter()

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts, and count each but the canaries."""
        if CANARIES.issuperset(texts):
            return super().embed(texts, kind=kind)
        self.texts.update((kind, text) for text in texts)
        return super().embed(texts, kind=kind)


def test_no_text_is_embedded_twice(tmp_path: Path) -> None:
    embedder = Counting()
    with open_hashed(tmp_path, embedder=embedder) as memory:
        memory.add([*map(say, ["one", "two", "one"])], user_id="ada")
        memory.add("two", user_id="bob")
        for mode in ("hybrid", "dense", "lexical"):
            memory.search("which?", user_id="ada", mode=mode, explain=True)
        memory.context("which?", user_id="ada", max_tokens=99)
    assert embedder.texts == {
        ("document", "user: one"): 1,
        ("document", "user: two"): 1,
        ("query", "which?"): 1,
    }


def test_a_cache_given_by_the_caller_is_used_as_it_is(tmp_path: Path) -> None:
    cache = CachedEmbedder(HashEmbedder(WIDE))
    with open_hashed(tmp_path / "one", embedder=cache) as one:
        one.add("shared text", user_id="ada")
    with open_hashed(tmp_path / "two", embedder=cache) as two:
        two.add("shared text", user_id="ada")
    assert (cache.hits, cache.misses) == (1, 1)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the calls of the store's own methods, and of what reaches LanceDB below it."""
    counted: Counter[str] = Counter()

    def spied(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            counted[name] += 1
            return method(*args, **kwargs)

        return call

    known = {"name", "passport", "generation"}  # since it was opened
    for name in [name for name in dir(Store) if not name.startswith("_") and name not in known]:
        method = getattr(Store, name)
        if isinstance(method, property):
            monkeypatch.setattr(Store, name, property(spied(name, method.fget)))  # type: ignore[arg-type]
        elif name != "open":
            monkeypatch.setattr(Store, name, spied(name, method))
    for name in ("reading", "pinned", "commit"):
        monkeypatch.setattr(Handle, name, spied(f"lancedb.{name}", getattr(Handle, name)))
    monkeypatch.setattr(Past, "reading", spied("lancedb.past", Past.reading))
    monkeypatch.setattr(Meta, "get", spied("meta.get", Meta.get))
    version = cast("property", vars(Meta)["version"]).fget
    assert version is not None
    monkeypatch.setattr(Meta, "version", property(spied("meta.version", version)))
    return counted


@pytest.mark.parametrize("options", [{}, {"since": at(1), "until": at(4)}, {"mode": "lexical"}])
def test_a_search_of_an_unchanged_store_asks_lancedb_for_its_version_alone(
    memory: Memory, calls: Counter[str], options: dict[str, Any]
) -> None:
    memory.add(notes(9), user_id="ada")
    memory.search("harbour", user_id="ada", k=3)
    calls.clear()
    assert len(memory.search("the old pier", user_id="ada", k=3, **options)) == 3
    asked = {"meta.version": 1, "version": 1, "lancedb.reading": 1, "at": 1}
    assert calls == asked  # whether the store has moved, and the table


def test_an_add_of_messages_without_ids_is_one_commit_and_no_look_up(
    memory: Memory, calls: Counter[str]
) -> None:
    memory.add("first", user_id="ada")
    calls.clear()
    memory.add([*map(say, "abcdef")], user_id="ada")
    asked = {"meta.version": 3}  # before and after: whether the store has moved; and of tombstones
    assert calls == {"audit": 1, "append": 1, "lancedb.commit": 1, **asked}
