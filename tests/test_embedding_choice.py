from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentmem.embedding import CachedEmbedder, SentenceTransformerEmbedder
from agentmem.embedding.choice import Embedders
from agentmem.errors import EmbedderMismatch, EmbeddingFailed
from agentmem.testing import HashEmbedder
from agentmem.types import Passport


class Asked(HashEmbedder):
    """Counts how often its passport was asked for."""

    times = 0

    @property
    def passport(self) -> Passport:
        self.times += 1
        return super().passport


class Unreachable(HashEmbedder):
    """A service that is down."""

    @property
    def passport(self) -> Passport:
        raise EmbeddingFailed("no answer")


@pytest.fixture
def hub(tiny_transformer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the name of a model that was downloaded before."""
    repository = tmp_path / "hub" / "models--a-team--tiny-model"
    shutil.copytree(tiny_transformer, repository / "snapshots" / ("c" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return "a-team/tiny-model"


def test_the_embedder_whose_passport_is_asked_for_is_chosen() -> None:
    primary, cached = HashEmbedder(8), CachedEmbedder(HashEmbedder(16))
    embedders = Embedders(primary, standby=[cached, HashEmbedder(32)])
    assert embedders.of(primary.passport) is embedders.primary
    assert embedders.primary.inner is primary
    assert embedders.of(cached.passport) is cached
    assert embedders.of(HashEmbedder(32).passport) is embedders.of(HashEmbedder(32).passport)


def test_those_behind_the_right_one_are_not_asked() -> None:
    last = Asked(16)
    embedders = Embedders(HashEmbedder(8), standby=[HashEmbedder(12), last])
    embedders.of(HashEmbedder(12).passport)
    assert last.times == 0


def test_one_that_is_welcomed_comes_before_those_given_and_those_built(hub: str) -> None:
    given, later = HashEmbedder(8), HashEmbedder(8)
    embedders = Embedders(given)
    passport = SentenceTransformerEmbedder(hub).passport
    built = embedders.of(passport)
    assert embedders.welcome(later) is embedders.of(given.passport)
    assert embedders.primary.inner is given
    own = CachedEmbedder(SentenceTransformerEmbedder(hub))
    assert embedders.welcome(own) is embedders.of(passport) is own is not built


def test_one_that_is_there_already_is_not_added_again() -> None:
    given = HashEmbedder(8)
    embedders = Embedders(given)
    assert embedders.welcome(given) is embedders.primary
    assert embedders.welcome(CachedEmbedder(given)) is embedders.primary


def test_a_standby_out_of_reach_hides_no_other_and_is_named_where_it_might_be_the_one() -> None:
    embedders = Embedders(HashEmbedder(8), standby=[Unreachable(9), HashEmbedder(16)])
    assert embedders.of(HashEmbedder(16).passport).passport.dimension == 16
    with pytest.raises(EmbeddingFailed, match="no answer"):
        embedders.of(HashEmbedder(32).passport)


def test_no_other_embedder_is_a_substitute() -> None:
    primary = HashEmbedder(8)
    wanted = replace(primary.passport, query_prompt="query: ")
    with pytest.raises(EmbedderMismatch) as caught:
        Embedders(primary).of(wanted)
    assert (caught.value.stored, caught.value.given) == (wanted, primary.passport)


@pytest.mark.parametrize(
    "make",
    [
        SentenceTransformerEmbedder,
        lambda name: SentenceTransformerEmbedder(name, truncate_dim=8),
        lambda name: SentenceTransformerEmbedder(name, query_prompt="?", document_prompt=""),
        lambda _: SentenceTransformerEmbedder(truncate_dim=128),
    ],
    ids=["plain", "truncated", "prompted", "bundled"],
)
def test_a_model_on_this_machine_is_built_from_the_passport(
    make: Callable[[str], SentenceTransformerEmbedder], hub: str
) -> None:
    passport = make(hub).passport
    embedders = Embedders(HashEmbedder(8))
    built = embedders.of(passport)
    assert built.passport == passport
    assert embedders.of(passport) is built
    assert built.embed(["rain in turin"], kind="query").shape == (1, passport.dimension)


def test_a_space_built_once_asks_none_of_the_given_again(hub: str) -> None:
    primary = Asked(8)
    embedders = Embedders(primary)
    passport = SentenceTransformerEmbedder(hub).passport
    embedders.of(passport)
    before = primary.times
    embedders.of(passport)
    assert primary.times == before


@pytest.mark.parametrize("change", ["weights", "tokenizer", "pooling"])
def test_a_model_of_that_name_with_other_files_is_not_taken(hub: str, change: str) -> None:
    others: dict[str, Any] = {change: "other"}
    passport = replace(SentenceTransformerEmbedder(hub).passport, **others)
    with pytest.raises(EmbedderMismatch):
        Embedders(HashEmbedder(8)).of(passport)


def test_a_truncation_that_no_model_has_is_a_mismatch(hub: str) -> None:
    passport = SentenceTransformerEmbedder(hub).passport
    with pytest.raises(EmbedderMismatch):
        Embedders(HashEmbedder(8)).of(replace(passport, dimension=999, full_dimension=1000))


def test_a_passport_that_names_a_path_is_not_followed(
    tiny_transformer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_transformer, tmp_path / "team" / "model")
    passport = SentenceTransformerEmbedder(tiny_transformer).passport
    monkeypatch.chdir(tmp_path)
    for name in (str(tiny_transformer), "./team/model", "team/model", "../x", passport.model):
        with pytest.raises(EmbedderMismatch):
            Embedders(HashEmbedder(8)).of(replace(passport, model=name))


def test_threads_that_ask_at_once_get_one_embedder(hub: str) -> None:
    passport = SentenceTransformerEmbedder(hub).passport
    embedders = Embedders(HashEmbedder(8))
    start = threading.Barrier(6)

    def ask(_: int) -> CachedEmbedder:
        start.wait()
        return embedders.of(passport)

    with ThreadPoolExecutor(6) as pool:
        assert len(set(map(id, pool.map(ask, range(6))))) == 1
