"""What every embedder keeps, run on each of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentmem.embedding import CachedEmbedder, SentenceTransformerEmbedder
from agentmem.errors import InvalidInput
from agentmem.protocols import Embedder
from agentmem.testing import HashEmbedder
from agentmem.types import Kind

Make: TypeAlias = Callable[[], Embedder]
KINDS: tuple[Kind, Kind] = ("query", "document")
ODD_TEXTS = [
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "x\udfffy",
    "🦄👩‍👩‍👧",
    "ﷺ½",
    "مرحبا",
    "<s>[SEP]</s>",
    "é" * 500,
]


@pytest.fixture(scope="module", params=["hash", "minilm", "tiny", "truncated", "cached"])
def make(request: pytest.FixtureRequest, tiny_transformer: Path) -> Make:
    if request.param == "minilm":
        shared = request.getfixturevalue("minilm")
        return lambda: shared
    makers: dict[str, Make] = {
        "hash": lambda: HashEmbedder(32, window=12),
        "tiny": lambda: SentenceTransformerEmbedder(tiny_transformer, device="cpu"),
        "truncated": lambda: SentenceTransformerEmbedder(tiny_transformer, truncate_dim=5),
        "cached": lambda: CachedEmbedder(HashEmbedder(32)),
    }
    return makers[request.param]


@pytest.fixture(scope="module")
def embedder(make: Make) -> Embedder:
    return make()


def test_has_the_shape_of_the_protocol(embedder: Embedder) -> None:
    assert isinstance(embedder, Embedder)


@pytest.mark.parametrize("kind", KINDS)
def test_gives_unit_float32_rows_of_the_promised_dimension(embedder: Embedder, kind: Kind) -> None:
    rows = embedder.embed(["the cat sat", "rain in turin"], kind=kind)
    assert rows.dtype == np.float32
    assert rows.shape == (2, embedder.passport.dimension)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gives_no_rows_for_no_texts(embedder: Embedder, kind: Kind) -> None:
    rows = embedder.embed([], kind=kind)
    assert rows.shape == (0, embedder.passport.dimension)
    assert rows.dtype == np.float32
    assert embedder.split([], prefixes=[]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_gives_each_text_its_row_whatever_its_company(embedder: Embedder, kind: Kind) -> None:
    texts = [f"the cat ran {'to my house ' * (n % 7)}{n}" for n in range(40)]
    together = embedder.embed(texts, kind=kind)
    backwards = embedder.embed(texts[::-1], kind=kind)[::-1]
    alone = np.concatenate([embedder.embed([text], kind=kind) for text in texts[:5]])
    np.testing.assert_allclose(backwards, together, atol=1e-5)
    np.testing.assert_allclose(alone, together[:5], atol=1e-5)
    assert len(np.unique(together.round(4), axis=0)) > 1


def test_gives_a_new_instance_the_same_passport_and_vectors(make: Make) -> None:
    first, second = make(), make()
    assert first.passport == second.passport
    np.testing.assert_array_equal(
        first.embed(["rain in lisbon"], kind="query"),
        second.embed(["rain in lisbon"], kind="query"),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_takes_any_text_a_person_may_send(embedder: Embedder, kind: Kind) -> None:
    rows = embedder.embed(ODD_TEXTS, kind=kind)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)
    pieces = embedder.split(ODD_TEXTS, prefixes=["Ada: "] * len(ODD_TEXTS))
    assert all(covered(text, split) for text, split in zip(ODD_TEXTS, pieces, strict=True))


def test_refuses_one_string_in_place_of_several(embedder: Embedder) -> None:
    with pytest.raises(InvalidInput, match=r"\[text\]"):
        embedder.embed("the cat", kind="query")


def test_leaves_short_texts_whole(embedder: Embedder) -> None:
    texts = ["the cat", "rain in turin\n", " "]
    assert embedder.split(texts, prefixes=["", "a: ", "b: "]) == [[text] for text in texts]


@settings(max_examples=25)
@given(text=st.text(st.sampled_from("the cat. ran\n\tñ🦄\ud800ABC_"), max_size=600))
@example(text="the cat sat on a mat. " * 60)
@example(text="\n" * 700)
def test_splits_into_overlapping_substrings_that_cover_the_text(
    embedder: Embedder, text: str
) -> None:
    (pieces,) = embedder.split([text], prefixes=["Ada: "])
    assert covered(text, pieces)


def test_splits_a_long_text_into_pieces_of_which_neighbours_share_words(embedder: Embedder) -> None:
    text = " ".join(f"the cat ran to house {number}." for number in range(300))
    (pieces,) = embedder.split([text], prefixes=["Ada: "])
    assert len(pieces) > 1
    places = [text.index(piece) for piece in pieces]
    ends = [place + len(piece) for place, piece in zip(places, pieces, strict=True)]
    assert all(start < end for start, end in zip(places[1:], ends[:-1], strict=True))
    assert all(end == len(text) or text[end - 1] == " " for end in ends)


def test_splits_each_text_as_if_it_were_alone(embedder: Embedder) -> None:
    texts = ["the cat " * 400, "rain", "my dog ran. " * 300]
    prefixes = ["Ada: ", "", "Bo: "]
    together = embedder.split(texts, prefixes=prefixes)
    alone = [
        embedder.split([text], prefixes=[prefix])[0]
        for text, prefix in zip(texts, prefixes, strict=True)
    ]
    assert together == alone


def covered(text: str, pieces: list[str]) -> bool:
    """Whether the pieces, in order, are substrings of the text that leave nothing out."""
    reached = 0
    for piece in pieces:
        place = text.rfind(piece, 0, reached + len(piece))
        if place < 0:
            return False
        reached = max(reached, place + len(piece))
    return reached == len(text)
