from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from agentmem.embedding import SentenceTransformerEmbedder
from agentmem.embedding.splitting import Splitter, cut
from agentmem.embedding.weights import bundled_folder
from agentmem.errors import EmbeddingFailed, InvalidInput

WINDOW = 40


def byte_tokenizer() -> Tokenizer:
    """Make a tokenizer of which every byte is a token, and which spells ligatures out."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: number for number, symbol in enumerate([*alphabet, "<s>", "</s>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    ends = [(name, vocabulary[name]) for name in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=ends
    )
    return tokenizer


def by_bytes() -> Splitter:
    return Splitter(byte_tokenizer(), window=WINDOW, prompt="p ")


def joined(text: str, pieces: list[str]) -> str:
    """Put pieces together again, each laid as far right as it can lie without a gap."""
    made = ""
    for piece in pieces:
        place = text.rfind(piece, 0, len(made) + len(piece))
        assert place >= 0
        made = text[: max(len(made), place + len(piece))]
    return made


@settings(max_examples=150)
@given(text=st.text(max_size=200), prefix=st.sampled_from(["", "Ada: ", "Zoë: "]))
@example(text="🦄" * 50, prefix="")
@example(text="ﷺ" * 9, prefix="Ada: ")
@example(text="\ud800" * 90, prefix="")
def test_every_piece_fits_and_nothing_is_lost_when_bytes_are_tokens(text: str, prefix: str) -> None:
    (pieces,) = by_bytes().split([text], prefixes=[prefix])
    assert joined(text, pieces) == text
    tokenizer = byte_tokenizer()
    for piece in pieces:
        whole = ("p " + prefix + piece).encode("utf-8", "replace").decode()
        assert len(tokenizer.encode(whole).ids) <= WINDOW or len(piece) == 1


@settings(max_examples=40)
@given(
    words=st.lists(st.text("aeinrst", min_size=1, max_size=12), min_size=200, max_size=500),
    space=st.sampled_from([" ", "\n", ". ", "-", "  "]),
)
def test_every_piece_fits_the_default_model(
    minilm: SentenceTransformerEmbedder, words: list[str], space: str
) -> None:
    text = space.join(words)
    (pieces,) = minilm.split([text], prefixes=["Grace Hopper: "])
    assert joined(text, pieces) == text
    tokenizer = default_tokenizer()
    assert all(len(tokenizer.encode("Grace Hopper: " + piece).ids) <= 256 for piece in pieces)


def default_tokenizer() -> Tokenizer:
    """Read the default model's tokenizer from its file, independently of the embedder."""
    folder = bundled_folder()
    assert folder is not None
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def test_text_of_exactly_the_window_stays_whole_and_one_token_more_is_split() -> None:
    room = WINDOW - 2 - len(" p ")  # two marks, the space put in front, the prompt
    splitter = by_bytes()
    assert splitter.split(["x" * room], prefixes=[""]) == [["x" * room]]
    assert len(splitter.split(["x" * (room + 1)], prefixes=[""])[0]) == 2


def test_pieces_end_at_a_sentence_rather_than_at_a_word() -> None:
    text = "aa bb cc dd ee ff gg hh. ii jj kk ll mm nn oo pp."
    starts = np.array([word for word in range(len(text)) if text[word - 1 : word] in ("", " ")])
    pieces = cut(text, starts, room=9)
    assert pieces == ["aa bb cc dd ee ff gg hh. ", "hh. ii jj kk ll mm nn oo pp."]


def test_prefix_that_fills_the_window_is_refused_only_where_it_matters() -> None:
    splitter = by_bytes()
    assert splitter.split(["hi"], prefixes=["x" * 30]) == [["hi"]]
    with pytest.raises(InvalidInput, match="shorten"):
        splitter.split(["hi there, how are you?"], prefixes=["x" * 30])


def test_prefixes_have_to_be_as_many_as_texts() -> None:
    with pytest.raises(InvalidInput, match="prefix"):
        by_bytes().split(["a", "b"], prefixes=[""])


def test_long_text_without_a_tokenizer_is_refused_and_not_cut_off() -> None:
    splitter = Splitter(None, window=10, prompt="")
    assert splitter.split([""], prefixes=[""]) == [[""]]
    with pytest.raises(EmbeddingFailed, match=r"tokenizer\.json"):
        splitter.split(["much longer than ten"], prefixes=[""])
    assert Splitter(None, window=None, prompt="").split(["x" * 99], prefixes=[""]) == [["x" * 99]]


def test_a_megabyte_is_split_in_seconds(minilm: SentenceTransformerEmbedder) -> None:
    text = ("It rained in Turin, and the river rose. " * 25_000)[:1_000_000]
    minilm.split(["warm up"], prefixes=[""])
    began = time.process_time()
    (pieces,) = minilm.split([text], prefixes=["Ada: "])
    assert time.process_time() - began < 10  # takes 1 to 2 seconds
    assert joined(text, pieces) == text
