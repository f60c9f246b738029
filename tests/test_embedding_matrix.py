"""What passports and canaries see of a changed model: one table, on real weights.

Every row changes one thing of all-MiniLM-L6-v2. It says which fields of the passport show it, if
any, and what the canaries alone make of it: a row without fields is a change behind an address,
or in a place where no passport looks.
"""

from __future__ import annotations

import json
import shutil
import string
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from agentmem.embedding import CachedEmbedder, SentenceTransformerEmbedder
from agentmem.embedding.canaries import (
    QUERY_PLACES,
    Canaries,
    CanaryCheck,
    Verdict,
    canary_texts,
    compare,
    embed_canaries,
    probe,
)
from agentmem.embedding.causes import Cause
from agentmem.embedding.encoding import TorchEncoder
from agentmem.embedding.weights import bundled_folder
from agentmem.protocols import Embedder
from agentmem.testing import HashEmbedder
from agentmem.types import Kind, Passport

Rows: TypeAlias = NDArray[np.float32]
Tensors: TypeAlias = dict[str, Any]

NOTHING: Final[frozenset[str]] = frozenset()
WEIGHTS: Final = frozenset({"model", "revision", "weights"})  # the name is that of the weights
NO_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


class Workshop:
    """Makes changed models from the bundled one, in folders of their own."""

    def __init__(self, folder: Path, *, minilm: Embedder, stored: Canaries) -> None:
        self._folder = folder
        self.minilm = minilm
        self.remembered = Recorded(minilm, canaries=stored)

    def edited(self, name: str, **changes: Any) -> SentenceTransformerEmbedder:
        """Change values of one JSON file."""

        def change(content: dict[str, Any]) -> dict[str, Any]:
            return {**content, **changes}

        return self.rewritten(name, change)

    def rewritten(self, name: str, change: Callable[[Any], Any]) -> SentenceTransformerEmbedder:
        """Change one JSON file."""
        folder = self._copy()
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(change(content)), encoding="utf-8")
        return SentenceTransformerEmbedder(folder, device="cpu", engine="torch")

    def reweighed(self, change: Callable[[Tensors], None]) -> SentenceTransformerEmbedder:
        """Change weights in place."""
        from safetensors.torch import load_file, save_file

        folder = self._copy()
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return SentenceTransformerEmbedder(folder, device="cpu", engine="torch")

    def quantised(self) -> SentenceTransformerEmbedder:
        """Quantise a loaded model: its files, and so its passport, stay as they are."""
        import torch

        embedder = SentenceTransformerEmbedder(device="cpu", engine="torch")
        encoder = embedder._loaded().encoder
        assert isinstance(encoder, TorchEncoder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.ao announces its move to torchao
            torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
                encoder._model, {torch.nn.Linear}, dtype=torch.qint8, inplace=True
            )
        return embedder

    def _copy(self) -> Path:
        bundled = bundled_folder()
        assert bundled is not None, "the tests need the extra 'offline'"
        folder = self._folder / "model"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(bundled, folder)
        return folder


class Service:
    """A model behind an address: it may do what it likes, and its passport stays."""

    def __init__(
        self,
        inner: Embedder,
        *,
        text: Callable[[str], str] = str,
        rows: Callable[[Rows], Rows] = np.asarray,
    ) -> None:
        self._inner = inner
        self._text = text
        self._rows = rows

    @property
    def passport(self) -> Passport:
        return self._inner.passport

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Rows:
        return self._rows(self._inner.embed([self._text(text) for text in texts], kind=kind))

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        return self._inner.split(texts, prefixes=prefixes)


class Recorded(Service):
    """A model that was asked for all canaries before, and now gives the same again."""

    def __init__(self, inner: Embedder, *, canaries: Canaries) -> None:
        super().__init__(inner)
        texts = canary_texts()
        asked = [texts[place] for place in QUERY_PLACES]
        self._known = {
            "document": dict(zip(texts, canaries.documents, strict=True)),
            "query": dict(zip(asked, canaries.queries, strict=True)),
        }

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Rows:
        return np.stack([self._known[kind][text] for text in texts])


@dataclass(frozen=True)
class Change:
    """One row: a change, the passport's fields that show it, what the canaries say."""

    name: str
    make: Callable[[Workshop], Embedder]
    passport: frozenset[str]
    verdict: Verdict
    cause: Cause
    probed: Verdict | None = None  # where six of the canaries see less than all


def pooling(mode: str) -> Callable[[Workshop], Embedder]:
    modes = {"pooling_mode_mean_tokens": False, f"pooling_mode_{mode}": True}
    return lambda shop: shop.edited("1_Pooling/config.json", **modes)


def edited(name: str, **changes: Any) -> Callable[[Workshop], Embedder]:
    return lambda shop: shop.edited(name, **changes)


def renumbered(first: str, second: str) -> Callable[[Workshop], Embedder]:
    """Let two tokens change places in the vocabulary."""

    def change(tokenizer: dict[str, Any]) -> dict[str, Any]:
        words = tokenizer["model"]["vocab"]
        words[first], words[second] = words[second], words[first]
        return tokenizer

    return lambda shop: shop.rewritten("tokenizer.json", change)


def noise(share: float, *, layer: int = 3) -> Callable[[Workshop], Embedder]:
    """Train a layer a little further: noise of a share of each matrix's own deviation."""

    def change(tensors: Tensors) -> None:
        import torch

        generator = torch.Generator().manual_seed(1)
        for name in _matrices(tensors, layer=layer):
            drawn = torch.randn(tensors[name].shape, generator=generator)
            tensors[name] = tensors[name] + share * tensors[name].std() * drawn

    return lambda shop: shop.reweighed(change)


def forgotten(layer: int) -> Callable[[Workshop], Embedder]:
    """Initialise a layer anew."""

    def change(tensors: Tensors) -> None:
        import torch

        generator = torch.Generator().manual_seed(1)
        for name in _matrices(tensors, layer=layer):
            tensors[name] = 0.02 * torch.randn(tensors[name].shape, generator=generator)

    return lambda shop: shop.reweighed(change)


def _matrices(tensors: Mapping[str, Any], *, layer: int) -> list[str]:
    return [name for name in tensors if f".{layer}." in name and tensors[name].ndim == 2]


def without_normalize(modules: list[Any]) -> list[Any]:
    return [module for module in modules if not module["type"].endswith("Normalize")]


def model(**options: Any) -> Callable[[Workshop], Embedder]:
    return lambda _: SentenceTransformerEmbedder(device="cpu", **options)


def reading(text: Callable[[str], str]) -> Callable[[Workshop], Embedder]:
    """Serve a model that reads something else than it is sent."""
    return lambda shop: Service(shop.minilm, text=text)


def answering(rows: Callable[[Rows], Rows]) -> Callable[[Workshop], Embedder]:
    """Serve a model that answers something else than it made."""
    return lambda shop: Service(shop.remembered, rows=rows)


HARMLESS = (
    Change("run again", lambda shop: shop.minilm, NOTHING, "same", "none"),
    Change(
        "behind the cache", lambda shop: CachedEmbedder(shop.remembered), NOTHING, "same", "none"
    ),
    Change("one text a batch", model(batch_size=1), NOTHING, "same", "none"),
    Change("batches of 8", model(batch_size=8), NOTHING, "same", "none"),
    Change("batches of 64", model(batch_size=64), NOTHING, "same", "none"),
    Change(
        "bfloat16 weights",
        edited("config.json", dtype="bfloat16"),
        frozenset({"precision"}),
        "same",
        "none",
    ),
    Change(
        "float16 storage",
        answering(lambda rows: rows.astype(np.float16).astype(np.float32)),
        NOTHING,
        "same",
        "none",
    ),
    Change(  # vectors are scaled to unit length whether the model does it or not
        "no Normalize module",
        lambda shop: shop.rewritten("modules.json", without_normalize),
        NOTHING,
        "same",
        "none",
    ),
    Change("lower case", reading(str.lower), NOTHING, "same", "none"),  # MiniLM is uncased
    Change(
        "an equal form of GELU",
        edited("config.json", hidden_act="gelu_new"),
        NOTHING,
        "same",
        "none",
    ),
)

HARMFUL = (
    Change("int8", lambda shop: shop.quantised(), NOTHING, "other", "precision"),
    Change(
        "`query: ` before documents",
        model(document_prompt="query: "),
        frozenset({"document_prompt"}),
        "other",
        "document_prompt",
    ),
    Change(
        "`query: ` before questions",
        model(query_prompt="query: "),
        frozenset({"query_prompt"}),
        "other",
        "query_prompt",
    ),
    Change(
        "a service's own prefix",
        reading("passage: {}".format),
        NOTHING,
        "other",
        "prompt",
    ),
    Change(
        "no punctuation",
        reading(lambda text: text.translate(NO_PUNCTUATION)),
        NOTHING,
        "other",
        "tokenizer",
    ),
    Change(
        "ASCII only",
        reading(lambda text: text.encode("ascii", "ignore").decode()),
        NOTHING,
        "other",
        "tokenizer",
    ),
    Change(
        "a tokenizer that keeps capitals",
        edited("tokenizer_config.json", do_lower_case=False),
        frozenset({"tokenizer"}),
        "other",
        "tokenizer",
    ),
    Change(
        "a tokenizer that keeps accents",
        edited("tokenizer_config.json", strip_accents=False),
        frozenset({"tokenizer"}),
        "other",
        "tokenizer",
    ),
    Change(
        "two words renumbered",
        renumbered("red", "blue"),
        frozenset({"tokenizer"}),
        "other",
        "tokenizer",
        probed="same",
    ),
    Change(  # no canary has these words: the passport alone sees it
        "two rare words renumbered",
        renumbered("zodiac", "armada"),
        frozenset({"tokenizer"}),
        "same",
        "none",
    ),
    Change(
        "a window of 128",
        edited("sentence_bert_config.json", max_seq_length=128),
        frozenset({"window"}),
        "other",
        "window",
    ),
    Change(
        "a window of 512",
        edited("sentence_bert_config.json", max_seq_length=512),
        frozenset({"window"}),
        "other",
        "window",
        probed="same",
    ),
    Change(  # agentmem splits before it embeds, so of stored texts nothing is cut on either side
        "the end of long texts kept",
        edited("tokenizer_config.json", truncation_side="left"),
        NOTHING,
        "other",
        "window",
        probed="same",
    ),
    Change("CLS pooling", pooling("cls_token"), frozenset({"pooling"}), "other", "model"),
    Change("max pooling", pooling("max_tokens"), frozenset({"pooling"}), "other", "model"),
    Change(
        "no unit length",
        answering(lambda rows: 3 * rows),
        NOTHING,
        "other",
        "length",
    ),
    Change(
        "256 components",
        model(truncate_dim=256),
        frozenset({"dimension", "full_dimension"}),
        "other",
        "dimension",
    ),
    Change(
        "a service's 256 components",
        answering(lambda rows: rows[:, :256]),
        NOTHING,
        "other",
        "dimension",
    ),
    Change("trained on by a hair", noise(0.02), WEIGHTS, "warn", "precision"),
    Change("trained on", noise(0.1), WEIGHTS, "other", "precision"),
    Change("a layer forgotten", forgotten(5), WEIGHTS, "other", "model"),
    Change(
        "a layer left out", edited("config.json", num_hidden_layers=5), NOTHING, "other", "model"
    ),
    Change(
        "another model",
        lambda _: HashEmbedder(384),
        frozenset({"model", "pooling", "provider", "revision", "tokenizer", "weights"}),
        "other",
        "model",
    ),
)


@pytest.fixture(scope="module")
def stored(minilm: SentenceTransformerEmbedder) -> Canaries:
    """Give what a generation keeps of its own model."""
    return embed_canaries(minilm)


@pytest.fixture
def shop(tmp_path: Path, minilm: SentenceTransformerEmbedder, stored: Canaries) -> Workshop:
    return Workshop(tmp_path, minilm=minilm, stored=stored)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.slow(keep=4)
@pytest.mark.parametrize("change", HARMLESS + HARMFUL, ids=lambda change: change.name)
def test_what_passport_and_canaries_see(change: Change, shop: Workshop, stored: Canaries) -> None:
    embedder = change.make(shop)
    assert frozenset(shop.minilm.passport.differences(embedder.passport)) == change.passport
    fresh = embed_canaries(embedder)
    check = compare(stored, fresh)
    assert (check.verdict, check.cause) == (change.verdict, change.cause), told(check)
    if change.cause == "window":
        assert check.median > 0.99999  # only the minimum sees it
    few = probe(Recorded(embedder, canaries=fresh), stored)
    assert few.verdict == (change.probed or change.verdict), told(few)


def test_float16_weights_are_the_same_space(shop: Workshop, stored: Canaries) -> None:
    half = shop.edited("config.json", dtype="float16")  # on many processors a minute for all
    assert shop.minilm.passport.differences(half.passport) == {"precision": ("float32", "float16")}
    assert probe(half, stored).minimum > 0.9999


@pytest.mark.parametrize("number", [1, 2])
def test_the_number_of_threads_moves_no_canary(
    number: int, stored: Canaries, shop: Workshop, threads: Callable[[int], None]
) -> None:
    threads(number)
    assert compare(stored, embed_canaries(shop.minilm)).minimum > 0.99999


def test_swapped_prompts_are_seen_in_questions_and_documents(shop: Workshop) -> None:
    def prompted(query: str, document: str) -> SentenceTransformerEmbedder:
        return SentenceTransformerEmbedder(
            device="cpu", query_prompt=query, document_prompt=document
        )

    right, swapped = prompted("query: ", "passage: "), prompted("passage: ", "query: ")
    check = probe(swapped, embed_canaries(right))
    assert check.verdict == "other"
    assert max(check.documents.min(), check.queries.min()) < 0.99
    assert right.passport.differences(swapped.passport).keys() == {
        "query_prompt",
        "document_prompt",
    }


def told(check: CanaryCheck) -> str:
    return f"{check.cause}: {check.minimum:.5f} at {check.place}, median {check.median:.5f}"
