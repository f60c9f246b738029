"""Cutting long texts into overlapping pieces that a model reads whole.

Works on the characters where tokens start, so any tokenizer with offsets will do. Pieces are
exact substrings, cover the text, and begin and end at sentences or spaces where one is near.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agentmem.embedding.vectors import clean, clean_all
from agentmem.errors import EmbeddingFailed, InvalidInput

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Splitter", "cut"]

OVERLAP = 1 / 8  # share of a piece repeated in the next, so that no sentence is only seen cut
LOOK_BACK = 1 / 4  # share of a piece in which to seek a boundary: pieces stay at least 3/4 full
MARGIN = 2  # tokens kept free: a piece's first and last word may make one token more than in place
SLACK = 8  # tokens an ASCII text may have beyond its characters: marks that tokenizers put in front
MINIMUM_ROOM = 16  # tokens that a prefix has to leave, or pieces would say nothing

_SENTENCE_END = re.compile(r"[.!?…。！？][\"')\]]*\s+|\n\s*")  # noqa: RUF001 - CJK sentence ends
_SPACE = re.compile(r"\s+")


def cut(text: str, starts: NDArray[np.int64], *, room: int) -> list[str]:
    """Cut a text into overlapping pieces of at most `room` tokens.

    Args:
        text: The text.
        starts: Character at which each of its tokens starts, ascending.
        room: Tokens a piece may have.
    """
    pieces, begin, first = [], 0, 0
    while first + room < len(starts):
        limit = max(int(starts[first + room]), begin + 1)
        end = _boundary(text, low=limit - int((limit - begin) * LOOK_BACK), high=limit)
        pieces.append(text[begin:end])
        after = int(np.searchsorted(starts, end))
        overlap = max(first + 1, after - int(room * OVERLAP))
        begin = _word_start(text, low=max(int(starts[overlap]), begin + 1), high=end)
        first = int(np.searchsorted(starts, begin))
    return [*pieces, text[begin:]]


def _boundary(text: str, *, low: int, high: int) -> int:
    """Return the last sentence end in `text[low:high]`, else the last space, else `high`."""
    for pattern in (_SENTENCE_END, _SPACE):
        ends = [match.end() for match in pattern.finditer(text, low, high)]
        if ends:
            return ends[-1]
    return high


def _word_start(text: str, *, low: int, high: int) -> int:
    """Return the first character of `text[low:high]` that follows a space, else `low`."""
    space = _SPACE.search(text, max(low - 1, 0), high)
    return space.end() if space and space.end() < high else min(low, high)


class Splitter:
    """Splits by a model's own tokenizer, and checks every piece by it.

    Args:
        tokenizer: A fast tokenizer without truncation or padding, used by nobody else; None if
            the model has none.
        window: Tokens the model reads, its special tokens included; None for no limit.
        prompt: Text the model puts before every document.
    """

    def __init__(self, tokenizer: Tokenizer | None, *, window: int | None, prompt: str) -> None:
        self._tokenizer = tokenizer
        self._prompt = clean(prompt)
        specials = tokenizer.num_special_tokens_to_add(is_pair=False) if tokenizer else 0
        self._room = None if window is None else window - specials

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        """Split each text so that prompt, prefix and piece fit; see `protocols.Embedder`.

        Raises:
            InvalidInput: Lengths differ, or a prefix leaves no room for the text.
            EmbeddingFailed: A text is too long and the model has no fast tokenizer to cut it by.
        """
        if len(texts) != len(prefixes):
            raise InvalidInput(
                f"{len(texts)} texts were given with {len(prefixes)} prefixes. Repair: pass one "
                'prefix a text, "" for none.'
            )
        heads = [self._prompt + prefix for prefix in clean_all(prefixes)]
        whole = [head + text for head, text in zip(heads, clean_all(texts), strict=True)]
        pieces = [[text] for text in texts]
        for position in self._too_long(whole):
            pieces[position] = self._cut(texts[position], head=heads[position])
        return pieces

    def tokens(self, texts: Sequence[str]) -> int | None:
        """Count the tokens of texts, special ones included; None without a fast tokenizer."""
        if self._tokenizer is None:
            return None
        encodings = self._tokenizer.encode_batch_fast(clean_all(texts), add_special_tokens=True)
        return sum(map(len, encodings))

    def _too_long(self, whole: Sequence[str]) -> list[int]:
        """Return the positions that exceed the window, tokenizing only those that might."""
        room = self._room
        if room is None:
            return []
        doubtful = [
            position
            for position, text in enumerate(whole)
            if len(text) + SLACK > room or not text.isascii()
        ]
        counts = self._count([whole[position] for position in doubtful])
        return [at for at, count in zip(doubtful, counts, strict=True) if count > room]

    def _cut(self, text: str, *, head: str) -> list[str]:
        room = self._room_after(head)
        offsets: Any = self._encode([head + clean(text)])[0].offsets
        spans = np.asarray(offsets, dtype=np.int64).reshape(-1, 2) - len(head)
        starts = np.maximum.accumulate(np.maximum(spans[spans[:, 1] > 0, 0], 0))
        return self._fitted(cut(text, starts, room=room), head=head)

    def _room_after(self, head: str) -> int:
        window = self._room or 0
        room = window - self._count([head])[0] - MARGIN
        if room < min(MINIMUM_ROOM, window // 2):
            raise InvalidInput(
                f"the text before each piece, {head[:60]!r}…, leaves {max(room, 0)} of the model's "
                f"{window} tokens. Repair: shorten the speaker's name or the document prompt."
            )
        return room

    def _fitted(self, pieces: list[str], *, head: str) -> list[str]:
        """Halve the rare piece that has more tokens alone than it had in place."""
        counts = self._count([head + clean(piece) for piece in pieces])
        fitted: list[str] = []
        for piece, count in zip(pieces, counts, strict=True):
            if count <= (self._room or 0) or len(piece) == 1:
                fitted.append(piece)
            else:
                middle = _boundary(piece, low=len(piece) // 4, high=(len(piece) + 1) // 2)
                fitted += self._fitted([piece[:middle], piece[middle:]], head=head)
        return fitted

    def _count(self, texts: list[str]) -> list[int]:
        if texts and self._tokenizer is None:
            raise EmbeddingFailed(
                "a text may exceed the model's window, and the model has no fast tokenizer to "
                "split it by, so part of it would be lost. Repair: use a model with a "
                "tokenizer.json, or shorter texts."
            )
        return [len(encoding) for encoding in self._encode(texts, offsets=False)]

    def _encode(self, texts: list[str], *, offsets: bool = True) -> list[Any]:
        if not texts or self._tokenizer is None:
            return []
        encode = self._tokenizer.encode_batch if offsets else self._tokenizer.encode_batch_fast
        return list(encode(texts, add_special_tokens=False))
